"""From the outbox to Lasair: sent highest score first, acknowledged, and read back until all of it is there.

What Lasair holds is known, not believed. A write whose end nobody knows (no answer in time, a crash) is read back
before anything else of its object is sent: a fast topic stores the row and then hangs. What was acknowledged is read
back with its class, version and numbers; an older annotation there means that the update was lost, and it is sent
again. Not shown is not lost: Lasair shows an annotation only beside its object, which its main database gets after the
streams.

For the same reason an object is asked for before its annotation is sent, since other people's filters see a new
annotation once, and find nothing while the main database lacks the object. An annotation is held until it has it, for a
day at most. Where no call is left to ask, it waits for an hour: by then a call was to be had, and Lasair, which passes
objects on within minutes, has almost surely got it.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

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
from annotator.lasair.breaker import MAX_IN_A_ROW
from annotator.lasair.held import MAX_ASKED, Held, held_of, objects_in_main
from annotator.ledger.outbox import MAX_PAUSE_S, Outbox
from annotator.ledger.outbox_entry import Entry

log = logging.getLogger(__name__)

HELD_AT_MOST_S = 86_400.0
"""After this an annotation is sent although Lasair's main database still lacks its object."""
UNASKED_AT_MOST_S = 3600.0
"""After this an annotation is sent without asking for its object, where no call was left to ask."""
PATIENCE_S = 3600.0
"""A Lasair that queues annotations has this long to store one before it counts as lost."""
SETTLES_S = 60.0
"""A Lasair that queues annotations is first asked for one after this."""
LOOK_AGAIN_S = MAX_PAUSE_S
"""When to look again for an annotation whose object the main database lacks though it was sent."""
OTHER_KNOCKS = 3
"""After so many pauses one after the other it is not the best annotation that sees whether Lasair takes any again, but
one that was never refused, if there is any: the best may be what Lasair cannot store."""
READ_BACK_SHARE = 0.25
"""Part of the reading calls that are left which one pass may spend on what it reads back; one call at the least."""


@dataclass
class Delivery:
    """What became of the outbox in one pass."""

    sent: int = 0
    """Acknowledged."""
    stored: int = 0
    """Read back as they were written."""
    held: int = 0
    """They wait for Lasair's main database to have their objects, or for a call to ask for them."""
    unsure: int = 0
    """Nobody knows whether they were written: they are read back before anything of their objects is sent."""
    failed: int = 0
    """Refused themselves, while others were taken."""
    lost: int = 0
    """Acknowledged, and not there, or an older one is."""
    unseen: int = 0
    """Sent although the main database has lacked their objects for a day: filters may not have been triggered."""
    problem: str = ""
    """What a person must look at; empty if nothing."""
    pause: str = ""
    """Why annotations wait although nothing is wrong; empty if they don't."""


def deliver(
    outbox: Outbox,
    api: LasairApi,
    batch_annotations: int,
    clock: Callable[[], float],
    should_stop: Callable[[], bool],
    objects_are_in_main: bool = False,
) -> Delivery:
    """Read back what is not known, send what is due until Lasair stops taking it, and read back what was sent.

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
    objects_are_in_main
        Whether the objects come from Lasair's main database themselves, so that it need not be asked for them.
    """
    delivery = Delivery()
    reader = _Reader(outbox, api, clock, should_stop, delivery)
    sender = _Sender(outbox, api, clock, delivery)
    reader.settle()
    reader.read_back()
    gate = _Gate(outbox, api, clock, delivery, objects_are_in_main)
    _send(outbox, sender, gate, batch_annotations, clock(), should_stop)
    if delivery.unsure:
        reader.settle()
    reader.read_back()
    delivery.unsure = outbox.states()["unsure"]
    return delivery


