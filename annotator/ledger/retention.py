"""Forgetting: what is left of scores that are old, so that a ledger of years is hardly larger than one of months.

Every score is kept for some nights. Of a calendar month (UTC) that is wholly older, each object's last score stays,
those by which each model set first flagged it and first called it an anomaly, and what other tables point to; their
reasons go. The numbers that heads learn from, two thirds of what is kept of an object, go some nights after it was
scored last, unless somebody judged it or it was ever flagged. Of an object that was not scored for many months, the
last score of all and the first flags stay. The object itself, its state and what Lasair was told of it stay for good:
it would be annotated anew.

The table is gone through by the scores' numbers, once for each of the three. Whether a score goes depends on none that
goes, so that neither the size of a step nor where somebody breaks off changes what is left.
"""

import datetime
import functools
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, delete, func, select, update

from annotator.annotation import Classification
from annotator.decision.sending import FLAGS
from annotator.ledger.store.database import Database
from annotator.ledger.store.schema import (
    identity,
    lifetimes,
    objects,
    passes,
    scores,
    snapshots,
    to_announce,
    verdicts,
    waiting,
)
from annotator.nights import DAY_S, MAX_AHEAD_DAYS, night_of, start_of

STEP_ROWS = 500
"""Scores that are looked at in one transaction."""
STEP_PASSES = 1000
"""Passes that are forgotten at a time."""
STEP_LIFETIMES = 10_000
"""Objects of which it is forgotten at a time how often a model set scored them."""
REDUCED, WITHOUT_NUMBERS, ROLLED_UP = "reduced_up_to", "without_numbers_up_to", "rolled_up_to"
"""In `identity`: numbers of the last scores that were looked at for each."""
WHOLE_SINCE = "whole_since"
"""In `identity`: since when scores are kept whole."""
_POINTING = (snapshots, waiting, to_announce)


@dataclass(frozen=True)
class Horizons:
    """Moments, in seconds since 1970."""

    now: float
    whole_since: float
    """Every score since is kept; a month begins then."""
    numbers_since: float
    """Of objects that were not scored since, the numbers that heads learn from are forgotten; a night begins then."""
    seen_since: float
    """Objects that were not scored since are reduced to their last score; a month begins then."""


def horizons_at(now: float, score_nights: int, numbers_nights: int, unseen_months: int) -> Horizons:
    """Return how far back what is kept at a moment.

    Parameters
    ----------
    now
        Seconds since 1970.
    score_nights
        Nights that scores are kept whole, at least: a month is reduced once all of it is older.
    numbers_nights
        Nights that numbers are kept of an object that is not scored any longer.
    unseen_months
        Whole months that an object is not to have been scored in, besides the present one.
    """
    oldest_whole = start_of(night_of(now) - score_nights)
    return Horizons(
        now,
        whole_since=_start_of_month(_month_of(oldest_whole)),
        numbers_since=start_of(night_of(now) - numbers_nights),
        seen_since=_start_of_month(_month_of(now) - unseen_months),
    )


def _month_of(unix_s: float) -> int:
    when = datetime.datetime.fromtimestamp(unix_s, datetime.UTC)
    return 12 * when.year + when.month - 1


