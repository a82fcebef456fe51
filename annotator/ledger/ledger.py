"""The ledger: one SQLite file that holds all state between passes.

It knows which objects were scored and in what state, every score ever given, what people said of objects, the outbox,
the calls of the last hour, the passes and the refused records. Each of these has an owner, a file of this room. Scores,
outgoing annotations and the source's position are written in one transaction: after a crash at any point the next pass
repeats at most what was not yet committed.
"""

from collections.abc import Iterable
from pathlib import Path

from annotator.decision.assessment import Assessment, Refusal
from annotator.ledger.announcements import Announcements
from annotator.ledger.calls import Calls
from annotator.ledger.counts import Counts
from annotator.ledger.database import BUSY_TIMEOUT_S, Database
from annotator.ledger.kept_objects import KeptObjects
from annotator.ledger.outbox import Outbox
from annotator.ledger.pass_log import PassLog
from annotator.ledger.scores import Scores
from annotator.ledger.tns_cache import TnsCache
from annotator.ledger.verdicts import Verdicts


class Ledger:
    """The open ledger of one annotator, its owners by name.

    Parameters
    ----------
    path
        The SQLite file; made where it does not exist. ":memory:" holds nothing after it is closed.
    busy_timeout_s
        How long to wait for another writer before it is an error.
    read_only
        Whether to leave the ledger as it is: whatever would write raises a LedgerError.

    Raises
    ------
    LedgerError
        If the file is no ledger, or one of a newer release; to read only, if there is none.
    """

    def __init__(self, path: Path | str, busy_timeout_s: float = BUSY_TIMEOUT_S, read_only: bool = False) -> None:
        self.path = path
        self._database = Database(path, busy_timeout_s, read_only)
        self.scores = Scores(self._database)
        self.kept = KeptObjects(self._database)
        self.outbox = Outbox(self._database)
        self.announcements = Announcements(self._database)
        self.calls = Calls(self._database)
        self.tns = TnsCache(self._database)
        self.passes = PassLog(self._database)
        self.verdicts = Verdicts(self._database)
        self.counts = Counts(self._database)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def copy_in_memory(self) -> "Ledger":
        """Return a copy that forgets everything when it is closed, for a dry run."""
        copy = Ledger(":memory:")
        self._database.copy_to(copy._database)
        return copy

    def record(
        self,
        assessments: Iterable[Assessment],
        refusals: Iterable[Refusal],
        now: float,
        position: tuple[str, str] | None = None,
    ) -> None:
        """Write one batch's results, outgoing annotations and the source's new position in one transaction.

        Parameters
        ----------
        assessments, refusals
            The batch.
        now
            Seconds since 1970.
        position
            Name of the source and how far it was read.
        """
        with self._database.transaction():
            assessments = list(assessments)
            self.counts.count_night([item for item in assessments if any(item.bins.values())], now)
            for item in assessments:
                score_id = self.scores.add(item, now)
                self.kept.keep(item, score_id, now)
                if item.outgoing is not None:
                    self.outbox.replace(item.outgoing, now)
                self.announcements.note(item, score_id)
            self.counts.add_refusals(refusals, now)
            self.kept.trim()
            if position is not None:
                self._database.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", position)

    def position(self, source: str) -> str | None:
        """Return how far a source was read, None if never."""
        row = self._database.execute("SELECT position FROM positions WHERE source = ?", (source,)).fetchone()
        return row["position"] if row else None
