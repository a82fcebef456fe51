"""Who a ledger is, whose pass may write in it, and which one was used here last.

The last is kept outside of the ledger, in a small file: of a ledger that is gone, empty or another, nobody else knows.
"""

import logging
import os
import tempfile
import uuid
from pathlib import Path

from sqlalchemy import select

from annotator.errors import LedgerError
from annotator.ledger.store.database import FENCE, MEMORY, Database
from annotator.ledger.store.schema import identity
from annotator.ledger_address import LedgerAddress, PostgresAddress

log = logging.getLogger(__name__)

LEDGER, HOLDER, WRITES, LOOKED_AT = "ledger", "holder", "writes", "looked_at"
WAYS_ON = (
    "restore it from a backup, make one of what Lasair holds (`aha-annotator rebuild`), or go on with what is there, "
    "be it nothing, as a new one (`--new-ledger`)"
)
EXPLANATION = (
    "This is the identity of the ledger that is used here. A pass that finds none, or another, stops and says so.\n"
)


class Identity:
    """What a ledger knows of itself."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def ledger_id(self) -> str:
        """Drawn when the ledger was made; a copy or a backup has the same."""
        return self._get(LEDGER)

    @property
    def holder(self) -> str:
        """Who took the ledger for a pass last, in words."""
        return self._get(HOLDER)

    def take_fence(self, holder: str) -> str:
        """Count a new pass, which alone may write from now on as a pass does; return its number."""
        with self._database.transaction():
            fence = str(int(self._get(FENCE) or 0) + 1)
            self._database.replace(identity, [{"name": FENCE, "value": fence}, {"name": HOLDER, "value": holder}])
        return fence

    def check_topic(self, survey: str, topic: str) -> None:
        """Raise LedgerError where the ledger is of what is written to another topic, or to another survey's Lasair.

        It would take what stands there for what stands here, and write nothing of it.
        """
        known, ours = self._get(WRITES), f"{topic} of {survey}"
        if known not in ("", ours):
            raise LedgerError(
                f"the ledger {self._database.address} is that of the topic {known}, and this configuration writes "
                f"{ours}: give it a ledger of its own (`ledger`)"
            )

    def note_topic(self, survey: str, topic: str) -> None:
        """Note, in the first pass, what is written from the ledger; raise LedgerError where it is something else."""
        self.check_topic(survey, topic)
        if not self._get(WRITES):
            self._database.replace(identity, [{"name": WRITES, "value": f"{topic} of {survey}"}])

    def was_looked_at_in(self, night: int) -> bool:
        """Say whether the file was looked through for damage in a night."""
        return self._get(LOOKED_AT) == str(night)

    def note_looked_at(self, night: int) -> None:
        """Note that the file was looked through for damage."""
        self._database.replace(identity, [{"name": LOOKED_AT, "value": str(night)}])

    def _get(self, name: str) -> str:
        return self._database.value(select(identity.c.value).where(identity.c.name == name)) or ""


def draw_identity(database: Database) -> None:
    """Give a ledger its identity where it has none: when it is made, or comes from a release that gave none."""
    if not Identity(database).ledger_id:
        database.replace(identity, [{"name": LEDGER, "value": str(uuid.uuid4())}])


def known_ledger(address: LedgerAddress | str) -> str | None:
    """Return the identity of the ledger that was used last at an address, None where none is known."""
    place = _place(address)
    try:
        return None if place is None else str(uuid.UUID(place.read_text(encoding="utf-8").split("\n")[0]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # a loss of power may leave an empty file
        log.warning("%s does not say which ledger is used here: %s", place, error)
        return None


def check_known(address: LedgerAddress | str, ledger_id: str | None) -> None:
    """Refuse what lies at an address, None being nothing, where another ledger was used there last.

    Raises
    ------
    LedgerError
        Saying how to go on.
    """
    known = known_ledger(address)
    if known is not None and ledger_id != known:
        found = "is gone, or empty" if ledger_id is None else "is another than the one that was used here last"
        raise LedgerError(f"the ledger {address} {found} ({_place(address)} says which it was): {WAYS_ON}")


def note_known(address: LedgerAddress | str, ledger_id: str) -> None:
    """Note which ledger is used at an address; where that cannot be written, its loss would not be noticed."""
    place = _place(address)
    if place is None or known_ledger(address) == ledger_id:
        return
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f"{ledger_id}\n{EXPLANATION}")
                os.fchmod(file.fileno(), 0o644)  # no secret: whoever may read the ledger is to know which it is
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, place)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        log.warning("cannot note in %s which ledger is used: its loss would not be noticed: %s", place, error)


def forget_known(address: LedgerAddress | str) -> None:
    """Forget which ledger was used at an address: the next pass goes on with what is there, or begins one."""
    place = _place(address)
    try:
        if place is not None:
            place.unlink(missing_ok=True)
    except OSError as error:
        raise LedgerError(f"cannot delete {place}: {error.strerror}") from error


def _place(address: LedgerAddress | str) -> Path | None:
    if isinstance(address, PostgresAddress):
        return address.id_file
    return None if address == MEMORY else address.with_name(f"{address.name}.id")
