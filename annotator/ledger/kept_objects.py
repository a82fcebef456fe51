"""Objects that are kept for later: as they were scored, and as records that wait for a call."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from sqlalchemy import Row, Table, bindparam, delete, func, select, update

from annotator.decision.objects import ScoredObject
from annotator.decision.sending import FLAGS
from annotator.errors import LedgerValueError
from annotator.ledger.snapshot import (
    model_scores_json,
    read_model_scores,
    read_snapshot,
    stamps_bytes,
    transient_json,
)
from annotator.ledger.store.database import Database
from annotator.ledger.store.schema import scores, snapshots, waiting
from annotator.models import ModalityScore
from annotator.surveys.json_values import text_of
from annotator.transient import Transient

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_WAITING = 20_000
"""Records that wait for a call, the newest."""
MAX_SNAPSHOTS = 5000
"""Objects of which what was scored is kept, the last scored: a quarter of a gigabyte where all have stamps."""


class KeptObjects:
    """What was scored, kept for the page, and records that wait for a call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, scored_objects: Sequence[ScoredObject], score_ids: Sequence[int], now: float) -> None:
        """Keep what was scored, and the record where a modality is still to be fetched; forget the oldest."""
        last = {item.object_id: (item, number) for item, number in zip(scored_objects, score_ids, strict=True)}
        scored = {
            item.object_id: (item, number)
            for item, number in zip(scored_objects, score_ids, strict=True)
            if item.transient
        }
        self._database.replace(
            snapshots,
            [
                {
                    "object_id": object_id,
                    "score_id": number,
                    "transient": transient_json(item.transient),
                    "stamps": stamps_bytes(item.transient),
                    "model_scores": model_scores_json(item.model_scores),
                }
                for object_id, (item, number) in scored.items()
            ],
        )
        self._database.replace(
            waiting,
            [
                {
                    "object_id": object_id,
                    "score_id": number,
                    "record": text_of(item.waiting_record),
                    "since": now,
                }
                for object_id, (item, number) in last.items()
                if item.waiting_record is not None
            ],
            keeping=("refused_nights", "refused_night"),
        )
        complete = [name for name, (item, _) in last.items() if item.waiting_record is None]
        self._database.delete_of(waiting, complete)
        self._keep_newest(waiting, MAX_WAITING)
        self._keep_newest(snapshots, MAX_SNAPSHOTS)

    def _keep_newest(self, table: Table, most: int) -> None:
        numbers = select(table.c.score_id).order_by(table.c.score_id.desc())
        self._database.write(delete(table).where(table.c.score_id <= numbers.offset(most).limit(1).scalar_subquery()))

    def snapshots(self, object_ids: Sequence[str]) -> dict[str, tuple[int, Transient]]:
        """Return what is kept of these objects as they were scored last, each with the number of that scoring.

        What cannot be read is told in the log and left out, as if it were kept no longer.
        """
        rows = self._database.rows_of(select(snapshots), snapshots.c.object_id, object_ids)
        return _readable(rows, lambda row: (row.score_id, read_snapshot(row.transient, row.stamps)))

    def model_scores(self, object_ids: Sequence[str]) -> dict[str, dict[str, ModalityScore]]:
        """Return what the models said of these objects when they were scored last, by modality.

        What cannot be read is told in the log and left out.
        """
        query = select(snapshots.c.object_id, snapshots.c.model_scores)
        rows = self._database.rows_of(query, snapshots.c.object_id, object_ids)
        return _readable(rows, lambda row: read_model_scores(row.model_scores))

    def without_reasons(self, model_set: str, most: int) -> dict[str, int]:
        """Return the kept objects that one model set scored and whose reasons nobody found yet, highest score first.

        Each has the number of its scoring.
        """
        # An outer join of what is always there, by what no index has: else SQLite reads every score of the models.
        of_the_models = func.coalesce(scores.c.model_set, "") == model_set
        rows = self._database.rows(
            select(snapshots.c.object_id, snapshots.c.score_id)
            .outerjoin(scores, scores.c.score_id == snapshots.c.score_id)
            .where(scores.c.reasons.is_(None), of_the_models)
            .order_by(scores.c.score.desc(), snapshots.c.object_id)
            .limit(most)
        )
        return {row.object_id: row.score_id for row in rows}

    def waiting_records(self, most: int, night: int) -> dict[str, str]:
        """Draw objects that wait for a modality to be fetched; return their records (JSON).

        What was flagged by what there was comes first, so that its past is known before anybody hears of it; the others
        are drawn at random. Those refused in another night come last; those refused in this one have their turn in the
        next.
        """
        query = (
            select(waiting.c.object_id, waiting.c.record)
            .join(scores, scores.c.score_id == waiting.c.score_id)
            .where(waiting.c.refused_night.is_distinct_from(night))
        )
        order = waiting.c.refused_nights > 0, scores.c.classification.not_in(FLAGS), func.random()
        drawn = query.order_by(*order).limit(most)
        return {row.object_id: row.record for row in self._database.rows(drawn)}

    def refused_before(self, object_ids: Sequence[str], night: int) -> dict[str, int]:
        """Count the nights before this one on which each of these objects was refused; of others nothing is said."""
        query = select(waiting.c.object_id, waiting.c.refused_nights, waiting.c.refused_night)
        rows = self._database.rows_of(query.where(waiting.c.refused_nights > 0), waiting.c.object_id, object_ids)
        return {row.object_id: row.refused_nights - (row.refused_night == night) for row in rows}

    def note_refused(self, object_ids: Iterable[str], night: int) -> None:
        """Note that objects which wait were refused in this night; a night counts once."""
        this = update(waiting).where(
            waiting.c.object_id == bindparam("of"), waiting.c.refused_night.is_distinct_from(night)
        )
        counted = this.values(refused_nights=waiting.c.refused_nights + 1, refused_night=night)
        self._database.write_each(counted, [{"of": object_id} for object_id in object_ids])

    def stop_waiting(self, object_ids: Sequence[str]) -> None:
        """Forget that these objects wait: what was refused of them is kept elsewhere."""
        self._database.delete_of(waiting, list(object_ids))

    def waiting_of(self, object_ids: Sequence[str]) -> set[str]:
        """Return those of these objects that wait for a modality to be fetched."""
        rows = self._database.rows_of(select(waiting.c.object_id), waiting.c.object_id, object_ids)
        return {row.object_id for row in rows}

    def count_waiting(self) -> int:
        """Count the objects that wait for a modality to be fetched."""
        return self._database.value(select(func.count()).select_from(waiting))


def _readable(rows: Iterable[Row], read: Callable[[Row], T]) -> dict[str, T]:
    """Read rows by their objects, but those that cannot be read."""
    found: dict[str, T] = {}
    for row in rows:
        try:
            found[row.object_id] = read(row)
        except LedgerValueError as error:
            log.warning("%s: %s", row.object_id, error)
    return found
