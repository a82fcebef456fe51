"""How passes ended."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, Select, and_, insert, select, update

from annotator.ledger.database import Database
from annotator.ledger.schema import passes


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
        return self._database.value(insert(passes).values(started_at=now).returning(passes.c.pass_id))

    def end(self, pass_id: int, outcome: str, counts: Mapping[str, int], now: float) -> None:
        """Note how a pass ended: `outcome` is "done", or what went wrong in plain words."""
        this = update(passes).where(passes.c.pass_id == pass_id)
        self._database.write(this.values(ended_at=now, outcome=outcome, counts=json.dumps(dict(counts))))

    def last(self) -> PassRecord | None:
        """Return the pass that ended last, None before the first."""
        ended = self._ended(passes.c.ended_at.is_not(None))
        row = self._database.row(ended.order_by(passes.c.pass_id.desc()).limit(1))
        return _record(row) if row else None

    def between(self, since: float, until: float) -> list[PassRecord]:
        """Return the passes that ended in a span of time, oldest first."""
        ended = self._ended(and_(passes.c.ended_at >= since, passes.c.ended_at < until))
        return [_record(row) for row in self._database.rows(ended.order_by(passes.c.pass_id))]

    def _ended(self, condition: ColumnElement[bool]) -> Select:
        return select(passes.c.ended_at, passes.c.outcome, passes.c.counts).where(condition)


def _record(row: Row) -> PassRecord:
    return PassRecord(row.ended_at, row.outcome, json.loads(row.counts))
