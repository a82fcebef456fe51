"""Sweeps: how far Lasair was compared with the outbox, what was found, and whom nobody here knows."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import and_, delete, func, select, update

from annotator.annotation import Annotation
from annotator.ledger.store.database import Database
from annotator.ledger.store.json_text import read_object
from annotator.ledger.store.schema import strangers, sweeps
from annotator.nights import DAY_S, MAX_AHEAD_DAYS

MAX_STRANGERS = 1000
"""As many are kept to be looked at; all are counted."""


@dataclass(frozen=True)
class Sweep:
    """One comparison of all that Lasair shows of a topic with the outbox."""

    topic: str
    night: int
    begun_at: float
    """In seconds since 1970."""
    after: str = ""
    """Id of the object up to which they were compared."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """`held` by Lasair, `verified` for the first time, `otherwise` than they were sent, `missing` there, `strangers` to
    the outbox."""
    ended_at: float | None = None
    """In seconds since 1970, None while it goes on."""


def _counts(text: str) -> dict[str, int]:
    found = read_object(text, "what the last sweep counted")
    return {name: count for name, count in found.items() if isinstance(count, int)}


class Sweeps:
    """The sweeps of each topic, and what the last one found that is not in the outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, topic: str, now: float) -> Sweep | None:
        """Return the sweep of a topic that began last; one that a wrong clock dated later than now never did."""
        is_ours = and_(sweeps.c.topic == topic, sweeps.c.begun_at <= now + MAX_AHEAD_DAYS * DAY_S)
        query = select(sweeps).where(is_ours).order_by(sweeps.c.begun_at.desc(), sweeps.c.night.desc())
        row = self._database.row(query.limit(1))
        return row and Sweep(row.topic, row.night, row.begun_at, row.after, _counts(row.counts), row.ended_at)

    def begin(self, sweep: Sweep) -> None:
        """Note that a sweep begins."""
        row = {"topic": sweep.topic, "night": sweep.night, "begun_at": sweep.begun_at, "after": "", "counts": "{}"}
        self._database.replace(sweeps, [row])

    def note_page(
        self, sweep: Sweep, after: str, found: Mapping[str, int], found_strangers: Sequence[Annotation]
    ) -> Sweep:
        """Note what one page brought, and up to which object it went; return the sweep as it is now."""
        counts = Counter(sweep.counts) + Counter(found)
        room = MAX_STRANGERS - self._database.value(select(func.count()).select_from(strangers))
        rows = [
            {"object_id": item.object_id, "annotation": item.to_json(), "found_at": sweep.begun_at}
            for item in found_strangers[: max(0, room)]
        ]
        with self._database.transaction():
            self._database.replace(strangers, rows)
            self._change(sweep, after=after, counts=json.dumps(counts))
        return dataclasses.replace(sweep, after=after, counts=counts)

    def end(self, sweep: Sweep, now: float) -> Sweep:
        """Note that a sweep has come to its end, and return it; strangers that it has not met again are gone."""
        with self._database.transaction():
            self._change(sweep, ended_at=now)
            self._database.write(delete(strangers).where(strangers.c.found_at < sweep.begun_at))
        return dataclasses.replace(sweep, ended_at=now)

    def _change(self, sweep: Sweep, **changes: object) -> None:
        this = update(sweeps).where(sweeps.c.topic == sweep.topic, sweeps.c.night == sweep.night)
        self._database.write(this.values(**changes))

    def strangers(self) -> int:
        """Count the annotations that Lasair holds and the outbox does not know; :data:`MAX_STRANGERS` at most."""
        return self._database.value(select(func.count()).select_from(strangers))

    def acquaint(self, object_ids: Sequence[str]) -> None:
        """Note that annotations were taken into the outbox."""
        self._database.delete_of(strangers, object_ids)
