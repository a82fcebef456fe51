"""Known oddities put into real stamps: each pair, odd and ordinary, is made alike but for the oddity.

No stamp of a labelled exotic is used, and nothing here trains a model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.small_stamps import BINS, SOURCE_BINS
from annotator.preprocess.triplet import SIDE
from annotator.transient import Triplet

MIN_SOURCE_SIGMA = 8.0
"""Peak of the difference source, in noise levels, where an injection is scaled by it."""

MIN_HOST_SIGMA = 10.0
"""Peak of what lies under the source, in noise levels of the difference, where an injection moves or subtracts it."""


@dataclass(frozen=True)
class Scale:
    """How large things are in a survey's stamps, in pixels."""

    side: int
    """An odd number: the object is on the middle pixel."""
    psf_sigma_pixels: float
    host_radius_pixels: float
    host_moved_pixels: tuple[float, float]
    """How far at least and at most."""
    neighbour_pixels: tuple[float, float]
    """How far away at least and at most a second source is."""
    trail_pixels: float
    """How near to the source a streak is."""
    dipole_pixels: float
    """Between the halves."""
    noise_beyond_pixels: float
    """From the source, is noise measured; everywhere where it is below 0."""
    has_sky: bool
    """Whether the stamps' sky is still in them."""

    @property
    def centre(self) -> int:
        """Row and column of the middle pixel."""
        return self.side // 2

    @cached_property
    def offsets(self) -> tuple[NDArray, NDArray]:
        """Rows and columns from the middle, ``(side, side)`` each."""
        rows, columns = np.mgrid[: self.side, : self.side].astype(np.float64) - self.centre
        return rows, columns

    @cached_property
    def distance(self) -> NDArray:
        """Of each pixel from the middle one, ``(side, side)``."""
        return np.hypot(*self.offsets)

    def middle(self, half_width: int) -> slice:
        """Return the rows, or columns, about the middle."""
        return slice(self.centre - half_width, self.centre + half_width + 1)

    def noise(self, stamp: NDArray) -> float:
        """Return half the range of the middle 68 % of a stamp's pixels."""
        return noise(stamp[self.distance > self.noise_beyond_pixels])

    def sky(self, stamp: NDArray) -> float:
        """Return the level that fluxes are above."""
        return float(np.nanmedian(stamp)) if self.has_sky else 0.0

    def psf(self, row: float, column: float) -> NDArray:
        """Return a Gaussian of peak 1, offset from the middle."""
        rows, columns = self.offsets
        return np.exp(-0.5 * ((rows - row) ** 2 + (columns - column) ** 2) / self.psf_sigma_pixels**2)


ZTF = Scale(
    side=SIDE,
    # Its median image quality is 2.0 arcsec (full width at half maximum; Bellm et al. 2019), its pixels 1.0 arcsec.
    psf_sigma_pixels=0.9,
    host_radius_pixels=9.0,
    host_moved_pixels=(8.0, 16.0),
    neighbour_pixels=(6.0, 20.0),
    trail_pixels=10.0,
    dipole_pixels=2.0,
    noise_beyond_pixels=-1.0,
    has_sky=True,
)

RUBIN = Scale(
    side=BINS,
    psf_sigma_pixels=1.23,  # 1.15 arcsec in bins of 0.4
    host_radius_pixels=4.5,
    host_moved_pixels=(3.5, 5.5),
    neighbour_pixels=(4.0, 6.5),
    trail_pixels=5.0,
    dipole_pixels=2.9,
    noise_beyond_pixels=SOURCE_BINS,
    has_sky=False,
)
"""Of the bins that a model is given of Rubin's stamps, which reach three arcseconds."""

Injection = Callable[[Triplet, np.random.Generator, Scale], tuple[Triplet, Triplet] | None]
"""Gives the odd triplet and the ordinary one it is compared with, or None where the stamps do not lend themselves."""


def host_moved(triplet: Triplet, rng: np.random.Generator, scale: Scale) -> tuple[Triplet, Triplet] | None:
    """Put what lies under the source somewhere else, 8 to 16 pixels away from it in ZTF's stamps."""
    distance, angle = rng.uniform(*scale.host_moved_pixels), rng.uniform(0, 2 * np.pi)
    shift = round(distance * np.sin(angle)), round(distance * np.cos(angle))
    return _with_host(triplet, rng, scale, lambda host: _moved(host, shift))


def host_gone(triplet: Triplet, rng: np.random.Generator, scale: Scale) -> tuple[Triplet, Triplet] | None:
    """Leave sky where something lay under the source."""
    return _with_host(triplet, rng, scale, np.zeros_like)


def second_source(triplet: Triplet, rng: np.random.Generator, scale: Scale) -> tuple[Triplet, Triplet] | None:
    """Add a second new source, 0.3 to 1 times as bright, 6 to 20 pixels away in ZTF's stamps."""
    peak = _source_peak(triplet, scale)
    if peak is None:
        return None
    distance, angle = rng.uniform(*scale.neighbour_pixels), rng.uniform(0, 2 * np.pi)
    flux = max(rng.uniform(0.3, 1.0) * peak, 5 * scale.noise(triplet.difference))
    return _added(triplet, flux * scale.psf(distance * np.sin(angle), distance * np.cos(angle))), triplet


def trail(triplet: Triplet, rng: np.random.Generator, scale: Scale) -> tuple[Triplet, Triplet] | None:
    """Draw a satellite's streak across the stamp, 3 to 10 noise levels high, near the source."""
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-scale.trail_pixels, scale.trail_pixels)
    rows, columns = scale.offsets
    across = rows * np.cos(angle) - columns * np.sin(angle) - offset
    height = rng.uniform(3, 10) * scale.noise(triplet.difference)
    return _added(triplet, height * np.exp(-0.5 * (across / scale.psf_sigma_pixels) ** 2)), triplet


