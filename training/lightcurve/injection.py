"""Fair pairs: a supernova and another class's evolution, both made alike on the supernova's own dates and bands.

Class follows source in the catalogues, so a model can look good by knowing the catalogue. Here both members of a pair
are a smooth model with noise on the same dates and bands, so neither cadence nor depth nor source can tell.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.lightcurve import MIN_ERROR_MAG, Detections

MIN_SIGNAL_TO_NOISE = 5.0
"""The depth: a detection of ZTF's alerts."""

MAX_ERROR_MAG = 2.5 / np.log(10) / MIN_SIGNAL_TO_NOISE

_GP_SCALE_DAYS, _GP_AMPLITUDE_MAG, _GP_BAND_CORRELATION, _GP_MEAN_MAG, _GP_JITTER_MAG = 25.0, 1.0, 0.8, 3.0, 0.03
_R = 1  # index of r in annotator.preprocess.lightcurve.GRID_BANDS

Evolution = Callable[[np.random.Generator, NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]], NDArray]
"""Draws one object: (rng, days ``(n,)`` since about the peak, band, the supernova's smooth magnitudes) -> magnitudes
``(n,)`` with any zero point."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two light curves that differ in their evolution alone."""

    normal: Detections
    injected: Detections


def smooth_magnitudes(curve: Detections) -> NDArray[np.float64]:
    """Return a supernova's magnitudes at its own epochs, ``(n,)``, without their noise.

    The mean of a Gaussian process over time and band (Matern 3/2, scale 25 days, bands correlated by 0.8).
    """
    dt = np.abs(curve.time_days[:, None] - curve.time_days) * np.sqrt(3) / _GP_SCALE_DAYS
    correlation = np.where(curve.band[:, None] == curve.band, 1.0, _GP_BAND_CORRELATION)
    covariance = _GP_MEAN_MAG**2 + _GP_AMPLITUDE_MAG**2 * correlation * (1 + dt) * np.exp(-dt)
    noise = np.diag(curve.error_mag**2 + _GP_JITTER_MAG**2)
    centre = np.median(curve.magnitude)
    return centre + covariance @ np.linalg.solve(covariance + noise, curve.magnitude - centre)


def make_pair(curve: Detections, smooth: NDArray[np.float64], kind: str, rng: np.random.Generator) -> Pair:
    """Put an evolution of a kind onto a supernova's dates, bands and errors, beside its own smooth evolution.

    The injected member peaks within a few days of the supernova, as bright. Noise is the sky's: constant in flux at an
    epoch, so a fainter member is noisier. Epochs at which either is below the depth are dropped from both. `smooth` is
    what :func:`smooth_magnitudes` gives.
    """
    peak_days = curve.time_days[np.argmin(smooth)]
    days = curve.time_days - peak_days + rng.normal(0.0, 3.0)
    other = EVOLUTIONS[kind](rng, days, curve.band, smooth)
    other = other - other.min() + smooth.min()
    normal_error, other_error = (_error(magnitudes, smooth, curve.error_mag) for magnitudes in (smooth, other))
    kept = (normal_error <= MAX_ERROR_MAG) & (other_error <= MAX_ERROR_MAG)
    return Pair(
        *(
            Detections(curve.time_days, curve.band, magnitudes + rng.normal(0.0, error), error).where(kept)
            for magnitudes, error in ((smooth, normal_error), (other, other_error))
        )
    )


def _error(magnitudes: NDArray, measured: NDArray, measured_error: NDArray) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.maximum(measured_error * 10 ** (0.4 * (magnitudes - measured)), MIN_ERROR_MAG)


def _colour(band: NDArray[np.int64], g_r_mag: NDArray | float) -> NDArray[np.float64]:
    return np.where(band == _R, 0.0, g_r_mag)


