"""Dates of others, of which none is believed that is later than now, and clocks that disagree."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from annotator.annotation import Annotation
from annotator.clock import MAX_DISAGREEMENT_S, Clock
from annotator.decision.changes import is_older
from annotator.decision.objects import ScoredObject, ScoredState
from annotator.nights import MAX_AHEAD_DAYS, mjd_of
from annotator.surveys import SURVEYS
from annotator.transient import Transient

DATE = "mjd"
"""The epoch of what was scored, among an annotation's numbers."""
MIN_OBJECTS = 3
"""Objects dated ahead, at the least, that put the clocks in doubt rather than their dates."""
MAX_NAMED = 3
"""Objects that are told by name; the others are counted."""


class Dates:
    """Reads the records of one pass, and believes no date that is later than now.

    Such a date counts as missing, and the object says so. Where more than half the objects of a batch are dated ahead,
    it is the clocks that are behind: from then on every date is believed as it is, since nothing can be judged by age.

    Parameters
    ----------
    survey
        Name of the survey.
    clock
        Seconds since 1970.
    """

    def __init__(self, survey: str, clock: Callable[[], float]) -> None:
        self.survey = SURVEYS[survey]
        self._clock = clock
        self.is_clock_behind = False
        self._n_ahead = 0
        self._named: dict[str, tuple[str, ...]] = {}

    @property
    def latest_mjd(self) -> float:
        """The latest date that is believed (MJD)."""
        return self._now_mjd + MAX_AHEAD_DAYS

    @property
    def _now_mjd(self) -> float:
        """The present; without an end where nothing is judged by age."""
        return math.inf if self.is_clock_behind else mjd_of(self._clock())

    def parse(self, record: object) -> Transient:
        """Read a record without its dates that are later than now; raise RecordError as the survey does."""
        return self.survey.parse(record, self.latest_mjd)

    def put_clock_in_doubt(self, batch: Sequence[Transient]) -> bool:
        """Look whether more than half the objects of a batch are dated ahead; where they are, it has to be read again.

        A clock that somebody else confirms can be wrong as well: most of what there is says so.
        """
        ahead = {item.object_id for item in batch if item.dates_ahead}
        if len(ahead) < MIN_OBJECTS or 2 * len(ahead) <= len({item.object_id for item in batch}):
            return False
        self.is_clock_behind = True
        return True

    def believed(self, states: Mapping[str, ScoredState]) -> dict[str, ScoredState]:
        """Return what the ledger knows of objects, without dates later than now that it took from others.

        A state dated ahead would be the newest until that day. Which state is the newest needs no day's grace for
        clocks: what has not happened yet is never newer than what has.
        """
        return {
            object_id: replace(
                state,
                last_mjd=None if is_older(self._now_mjd, state.last_mjd) else state.last_mjd,
                first_flagged_mjd=(
                    None if is_older(self.latest_mjd, state.first_flagged_mjd) else state.first_flagged_mjd
                ),
            )
            for object_id, state in states.items()
        }

    def believed_of_sent(self, last_sent: Mapping[str, Annotation]) -> dict[str, Annotation]:
        """Return what Lasair holds of objects, without dates later than now: any state would be before such a one."""
        believed = dict(last_sent)
        for object_id, annotation in last_sent.items():
            if is_older(self._now_mjd, annotation.classdict.get(DATE)):
                numbers = {name: value for name, value in annotation.classdict.items() if name != DATE}
                believed[object_id] = replace(annotation, classdict=numbers)
        return believed

    def note(self, scored_objects: Sequence[ScoredObject]) -> None:
        """Keep the names of objects that were scored without some of their dates."""
        for item in scored_objects:
            dates = item.transient.dates_ahead if item.transient else ()
            if dates and item.object_id not in self._named:
                self._n_ahead += 1
                if len(self._named) < MAX_NAMED:
                    self._named[item.object_id] = dates

    def in_words(self) -> list[str]:
        """Say what a person must look at, a sentence each."""
        words = []
        if self.is_clock_behind:
            words.append(
                "more than half of what was read is dated later than now: this machine's clock is behind, so set it; "
                "until then dates are taken as they are"
            )
        if self._n_ahead:
            named = ", ".join(f"{name} ({', '.join(dates)})" for name, dates in self._named.items())
            left = self._n_ahead - len(self._named)
            words.append(
                f"dated later than now: {named}{f' and {left} more' if left else ''}; scored as if without these "
                "dates, so tell Lasair if they stay"
            )
        return words


def clock_in_words(clock: Clock) -> list[str]:
    """Say whose clock differs from ours by more than an hour, a sentence each."""
    words = []
    for who, ahead_s in clock.ahead_s.items():
        if abs(ahead_s) > MAX_DISAGREEMENT_S:
            side = "behind" if ahead_s > 0 else "ahead of"
            words.append(
                f"this machine's clock is {abs(ahead_s) / 3600:.1f} hours {side} {who}'s: set it; until then nothing "
                "is deleted by age"
            )
    return words