def dipole(triplet: Triplet, rng: np.random.Generator, scale: Scale) -> tuple[Triplet, Triplet] | None:
    """Put a negative twin, 0.4 to 1 times as deep, beside the source: stamps that were not aligned."""
    peak = _source_peak(triplet, scale)
    if peak is None:
        return None
    angle, distance = rng.uniform(0, 2 * np.pi), scale.dipole_pixels
    return _added(
        triplet, -rng.uniform(0.4, 1.0) * peak * scale.psf(distance * np.sin(angle), distance * np.cos(angle))
    ), triplet


def saturation(triplet: Triplet, rng: np.random.Generator, scale: Scale) -> tuple[Triplet, Triplet] | None:
    """Make the source 1.5 to 10 times as bright as fills a pixel, 100 to 1,000 noise levels, and let it bleed."""
    if _source_peak(triplet, scale) is None:
        return None
    full = scale.noise(triplet.difference) * 10 ** rng.uniform(2, 3)
    bright = _added(triplet, rng.uniform(1.5, 10) * full * scale.psf(0, 0))
    return _cut_off(bright, full, scale), triplet


def flat_top(triplet: Triplet, rng: np.random.Generator, scale: Scale) -> tuple[Triplet, Triplet] | None:
    """Cut the source off at 0.3 to 0.6 of its own peak, however faint it is: a detector's fault, not its limit."""
    if _source_peak(triplet, scale) is None:
        return None
    core = scale.middle(2)
    peak = np.nanmax(triplet.science[core, core]) - scale.sky(triplet.science)
    return _cut_off(triplet, rng.uniform(0.3, 0.6) * float(peak), scale), triplet


def _cut_off(triplet: Triplet, level: float, scale: Scale) -> Triplet:
    """Cut the science stamp off above its sky, and let what is cut off bleed along its columns."""
    excess = np.nan_to_num(triplet.science - scale.sky(triplet.science))
    core = scale.middle(5)
    spilt, bled = np.zeros_like(excess), np.zeros_like(excess)
    spilt[core, core] = np.maximum(excess[core, core] - level, 0)
    for column in np.flatnonzero(spilt.any(axis=0)):
        # A full pixel passes its charge on to its neighbours in the column, up and down alike.
        reach = int(min(scale.centre, max(3, np.ceil(spilt[:, column].sum() / level))))
        bled[scale.middle(reach), column] = spilt[:, column].sum() / (2 * reach + 1)
    return _added(triplet, bled - spilt)


def wrong_subtraction(triplet: Triplet, rng: np.random.Generator, scale: Scale) -> tuple[Triplet, Triplet] | None:
    """Subtract the template 5 to 30 % too weakly or too strongly, science and template untouched."""
    if not _has_host(triplet, scale):
        return None
    factor = rng.choice([-1, 1]) * rng.uniform(0.05, 0.3)
    difference = triplet.difference + factor * np.nan_to_num(_reference(triplet, scale))
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
    triplet: Triplet, rng: np.random.Generator, scale: Scale, change: Callable[[NDArray], NDArray]
) -> tuple[Triplet, Triplet] | None:
    """Replace a disc of both images by sky, put a noiseless copy of what was there back changed, and unchanged."""
    if not _has_host(triplet, scale) or not _host_fits(triplet, scale):
        return None
    disc = 1 / (1 + np.exp(2 * (scale.distance - scale.host_radius_pixels)))
    sky_noise = rng.normal(0, scale.noise(triplet.template), (scale.side, scale.side))
    excess = triplet.template - scale.sky(triplet.template)
    reference = _reference(triplet, scale)
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


def _reference(triplet: Triplet, scale: Scale) -> NDArray:
    """Return the science image without sky and without the source: what was subtracted from it."""
    reference = triplet.science - triplet.difference
    return reference - scale.sky(reference)


def _has_host(triplet: Triplet, scale: Scale) -> bool:
    core = scale.middle(3)
    middle = _reference(triplet, scale)[core, core]
    return bool(np.isfinite(middle).all()) and middle.max() >= MIN_HOST_SIGMA * scale.noise(triplet.difference)


def _host_fits(triplet: Triplet, scale: Scale) -> bool:
    """Say whether what lies under the source ends within the disc, so that moving it leaves no edge."""
    reference = _reference(triplet, scale)
    rim = np.nanmedian(reference[np.abs(scale.distance - scale.host_radius_pixels) < 1])
    return bool(abs(rim) < scale.noise(triplet.difference))


def _source_peak(triplet: Triplet, scale: Scale) -> float | None:
    """Return the difference source's peak above its sky; None where it is too faint."""
    core = scale.middle(1)
    middle = triplet.difference[core, core]
    if not np.isfinite(middle).all():
        return None
    peak = float(middle.max() - scale.sky(triplet.difference))
    return peak if peak >= MIN_SOURCE_SIGMA * scale.noise(triplet.difference) else None


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


def _moved(image: NDArray, shift: tuple[int, int]) -> NDArray:
    """Move an image by rows and columns; what leaves it is lost, and what is left behind is empty."""
    margin = max(map(abs, shift))
    padded = np.roll(np.pad(image, margin), shift, axis=(0, 1))
    return padded[margin : margin + image.shape[0], margin : margin + image.shape[1]]


def _smooth(image: NDArray) -> NDArray:
    """Return the median of each pixel and its eight neighbours; missing pixels count as sky."""
    padded, side = np.pad(np.nan_to_num(image), 1), len(image)
    return np.median([padded[i : i + side, j : j + side] for i in range(3) for j in range(3)], axis=0)
