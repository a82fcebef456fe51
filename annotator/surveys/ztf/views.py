"""The views of one table of detections: light curve, Lasair's columns, stamps, real-bogus scores, mean position."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.surveys.values import JD_MINUS_MJD, number, sign_of, within
from annotator.surveys.ztf.candidates import DetectionTable, Measurements
from annotator.surveys.ztf.columns import PACKET_HISTORY_DAYS, Detection, lasair_columns
from annotator.transient import CutoutReference, LightCurve

GOOD_REAL_BOGUS = 0.75
"""Lasair's own threshold on rb or drb for its count of good detections."""

FADING_DRB = 0.9
"""From which on a negative difference is a source that is fainter than in its template, and no bad subtraction."""

MAX_PIXEL = 3100.0
"""No quadrant of ZTF's camera has as many rows or columns."""

_KINDS = ("Science", "Template", "Difference")


def light_curve(table: DetectionTable) -> LightCurve:
    """Return what was measured; a detection of which nobody says whether it is positive is left out."""
    seen, limits = table.detections, table.limits
    if not seen.sign.all():
        seen = seen.at(np.flatnonzero(seen.sign))
    return LightCurve(
        time_mjd=seen.time_jd - JD_MINUS_MJD,
        band=seen.band,
        magnitude=seen.magnitude,
        magnitude_error=seen.magnitude_error,
        is_positive=seen.sign > 0,
        limit_time_mjd=limits.time_jd - JD_MINUS_MJD,
        limit_band=limits.band,
        limit_magnitude=limits.magnitude,
    )


def columns(table: DetectionTable) -> dict[str, float | int | None]:
    """Compute Lasair's columns; empty of no detections.

    No count of good detections is there where none is known to be good, and of some it is not known. Of an object that
    fades they are its mirror's, but for that count, which is of positive detections.
    """
    if not len(table.detections):
        return {}
    packet, mirrored = _packet(table.detections), _packet(table.as_scored().detections)
    fields = (
        packet.time_jd,
        packet.band == "g",
        packet.magnitude,
        packet.magnitude_error,
        mirrored.sign > 0,
        (packet.sign > 0) & ((packet.rb > GOOD_REAL_BOGUS) | (packet.drb > GOOD_REAL_BOGUS)),
        packet.ra_deg,
        packet.dec_deg,
    )
    computed = lasair_columns([Detection(*row) for row in zip(*map(_plain, fields), strict=True)])
    may_be_good = (packet.sign >= 0) & np.isnan(packet.rb) & np.isnan(packet.drb) | (packet.sign == 0)
    if computed["ncandgp"] is None and may_be_good.any():
        del computed["ncandgp"]
    return computed


def n_fading(table: DetectionTable) -> int | None:
    """Count the clearly real negative differences among the detections that Lasair's columns are of; None of none."""
    if not len(table.detections):
        return None
    packet = _packet(table.detections)
    return int(np.count_nonzero((packet.sign < 0) & (packet.drb >= FADING_DRB)))


def _packet(seen: Measurements) -> Measurements:
    return seen.at(slice(int(np.searchsorted(seen.time_jd, seen.time_jd[-1] - PACKET_HISTORY_DAYS)), None))


def _plain(values: NDArray) -> list:
    """Return an array's values, None for NaN."""
    plain = values.tolist()
    return [None if value != value else value for value in plain] if values.dtype.kind == "f" else plain


def real_bogus(record: Mapping[str, object], table: DetectionTable) -> dict[str, float]:
    """Return the survey's own scores of how real a detection is, ``rb`` and ``drb``, 0 to 1, those that there are.

    They are those of the epoch whose stamps are scored (:func:`cutouts`). A score that this epoch lacks, or all where
    no epoch has stamps, is the best over the positive detections, or the negative ones of an object that fades: in
    favour of the object.
    """
    seen = table.as_scored().detections
    is_positive = seen.sign > 0
    of_stamps = _brightest(seen, is_positive & _has_urls(seen.items))
    own = record.get("candidate")
    if own is not None:
        same = [place for place, item in enumerate(seen.items) if item.get("candid") == own.get("candid")]
        of_stamps = same[0] if same else of_stamps
    scores = {}
    for name, values in (("rb", seen.rb), ("drb", seen.drb)):
        own = math.nan if of_stamps is None else float(values[of_stamps])
        if math.isnan(own):
            own = float(np.fmax.reduce(values[is_positive], initial=math.nan))
        if not math.isnan(own):
            scores[name] = own
    return scores


