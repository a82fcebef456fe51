"""How often something was scored or flagged, by night and over all."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, case, delete, exists, func, select

from annotator.annotation import Classification
from annotator.decision.objects import ScoredObject
from annotator.ledger.retention import Retention
from annotator.ledger.scores import scored_modalities
from annotator.ledger.store.database import Database
from annotator.ledger.store.json_text import read_object
from annotator.ledger.store.schema import lifetimes, night_counts, objects, scores
from annotator.nights import night_of, start_of

MAX_NIGHTS = 60
"""Nights whose distributions are kept."""


@dataclass(frozen=True)
class NightCount:
    """What one night brought of one model set."""

    night: int
    """As :func:`annotator.nights.night_of` numbers it."""
    scored: int
    """Objects."""
    anomalies: int
    """Objects that were an anomaly for the first time."""
    watches: int
    """Objects that were watched for the first time, and had not been an anomaly."""


@dataclass(frozen=True)
class LifetimeCount:
    """The objects that one model set scored equally often."""

    times_scored: int
    objects: int
    ever_flagged: int
    """Objects that were an anomaly or watched at least once."""
    flags: int
    """Scorings that found an anomaly or something to watch."""


def add(counts: dict[str, list[int]], bins: Mapping[str, int]) -> None:
    """Count one object in its bin of each name."""
    for name, number in bins.items():
        of_name = counts.setdefault(name, [])
        of_name += [0] * (number + 1 - len(of_name))
        of_name[number] += 1


class Counts:
    """How often something was scored or flagged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count_night(self, scored_objects: Sequence[ScoredObject], now: float) -> None:
        """Add to the night's counts, each modality of an object once a night: a busy object is no more of a sample."""
        if not scored_objects:
            return
        night = night_of(now)
        counted = self._counted_in(night, sorted({item.object_id for item in scored_objects}))
        model_sets = {item.model_set for item in scored_objects}
        query = select(night_counts.c.model_set, night_counts.c.counts).where(night_counts.c.night == night)
        kept = self._database.rows(query.where(night_counts.c.model_set.in_(sorted(model_sets))))
        of_sets = {name: {} for name in model_sets} | {row.model_set: _bins(row.counts, night) for row in kept}
        for item in scored_objects:
            for modality, bins in item.bins.items():
                key = (item.object_id, item.model_set, modality)
                if key not in counted:
                    counted.add(key)
                    add(of_sets[item.model_set], bins)
        rows = [{"night": night, "model_set": name, "counts": json.dumps(counts)} for name, counts in of_sets.items()]
        self._database.replace(night_counts, rows)
        # By their number and not by their age: a pass whose clock is a year ahead forgets one night at most.
        # Grouped, since SQLite 3.40 passes over the offset of a DISTINCT in here.
        kept_nights = select(night_counts.c.night).group_by(night_counts.c.night).order_by(night_counts.c.night.desc())
        oldest = kept_nights.offset(MAX_NIGHTS).limit(1).scalar_subquery()
        self._database.write(delete(night_counts).where(night_counts.c.night <= oldest))

    def _counted_in(self, night: int, object_ids: Sequence[str]) -> set[tuple[str, str, str]]:
        """Return object, model set and modality of what was scored in a night."""
        query = select(scores.c.object_id, scores.c.model_set, scores.c.modalities).where(
            scores.c.scored_at >= start_of(night), scores.c.scored_at < start_of(night + 1)
        )
        return {
            (row.object_id, row.model_set, modality)
            for row in self._database.rows_of(query, scores.c.object_id, object_ids)
            for modality in scored_modalities(read_object(row.modalities, f"the modalities of {row.object_id}"))
        }

    def of_bins(self, model_set: str, now: float = math.inf) -> dict[int, dict[str, list[int]]]:
        """Return how many objects were in each bin, by night up to now, then by the name of what is watched for drift.

        Bins after the last that had an object are left out.
        """
        query = select(night_counts.c.night, night_counts.c.counts).where(night_counts.c.model_set == model_set)
        if now < math.inf:
            query = query.where(night_counts.c.night <= night_of(now))
        rows = self._database.rows(query.order_by(night_counts.c.night))
        return {row.night: _bins(row.counts, row.night) for row in rows}

    def of_nights(self, model_set: str, most: int, now: float = math.inf) -> list[NightCount]:
        """Count by night what one model set scored and flagged, for the newest nights up to now that it scored in.

        Nights of which scores may be forgotten are left out.
        """
        counts: list[NightCount] = []
        before = math.inf if now == math.inf else start_of(night_of(now) + 1)
        whole_since = Retention(self._database).whole_since
        while len(counts) < most:
            query = select(func.max(scores.c.scored_at)).where(scores.c.model_set == model_set)
            newest = self._database.value(query.where(scores.c.scored_at < before))
            if newest is None or start_of(night_of(newest)) < whole_since:
                break
            night = night_of(newest)
            before, end = start_of(night), start_of(night + 1)
            row = self._database.row(_count_of_night(model_set, before, end))
            counts.append(NightCount(night, *map(int, row)))  # PostgreSQL adds whole numbers up to a decimal
        return counts[::-1]

    def lifetimes(self, model_set: str) -> list[LifetimeCount]:
        """Count the objects of one model set by how often it scored them."""
        ever = case((lifetimes.c.flags > 0, 1), else_=0)
        rows = self._database.rows(
            select(lifetimes.c.times, func.count(), func.sum(ever), func.sum(lifetimes.c.flags))
            .where(lifetimes.c.model_set == model_set)
            .group_by(lifetimes.c.times)
            .order_by(lifetimes.c.times)
        )
        return [LifetimeCount(*map(int, row)) for row in rows]

    def objects(self) -> int:
        """Count the objects that were ever scored."""
        return self._database.value(select(func.count()).select_from(objects))


def _bins(text: str, night: int) -> dict[str, list[int]]:
    """Read how many objects were in each bin; without what is no list of whole numbers."""
    counts = read_object(text, f"the counts of night {night}")
    return {
        name: bins
        for name, bins in counts.items()
        if isinstance(bins, list) and all(type(count) is int and count >= 0 for count in bins)
    }


def _count_of_night(model_set: str, since: float, until: float) -> Select:
    """Count the objects scored in a span of time, and those flagged in it for the first time by this model set."""
    earlier = scores.alias("earlier")

    def first(classification: str, *unless: str) -> ColumnElement:
        was = exists().where(
            earlier.c.object_id == scores.c.object_id,
            earlier.c.score_id < scores.c.score_id,
            earlier.c.model_set == scores.c.model_set,
            earlier.c.classification.in_(unless),
        )
        return func.max(case((and_(scores.c.classification == classification, ~was), 1), else_=0))

    of_objects = (
        select(
            first(Classification.ANOMALY, Classification.ANOMALY).label("anomaly"),
            first(Classification.WATCH, Classification.ANOMALY, Classification.WATCH).label("watch"),
        )
        .where(scores.c.model_set == model_set, scores.c.scored_at >= since, scores.c.scored_at < until)
        .group_by(scores.c.object_id)
        .subquery()
    )
    return select(func.count(), func.sum(of_objects.c.anomaly), func.sum(of_objects.c.watch)).select_from(of_objects)
