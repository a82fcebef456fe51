"""How often something was scored, flagged or refused, by night and over all."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from annotator.decision.assessment import Assessment, Refusal
from annotator.ledger.database import Database
from annotator.ledger.scores import scored_modalities
from annotator.nights import night_of, start_of

MAX_NIGHTS = 60
"""Nights whose distributions are kept."""


NIGHT_COUNT = """
SELECT
    count(DISTINCT object_id),
    count(DISTINCT CASE WHEN classification = 'anomaly' AND NOT EXISTS (
        SELECT 1 FROM scores AS earlier WHERE earlier.object_id = scores.object_id
        AND earlier.score_id < scores.score_id AND earlier.model_set = scores.model_set
        AND earlier.classification = 'anomaly') THEN object_id END),
    count(DISTINCT CASE WHEN classification = 'watch' AND NOT EXISTS (
        SELECT 1 FROM scores AS earlier WHERE earlier.object_id = scores.object_id
        AND earlier.score_id < scores.score_id AND earlier.model_set = scores.model_set
        AND earlier.classification IN ('anomaly', 'watch')) THEN object_id END)
FROM scores WHERE model_set = ? AND scored_at >= ? AND scored_at < ?
"""


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


MAX_REFUSED = 10_000
"""Refused records that are kept, the newest."""
MAX_REFUSED_TEXT = 2000
"""Characters of a refused record that are kept for inspection."""


class Counts:
    """How often something was scored, flagged or refused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count_night(self, assessments: Sequence[Assessment], now: float) -> None:
        """Add to the night's counts, each modality of an object once a night: a busy object is no more of a sample."""
        if not assessments:
            return
        night = night_of(now)
        earlier = self._database.rows_of(
            "SELECT object_id, model_set, modalities FROM scores WHERE object_id IN ({})"
            f" AND scored_at >= {start_of(night)}",
            sorted({item.object_id for item in assessments}),
        )
        counted = {
            (row["object_id"], row["model_set"], modality)
            for row in earlier
            for modality in scored_modalities(json.loads(row["modalities"]))
        }
        for model_set in {item.model_set for item in assessments}:
            counts = self.of_bins(model_set).get(night, {})
            for item in assessments:
                for modality, bins in item.bins.items():
                    key = (item.object_id, item.model_set, modality)
                    if item.model_set == model_set and key not in counted:
                        counted.add(key)
                        add(counts, bins)
            self._database.execute(
                "INSERT OR REPLACE INTO drift VALUES (?, ?, ?)", (night, model_set, json.dumps(counts))
            )
        self._database.execute("DELETE FROM drift WHERE night <= ?", (night - MAX_NIGHTS,))

    def of_bins(self, model_set: str) -> dict[int, dict[str, list[int]]]:
        """Return how many objects were in each bin, by night, then by the name of what is watched for drift.

        Bins after the last that had an object are left out.
        """
        rows = self._database.execute("SELECT night, counts FROM drift WHERE model_set = ?", (model_set,))
        return {row["night"]: json.loads(row["counts"]) for row in rows}

    def of_nights(self, model_set: str, most: int) -> list[NightCount]:
        """Count by night what one model set scored and flagged, for the newest nights with any score of it."""
        counts: list[NightCount] = []
        before = math.inf
        while len(counts) < most:
            query = "SELECT max(scored_at) FROM scores WHERE model_set = ? AND scored_at < ?"
            newest = self._database.execute(query, (model_set, before)).fetchone()[0]
            if newest is None:
                break
            night = night_of(newest)
            before, end = start_of(night), start_of(night + 1)
            row = self._database.execute(NIGHT_COUNT, (model_set, before, end)).fetchone()
            counts.append(NightCount(night, *row))
        return counts[::-1]

    def lifetimes(self, model_set: str) -> list[LifetimeCount]:
        """Count the objects of one model set by how often it scored them."""
        rows = self._database.execute(
            "SELECT times, count(*), sum(flags > 0), sum(flags) FROM (SELECT count(*) AS times,"
            " sum(classification IN ('anomaly', 'watch')) AS flags FROM scores WHERE model_set = ? GROUP BY object_id)"
            " GROUP BY times ORDER BY times",
            (model_set,),
        )
        return [LifetimeCount(*row) for row in rows]

    def refused(self) -> int:
        """Count the refused records, those no longer kept included."""
        return self._database.execute("SELECT coalesce(max(refused_id), 0) FROM refused").fetchone()[0]

    def objects(self) -> int:
        """Count the objects that were ever scored."""
        return self._database.execute("SELECT count(*) FROM objects").fetchone()[0]

    def add_refusals(self, refusals: Iterable[Refusal], now: float) -> None:
        """Keep refused records for inspection, the newest of all."""
        for item in refusals:
            self._database.execute(
                "INSERT INTO refused (refused_at, object_id, reason, record) VALUES (?, ?, ?, ?)",
                (now, item.object_id[:64], item.reason, item.record[:MAX_REFUSED_TEXT]),
            )
        self._database.execute(
            "DELETE FROM refused WHERE refused_id <= (SELECT max(refused_id) FROM refused) - ?", (MAX_REFUSED,)
        )

    def refusals(self) -> list[Refusal]:
        """Return the refused records that are kept, oldest first."""
        rows = self._database.execute("SELECT object_id, reason, record FROM refused ORDER BY refused_id")
        return [Refusal(*row) for row in rows]
