"""What this stream's objects scored in the last nights, and the thresholds of nights with a budget."""

import math
from collections.abc import Sequence

import numpy as np
from sqlalchemy import delete, insert, select

from annotator.decision.objects import ScoredObject
from annotator.decision.stream import CANDIDATES, NIGHTS, VIEWS, NightThresholds, Recent, sampling_of, views_of
from annotator.ledger.store.database import Database
from annotator.ledger.store.schema import night_thresholds, stream_scores
from annotator.nights import night_of

MOST_READ = 300_000
"""Objects, each once a night, that a scale is made of: the newest. Reading them takes a second."""
_FIELDS = (stream_scores.c.night, stream_scores.c.sampling, stream_scores.c.is_candidate)


class StreamScores:
    """Scores of the last nights, each object once a night."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, scored_objects: Sequence[ScoredObject], now: float) -> None:
        """Keep what objects scored, in the place of what they did earlier in the night."""
        night = night_of(now)
        self._database.replace(
            stream_scores,
            [
                {
                    "night": night,
                    "object_id": item.object_id,
                    "model_set": item.model_set,
                    "sampling": sampling_of(item.model_scores),
                    "is_candidate": int(item.classification in CANDIDATES),
                    **views_of(item.score, item.model_scores, item.modalities.get("exotic")),
                }
                for item in scored_objects
                if item.model_scores
            ],
        )

    def recent(self, model_set: str, now: float) -> Recent:
        """Return what one model set said in the nights before this one."""
        night = night_of(now)
        query = (
            select(*_FIELDS, *(stream_scores.c[view] for view in VIEWS))
            .where(stream_scores.c.night < night, stream_scores.c.night >= night - NIGHTS)
            .where(stream_scores.c.model_set == model_set)
            .order_by(stream_scores.c.night.desc(), stream_scores.c.object_id)
            .limit(MOST_READ)
        )
        rows = self._database.rows(query)
        if not rows:
            return Recent()
        nights, samplings, are_candidates, *views = zip(*rows, strict=True)
        values = [[math.nan if value is None else value for value in column] for column in views]
        return Recent(
            nights=np.array(nights, dtype=np.int64),
            samplings=samplings,
            values=np.array(values, dtype=np.float64).T,
            is_candidate=np.array(are_candidates, dtype=bool),
        )

    def thresholds(self, model_set: str, night: int) -> NightThresholds | None:
        """Return the thresholds of a night, None where it had no budget."""
        columns = [night_thresholds.c[name] for name in NightThresholds.__dataclass_fields__]
        query = select(*columns).where(night_thresholds.c.night == night, night_thresholds.c.model_set == model_set)
        row = self._database.row(query)
        return None if row is None else NightThresholds(*row)

    def fix(self, thresholds: NightThresholds, model_set: str, night: int) -> None:
        """Fix the thresholds of a night that has none yet."""
        self._database.write(insert(night_thresholds).values(night=night, model_set=model_set, **vars(thresholds)))

    def forget(self) -> None:
        """Forget all but the newest nights.

        By their number and not by their age: a pass whose clock is a year ahead forgets one night at most.
        """
        nights = select(stream_scores.c.night).group_by(stream_scores.c.night).order_by(stream_scores.c.night.desc())
        oldest = nights.offset(NIGHTS + 1).limit(1).scalar_subquery()
        self._database.write(delete(stream_scores).where(stream_scores.c.night <= oldest))
