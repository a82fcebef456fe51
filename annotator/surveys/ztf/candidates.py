"""What Lasair-ZTF's `object` answers beside columns: the light curve in its candidates, and where the stamps are."""

import math
from collections.abc import Iterable, Mapping
from operator import attrgetter, itemgetter
from typing import NamedTuple

import numpy as np

from annotator.errors import MissingModalityError
from annotator.surveys.ztf.columns import Detection
from annotator.transient import CutoutReference, LightCurve

JD_MINUS_MJD = 2400000.5
JD_RANGE = (2447892.5, 2488069.5)
"""1990 to 2100: outside, it is no date of this survey."""

GOOD_REAL_BOGUS = 0.75
"""Lasair's own threshold on rb or drb for its count of good detections."""

BANDS = {1: "g", 2: "r", 3: "i"}
"""ZTF's filter numbers."""

MAGNITUDE_RANGE = (5.0, 26.0)
MAX_MAGNITUDE_ERROR = 2.0
"""Above this an error is a sentinel: a detection has a signal-to-noise ratio of 5, an error of 0.2 mag."""

SAME_EXPOSURE_DAYS = 10 / 86400
"""ZTF exposes for 30 s: two measurements in one band closer than this are of one exposure."""

_MAPPING = (dict, Mapping)  # what is a dict, nearly all, is told in a tenth of the time
_KINDS = ("Science", "Template", "Difference")
_SIGNS = {"t": True, "true": True, "f": False, "false": False}


def number(value: object) -> float | None:
    """Return a finite number, or None for anything that is not one; text that is a number counts."""
    if type(value) is float:  # nearly all of them
        return value if math.isfinite(value) else None
    if value is None or type(value) is bool or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def within(value: float | None, low: float, high: float) -> float | None:
    """Return a value that lies between two others, both included, else None."""
    return value if value is not None and low <= value <= high else None


def is_detection(candidate: Mapping[str, object]) -> bool:
    """Tell a detection from an upper limit, which has no candid, and no error of its magnitude either."""
    return candidate.get("candid") is not None or number(candidate.get("sigmapsf")) is not None


def is_positive(candidate: Mapping[str, object]) -> bool | None:
    """Tell whether the object was brighter than in the template; None where it is not said."""
    sign = candidate.get("isdiffpos")
    if sign == "t":
        return True
    if isinstance(sign, str) and sign.strip().lower() in _SIGNS:
        return _SIGNS[sign.strip().lower()]
    return sign if isinstance(sign, bool) else {1.0: True, 0.0: False}.get(number(sign))


def column_detections(candidates: Iterable[object]) -> list[Detection]:
    """Take out what Lasair computes its columns from: detections of any filter."""
    detections = []
    for candidate in candidates:
        if not isinstance(candidate, _MAPPING) or not is_detection(candidate):
            continue
        jd, magnitude = number(candidate.get("jd")), number(candidate.get("magpsf"))
        if jd is None or magnitude is None:
            continue
        detections.append(
            Detection(
                jd=jd,
                is_g=number(candidate.get("fid")) == 1,
                magnitude=magnitude,
                magnitude_error=number(candidate.get("sigmapsf")),
                is_positive=is_positive(candidate) is True,
                is_good=_is_good(candidate.get("drb")) or _is_good(candidate.get("rb")),
                ra_deg=number(candidate.get("ra")),
                dec_deg=number(candidate.get("dec")),
            )
        )
    return detections


def _is_good(real_bogus: object) -> bool:
    score = number(real_bogus)
    return score is not None and score > GOOD_REAL_BOGUS


class _Point(NamedTuple):
    """One usable item, ordered so that of two of one exposure the better comes first, whatever their order was."""

    band: str
    time_mjd: float
    is_limit: bool
    magnitude_error: float
    """Infinity where it is unknown."""
    magnitude: float
    is_positive: bool


def light_curve(candidates: Iterable[object]) -> LightCurve:
    """Read a light curve.

    Parameters
    ----------
    candidates
        Items as Lasair gives them: detections, and upper limits, which have no candid. Dates are ``jd``, or ``mjd``
        where that is absent.

    Returns
    -------
    LightCurve
        In time order, each exposure once. An item without a date, a filter or a magnitude that can be, or a detection
        without a sign, is left out; an error that cannot be is NaN.
    """
    points = [point for item in candidates if isinstance(item, _MAPPING) and (point := _point(item)) is not None]
    kept: list[_Point] = []
    for point in sorted(points):
        is_same = kept and kept[-1].band == point.band and point.time_mjd - kept[-1].time_mjd < SAME_EXPOSURE_DAYS
        if not is_same:
            kept.append(point)
        elif kept[-1].is_limit and not point.is_limit:
            kept[-1] = point
    kept.sort(key=attrgetter("time_mjd", "band"))
    seen = [point for point in kept if not point.is_limit]
    limits = [point for point in kept if point.is_limit]
    errors = np.array([point.magnitude_error for point in seen], dtype=np.float64)
    return LightCurve(
        time_mjd=np.array([point.time_mjd for point in seen], dtype=np.float64),
        band=np.array([point.band for point in seen], dtype="<U1"),
        magnitude=np.array([point.magnitude for point in seen], dtype=np.float64),
        magnitude_error=np.where(np.isinf(errors), np.nan, errors),
        is_positive=np.array([point.is_positive for point in seen], dtype=np.bool_),
        limit_time_mjd=np.array([point.time_mjd for point in limits], dtype=np.float64),
        limit_band=np.array([point.band for point in limits], dtype="<U1"),
        limit_magnitude=np.array([point.magnitude for point in limits], dtype=np.float64),
    )


