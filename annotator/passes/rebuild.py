"""A ledger made anew from what Lasair holds: what it wrote is adopted, and the stream's seven days are read again."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from annotator.annotation import Annotation, Classification
from annotator.clock import Clock
from annotator.config import Config
from annotator.decision.announcement import Anomaly
from annotator.errors import QuotaError
from annotator.lasair.api import SURE_ROWS
from annotator.lasair.held import held_after
from annotator.ledger import Ledger, forget_known
from annotator.ledger.positions import Progress
from annotator.passes.recorded import recorded_pass
from annotator.passes.sweep import PAGE_ROWS, ours
from annotator.reasons.sentence import verdict_in

NEVER_SCORED = 0
"""Number of the scoring of what was scored by a ledger that is gone."""


@dataclass
class Rebuilt:
    """What was taken from Lasair."""

    adopted: int = 0
    """Annotations that the ledger did not know."""
    known: int = 0
    """Annotations of objects that it did."""
    unusable: int = 0
    """Annotations that are outside our contract: somebody else wrote them."""
    pause: str = ""
    """Why it is not done yet; empty if it is."""


def rebuild(config: Config, clock: Callable[[], float] = time.time) -> Rebuilt:
    """Take into the ledger what Lasair holds of our topic and the ledger does not know; nothing is written to Lasair.

    Where the ledger is gone a new one is begun; where another lies in its place it goes on with that.

    The next pass reads the stream from its oldest message where the ledger is new, and writes of what it scores again
    only what is news. Anomalies count as announced, and what a person had judged stays judged.

    Parameters
    ----------
    config, clock
        As for :func:`annotator.passes.run.run_pass`.

    Raises
    ------
    LasairApiError
        If Lasair does not answer; another try goes on from there, as it does where no call was left.
    """
    clock = Clock(clock)
    rebuilt = Rebuilt()
    topic = config.annotation.topic
    place = f"rebuild {topic}"
    forget_known(config.ledger)
    with recorded_pass(config, clock) as (ledger, api, _):
        after = ledger.positions.of(place) or ""
        while True:
            try:
                page = held_after(api, topic, after, PAGE_ROWS)
            except QuotaError as error:
                rebuilt.pause = f"{error}; run it again then, it goes on from there"
                return rebuilt
            now = clock()
            found = [
                (annotation, min(held.stored_at or now, now)) for held in page if (annotation := ours(held, topic))
            ]
            adopted = _adopt(ledger, found, now)
            rebuilt.adopted += adopted
            rebuilt.known += len(found) - adopted
            rebuilt.unusable += len(page) - len(found)
            is_last = len(page) < SURE_ROWS
            after = "" if is_last else page[-1].object_id
            ledger.record([], [], now, Progress(place, after))
            if is_last:
                return rebuilt


def _adopt(ledger: Ledger, found: list[tuple[Annotation, float]], now: float) -> int:
    known = ledger.outbox.last_sent([annotation.object_id for annotation, _ in found])
    new = [(annotation, stored_at) for annotation, stored_at in found if annotation.object_id not in known]
    anomalies = [_anomaly(item) for item, _ in new if item.classification == Classification.ANOMALY]
    for annotation, _ in new:
        if verdict := verdict_in(annotation.object_id, annotation.explanation):
            ledger.verdicts.add(verdict)
    ledger.announcements.mark_announced(anomalies, [], now)
    ledger.outbox.adopt(new, now)
    ledger.sweeps.acquaint([annotation.object_id for annotation, _ in found])
    return len(new)


def _anomaly(annotation: Annotation) -> Anomaly:
    numbers = annotation.classdict
    views = frozenset(name.removesuffix("_score") for name in numbers if name.endswith("_score"))
    return Anomaly(annotation.object_id, numbers.get("score", 0.0), views, annotation.version, NEVER_SCORED)
