"""What people were told, and what is to be told."""

import json
from collections.abc import Iterable, Sequence

from annotator.decision.announcement import Anomaly
from annotator.decision.assessment import Assessment
from annotator.ledger.database import Database
from annotator.ledger.scores import scored_modalities


class Announcements:
    """What people were told, and what is to be told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, item: Assessment, score_id: int) -> None:
        """Note an anomaly as one to be announced, and what is none any longer as not."""
        if item.classification == "anomaly":
            values = (item.object_id, score_id)
            self._database.execute("INSERT OR REPLACE INTO to_announce VALUES (?, ?)", values)
        else:
            self._database.execute("DELETE FROM to_announce WHERE object_id = ?", (item.object_id,))

    def to_announce(self) -> list[Anomaly]:
        """Return what was scored as an anomaly, each object as it was scored last, since a report was given out."""
        rows = self._database.execute(
            "SELECT object_id, score, modalities, model_set, score_id FROM to_announce"
            " JOIN scores USING (object_id, score_id) ORDER BY object_id"
        )
        return [Anomaly(*row[:2], scored_modalities(json.loads(row["modalities"])), *row[3:]) for row in rows]

    def announced(self, object_ids: Sequence[str]) -> dict[str, Anomaly]:
        """Look up what people were told last of these objects."""
        rows = self._database.rows_of("SELECT * FROM announced WHERE object_id IN ({})", object_ids)
        return {row["object_id"]: Anomaly(*row[:2], frozenset(row["modalities"].split()), *row[3:5]) for row in rows}

    def mark_announced(self, told: Iterable[Anomaly], unchanged: Iterable[Anomaly], now: float) -> None:
        """Note what people were told, and what was as they had been told; what was scored since is left to be told.

        A modality that they once heard of is known to them, though the next score had to do without it.
        """
        with self._database.transaction():
            for item in told:
                before = self.announced([item.object_id]).get(item.object_id)
                known = item.modalities | (before.modalities if before else frozenset())
                values = (item.object_id, item.score, " ".join(sorted(known)), item.model_set, item.score_id, now)
                self._database.execute("INSERT OR REPLACE INTO announced VALUES (?, ?, ?, ?, ?, ?)", values)
            for item in (*told, *unchanged):
                values = (item.object_id, item.score_id)
                self._database.execute("DELETE FROM to_announce WHERE object_id = ? AND score_id = ?", values)

    def posted(self, object_ids: Sequence[str]) -> dict[str, Anomaly]:
        """Look up these objects as they were when they were last posted in a digest."""
        rows = self._database.rows_of("SELECT * FROM posted WHERE object_id IN ({})", object_ids)
        return {
            row["object_id"]: Anomaly(row["object_id"], row["score"], frozenset(row["modalities"].split()), "", 0)
            for row in rows
        }

    def mark_posted(self, items: Iterable[Anomaly], now: float) -> None:
        """Note what was posted in a digest."""
        with self._database.transaction():
            for item in items:
                values = (item.object_id, item.score, " ".join(sorted(item.modalities)), now)
                self._database.execute("INSERT OR REPLACE INTO posted VALUES (?, ?, ?, ?)", values)

    def leave_unannounced(self, object_ids: Iterable[str]) -> None:
        """Take objects off the list of what is to be announced."""
        with self._database.transaction():
            for object_id in object_ids:
                self._database.execute("DELETE FROM to_announce WHERE object_id = ?", (object_id,))
