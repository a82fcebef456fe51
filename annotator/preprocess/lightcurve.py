"""Light curve: detections in g and r as brightness on a grid about the peak, with errors and a mask of what is known.

AHA's representation (arXiv 2602.12955: grid, bands, bandwidths, weights 1/sigma^2) with its flaws mended: brightness is
relative to the peak, so that the shape is scored and not the distance; what no detection nearby supports is masked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.transient import LightCurve

GRID_BANDS: tuple[str, ...] = ("zg", "zr")
"""ZTF's: what another survey sees under these letters is of other depth, and no input of this model."""

GRID_DAYS: NDArray[np.float64] = np.arange(-50.0, 301.0, 2.0)
"""Days since peak in the observer's frame, ``(176,)``."""
GRID_DAYS.setflags(write=False)

SHAPE: tuple[int, int] = (len(GRID_BANDS), len(GRID_DAYS))

CHANNELS: tuple[str, ...] = ("brightness", "uncertainty", "support")
"""Brightness relative to peak (mag, positive is brighter, 0 where not supported); its error (mag, 0 where not
supported); 1 where a detection supports the point, else 0."""

NEAR_PEAK_DAYS = 30.0
BANDWIDTH_NEAR_DAYS, BANDWIDTH_FAR_DAYS = 0.7, 2.0
"""Standard deviation of the Gaussian kernel within :data:`NEAR_PEAK_DAYS` of peak, and beyond (AHA's)."""

KERNEL_REACH = 4.0
"""In bandwidths: farther, a detection has no say (a weight below 4e-4)."""

MIN_EFFECTIVE_DETECTIONS = 0.3
"""Support: the kernels of the detections, each 1 at its own epoch, must sum to this. A detection a whole day off a grid
point near peak, the farthest one can be, gives 0.36, so that each detection within the grid counts somewhere."""

MAX_SUPPORT_DISTANCE = 2.0
"""In bandwidths: however many, detections farther than this support nothing."""

MIN_DETECTIONS = 2
"""The floor: one detection has no shape."""

NEIGHBOUR_DAYS = 30.0
"""Detections of one band farther apart than this cannot vouch for one another's brightness."""

MAGNITUDE_RANGE = (5.0, 26.0)
"""What a survey's difference image can show."""

MIN_ERROR_MAG, MAX_ERROR_MAG = 0.02, 1.0
"""No photometry of a survey is calibrated better than the first; with an error above the second it is no detection."""

UNKNOWN_ERROR_MAG = 0.2
"""In place of an error that is not known: a detection at 5 sigma."""

BRIGHTNESS_RANGE_MAG = (-6.0, 3.0)
"""Relative to peak; nothing beyond can raise an error further."""


@dataclass(frozen=True, eq=False)
class Detections:
    """What of a light curve is used: detections of one sign in :data:`GRID_BANDS`, in time order, arrays ``(n,)``."""

    time_days: NDArray[np.float64]
    """Any origin."""
    band: NDArray[np.int64]
    """Index into :data:`GRID_BANDS`."""
    magnitude: NDArray[np.float64]
    error_mag: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time_days)

    def where(self, chosen: NDArray) -> "Detections":
        """Return some of them, by mask or index."""
        return Detections(self.time_days[chosen], self.band[chosen], self.magnitude[chosen], self.error_mag[chosen])


Peak = tuple[float, float]
"""Time (days, of the detections' origin) and magnitude."""


