"""Every score ever given."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from annotator.reasons import reason
from annotator.reasons.reason import Reasons

SCORED_BETWEEN = """
SELECT scores.*, objects.first_flagged_mjd,
    NOT EXISTS (SELECT 1 FROM scores AS earlier WHERE earlier.object_id = scores.object_id
        AND earlier.scored_at < :since) AS is_new,
    scores.classification IN ('anomaly', 'watch') AND NOT EXISTS (SELECT 1 FROM scores AS earlier
        WHERE earlier.object_id = scores.object_id AND earlier.scored_at < :since
        AND earlier.classification IN ('anomaly', 'watch')) AS is_newly_flagged
FROM scores JOIN (SELECT max(score_id) AS score_id FROM scores
    WHERE model_set = :model_set AND scored_at >= :since AND scored_at < :until GROUP BY object_id) USING (score_id)
LEFT JOIN objects USING (object_id)
ORDER BY scores.score DESC, scores.object_id
"""


@dataclass(frozen=True)
class NightScore:
    """The last scoring of an object in a span of time."""

    score_id: int
    object_id: str
    scored_at: float
    last_mjd: float | None
    n_det: int | None
    classification: str
    score: float
    modalities: Mapping[str, object]
    """As :class:`Assessment` has them, read from JSON."""
    explanation: str
    reasons: Reasons | None
    """None where nobody asked for them yet."""
    first_flagged_mjd: float | None
    is_new: bool
    """Not scored before."""
    is_newly_flagged: bool
    """Flagged, and never before."""


def night_score(row: sqlite3.Row) -> NightScore:
    """Read one row of :data:`SCORED_BETWEEN`."""
    return NightScore(
        score_id=row["score_id"],
        object_id=row["object_id"],
        scored_at=row["scored_at"],
        last_mjd=row["last_mjd"],
        n_det=row["n_det"],
        classification=row["classification"],
        score=row["score"],
        modalities=json.loads(row["modalities"]),
        explanation=row["explanation"] or "",
        reasons=None if row["reasons"] is None else reason.from_json(row["reasons"]),
        first_flagged_mjd=row["first_flagged_mjd"],
        is_new=bool(row["is_new"]),
        is_newly_flagged=bool(row["is_newly_flagged"]),
    )


def _scored(modalities: Mapping[str, object]) -> frozenset[str]:
    return frozenset(name for name, said in modalities.items() if isinstance(said, Mapping) and "score" in said)
