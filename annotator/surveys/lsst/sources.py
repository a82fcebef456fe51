"""What Rubin measured of one object, as Lasair answers it or an alert packet carries it: one table of measurements.

Each value is checked once, here, and each visit counted once; light curve, stamps, reliability and the mean position
are views of this table (:mod:`annotator.surveys.lsst.views`).
"""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.usable import sign_of
from annotator.surveys.detections import (
    Measurement,
    each_once,
    mostly_negative,
    of_solar_system,
    unknown_values,
)
from annotator.surveys.lsst.items import Source, are_typed, sources_of
from annotator.surveys.lsst.limits import NO_LIMITS, Limits, read_limits
from annotator.surveys.lsst.ranges import (
    MAX_FLUX_NJY,
    MJD_RANGE,
    POSITIVE_NUMBER,
    SAME_EXPOSURE_DAYS,
    SPELLINGS,
)
from annotator.surveys.values import (
    JD_MINUS_MJD,
    TAI_MINUS_UTC_DAYS,
    floats,
    is_absent,
    julian_date,
    number,
    shown,
    whole_number,
    within,
)
from annotator.transient import LightCurve

GOOD_RELIABILITY = 0.5
"""Lasair's own threshold for its count of good sources, of either sign; since February 2026 no alert below it is
sent."""

LEAST_SOURCE_ID = 10**12
"""Rubin's numbers are made of the visit, the detector and a count; a smaller one tells nothing apart."""

_RANGES = {
    "midpointMjdTai": MJD_RANGE,
    "psfFlux": (-MAX_FLUX_NJY, MAX_FLUX_NJY),
    "psfFluxErr": (POSITIVE_NUMBER, MAX_FLUX_NJY),
    "ra": (0.0, 360.0),
    "dec": (-90.0, 90.0),
    "decl": (-90.0, 90.0),
    "reliability": (0.0, 1.0),
    "scienceFlux": (-MAX_FLUX_NJY, MAX_FLUX_NJY),
    "templateFlux": (-MAX_FLUX_NJY, MAX_FLUX_NJY),
}
"""In which a value of a measurement is physical."""
_DATE, _FLUX, _ERROR, _RA, _DEC, _DECL, _RELIABILITY, _SCIENCE, _TEMPLATE = range(len(_RANGES))
_LOW, _HIGH = np.array([*_RANGES.values()]).T[:, :, None]
_OPTIONAL = {name: row for row, name in enumerate(_RANGES) if name not in ("midpointMjdTai", "psfFlux")}
_NO_FLUX = f"no flux within {MAX_FLUX_NJY:g} nJy of 0"
_EXPECTED = {
    "midpointMjdTai": "no date from 1990 to 2100",
    "psfFlux": _NO_FLUX,
    "band": f"none of {SPELLINGS.expected}",
    "psfFluxErr": f"no error above 0 and up to {MAX_FLUX_NJY:g} nJy",
    "ra": "no right ascension in degrees",
    "dec": "no declination in degrees",
    "decl": "no declination in degrees",
    "reliability": "no score from 0 to 1",
    "scienceFlux": _NO_FLUX,
    "templateFlux": _NO_FLUX,
}


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of one object, in time order: arrays of one length ``(n,)``, NaN where unknown."""

    items: Sequence[Source]
    """What they were read from."""
    numbers: NDArray[np.float64]
    """``(k, n)``, what is in the table of ranges, in its order; dates are MJD, TAI."""
    band: NDArray[np.str_]
    """One letter: u, g, r, i, z, y; empty where the item names none of them."""

    time_mjd = property(lambda self: self.numbers[_DATE] - TAI_MINUS_UTC_DAYS, doc="MJD, UTC.")
    flux_njy = property(lambda self: self.numbers[_FLUX])
    flux_error_njy = property(lambda self: self.numbers[_ERROR])
    ra_deg = property(lambda self: self.numbers[_RA])
    reliability = property(lambda self: self.numbers[_RELIABILITY])

    @property
    def dec_deg(self) -> NDArray[np.float64]:
        """Whichever name it has."""
        return np.where(np.isnan(self.numbers[_DEC]), self.numbers[_DECL], self.numbers[_DEC])

    @property
    def sign(self) -> NDArray[np.int8]:
        """1 where the object was brighter than in the template, -1 where it was fainter."""
        return np.sign(self.flux_njy).astype(np.int8)

    @property
    def total_njy(self) -> NDArray[np.float64]:
        """All light, in the science image: as it says itself, or the template's and what is more or less than that."""
        science, template = self.numbers[_SCIENCE], self.numbers[_TEMPLATE]
        return np.where(np.isnan(science), template + self.flux_njy, science)

    def __len__(self) -> int:
        return len(self.items)

    def at(self, places: NDArray[np.int64]) -> "Measurements":
        """Return those at some places."""
        items = [self.items[place] for place in places.tolist()]
        return Measurements(items, self.numbers.take(places, 1), self.band.take(places))


