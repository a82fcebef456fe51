"""What ZTF measured of one object, as Lasair answers it or an alert packet carries it: one table of detections.

Each value is checked once, here, and each exposure counted once; light curve, columns, stamps, real-bogus scores and
the mean position are views of this table (:mod:`annotator.surveys.ztf.views`).
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotator.surveys.detections import SOLAR_SYSTEM_ARCSEC, Measurement, all_negative, each_once, of_solar_system
from annotator.surveys.values import (
    JD_RANGE,
    Bands,
    floats,
    is_absent,
    julian_date,
    number,
    physical,
    shown,
    sign_of,
    whole_number,
)

BANDS = {1: "g", 2: "r", 3: "i"}
"""ZTF's filter numbers."""
SPELLINGS = Bands(BANDS, ("ztf", "z", "p48", "palomarztf", "filter", "band"))
"""g, ztfg (sncosmo), zg (IRSA), p48g (SkyPortal), g-ZTF (TNS), Palomar/ZTF.g (SVO)."""

MAGNITUDE_RANGE = (5.0, 26.0)
MAX_MAGNITUDE_ERROR = 2.0
"""Above this an error is a sentinel: a detection has a signal-to-noise ratio of 5, an error of 0.2 mag."""

SAME_EXPOSURE_DAYS = 10 / 86400
"""ZTF exposes for 30 s: two measurements in one band closer than this are of one exposure."""

PREDICTED_RANGE = (-30.0, 40.0)
"""Of the magnitude of a solar-system object."""

LEAST_CANDID = 10**15
"""ZTF's candids are made of the night, the moment, the detector and a count; a smaller number tells nothing apart."""

_POSITIVE_NUMBER = np.nextafter(0.0, 1.0)

_RANGES = {
    "jd": JD_RANGE,
    "magpsf": MAGNITUDE_RANGE,
    "sigmapsf": (_POSITIVE_NUMBER, MAX_MAGNITUDE_ERROR),
    "ra": (0.0, 360.0),
    "dec": (-90.0, 90.0),
    "rb": (0.0, 1.0),
    "drb": (0.0, 1.0),
    "ssdistnr": (0.0, 3600.0),
}
"""In which a value of a detection is physical."""
_DATE, _MAGNITUDE, _ERROR, _RA, _DEC, _RB, _DRB, _SOLAR_SYSTEM = range(len(_RANGES))
_LOW, _HIGH = np.array([*_RANGES.values()]).T[:, :, None]
_USUAL_SIGNS = {"t": 1, "f": -1}
_OPTIONAL = {"sigmapsf": _ERROR, "ra": _RA, "dec": _DEC, "rb": _RB, "drb": _DRB}
_EXPECTED = {
    "jd": "no date from 1990 to 2100",
    "magpsf": f"no magnitude from {MAGNITUDE_RANGE[0]:g} to {MAGNITUDE_RANGE[1]:g}",
    "fid": f"none of {SPELLINGS.expected}",
    "isdiffpos": "neither t nor f",
    "sigmapsf": f"no error above 0 and up to {MAX_MAGNITUDE_ERROR:g} mag",
    "ra": "no right ascension in degrees",
    "dec": "no declination in degrees",
    "rb": "no score from 0 to 1",
    "drb": "no score from 0 to 1",
}

