"""An object as an alert stream would have given it, night by night since its first detection."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import RecordError
from annotator.surveys import SURVEYS
from annotator.surveys.values import JD_MINUS_MJD
from annotator.surveys.ztf.tables import DETECTION
from annotator.transient import Transient
from training.recipe import SURVEY
from training.young.objects import YoungObject

AGES_DAYS = (1, 2, 5, 10, 20)
"""Days since the first detection at which it is said how many are flagged."""


@dataclass(frozen=True, eq=False)
class State:
    """One object on one night; named as what scores objects of a stream reads it."""

    place: int
    """Of its object among those replayed."""
    age_days: int
    """Nights since that of the first positive detection, 0 on it."""
    transient: Transient
    candidate_id: str
    """Of its stamps; empty where it has none."""


def replayed(objects: Sequence[YoungObject], last_day: int = AGES_DAYS[-1]) -> list[State]:
    """Return each object on each night with a detection up to `last_day` nights after its first."""
    return [state for place, item in enumerate(objects) for state in _states(place, item, last_day)]


def _states(place: int, item: YoungObject, last_day: int) -> Iterator[State]:
    first = night_of(item.first_jd)
    nights = {
        night_of(one[DETECTION.time_jd]) for one in item.candidates if one.get(DETECTION.candidate_id) is not None
    }
    for night in sorted(nights):
        if first <= night <= first + last_day:
            try:
                transient, candidate_id = _read(item, [c for c in item.candidates if _is_seen(c, night)])
            except RecordError:  # nothing of it is its own yet
                continue
            yield State(place, night - first, transient, candidate_id)


def night_of(jd: float) -> int:
    """Return the survey's night: the UTC day; UTC midnight is mid-afternoon at Palomar."""
    return math.floor(jd - 0.5)


def _is_seen(candidate: Mapping[str, object], night: int) -> bool:
    return night_of(candidate[DETECTION.time_jd]) <= night


def _read(item: YoungObject, seen: Sequence[Mapping[str, object]]) -> tuple[Transient, str]:
    """Read the record that Lasair would have answered with, stamps of the brightest positive detection that has any."""
    record = {**item.surroundings, OBJECT_ID_KEY: item.object_id, "candidates": list(seen)}
    transient = SURVEYS[SURVEY].parse(record)
    reference = transient.cutouts
    stamps = None if reference is None else item.stamped(reference.time_mjd + JD_MINUS_MJD)
    if stamps is None:
        return transient, ""
    triplet, candidate_id = stamps
    return replace(transient, triplet=replace(triplet, time_mjd=reference.time_mjd)), candidate_id
