"""What people said of objects, as the ledger keeps it."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, insert, select, update

from annotator.errors import JudgedMeanwhileError
from annotator.ledger.store.database import Database
from annotator.ledger.store.schema import verdicts
from annotator.verdicts import Verdict, latest


@dataclass(frozen=True)
class KeptVerdict:
    """A verdict as the ledger keeps it: one that was undone stays for the record."""

    verdict_id: int
    verdict: Verdict
    undone_at: float | None
    """Seconds since 1970; None while it holds."""
    undone_by: str | None


def _verdict(row: Row) -> Verdict:
    when = datetime.datetime.fromtimestamp(row.given_at, datetime.UTC)
    return Verdict(row.object_id, row.verdict, row.person, when, row.note)


def _said(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.person, verdict.verdict, verdict.note


def _refuse_unseen(kept: Sequence[KeptVerdict], person: str, seen: int | None) -> None:
    unseen = [item.verdict for item in kept if seen is not None and item.verdict_id > seen]
    others = [item for item in unseen if item.person != person]
    if others:
        raise JudgedMeanwhileError(
            "; ".join(f"{item.person} said {item.verdict}, {item.when:%Y-%m-%d %H:%M} UTC" for item in others)
        )


class Verdicts:
    """What people said."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, verdict: Verdict, in_file: Iterable[Verdict] = (), seen: int | None = None) -> int:
        """Keep a verdict; return its number.

        Who repeats what holds already, word for word, adds nothing: a form that is sent twice is one verdict. Where one
        of the configured file holds, nothing in here is repeated.

        Parameters
        ----------
        verdict
            What is kept.
        in_file
            Those of the configured file.
        seen
            The number of the newest verdict that the person knew of; None where that does not matter.

        Raises
        ------
        JudgedMeanwhileError
            If somebody else has said something of the object since; nothing is kept.
        """
        with self._database.transaction():
            self._database.exclude_writers(verdicts)
            kept = [item for item in self.of_object(verdict.object_id) if item.undone_at is None]
            _refuse_unseen(kept, verdict.person, seen)
            said = [*in_file, *(item.verdict for item in kept)]
            holds = latest(said, verdict.when.timestamp()).get(verdict.object_id)
            for item in kept:
                if item.verdict is holds and _said(holds) == _said(verdict):
                    return item.verdict_id
            new = insert(verdicts).values(
                object_id=verdict.object_id,
                verdict=verdict.verdict,
                person=verdict.person,
                given_at=verdict.when.timestamp(),
                note=verdict.note,
            )
            return self._database.value(new.returning(verdicts.c.verdict_id))

    def undo(self, verdict_id: int, person: str, now: float) -> bool:
        """Take a verdict back; return whether it held until now. It stays for the record."""
        held = update(verdicts).where(verdicts.c.verdict_id == verdict_id, verdicts.c.undone_at.is_(None))
        return self._database.write(held.values(undone_at=now, undone_by=person)) > 0

    def holding(self) -> list[Verdict]:
        """Return the verdicts that were not undone, oldest first; of an object, the newest holds, whoever gave it."""
        query = select(verdicts).where(verdicts.c.undone_at.is_(None))
        rows = self._database.rows(query.order_by(verdicts.c.given_at, verdicts.c.verdict_id))
        return [_verdict(row) for row in rows]

    def ever_judged(self) -> list[str]:
        """Return the objects of which anything was ever said, undone or not."""
        query = select(verdicts.c.object_id).distinct().order_by(verdicts.c.object_id)
        return [row.object_id for row in self._database.rows(query)]

    def of_object(self, object_id: str) -> list[KeptVerdict]:
        """Return all that people said of one object, undone or not, in the order in which it was stored."""
        query = select(verdicts).where(verdicts.c.object_id == object_id).order_by(verdicts.c.verdict_id)
        return [
            KeptVerdict(row.verdict_id, _verdict(row), row.undone_at, row.undone_by)
            for row in self._database.rows(query)
        ]
