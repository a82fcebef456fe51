"""Annotations that Lasair holds, or will hold once they are sent."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from annotator.annotation import Annotation
from annotator.ledger.database import Database


@dataclass(frozen=True)
class ClassifiedFlag:
    """An `anomaly` or `watch` in the outbox whose object has a spectroscopic class in TNS."""

    annotation: Annotation
    tns_type: str
    waits: bool
    """Whether it has still to be sent."""


class Outbox:
    """What Lasair holds, or will hold once the outbox is empty: the newest annotation of each object."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_sent(self, object_ids: Sequence[str]) -> dict[str, Annotation]:
        """Look up what Lasair holds, or will hold once the outbox is empty."""
        rows = self._database.rows_of("SELECT object_id, annotation FROM outbox WHERE object_id IN ({})", object_ids)
        return {row["object_id"]: Annotation.from_json(row["annotation"]) for row in rows}

    def due(self, now: float) -> Iterator[Annotation]:
        """Yield the annotations that wait and may be tried now, highest score first."""
        waiting = self._database.execute(
            "SELECT annotation FROM outbox WHERE sent_at IS NULL AND next_try_at <= ? ORDER BY score DESC, object_id",
            (now,),
        ).fetchall()
        return (Annotation.from_json(row["annotation"]) for row in waiting)

    def mark_sent(self, annotation: Annotation, now: float) -> None:
        """Note that Lasair acknowledged this annotation, unless a newer one has taken its place meanwhile."""
        self._database.execute(
            "UPDATE outbox SET sent_at = ?, failure = NULL WHERE object_id = ? AND annotation = ?",
            (now, annotation.object_id, annotation.to_json()),
        )

    def mark_failed(self, annotation: Annotation, reason: str, now: float) -> None:
        """Note why an annotation was not taken, or is not there though it was acknowledged.

        It waits again; the pause before the next try doubles, from a minute to six hours.
        """
        self._database.execute(
            "UPDATE outbox SET sent_at = NULL, attempts = attempts + 1, failure = ?,"
            " next_try_at = ? + min(21600.0, 60.0 * (1 << min(attempts, 10))) WHERE object_id = ? AND annotation = ?",
            (reason, now, annotation.object_id, annotation.to_json()),
        )

    def unverified(self, most: int) -> list[Annotation]:
        """Return a random sample of what Lasair acknowledged and nobody has read back."""
        rows = self._database.execute(
            "SELECT annotation FROM outbox WHERE sent_at IS NOT NULL AND verified_at IS NULL ORDER BY random() LIMIT ?",
            (most,),
        )
        return [Annotation.from_json(row["annotation"]) for row in rows.fetchall()]

    def mark_verified(self, annotation: Annotation, now: float) -> None:
        """Note that an annotation was read back."""
        self._database.execute(
            "UPDATE outbox SET verified_at = ? WHERE object_id = ? AND annotation = ?",
            (now, annotation.object_id, annotation.to_json()),
        )

    def last_failure(self) -> str:
        """Return why an annotation was not taken, of the newest one that waits for another try."""
        row = self._database.execute(
            "SELECT failure FROM outbox WHERE sent_at IS NULL AND failure IS NOT NULL ORDER BY next_try_at DESC LIMIT 1"
        ).fetchone()
        return row["failure"] if row else ""

    def of_version(self, version: str) -> list[Annotation]:
        """Return what Lasair holds, or will hold, of one model set."""
        rows = self._database.execute("SELECT annotation FROM outbox ORDER BY object_id").fetchall()
        annotations = (Annotation.from_json(row["annotation"]) for row in rows)
        return [annotation for annotation in annotations if annotation.version == version]

    def queue(self, annotations: Iterable[Annotation], now: float) -> None:
        """Put annotations into the outbox, each in the place of what was there for its object."""
        with self._database.transaction():
            for annotation in annotations:
                self.replace(annotation, now)

    def replace(self, annotation: Annotation, now: float) -> None:
        """Put one annotation in the place of what was there for its object."""
        self._database.execute(
            "INSERT OR REPLACE INTO outbox (object_id, annotation, score, queued_at) VALUES (?, ?, ?, ?)",
            (annotation.object_id, annotation.to_json(), annotation.classdict.get("score", 0.0), now),
        )
        if annotation.classification != "anomaly":
            self._database.execute("DELETE FROM to_announce WHERE object_id = ?", (annotation.object_id,))

    def classified_flags(self) -> list[ClassifiedFlag]:
        """Return the flags with a class in TNS that still wait, and the anomalies among those that were sent."""
        rows = self._database.execute(
            "SELECT annotation, type, sent_at IS NULL AS waits FROM tns CROSS JOIN outbox USING (object_id)"
            " WHERE type != '' AND (json_extract(annotation, '$.classification') = 'anomaly'"
            " OR sent_at IS NULL AND json_extract(annotation, '$.classification') = 'watch')"
        )  # a cross join looks the few with a class up in the outbox, and not the other way
        return [
            ClassifiedFlag(Annotation.from_json(row["annotation"]), row["type"], bool(row["waits"])) for row in rows
        ]

    def amend(self, changes: Iterable[tuple[Annotation, Annotation]], now: float) -> None:
        """Replace annotations: in place where they still wait, with their failures and pauses; else by a new write."""
        with self._database.transaction():
            for old, new in changes:
                amended = self._database.execute(
                    "UPDATE outbox SET annotation = ? WHERE object_id = ? AND annotation = ? AND sent_at IS NULL",
                    (new.to_json(), old.object_id, old.to_json()),
                )
                if not amended.rowcount:
                    self.replace(new, now)
                elif new.classification != "anomaly":
                    self._database.execute("DELETE FROM to_announce WHERE object_id = ?", (new.object_id,))

    def waiting_flags(self, most: int) -> list[str]:
        """Return the objects that are to be sent as anomalies or to be watched, highest score first."""
        rows = self._database.execute(
            "SELECT object_id FROM outbox WHERE sent_at IS NULL"
            " AND json_extract(annotation, '$.classification') IN ('anomaly', 'watch')"
            " ORDER BY score DESC, object_id LIMIT ?",
            (most,),
        )
        return [row["object_id"] for row in rows]

    def anomalies_sent_since(self, since: float) -> list[str]:
        """Return the objects that Lasair holds as anomalies, the newest first."""
        rows = self._database.execute(
            "SELECT object_id FROM outbox"
            " WHERE sent_at > ? AND json_extract(annotation, '$.classification') = 'anomaly'"
            " ORDER BY sent_at DESC, object_id",
            (since,),
        )
        return [row["object_id"] for row in rows]

    def counts(self) -> dict[str, int]:
        """Count the annotations that wait, those of them that failed before, and those that Lasair took."""
        row = self._database.execute(
            "SELECT total(sent_at IS NULL) AS waiting, total(sent_at IS NULL AND failure IS NOT NULL) AS failed,"
            " total(sent_at IS NOT NULL) AS sent FROM outbox"
        ).fetchone()
        return {name: int(row[name]) for name in ("waiting", "failed", "sent")}