def _send(
    outbox: Outbox,
    sender: "_Sender",
    gate: "_Gate",
    batch_annotations: int,
    now: float,
    should_stop: Callable[[], bool],
) -> None:
    """Send what is due, highest score first."""
    goes_on = True
    pause = sender.api.breakers["annotate"].pause
    if pause and pause.times % OTHER_KNOCKS == 0:
        goes_on = sender.send_another(now, gate)
    ready = (item for item in _ready(outbox, gate, now, should_stop) if item.object_id not in sender.tried)
    while goes_on and (batch := list(itertools.islice(ready, batch_annotations))) and not should_stop():
        goes_on = sender.send(batch)
        if goes_on and len(sender.refused) == MAX_IN_A_ROW - 1:
            goes_on = sender.send_another(now, gate)
    sender.believe_refusals()
    # Whose fault it is, nobody knows: it is that of those who were refused before while others were taken.
    outbox.pause_again([annotation for annotation, _ in sender.refused], now)


def _ready(outbox: Outbox, gate: "_Gate", now: float, should_stop: Callable[[], bool]) -> Iterator[Annotation]:
    """Yield what is due and may be sent, asked for page by page: batches go on over the end of a page."""
    last = None
    while not should_stop() and (page := outbox.due_after(last, MAX_ASKED, now)):
        last = page[-1]
        yield from gate.ready(page)


@dataclass(frozen=True)
class _Gate:
    """Lets through the annotations whose objects Lasair's main database has."""

    outbox: Outbox
    api: LasairApi
    clock: Callable[[], float]
    delivery: Delivery
    objects_are_in_main: bool

    def needs_asking(self, entry: Entry) -> bool:
        """Say whether the main database has to be asked for the object."""
        return not entry.is_visible and not (self.objects_are_in_main and entry.held_since is None)

    def ready(self, page: Sequence[Entry]) -> Iterator[Annotation]:
        """Return the annotations of at most :data:`MAX_ASKED` that may be sent, in order; hold the others."""
        unknown = [entry.object_id for entry in page if self.needs_asking(entry)]
        there = self._asked(unknown) if unknown else set()
        now = self.clock()
        absent = []
        ready = []
        for entry in page:
            if not self.needs_asking(entry) or (there is not None and entry.object_id in there):
                ready.append(entry.annotation)
            elif _is_over(entry.held_since, HELD_AT_MOST_S, now):
                self.delivery.unseen += 1
                ready.append(entry.annotation)
            elif there is None and entry.held_since is None and _is_over(entry.queued_at, UNASKED_AT_MOST_S, now):
                ready.append(entry.annotation)
            else:
                self.delivery.held += 1
                if there is not None:
                    absent.append(entry.object_id)
        self.outbox.hold(absent, now)
        return iter(ready)

    def _asked(self, object_ids: Sequence[str]) -> set[str] | None:
        """Return those of the objects that are there; None where nobody answers just now."""
        try:
            there = objects_in_main(self.api, object_ids)
        except QuotaError as error:
            self.delivery.pause = str(error)
            return None
        except LasairApiError as error:
            self.delivery.problem = self.delivery.problem or f"objects could not be asked for: {error}"
            return None
        self.outbox.mark_visible(sorted(there), self.clock())
        return there


