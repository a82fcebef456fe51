"""How passes ended."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from annotator.ledger.database import Database


@dataclass(frozen=True)
class PassRecord:
    """How a pass ended."""

    ended_at: float
    """Seconds since 1970."""
    outcome: str
    """ "done", or what a person must look at."""
    counts: Mapping[str, int]


class PassLog:
    """How passes went."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, now: float) -> int:
        """Note that a pass begins; return its number."""
        return self._database.execute("INSERT INTO passes (started_at) VALUES (?)", (now,)).lastrowid

    def end(self, pass_id: int, outcome: str, counts: Mapping[str, int], now: float) -> None:
        """Note how a pass ended: `outcome` is "done", or what went wrong in plain words."""
        self._database.execute(
            "UPDATE passes SET ended_at = ?, outcome = ?, counts = ? WHERE pass_id = ?",
            (now, outcome, json.dumps(dict(counts)), pass_id),
        )

    def last(self) -> PassRecord | None:
        """Return the pass that ended last, None before the first."""
        row = self._database.execute(
            "SELECT ended_at, outcome, counts FROM passes WHERE ended_at IS NOT NULL ORDER BY pass_id DESC LIMIT 1"
        ).fetchone()
        return PassRecord(row["ended_at"], row["outcome"], json.loads(row["counts"])) if row else None

    def between(self, since: float, until: float) -> list[PassRecord]:
        """Return the passes that ended in a span of time, oldest first."""
        rows = self._database.execute(
            "SELECT ended_at, outcome, counts FROM passes WHERE ended_at >= ? AND ended_at < ? ORDER BY pass_id",
            (since, until),
        )
        return [PassRecord(row["ended_at"], row["outcome"], json.loads(row["counts"])) for row in rows]
