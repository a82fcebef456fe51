"""What people were told, and what is to be told."""

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, delete, select

from annotator.annotation import Classification
from annotator.decision.announcement import Anomaly
from annotator.decision.attention import worth_of
from annotator.decision.objects import ScoredObject
from annotator.ledger.scores import scored_modalities
from annotator.ledger.store.database import Database
from annotator.ledger.store.json_text import read_object
from annotator.ledger.store.schema import announced, posted, scores, to_announce


class Announcements:
    """What people were told, and what is to be told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, scored_objects: Sequence[ScoredObject], score_ids: Sequence[int]) -> None:
        """Note anomalies as to be announced, and what is none any longer as not."""
        last = {item.object_id: (item, number) for item, number in zip(scored_objects, score_ids, strict=True)}
        anomalies = {
            name: number for name, (item, number) in last.items() if item.classification == Classification.ANOMALY
        }
        rows = [{"object_id": object_id, "score_id": number} for object_id, number in anomalies.items()]
        self._database.replace(to_announce, rows)
        self._database.delete_of(to_announce, [object_id for object_id in last if object_id not in anomalies])

    def to_announce(self) -> list[Anomaly]:
        """Return what was scored as an anomaly, each object as it was scored last, since a report was given out.

        Its worth is as if nothing was known of it.
        """
        rows = self._database.rows(
            select(scores.c.object_id, scores.c.score, scores.c.modalities, scores.c.model_set, scores.c.score_id)
            .select_from(to_announce.join(scores))
            .order_by(scores.c.object_id)
        )
        anomalies = []
        for row in rows:
            modalities = read_object(row.modalities, f"the modalities of scoring {row.score_id}")
            chance = modalities.get("worth")
            worth = worth_of(chance, is_known=False) if isinstance(chance, int | float) else None
            anomalies.append(Anomaly(*row[:2], scored_modalities(modalities), *row[3:], worth))
        return anomalies

    def announced(self, object_ids: Sequence[str]) -> dict[str, Anomaly]:
        """Look up what people were told last of these objects."""
        rows = self._database.rows_of(select(announced), announced.c.object_id, object_ids)
        return {row.object_id: Anomaly(*row[:2], frozenset(row.modalities.split()), *row[3:5]) for row in rows}

    def mark_announced(self, told: Iterable[Anomaly], unchanged: Iterable[Anomaly], now: float) -> None:
        """Note what people were told, and what was as they had been told; what was scored since is left to be told.

        A modality that they once heard of is known to them, though the next score had to do without it.
        """
        told = list(told)
        done = [{"of": item.object_id, "scoring": item.score_id} for item in (*told, *unchanged)]
        with self._database.transaction():
            before = self.announced([item.object_id for item in told])
            self._database.replace(announced, [_told(item, before.get(item.object_id), now) for item in told])
            scoring = to_announce.c.score_id == bindparam("scoring")
            self._database.write_each(
                delete(to_announce).where(to_announce.c.object_id == bindparam("of"), scoring), done
            )

    def posted(self, object_ids: Sequence[str]) -> dict[str, Anomaly]:
        """Look up these objects as they were when they were last posted in a digest."""
        rows = self._database.rows_of(select(posted), posted.c.object_id, object_ids)
        return {
            row.object_id: Anomaly(row.object_id, row.score, frozenset(row.modalities.split()), "", 0) for row in rows
        }

    def mark_posted(self, items: Iterable[Anomaly], now: float) -> None:
        """Note what was posted in a digest."""
        rows = [
            {
                "object_id": item.object_id,
                "score": item.score,
                "modalities": " ".join(sorted(item.modalities)),
                "posted_at": now,
            }
            for item in items
        ]
        self._database.replace(posted, rows)

    def leave_unannounced(self, object_ids: Iterable[str]) -> None:
        """Take objects off the list of what is to be announced."""
        self._database.delete_of(to_announce, list(object_ids))


def _told(item: Anomaly, before: Anomaly | None, now: float) -> dict[str, object]:
    known = item.modalities | (before.modalities if before else frozenset())
    return {
        "object_id": item.object_id,
        "score": item.score,
        "modalities": " ".join(sorted(known)),
        "model_set": item.model_set,
        "score_id": item.score_id,
        "announced_at": now,
    }
