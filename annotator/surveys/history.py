"""How a survey knew an object before: seasons, and whether the present does what the past never did."""

import datetime
import functools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from annotator.nights import MJD_0
from annotator.transient import History, LightCurve

YEAR_DAYS = 365.25
SEASON_GAP_DAYS = 90.0
"""A season ends where nothing is detected for so long: most of the sky is behind the sun for as long each year."""
SEASON_DETECTIONS = 3
"""Positive ones that make a season: one or two can be anything."""
MOST_PRESENT_DAYS = 180.0
"""Of what is never behind the sun, or never fades, no more than this is the present."""
LEAST_LACKING_YEARS = 1.0
"""Of a source that was alerted so long ago a light curve of less than a season lacks what came before."""
NEW_DETECTIONS = 2
"""In one band, or nights with a colour, that have to do what the past never did: one can be a satellite or a ghost."""
PAST_DETECTIONS, PAST_NIGHTS = 5, 5
"""As many the past needs in one band, or nights with a colour, to have a scatter."""
LEAST_COLOUR_SCATTER_MAG = 0.1
"""A colour of two detections at a survey's depth is not known better."""
_ROBUST = 1.4826
"""Standard deviations of a normal distribution in a median absolute deviation."""


def history(
    curve: LightCurve | None,
    last_mjd: float | None = None,
    first_year: int | None = None,
    first_mjd: float | None = None,
    n_detections: int | None = None,
    compared: LightCurve | None = None,
) -> History:
    """Return what is known of an object's past.

    Parameters
    ----------
    curve
        All that the record has; of forced measurements nothing is counted.
    last_mjd
        Epoch of its last detection, where the record has no light curve.
    first_year
        In which the survey first alerted at its place; one after the last detection is none.
    first_mjd
        Epoch of the first detection there, where that is known beside the light curve.
    n_detections
        Detections there, ever.
    compared
        Whose positive fluxes tell whether the present is brighter or bluer than the past; None: nothing is said of it.
    """
    curve = None if curve is None else curve.detected()
    times = np.empty(0) if curve is None else curve.time_mjd
    last = float(times[-1]) if len(times) else last_mjd
    if first_year is not None and last is not None and first_year > _year_of(last):
        first_year = None
    starts = [mjd for mjd in (first_mjd, float(times[0]) if len(times) else None) if mjd is not None]
    years = [_year_of(mjd) for mjd in starts]
    if first_year is not None:
        starts.append(_end_of_year_mjd(first_year))
        years.append(first_year)
    counts = [count for count in (n_detections, None if curve is None else len(times)) if count is not None]
    known = History(
        first_year=min(years, default=None),
        years=round(max(0.0, last - min(starts)) / YEAR_DAYS, 3) if starts and last is not None else None,
        n_detections=max(counts, default=None),
    )
    if not len(times):
        return known
    n_negative = len(times) - int(np.count_nonzero(curve.is_positive))
    if last - times[0] < SEASON_GAP_DAYS:
        goes_back = (known.years or 0.0) < LEAST_LACKING_YEARS
        return replace(known, n_negative=n_negative, n_earlier_seasons=0 if goes_back else None)
    return replace(known, n_negative=n_negative, **_past(curve, compared))


def joined(own: History, found: History) -> History:
    """Return what either of two records of an object knows; the second has more of its light curve."""
    both = {name: value for name, value in vars(own).items() if value is not None}
    both |= {name: value for name, value in vars(found).items() if value is not None}
    for name, choose in (("first_year", min), ("years", max), ("n_detections", max)):
        values = [value for value in (getattr(own, name), getattr(found, name)) if value is not None]
        both |= {name: choose(values)} if values else {}
    return History(**both)


def _past(curve: LightCurve, compared: LightCurve | None) -> dict[str, float | int]:
    """Tell the seasons, and what is new of the present one."""
    positive = np.flatnonzero(curve.is_positive)
    times = curve.time_mjd[positive]
    begins = np.flatnonzero(np.diff(times, prepend=-np.inf) >= SEASON_GAP_DAYS)
    lengths = np.diff(begins, append=len(times))
    last_mjd = float(curve.time_mjd[-1])
    is_earlier = times[begins + lengths - 1] < last_mjd - SEASON_GAP_DAYS if len(begins) else np.empty(0, dtype=bool)
    found = {"n_earlier_seasons": int(np.count_nonzero(is_earlier & (lengths >= SEASON_DETECTIONS)))}
    present_mjd = last_mjd - MOST_PRESENT_DAYS
    if len(begins) and not is_earlier[-1]:
        present_mjd = max(present_mjd, float(times[begins[-1]]))
    if compared is None:
        return found
    compared = compared.detected()
    is_positive = np.flatnonzero(compared.is_positive)
    times = compared.time_mjd[is_positive]
    is_past = times < present_mjd
    if np.count_nonzero(is_past) < min(PAST_DETECTIONS, PAST_NIGHTS):
        return found
    bands, magnitudes = compared.band[is_positive], compared.magnitude[is_positive]
    return found | _brighter(bands, magnitudes, is_past) | _bluer(times, bands, magnitudes, is_past)


def _brighter(bands: NDArray[np.str_], magnitudes: NDArray[np.float64], is_past: NDArray[np.bool_]) -> dict[str, float]:
    by_band = []
    for band in sorted(set(bands.tolist())):
        past, present = magnitudes[is_past & (bands == band)], magnitudes[~is_past & (bands == band)]
        if len(past) >= PAST_DETECTIONS and len(present) >= NEW_DETECTIONS:
            by_band.append(_below(past, present, 0.0))
    if not by_band:
        return {}
    excess, scatter = max(by_band, key=lambda item: item[0] / max(item[1], 1e-3))
    return {"brighter_mag": excess, "scatter_mag": scatter}


def _bluer(
    times: NDArray[np.float64],
    bands: NDArray[np.str_],
    magnitudes: NDArray[np.float64],
    is_past: NDArray[np.bool_],
) -> dict[str, float]:
    """Compare g-r of nights that have both; of several detections in a band the last."""
    g, r = (
        {int(times[i]): i for i in np.flatnonzero((bands == own) | (bands == of_ztf)).tolist()}
        for own, of_ztf in (("g", "zg"), ("r", "zr"))
    )
    nights = sorted(g.keys() & r.keys())
    colours = np.array([magnitudes[g[night]] - magnitudes[r[night]] for night in nights])
    of_past = np.array([bool(is_past[g[night]]) for night in nights], dtype=bool)
    if np.count_nonzero(of_past) < PAST_NIGHTS or np.count_nonzero(~of_past) < NEW_DETECTIONS:
        return {}
    excess, scatter = _below(colours[of_past], colours[~of_past], LEAST_COLOUR_SCATTER_MAG)
    return {"bluer_mag": excess, "colour_scatter_mag": scatter}


def _below(past: NDArray[np.float64], present: NDArray[np.float64], least_scatter: float) -> tuple[float, float]:
    """Return by how much the present goes below the past's median, and the past's scatter."""
    median = float(np.median(past))
    scatter = max(_ROBUST * float(np.median(np.abs(past - median))), least_scatter)
    reached = float(np.partition(present, NEW_DETECTIONS - 1)[NEW_DETECTIONS - 1])
    excess = median - reached if reached < past.min() else min(0.0, median - reached)
    return round(excess, 3), round(scatter, 3)


def _year_of(mjd: float) -> int:
    return (MJD_0 + datetime.timedelta(days=mjd)).year


@functools.lru_cache(maxsize=64)
def _end_of_year_mjd(year: int) -> float:
    return float((datetime.datetime(year + 1, 1, 1) - MJD_0).days)