def _tde(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
    """Blue at a constant temperature; Gaussian rise, then exponential or power-law decay (van Velzen et al. 2021)."""
    rise, fall = log_uniform(rng, 10, 35), log_uniform(rng, 30, 120)
    power = fall * 5 / 3
    after = -days / fall if rng.random() < 0.5 else -5 / 3 * np.log1p(np.maximum(days, 0) / power)
    log_flux = np.where(days < 0, -0.5 * (days / rise) ** 2, after)
    return magnitude_of_ln(log_flux) + _colour(band, rng.uniform(-0.35, 0.1) + rng.normal(0, 5e-4) * days)


def _slsn(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
    """Slow, blue, cooling (Chen et al. 2023: rest-frame rise 10 to 60 d, decline 1.5 times that, z about 0.3)."""
    rise = log_uniform(rng, 20, 60)
    fall = rise * rng.uniform(1.2, 2.5)
    log_flux = np.where(days < 0, -0.5 * (days / rise) ** 2, -np.maximum(days, 0) / fall)
    cooling = rng.uniform(0.002, 0.012) * np.clip(days, -40, 80)
    return magnitude_of_ln(log_flux) + _colour(band, rng.uniform(-0.3, 0.1) + cooling)


def _fast(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
    """Up in days, down in a week (Drout et al. 2014, Ho et al. 2023), blue at first, with or without cooling."""
    rise, fall = log_uniform(rng, 1.5, 4.0), log_uniform(rng, 4.0, 10.0)
    log_flux = np.where(days < 0, -0.5 * (days / rise) ** 2, -np.maximum(days, 0) / fall)
    cooling = rng.uniform(0.0, 0.06) * np.clip(days, -5, 20)
    return magnitude_of_ln(log_flux) + _colour(band, rng.uniform(-0.3, 0.2) + cooling)


def _second_peak(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
    """Add to the supernova's own flux a second, later brightening as in interacting supernovae."""
    delay, width = log_uniform(rng, 18, 70), log_uniform(rng, 6, 20)
    bump = rng.uniform(0.35, 1.2) * np.exp(-0.5 * ((days - delay) / width) ** 2)
    reference = smooth.min() + _colour(band, rng.uniform(-0.2, 0.6))
    return -2.5 * np.log10(10 ** (-0.4 * smooth) + bump * 10 ** (-0.4 * reference))


def _stochastic(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
    """Damped random walk of an active nucleus (MacLeod et al. 2010), one for both bands, of any colour."""
    scale, amplitude = log_uniform(rng, 10, 200), rng.uniform(0.25, 0.8)
    walk = damped_random_walk(rng, days, scale)
    return amplitude * walk * np.where(band == _R, 1.0, rng.uniform(1.0, 1.4)) + _colour(band, rng.uniform(-0.2, 0.7))


def damped_random_walk(rng: np.random.Generator, days: NDArray, scale_days: float) -> NDArray[np.float64]:
    """Draw a damped random walk of unit variance at some days ``(n,)``, in any order."""
    order = np.argsort(days, kind="stable")
    decay = np.exp(-np.diff(days[order]) / scale_days)
    walk = np.empty(len(days))
    state = rng.normal()
    walk[order[0]] = state
    for place, factor in zip(order[1:], decay, strict=True):
        state = factor * state + np.sqrt(1 - factor**2) * rng.normal()
        walk[place] = state
    return walk


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def magnitude_of_ln(log_flux: NDArray) -> NDArray[np.float64]:
    """Return the magnitudes of natural logarithms of a flux, none fainter than 54 mag."""
    return -2.5 / np.log(10) * np.maximum(log_flux, -50.0)


EVOLUTIONS: Mapping[str, Evolution] = MappingProxyType(
    {"TDE": _tde, "SLSN": _slsn, "fast": _fast, "second peak": _second_peak, "stochastic": _stochastic}
)
"""By kind; time scales and cooling are drawn anew for each object."""


def single_numbers(curve: Detections) -> dict[str, float]:
    """Return what a person would compute first, 0 where it cannot be: the competitors without a model.

    colour (mean g-r, mag), its drift (mag/day), amplitude (mag), span (days), slope after and before peak (mag/day),
    number of detections.
    """
    t, m, band = curve.time_days, curve.magnitude, curve.band
    peak_days = t[np.argmin(m)]
    g, r = band != _R, band == _R
    has_both = g.any() and r.any()
    colour = drift = 0.0
    if has_both:
        order = np.argsort(t[r], kind="stable")
        colours = m[g] - np.interp(t[g], t[r][order], m[r][order])
        colour = float(np.mean(colours))
        drift = _slope(t[g], colours)
    return {
        "colour": colour,
        "colour drift": drift,
        "amplitude": float(m.max() - m.min()),
        "span": float(t.max() - t.min()),
        "slope after peak": _slope(t[t >= peak_days], m[t >= peak_days]),
        "slope before peak": _slope(t[t <= peak_days], m[t <= peak_days]),
        "detections": float(len(curve)),
    }


def _slope(t: NDArray, m: NDArray) -> float:
    if len(t) < 2 or np.ptp(t) < 0.5:
        return 0.0
    dt = t - t.mean()
    return float(np.sum(dt * (m - m.mean())) / np.sum(dt**2))