def usable_detections(light_curve: LightCurve) -> Detections:
    """Select what counts, for the shape and for the peak alike.

    Left out: other bands; negative differences, which are no brightness of the transient; times, magnitudes and errors
    that are not finite or not physical. An unknown error becomes :data:`UNKNOWN_ERROR_MAG`. Where all differences are
    negative the object fades, and how far it is below its template counts as if it were above.
    """
    time, magnitude, error = light_curve.time_mjd, light_curve.magnitude, light_curve.magnitude_error
    band = np.full(len(time), -1)
    for number, name in enumerate(GRID_BANDS):
        band[light_curve.band == name] = number
    error = np.where(np.isnan(error), UNKNOWN_ERROR_MAG, error)
    low, high = MAGNITUDE_RANGE
    with np.errstate(invalid="ignore"):
        is_physical = (magnitude >= low) & (magnitude <= high) & (error > 0) & (error <= MAX_ERROR_MAG)
    kept = np.flatnonzero((band >= 0) & is_counted(light_curve) & is_physical & np.isfinite(time))
    if (np.diff(time[kept]) <= 0).any():
        # By magnitude and error too, so that the order of simultaneous detections in the record changes nothing.
        kept = kept[np.lexsort((error[kept], magnitude[kept], band[kept], time[kept]))]
    return Detections(
        time[kept].astype(np.float64),
        band[kept],
        magnitude[kept].astype(np.float64),
        np.maximum(error[kept].astype(np.float64), MIN_ERROR_MAG),
    )


def is_counted(light_curve: LightCurve) -> NDArray[np.bool_]:
    """Return which detections are of the sign that counts, ``(n,)``: positive, or negative where none is positive."""
    is_positive = np.asarray(light_curve.is_positive, dtype=bool)
    return is_positive if is_positive.any() else ~is_positive


def peak(detections: Detections) -> Peak:
    """Return time and magnitude of the peak: the brightest median of three successive magnitudes of a band.

    A median of three ignores one outlier. The three are a detection and its neighbours; at the end of a run, where no
    neighbour is within :data:`NEIGHBOUR_DAYS`, the end's three, so that a curve that only rises or only falls has its
    peak at its end. Of two neighbours by themselves each counts as it is, and a detection without a neighbour only
    where none has one. Of detections with the same median the brightest gives the time, and of those the earliest.

    Parameters
    ----------
    detections
        At least one.
    """
    smoothed = np.full(len(detections), np.inf)
    for number in range(len(GRID_BANDS)):
        members = np.flatnonzero(detections.band == number)
        smoothed[members] = _medians_of_three(detections.time_days[members], detections.magnitude[members])
    if not np.isfinite(smoothed).any():
        smoothed = detections.magnitude
    best = np.lexsort((detections.time_days, detections.magnitude, smoothed))[0]
    return float(detections.time_days[best]), float(smoothed[best])