Item = Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of one object, detections or upper limits: arrays of one length ``(n,)``, NaN where unknown."""

    items: Sequence[Item]
    """What they were read from; of several copies of one what any of them has."""
    numbers: NDArray[np.float64]
    """``(k, n)``: date, magnitude; and of detections what else is in the table of ranges, in its order."""
    band: NDArray[np.str_]
    """One letter: g, r, i; empty where the item names none of them."""
    sign: NDArray[np.int8]
    """1 where the object was brighter than in the template, -1 where it was fainter, 0 where that is not said."""

    time_jd = property(lambda self: self.numbers[_DATE])
    magnitude = property(lambda self: self.numbers[_MAGNITUDE])
    magnitude_error = property(lambda self: self.numbers[_ERROR])
    ra_deg = property(lambda self: self.numbers[_RA])
    dec_deg = property(lambda self: self.numbers[_DEC])
    rb = property(lambda self: self.numbers[_RB])
    drb = property(lambda self: self.numbers[_DRB])

    def __len__(self) -> int:
        return len(self.items)

    def at(self, places: NDArray[np.int64] | slice) -> "Measurements":
        """Return those at some places."""
        items = self.items[places] if isinstance(places, slice) else [self.items[place] for place in places.tolist()]
        return Measurements(items, self.numbers[:, places], self.band[places], self.sign[places])

    def mirrored(self) -> "Measurements":
        """Return them as if what was below the template had been above it, and the other way round."""
        return replace(self, sign=-self.sign)


@dataclass(frozen=True, eq=False)
class DetectionTable:
    """What was measured of one object, each exposure once, in time order; each with a date, a magnitude and a band."""

    detections: Measurements
    limits: Measurements
    has_later: bool = False
    """Whether something was left out because its date has not come."""
    left_out: tuple[str, ...] = ()
    """What else was left out, and why, a phrase each."""
    unphysical: tuple[str, ...] = ()
    """What else is missing of detections because it is no value, a phrase each."""
    solar_system: Sequence[Item] = ()
    """Detections at known solar-system objects, which are not the object's own."""

    @property
    def fades(self) -> bool:
        """Whether all detections are negative."""
        return all_negative(self.detections.sign)

    def as_scored(self) -> "DetectionTable":
        """Return the table as it is, or of an object that fades its mirror."""
        return replace(self, detections=self.detections.mirrored()) if self.fades else self


def read_candidates(candidates: Sequence[object], latest_jd: float = math.inf) -> DetectionTable:
    """Read an object's measurements, in any order.

    Parameters
    ----------
    candidates
        Items as Lasair gives them: detections, and upper limits, which have neither a candid nor an error of their
        magnitude. Dates are ``jd``, or ``mjd`` or ``utc`` where that is none.
    latest_jd
        What is dated later is left out.
    """
    items = [item for item in candidates if type(item) is dict or isinstance(item, Mapping)]  # nearly all are dicts
    detections, limits = _told_apart(items)
    left_out, unphysical = _unreadable(detections), _unphysical(detections)
    if len(items) < len(candidates):
        left_out += (f"{len(candidates) - len(items)} of {len(candidates)} candidates have no named values",)
    if np.isnan(limits.time_jd).any():
        unphysical += ("some candidates have neither candid nor a date (jd)",)
    has_later = False
    if latest_jd < math.inf:
        has_later = any((measured.time_jd > latest_jd).any() for measured in (detections, limits))
    detections, limits = _each_once(_usable(detections, latest_jd), _usable(limits, latest_jd))
    is_theirs = _of_solar_system(detections)
    if not is_theirs.any():
        return DetectionTable(detections, limits, has_later, left_out, unphysical)
    theirs = detections.at(np.flatnonzero(is_theirs)).items
    left_out = (_at_solar_system_objects(theirs, len(detections)), *left_out)
    own = detections.at(np.flatnonzero(~is_theirs))
    return DetectionTable(own, limits, has_later, left_out, unphysical, theirs)


def _told_apart(items: Iterable[Item]) -> tuple[Measurements, Measurements]:
    """Tell detections from upper limits."""
    seen, limits = [], []
    for item in items:
        may_be_seen = item.get("candid") is not None or item.get("sigmapsf") is not None
        (seen if may_be_seen else limits).append(item)
    numbers = _physical(seen)
    candids = [item.get("candid") for item in seen]
    if candids and not ({int}.issuperset(map(type, candids)) and min(candids) > 0):
        # A float names a candidate, too, though it holds too few digits to say which.
        is_seen = np.array([(number(value) or 0.0) > 0 for value in candids]) | np.isfinite(numbers[_ERROR])
        limits += itertools.compress(seen, ~is_seen)
        seen, numbers = list(itertools.compress(seen, is_seen)), numbers[:, is_seen]
    return _measurements(seen, numbers), _limits(limits)


def _physical(items: Sequence[Item]) -> NDArray[np.float64]:
    """Lay numbers of detections out as ``(8, n)``, NaN where one is not within its range."""
    values: list[object] = []
    for item in items:
        values.extend(map(item.get, _RANGES))
    found = floats(values).reshape(len(items), len(_RANGES)).T
    return np.where((found >= _LOW) & (found <= _HIGH), found, np.nan)


