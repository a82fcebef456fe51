"""From the outbox to Lasair: sent highest score first, acknowledged, and a sample read back."""

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from annotator.annotation import Annotation
from annotator.errors import (
    LasairApiError,
    LasairUnreachableError,
    NotNowError,
    QuotaError,
    RejectedError,
    UnauthorizedError,
)
from annotator.lasair.api import LasairApi
from annotator.ledger.outbox import Outbox

log = logging.getLogger(__name__)

MAX_REJECTED_IN_A_ROW = 5
"""After this many refused annotations in a row the fault is not theirs: the rest waits for the next pass."""
MAX_READ_BACK = 150
"""Annotations that are looked up in one query, whose conditions Lasair takes up to 4,096 characters of."""


@dataclass
class Delivery:
    """What became of the outbox in one pass."""

    sent: int = 0
    failed: int = 0
    read_back: int = 0
    lost: int = 0
    problem: str = ""
    """What a person must look at; empty if nothing."""
    pause: str = ""
    """Why annotations wait although nothing is wrong; empty if they don't."""


def deliver(
    outbox: Outbox, api: LasairApi, batch_annotations: int, clock: Callable[[], float], should_stop: Callable[[], bool]
) -> Delivery:
    """Send what waits and is due, until it is done or Lasair stops taking it; then read a sample back.

    Parameters
    ----------
    outbox
        What waits; every outcome is written there at once.
    api
        Lasair.
    batch_annotations
        Annotations to send in one call.
    clock
        Seconds since 1970.
    should_stop
        Asked before each call.
    """
    delivery = Delivery()
    sender = _Sender(outbox, api, clock, delivery)
    due = outbox.due(clock())
    while not should_stop() and (batch := list(itertools.islice(due, batch_annotations))):
        if not sender.send(batch):
            break
    if not should_stop():
        _read_back(outbox, api, clock, delivery)
    return delivery


@dataclass
class _Sender:
    """Sends, and knows when to stop."""

    outbox: Outbox
    api: LasairApi
    clock: Callable[[], float]
    delivery: Delivery
    rejected_in_a_row: int = 0

    def send(self, batch: Sequence[Annotation]) -> bool:
        """Send one batch; return whether Lasair goes on taking them."""
        try:
            self.api.annotate(batch)
        except (QuotaError, NotNowError) as error:
            self.delivery.pause = str(error)
            return False
        except UnauthorizedError as error:
            self.delivery.problem = str(error)
            return False
        except LasairUnreachableError as error:
            self._fail(batch, error)
            return False
        except RejectedError as error:
            if len(batch) > 1:
                # One of them is refused and nobody says which; those before it were stored, and storing is repeatable.
                return all(self.send([annotation]) for annotation in batch)
            self._fail(batch, error)
            self.rejected_in_a_row += 1
            return self.rejected_in_a_row < MAX_REJECTED_IN_A_ROW
        self.outbox.mark_sent(batch, self.clock())
        self.delivery.sent += len(batch)
        self.rejected_in_a_row = 0
        return True

    def _fail(self, batch: Sequence[Annotation], error: LasairApiError) -> None:
        self.outbox.mark_failed(batch, str(error), self.clock())
        self.delivery.failed += len(batch)
        self.delivery.problem = f"annotation of {batch[0].object_id} not taken: {error}"
        log.warning("%s", self.delivery.problem)


def _read_back(outbox: Outbox, api: LasairApi, clock: Callable[[], float], delivery: Delivery) -> None:
    """Look up a sample of what was acknowledged: success may only mean that Lasair queued it."""
    sample = outbox.unverified(MAX_READ_BACK)
    by_topic: dict[str, list[Annotation]] = {}
    for annotation in sample:
        by_topic.setdefault(annotation.topic, []).append(annotation)
    survey = api.survey
    for topic, annotations in by_topic.items():
        ids = ", ".join(survey.id_literal(annotation.object_id) for annotation in annotations)
        try:
            rows = api.query(
                f"{survey.id_sql}, {topic}.classification, {topic}.version",
                f"objects, annotator:{topic}",
                f"{survey.id_sql} IN ({ids})",
                MAX_READ_BACK,
            )
        except QuotaError:
            return
        except LasairApiError as error:
            delivery.problem = delivery.problem or f"annotations could not be read back: {error}"
            return
        there = {(survey.object_id(row), row.get("classification"), row.get("version")) for row in rows}
        lost = [item for item in annotations if (item.object_id, item.classification, item.version) not in there]
        reason = "Lasair acknowledged it, but it is not there"
        outbox.mark_verified([item for item in annotations if item not in lost], clock())
        outbox.mark_failed(lost, reason, clock())
        delivery.read_back += len(annotations)
        delivery.lost += len(lost)
        for annotation in lost:
            delivery.problem = f"annotation of {annotation.object_id}: {reason}"
            log.warning("%s", delivery.problem)