@dataclass(frozen=True, eq=False)
class SourceTable:
    """All that was measured of one object."""

    detections: Measurements
    """Its own, in time order."""
    forced: Measurements
    """Forced photometry at visits without a detection, in time order."""
    has_later: bool
    """Whether one was left out since its date is later than it can be."""
    left_out: tuple[str, ...] = ()
    """What is in none of the views, and why."""
    unphysical: tuple[str, ...] = ()
    """Values that nobody understands, of measurements that are in the views nonetheless."""
    n_solar_system: int = 0
    """Detections of known solar-system objects, which are none of its own."""
    limits: Limits = NO_LIMITS
    """Of the difference image, at visits without any measurement of it."""

    @functools.cached_property
    def light_curve(self) -> LightCurve:
        """What was measured; of an object that was not detected, nothing, whatever was measured where it is not."""
        seen = self.detections
        parts = (seen, self.forced) if len(seen) else (seen,)
        limits = self.limits if len(seen) else NO_LIMITS
        time_mjd = np.concatenate([part.time_mjd for part in parts])
        order = np.argsort(time_mjd, kind="stable")
        is_forced = np.repeat([False, True][: len(parts)], [len(part) for part in parts])
        return LightCurve(
            time_mjd=time_mjd[order],
            band=np.concatenate([part.band for part in parts])[order],
            flux_njy=np.concatenate([part.flux_njy for part in parts])[order],
            flux_error_njy=np.concatenate([part.flux_error_njy for part in parts])[order],
            is_forced=is_forced[order],
            limit_time_mjd=limits.time_mjd,
            limit_band=limits.band,
            limit_flux_njy=limits.flux_njy,
        )

    @property
    def total_light(self) -> LightCurve | None:
        """The detections, and of each all light that is there; None where one does not tell."""
        seen, total = self.detections, self.detections.total_njy
        if not len(seen) or not (total > 0).all():
            return None
        return LightCurve(seen.time_mjd, seen.band, total, seen.flux_error_njy, np.zeros(len(seen), dtype=bool))

    @functools.cached_property
    def fades(self) -> bool:
        """Whether the object is mostly fainter than in its template, and scored as its mirror.

        What is scored tells; where nothing of that is significant, most of the detections do.
        """
        sign = sign_of(self.light_curve)
        return sign < 0 if sign else mostly_negative(self.detections.sign)


def read_sources(
    detected: Sequence[object],
    forced: Sequence[object] = (),
    latest_mjd: float = math.inf,
    nondetections: Sequence[object] = (),
) -> SourceTable:
    """Read an object's measurements, in any order.

    Of a visit that has both, the detection counts and the forced measurement does not. Forced flux over detected flux
    is 0.999 in the middle, so that either would do; but messages without forced photometry are many, and an object must
    not change with the shape that it comes in.

    Parameters
    ----------
    detected, forced
        Items as Lasair gives them, or as they are decoded. Their dates are MJD, TAI.
    latest_mjd
        What is dated later (MJD, UTC) is left out.
    nondetections
        Visits at which nothing was detected, and how deep they were.
    """
    seen, of_seen = _read(detected, latest_mjd, "sources")
    other, of_other = _read(forced, latest_mjd, "forced measurements")
    seen = _each_once(seen, has_identity=True)
    is_theirs = _of_solar_system(seen)
    n_theirs = int(np.count_nonzero(is_theirs))
    if n_theirs:
        note = f"{n_theirs} of {len(seen)} detections, at {_named_objects(seen, is_theirs)}"
        of_seen.left_out.insert(0, note)
    other = _each_once(_without_detection(other, seen), has_identity=False)
    limits, not_read, is_later = read_limits(nondetections, latest_mjd)
    return SourceTable(
        seen.at(np.flatnonzero(~is_theirs)) if n_theirs else seen,
        other,
        of_seen.has_later or of_other.has_later or is_later,
        (*of_seen.left_out, *of_other.left_out, *not_read),
        (*of_seen.unphysical, *of_other.unphysical),
        n_theirs,
        _unmeasured(limits, (seen, other)),
    )


@dataclass
class _Notes:
    """What is told of what could not be read."""

    left_out: list[str]
    unphysical: list[str]
    has_later: bool = False


def _read(given: Sequence[object], latest_mjd: float, what: str) -> tuple[Measurements, _Notes]:
    items, notes = sources_of(given), _Notes([], [])
    if len(items) < len(given):
        notes.left_out.append(f"{len(given) - len(items)} of {len(given)} {what} have no named values")
    withdrawn = [within(number(item.timeWithdrawnMjdTai), *MJD_RANGE) is not None for item in items]
    if any(withdrawn):
        notes.left_out.append(f"{sum(withdrawn)} of {len(items)} {what}, withdrawn by the survey")
        items = [item for item, is_gone in zip(items, withdrawn, strict=True) if not is_gone]
    read = _measured(items)
    time, flux = read.numbers[_DATE], read.numbers[_FLUX]
    is_dated, has_band = ~np.isnan(time), read.band != ""
    known = {"midpointMjdTai": is_dated, "psfFlux": ~np.isnan(flux), "band": has_band}
    notes.left_out += unknown_values(items, known, _EXPECTED, what)
    is_later = read.time_mjd > latest_mjd
    notes.has_later = bool(is_later.any())
    optional = {
        name: ~np.isnan(read.numbers[row]) | [is_absent(getattr(item, name)) for item in items]
        for name, row in _OPTIONAL.items()
        if np.isnan(read.numbers[row]).any()
    }
    notes.unphysical += unknown_values(items, optional, _EXPECTED, what)
    is_usable = is_dated & has_band & ~np.isnan(flux) & ~is_later
    return (read if is_usable.all() else read.at(is_usable.nonzero()[0])), notes