def _point(item: Mapping[str, object]) -> _Point | None:
    fid = item.get("fid")
    band = BANDS.get(fid if type(fid) is int else number(fid))
    time_mjd = _time_mjd(item)
    if band is None or time_mjd is None:
        return None
    if not is_detection(item):
        # Lasair copies the limit to magpsf; a packet has it in diffmaglim alone.
        limit = _magnitude(item.get("diffmaglim"))
        limit = _magnitude(item.get("magpsf")) if limit is None else limit
        return None if limit is None else _Point(band, time_mjd, True, math.inf, limit, True)
    magnitude, sign = _magnitude(item.get("magpsf")), is_positive(item)
    if magnitude is None or sign is None:
        return None
    error = number(item.get("sigmapsf"))
    usable = error is not None and 0 < error <= MAX_MAGNITUDE_ERROR
    return _Point(band, time_mjd, False, error if usable else math.inf, magnitude, sign)


def _magnitude(value: object) -> float | None:
    magnitude = number(value)
    return magnitude if magnitude is not None and MAGNITUDE_RANGE[0] <= magnitude <= MAGNITUDE_RANGE[1] else None


def is_after(candidate: object, jd: float) -> bool:
    """Tell whether a candidate is dated later."""
    own_jd = _jd(candidate) if isinstance(candidate, _MAPPING) else None
    return own_jd is not None and own_jd > jd


def _jd(item: Mapping[str, object]) -> float | None:
    jd = number(item.get("jd"))
    if jd is None and (mjd := number(item.get("mjd"))) is not None:
        jd = mjd + JD_MINUS_MJD
    return jd


def _time_mjd(item: Mapping[str, object]) -> float | None:
    jd = _jd(item)
    return jd - JD_MINUS_MJD if jd is not None and JD_RANGE[0] <= jd <= JD_RANGE[1] else None


def cutouts(record: Mapping[str, object]) -> CutoutReference | None:
    """Find where a record's stamps are.

    Its own ``cutouts`` (paths or URLs) come first; then the brightest positive detection that has ``image_urls``; and
    only where no detection has any, the record's own ``image_urls``, which Lasair fills from the last detection
    whatever its sign.

    Returns
    -------
    CutoutReference
        None where the record does not speak of stamps.

    Raises
    ------
    MissingModalityError
        If it does, and yet there are none to use.
    """
    given, candidates = record.get("cutouts"), record.get("candidates")
    if given is not None:
        places = given if isinstance(given, Mapping) else {}
        return _reference({kind: places.get(kind.lower()) for kind in _KINDS}, None)
    shown = [
        item
        for item in (candidates if isinstance(candidates, list) else ())
        if isinstance(item, _MAPPING) and isinstance(item.get("image_urls"), _MAPPING) and is_detection(item)
    ]
    if not shown:
        urls = record.get("image_urls")
        return _reference(urls, None) if isinstance(urls, Mapping) and urls else None
    item = _brightest(shown)
    if item is None:
        raise MissingModalityError("no positive detection has cutouts")
    return _reference(item["image_urls"], _time_mjd(item))


def _brightest(detections: Iterable[Mapping[str, object]]) -> Mapping[str, object] | None:
    """Return the brightest positive detection, the earlier of two as bright; None where there is none."""
    usable = [
        ((magnitude, time_mjd), item)
        for item in detections
        if is_positive(item)
        and (magnitude := _magnitude(item.get("magpsf"))) is not None
        and (time_mjd := _time_mjd(item)) is not None
    ]
    return min(usable, key=itemgetter(0))[1] if usable else None


def real_bogus(candidates: Iterable[object]) -> dict[str, float]:
    """Read the survey's own scores of how real a detection is, ``rb`` and ``drb``, 0 to 1, those that there are.

    They are those of the epoch whose stamps are scored (:func:`cutouts`). A score that this epoch lacks, or all where
    no epoch has stamps, is the best over the positive detections: in favour of the object.
    """
    positive = [item for item in candidates if isinstance(item, _MAPPING) and is_detection(item) and is_positive(item)]
    of_stamps = _brightest(item for item in positive if isinstance(item.get("image_urls"), _MAPPING)) or {}
    scores = {}
    for name in ("rb", "drb"):
        best = [score for item in positive if (score := within(number(item.get(name)), 0.0, 1.0)) is not None]
        if best:
            own = within(number(of_stamps.get(name)), 0.0, 1.0)
            scores[name] = max(best) if own is None else own
    return scores


def _reference(places: Mapping[str, object], time_mjd: float | None) -> CutoutReference:
    named = {kind: place for kind in _KINDS if isinstance(place := places.get(kind), str) and place}
    if len(named) < len(_KINDS):
        absent = ", ".join(kind.lower() for kind in _KINDS if kind not in named)
        raise MissingModalityError(f"the record names no {absent} stamp")
    return CutoutReference(*named.values(), time_mjd)
