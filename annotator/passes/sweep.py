"""Once a night all that Lasair holds of our topic is compared with the outbox, and each is told of what it lacks.

What was read back once can be lost all the same: by a database that was restored, by somebody else who writes our
topic, or by a ledger that was. What Lasair does not show as it was read back is doubted: it is read back again, by its
object, and sent again if that confirms it. What the outbox does not know is told of, and adopted by
`aha-annotator rebuild`.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence

from annotator.annotation import Annotation
from annotator.errors import AnnotationError, QuotaError
from annotator.lasair.api import SURE_ROWS, LasairApi
from annotator.lasair.held import Held, held_after
from annotator.ledger import Ledger
from annotator.ledger.sweeps import Sweep
from annotator.nights import night_of

PAGE_ROWS = 10_000
"""Annotations to ask for in one call."""


def sweep(
    ledger: Ledger, api: LasairApi, topic: str, clock: Callable[[], float], should_stop: Callable[[], bool]
) -> Sweep | None:
    """Compare, once a night, page by page; where no call is left the next pass goes on from there.

    Parameters
    ----------
    ledger
        What it doubts and does not know is noted there.
    api
        Lasair.
    topic
        Whose annotations.
    clock
        Seconds since 1970; it says which night it is.
    should_stop
        Asked before each page.

    Returns
    -------
    Sweep or None
        What was found so far in this sweep; None where this night's is over, or nothing was ever sent.

    Raises
    ------
    LasairApiError
        If Lasair does not answer; the next pass goes on.
    """
    tonight = night_of(clock())
    current = ledger.sweeps.last(topic, clock())
    if current is not None and current.ended_at is not None and current.night == tonight:
        return None
    if current is None and not ledger.outbox.has_sent():
        return None
    if current is None or current.ended_at is not None:
        current = Sweep(topic, tonight, clock())
        ledger.sweeps.begin(current)
    with contextlib.suppress(QuotaError):
        while not should_stop():
            page = held_after(api, topic, current.after, PAGE_ROWS)
            is_last = len(page) < SURE_ROWS
            up_to = None if is_last else page[-1].object_id
            found, unknown = _compare(page, up_to, current, ledger, api, clock())
            current = ledger.sweeps.note_page(current, up_to or current.after, found, unknown)
            if is_last:
                return ledger.sweeps.end(current, clock())
    return current


def _compare(
    page: Sequence[Held], up_to: str | None, current: Sweep, ledger: Ledger, api: LasairApi, now: float
) -> tuple[Counter[str], list[Annotation]]:
    """Compare a page with the entries of the outbox in its range; return what was found, and the strangers."""
    found = Counter(held=len(page))
    left = {held.object_id: held for held in page}
    after = current.after
    while entries := ledger.outbox.between(after, up_to, PAGE_ROWS, api.survey.id_is_number):
        after = entries[-1].object_id
        verified, doubted = [], []
        for entry in entries:
            held = left.pop(entry.object_id, None)
            if entry.sent_at is None or entry.annotation.topic != current.topic:
                continue
            if held is not None and held.shows(entry.annotation):
                if entry.verified_at is None:
                    verified.append(entry.annotation)
            elif entry.verified_at is not None:  # the others are read back anyway
                found["missing" if held is None else "otherwise"] += 1
                doubted.append(entry.object_id)
        ledger.outbox.mark_verified(verified, now)
        found["verified"] += len(verified)
        ledger.outbox.doubt(doubted)
    found["strangers"] += len(left)
    return found, [annotation for held in left.values() if (annotation := ours(held, current.topic))]


def ours(held: Held, topic: str) -> Annotation | None:
    """Return what Lasair holds as an annotation of ours, None where it can be none."""
    try:
        return held.as_annotation(topic)
    except AnnotationError:
        return None
