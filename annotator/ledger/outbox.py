"""Annotations that Lasair holds, or will hold once they are sent.

What is known of one: `queued`, to be sent; `held`, since Lasair's main database lacks its object; `unsure`, a write of
its object began and nobody knows how it ended; `sent`, acknowledged; `stored`, read back as it was written. Lasair
shows an annotation only beside its object, so that what is stored for us to see is visible to everybody.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import BigInteger, ColumnElement, Row, Select, and_, bindparam, case, cast, func, or_, select, update

from annotator.annotation import Annotation, Classification
from annotator.decision.sending import FLAGS
from annotator.errors import LedgerValueError
from annotator.ledger.outbox_entry import ClassifiedFlag, Entry, read_annotation, read_entry
from annotator.ledger.store.database import INSERT, MAX_IDS, Database
from annotator.ledger.store.schema import outbox, tns, to_announce

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_PAUSE_S = 21_600.0
PAUSES_S = {attempts: 60.0 * 2**attempts for attempts in range(9)}
"""Before the next try, by the tries that failed before; from then on it is :data:`MAX_PAUSE_S`."""

waits = outbox.c.sent_at.is_(None)
is_sent = outbox.c.sent_at.is_not(None)
is_under_way = outbox.c.asked_at.is_not(None)
is_unverified = and_(is_sent, outbox.c.verified_at.is_(None))
_PAUSE_S = case(PAUSES_S, value=outbox.c.attempts, else_=MAX_PAUSE_S)
_replaced = case((is_under_way, func.coalesce(outbox.c.under_way, outbox.c.annotation)))
"""What a write under way writes, once a newer annotation has taken the place of its own."""


class Outbox:
    """What Lasair holds, or will hold once the outbox is empty: the newest annotation of each object.

    An annotation that cannot be read ends nothing: it is told in the log, remembered in :attr:`damaged`, and left out
    until it is taken out and made anew.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.damaged: dict[str, None] = {}
        """Objects whose annotation was found to be damaged, in the order in which they were met."""

    def last_sent(self, object_ids: Sequence[str]) -> dict[str, Annotation]:
        """Look up what Lasair holds, or will hold once the outbox is empty."""
        query = select(outbox.c.object_id, outbox.c.annotation)
        rows = self._database.rows_of(query, outbox.c.object_id, object_ids)
        return {annotation.object_id: annotation for annotation in self._readable(rows, read_annotation)}

    def take_out(self, object_ids: Sequence[str]) -> None:
        """Forget the annotations of objects, as if nothing of them had ever been sent."""
        self._database.delete_of(outbox, object_ids)
        self._forget_damage(object_ids)

    def _forget_damage(self, object_ids: Iterable[str]) -> None:
        for object_id in object_ids:
            self.damaged.pop(object_id, None)

    def due(self, now: float) -> Iterator[Annotation]:
        """Yield the annotations that wait and may be tried now, highest score first."""
        last = None
        while page := self.due_after(last, MAX_IDS, now):
            yield from (entry.annotation for entry in page)
            last = page[-1]

    def due_after(self, last: Entry | None, most: int, now: float) -> list[Entry]:
        """Return what is due and follows an entry, highest score first; None: from the beginning."""
        query = select(outbox).where(_is_due(now))
        if last is not None:
            score = _score(last.annotation)
            is_next = and_(outbox.c.score == score, outbox.c.object_id > last.object_id)
            query = query.where(or_(outbox.c.score < score, is_next))
        return self._entries(query.order_by(outbox.c.score.desc(), outbox.c.object_id).limit(most))

    def least_suspect(self, besides: Sequence[str], now: float) -> Entry | None:
        """Return what is due and was never refused, if there is any, lowest score first, of no object of these."""
        query = select(outbox).where(_is_due(now), outbox.c.object_id.not_in(besides))
        found = self._entries(query.order_by(outbox.c.failure.is_not(None), outbox.c.score).limit(1))
        return found[0] if found else None

    def unsure(self, most: int, now: float) -> list[Entry]:
        """Return entries whose objects have a write under way that nobody knows the end of, highest score first."""
        query = select(outbox).where(waits, is_under_way, _is_its_time(now))
        return self._entries(query.order_by(outbox.c.score.desc(), outbox.c.object_id).limit(most))

    def unverified(self, most: int, now: float, sent_before: float | None = None) -> list[Entry]:
        """Return what was acknowledged and nobody has read back, highest score first."""
        query = select(outbox).where(is_unverified, _is_its_time(now))
        if sent_before is not None:
            query = query.where(or_(outbox.c.sent_at <= sent_before, outbox.c.sent_at > now))
        return self._entries(query.order_by(outbox.c.score.desc(), outbox.c.object_id).limit(most))

    def between(self, after: str, up_to: str | None, most: int, ids_are_numbers: bool) -> list[Entry]:
        """Return entries by the ids of their objects, in Lasair's order.

        Parameters
        ----------
        after
            The object before the first; empty to begin.
        up_to
            The last one; None: to the end.
        most
            Entries at most.
        ids_are_numbers
            Whether Lasair's order is that of numbers.
        """
        key, bounds = outbox.c.object_id, (after, up_to)
        if ids_are_numbers:
            key, bounds = cast(key, BigInteger), (int(after or 0), up_to and int(up_to))
        query = select(outbox).where(key > bounds[0])
        if up_to is not None:
            query = query.where(key <= bounds[1])
        return self._entries(query.order_by(key).limit(most))

    def begin(self, annotations: Sequence[Annotation], now: float) -> None:
        """Note that a write begins: until its end is noted, nobody knows what Lasair holds of these objects."""
        self._mark(annotations, asked_at=now)

    def withdraw(self, annotations: Sequence[Annotation], failure: str | None = None) -> None:
        """Note that no write is under way: none was made, it was refused, or it is over; and why, where it failed."""
        changes = {} if failure is None else {"failure": failure}
        self._mark(annotations, asked_at=None, under_way=None, **changes)

    def note_failure(self, annotations: Sequence[Annotation], reason: str) -> None:
        """Note why nobody knows what became of a write."""
        self._mark(annotations, failure=reason)

    def mark_sent(self, annotations: Sequence[Annotation], now: float, is_queued: bool = False) -> None:
        """Note that Lasair acknowledged these annotations, unless newer ones have taken their places meanwhile.

        Parameters
        ----------
        annotations, now
            Which, and when, in seconds since 1970.
        is_queued
            Whether Lasair has only queued them: their write is under way until they are read back.
        """
        over = {} if is_queued else {"asked_at": None, "under_way": None}
        self._mark(annotations, sent_at=now, failure=None, held_since=None, **over)

    def mark_failed(self, annotations: Sequence[Annotation], reason: str, now: float) -> None:
        """Note why annotations were not taken: they wait again.

        The pause before the next try doubles, from a minute to six hours.
        """
        self._wait_again(annotations, reason, now + _PAUSE_S)

    def mark_lost(self, annotations: Sequence[Annotation], reason: str, now: float) -> None:
        """Note why annotations that were acknowledged are not known to be there: they wait again.

        The first time they may be sent at once, then after pauses like those of :meth:`mark_failed`.
        """
        self._wait_again(annotations, reason, now + case((outbox.c.attempts > 0, _PAUSE_S), else_=0.0))

    def _wait_again(self, annotations: Sequence[Annotation], reason: str, next_try_at: ColumnElement[float]) -> None:
        self._mark(
            annotations,
            sent_at=None,
            verified_at=None,
            asked_at=None,
            under_way=None,
            attempts=outbox.c.attempts + 1,
            failure=reason,
            next_try_at=next_try_at,
        )

    def pause_again(self, annotations: Sequence[Annotation], now: float) -> None:
        """Let annotations pause that have failed before, themselves; others stay as they are."""
        failed = outbox.c.attempts > 0
        self._mark(
            annotations,
            attempts=outbox.c.attempts + case((failed, 1), else_=0),
            next_try_at=case((failed, now + _PAUSE_S), else_=outbox.c.next_try_at),
        )

    def mark_verified(self, annotations: Sequence[Annotation], now: float) -> None:
        """Note that annotations were read back as they were written."""
        self._mark(
            annotations,
            sent_at=func.coalesce(outbox.c.sent_at, now),
            verified_at=now,
            visible_at=func.coalesce(outbox.c.visible_at, now),
            asked_at=None,
            under_way=None,
            held_since=None,
            attempts=0,
            failure=None,
        )

    def mark_visible(self, object_ids: Sequence[str], now: float) -> None:
        """Note that Lasair's main database has objects."""
        self._database.update_of(outbox, object_ids, visible_at=now, held_since=None)

    def hold(self, object_ids: Sequence[str], now: float, until: float = 0.0) -> None:
        """Note that Lasair's main database lacks objects, which are not looked at again until then."""
        self._database.update_of(
            outbox, object_ids, held_since=func.coalesce(outbox.c.held_since, now), next_try_at=until
        )

    def look_again(self, object_ids: Sequence[str], at: float) -> None:
        """Note when to look again for what Lasair does not show yet, in seconds since 1970."""
        self._database.update_of(outbox, object_ids, next_try_at=at)

    def doubt(self, object_ids: Sequence[str]) -> None:
        """Note that annotations were not found as they had been read back: they are read back again."""
        self._database.update_of(outbox, object_ids, verified_at=None, next_try_at=0.0)

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
        query = select(outbox.c.object_id, outbox.c.annotation).order_by(outbox.c.object_id)
        rows = self._database.rows(query)
        return [annotation for annotation in self._readable(rows, read_annotation) if annotation.version == version]

    def queue(self, annotations: Sequence[Annotation], now: float) -> None:
        """Put annotations into the outbox, each in the place of what was there for its object.

        What is known of the object stays: whether Lasair's main database has it, and whether a write is under way.
        """
        if not annotations:
            return
        last = {annotation.object_id: _row(annotation) | {"queued_at": now} for annotation in annotations}
        insert = INSERT[self._database.kind](outbox)
        kept = ("object_id", "asked_at", "held_since", "visible_at")
        replaced = {column.name: insert.excluded[column.name] for column in outbox.columns if column.name not in kept}
        replaced["under_way"] = _replaced
        with self._database.transaction():
            self._database.write_each(
                insert.on_conflict_do_update(index_elements=["object_id"], set_=replaced), list(last.values())
            )
            self._database.delete_of(to_announce, _no_anomalies(annotations))
        self._forget_damage(last)

    def adopt(self, annotations: Sequence[tuple[Annotation, float]], now: float) -> None:
        """Take in what Lasair holds, of objects that are not in the outbox or whose annotation there is damaged.

        Parameters
        ----------
        annotations
            Each with the time when it was stored, in seconds since 1970.
        now
            When they were read, in seconds since 1970.
        """
        rows = [
            _row(annotation) | {"queued_at": stored_at, "sent_at": stored_at, "verified_at": now, "visible_at": now}
            for annotation, stored_at in annotations
        ]
        self._database.replace(outbox, rows)
        self._forget_damage(annotation.object_id for annotation, _ in annotations)

    def classified_flags(self) -> list[ClassifiedFlag]:
        """Return the flags with a class in TNS that still wait, and the anomalies among those that were sent."""
        rows = self._database.rows(
            select(outbox.c.object_id, outbox.c.annotation, tns.c.type, waits.label("waits"))
            .select_from(tns.join(outbox, tns.c.object_id == outbox.c.object_id))
            .where(
                tns.c.type != "",
                or_(
                    outbox.c.classification == Classification.ANOMALY,
                    and_(waits, outbox.c.classification == Classification.WATCH),
                ),
            )
        )
        return self._readable(rows, lambda row: ClassifiedFlag(read_annotation(row), row.type, row.waits))

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
                in_place.values(
                    annotation=bindparam("annotation"),
                    classification=bindparam("classification"),
                    under_way=_replaced,
                ),
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

    def has_sent(self) -> bool:
        """Say whether anything was ever acknowledged."""
        return self._database.value(select(outbox.c.object_id).where(is_sent).limit(1)) is not None

    def counts(self) -> dict[str, int]:
        """Count the annotations that wait, those of them that failed before, and those that Lasair took."""
        return self._counted(
            waiting=case((waits, 1)),
            failed=case((and_(waits, outbox.c.failure.is_not(None)), 1)),
            sent=outbox.c.sent_at,
        )

    def states(self) -> dict[str, int]:
        """Count the annotations in each of the states that stand at the head of this file."""
        return self._counted(
            queued=case((and_(waits, ~is_under_way, outbox.c.held_since.is_(None)), 1)),
            held=case((and_(waits, ~is_under_way, outbox.c.held_since.is_not(None)), 1)),
            unsure=case((and_(waits, is_under_way), 1)),
            sent=case((is_unverified, 1)),
            stored=outbox.c.verified_at,
        )

    def _counted(self, **what: object) -> dict[str, int]:
        row = self._database.row(select(*(func.count(item).label(name) for name, item in what.items())))
        return dict(row._mapping)

    def _entries(self, query: Select) -> list[Entry]:
        """Return the entries that can be read; none only where there are none, since that is taken for the end."""
        while True:
            rows = self._database.rows(query.where(outbox.c.object_id.not_in(list(self.damaged))))
            if entries := self._readable(rows, read_entry):
                return entries
            if not rows:
                return []

    def _readable(self, rows: Iterable[Row], read: Callable[[Row], T]) -> list[T]:
        found = []
        for row in rows:
            try:
                found.append(read(row))
            except LedgerValueError as error:
                log.warning("%s", error)
                self.damaged[row.object_id] = None
        return found


def _is_due(now: float) -> ColumnElement[bool]:
    return and_(waits, ~is_under_way, _is_its_time(now))


def _is_its_time(now: float) -> ColumnElement[bool]:
    """Say that no pause goes on; one that is longer than any can be was made by a wrong clock."""
    return or_(outbox.c.next_try_at <= now, outbox.c.next_try_at > now + MAX_PAUSE_S)


def _score(annotation: Annotation) -> float:
    return annotation.classdict.get("score", 0.0)


def _row(annotation: Annotation) -> dict[str, object]:
    return {
        "object_id": annotation.object_id,
        "annotation": annotation.to_json(),
        "classification": annotation.classification,
        "score": _score(annotation),
    }


def _no_anomalies(annotations: Iterable[Annotation]) -> list[str]:
    return [annotation.object_id for annotation in annotations if annotation.classification != Classification.ANOMALY]
