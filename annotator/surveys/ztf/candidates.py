"""What ZTF measured of one object, as Lasair answers it or an alert packet carries it: one table of detections.

Each value is checked once, here, and each exposure counted once; light curve, columns, stamps, real-bogus scores and
the mean position are views of this table (:mod:`annotator.surveys.ztf.views`).
"""

import contextlib
import functools
import itertools
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from operator import attrgetter

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from annotator.bands import BANDS
from annotator.surveys.detections import (
    SOLAR_SYSTEM_ARCSEC,
    Measurement,
    all_negative,
    each_once,
    of_solar_system,
    unknown_values,
)
from annotator.surveys.values import (
    JD_RANGE,
    BandSpellings,
    floats,
    is_absent,
    julian_date,
    number,
    physical,
    sign_of,
    whole_number,
    within,
)
from annotator.surveys.ztf.items import Candidate, OddCandidate, are_typed, candidates_of

FILTERS = {1: BANDS["zg"], 2: BANDS["zr"], 3: BANDS["zi"]}
"""By ZTF's own number."""
SPELLINGS = BandSpellings(FILTERS, ("ztf", "z", "p48", "palomarztf", "filter", "band"))
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
_NAMES = np.array([FILTERS[number].name if number in FILTERS else "" for number in range(256)])
"""By a filter's number."""
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


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of one object, detections or upper limits: arrays of one length ``(n,)``, NaN where unknown."""

    items: Sequence[Candidate]
    """What they were read from; of several copies of one what any of them has."""
    numbers: NDArray[np.float64]
    """``(k, n)``: date, magnitude; and of detections what else is in the table of ranges, in its order."""
    band: NDArray[np.str_]
    """zg, zr, zi; empty where the item names none of them."""
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
        if isinstance(places, slice):
            return Measurements(self.items[places], self.numbers[:, places], self.band[places], self.sign[places])
        items = [self.items[place] for place in places.tolist()]
        return Measurements(items, self.numbers.take(places, 1), self.band.take(places), self.sign.take(places))

    def brightest(self, among: NDArray[np.bool_]) -> int | None:
        """Return the place of the brightest of some, the earlier of two as bright; None of none."""
        places = among.nonzero()[0]
        return int(places[self.magnitude[places].argmin()]) if len(places) else None

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
    solar_system: Sequence[Candidate] = ()
    """Detections at known solar-system objects, which are not the object's own."""

    @functools.cached_property
    def fades(self) -> bool:
        """Whether all detections are negative."""
        return all_negative(self.detections.sign)

    def as_scored(self) -> "DetectionTable":
        """Return the table as it is, or of an object that fades its mirror."""
        return replace(self, detections=self.detections.mirrored()) if self.fades else self

    @functools.cached_property
    def of_stamps(self) -> int | None:
        """The place of the brightest positive detection that says where its stamps are; None where none does."""
        return self.detections.brightest((self.detections.sign > 0) & has_urls(self.detections.items))


def has_urls(items: Sequence[Candidate]) -> NDArray[np.bool_]:
    """Tell which measurements say where their stamps are, ``(n,)``."""
    urls = [item.image_urls for item in items]
    if {dict}.issuperset(map(type, urls)):  # nearly always, where there are any
        return np.ones(len(urls), dtype=bool)
    return np.array([isinstance(places, Mapping) for places in urls], dtype=bool)


def read_candidates(candidates: Sequence[object], latest_jd: float = math.inf) -> DetectionTable:
    """Read an object's measurements, in any order.

    Parameters
    ----------
    candidates
        Items as Lasair gives them, or as they are decoded: detections, and upper limits, which have neither a candid
        nor an error of their magnitude. Dates are ``jd``, or ``mjd`` or ``utc`` where that is none.
    latest_jd
        What is dated later is left out.
    """
    items = candidates_of(candidates)
    seen, limits = _told_apart(items)
    measured, n_seen = _measured(seen, limits), len(seen)
    left_out, unphysical, has_later = (), _unphysical(seen, measured.numbers[:, :n_seen]), False
    is_usable = (measured.time_jd <= latest_jd) & (measured.magnitude > 0) & (measured.band != "")
    if not (is_usable.all() and measured.sign.all()):
        left_out = _unreadable(seen, measured.at(slice(n_seen)))
        has_later = bool((measured.time_jd > latest_jd).any())
        if np.isnan(measured.time_jd[n_seen:]).any():
            unphysical += ("some candidates have neither candid nor a date (jd)",)
        measured, n_seen = measured.at(is_usable.nonzero()[0]), int(is_usable[:n_seen].sum())
    if len(items) < len(candidates):
        left_out += (f"{len(candidates) - len(items)} of {len(candidates)} candidates have no named values",)
    detections, limits = _each_once(measured, n_seen)
    is_theirs = _of_solar_system(detections)
    if not is_theirs.any():
        return DetectionTable(detections, limits, has_later, left_out, unphysical)
    theirs = detections.at(np.flatnonzero(is_theirs)).items
    left_out = (_at_solar_system_objects(theirs, len(detections)), *left_out)
    own = detections.at(np.flatnonzero(~is_theirs))
    return DetectionTable(own, limits, has_later, left_out, unphysical, theirs)


