"""Annotations that Lasair holds, or will hold once they are sent."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, bindparam, case, func, or_, select, update

from annotator.annotation import Annotation, Classification
from annotator.decision.sending import FLAGS
from annotator.ledger.database import Database
from annotator.ledger.schema import outbox, tns, to_announce

MAX_PAUSE_S = 21_600.0
PAUSES_S = {attempts: 60.0 * 2**attempts for attempts in range(9)}
"""Before the next try, by the tries that failed before; from then on it is :data:`MAX_PAUSE_S`."""

waits = outbox.c.sent_at.is_(None)
is_sent = outbox.c.sent_at.is_not(None)


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
        query = select(outbox.c.object_id, outbox.c.annotation)
        rows = self._database.rows_of(query, outbox.c.object_id, object_ids)
        return {row.object_id: Annotation.from_json(row.annotation) for row in rows}

    def due(self, now: float) -> Iterator[Annotation]:
        """Yield the annotations that wait and may be tried now, highest score first.

        No pause is longer than :data:`MAX_PAUSE_S`: what may be tried later than that was put off by a wrong clock.
        """
        is_due = or_(outbox.c.next_try_at <= now, outbox.c.next_try_at > now + MAX_PAUSE_S)
        query = select(outbox.c.annotation).where(waits, is_due)
        rows = self._database.rows(query.order_by(outbox.c.score.desc(), outbox.c.object_id))
        return (Annotation.from_json(row.annotation) for row in rows)

    def mark_sent(self, annotations: Sequence[Annotation], now: float) -> None:
        """Note that Lasair acknowledged these annotations, unless newer ones have taken their places meanwhile."""
        self._mark(annotations, sent_at=now, failure=None)

    def mark_failed(self, annotations: Sequence[Annotation], reason: str, now: float) -> None:
        """Note why annotations were not taken, or are not there though they were acknowledged.

        They wait again; the pause before the next try doubles, from a minute to six hours.
        """
        pause_s = case(PAUSES_S, value=outbox.c.attempts, else_=MAX_PAUSE_S)
        tries = outbox.c.attempts + 1
        self._mark(annotations, sent_at=None, attempts=tries, failure=reason, next_try_at=now + pause_s)

    def unverified(self, most: int) -> list[Annotation]:
        """Return a random sample of what Lasair acknowledged and nobody has read back."""
        query = select(outbox.c.annotation).where(is_sent, outbox.c.verified_at.is_(None))
        return self._annotations(query.order_by(func.random()).limit(most))

    def mark_verified(self, annotations: Sequence[Annotation], now: float) -> None:
        """Note that annotations were read back."""
        self._mark(annotations, verified_at=now)

    def _mark(self, annotations: Sequence[Annotation], **changes: object) -> None:
        """Change what is kept of annotations that are still those of their objects."""
        this = update(outbox).where(
            outbox.c.object_id == bindparam("of"), outbox.c.annotation == bindparam("as_it_was")
        )
        rows = [{"of": annotation.object_id, "as_it_was": annotation.to_json()} for annotation in annotations]
        self._database.write_each(this.values(**changes), rows)

    def last_failure(self) -> str:
        """Return why an annotation was not taken, of the newest one that waits for another try."""
        query = select(outbox.c.failure).where(waits, outbox.c.failure.is_not(None))
        return self._database.value(query.order_by(outbox.c.next_try_at.desc()).limit(1)) or ""

    def of_version(self, version: str) -> list[Annotation]:
        """Return what Lasair holds, or will hold, of one model set."""
        annotations = self._annotations(select(outbox.c.annotation).order_by(outbox.c.object_id))
        return [annotation for annotation in annotations if annotation.version == version]

    def queue(self, annotations: Sequence[Annotation], now: float) -> None:
        """Put annotations into the outbox, each in the place of what was there for its object."""
        if not annotations:
            return
        rows = [_row(annotation) | {"queued_at": now} for annotation in annotations]
        with self._database.transaction():
            self._database.replace(outbox, rows)
            self._database.delete_of(to_announce, _no_anomalies(annotations))

    def classified_flags(self) -> list[ClassifiedFlag]:
        """Return the flags with a class in TNS that still wait, and the anomalies among those that were sent."""
        rows = self._database.rows(
            select(outbox.c.annotation, tns.c.type, waits.label("waits"))
            .select_from(tns.join(outbox, tns.c.object_id == outbox.c.object_id))
            .where(
                tns.c.type != "",
                or_(
                    outbox.c.classification == Classification.ANOMALY,
                    and_(waits, outbox.c.classification == Classification.WATCH),
                ),
            )
        )
        return [ClassifiedFlag(Annotation.from_json(row.annotation), row.type, row.waits) for row in rows]

    def amend(self, changes: Iterable[tuple[Annotation, Annotation]], now: float) -> None:
        """Replace annotations: in place where they still wait, with their failures and pauses; else by a new write."""
        changes = {old.object_id: (old, new) for old, new in changes}
        with self._database.transaction():
            query = select(outbox.c.object_id, outbox.c.annotation).where(waits)
            rows = self._database.rows_of(query, outbox.c.object_id, list(changes))
            waiting = {row.object_id for row in rows if row.annotation == changes[row.object_id][0].to_json()}
            amended = [new for _, new in changes.values() if new.object_id in waiting]
            in_place = update(outbox).where(outbox.c.object_id == bindparam("of"))
            rows = [_row(annotation) for annotation in amended]
            self._database.write_each(
                in_place.values(annotation=bindparam("annotation"), classification=bindparam("classification")),
                [{"of": row["object_id"], **row} for row in rows],
            )
            self._database.delete_of(to_announce, _no_anomalies(amended))
            self.queue([new for _, new in changes.values() if new.object_id not in waiting], now)

    def waiting_flags(self, most: int) -> list[str]:
        """Return the objects that are to be sent as anomalies or to be watched, highest score first."""
        query = select(outbox.c.object_id).where(waits, outbox.c.classification.in_(FLAGS))
        rows = self._database.rows(query.order_by(outbox.c.score.desc(), outbox.c.object_id).limit(most))
        return [row.object_id for row in rows]

    def anomalies_sent_since(self, since: float, now: float) -> list[str]:
        """Return the objects that Lasair holds as anomalies, the newest first, those dated later than now last."""
        query = select(outbox.c.object_id).where(
            outbox.c.sent_at > since, outbox.c.classification == Classification.ANOMALY
        )
        is_later = case((outbox.c.sent_at > now, 1), else_=0)
        rows = self._database.rows(query.order_by(is_later, outbox.c.sent_at.desc(), outbox.c.object_id))
        return [row.object_id for row in rows]

    def counts(self) -> dict[str, int]:
        """Count the annotations that wait, those of them that failed before, and those that Lasair took."""
        row = self._database.row(
            select(
                func.count(case((waits, 1))).label("waiting"),
                func.count(case((and_(waits, outbox.c.failure.is_not(None)), 1))).label("failed"),
                func.count(outbox.c.sent_at).label("sent"),
            )
        )
        return dict(row._mapping)

    def _annotations(self, query: Select) -> list[Annotation]:
        return [Annotation.from_json(row.annotation) for row in self._database.rows(query)]


def _row(annotation: Annotation) -> dict[str, object]:
    return {
        "object_id": annotation.object_id,
        "annotation": annotation.to_json(),
        "classification": annotation.classification,
        "score": annotation.classdict.get("score", 0.0),
    }


def _no_anomalies(annotations: Iterable[Annotation]) -> list[str]:
    return [annotation.object_id for annotation in annotations if annotation.classification != Classification.ANOMALY]
