"""What holds for the detections of any survey: each exposure counts once, and not all of them are the object's own."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from annotator.surveys.values import is_absent, shown

SOLAR_SYSTEM_ARCSEC, SOLAR_SYSTEM_MAG = 5.0, 1.5
"""A detection so near to where a known solar-system object was, and as bright as that within so much, is of it."""
NAMELESS_ARCSEC = 2.0
"""As near it has to be where nobody says how bright that object was."""
MAX_NAMELESS = 100
"""Where there are more of them they are no passers-by, and all stay."""
MAX_APART_DEG = 60 / 3600
"""Positions of an object further apart than this are of two places."""
SAME_PLACE_ARCSEC = 0.5
"""Another detection so near speaks for a source that stays; what moves is seen once at a place."""


@dataclass(frozen=True)
class Measurement:
    """What tells one measurement from another, ordered: of two of one exposure the better one comes first."""

    band: str
    time_days: float
    is_limit: bool
    error: float
    """In the survey's own unit; infinity where it is unknown."""
    brightness: float
    """In the survey's own unit."""
    sign: int
    identity: int | None
    """The survey's own number, where it is known to the last digit."""

    @property
    def order(self) -> tuple:
        """By band and time, limits after detections, then by how well it is known."""
        return (self.band, self.time_days, self.is_limit, self.error, self.brightness, self.sign)


def each_once(measurements: Sequence[Measurement], exposure_days: float) -> list[list[int]]:
    """Put together what is one and the same: of one identity, or of one band within the time of an exposure.

    Parameters
    ----------
    measurements
        In any order, which changes nothing.
    exposure_days
        Two measurements in one band closer than this are of one exposure.

    Returns
    -------
    list
        For each exposure the places of its measurements, the one to keep first. A limit is kept only where its exposure
        has no detection.
    """
    places = sorted(range(len(measurements)), key=lambda place: measurements[place].order)
    groups: list[list[int]] = []
    of_identity: dict[int, list[int]] = {}
    for place in places:
        this = measurements[place]
        group = of_identity.get(this.identity) if this.identity is not None else None
        if group is None and groups:
            kept = measurements[groups[-1][0]]
            if kept.band == this.band and this.time_days - kept.time_days < exposure_days:
                group = groups[-1]
        if group is None:
            group = []
            groups.append(group)
        if group and measurements[group[0]].is_limit and not this.is_limit:
            group.insert(0, place)
        else:
            group.append(place)
        if this.identity is not None:
            of_identity.setdefault(this.identity, group)
    return groups


def all_negative(sign: NDArray[np.int8]) -> bool:
    """Tell whether an object was fainter than in its template whenever it was seen: it fades, if it is real.

    Parameters
    ----------
    sign
        Of each detection, ``(n,)``: 1, -1, or 0 where that is not said.
    """
    return bool((sign < 0).any() and not (sign > 0).any())


def mostly_negative(sign: NDArray[np.int8]) -> bool:
    """Tell whether an object was fainter than in its template at more detections than it was brighter: it fades.

    Parameters
    ----------
    sign
        Of each detection, ``(n,)``: 1, -1, or 0 where that is not said.
    """
    return int(np.count_nonzero(sign < 0)) > int(np.count_nonzero(sign > 0))


def mean_direction(places_deg: Iterable[tuple[float, float]]) -> tuple[float, float] | None:
    """Return the direction of the mean of unit vectors, right ascension and declination in deg; None of none."""
    places = [(radians(ra_deg), radians(dec_deg)) for ra_deg, dec_deg in places_deg]
    from_axis = [cos(dec) for _, dec in places]
    total_x = math.fsum([away * cos(ra) for away, (ra, _) in zip(from_axis, places, strict=True)])
    total_y = math.fsum([away * sin(ra) for away, (ra, _) in zip(from_axis, places, strict=True)])
    total_z = math.fsum([sin(dec) for _, dec in places])
    if not (total_x or total_y or total_z):
        return None
    ra_deg = math.degrees(math.atan2(total_y, total_x)) % 360.0
    # The remainder of what is a rounding below 0 is 360 itself.
    return 0.0 if ra_deg == 360.0 else ra_deg, math.degrees(math.atan2(total_z, math.hypot(total_x, total_y)))


def is_elsewhere(own_deg: tuple[float, float], theirs_deg: tuple[float, float]) -> bool:
    """Tell whether two positions are further apart than any detections of one object."""
    across = abs(own_deg[0] - theirs_deg[0]) % 360.0
    across = min(across, 360.0 - across) * cos(radians(theirs_deg[1]))
    return math.hypot(across, own_deg[1] - theirs_deg[1]) > MAX_APART_DEG


def unknown_values(
    items: Sequence[object],
    is_known: Mapping[str, NDArray[np.bool_]],
    expected: Mapping[str, str],
    what: str = "detections",
) -> tuple[str, ...]:
    """Name the values that are missing or none, a phrase for each field, with an example where there is one.

    Parameters
    ----------
    items
        Measurements, which have the fields as attributes.
    is_known
        Field to whether each of them has a value of it that is one.
    expected
        Field to what is said of a value that is none.
    what
        What the items are.
    """
    phrases = []
    for name, known in is_known.items():
        if known.all():
            continue
        values = [getattr(item, name) for item in itertools.compress(items, ~known)]
        said = next((value for value in values if not is_absent(value)), None)
        problem = f"{name} is missing" if said is None else f"{name} is {expected[name]} ({shown(said)})"
        phrases.append(f"{problem} in {len(values)} of {len(items)} {what}")
    return tuple(phrases)


def of_solar_system(
    separation_arcsec: NDArray[np.float64],
    magnitude_difference: NDArray[np.float64],
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Tell which detections are of a known solar-system object that passed by, and not of the object itself.

    Parameters
    ----------
    separation_arcsec
        Of each detection to the nearest known solar-system object at that moment, ``(n,)``; NaN where none is known.
    magnitude_difference
        The detection's magnitude less the one predicted for that object, ``(n,)``; NaN where none is predicted.
    ra_deg, dec_deg
        Of each detection, ``(n,)``; NaN where it is unknown.
    """
    is_theirs = separation_arcsec <= SOLAR_SYSTEM_ARCSEC
    if not is_theirs.any():
        return is_theirs
    is_theirs &= np.isnan(magnitude_difference) | (np.abs(magnitude_difference) <= SOLAR_SYSTEM_MAG)
    nameless = is_theirs & np.isnan(magnitude_difference)
    is_theirs &= ~nameless
    near = np.flatnonzero(nameless & (separation_arcsec <= NAMELESS_ARCSEC))
    if len(near) <= MAX_NAMELESS:
        for number in near:
            others = np.delete(_separations_arcsec(ra_deg, dec_deg, number), number)
            is_theirs[number] = np.all(others > SAME_PLACE_ARCSEC)  # an unknown place may be the same one
    return is_theirs


def _separations_arcsec(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    half = np.sin((dec - dec[number]) / 2) ** 2
    half += np.cos(dec) * np.cos(dec[number]) * np.sin((ra - ra[number]) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))) * 3600
