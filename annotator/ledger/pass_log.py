"""How passes ended."""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, Select, and_, insert, select, update

from annotator.ledger.store.database import Database
from annotator.ledger.store.json_text import read_object
from annotator.ledger.store.schema import passes

PAGE = 200
"""Passes that are read at a time."""


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
        return self._database.insert(insert(passes).values(started_at=now).returning(passes.c.pass_id))

    def end(self, pass_id: int, outcome: str, counts: Mapping[str, int], now: float) -> None:
        """Note how a pass ended: `outcome` is "done", or what went wrong in plain words."""
        this = update(passes).where(passes.c.pass_id == pass_id)
        apart = {name: counts.get(name) for name in ("scored", "news")}
        self._database.write(this.values(ended_at=now, outcome=outcome, counts=json.dumps(dict(counts)), **apart))

    def last(self, until: float | None = None) -> PassRecord | None:
        """Return the pass that ended last, None before the first; where a moment is given, of those ended by then."""
        row = self._database.row(self._newest_first(until).limit(1))
        return _record(row) if row else None

    def heard(self, since: float, until: float) -> list[tuple[float, int]]:
        """Return when passes ended that read the source to its end, in a span of time, and what news it gave them."""
        in_span = (passes.c.ended_at >= since, passes.c.ended_at <= until, passes.c.news.is_not(None))
        query = select(passes.c.ended_at, passes.c.news).where(*in_span).order_by(passes.c.ended_at)
        return [(row.ended_at, row.news) for row in self._database.rows(query)]

    def newest_first(self, until: float, scored: int) -> Iterator[PassRecord]:
        """Yield the passes of so many scorings that ended by a moment, read as far as somebody asks."""
        query = self._newest_first(until).where(passes.c.scored >= scored)
        for page in itertools.count():
            rows = self._database.rows(query.offset(page * PAGE).limit(PAGE))
            yield from map(_record, rows)
            if len(rows) < PAGE:
                return

    def _newest_first(self, until: float | None) -> Select:
        condition = passes.c.ended_at.is_not(None) if until is None else passes.c.ended_at <= until
        return self._ended(condition).order_by(passes.c.pass_id.desc())

    def between(self, since: float, until: float) -> list[PassRecord]:
        """Return the passes that ended in a span of time, oldest first."""
        ended = self._ended(and_(passes.c.ended_at >= since, passes.c.ended_at < until))
        return [_record(row) for row in self._database.rows(ended.order_by(passes.c.pass_id))]

    def _ended(self, condition: ColumnElement[bool]) -> Select:
        return select(passes.c.ended_at, passes.c.outcome, passes.c.counts).where(condition)


def _counts(row: Row) -> dict[str, int]:
    counts = read_object(row.counts, f"the counts of the pass that ended at {row.ended_at}")
    return {name: count for name, count in counts.items() if type(count) in (int, float)}


def _record(row: Row) -> PassRecord:
    return PassRecord(row.ended_at, row.outcome, _counts(row))
