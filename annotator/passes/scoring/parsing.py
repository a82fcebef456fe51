"""The records of a batch as objects; what cannot be used is refused by name."""

from collections.abc import Sequence

from annotator.annotation import OBJECT_ID
from annotator.attention.dates import Dates
from annotator.decision.changes import as_seen
from annotator.decision.objects import Refusal, Seen
from annotator.errors import RecordError
from annotator.fences import Failure, failure_of, require_own_faults
from annotator.sources.records import as_text, readable
from annotator.surveys import of_another_survey
from annotator.transient import Transient


def parse_batch(records: Sequence[object], dates: Dates) -> tuple[list[Seen], list[Refusal]]:
    """Parse records, and name those that cannot be used.

    Raises
    ------
    GeneralFaultError
        If nearly all fail alike at something else than what a record is to be.
    """
    seen, refusals, failures = [], [], []
    for record in records:
        try:
            seen.append(as_seen(parsed(record, dates), record))
        except Exception as error:
            failure = failure_of(error)
            refusals.append(
                Refusal(_object_id(record, dates), failure.reason, _text_of(record), "record", failure.kind)
            )
            if not isinstance(error, RecordError):
                failures.append(failure)
    require_own_faults(failures, len(seen) + len(refusals), "records")
    if dates.put_clock_in_doubt([item.transient for item in seen]):
        return parse_batch(records, dates)
    return seen, refusals


def parsed(record: object, dates: Dates) -> Transient:
    """Read a record of an object that can be annotated; raise RecordError where its id could not be written."""
    try:
        transient = dates.parse(readable(record))
    except RecordError as error:
        if more := of_another_survey(record, dates.survey):
            raise RecordError(f"{error}{more}") from error
        raise
    if not OBJECT_ID.fullmatch(transient.object_id):
        raise RecordError(f"expected an object id of 1 to 19 letters and digits, found {transient.object_id[:40]!r}")
    return transient


def _object_id(record: object, dates: Dates) -> str:
    try:
        return dates.survey.object_id(record)
    except Exception as error:
        failure_of(error)
        return ""


def _text_of(record: object) -> str:
    """Return a record as it can be kept; where it can be no text, which kind of thing it is."""
    try:
        return as_text(record)
    except Exception as error:
        return f"a {type(record).__name__} that cannot be written: {failure_of(error)}"


def refusal_of(seen: Seen, part: str, failure: Failure) -> Refusal:
    """Name what was wrong with a record, or with a part of it."""
    text = "" if seen.record is None else _text_of(seen.record)
    return Refusal(seen.transient.object_id, failure.reason, text, part, failure.kind)
