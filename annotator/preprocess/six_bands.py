"""A light curve in six bands as brightness about the peak, one cell a band and stretch of days: the model's input.

What is used of a light curve, and when it was brightest, is as for its quantities (:mod:`.evolution`): nights of the
sign that counts, each band by itself, faded sources as their mirror. Brightness is relative to the peak, so that course
and colour are scored and neither distance nor depth; a cell without a point is masked, and so is a band without any.
Cells are short about the peak and long far from it. A point keeps its place in its cell: between knots a
reconstruction is a straight line.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from annotator.bands import BANDS
from annotator.errors import MissingModalityError
from annotator.photometry import magnitude_error_of, magnitude_of
from annotator.preprocess.evolution import REFERENCE_NM, peaks
from annotator.preprocess.lightcurve import BRIGHTNESS_RANGE_MAG, Detections, Peak
from annotator.preprocess.nightly import Points
from annotator.preprocess.usable import MIN_POINTS, usable_points
from annotator.transient import LightCurve

GRID_BANDS: tuple[str, ...] = ("u", "g", "r", "i", "z", "y")

KNOTS_DAYS: NDArray[np.float64] = np.array(
    [-100, -60, -40, -28, -20, -14, -9, -5, -2, 0, 2, 5, 9, 14, 20, 28, 38, 50, 65, 85, 120, 170, 250], dtype=np.float64
)
"""Days since the peak in the observer's frame, ``(23,)``: where cells begin and end."""
KNOTS_DAYS.setflags(write=False)

SHAPE: tuple[int, int] = (len(GRID_BANDS), len(KNOTS_DAYS) - 1)

CHANNELS: tuple[str, ...] = ("brightness", "uncertainty", "support", "place")
"""Brightness relative to the peak (mag, positive is brighter); its error (mag); 1 where there is a point, else 0; where
it is in its cell, 0 at the earlier knot and 1 at the later one. All are 0 where there is none."""

_NAMES = sorted(GRID_BANDS)
_NUMBER = np.array([GRID_BANDS.index(name) for name in _NAMES])
_COLOUR_AXIS = np.log(np.array([BANDS[name].wavelength_nm for name in GRID_BANDS]) / REFERENCE_NM)


def usable_nights(light_curve: LightCurve) -> Detections:
    """Select what counts, in :data:`GRID_BANDS`: nights of one sign, each band by itself; none where they are too few.

    A source that is mostly fainter than in the template is as bright as it is fainter.
    """
    return _detections(usable_points([light_curve], _NAMES).usable)


def usable_nights_of(curves: Sequence[LightCurve]) -> list[Detections]:
    """Select what counts of several light curves, as :func:`usable_nights` does of one."""
    points = usable_points(curves, _NAMES).usable
    ends = np.searchsorted(points.owner, np.arange(len(curves) + 1))
    whole = _detections(points)
    return [whole.where(slice(first, last)) for first, last in pairwise(ends)]


def _detections(points: Points) -> Detections:
    return Detections(
        points.time_days,
        _NUMBER[points.band],
        magnitude_of(points.flux),
        magnitude_error_of(points.flux, points.error),
    )


def peak(nights: Detections) -> Peak:
    """Return time and magnitude of the peak, at :data:`.evolution.REFERENCE_NM` by the colour that the points have."""
    n = len(nights)
    points = Points(np.zeros(n, dtype=np.int64), nights.time_days, nights.band, nights.magnitude, nights.error_mag)
    smoothed, (place,) = peaks(points, nights.magnitude, nights.error_mag, _COLOUR_AXIS[nights.band])
    return float(nights.time_days[place]), float(smoothed[place])


def within_grid(nights: Detections) -> NDArray[np.bool_]:
    """Return which nights lie within the knots about their peak, ``(n,)``."""
    return _is_within(nights, peak(nights)[0])


def _is_within(nights: Detections, peak_days: float) -> NDArray[np.bool_]:
    phase = nights.time_days - peak_days
    return (phase > KNOTS_DAYS[0]) & (phase < KNOTS_DAYS[-1])


def grid(curves: Sequence[Detections], about: Sequence[Peak] | None = None) -> NDArray[np.float32]:
    """Lay light curves out about their peaks; what lies in one cell is one point, weighted by the inverse variance.

    Parameters
    ----------
    curves
        Each of at least one night.
    about
        What :func:`peak` says of each, where it is known already.

    Returns
    -------
    NDArray
        ``(n, 4, 6, 22)`` float32: :data:`CHANNELS`, :data:`GRID_BANDS`, cells between :data:`KNOTS_DAYS`.
    """
    about = [peak(curve) for curve in curves] if about is None else about
    owner = np.repeat(np.arange(len(curves)), [len(curve) for curve in curves])
    phase = np.concatenate([c.time_days - time for c, (time, _) in zip(curves, about, strict=True)])
    brightness = np.concatenate([magnitude - c.magnitude for c, (_, magnitude) in zip(curves, about, strict=True)])
    error_mag, band = (np.concatenate([getattr(c, name) for c in curves]) for name in ("error_mag", "band"))
    is_within = (phase > KNOTS_DAYS[0]) & (phase < KNOTS_DAYS[-1])
    owner, phase, brightness, error_mag, band = (
        values[is_within] for values in (owner, phase, brightness, error_mag, band)
    )
    place = np.searchsorted(KNOTS_DAYS, phase, side="right") - 1
    share = (phase - KNOTS_DAYS[place]) / np.diff(KNOTS_DAYS)[place]
    cell = (owner * SHAPE[0] + band) * SHAPE[1] + place
    n_cells = len(curves) * SHAPE[0] * SHAPE[1]
    weight = error_mag**-2.0
    whole = np.bincount(cell, weight, minlength=n_cells)
    is_there = whole > 0
    divisor = np.where(is_there, whole, 1.0)
    mean, mean_share = (
        np.bincount(cell, weight * values, minlength=n_cells) / divisor for values in (brightness, share)
    )
    channels = [mean.clip(*BRIGHTNESS_RANGE_MAG), np.where(is_there, divisor**-0.5, 0.0), is_there, mean_share]
    return np.stack(channels).reshape(len(CHANNELS), len(curves), *SHAPE).swapaxes(0, 1).astype(np.float32, order="C")


def usable_curve(light_curve: LightCurve | None) -> tuple[Detections, Peak]:
    """Return what of a light curve, of any age, the input is made of, and about which peak.

    Raises
    ------
    MissingModalityError
        If there are fewer than :data:`.usable.MIN_POINTS` usable nights, or within the knots.
    """
    if light_curve is None:
        raise MissingModalityError("the record has no light curve")
    seen = usable_points([light_curve], _NAMES)
    nights, n = _detections(seen.usable), int(seen.n_points[0])
    if n < MIN_POINTS:
        raise MissingModalityError(
            f"too few significant points of one sign, by night and band: {n} of the {MIN_POINTS} that are needed"
        )
    about = peak(nights)
    n = int(np.count_nonzero(_is_within(nights, about[0])))
    if n < MIN_POINTS:
        raise MissingModalityError(
            f"too few points between {KNOTS_DAYS[0]:g} and {KNOTS_DAYS[-1]:g} days of the peak, by night and band: {n} "
            f"of the {MIN_POINTS} that are needed"
        )
    return nights, about
