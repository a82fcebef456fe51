"""How often something was scored, flagged or refused, by night and over all."""

from collections.abc import Mapping
from dataclasses import dataclass

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
