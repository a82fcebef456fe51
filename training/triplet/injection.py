"""Known oddities put into real stamps: each pair, odd and ordinary, is made alike but for the oddity.

No stamp of a labelled exotic is used, and nothing here trains a model.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.triplet import CENTRE, SIDE
from annotator.transient import Triplet

PSF_SIGMA_PIXELS = 0.9
"""ZTF's median image quality is 2.0 arcsec (full width at half maximum; Bellm et al. 2019), its pixels 1.0 arcsec."""

MIN_SOURCE_SIGMA = 8.0
"""Peak of the difference source, in noise levels, where an injection is scaled by it."""

MIN_HOST_SIGMA = 10.0
"""Peak of what lies under the source, in noise levels of the difference, where an injection moves or subtracts it."""

HOST_RADIUS_PIXELS = 9.0

_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float64) - CENTRE

Injection = Callable[[Triplet, np.random.Generator], tuple[Triplet, Triplet] | None]
"""Gives the odd triplet and the ordinary one it is compared with, or None where the stamps do not lend themselves."""


def host_moved(triplet: Triplet, rng: np.random.Generator) -> tuple[Triplet, Triplet] | None:
    """Put what lies under the source 8 to 16 pixels away from it."""
    distance, angle = rng.uniform(8, 16), rng.uniform(0, 2 * np.pi)
    shift = round(distance * np.sin(angle)), round(distance * np.cos(angle))
    return _with_host(triplet, rng, lambda host: np.roll(host, shift, axis=(0, 1)))


def host_gone(triplet: Triplet, rng: np.random.Generator) -> tuple[Triplet, Triplet] | None:
    """Leave sky where something lay under the source."""
    return _with_host(triplet, rng, np.zeros_like)


def second_source(triplet: Triplet, rng: np.random.Generator) -> tuple[Triplet, Triplet] | None:
    """Add a second new source, 0.3 to 1 times as bright, 6 to 20 pixels away."""
    peak = _source_peak(triplet)
    if peak is None:
        return None
    distance, angle = rng.uniform(6, 20), rng.uniform(0, 2 * np.pi)
    flux = max(rng.uniform(0.3, 1.0) * peak, 5 * noise(triplet.difference))
    return _added(triplet, flux * _psf(distance * np.sin(angle), distance * np.cos(angle))), triplet


def trail(triplet: Triplet, rng: np.random.Generator) -> tuple[Triplet, Triplet] | None:
    """Draw a satellite's streak across the stamp, 3 to 10 noise levels high, within 10 pixels of the source."""
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-10, 10)
    across = _ROWS * np.cos(angle) - _COLUMNS * np.sin(angle) - offset
    height = rng.uniform(3, 10) * noise(triplet.difference)
    return _added(triplet, height * np.exp(-0.5 * (across / PSF_SIGMA_PIXELS) ** 2)), triplet


def dipole(triplet: Triplet, rng: np.random.Generator) -> tuple[Triplet, Triplet] | None:
    """Put a negative twin, 0.4 to 1 times as deep, 2 pixels from the source: stamps that were not aligned."""
    peak = _source_peak(triplet)
    if peak is None:
        return None
    angle = rng.uniform(0, 2 * np.pi)
    return _added(triplet, -rng.uniform(0.4, 1.0) * peak * _psf(2 * np.sin(angle), 2 * np.cos(angle))), triplet


def saturation(triplet: Triplet, rng: np.random.Generator) -> tuple[Triplet, Triplet] | None:
    """Make the source 1.5 to 10 times as bright as fills a pixel, 100 to 1,000 noise levels, and let it bleed."""
    if _source_peak(triplet) is None:
        return None
    full = noise(triplet.difference) * 10 ** rng.uniform(2, 3)
    bright = _added(triplet, rng.uniform(1.5, 10) * full * _psf(0, 0))
    return _cut_off(bright, full), triplet


def flat_top(triplet: Triplet, rng: np.random.Generator) -> tuple[Triplet, Triplet] | None:
    """Cut the source off at 0.3 to 0.6 of its own peak, however faint it is: a detector's fault, not its limit."""
    if _source_peak(triplet) is None:
        return None
    core = slice(CENTRE - 2, CENTRE + 3)
    peak = np.nanmax(triplet.science[core, core]) - np.nanmedian(triplet.science)
    return _cut_off(triplet, rng.uniform(0.3, 0.6) * float(peak)), triplet


def _cut_off(triplet: Triplet, level: float) -> Triplet:
    """Cut the science stamp off above its sky, and let what is cut off bleed along its columns."""
    excess = np.nan_to_num(triplet.science - np.nanmedian(triplet.science))
    core = slice(CENTRE - 5, CENTRE + 6)
    spilt, bled = np.zeros_like(excess), np.zeros_like(excess)
    spilt[core, core] = np.maximum(excess[core, core] - level, 0)
    for column in np.flatnonzero(spilt.any(axis=0)):
        # A full pixel passes its charge on to its neighbours in the column, up and down alike.
        reach = int(min(CENTRE, max(3, np.ceil(spilt[:, column].sum() / level))))
        bled[CENTRE - reach : CENTRE + reach + 1, column] = spilt[:, column].sum() / (2 * reach + 1)
    return _added(triplet, bled - spilt)


