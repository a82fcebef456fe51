"""Every score ever given."""

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotator.decision.assessment import Assessment, ScoredState
from annotator.ledger.database import Database
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


def scored_modalities(modalities: Mapping[str, object]) -> frozenset[str]:
    """Return the modalities that have a score, of what is kept of a scoring."""
    return frozenset(name for name, said in modalities.items() if isinstance(said, Mapping) and "score" in said)


class Scores:
    """Objects as they were scored last, and every score ever given."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def states(self, object_ids: Sequence[str]) -> dict[str, ScoredState]:
        """Look up the objects that were scored before."""
        rows = self._database.rows_of("SELECT * FROM objects WHERE object_id IN ({})", object_ids)
        return {
            row["object_id"]: ScoredState(row["state"], row["model_set"], row["last_mjd"], row["first_flagged_mjd"])
            for row in rows
        }

    def add(self, item: Assessment, now: float) -> int:
        """Keep an object's newest state and its score; return the score's number."""
        self._database.execute(
            "INSERT OR REPLACE INTO objects (object_id, state, model_set, last_mjd, first_flagged_mjd, numbers)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                item.object_id,
                item.state,
                item.model_set,
                item.last_mjd,
                item.first_flagged_mjd,
                json.dumps(dict(item.numbers)),
            ),
        )
        scored = self._database.execute(
            "INSERT INTO scores (object_id, scored_at, last_mjd, n_det, model_set, classification, score, modalities,"
            " explanation, reasons) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                item.object_id,
                now,
                item.last_mjd,
                item.n_det,
                item.model_set,
                item.classification,
                item.score,
                json.dumps(dict(item.modalities)),
                item.explanation,
                None if item.reasons is None else reason.to_json(item.reasons),
            ),
        )
        return scored.lastrowid

    def history(self, object_id: str) -> list[Mapping[str, object]]:
        """Return every score an object was ever given, oldest first."""
        return self.histories([object_id]).get(object_id, [])

    def histories(self, object_ids: Sequence[str]) -> dict[str, list[Mapping[str, object]]]:
        """Return every score these objects were ever given, oldest first."""
        rows = self._database.rows_of("SELECT * FROM scores WHERE object_id IN ({}) ORDER BY score_id", object_ids)
        histories: dict[str, list[Mapping[str, object]]] = {}
        for row in map(dict, rows):
            histories.setdefault(row["object_id"], []).append({**row, "modalities": json.loads(row["modalities"])})
        return histories

    def last(self, before: float = math.inf) -> tuple[float, str] | None:
        """Return when something was last scored, and with which model set; None where nothing was."""
        row = self._database.execute(
            "SELECT scored_at, model_set FROM scores WHERE scored_at < ? ORDER BY score_id DESC LIMIT 1", (before,)
        ).fetchone()
        return (row["scored_at"], row["model_set"]) if row else None

    def between(self, model_set: str, since: float, until: float) -> list[NightScore]:
        """Return the last scoring of each object that one model set scored in a span of time, highest score first."""
        rows = self._database.execute(SCORED_BETWEEN, {"model_set": model_set, "since": since, "until": until})
        return [night_score(row) for row in rows]

    def record_reasons(self, found: Mapping[int, Reasons]) -> None:
        """Write down what carries the scores of scorings, by their number, that nobody had asked for before."""
        with self._database.transaction():
            for score_id, of_scoring in found.items():
                values = (reason.to_json(of_scoring), score_id)
                self._database.execute("UPDATE scores SET reasons = ? WHERE score_id = ?", values)
