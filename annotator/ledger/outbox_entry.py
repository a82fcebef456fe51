"""What stands in the outbox, and reading it: damage to one row is that row's."""

from dataclasses import dataclass

from sqlalchemy import Row

from annotator.annotation import Annotation
from annotator.errors import AnnotationError, LedgerValueError


@dataclass(frozen=True)
class Entry:
    """An annotation in the outbox, and what is known of it; times are in seconds since 1970, None where it was not."""

    annotation: Annotation
    queued_at: float
    sent_at: float | None
    verified_at: float | None
    asked_at: float | None
    held_since: float | None
    is_visible: bool
    """Whether Lasair's main database is known to have the object."""
    written: Annotation
    """What was written last: the annotation itself, unless it took the place of one whose write was under way."""

    @property
    def object_id(self) -> str:
        """Of which object it is."""
        return self.annotation.object_id


@dataclass(frozen=True)
class ClassifiedFlag:
    """An `anomaly` or `watch` in the outbox whose object has a spectroscopic class in TNS."""

    annotation: Annotation
    tns_type: str
    waits: bool
    """Whether it has still to be sent."""


def read_annotation(row: Row, column: str = "annotation") -> Annotation:
    """Read the annotation that a row of the outbox holds; raise LedgerValueError where it is damaged."""
    try:
        annotation = Annotation.from_json(getattr(row, column))
        if annotation.object_id != row.object_id:
            raise AnnotationError("it is of another object")
    except (AnnotationError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise LedgerValueError(f"the annotation of {row.object_id} in the ledger is damaged: {error}") from error
    return annotation


def read_entry(row: Row) -> Entry:
    """Read a row of the outbox; raise LedgerValueError where its annotation is damaged."""
    annotation = read_annotation(row)
    return Entry(
        annotation=annotation,
        queued_at=row.queued_at,
        sent_at=row.sent_at,
        verified_at=row.verified_at,
        asked_at=row.asked_at,
        held_since=row.held_since,
        is_visible=row.visible_at is not None,
        written=read_annotation(row, "under_way") if row.under_way else annotation,
    )
