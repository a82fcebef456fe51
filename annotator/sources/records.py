"""Where objects come from: recorded files and the query API. Each yields batches of records with a position."""

from collections.abc import Callable
from dataclasses import dataclass

from annotator.errors import RecordError
from annotator.ledger.positions import Gap
from annotator.surveys.json_values import text_of, undecoded


def as_text(record: object) -> str:
    """Return a record as it can be kept for inspection or for later."""
    return record.text if isinstance(record, Unreadable) else text_of(record)


@dataclass(frozen=True)
class Unreadable:
    """Text that stands where a record should, and why it is none."""

    reason: str
    text: str


def _nothing_to_commit() -> str:
    """Do nothing: how far a source was read stands in the ledger."""
    return ""


@dataclass(frozen=True)
class Batch:
    """Records that belong together: when they are in the ledger, the source has been read up to `position`."""

    records: list[object]
    """What the survey's parser takes, or :class:`Unreadable`."""
    position: str | None = None
    repeated: int = 0
    """Records that say nothing new of the source, since an earlier pass was given them or their date has not come."""
    commit: Callable[[], str] = _nothing_to_commit
    """Tells the source that the ledger has the results, for whoever watches the source; returns what a person may want
    to know of that, once, and nothing where it went well."""
    gaps: tuple[Gap, ...] = ()
    """What the source lacks before these records."""


def decoded(text: str | bytes) -> object:
    """Take JSON as Lasair writes it, literal NaN included; an object of strict JSON is decoded when it is read."""
    try:
        return undecoded(text)
    except RecordError as error:
        return Unreadable(str(error), text if isinstance(text, str) else text.decode(errors="replace"))


def readable(record: object) -> object:
    """Pass a record on; raise RecordError for text that is none."""
    if isinstance(record, Unreadable):
        raise RecordError(record.reason)
    return record
