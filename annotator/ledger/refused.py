"""Records that could not be used, or parts of them: kept, so that they can be scored after a mend."""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from annotator.decision.objects import Refusal
from annotator.errors import SolarSystemObjectError
from annotator.fences import printable
from annotator.ledger.store.database import Database
from annotator.ledger.store.schema import outbox, refused

MAX_REFUSED = 10_000
"""Refused records that are kept, the newest."""
MAX_WHOLE = 1000
"""Of which the text is kept up to :data:`MAX_WHOLE_TEXT`, the newest: a tenth of a gigabyte at most."""
MAX_WHOLE_TEXT = 100_000
"""Characters: an object with its whole light curve takes half of it."""
MAX_TEXT = 4000
"""Characters of the others: twice a message of a stream."""


@dataclass(frozen=True)
class RefusedRecord:
    """A record that could not be used, or a part of it, as it is kept."""

    refused_id: int
    refused_at: float
    """Seconds since 1970."""
    refusal: Refusal
    """Its record is cut where it was too long."""

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps({"refused_id": self.refused_id, "refused_at": self.refused_at} | vars(self.refusal))

    def __str__(self) -> str:
        when, item = datetime.datetime.fromtimestamp(self.refused_at, datetime.UTC), self.refusal
        name = printable(item.object_id) or "no id"
        return f"{when:%Y-%m-%d %H:%M:%S} UTC  {name:<16}  {item.part:<10}  {item.kind}: {printable(item.reason)}"


class Refused:
    """What could not be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self) -> int:
        """Count what was ever refused, what is no longer kept included."""
        return self._database.value(select(func.coalesce(func.max(refused.c.refused_id), 0)))

    def add(self, refusals: Sequence[Refusal], now: float) -> None:
        """Keep what was refused, the newest of all; what is older is kept shorter, then not at all."""
        if not refusals:
            return
        before = self.count()
        rows = [{"refused_id": number, **_row(item, now)} for number, item in enumerate(refusals, before + 1)]
        last = before + len(rows)
        self._database.write_each(insert(refused), rows)
        no_longer_whole = (refused.c.refused_id > before - MAX_WHOLE, refused.c.refused_id <= last - MAX_WHOLE)
        self._database.write(
            update(refused).where(*no_longer_whole).values(record=func.substr(refused.c.record, 1, MAX_TEXT))
        )
        self._database.write(delete(refused).where(refused.c.refused_id <= last - MAX_REFUSED))

    def open(self) -> list[RefusedRecord]:
        """Return what is kept and was not scored since, oldest first."""
        query = select(refused).where(refused.c.scored_at.is_(None)).order_by(refused.c.refused_id)
        return [
            RefusedRecord(
                row.refused_id, row.refused_at, Refusal(row.object_id, row.reason, row.record, row.part, row.kind)
            )
            for row in self._database.rows(query)
        ]

    def passers_by(self) -> list[str]:
        """Return the objects that turned out to be solar-system objects after an annotation of them was made."""
        query = select(refused.c.object_id).join(outbox, outbox.c.object_id == refused.c.object_id)
        is_since = and_(refused.c.scored_at.is_(None), refused.c.refused_at >= outbox.c.queued_at)
        of_kind = refused.c.kind == SolarSystemObjectError.__name__
        rows = self._database.rows(query.where(of_kind, is_since).distinct().order_by(refused.c.object_id))
        return [row.object_id for row in rows]

    def mark_scored(self, refused_ids: Sequence[int], now: float) -> None:
        """Note that what was refused has been scored."""
        this = update(refused).where(refused.c.refused_id == bindparam("of"))
        self._database.write_each(this.values(scored_at=now), [{"of": number} for number in refused_ids])


def _row(item: Refusal, now: float) -> Mapping[str, object]:
    return {
        "refused_at": now,
        "object_id": item.object_id[:64],
        "reason": item.reason,
        "record": item.record[:MAX_WHOLE_TEXT],
        "part": item.part,
        "kind": item.kind,
    }
