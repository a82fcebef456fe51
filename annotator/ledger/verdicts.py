"""What people said of objects, as the ledger keeps it."""

import datetime
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from annotator.ledger.database import Database
from annotator.verdicts import Verdict, latest


@dataclass(frozen=True)
class KeptVerdict:
    """A verdict as the ledger keeps it: one that was undone stays for the record."""

    verdict_id: int
    verdict: Verdict
    undone_at: float | None
    """Seconds since 1970; None while it holds."""
    undone_by: str | None


def _verdict(row: sqlite3.Row) -> Verdict:
    when = datetime.datetime.fromtimestamp(row["given_at"], datetime.UTC)
    return Verdict(row["object_id"], row["verdict"], row["person"], when, row["note"])


def _said(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.person, verdict.verdict, verdict.note


class Verdicts:
    """What people said."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, verdict: Verdict, in_file: Iterable[Verdict] = ()) -> int:
        """Keep a verdict; return its number.

        Who repeats what holds already, word for word, adds nothing: a form that is sent twice is one verdict. Where one
        of the configured file holds, nothing in here is repeated.
        """
        with self._database.transaction():
            kept = [item for item in self.of_object(verdict.object_id) if item.undone_at is None]
            holds = latest([*in_file, *(item.verdict for item in kept)]).get(verdict.object_id)
            for item in kept:
                if item.verdict is holds and _said(holds) == _said(verdict):
                    return item.verdict_id
            return self._database.execute(
                "INSERT INTO verdicts (object_id, verdict, person, given_at, note) VALUES (?, ?, ?, ?, ?)",
                (verdict.object_id, verdict.verdict, verdict.person, verdict.when.timestamp(), verdict.note),
            ).lastrowid

    def undo(self, verdict_id: int, person: str, now: float) -> bool:
        """Take a verdict back; return whether it held until now. It stays for the record."""
        undone = self._database.execute(
            "UPDATE verdicts SET undone_at = ?, undone_by = ? WHERE verdict_id = ? AND undone_at IS NULL",
            (now, person, verdict_id),
        )
        return undone.rowcount > 0

    def holding(self) -> list[Verdict]:
        """Return the verdicts that were not undone, oldest first; of an object, the newest holds, whoever gave it."""
        rows = self._database.execute("SELECT * FROM verdicts WHERE undone_at IS NULL ORDER BY given_at, verdict_id")
        return [_verdict(row) for row in rows]

    def ever_judged(self) -> list[str]:
        """Return the objects of which anything was ever said, undone or not."""
        rows = self._database.execute("SELECT DISTINCT object_id FROM verdicts ORDER BY object_id")
        return [row["object_id"] for row in rows]

    def of_object(self, object_id: str) -> list[KeptVerdict]:
        """Return all that people said of one object, undone or not, in the order in which it was stored."""
        rows = self._database.execute("SELECT * FROM verdicts WHERE object_id = ? ORDER BY verdict_id", (object_id,))
        return [KeptVerdict(row["verdict_id"], _verdict(row), row["undone_at"], row["undone_by"]) for row in rows]