def _limits(items: Sequence[Item]) -> Measurements:
    """Read upper limits; Lasair copies the limit to magpsf, a packet has it by itself."""
    values = [item.get("jd") for item in items]
    values += [item.get("diffmaglim") for item in items]
    found = floats(values).reshape(2, len(items))
    found = np.where((found >= _LOW[:_ERROR]) & (found <= _HIGH[:_ERROR]), found, np.nan)
    if np.isnan(found[_MAGNITUDE]).any():
        copied = physical(floats([item.get("magpsf") for item in items]), *MAGNITUDE_RANGE)
        found[_MAGNITUDE] = np.where(np.isnan(found[_MAGNITUDE]), copied, found[_MAGNITUDE])
    return _measurements(items, found, sign=np.ones(len(items), dtype=np.int8))


def _measurements(
    items: Sequence[Item], numbers: NDArray[np.float64], sign: NDArray[np.int8] | None = None
) -> Measurements:
    fids = [item.get("fid") for item in items]
    letter = BANDS.get if {int}.issuperset(map(type, fids)) else SPELLINGS.letter
    band = np.array([letter(fid) or "" for fid in fids], dtype="<U1")
    for place in np.flatnonzero(np.isnan(numbers[_DATE])).tolist():
        jd = julian_date(*map(items[place].get, ("jd", "mjd", "utc")))
        numbers[_DATE, place] = np.nan if jd is None else jd
    return Measurements(items, numbers, band, _signs(items) if sign is None else sign)


def _signs(items: Sequence[Item]) -> NDArray[np.int8]:
    values = [item.get("isdiffpos") for item in items]
    try:
        signs = [_USUAL_SIGNS[value] for value in values]
    except (KeyError, TypeError):
        signs = [{True: 1, False: -1, None: 0}[sign_of(value)] for value in values]
    return np.array(signs, dtype=np.int8)


def _usable(measured: Measurements, latest_jd: float) -> Measurements:
    """Keep what has a date that has come, a magnitude and a band."""
    is_usable = (measured.time_jd <= latest_jd) & (measured.magnitude > 0) & (measured.band != "")
    return measured if is_usable.all() else measured.at(np.flatnonzero(is_usable))


def _each_once(detections: Measurements, limits: Measurements) -> tuple[Measurements, Measurements]:
    """Take each exposure once, in time order."""
    n_seen = len(detections)
    times = np.concatenate([detections.time_jd, limits.time_jd])
    order = np.argsort(times, kind="stable")
    is_close = times[order[1:]] - times[order[:-1]] < SAME_EXPOSURE_DAYS
    of_candid = _copies(detections.items)
    if not of_candid and not is_close.any():
        return detections.at(order[order < n_seen]), limits.at(order[order >= n_seen] - n_seen)
    close = np.flatnonzero(is_close)
    in_question = sorted({*order[close].tolist(), *order[close + 1].tolist(), *of_candid})
    detections, gone = _put_together(detections, limits, in_question)
    kept = np.setdiff1d(np.arange(len(times)), gone)
    detections, limits = detections.at(kept[kept < n_seen]), limits.at(kept[kept >= n_seen] - n_seen)
    return tuple(item.at(np.lexsort((item.band, item.time_jd))) for item in (detections, limits))


def _copies(items: Sequence[Item]) -> list[int]:
    """Return the places of detections whose candid another one has."""
    candids = [item.get("candid") for item in items]
    if {int}.issuperset(map(type, candids)) and len(set(candids)) == len(candids):
        return []
    places: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        if (own := _identity(item)) is not None:
            places.setdefault(own, []).append(place)
    return [place for same in places.values() if len(same) > 1 for place in same]


