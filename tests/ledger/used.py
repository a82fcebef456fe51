"""A ledger that a pass has used, for tests of what looks after it."""

from pathlib import Path

from sqlalchemy import text

from annotator.decision.objects import Refusal
from annotator.ledger import Ledger, open_known
from tests.ledger.test_ledger import scored_object

NOW = 1_700_000_000.0


def record(ledger: Ledger, *names: str, now: float = NOW) -> None:
    """Record scores of objects, and a refusal."""
    ledger.record([scored_object(name) for name in names], [Refusal("ZTF99bad", "for the test", "{}")], now)


def known(path: Path) -> set[str]:
    """Return the objects that a ledger has scores of."""
    with open_known(path, read_only=True) as ledger:
        return {row[0] for row in ledger.database.rows(text("SELECT object_id FROM objects"))}