@dataclass
class _Sender:
    """Sends, and knows when to stop."""

    outbox: Outbox
    api: LasairApi
    clock: Callable[[], float]
    delivery: Delivery
    refused: list[tuple[Annotation, str]] = field(default_factory=list)
    """The last ones, one after the other, and why: whether it is their fault is seen by what comes after them."""
    tried: set[str] = field(default_factory=set)
    """Objects out of their turn."""

    def send(self, batch: Sequence[Annotation]) -> bool:
        """Send one batch; return whether Lasair goes on taking them."""
        self.outbox.begin(batch, self.clock())
        try:
            self.api.annotate(batch)
        except QuotaError as error:
            self.outbox.withdraw(batch)
            self.delivery.pause = str(error)
            return False
        except UnauthorizedError as error:
            self.outbox.withdraw(batch)
            self.delivery.problem = str(error)
            return False
        except NotNowError as error:
            self._note_last(batch, error)
            return False
        except LasairUnreachableError as error:
            self._note_unsure(batch, error)
            return True
        except RejectedError as error:
            self.outbox.withdraw(batch)
            if len(batch) > 1:
                # One of them is refused and nobody says which. Those before it were taken; once more changes nothing.
                return all(self.send([annotation]) for annotation in batch)
            self._note_refused(batch[0], error)
            return True
        self.outbox.mark_sent(batch, self.clock(), self.api.survey.queues_annotations)
        self.delivery.sent += len(batch)
        self.believe_refusals()
        return True

    def send_another(self, now: float, gate: _Gate) -> bool:
        """Send, after two refusals, what was never refused, out of its turn: it tells whether the server is at fault.

        Otherwise three annotations that cannot be stored would keep all others from being sent, pass after pass.
        """
        other = self.outbox.least_suspect([annotation.object_id for annotation, _ in self.refused], now)
        if other is None or gate.needs_asking(other):
            return True
        self.tried.add(other.object_id)
        return self.send([other.annotation])

    def believe_refusals(self) -> None:
        """Let those pause that were refused while others were taken."""
        if self.delivery.sent and len(self.refused) < MAX_IN_A_ROW:
            for annotation, reason in self.refused:
                self.outbox.mark_failed([annotation], reason, self.clock())
                self.delivery.failed += 1
            self.refused.clear()

    def _note_last(self, batch: Sequence[Annotation], error: NotNowError) -> None:
        """Note what became of the call that was one too many, or of one that was not made."""
        if isinstance(error.__cause__, RejectedError):
            self._note_refused(batch[0], error.__cause__)
        elif isinstance(error.__cause__, LasairUnreachableError):
            self._note_unsure(batch, error.__cause__)
        else:
            self.outbox.withdraw(batch)
        self.delivery.pause = str(error)

    def _note_refused(self, annotation: Annotation, error: LasairApiError) -> None:
        self.refused.append((annotation, str(error)))
        self.outbox.withdraw([annotation], str(error))
        self._note_problem(annotation, error)

    def _note_unsure(self, batch: Sequence[Annotation], error: LasairApiError) -> None:
        self.outbox.note_failure(batch, str(error))
        self.delivery.unsure += len(batch)
        self._note_problem(batch[0], error)

    def _note_problem(self, annotation: Annotation, error: LasairApiError) -> None:
        self.delivery.problem = f"annotation of {annotation.object_id} not taken: {error}"
        log.warning("%s", self.delivery.problem)


