"""Every score that is kept: those of late, and of what is older as much as retention leaves."""

import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, Select, and_, bindparam, exists, func, insert, or_, select, update

from annotator.decision.objects import ScoredObject, ScoredState
from annotator.decision.sending import FLAGS
from annotator.ledger.store.database import INSERT, Database
from annotator.ledger.store.json_text import read_object, text_of
from annotator.ledger.store.schema import lifetimes, objects, scores
from annotator.reasons import reason
from annotator.reasons.reason import Reasons

log = logging.getLogger(__name__)


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
    """As :class:`ScoredObject` has them, read from JSON."""
    explanation: str
    reasons: Reasons | None
    """None where nobody asked for them yet."""
    first_flagged_mjd: float | None
    is_new: bool
    """Not scored before."""
    is_newly_flagged: bool
    """Flagged, and never before."""


def _scored_between(model_set: str, since: float, until: float) -> Select:
    last = (
        select(func.max(scores.c.score_id).label("score_id"))
        .where(scores.c.model_set == model_set, scores.c.scored_at >= since, scores.c.scored_at < until)
        .group_by(scores.c.object_id)
        .subquery()
    )
    earlier = scores.alias("earlier")
    before = exists().where(earlier.c.object_id == scores.c.object_id, earlier.c.scored_at < since)
    return (
        select(
            scores,
            objects.c.first_flagged_mjd,
            (~before).label("is_new"),
            and_(scores.c.classification.in_(FLAGS), ~before.where(earlier.c.classification.in_(FLAGS))).label(
                "is_newly_flagged"
            ),
        )
        .select_from(scores.join(last, last.c.score_id == scores.c.score_id).join(objects))
        .order_by(scores.c.score.desc(), scores.c.object_id)
    )


def _night_score(row: Row) -> NightScore:
    """Read one row of :func:`_scored_between`."""
    return NightScore(
        score_id=row.score_id,
        object_id=row.object_id,
        scored_at=row.scored_at,
        last_mjd=row.last_mjd,
        n_det=row.n_det,
        classification=row.classification,
        score=row.score,
        modalities=_modalities(row),
        explanation=row.explanation,
        reasons=None if row.reasons is None else _reasons(row),
        first_flagged_mjd=row.first_flagged_mjd,
        is_new=row.is_new,
        is_newly_flagged=row.is_newly_flagged,
    )


def _modalities(row: Row) -> dict[str, object]:
    """Read what was said of each modality, and the numbers and names beside; without what is none of these."""
    found = read_object(row.modalities, f"what scoring {row.score_id} of {row.object_id} says of modalities")
    return {name: said for name, said in found.items() if _is_number(said) or _is_said(said) or _is_names(said)}


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_said(said: object) -> bool:
    if not isinstance(said, dict) or not isinstance(said.get("missing", ""), str):
        return False
    return all(_is_number(said[name]) for name in ("score", "error", "mjd") if said.get(name) is not None)


def _reasons(row: Row) -> Reasons:
    """Read what carries the scores; none where it cannot be read."""
    try:
        return reason.from_json(row.reasons)
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        log.warning("the reasons of scoring %d of %s cannot be read: %s", row.score_id, row.object_id, error)
        return {}


def scored_modalities(modalities: Mapping[str, object]) -> frozenset[str]:
    """Return the modalities that have a score, of what is kept of a scoring."""
    return frozenset(name for name, said in modalities.items() if isinstance(said, Mapping) and "score" in said)


