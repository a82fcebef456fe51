"""What a record lacks: light curves and cutouts, fetched within the quota, each object with the same chance.

Whether an object is asked for never depends on its score. New and changed objects come first, the newest of them
before the others; a share of the calls always goes to objects drawn at random from those that wait.
"""

import dataclasses
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from annotator.config import LasairConfig
from annotator.decision.objects import Enriched
from annotator.errors import LasairApiError, LasairUnreachableError, MissingModalityError, RecordError, RejectedError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.cutouts import CutoutFetcher
from annotator.transient import Modality, Transient, Triplet

log = logging.getLogger(__name__)

NO_CALL = "no call left to fetch it"
NO_ANSWER = "Lasair did not answer; it is asked again"
MAX_BATCH_S = 120.0
"""Longest time for what a batch lacks: a stream's reader that is silent for five minutes loses its place."""
MAX_STAMP_TURNS = 500
"""Objects of a recorded file that have another try in a pass at stamps whose host did not answer; it costs no calls."""
MAX_FAILURES_IN_A_ROW = 3
"""After this many objects without an answer the rest waits for the next pass."""


class Enricher:
    """Completes the objects of one pass.

    Parameters
    ----------
    modalities
        Of the loaded models: nothing is fetched for others.
    api
        Asked for objects; None where records are taken as they are.
    lasair
        Its shares of the reading calls.
    cutouts
        Fetches stamps.
    should_stop
        Asked before each call.
    parse
        Reads what the API answers; needed where there is one.
    """

    def __init__(
        self,
        modalities: Collection[str],
        api: LasairApi | None,
        lasair: LasairConfig,
        cutouts: CutoutFetcher,
        should_stop: Callable[[], bool] = lambda: False,
        parse: Callable[[object], Transient] | None = None,
    ) -> None:
        self._parse = parse
        self._modalities = frozenset(modalities) & {Modality.LIGHTCURVE, Modality.TRIPLET}
        self._api = api
        self._cutouts = cutouts
        self._should_stop = should_stop
        self._failures_in_a_row = 0
        room = _room(api.budget, lasair.object_share) if self._modalities and api else 0
        # Drawn call by call, so that a single call now and then is shared fairly, too.
        self._random_calls = sum(random.random() < lasair.random_share for _ in range(room))
        self._changed_calls = room - self._random_calls

    def changed(self, transients: Sequence[Transient]) -> list[Enriched]:
        """Complete the new and changed objects of a batch, in order."""
        lacking = sorted(
            (number for number, transient in enumerate(transients) if self._lacks(transient)),
            key=lambda number: transients[number].last_mjd or 0.0,
            reverse=True,
        )
        chosen = frozenset(lacking[: self._changed_calls])
        self._changed_calls -= len(chosen)
        return self._enrich(transients, chosen)

    def waiting(self, transients: Sequence[Transient]) -> list[Enriched]:
        """Complete objects that waited, in order: at most :attr:`waiting_turns` of them."""
        return self._enrich(transients, range(len(transients)))

    @property
    def waiting_turns(self) -> int:
        """How many of the objects that wait have a turn in this pass."""
        if not self._modalities:
            return 0
        return self._random_calls if self._api else MAX_STAMP_TURNS

    def _lacks(self, transient: Transient) -> bool:
        """Say whether `object` could have something for this object."""
        return self._api is not None and any(
            modality in self._modalities and modality not in transient.why_missing and part is None
            for modality, part in (
                (Modality.LIGHTCURVE, transient.light_curve),
                (Modality.TRIPLET, transient.triplet or transient.cutouts),
            )
        )

    def _enrich(self, transients: Sequence[Transient], chosen: Collection[int]) -> list[Enriched]:
        if not self._modalities:
            return [Enriched(transient, waits=False) for transient in transients]
        ends_at = time.monotonic() + MAX_BATCH_S

        def must_end() -> bool:
            return self._should_stop() or time.monotonic() > ends_at

        asked = [
            self._ask(transient, number in chosen and not must_end())
            if self._lacks(transient)
            else Enriched(transient, waits=False)
            for number, transient in enumerate(transients)
        ]
        return self._with_stamps(asked, must_end)

    def _ask(self, transient: Transient, may_call: bool) -> Enriched:
        if not may_call or self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
            return Enriched(self._without(transient, NO_CALL), waits=True)
        try:
            answer = self._api.object(transient.object_id)
            found = self._parse(answer)
        except RejectedError as error:  # Lasair-ZTF's answer to an object that it doesn't have is 500
            self._failures_in_a_row = 0
            return Enriched(self._without(transient, f"Lasair refused it: {error}"), waits=False)
        except (LasairApiError, RecordError) as error:
            self._failures_in_a_row += 1
            log.info("%s waits: %s", transient.object_id, error)
            reason = NO_ANSWER if isinstance(error, LasairUnreachableError | RecordError) else NO_CALL
            return Enriched(self._without(transient, reason), waits=True)
        self._failures_in_a_row = 0
        return Enriched(_joined(transient, found), waits=False, gained=True)

    def _without(self, transient: Transient, reason: str) -> Transient:
        absent = {
            modality: reason
            for modality, part in (
                (Modality.LIGHTCURVE, transient.light_curve),
                (Modality.TRIPLET, transient.triplet or transient.cutouts),
            )
            if part is None and modality in self._modalities
        }
        return dataclasses.replace(transient, why_missing=absent | dict(transient.why_missing))

    def _with_stamps(self, items: Sequence[Enriched], must_end: Callable[[], bool]) -> list[Enriched]:
        if Modality.TRIPLET not in self._modalities:
            return list(items)
        numbers = [
            number for number, item in enumerate(items) if item.transient.cutouts and item.transient.triplet is None
        ]
        outcomes = self._cutouts.fetch([items[number].transient.cutouts for number in numbers], must_end)
        enriched = list(items)
        for number, outcome in zip(numbers, outcomes, strict=True):
            item, transient = items[number], items[number].transient
            waits = item.waits
            if isinstance(outcome, Triplet):
                transient = dataclasses.replace(transient, triplet=outcome)
            else:
                transient = _with_reason(transient, Modality.TRIPLET, str(outcome))
                # Only what may be there later is worth another try.
                waits = waits or not isinstance(outcome, MissingModalityError)
            enriched[number] = dataclasses.replace(item, transient=transient, waits=waits)
        return enriched


