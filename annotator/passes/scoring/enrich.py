"""What a record lacks: light curves and cutouts, fetched within the quota, each object with the same chance.

New and changed objects come first, the newest of them before the others, whatever they score. A share of the calls
always goes to objects that wait: first to those that were flagged by what there was, whose past has to be known before
anybody hears of them, then to others at random.

What Lasair says of an object has three outcomes: here it is; there is none; not now. A refusal is none of them by
itself: it counts where other objects got good answers meanwhile (:mod:`annotator.lasair.breaker`), once a night, and on
the third night there is none.
"""

import dataclasses
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from annotator.config import LasairConfig
from annotator.decision.objects import Enriched
from annotator.errors import (
    LasairApiError,
    LasairUnreachableError,
    MissingModalityError,
    RejectedError,
    SolarSystemObjectError,
)
from annotator.lasair.api import LasairApi
from annotator.lasair.breaker import MAX_IN_A_ROW
from annotator.lasair.budget import CallBudget
from annotator.lasair.cutouts import CutoutFetcher
from annotator.ledger.kept_objects import KeptObjects
from annotator.surveys import Survey
from annotator.surveys.history import joined
from annotator.transient import Modality, Transient, Triplet

log = logging.getLogger(__name__)

NO_CALL = "no call left to fetch it"
NO_ANSWER = "Lasair did not answer; it is asked again"
MAX_BATCH_S = 120.0
"""Longest time for what a batch lacks: nothing of a batch is written down before all of it has been asked for."""
MAX_STAMP_TURNS = 500
"""Objects of a recorded file that have another try in a pass at stamps whose host did not answer; it costs no calls."""
MAX_REFUSED_NIGHTS = 3
"""On so many nights an object is refused before there is none."""