class Scores:
    """Objects as they were scored last, and every score that is kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def states(self, object_ids: Sequence[str]) -> dict[str, ScoredState]:
        """Look up the objects that were scored before."""
        columns = (objects.c.object_id, objects.c.state, objects.c.model_set, objects.c.last_mjd)
        query = select(*columns, objects.c.first_flagged_mjd)
        return {row[0]: ScoredState(*row[1:]) for row in self._database.rows_of(query, objects.c.object_id, object_ids)}

    def add(self, scored_objects: Sequence[ScoredObject], now: float) -> list[int]:
        """Keep each object's newest state and all of its scores; return the scores' numbers, in order."""
        if not scored_objects:
            return []
        self._database.replace(
            objects,
            [
                {
                    "object_id": item.object_id,
                    "state": item.state,
                    "model_set": item.model_set,
                    "last_mjd": item.last_mjd,
                    "first_flagged_mjd": item.first_flagged_mjd,
                    "numbers": text_of(dict(item.numbers)),
                }
                for item in scored_objects
            ],
        )
        # Numbered here: SQLite would give its numbers for one row at a time only, PostgreSQL leave some out.
        before = self._database.value(select(func.coalesce(func.max(scores.c.score_id), 0)))
        score_ids = range(before + 1, before + len(scored_objects) + 1)
        rows = [
            {"score_id": number, **_score(item, now)} for number, item in zip(score_ids, scored_objects, strict=True)
        ]
        self._database.write_each(insert(scores), rows)
        self._count(scored_objects)
        return list(score_ids)

    def _count(self, scored_objects: Sequence[ScoredObject]) -> None:
        times = Counter((item.model_set, item.object_id) for item in scored_objects)
        flags = Counter((item.model_set, item.object_id) for item in scored_objects if item.classification in FLAGS)
        new = INSERT[self._database.kind](lifetimes)
        more = {name: lifetimes.c[name] + new.excluded[name] for name in ("times", "flags")}
        rows = [
            {"model_set": of[0], "object_id": of[1], "times": number, "flags": flags[of]}
            for of, number in times.items()
        ]
        self._database.write_each(new.on_conflict_do_update(index_elements=["model_set", "object_id"], set_=more), rows)

    def epochs(self, object_ids: Sequence[str]) -> set[tuple[str, float | None]]:
        """Return the objects and epochs (MJD) of every score of these objects that is kept."""
        query = select(scores.c.object_id, scores.c.last_mjd)
        return {tuple(row) for row in self._database.rows_of(query, scores.c.object_id, object_ids)}

    def note_flags(self, first_mjd: Mapping[str, float]) -> None:
        """Note when objects were flagged first (MJD), where nothing earlier is known."""
        kept = objects.c.first_flagged_mjd
        earlier = update(objects).where(
            objects.c.object_id == bindparam("of"), or_(kept.is_(None), kept > bindparam("mjd"))
        )
        rows = [{"of": object_id, "mjd": mjd} for object_id, mjd in first_mjd.items()]
        self._database.write_each(earlier.values(first_flagged_mjd=bindparam("mjd")), rows)

    def history(self, object_id: str) -> list[Mapping[str, object]]:
        """Return every score of an object that is kept, oldest first."""
        return self.histories([object_id]).get(object_id, [])

    def histories(self, object_ids: Sequence[str]) -> dict[str, list[Mapping[str, object]]]:
        """Return every score of these objects that is kept, oldest first."""
        rows = self._database.rows_of(select(scores).order_by(scores.c.score_id), scores.c.object_id, object_ids)
        histories: dict[str, list[Mapping[str, object]]] = {}
        for row in rows:
            scoring = dict(row._mapping) | {"modalities": _modalities(row)}
            histories.setdefault(row.object_id, []).append(scoring)
        return histories

    def kept_of(self, object_ids: Sequence[str]) -> dict[str, tuple[float, Mapping[str, object]]]:
        """Return these objects' combined scores, and what is kept beside, as they were scored last."""
        if not object_ids:
            return {}
        rows = self._database.rows_of(select(scores).order_by(scores.c.score_id), scores.c.object_id, object_ids)
        last = {row.object_id: row for row in rows}
        return {name: (row.score, _modalities(row)) for name, row in last.items()}

    def last(self, before: float = math.inf) -> tuple[float, str] | None:
        """Return when something was last scored, and with which model set; None where nothing was."""
        query = select(scores.c.scored_at, scores.c.model_set).where(scores.c.scored_at < before)
        row = self._database.row(query.order_by(scores.c.score_id.desc()).limit(1))
        return tuple(row) if row else None

    def between(self, model_set: str, since: float, until: float) -> list[NightScore]:
        """Return the last scoring of each object that one model set scored in a span of time, highest score first."""
        return [_night_score(row) for row in self._database.rows(_scored_between(model_set, since, until))]

    def record_reasons(self, found: Mapping[int, Reasons]) -> None:
        """Write down what carries the scores of scorings, by their number, that nobody had asked for before."""
        rows = [{"of": number, "reasons": reason.to_json(of_scoring)} for number, of_scoring in found.items()]
        self._database.write_each(update(scores).where(scores.c.score_id == bindparam("of")), rows)


def _score(item: ScoredObject, now: float) -> dict[str, object]:
    return {
        "object_id": item.object_id,
        "scored_at": now,
        "last_mjd": item.last_mjd,
        "n_det": item.n_det,
        "model_set": item.model_set,
        "classification": item.classification,
        "score": item.score,
        "modalities": json.dumps(dict(item.modalities)),
        "explanation": item.explanation,
        "reasons": None if item.reasons is None else reason.to_json(item.reasons),
    }
