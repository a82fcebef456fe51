"""Real light curves of one survey as another would have seen them: its dates and its depths, in the bands of both.

What is carried is the smooth form of a light curve and how the points lie about it, nothing of its errors: it is put at
a fainter magnitude, where the other survey's noise is far above its own, and stretched in time as if it were farther
away. Bands that were not seen are not made up, and nothing is said of times after the last point.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.bands import BANDS
from annotator.errors import ConfigError
from annotator.photometry import flux_of
from annotator.preprocess.evolution import Evolution, evolution, smooth_magnitude
from annotator.transient import LightCurve

CADENCE_COLUMNS = ("position", "mjd", "band", "m5")

PEAK_MAG, PEAK_SPREAD_MAG, PEAK_RANGE_MAG = 22.3, 0.9, (20.0, 24.0)
"""Of what the other survey sees at the peak: as PLAsTiCC's objects are, training and test set together."""

MAX_STRETCH = 1.5
"""Of time: from a redshift of 0.06, as ZTF's supernovae have, to one of 0.6."""

QUIET_DAYS = 30.0
"""Before the first point, in which there was nothing."""

NEIGHBOURHOOD_DAYS, NEIGHBOURS_NEEDED, MAX_RESIDUAL_MAG = 3.0, 0.3, 1.0
"""Standard deviation of the Gaussian kernel by which points say how a light curve lies about its form; the weight of
saying that it doesn't; and the most that one may say."""

DETECTED = 5.0
"""In standard deviations."""

MIN_DETECTIONS = 2
MAX_TRIES = 20
"""Dates and positions on which a light curve is put until it has so many detections."""


@dataclass(frozen=True, eq=False)
class Visits:
    """When a survey looked at one position, in time order, arrays of length ``(n,)``."""

    time_mjd: NDArray[np.float64]
    band: NDArray[np.str_]
    depth_mag: NDArray[np.float64]
    """At five standard deviations."""


def read_cadence(path: Path) -> tuple[Visits, ...]:
    """Read visits from a table in Parquet with :data:`CADENCE_COLUMNS`, by position.

    Raises
    ------
    ConfigError
        If it cannot be read or lacks a column.
    """
    import pandas  # only training needs it

    try:
        rows = pandas.read_parquet(path)
    except Exception as failure:  # pandas and pyarrow share no base below Exception
        raise ConfigError(f"--data {path}: expected a table of visits in Parquet, found {failure}") from failure
    absent = [name for name in CADENCE_COLUMNS if name not in rows]
    if absent:
        raise ConfigError(f"--data {path}: expected {', '.join(CADENCE_COLUMNS)}, found no {', '.join(absent)}")
    return tuple(
        Visits(
            part["mjd"].to_numpy(np.float64), part["band"].to_numpy(dtype=str), part["m5"].to_numpy(dtype=np.float64)
        )
        for _, part in rows.sort_values(["position", "mjd"], kind="stable").groupby("position", sort=True)
    )


def carried(
    curves: Sequence[LightCurve], cadence: Sequence[Visits], seeds: Sequence[Sequence[int]]
) -> list[LightCurve | None]:
    """Put light curves on the dates of random positions of a survey.

    Parameters
    ----------
    curves
        In flux.
    cadence
        The other survey's visits, by position.
    seeds
        Of the random choices for each curve.

    Returns
    -------
    list
        In order; None where a curve has no form, or is hardly ever bright enough to be detected.
    """
    found = evolution(curves)
    return [
        _carried(curve, found, number, cadence, np.random.default_rng(seed)) if found.is_known[number] else None
        for number, (curve, seed) in enumerate(zip(curves, seeds, strict=True))
    ]


def _carried(
    curve: LightCurve, found: Evolution, number: int, cadence: Sequence[Visits], rng: np.random.Generator
) -> LightCurve | None:
    form, own_phase = found.form[number], curve.time_mjd - found.peak_mjd[number]
    letters = np.array([BANDS[name].letter for name in curve.band])
    residual = curve.magnitude - smooth_magnitude(form, own_phase, _wavelengths(curve.band))
    residual = np.where(curve.is_positive, residual.clip(-MAX_RESIDUAL_MAG, MAX_RESIDUAL_MAG), 0.0)
    first, last = own_phase.min(), own_phase.max()
    for _ in range(MAX_TRIES):
        visits = cadence[rng.integers(len(cadence))]
        stretch = rng.uniform(1.0, MAX_STRETCH)
        peak_mag = np.clip(rng.normal(PEAK_MAG, PEAK_SPREAD_MAG), *PEAK_RANGE_MAG)
        phase = (visits.time_mjd - rng.uniform(visits.time_mjd[0], visits.time_mjd[-1])) / stretch
        kept = np.flatnonzero(np.isin(visits.band, letters) & (phase >= first - QUIET_DAYS) & (phase <= last))
        phase, band = phase[kept], visits.band[kept]
        magnitude = smooth_magnitude(form, phase, _wavelengths(band)) - form[0] + peak_mag
        magnitude += _about(phase, band, own_phase, letters, residual)
        error = flux_of(visits.depth_mag[kept]) / DETECTED
        flux = np.where(phase < first, 0.0, flux_of(magnitude)) + rng.normal(0.0, error)
        is_forced = flux < DETECTED * error
        if np.count_nonzero(~is_forced) >= MIN_DETECTIONS:
            return LightCurve(visits.time_mjd[kept], band, flux, error, is_forced)
    return None


def _about(
    phase: NDArray[np.float64],
    band: NDArray[np.str_],
    own_phase: NDArray[np.float64],
    letters: NDArray[np.str_],
    residual: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how the curve lies about its form at other times, ``(n,)``, by points of the same letter nearby."""
    distance = (phase[:, None] - own_phase) / NEIGHBOURHOOD_DAYS
    kernel = np.exp(-0.5 * distance**2) * (band[:, None] == letters)
    return kernel @ residual / (kernel.sum(axis=1) + NEIGHBOURS_NEEDED)


def _wavelengths(bands: NDArray[np.str_]) -> NDArray[np.float64]:
    return np.array([BANDS[name].wavelength_nm for name in bands])