class Enricher:
    """Completes the objects of one pass.

    Parameters
    ----------
    modalities
        That the loaded models look at (:attr:`annotator.models.ModelSet.views`): nothing is fetched for others.
    api
        Asked for objects; None where records are taken as they are.
    lasair
        Its shares of the reading calls.
    cutouts
        Fetches stamps.
    kept
        Knows which objects were refused on other nights.
    night
        The one that it is (:func:`annotator.nights.night_of`).
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
        kept: KeptObjects,
        night: int,
        should_stop: Callable[[], bool] = lambda: False,
        parse: Callable[[object], Transient] | None = None,
    ) -> None:
        self._parse = parse
        self._modalities = frozenset(modalities) & {Modality.LIGHTCURVE, Modality.TRIPLET}
        self._api = api
        self._cutouts = cutouts
        self._kept = kept
        self.night = night
        self._should_stop = should_stop
        self._refused: set[str] = set()
        self._asked_again = 0
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

        nights = self._kept.refused_before([item.object_id for item in transients], self.night)
        items = [Enriched(transient, waits=False) for transient in transients]
        lacking = [number for number, transient in enumerate(transients) if self._lacks(transient)]
        refusals: dict[int, RejectedError] = {}
        # Those that were refused before come last: they don't tell whether Lasair answers.
        for number in sorted(lacking, key=lambda number: transients[number].object_id in nights):
            transient = transients[number]
            may_call = number in chosen and not must_end()
            try:
                items[number] = self._ask(transient, may_call, transient.object_id in nights)
            except RejectedError as error:
                refusals[number] = error
        for number, error in refusals.items():
            items[number] = self._refused_one(transients[number], error, nights)
        return self._with_stamps(items, nights, must_end)

    def note_refused(self) -> None:
        """Write down which objects that wait were refused in this pass."""
        self._kept.note_refused(self._refused, self.night)

    def _ask(self, transient: Transient, may_call: bool, was_refused: bool) -> Enriched:
        if not may_call:
            return Enriched(self._without(transient, NO_CALL), waits=True)
        if was_refused and not self._api.breakers["object"].has_answered:
            # Where nobody else has had a good answer yet, a few of them see whether there is one now: three refusals
            # in a row would be taken for Lasair's.
            if self._asked_again == MAX_IN_A_ROW - 1:
                return Enriched(self._without(transient, NO_ANSWER), waits=True)
            self._asked_again += 1
        try:
            found = self._api.transient(transient.object_id, self._parse)
        except RejectedError:
            raise
        except SolarSystemObjectError as error:
            return Enriched(transient, waits=False, gained=True, refused=error)
        except LasairApiError as error:
            log.info("%s waits: %s", transient.object_id, error)
            reason = NO_ANSWER if isinstance(error, LasairUnreachableError) else NO_CALL
            return Enriched(self._without(transient, reason), waits=True)
        return Enriched(_joined(transient, found, self._api.survey), waits=False, gained=True)

    def _refused_one(self, transient: Transient, error: RejectedError, nights: Mapping[str, int]) -> Enriched:
        """Say of an object that Lasair refused whether it waits."""
        if not self._api.breakers["object"].believes(transient.object_id):
            return Enriched(self._without(transient, NO_ANSWER), waits=True)
        reason, waits = self._counted(transient.object_id, f"Lasair refused it: {error}", nights)
        return Enriched(self._without(transient, reason), waits)

    def _counted(self, object_id: str, reason: str, nights: Mapping[str, int]) -> tuple[str, bool]:
        """Count the night of a refusal; return the reason to give, and whether the object waits for another night."""
        count = nights.get(object_id, 0) + 1
        self._refused.add(object_id)
        if count < MAX_REFUSED_NIGHTS:
            return f"{reason}; it is asked again on another night", True
        return f"{reason}, on {count} nights", False

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

    def _with_stamps(
        self, items: Sequence[Enriched], nights: Mapping[str, int], must_end: Callable[[], bool]
    ) -> list[Enriched]:
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
            elif isinstance(outcome, RejectedError):
                reason, is_later = self._counted(transient.object_id, str(outcome), nights)
                transient, waits = _with_reason(transient, Modality.TRIPLET, reason), waits or is_later
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


def _joined(transient: Transient, found: Transient, survey: Survey) -> Transient:
    """Add what `object` has; what the record itself said stays, its features above all.

    But for what Lasair had computed of detections at known solar-system objects, too, or in reversed order; and where a
    light curve is what is scored, it says how many detections there are and how good, as in a record that has it.
    """
    surroundings = survey.surroundings
    has_curve = found.light_curve is not None and len(found.light_curve.time_mjd) > 0
    if (transient.not_whole and has_curve) or (found.n_solar_system and not transient.n_solar_system):
        around = {name: value for name, value in transient.features.items() if name in surroundings}
        transient = dataclasses.replace(
            transient,
            features=dict(found.features) | around,
            n_det=found.n_det,
            n_det_good=found.n_det_good,
            last_mjd=found.last_mjd,
            ra_deg=found.ra_deg,
            dec_deg=found.dec_deg,
            n_solar_system=found.n_solar_system,
            not_whole=found.not_whole,
            left_out=tuple(words for words in transient.left_out if words != transient.not_whole),
            extras={name: value for name, value in transient.extras.items() if name not in found.extras},
        )
    if has_curve and transient.light_curve is None and survey.features_are_of_light_curve:
        transient = dataclasses.replace(
            transient,
            n_det=found.n_det,
            n_det_good=found.n_det_good,
            extras=dict(transient.extras) | dict(found.extras),
        )
    return dataclasses.replace(
        transient,
        light_curve=transient.light_curve or found.light_curve,
        cutouts=transient.cutouts or found.cutouts,
        why_missing=dict(found.why_missing) | dict(transient.why_missing),
        dates_ahead=tuple(dict.fromkeys((*transient.dates_ahead, *found.dates_ahead))),
        left_out=tuple(dict.fromkeys((*transient.left_out, *found.left_out))),
        extras=dict(found.extras) | dict(transient.extras),
        # Lasair computes neither rates nor colours of negative differences, which are its mirror's.
        features=dict(found.features) | dict(transient.features) if found.fades else transient.features,
        n_det_fading=found.n_det_fading if transient.n_det_fading is None else transient.n_det_fading,
        fades=transient.fades or found.fades,
        history=joined(transient.history, found.history),
    )


def _with_reason(transient: Transient, modality: str, reason: str) -> Transient:
    why: Mapping[str, str] = dict(transient.why_missing) | {modality: reason}
    return dataclasses.replace(transient, why_missing=why)
