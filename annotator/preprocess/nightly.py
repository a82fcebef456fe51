"""Light curves as points: what is a measurement, each visit once, the visits of a night and band combined."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.transient import LightCurve

SYSTEMATIC_SHARE = 0.02
"""Of the flux, added in quadrature to the error of a night and band: no survey's photometry is calibrated better."""

NIGHT_GAP_DAYS = 0.5
"""A longer gap between visits, whatever their band, is a day: nobody sees an object for as long in a night, and a night
later it is back after two thirds of a day at the earliest."""

SAME_VISIT_DAYS = 1e-5
"""One visit's measurements of one band are the same measurement: no survey exposes twice in a second."""

MAX_FLUX_NJY, MIN_ERROR_NJY = 1e12, 1e-3
"""Of 1.4 mag, which no survey of transients measures, and of 39 mag at 5 sigma."""

MAX_MJD = 1e6
"""In the year 4596."""

UNKNOWN_ERROR_SHARE = 0.2
"""Of the flux, in place of an error that is not known: a detection at 5 sigma."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points of n objects, arrays of length ``(m,)``."""

    owner: NDArray[np.int64]
    """Number of the object, 0 to n-1, ascending."""
    time_days: NDArray[np.float64]
    """MJD."""
    band: NDArray[np.int64]
    """Number of the name."""
    flux: NDArray[np.float64]
    """Signed, nJy."""
    error: NDArray[np.float64]

    def where(self, kept: NDArray) -> "Points":
        """Return some of them, by mask or index."""
        return Points(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))


def laid_out(curves: Sequence[LightCurve], names: Sequence[str]) -> Points:
    """Lay all points out that are measurements: in a band of these names, of a time, flux and error that can be.

    Of measurements of one visit that with the smallest error counts, and they are by object, band and time.
    """
    owner = np.repeat(np.arange(len(curves)), [len(curve.time_mjd) for curve in curves])
    if not len(owner):
        return Points(owner, *(np.empty(0, kind) for kind in (float, np.int64, float, float)))
    time, flux, error = (
        np.concatenate([np.asarray(getattr(curve, name), dtype=np.float64) for curve in curves])
        for name in ("time_mjd", "flux_njy", "flux_error_njy")
    )
    bands = np.concatenate([np.asarray(curve.band, dtype=str) for curve in curves])
    place = np.minimum(np.searchsorted(names, bands), len(names) - 1)
    error = np.where(np.isnan(error), UNKNOWN_ERROR_SHARE * np.abs(flux), error)
    with np.errstate(invalid="ignore"):
        is_sound = (np.asarray(names)[place] == bands) & (np.abs(time) <= MAX_MJD)
        is_sound &= (np.abs(flux) <= MAX_FLUX_NJY) & (error >= MIN_ERROR_NJY) & (error <= MAX_FLUX_NJY)
    kept = np.flatnonzero(is_sound)
    # By flux and error too, so that the order of simultaneous points in the record changes nothing.
    kept = kept[np.lexsort((flux[kept], error[kept], time[kept], place[kept], owner[kept]))]
    owner, place, time = owner[kept], place[kept], time[kept]
    is_first = np.ones(len(kept), dtype=bool)
    is_first[1:] = (np.diff(owner) > 0) | (np.diff(place) > 0) | (np.diff(time) > SAME_VISIT_DAYS)
    return Points(owner, time, place, flux[kept], error[kept]).where(is_first)


def nightly(points: Points) -> Points:
    """Combine the visits of a night and band: means weighted by the inverse variance, and a floor of the error.

    They are by object, time and band.
    """
    by_time = np.lexsort((points.band, points.time_days, points.owner))
    points = points.where(by_time)
    night = np.cumsum(begins(points.owner, np.diff(points.time_days) > NIGHT_GAP_DAYS))
    grouped = np.lexsort((points.time_days, points.band, night))
    points, night = points.where(grouped), night[grouped]
    start = np.flatnonzero(begins(night, np.diff(points.band) > 0))
    weight = 1 / points.error**2
    whole, time, flux = (sums(values, start) for values in (weight, weight * points.time_days, weight * points.flux))
    time, flux = time / whole, flux / whole
    error = np.sqrt(1 / whole + (SYSTEMATIC_SHARE * flux) ** 2)
    nights = Points(points.owner[start], time, points.band[start], flux, error)
    return nights.where(np.lexsort((nights.band, nights.time_days, nights.owner)))


def begins(group: NDArray, is_new: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Tell where something new begins ``(m,)``: at a new group, and where `is_new` of a neighbour ``(m-1,)``."""
    found = np.ones(len(group), dtype=bool)
    found[1:] = np.diff(group) > 0
    if is_new is not None:
        found[1:] |= is_new
    return found


def sums(values: NDArray[np.float64], start: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sums of rows ``(m, ...)`` from each start to the next, ``(k, ...)``."""
    return np.add.reduceat(values, start, axis=0) if len(start) else values[:0]


def total(values: NDArray, owner: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Return what values ``(m,)`` sum up to for each object, ``(n,)``."""
    return np.bincount(owner, values, minlength=n)


def extent(points: Points, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first and the last time of each object, ``(n,)``, NaN where it has no point."""
    first, last = np.full(n, np.nan), np.full(n, np.nan)
    last[points.owner] = points.time_days
    first[points.owner[::-1]] = points.time_days[::-1]
    return first, last