def _medians_of_three(time_days: NDArray[np.float64], magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each detection of one band counts as in the search for the peak; infinity if it does not count."""
    is_near = time_days[1:] - time_days[:-1] <= NEIGHBOUR_DAYS
    result = np.full(len(time_days), np.inf)
    result[1:][is_near] = magnitude[1:][is_near]
    result[:-1][is_near] = magnitude[:-1][is_near]
    is_centre = is_near[:-1] & is_near[1:]
    a, b, c = magnitude[:-2], magnitude[1:-1], magnitude[2:]
    # np.median is ten times slower
    centred = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))[is_centre]
    for members in (result[:-2], result[2:], result[1:-1]):  # the last, what a centre itself counts as, prevails
        members[is_centre] = centred
    return result


def grid(curves: Sequence[Detections], peaks: Sequence[Peak] | None = None) -> NDArray[np.float32]:
    """Lay light curves out about their peaks by kernel regression.

    With weights w = K(dt / bandwidth) / sigma^2 of the detections of a band, a grid point's brightness is
    sum(w m) / sum(w) and its error sqrt(sum(w^2 sigma^2)) / sum(w); the bandwidth is the grid point's.
    Both bands are relative to the one peak magnitude, so that the colour survives as their offset.

    Parameters
    ----------
    curves
        Each of at least one detection.
    peaks
        What :func:`peak` says of each, where it is known already.

    Returns
    -------
    NDArray
        ``(n, 3, 2, 176)`` float32: :data:`CHANNELS`, :data:`GRID_BANDS`, :data:`GRID_DAYS`.
    """
    peaks = [peak(curve) for curve in curves] if peaks is None else peaks
    lengths = [len(curve) for curve in curves]
    owner = np.repeat(np.arange(len(curves)), lengths)
    # Days from peak are taken in double precision: an MJD has no spare digits in single.
    phase = np.concatenate([c.time_days - time for c, (time, _) in zip(curves, peaks, strict=True)])
    brightness = np.concatenate([magnitude - c.magnitude for c, (_, magnitude) in zip(curves, peaks, strict=True)])
    variance = np.concatenate([c.error_mag for c in curves]) ** 2
    row = owner * len(GRID_BANDS) + np.concatenate([c.band for c in curves])

    # Each detection reaches only the grid points around it: (m, 9) instead of a matrix of detections by grid.
    step = GRID_DAYS[1] - GRID_DAYS[0]
    reach = int(KERNEL_REACH * BANDWIDTH_FAR_DAYS / step)
    nearest = np.rint((np.clip(phase, -1e6, 1e6) - GRID_DAYS[0]) / step).astype(np.int64)
    point = nearest[:, None] + np.arange(-reach, reach + 1)
    day = GRID_DAYS[0] + step * point
    bandwidth = np.where(np.abs(day) <= NEAR_PEAK_DAYS, BANDWIDTH_NEAR_DAYS, BANDWIDTH_FAR_DAYS)
    distance = np.abs(day - phase[:, None]) / bandwidth
    used = (point >= 0) & (point < len(GRID_DAYS)) & (distance <= KERNEL_REACH)
    detection, _ = np.nonzero(used)
    cell = row[detection] * len(GRID_DAYS) + point[used]
    n_cells = len(curves) * len(GRID_BANDS) * len(GRID_DAYS)

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(cell, values, minlength=n_cells)

    distance = distance[used]
    kernel = np.exp(-0.5 * distance**2)
    value, sigma2 = brightness[detection], variance[detection]
    weight = kernel / sigma2
    is_supported = (total(kernel) >= MIN_EFFECTIVE_DETECTIONS) & (
        total((distance <= MAX_SUPPORT_DISTANCE).astype(float)) > 0
    )
    weights = np.where(is_supported, total(weight), 1.0)
    brightness_mag = np.clip(total(weight * value) / weights, *BRIGHTNESS_RANGE_MAG)
    error_mag = np.sqrt(total(weight**2 * sigma2)) / weights
    channels = [np.where(is_supported, brightness_mag, 0.0), np.where(is_supported, error_mag, 0.0), is_supported]
    return np.stack(channels).reshape(len(CHANNELS), len(curves), *SHAPE).swapaxes(0, 1).astype(np.float32, order="C")


def lightcurve_tensor(light_curve: LightCurve | None) -> NDArray[np.float32]:
    """Make the model's input of one light curve, ``(3, 2, 176)`` float32, as :func:`grid` does."""
    detections, about = usable_curve(light_curve)
    return grid([detections], [about])[0]


def usable_curve(light_curve: LightCurve | None) -> tuple[Detections, Peak]:
    """Return what of a light curve, of any age, a tensor is made of, and about which peak.

    Raises
    ------
    MissingModalityError
        If fewer than :data:`MIN_DETECTIONS` usable detections are there, or lie within the grid.
    """
    if light_curve is None:
        raise MissingModalityError("the record has no light curve")
    detections = usable_detections(light_curve)
    if len(detections) < MIN_DETECTIONS:
        sign = "positive" if np.any(light_curve.is_positive) or not len(light_curve.time_mjd) else "negative"
        raise MissingModalityError(
            f"{len(detections)} of {len(light_curve.time_mjd)} detections are {sign}, in g or r and physical, "
            f"{MIN_DETECTIONS} are needed"
        )
    about = peak(detections)
    n_within = np.count_nonzero(_is_within(detections, about[0]))
    if n_within < MIN_DETECTIONS:
        raise MissingModalityError(
            f"{n_within} usable detections lie between {GRID_DAYS[0]:g} and {GRID_DAYS[-1]:g} days of the peak, "
            f"{MIN_DETECTIONS} are needed"
        )
    return detections, about


def within_grid(detections: Detections) -> NDArray[np.bool_]:
    """Return which detections lie within the grid about their peak, ``(n,)``."""
    return _is_within(detections, peak(detections)[0])


def _is_within(detections: Detections, peak_days: float) -> NDArray[np.bool_]:
    phase = detections.time_days - peak_days
    return (phase >= GRID_DAYS[0]) & (phase <= GRID_DAYS[-1])
