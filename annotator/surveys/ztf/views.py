"""The views of one table of detections: light curve, Lasair's columns, stamps, real-bogus scores, mean position."""

import math
from collections.abc import Mapping

import numpy as np

from annotator.errors import MissingModalityError
from annotator.surveys.packet_stamps import has_stamps, read_stamps
from annotator.surveys.values import JD_MINUS_MJD, number, sign_of, within
from annotator.surveys.ztf.candidates import DetectionTable, Measurements, has_urls
from annotator.surveys.ztf.columns import PACKET_HISTORY_DAYS, Detection, lasair_columns
from annotator.surveys.ztf.items import Candidate, OddCandidate
from annotator.transient import CutoutReference, LightCurve, Triplet

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
    return LightCurve.of_magnitudes(
        time_mjd=seen.time_jd - JD_MINUS_MJD,
        band=seen.band,
        magnitude=seen.magnitude,
        magnitude_error=seen.magnitude_error,
        sign=seen.sign,
        limit_time_mjd=limits.time_jd - JD_MINUS_MJD,
        limit_band=limits.band,
        limit_magnitude=limits.magnitude,
    )


def columns(table: DetectionTable) -> dict[str, float | int | None]:
    """Compute Lasair's columns; empty of no detections.

    No count of good detections is there where none is known to be good, and of some it is not known. Of an object that
    fades they are its mirror's, but for that count, which is of positive detections.
    """
    seen = table.detections
    if not len(seen):
        return {}
    packet = _packet(seen)
    jd, magnitude, error, ra_deg, dec_deg, rb, drb, _ = seen.numbers[:, packet].tolist()
    sign = seen.sign[packet].tolist()
    fields = (
        jd,
        (seen.band[packet] == "zg").tolist(),
        magnitude,
        _plain(error),
        [value < 0 for value in sign] if table.fades else [value > 0 for value in sign],
        [
            value > 0 and (one > GOOD_REAL_BOGUS or other > GOOD_REAL_BOGUS)
            for value, one, other in zip(sign, rb, drb, strict=True)
        ],
        _plain(ra_deg),
        _plain(dec_deg),
    )
    computed = lasair_columns([*map(Detection._make, zip(*fields, strict=True))])
    if computed["ncandgp"] is None and any(map(_may_be_good, sign, rb, drb)):
        del computed["ncandgp"]
    return computed


def n_fading(table: DetectionTable) -> int | None:
    """Count the clearly real negative differences among the detections that Lasair's columns are of; None of none."""
    seen = table.detections
    if not len(seen):
        return None
    packet = _packet(seen)
    return int(np.count_nonzero((seen.sign[packet] < 0) & (seen.drb[packet] >= FADING_DRB)))


def _packet(seen: Measurements) -> slice:
    return slice(int(seen.time_jd.searchsorted(seen.time_jd[-1] - PACKET_HISTORY_DAYS)), None)


def _may_be_good(sign: int, rb: float, drb: float) -> bool:
    return sign == 0 or (sign > 0 and math.isnan(rb) and math.isnan(drb))


def _plain(values: list[float]) -> list[float | None]:
    """Return numbers, None for NaN."""
    return [None if value != value else value for value in values]


def real_bogus(record: Mapping[str, object], table: DetectionTable) -> dict[str, float]:
    """Return the survey's own scores of how real a detection is, ``rb`` and ``drb``, 0 to 1, those that there are.

    They are those of the epoch whose stamps are scored (:func:`cutouts`). A score that this epoch lacks, or all where
    no epoch has stamps, is the best over the positive detections, or the negative ones of an object that fades: in
    favour of the object.
    """
    table = table.as_scored()
    seen, of_stamps = table.detections, table.of_stamps
    if (of_packet := _place_of_packet(record, seen)) is not None:
        of_stamps = of_packet
    scores = {}
    for name, values in (("rb", seen.rb), ("drb", seen.drb)):
        own = math.nan if of_stamps is None else float(values[of_stamps])
        if math.isnan(own):
            own = float(np.fmax.reduce(values[seen.sign > 0], initial=math.nan))
        if not math.isnan(own):
            scores[name] = own
    return scores


