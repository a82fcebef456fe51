"""The ledger: all state between passes, in a file of SQLite or a database of PostgreSQL.

It knows which objects were scored and in what state, their scores, what people said of objects, the outbox,
the calls of the last hour, the passes and the refused records. Each of these has an owner, a file of this room. Scores,
outgoing annotations and the source's position are written in one transaction: after a crash at any point the next pass
repeats at most what was not yet committed.
"""

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from annotator.decision.objects import Refusal, ScoredObject
from annotator.errors import LedgerMissingError
from annotator.ledger.announcements import Announcements
from annotator.ledger.breakers import Breakers
from annotator.ledger.calls import Calls
from annotator.ledger.counts import Counts
from annotator.ledger.kept_objects import KeptObjects
from annotator.ledger.outbox import Outbox
from annotator.ledger.pass_log import PassLog
from annotator.ledger.positions import Positions, Progress
from annotator.ledger.refused import Refused
from annotator.ledger.retention import Retention
from annotator.ledger.scores import Scores
from annotator.ledger.store.database import BUSY_TIMEOUT_S, MEMORY, Database
from annotator.ledger.store.identity import Identity, check_known, note_known
from annotator.ledger.store.lock import pass_lock
from annotator.ledger.store.migrate import open_database
from annotator.ledger.store.schema import scores
from annotator.ledger.stream import StreamScores
from annotator.ledger.sweeps import Sweeps
from annotator.ledger.tns_cache import TnsCache
from annotator.ledger.verdicts import Verdicts
from annotator.ledger_address import LedgerAddress, PostgresAddress


class Ledger:
    """The open ledger of one annotator, its owners by name.

    Parameters
    ----------
    address
        Where it lies: a file of SQLite, made where it does not exist; a database of PostgreSQL; or ":memory:", which
        holds nothing after it is closed.
    busy_timeout_s
        How long to wait for another writer before it is an error.
    read_only
        Whether to leave the ledger as it is: whatever would write raises a LedgerError.
    begin
        Whether to begin one where there is none; never to read only.

    Raises
    ------
    LedgerMissingError
        If there is none, and none is to be begun.
    LedgerError
        If it is no ledger, one of a newer release, or out of reach.
    """

    def __init__(
        self,
        address: Path | PostgresAddress | str,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        read_only: bool = False,
        begin: bool = True,
    ) -> None:
        self._use(open_database(address, busy_timeout_s, read_only, begin))

    def _use(self, database: Database) -> None:
        self.database = database
        """What its owners share."""
        self.address = database.address
        self.scores = Scores(database)
        self.kept = KeptObjects(database)
        self.outbox = Outbox(database)
        self.announcements = Announcements(database)
        self.calls = Calls(database)
        self.breakers = Breakers(database)
        self.sweeps = Sweeps(database)
        self.tns = TnsCache(database)
        self.passes = PassLog(database)
        self.verdicts = Verdicts(database)
        self.counts = Counts(database)
        self.stream = StreamScores(database)
        self.positions = Positions(database)
        self.refused = Refused(database)
        self.retention = Retention(database)
        self.identity = Identity(database)

    def close(self) -> None:
        """Close it; a ledger for a dry run forgets what was written."""
        self.database.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextlib.contextmanager
    def hold_for_pass(self) -> Iterator[None]:
        """Hold the right to make a pass; once another pass has taken over, whatever this one writes is a LedgerError.

        Raises
        ------
        LedgerBusyError
            If another pass holds it.
        """
        with pass_lock(self.database):
            self.database.fence = self.identity.take_fence(f"process {os.getpid()} on {socket.gethostname()}")
            try:
                yield
            finally:
                self.database.fence = None

    def for_dry_run(self) -> "Ledger":
        """Return a ledger with what is in this one, in which all that is written is forgotten when it is closed."""
        dry = Ledger.__new__(Ledger)
        dry._use(self.database.for_dry_run())
        return dry

    def record(
        self,
        scored_objects: Iterable[ScoredObject],
        refusals: Iterable[Refusal],
        now: float,
        progress: Progress | None = None,
    ) -> None:
        """Write one batch's results, outgoing annotations and the source's new position in one transaction.

        Where an object comes more than once, each of its scores is kept, and of all else the last.

        Parameters
        ----------
        scored_objects, refusals
            The batch.
        now
            Seconds since 1970.
        progress
            How far the source was read.
        """
        with self.database.transaction():
            self.database.exclude_writers(scores)  # numbers and nightly counts go on from what is there
            scored_objects = list(scored_objects)
            self.counts.count_night([item for item in scored_objects if any(item.bins.values())], now)
            score_ids = self.scores.add(scored_objects, now)
            self.stream.note(scored_objects, now)
            self.kept.keep(scored_objects, score_ids, now)
            self.outbox.queue([item.outgoing for item in scored_objects if item.outgoing is not None], now)
            self.announcements.note(scored_objects, score_ids)
            self.refused.add(list(refusals), now)
            if progress is not None:
                self.positions.note(progress, now)


def open_or_begin(address: LedgerAddress) -> Ledger:
    """Open the ledger that was used last at an address; begin one where none is and none is known to have been.

    Raises
    ------
    LedgerError
        If it is gone, empty or another; and as :class:`Ledger` does.
    """
    try:
        return open_known(address)
    except LedgerMissingError:
        return Ledger(address)


def open_known(address: LedgerAddress, read_only: bool = False) -> Ledger:
    """Open the ledger that was used last at an address; where none is known, whichever is there.

    Raises
    ------
    LedgerMissingError
        If there is none, and none is known to have been.
    LedgerError
        If it is gone, empty or another; and as :class:`Ledger` does.
    """
    try:
        ledger = Ledger(address, read_only=read_only, begin=False)
    except LedgerMissingError:
        check_known(address, None)
        raise
    try:
        check_known(address, ledger.identity.ledger_id)
    except BaseException:
        ledger.close()
        raise
    return ledger


def open_to_read(address: LedgerAddress) -> Ledger:
    """Open the ledger that was used last at an address to read only; an empty one where none was begun yet.

    Raises
    ------
    LedgerError
        If it is gone, empty or another; and as :class:`Ledger` does.
    """
    try:
        return open_known(address, read_only=True)
    except LedgerMissingError:
        return Ledger(MEMORY)


@contextlib.contextmanager
def open_for_pass(address: LedgerAddress) -> Iterator[Ledger]:
    """Open a ledger, or begin it, and hold the right to make a pass on it.

    Raises
    ------
    LedgerBusyError
        If another pass holds it.
    LedgerError
        As :func:`open_or_begin` does.
    """
    with open_or_begin(address) as ledger, ledger.hold_for_pass():
        note_known(address, ledger.identity.ledger_id)
        yield ledger