def _put_together(
    detections: Measurements, limits: Measurements, places: Sequence[int]
) -> tuple[Measurements, list[int]]:
    """Put together what is one and the same of some measurements, counted through both; return what has to go.

    What the detection that is kept lacks is filled in from the others.
    """
    n_seen = len(detections)
    entries = [
        _as_measurement(limits, place - n_seen, is_limit=True)
        if place >= n_seen
        else _as_measurement(detections, place, is_limit=False)
        for place in places
    ]
    items, gone = list(detections.items), []
    for group in each_once(entries, SAME_EXPOSURE_DAYS):
        first, *others = (places[member] for member in group)
        gone += others
        copies = [items[place] for place in (first, *others) if place < n_seen]
        if len(copies) > 1:
            items[first] = _joined(copies)
            of_all = _measurements([items[first]], _physical([items[first]]))
            detections.numbers[:, first] = of_all.numbers[:, 0]
            detections.sign[first] = of_all.sign[0]
    return Measurements(items, detections.numbers, detections.band, detections.sign), gone


def _as_measurement(measured: Measurements, place: int, is_limit: bool) -> Measurement:
    error = math.nan if is_limit else measured.magnitude_error[place]
    return Measurement(
        band=str(measured.band[place]),
        time_days=float(measured.time_jd[place]),
        is_limit=is_limit,
        error_mag=math.inf if math.isnan(error) else float(error),
        magnitude=float(measured.magnitude[place]),
        sign=int(measured.sign[place]),
        identity=None if is_limit else _identity(measured.items[place]),
    )


def _joined(copies: Sequence[Item]) -> Item:
    joined = dict(copies[0])
    for copy in copies[1:]:
        joined |= {name: value for name, value in copy.items() if is_absent(joined.get(name))}
    return joined


def _identity(item: Item) -> int | None:
    candid = whole_number(item.get("candid"))
    return candid if candid is not None and candid >= LEAST_CANDID else None


def _of_solar_system(detections: Measurements) -> NDArray[np.bool_]:
    separation = detections.numbers[_SOLAR_SYSTEM]
    if not (separation <= SOLAR_SYSTEM_ARCSEC).any():
        return np.zeros(len(detections), dtype=bool)
    predicted = physical(floats([item.get("ssmagnr") for item in detections.items]), *PREDICTED_RANGE)
    return of_solar_system(separation, detections.magnitude - predicted, detections.ra_deg, detections.dec_deg)


def _unreadable(detections: Measurements) -> tuple[str, ...]:
    """Name the values without which a detection is in none of the views, or not in all."""
    if not np.isnan(detections.numbers[: _MAGNITUDE + 1]).any() and detections.sign.all() and "" not in detections.band:
        return ()
    return _named(
        detections,
        {
            "jd": ~np.isnan(detections.time_jd),
            "magpsf": ~np.isnan(detections.magnitude),
            "fid": detections.band != "",
            "isdiffpos": detections.sign != 0,
        },
    )


def _unphysical(detections: Measurements) -> tuple[str, ...]:
    """Name the values that are no values, and without which a detection is in all views nonetheless."""
    if not np.isnan(detections.numbers[_ERROR : _DRB + 1]).any():
        return ()
    is_known = {}
    for name, number_of_row in _OPTIONAL.items():
        known = ~np.isnan(detections.numbers[number_of_row])
        for place in np.flatnonzero(~known).tolist():
            known[place] = is_absent(detections.items[place].get(name))
        is_known[name] = known
    return _named(detections, is_known)


def _named(detections: Measurements, is_known: Mapping[str, NDArray[np.bool_]]) -> tuple[str, ...]:
    phrases = []
    for name, known in is_known.items():
        if known.all():
            continue
        values = [item.get(name) for item in itertools.compress(detections.items, ~known)]
        said = next((value for value in values if not is_absent(value)), None)
        what = f"{name} is missing" if said is None else f"{name} is {_EXPECTED[name]} ({shown(said)})"
        phrases.append(f"{what} in {len(values)} of {len(detections)} detections")
    return tuple(phrases)


def _at_solar_system_objects(items: Sequence[Item], n_detections: int) -> str:
    named = [item.get("ssnamenr") for item in items]
    known = dict.fromkeys(str(name).strip() for name in named if isinstance(name, str | int) and not is_absent(name))
    which = f"the known solar-system object {', '.join(known)}" if known else "a known solar-system object"
    return f"{len(items)} of {n_detections} detections, at {which}"