def _place_of_packet(record: Mapping[str, object], seen: Measurements) -> int | None:
    """Return which detection an alert packet is of; None where it is none of them, or the record is no packet."""
    packet = record.get("candidate")
    if not isinstance(packet, Mapping):
        return None
    return next((place for place, item in enumerate(seen.items) if item.candid == packet.get("candid")), None)


def triplet(record: Mapping[str, object], table: DetectionTable | None) -> Triplet | None:
    """Return the stamps that an alert packet has itself, which are of its own detection; None of none.

    Raises
    ------
    MissingModalityError
        If one of the three is missing, or is no image, or if the detection is at a known solar-system object.
    """
    if table is None or not isinstance(record.get("candidate"), Mapping) or not has_stamps(record):
        return None
    whose, place = _whose(record, table), _place_of_packet(record, table.detections)
    time_mjd = None if place is None else float(table.detections.time_jd[place]) - JD_MINUS_MJD
    return Triplet(*read_stamps(record), time_mjd, *_on_detector(whose))


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
        whose = _own(record) if table is None else _whose(record, table)
        return _reference({kind: places.get(kind.lower(), places.get(kind)) for kind in _KINDS}, whose)
    if table is not None and table.of_stamps is not None:
        item = table.detections.items[table.of_stamps]
        return _reference(item.image_urls, item, float(table.detections.time_jd[table.of_stamps]) - JD_MINUS_MJD)
    if table is not None and has_urls(table.detections.items).any():
        raise MissingModalityError("no positive detection has cutouts")
    if table is not None and has_urls(table.solar_system).any():
        raise MissingModalityError("only detections at known solar-system objects have cutouts")
    urls = record.get("image_urls")
    return _reference(urls, Candidate()) if isinstance(urls, Mapping) and urls else None


def _whose(record: Mapping[str, object], table: DetectionTable) -> Candidate:
    """Return the detection that a record's own stamps are of: an alert packet's own, else the brightest positive one.

    Raises
    ------
    MissingModalityError
        If that is at a known solar-system object.
    """
    packet, seen = record.get("candidate"), table.detections
    if isinstance(packet, Mapping):
        whose = _own(packet)
        is_theirs = any(whose.candid == item.candid for item in table.solar_system)
    else:
        place = seen.brightest(seen.sign > 0)
        whose, brightest = (Candidate(), math.inf) if place is None else (seen.items[place], seen.magnitude[place])
        theirs = [number(item.magpsf) for item in table.solar_system if sign_of(item.isdiffpos)]
        is_theirs = any(magnitude < brightest for magnitude in theirs)
    if is_theirs:
        raise MissingModalityError("its stamps are of a detection at a known solar-system object")
    return whose


def _own(record: Mapping[str, object]) -> Candidate:
    """Return what a record or a packet's candidate says of its own stamps."""
    return OddCandidate(**{name: record.get(name) for name in ("candid", "isdiffpos", "xpos", "ypos")})


def _reference(places: Mapping[str, object], whose: Candidate, time_mjd: float | None = None) -> CutoutReference:
    """Return where three stamps are, with where on the detector the detection is that they are of."""
    named = {kind: place for kind in _KINDS if isinstance(place := places.get(kind), str) and place}
    if len(named) < len(_KINDS):
        absent = ", ".join(kind.lower() for kind in _KINDS if kind not in named)
        raise MissingModalityError(f"the record names no {absent} stamp")
    return CutoutReference(*named.values(), time_mjd, *_on_detector(whose))


def _on_detector(whose: Candidate) -> tuple[float | None, float | None, bool]:
    """Return where on the detector a detection is, and whether it is negative."""
    x_pixel, y_pixel = (within(number(pixel), 0.0, MAX_PIXEL) for pixel in (whose.xpos, whose.ypos))
    return x_pixel, y_pixel, sign_of(whose.isdiffpos) is False