def _measured(items: Sequence[Source]) -> Measurements:
    values = list(itertools.chain.from_iterable(map(attrgetter(*_RANGES), items)))
    numbers = floats(values).reshape(len(items), len(_RANGES)).T.copy()
    if not are_typed(items):
        for place in np.flatnonzero(~((numbers[_DATE] >= MJD_RANGE[0]) & (numbers[_DATE] <= MJD_RANGE[1]))).tolist():
            jd = julian_date(items[place].midpointMjdTai)
            numbers[_DATE, place] = nan if jd is None else jd - JD_MINUS_MJD
    numbers[~((numbers >= _LOW) & (numbers <= _HIGH))] = nan
    bands = [item.band for item in items]
    if not are_typed(items):
        bands = [SPELLINGS.name(band) for band in bands]
    return Measurements(items, numbers, np.array([band or "" for band in bands], dtype="<U1"))


def _each_once(measured: Measurements, has_identity: bool) -> Measurements:
    """Take each visit once, in time order."""
    order = np.lexsort((measured.band, measured.numbers[_DATE]))
    time = measured.numbers[_DATE, order]
    is_close = time[1:] - time[:-1] < SAME_EXPOSURE_DAYS
    identities = [_identity(item) if has_identity else None for item in measured.items]
    known = [identity for identity in identities if identity is not None]
    if not (is_close.any() or len(set(known)) < len(known)):
        return measured.at(order) if len(order) else measured
    error, flux = measured.flux_error_njy, measured.flux_njy
    entries = [
        Measurement(
            band=str(measured.band[place]),
            time_days=float(measured.numbers[_DATE, place]),
            is_limit=False,
            error=math.inf if math.isnan(error[place]) else float(error[place]),
            brightness=float(flux[place]),
            sign=0,
            identity=identities[place],
        )
        for place in range(len(measured))
    ]
    kept = np.zeros(len(measured), dtype=bool)
    kept[[group[0] for group in each_once(entries, SAME_EXPOSURE_DAYS)]] = True
    return measured.at(order[kept[order]])


def _identity(item: Source) -> int | None:
    source_id = whole_number(item.diaSourceId)
    return source_id if source_id is not None and source_id >= LEAST_SOURCE_ID else None


def _without_detection(forced: Measurements, seen: Measurements) -> Measurements:
    """Leave out forced measurements at visits that have a detection."""
    if not (len(forced) and len(seen)):
        return forced
    is_alone = np.ones(len(forced), dtype=bool)
    for band in set(forced.band.tolist()):
        of_band = np.flatnonzero(forced.band == band)
        times, theirs = np.sort(seen.numbers[_DATE, seen.band == band]), forced.numbers[_DATE, of_band]
        after = np.searchsorted(times, theirs - SAME_EXPOSURE_DAYS, side="right")
        before = np.searchsorted(times, theirs + SAME_EXPOSURE_DAYS, side="left")
        is_alone[of_band] = after == before
    return forced if is_alone.all() else forced.at(np.flatnonzero(is_alone))


def _unmeasured(limits: Limits, measured: Sequence[Measurements]) -> Limits:
    """Leave out upper limits at visits that have a measurement."""
    if not len(limits):
        return limits
    is_alone = np.ones(len(limits), dtype=bool)
    for part in measured:
        time, band = part.time_mjd, part.band
        for place in range(len(limits)):
            is_near = np.abs(time - limits.time_mjd[place]) < SAME_EXPOSURE_DAYS
            is_alone[place] &= not (is_near & (band == limits.band[place])).any()
    return limits.where(is_alone)


def _of_solar_system(seen: Measurements) -> NDArray[np.bool_]:
    """Tell which detections Rubin has put down to a known solar-system object; it tells of no predicted brightness."""
    separation = np.array([0.0 if _solar_system_id(item) else nan for item in seen.items])
    return of_solar_system(separation, np.full(len(seen), nan), seen.ra_deg, seen.dec_deg)


def _solar_system_id(item: Source) -> int:
    return max(whole_number(item.ssObjectId) or 0, 0)


def _named_objects(seen: Measurements, is_theirs: NDArray[np.bool_]) -> str:
    ids = dict.fromkeys(shown(_solar_system_id(seen.items[place])) for place in np.flatnonzero(is_theirs).tolist())
    return f"the known solar-system object {', '.join(ids)}"