def _start_of_month(month: int) -> float:
    return datetime.datetime(month // 12, month % 12 + 1, 1, tzinfo=datetime.UTC).timestamp()


class Retention:
    """How far what is old was forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def whole_since(self) -> float:
        """Since when every score is kept, in seconds since 1970; minus infinity where none was forgotten."""
        return float(self._noted(WHOLE_SINCE) or -math.inf)

    def forget_scores(
        self,
        horizons: Horizons,
        most: int,
        should_stop: Callable[[], bool] = lambda: False,
        judged: Collection[str] | None = (),
    ) -> int:
        """Reduce what is older than the horizons, each step in a transaction; return how many scores were looked at.

        Parameters
        ----------
        horizons
            Moments by a clock that others confirm. Scores dated later than now are passed over, as of no age.
        most
            Scores that are looked at, about.
        should_stop
            Asked between steps.
        judged
            Objects that people judged elsewhere than in this ledger; None where that is not known: all numbers stay.
        """
        looked_at = 0
        numbers = () if judged is None else (functools.partial(self._forget_numbers, judged=judged),)
        for step in (self._reduce, *numbers, self._roll_up):
            while looked_at < most and not should_stop():
                with self._database.transaction():
                    seen = step(horizons)
                looked_at += seen
                if not seen:
                    break
        return looked_at

    def _reduce(self, horizons: Horizons) -> int:
        """Reduce the months of the next scores; return how many were looked at, 0 at the end."""
        seen, old = self._next(REDUCED, horizons.whole_since, horizons.now)
        if not seen:
            return 0
        self._note({REDUCED: seen[-1].score_id, WHOLE_SINCE: max(self.whole_since, horizons.whole_since)})
        pasts = self._pasts(old)
        pointed_to = self._pointed_to([row.score_id for row in old])
        gone = {row.score_id for row in old} - pointed_to
        for past in pasts.values():
            gone -= {row.score_id for row in (*_last_of_months(past), *_first_flags(past))}
        self._delete(gone)
        bare = [row.score_id for row in old if row.score_id not in gone and row.score_id not in pointed_to]
        has_reasons = scores.c.reasons.is_not(None)  # a row that is not written costs nothing
        self._database.write(update(scores).where(scores.c.score_id.in_(bare), has_reasons).values(reasons=None))
        return len(seen)

    def _forget_numbers(self, horizons: Horizons, judged: Collection[str]) -> int:
        """Forget the numbers of the next scores' objects that were not scored since; return as :meth:`_reduce`."""
        seen, old = self._next(WITHOUT_NUMBERS, horizons.numbers_since, horizons.now)
        if not seen:
            return 0
        self._note({WITHOUT_NUMBERS: seen[-1].score_id})
        pasts = self._pasts(old)
        unseen = {row.object_id for row in old if row.score_id == pasts[row.object_id][-1].score_id}.difference(judged)
        is_judged = select(verdicts.c.object_id).where(verdicts.c.object_id == objects.c.object_id).exists()
        has_any = (objects.c.object_id.in_(sorted(unseen)), objects.c.numbers.is_not(None))
        never_flagged = objects.c.first_flagged_mjd.is_(None)
        self._database.write(update(objects).where(*has_any, never_flagged, ~is_judged).values(numbers=None))
        return len(seen)

    def _roll_up(self, horizons: Horizons) -> int:
        """Reduce the objects of the next scores that were not scored since; return how many were looked at."""
        seen, old = self._next(ROLLED_UP, horizons.seen_since, horizons.now)
        if not seen:
            return 0
        self._note({ROLLED_UP: seen[-1].score_id})
        newest = {row.score_id for row in old}
        gone: set[int] = set()
        for past in self._pasts(old).values():
            if past[-1].score_id in newest:
                gone |= {row.score_id for row in past[:-1]} - {row.score_id for row in _first_flags(past)}
        self._delete(gone - self._pointed_to(sorted(gone)))
        return len(seen)

    def forget_passes(self, most: int) -> None:
        """Forget how the oldest passes went, some of those that are more than so many."""
        row = self._database.row(select(func.min(passes.c.pass_id), func.max(passes.c.pass_id)))
        if row[0] is not None and (last := min(row[1] - most, row[0] + STEP_PASSES - 1)) >= row[0]:
            self._database.write(delete(passes).where(passes.c.pass_id <= last))

    def forget_lifetimes(self, horizons: Horizons) -> None:
        """Forget how often model sets scored objects, some of those, that have scored none since scores are kept whole.

        Heads that learn make a model set of their own each time, and nobody asks for what one did that is used no more.
        """
        for model_set in self._model_sets():
            last = self._database.value(select(func.max(scores.c.scored_at)).where(scores.c.model_set == model_set))
            if last is None or last < horizons.whole_since:
                theirs = lifetimes.c.model_set == model_set
                ids = select(lifetimes.c.object_id).where(theirs).order_by(lifetimes.c.object_id).limit(STEP_LIFETIMES)
                self._database.write(delete(lifetimes).where(theirs, lifetimes.c.object_id.in_(ids)))
                return

    def _model_sets(self) -> Iterator[str]:
        """Yield the model sets that lifetimes are of: a few among rows of every object, each found by the index."""
        name = ""
        while name := self._database.value(select(func.min(lifetimes.c.model_set)).where(lifetimes.c.model_set > name)):
            yield name

    def _next(self, name: str, since: float, now: float) -> tuple[Sequence[Row], Sequence[Row]]:
        """Return the next scores that are older than a moment or of no age, and those of them that are older."""
        columns = (scores.c.score_id, scores.c.object_id, scores.c.scored_at)
        query = select(*columns).where(scores.c.score_id > int(self._noted(name) or 0))
        rows = self._database.rows(query.order_by(scores.c.score_id).limit(STEP_ROWS))
        ahead = now + MAX_AHEAD_DAYS * DAY_S
        seen = list(itertools.takewhile(lambda row: row.scored_at < since or row.scored_at > ahead, rows))
        return seen, [row for row in seen if row.scored_at < since]

    def _pasts(self, rows: Iterable[Row]) -> dict[str, list[Row]]:
        """Return every score that is kept of the objects of some, in order."""
        columns = (scores.c.score_id, scores.c.object_id, scores.c.scored_at, scores.c.model_set)
        query = select(*columns, scores.c.classification).order_by(scores.c.score_id)
        pasts: dict[str, list[Row]] = {}
        for row in self._database.rows_of(query, scores.c.object_id, sorted({row.object_id for row in rows})):
            pasts.setdefault(row.object_id, []).append(row)
        return pasts

    def _pointed_to(self, score_ids: Sequence[int]) -> set[int]:
        queries = (select(table.c.score_id).where(table.c.score_id.in_(score_ids)) for table in _POINTING)
        return {row.score_id for query in queries for row in self._database.rows(query)}

    def _delete(self, score_ids: Iterable[int]) -> None:
        self._database.write(delete(scores).where(scores.c.score_id.in_(sorted(score_ids))))

    def _noted(self, name: str) -> str:
        return self._database.value(select(identity.c.value).where(identity.c.name == name)) or ""

    def _note(self, values: Mapping[str, object]) -> None:
        self._database.replace(identity, [{"name": name, "value": str(value)} for name, value in values.items()])


def _last_of_months(past: Sequence[Row]) -> Iterable[Row]:
    return {_month_of(row.scored_at): row for row in past}.values()


def _first_flags(past: Sequence[Row]) -> list[Row]:
    """Return the scores by which each model set first flagged an object, and first called it an anomaly."""
    first: dict[tuple[str, bool], Row] = {}
    for row in past:
        if row.classification in FLAGS:
            first.setdefault((row.model_set, False), row)
        if row.classification == Classification.ANOMALY:
            first.setdefault((row.model_set, True), row)
    return list(first.values())