def cutouts(record: Mapping[str, object], table: DetectionTable | None) -> CutoutReference | None:
    """Find where a record's stamps are.

    Its own ``cutouts`` (paths or URLs) come first, which are those of its brightest positive detection, or of an alert
    packet's own; then the brightest positive detection that has ``image_urls``; and only where no detection has any,
    the record's own ``image_urls``, which Lasair fills from the last detection whatever its sign. Of an object that
    fades they are those of the deepest negative detection.

    Returns
    -------
    CutoutReference
        None where the record does not speak of stamps.

    Raises
    ------
    MissingModalityError
        If it does, and yet there are none to use.
    """
    table = None if table is None else table.as_scored()
    given = record.get("cutouts")
    if given is not None:
        places = given if isinstance(given, Mapping) else {}
        whose = record if table is None else _whose(record, table)
        return _reference({kind: places.get(kind.lower(), places.get(kind)) for kind in _KINDS}, whose)
    if table is None or not (has_urls := _has_urls(table.detections.items)).any():
        if table is not None and _has_urls(table.solar_system).any():
            raise MissingModalityError("only detections at known solar-system objects have cutouts")
        urls = record.get("image_urls")
        return _reference(urls, {}) if isinstance(urls, Mapping) and urls else None
    seen = table.detections
    place = _brightest(seen, has_urls & (seen.sign > 0))
    if place is None:
        raise MissingModalityError("no positive detection has cutouts")
    item = seen.items[place]
    return _reference(item["image_urls"], item, float(seen.time_jd[place]) - JD_MINUS_MJD)


def _whose(record: Mapping[str, object], table: DetectionTable) -> Mapping[str, object]:
    """Return the detection that a record's own stamps are of: an alert packet's own, else the brightest positive one.

    Raises
    ------
    MissingModalityError
        If that is at a known solar-system object.
    """
    own, seen = record.get("candidate"), table.detections
    place = _brightest(seen, seen.sign > 0)
    if own is not None:
        is_theirs = any(own.get("candid") == item.get("candid") for item in table.solar_system)
    else:
        brightest = math.inf if place is None else seen.magnitude[place]
        theirs = [number(item.get("magpsf")) for item in table.solar_system if sign_of(item.get("isdiffpos"))]
        is_theirs = any(magnitude < brightest for magnitude in theirs)
    if is_theirs:
        raise MissingModalityError("its stamps are of a detection at a known solar-system object")
    return own or ({} if place is None else seen.items[place])


def _has_urls(items: Sequence[Mapping[str, object]]) -> NDArray[np.bool_]:
    return np.array([isinstance(item.get("image_urls"), (dict, Mapping)) for item in items], dtype=bool)


def _brightest(seen: Measurements, among: NDArray[np.bool_]) -> int | None:
    """Return the place of the brightest of some detections, the earlier of two as bright; None of none."""
    places = np.flatnonzero(among)
    return int(places[np.argmin(seen.magnitude[places])]) if len(places) else None


def _reference(
    places: Mapping[str, object], whose: Mapping[str, object], time_mjd: float | None = None
) -> CutoutReference:
    """Return where three stamps are, with where on the detector the detection is that they are of."""
    named = {kind: place for kind in _KINDS if isinstance(place := places.get(kind), str) and place}
    if len(named) < len(_KINDS):
        absent = ", ".join(kind.lower() for kind in _KINDS if kind not in named)
        raise MissingModalityError(f"the record names no {absent} stamp")
    x_pixel, y_pixel = (within(number(whose.get(name)), 0.0, MAX_PIXEL) for name in ("xpos", "ypos"))
    is_negative = sign_of(whose.get("isdiffpos")) is False
    return CutoutReference(*named.values(), time_mjd, x_pixel, y_pixel, is_negative)