def _told_apart(items: Sequence[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """Tell detections from upper limits."""
    seen = [item for item in items if item.candid is not None or item.sigmapsf is not None]
    limits = [item for item in items if item.candid is None and item.sigmapsf is None]
    candids = [item.candid for item in seen]
    if candids and not ({int}.issuperset(map(type, candids)) and min(candids) > 0):
        is_seen = [_is_detection(item) for item in seen]
        limits += [item for item, this in zip(seen, is_seen, strict=True) if not this]
        seen = list(itertools.compress(seen, is_seen))
    return seen, limits


def _is_detection(item: Candidate) -> bool:
    # A float names a candidate, too, though it holds too few digits to say which.
    return (number(item.candid) or 0.0) > 0 or within(number(item.sigmapsf), *_RANGES["sigmapsf"]) is not None


def _measured(seen: Sequence[Candidate], limits: Sequence[Candidate]) -> Measurements:
    """Read detections, and behind them upper limits: Lasair copies a limit to magpsf, a packet has it by itself."""
    items = [*seen, *limits]
    numbers = np.full((len(_RANGES), len(items)), np.nan)
    numbers[:, : len(seen)] = _numbers(seen, *_RANGES)
    numbers[:_ERROR, len(seen) :] = _numbers(limits, "jd", "diffmaglim")
    numbers[~((numbers >= _LOW) & (numbers <= _HIGH))] = np.nan
    if np.isnan(numbers[: _MAGNITUDE + 1]).any():
        for place in np.isnan(numbers[_DATE]).nonzero()[0].tolist():
            jd = julian_date(items[place].jd, items[place].mjd, items[place].utc)
            numbers[_DATE, place] = nan if jd is None else jd
        of_limits = numbers[_MAGNITUDE, len(seen) :]
        copied = physical(floats([item.magpsf for item in limits]), *MAGNITUDE_RANGE)
        np.copyto(of_limits, copied, where=np.isnan(of_limits))
    sign = np.ones(len(items), dtype=np.int8)
    sign[: len(seen)] = _signs(seen)
    return Measurements(items, numbers, _bands(items), sign)


def _numbers(items: Sequence[Candidate], *names: str) -> NDArray[np.float64]:
    """Lay some fields out, ``(n_fields, n)``; NaN for what is no number."""
    values = list(itertools.chain.from_iterable(map(attrgetter(*names), items)))
    try:
        found = np.frombuffer(struct.pack(f"{len(values)}d", *values)) if are_typed(items) else floats(values)
    except (struct.error, OverflowError):  # one is None, or beyond all floats
        found = floats(values)
    return found.reshape(len(items), len(names)).T


def _bands(items: Sequence[Candidate]) -> NDArray[np.str_]:
    fids = [item.fid for item in items]
    if are_typed(items):
        with contextlib.suppress(TypeError, ValueError):  # one is no whole number, or none of a byte
            return _NAMES[np.frombuffer(bytes(fids), np.uint8)]
    return np.array([SPELLINGS.name(fid) or "" for fid in fids], dtype=_NAMES.dtype)


def _signs(items: Sequence[Candidate]) -> list[int]:
    values = [item.isdiffpos for item in items]
    try:
        return [_USUAL_SIGNS[value] for value in values]
    except (KeyError, TypeError):
        return [{True: 1, False: -1, None: 0}[sign_of(value)] for value in values]


def _each_once(measured: Measurements, n_seen: int) -> tuple[Measurements, Measurements]:
    """Take each exposure once, in time order; return detections, and upper limits, which come behind them."""
    order = np.argsort(measured.time_jd, kind="stable")
    times = measured.time_jd[order]
    is_close = times[1:] - times[:-1] < SAME_EXPOSURE_DAYS
    of_candid = _copies(measured.items[:n_seen])
    if of_candid or is_close.any():
        close = np.flatnonzero(is_close)
        in_question = sorted({*order[close].tolist(), *order[close + 1].tolist(), *of_candid})
        measured, gone = _put_together(measured, n_seen, in_question)
        order = np.lexsort((measured.band, measured.time_jd))
        order = order[~np.isin(order, gone)]
    is_seen = order < n_seen
    return measured.at(order[is_seen]), measured.at(order[~is_seen])


def _copies(items: Sequence[Candidate]) -> list[int]:
    """Return the places of detections whose candid another one has."""
    candids = [item.candid for item in items]
    if {int}.issuperset(map(type, candids)) and len(set(candids)) == len(candids):
        return []
    places: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        if (own := _identity(item)) is not None:
            places.setdefault(own, []).append(place)
    return [place for same in places.values() if len(same) > 1 for place in same]


def _put_together(measured: Measurements, n_seen: int, places: Sequence[int]) -> tuple[Measurements, list[int]]:
    """Put together what is one and the same of some measurements; return what has to go, too.

    What the detection that is kept lacks is filled in from the others.
    """
    items, gone = list(measured.items), []
    entries = [_as_measurement(measured, place, is_limit=place >= n_seen) for place in places]
    for group in each_once(entries, SAME_EXPOSURE_DAYS):
        first, *others = (places[member] for member in group)
        gone += others
        copies = [items[place] for place in (first, *others) if place < n_seen]
        if len(copies) > 1:
            items[first] = _joined(copies)
            of_all = _measured([items[first]], [])
            measured.numbers[:, first] = of_all.numbers[:, 0]
            measured.sign[first] = of_all.sign[0]
    return Measurements(items, measured.numbers, measured.band, measured.sign), gone


def _as_measurement(measured: Measurements, place: int, is_limit: bool) -> Measurement:
    error = math.nan if is_limit else measured.magnitude_error[place]
    return Measurement(
        band=str(measured.band[place]),
        time_days=float(measured.time_jd[place]),
        is_limit=is_limit,
        error=math.inf if math.isnan(error) else float(error),
        brightness=float(measured.magnitude[place]),
        sign=int(measured.sign[place]),
        identity=None if is_limit else _identity(measured.items[place]),
    )


def _joined(copies: Sequence[Candidate]) -> Candidate:
    """Take of each field the first value that is one."""
    of_fields = zip(*map(astuple, copies), strict=True)
    return OddCandidate(*(next((value for value in values if not is_absent(value)), None) for values in of_fields))


def _identity(item: Candidate) -> int | None:
    candid = whole_number(item.candid)
    return candid if candid is not None and candid >= LEAST_CANDID else None


def _of_solar_system(detections: Measurements) -> NDArray[np.bool_]:
    separation = detections.numbers[_SOLAR_SYSTEM]
    is_near = separation <= SOLAR_SYSTEM_ARCSEC
    if not is_near.any():
        return is_near
    predicted = physical(floats([item.ssmagnr for item in detections.items]), *PREDICTED_RANGE)
    return of_solar_system(separation, detections.magnitude - predicted, detections.ra_deg, detections.dec_deg)


def _unreadable(seen: Sequence[Candidate], detections: Measurements) -> tuple[str, ...]:
    """Name the values without which a detection is in none of the views, or not in all."""
    is_known = {
        "jd": ~np.isnan(detections.time_jd),
        "magpsf": ~np.isnan(detections.magnitude),
        "fid": detections.band != "",
        "isdiffpos": detections.sign != 0,
    }
    return unknown_values(seen, is_known, _EXPECTED)


def _unphysical(seen: Sequence[Candidate], numbers: NDArray[np.float64]) -> tuple[str, ...]:
    """Name the values that are no values, and without which a detection is in all views nonetheless."""
    is_number, known = ~np.isnan(numbers), {}
    n_numbers = is_number.sum(axis=1).tolist()
    for name, row in _OPTIONAL.items():
        if n_numbers[row] < len(seen):
            values = map(attrgetter(name), seen)
            if sum(value is not None and value is not nan for value in values) > n_numbers[row]:
                known[name] = is_number[row] | [is_absent(getattr(item, name)) for item in seen]
    return unknown_values(seen, known, _EXPECTED)


def _at_solar_system_objects(items: Sequence[Candidate], n_detections: int) -> str:
    named = [item.ssnamenr for item in items]
    known = dict.fromkeys(str(name).strip() for name in named if isinstance(name, str | int) and not is_absent(name))
    which = f"the known solar-system object {', '.join(known)}" if known else "a known solar-system object"
    return f"{len(items)} of {n_detections} detections, at {which}"
