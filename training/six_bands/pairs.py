"""Fair pairs in six bands: a supernova and another evolution on the supernova's own dates, with the noise of its sky.

Both members are a smooth course with noise on the same dates, in the same bands, as bright at the peak, and a date
counts where both are detected: neither how often nor how long nor how deeply they were seen can tell them apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.bands import BANDS
from annotator.photometry import flux_of
from annotator.preprocess.evolution import REFERENCE_NM, evolution, smooth_magnitude
from annotator.preprocess.lightcurve import Detections
from annotator.preprocess.six_bands import GRID_BANDS, usable_nights
from annotator.sandbox.sky.rubin.evolutions import thermal
from annotator.transient import LightCurve
from training.data.carried import DETECTED
from training.data.classified_curves import ClassifiedCurve, measured_where
from training.lightcurve.injection import damped_random_walk, log_uniform, magnitude_of_ln

PEAK_MAG, PEAK_SPREAD_MAG, PEAK_RANGE_MAG = 23.1, 0.8, (21.0, 24.3)
"""To which pairs are moved away: what PLAsTiCC's test set has, as faint as a survey's are. None is moved nearer."""

MIN_KNOWN_POINTS = 20
"""Of a supernova, for its course to be known well."""

MIN_POINTS, MAX_YOUNG_POINTS = 5, 10
"""A pair has the first at least; of a young one there is what came first, the second at most."""

N_OF_EACH = 2
"""Pairs of each supernova and kind."""

_NEAR_DAYS = (-80.0, 200.0)
_ABOUT_FORM_MAG, _ABOUT_FORM_DAYS, _ABOUT_FORM_COLOUR, _MAX_ABOUT_FORM_MAG = 0.4, 25.0, 0.35, 1.5
_JITTER_MAG = 0.03
_USED = 4.0  # standard deviations, that both members are measured at
_X = np.log(np.array([BANDS[name].wavelength_nm for name in GRID_BANDS]) / REFERENCE_NM)
_G_R = float(_X[GRID_BANDS.index("r")] - _X[GRID_BANDS.index("g")])

Course = Callable[[np.random.Generator, NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]], NDArray]
"""Draws one object: (rng, days ``(n,)`` since about the peak, numbers of the bands, the supernova's magnitudes) ->
magnitudes ``(n,)`` with any zero point."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two light curves that differ in their evolution alone."""

    object_id: str
    """Whose dates they are on."""
    normal: LightCurve
    injected: LightCurve

    def young(self, rng: np.random.Generator) -> "Pair":
        """Return what came first of both."""
        first = np.argsort(self.normal.time_mjd, kind="stable")[: rng.integers(MIN_POINTS, MAX_YOUNG_POINTS + 1)]
        kept = np.sort(first)
        return Pair(self.object_id, measured_where(self.normal, kept), measured_where(self.injected, kept))


@dataclass(frozen=True, eq=False)
class _Known:
    """A supernova whose course is known."""

    object_id: str
    nights: Detections
    """Time in days since the peak."""
    smooth_mag: NDArray[np.float64]
    error_njy: NDArray[np.float64]
    peak_mag: float


def make_pairs(curves: Sequence[ClassifiedCurve], courses: Mapping[str, Course], seed: int) -> dict[str, list[Pair]]:
    """Make pairs of each kind on the dates of those supernovae whose course is known."""
    known = _known(curves)
    return {
        kind: [
            pair
            for number, supernova in enumerate(known)
            for repeat in range(N_OF_EACH)
            if (pair := _pair(supernova, courses[kind], np.random.default_rng([seed, number, repeat, place])))
        ]
        for place, kind in enumerate(courses)
    }


def _known(curves: Sequence[ClassifiedCurve]) -> list[_Known]:
    found = evolution([curve.light_curve for curve in curves])
    known = []
    for number, curve in enumerate(curves):
        if found.n_points[number] < MIN_KNOWN_POINTS or found.is_mirrored[number]:
            continue
        nights, form = usable_nights(curve.light_curve), found.form[number]
        phase = nights.time_days - found.peak_mjd[number]
        near = (phase > _NEAR_DAYS[0]) & (phase < _NEAR_DAYS[1])
        nights, phase = nights.where(near), phase[near]
        if len(nights) < MIN_KNOWN_POINTS:
            continue
        error = flux_of(nights.magnitude) * nights.error_mag * np.log(10) / 2.5
        wavelength = np.array([BANDS[GRID_BANDS[band]].wavelength_nm for band in nights.band])
        smooth = smooth_magnitude(form, phase, wavelength)
        smooth = smooth + _about_form(phase, _X[nights.band], nights.magnitude - smooth, nights.error_mag)
        at_peak = Detections(phase, nights.band, nights.magnitude, nights.error_mag)
        known.append(_Known(curve.object_id, at_peak, smooth, error, float(form[0])))
    return known


def _about_form(days: NDArray, x: NDArray, rest_mag: NDArray, error_mag: NDArray) -> NDArray[np.float64]:
    """Return how a light curve lies about its smooth form ``(n,)``: the mean of a Gaussian process, Matern 3/2 in time.

    In the logarithm of the wavelength it is a squared exponential.
    """
    dt = np.abs(days[:, None] - days) * np.sqrt(3) / _ABOUT_FORM_DAYS
    alike = (1 + dt) * np.exp(-dt) * np.exp(-0.5 * ((x[:, None] - x) / _ABOUT_FORM_COLOUR) ** 2)
    covariance = _ABOUT_FORM_MAG**2 * alike
    rest = rest_mag.clip(-_MAX_ABOUT_FORM_MAG, _MAX_ABOUT_FORM_MAG)
    return covariance @ np.linalg.solve(covariance + np.diag(error_mag**2 + _JITTER_MAG**2), rest)


def _pair(known: _Known, course: Course, rng: np.random.Generator) -> Pair | None:
    nights = known.nights
    away_mag = max(0.0, np.clip(rng.normal(PEAK_MAG, PEAK_SPREAD_MAG), *PEAK_RANGE_MAG) - known.peak_mag)
    smooth = known.smooth_mag + away_mag
    other = course(rng, nights.time_days + rng.normal(0.0, 3.0), nights.band, smooth)
    other = other - other.min() + smooth.min()
    true = [flux_of(smooth), flux_of(other)]
    flux = [values + rng.normal(0.0, known.error_njy) for values in true]
    kept = np.all([values >= DETECTED * known.error_njy for values in true], axis=0)
    kept &= np.all([values >= _USED * known.error_njy for values in flux], axis=0)
    if np.count_nonzero(kept) < MIN_POINTS:
        return None
    band, n = np.array(GRID_BANDS)[nights.band][kept], int(np.count_nonzero(kept))
    time_mjd = nights.time_days[kept] + 60000.0
    members = (LightCurve(time_mjd, band, f[kept], known.error_njy[kept], np.zeros(n, dtype=bool)) for f in flux)
    return Pair(known.object_id, *members)


def _coloured(band: NDArray[np.int64], g_r_mag: NDArray | float) -> NDArray[np.float64]:
    """Return magnitudes relative to the reference wavelength of a slope that gives this g-r."""
    return -g_r_mag * _X[band] / _G_R


def _tde(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
    """Blue at a constant temperature; Gaussian rise, then exponential or power-law decay (van Velzen et al. 2021)."""
    days = days / rng.uniform(1.0, 1.5)
    rise, fall = log_uniform(rng, 10, 35), log_uniform(rng, 30, 120)
    power = fall * 5 / 3
    after = -days / fall if rng.random() < 0.5 else -5 / 3 * np.log1p(np.maximum(days, 0) / power)
    log_flux = np.where(days < 0, -0.5 * (days / rise) ** 2, after)
    return magnitude_of_ln(log_flux) + _coloured(band, rng.uniform(-0.35, 0.1) + rng.normal(0, 5e-4) * days)


def _slsn(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
    """Slow, blue, cooling (Chen et al. 2023)."""
    days = days / rng.uniform(1.0, 1.3)
    rise = log_uniform(rng, 20, 60)
    fall = rise * rng.uniform(1.2, 2.5)
    log_flux = np.where(days < 0, -0.5 * (days / rise) ** 2, -np.maximum(days, 0) / fall)
    cooling = rng.uniform(0.002, 0.012) * np.clip(days, -40, 80)
    return magnitude_of_ln(log_flux) + _coloured(band, rng.uniform(-0.3, 0.1) + cooling)


def _fast(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
    """Up in days, down in a week (Drout et al. 2014, Ho et al. 2023), blue at first, with or without cooling."""
    days = days / rng.uniform(1.0, 1.5)
    rise, fall = log_uniform(rng, 1.5, 4.0), log_uniform(rng, 4.0, 10.0)
    log_flux = np.where(days < 0, -0.5 * (days / rise) ** 2, -np.maximum(days, 0) / fall)
    cooling = rng.uniform(0.0, 0.06) * np.clip(days, -5, 20)
    return magnitude_of_ln(log_flux) + _coloured(band, rng.uniform(-0.3, 0.2) + cooling)


def _second_peak(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
    """Add to the supernova's own flux a second, later brightening as in interacting supernovae."""
    delay, width = log_uniform(rng, 18, 70), log_uniform(rng, 6, 20)
    bump = rng.uniform(0.35, 1.2) * np.exp(-0.5 * ((days - delay) / width) ** 2)
    reference = smooth.min() + _coloured(band, rng.uniform(-0.2, 0.6))
    return -2.5 * np.log10(10 ** (-0.4 * smooth) + bump * 10 ** (-0.4 * reference))


def _stochastic(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
    """Damped random walk of an active nucleus (MacLeod et al. 2010), larger in the blue, of any colour."""
    scale, amplitude = log_uniform(rng, 10, 200), rng.uniform(0.25, 0.8)
    walk = damped_random_walk(rng, days, scale)
    redder = np.exp(-rng.uniform(0.0, 1.2) * _X[band])
    return amplitude * walk * redder + _coloured(band, rng.uniform(-0.2, 0.7))


def _of_the_sky(kind: str, absolute_mag: float, max_redshift: float) -> Course:
    """Return what a class of the simulated sky does: black bodies, redshifted, behind a little dust."""

    def course(rng: np.random.Generator, days: NDArray, band: NDArray, smooth: NDArray) -> NDArray:
        flux = thermal(rng, kind, absolute_mag, rng.uniform(0.05, max_redshift), rng.exponential(0.05))
        light = np.empty(len(days))
        for number, name in enumerate(GRID_BANDS):
            light[band == number] = flux(days[band == number], BANDS[name].wavelength_nm)
        return -2.5 * np.log10(np.maximum(light, 1e-6))

    return course


COURSES: Mapping[str, Course] = MappingProxyType(
    {"TDE": _tde, "SLSN": _slsn, "fast": _fast, "second peak": _second_peak, "stochastic": _stochastic}
)
"""By kind; time scales and cooling are drawn anew for each object."""

SKY_COURSES: Mapping[str, Course] = MappingProxyType(
    {
        "TDE": _of_the_sky("TDE", -20.0, 0.4),
        "SLSN": _of_the_sky("SLSN", -21.5, 0.9),
        "fast": _of_the_sky("fast blue", -18.5, 0.3),
    }
)
"""By other formulas: those of the simulated sky, which nothing here was chosen on."""