@dataclass(frozen=True)
class _Reader:
    """Finds out what Lasair holds of what was written."""

    outbox: Outbox
    api: LasairApi
    clock: Callable[[], float]
    should_stop: Callable[[], bool]
    delivery: Delivery

    def settle(self) -> None:
        """Find out how the writes ended whose end nobody knows."""
        self._look_up(lambda: self.outbox.unsure(MAX_ASKED, self.clock()), self._settle)

    def read_back(self) -> None:
        """Find out whether what was acknowledged is there."""
        wait_s = SETTLES_S if self.api.survey.queues_annotations else 0.0
        self._look_up(
            lambda: self.outbox.unverified(MAX_ASKED, self.clock(), self.clock() - wait_s), self._note_read_back
        )

    def _look_up(
        self, wanted: Callable[[], list[Entry]], note: Callable[[Sequence[Entry], dict[str, Held]], None]
    ) -> None:
        """Look entries up, page by page, within this pass's share of the calls."""
        if self.should_stop() or not (page := wanted()):
            return
        reads_left, _ = self.api.budget.left()
        try:
            for _ in range(max(1, int(reads_left * READ_BACK_SHARE))):
                note(page, held_of(self.api, [entry.written for entry in page]))
                if self.should_stop() or not (page := wanted()):
                    return
        except QuotaError as error:
            self.delivery.pause = self.delivery.pause or str(error)
        except LasairApiError as error:
            self.delivery.problem = self.delivery.problem or f"annotations could not be read back: {error}"

    def _settle(self, page: Sequence[Entry], held: dict[str, Held]) -> None:
        now = self.clock()
        stored = [entry for entry in page if _is_there(entry.annotation, held)]
        self._note_stored(stored, now)
        others = _without(page, stored)
        over = [entry for entry in others if _is_there(entry.written, held)]
        others = _without(others, over)
        absent = self._absent(others, held, now)
        self.outbox.hold([entry.object_id for entry in absent], now, until=now + SETTLES_S)
        late = [entry for entry in absent if _is_over(entry.held_since, HELD_AT_MOST_S, now)]
        others = _without(others, absent)
        patient = [entry for entry in others if self._may_come(entry.asked_at, now)]
        self.outbox.look_again([entry.object_id for entry in patient], now + SETTLES_S)
        # Stored by now, or never: what waits may be sent.
        self.outbox.withdraw([entry.annotation for entry in (*over, *late, *_without(others, patient))])

    def _note_read_back(self, page: Sequence[Entry], held: dict[str, Held]) -> None:
        now = self.clock()
        stored = [entry for entry in page if _is_there(entry.annotation, held)]
        self._note_stored(stored, now)
        others = _without(page, stored)
        absent = self._absent(others, held, now)
        self.outbox.look_again([entry.object_id for entry in absent], now + LOOK_AGAIN_S)
        others = _without(others, absent)
        patient = [entry for entry in others if self._may_come(entry.sent_at, now)]
        self.outbox.look_again([entry.object_id for entry in patient], now + SETTLES_S)
        for entry in _without(others, patient):
            is_older = entry.object_id in held
            reason = f"Lasair acknowledged it, but {'another one is there' if is_older else 'it is not there'}"
            self.outbox.mark_lost([entry.annotation], reason, now)
            self.delivery.lost += 1
            self.delivery.problem = f"annotation of {entry.object_id}: {reason}"
            log.warning("%s", self.delivery.problem)

    def _note_stored(self, entries: Sequence[Entry], now: float) -> None:
        self.outbox.mark_verified([entry.annotation for entry in entries], now)
        self.delivery.stored += len(entries)

    def _absent(self, entries: Sequence[Entry], held: dict[str, Held], now: float) -> list[Entry]:
        """Return the entries whose objects Lasair's main database lacks, so that it cannot show what it holds of them.

        Raises
        ------
        LasairApiError
            If Lasair does not say.
        """
        not_shown = [entry.object_id for entry in entries if entry.object_id not in held]
        there = objects_in_main(self.api, not_shown) if not_shown else set()
        new = [item.object_id for item in entries if not item.is_visible and item.object_id in there | held.keys()]
        self.outbox.mark_visible(new, now)
        return [entry for entry in entries if entry.object_id in not_shown and entry.object_id not in there]

    def _may_come(self, since: float | None, now: float) -> bool:
        """Say whether a Lasair that queues annotations may still store one."""
        return self.api.survey.queues_annotations and since is not None and not _is_over(since, PATIENCE_S, now)


def _is_over(since: float | None, at_most_s: float, now: float) -> bool:
    """Say whether something has lasted too long; what a wrong clock dated ahead has."""
    return since is not None and not 0.0 <= now - since < at_most_s


def _is_there(annotation: Annotation, held: dict[str, Held]) -> bool:
    found = held.get(annotation.object_id)
    return found is not None and found.shows(annotation)


def _without(entries: Iterable[Entry], others: Sequence[Entry]) -> list[Entry]:
    left_out = {entry.object_id for entry in others}
    return [entry for entry in entries if entry.object_id not in left_out]