def _room(budget: CallBudget, object_share: float) -> int:
    """Count the objects that may be asked for now."""
    reads_left, _ = budget.left()
    made = budget.ledger.calls.last_hour_to("object", budget.clock())
    return max(0, min(reads_left, int(budget.reads_per_hour * object_share) - made))


def with_stamps(transient: Transient, cutouts: CutoutFetcher) -> Transient:
    """Fetch the stamps of one object, or note why there are none."""
    if transient.cutouts is None or transient.triplet is not None:
        return transient
    (outcome,) = cutouts.fetch([transient.cutouts])
    if isinstance(outcome, Triplet):
        return dataclasses.replace(transient, triplet=outcome)
    return _with_reason(transient, Modality.TRIPLET, str(outcome))


def _joined(transient: Transient, found: Transient) -> Transient:
    """Add what `object` has; what the record itself said stays, its features above all."""
    return dataclasses.replace(
        transient,
        light_curve=transient.light_curve or found.light_curve,
        cutouts=transient.cutouts or found.cutouts,
        why_missing=dict(found.why_missing) | dict(transient.why_missing),
        dates_ahead=tuple(dict.fromkeys((*transient.dates_ahead, *found.dates_ahead))),
        extras=dict(found.extras) | dict(transient.extras),
    )


def _with_reason(transient: Transient, modality: str, reason: str) -> Transient:
    why: Mapping[str, str] = dict(transient.why_missing) | {modality: reason}
    return dataclasses.replace(transient, why_missing=why)