def wrong_subtraction(triplet: Triplet, rng: np.random.Generator) -> tuple[Triplet, Triplet] | None:
    """Subtract the template 5 to 30 % too weakly or too strongly, science and template untouched."""
    if not _has_host(triplet):
        return None
    factor = rng.choice([-1, 1]) * rng.uniform(0.05, 0.3)
    difference = triplet.difference + factor * np.nan_to_num(_reference(triplet))
    return Triplet(triplet.science, triplet.template, difference.astype(np.float32)), triplet


INJECTIONS: Mapping[str, Injection] = MappingProxyType(
    {
        "host out of place": host_moved,
        "host gone": host_gone,
        "second source": second_source,
        "trail": trail,
        "dipole": dipole,
        "saturation": saturation,
        "flat top": flat_top,
        "wrong subtraction": wrong_subtraction,
    }
)


def _with_host(
    triplet: Triplet, rng: np.random.Generator, change: Callable[[NDArray], NDArray]
) -> tuple[Triplet, Triplet] | None:
    """Replace a disc of both images by sky, put a noiseless copy of what was there back changed, and unchanged."""
    if not _has_host(triplet) or not _host_fits(triplet):
        return None
    disc = 1 / (1 + np.exp(2 * (np.hypot(_ROWS, _COLUMNS) - HOST_RADIUS_PIXELS)))
    sky_noise = rng.normal(0, noise(triplet.template), (SIDE, SIDE))
    excess = triplet.template - np.nanmedian(triplet.template)
    reference = _reference(triplet)
    template = triplet.template - disc * (excess - sky_noise)
    science = triplet.science - disc * reference
    under_template, under_science = disc * _smooth(excess), disc * _smooth(reference)

    def put(host_science: NDArray, host_template: NDArray) -> Triplet:
        return Triplet(
            (science + host_science).astype(np.float32),
            (template + host_template).astype(np.float32),
            triplet.difference,
        )

    return put(change(under_science), change(under_template)), put(under_science, under_template)


def _reference(triplet: Triplet) -> NDArray:
    """Return the science image without sky and without the source: what was subtracted from it."""
    reference = triplet.science - triplet.difference
    return reference - np.nanmedian(reference)


def _has_host(triplet: Triplet) -> bool:
    core = slice(CENTRE - 3, CENTRE + 4)
    middle = _reference(triplet)[core, core]
    return bool(np.isfinite(middle).all()) and middle.max() >= MIN_HOST_SIGMA * noise(triplet.difference)


def _host_fits(triplet: Triplet) -> bool:
    """Say whether what lies under the source ends within the disc, so that moving it leaves no edge."""
    distance, reference = np.hypot(_ROWS, _COLUMNS), _reference(triplet)
    rim = np.nanmedian(reference[np.abs(distance - HOST_RADIUS_PIXELS) < 1])
    return bool(abs(rim) < noise(triplet.difference))


def _source_peak(triplet: Triplet) -> float | None:
    """Return the difference source's peak above its sky; None where it is too faint."""
    core = slice(CENTRE - 1, CENTRE + 2)
    middle = triplet.difference[core, core]
    if not np.isfinite(middle).all():
        return None
    peak = float(middle.max() - np.nanmedian(triplet.difference))
    return peak if peak >= MIN_SOURCE_SIGMA * noise(triplet.difference) else None


def noise(stamp: NDArray) -> float:
    """Return half the range of the middle 68 % of a stamp's pixels."""
    low, high = np.nanpercentile(stamp, [15.8655, 84.1345])
    return float(high - low) / 2


def _added(triplet: Triplet, flux: NDArray) -> Triplet:
    """Add flux to the science stamp and, as it is not in the template, to the difference."""
    return Triplet(
        (triplet.science + flux).astype(np.float32),
        triplet.template,
        (triplet.difference + flux).astype(np.float32),
    )


def _psf(row: float, column: float) -> NDArray:
    """Return a Gaussian of peak 1, offset from the middle."""
    return np.exp(-0.5 * ((_ROWS - row) ** 2 + (_COLUMNS - column) ** 2) / PSF_SIGMA_PIXELS**2)


def _smooth(image: NDArray) -> NDArray:
    """Return the median of each pixel and its eight neighbours; missing pixels count as sky."""
    padded = np.pad(np.nan_to_num(image), 1)
    return np.median([padded[i : i + SIDE, j : j + SIDE] for i in range(3) for j in range(3)], axis=0)
