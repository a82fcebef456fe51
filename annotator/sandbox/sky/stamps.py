"""Stamps of the simulated night: science, template and difference images of 63x63 pixels. Everything is simulated.

A host with a Sersic profile, the stars and galaxies of the field, a point source of the measured brightness, a Moffat
point-spread function that is wider or narrower from night to night, noise by the epoch's depth, and what a subtraction
leaves of all that does not change. Numbers are as of ZTF's
stamps (Masci et al. 2019): 1.012 arcsec a pixel, north up and east to the left, data numbers of an exposure of 30 s.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.sandbox.sky.hosts import PS1_SOURCES_PER_ARCSEC2, UNKNOWN_MAG
from annotator.sandbox.sky.light_curves import Magnitude
from annotator.sandbox.sky.night import SimulatedObject
from annotator.sandbox.sky.observe import Epoch
from annotator.surveys.ztf.parse import PIXEL_ARCSEC

SIDE = 63
ZERO_POINT_MAG = 26.2
"""Of a data number."""
STARS = ("CV", "artefact", "long-period variable")
"""What lies on a star and not in a galaxy."""
KINDS = ("Science", "Template", "Difference")
ARTEFACTS = ("dipole", "trail", "saturated star", "hot pixel")

_OVERSAMPLING = 2
_MARGIN = 9  # pixels around the stamp, so that the convolution's edges stay outside it
_MOFFAT_BETA = 3
_SATURATION = 40_000.0
_SKY = {1: 120.0, 2: 160.0, 3: 200.0}
_TEMPLATE_DEPTH_MAG = 1.65  # deeper than an exposure: the sum of twenty
_LIMIT_MARGIN_MAG = 1.15  # by which ZTF's limits are brighter than five times its pixels' noise, of which 6 DN is usual
_FIELD_FAINTEST_MAG, _FIELD_SLOPE = 22.0, 0.28  # of the logarithm of the number of sources brighter than a magnitude
_FIELD_BRIGHTEST_MAG = 12.5
_UNCATALOGUED_ARCSEC = 30.0  # an alert names the nearest source within it
_DETECTION_SNR = 5.0
_MISSING_FRACTION = 0.01
_EDGE_FRACTION = 0.02
_FITS_BLOCK = 2880


def render(simulated: SimulatedObject, epoch: Epoch, seed: int) -> dict[str, bytes]:
    """Render the three stamps of a detection.

    Parameters
    ----------
    simulated
        The object, with its host.
    epoch
        One of its detections.
    seed
        Of the night; the same seed gives the same stamps.

    Returns
    -------
    dict
        By kind (:data:`KINDS`): a plain FITS file, float32, 63x63; empty where the stamp is missing, as of one object
        in a hundred. Of two in a hundred a side is NaN: the detector's edge.
    """
    stamps = simulate(simulated, epoch, seed)
    of_object, of_epoch = _generators(simulated, epoch, seed)
    if of_epoch.random() < _MISSING_FRACTION:
        return {**{kind: to_fits(stamp, kind) for kind, stamp in stamps.items()}, "Template": b""}
    if of_object.random() < _EDGE_FRACTION:
        width = int(of_object.integers(3, 25))
        for stamp in stamps.values():
            stamp[:, :width] = np.nan
    return {kind: to_fits(stamp, kind) for kind, stamp in stamps.items()}


def simulate(simulated: SimulatedObject, epoch: Epoch, seed: int) -> dict[str, NDArray[np.float32]]:
    """Simulate the three stamps, before anything is missing: ``(63, 63)`` float32 each, row 0 in the south."""
    of_object, of_epoch = _generators(simulated, epoch, seed)
    scene = _Scene.of(simulated, of_object)
    seeing = PIXEL_ARCSEC * of_epoch.lognormal(math.log(2.0), 0.15), PIXEL_ARCSEC * of_object.lognormal(0.6, 0.05)
    static = [scene.render(fwhm_arcsec) for fwhm_arcsec in seeing]
    offset = of_epoch.uniform(-0.5, 0.5, size=2)  # stamps are cut to whole pixels
    flux = _flux(epoch.magpsf) * (1 if epoch.isdiffpos == "t" else -1)
    noise = [_pixel_noise(epoch.diffmaglim + deeper, seeing[0]) for deeper in (0.0, _TEMPLATE_DEPTH_MAG)]
    grain = [of_epoch.normal(0.0, _with_shot_noise(level, light)) for level, light in zip(noise, static, strict=True)]
    # What a subtraction leaves of what is always there: a shift between the images, a gain that is not quite one, and
    # a point-spread function that is not quite the other's.
    shift, gain, blur = of_epoch.normal(0.0, 0.06, size=2), of_epoch.normal(0.0, 0.01), of_epoch.normal(0.0, 0.025)
    residual = _shifted_difference(static[0], shift) + gain * static[0] + blur * _blurring(static[0])
    if simulated.kind == "artefact":
        added = _artefact(of_object, static[0], abs(flux), offset)
    else:
        added = flux * _moffat(seeing[0], offset)
    sky = _SKY.get(epoch.fid, 150.0)
    science = sky + static[0] + added + grain[0]
    template = sky * of_object.uniform(0.8, 1.2) + static[1] + grain[1]
    difference = residual + added + grain[0] - grain[1]
    stamps = (np.minimum(science, _SATURATION), np.minimum(template, _SATURATION), difference)
    return {kind: stamp.astype(np.float32) for kind, stamp in zip(KINDS, stamps, strict=True)}


def to_fits(stamp: NDArray[np.float32], kind: str) -> bytes:
    """Write an image as a plain FITS file (FITS standard 4.0: cards of 80 characters, blocks of 2,880 bytes)."""
    rows, columns = stamp.shape
    cards = [
        f"{'SIMPLE':8}= {'T':>20}",
        f"{'BITPIX':8}= {-32:>20}",
        f"{'NAXIS':8}= {2:>20}",
        f"{'NAXIS1':8}= {columns:>20}",
        f"{'NAXIS2':8}= {rows:>20}",
        f"{'OBJECT':8}= 'SIMULATED'",
        f"COMMENT {kind} stamp by the sandbox of aha-annotator: no observation",
        "END",
    ]
    header = "".join(card.ljust(80) for card in cards).encode("ascii")
    data = stamp.astype(">f4").tobytes()
    return header.ljust(_blocks(len(header)), b" ") + data.ljust(_blocks(len(data)), b"\0")


def _blocks(length: int) -> int:
    return -(-length // _FITS_BLOCK) * _FITS_BLOCK


def _generators(simulated: SimulatedObject, epoch: Epoch, seed: int) -> tuple[np.random.Generator, ...]:
    """Return the object's own generator, the same for all its epochs, and the epoch's."""
    name = int.from_bytes(simulated.object_id.encode(), "big")
    return np.random.default_rng([seed, name]), np.random.default_rng([seed, name, epoch.candid])


@dataclass(frozen=True, eq=False)
class _Scene:
    """What is there at all times: a galaxy, a star and the field, relative to the object."""

    galaxy_flux: float
    star_flux: float
    right_arcsec: float
    up_arcsec: float
    """Of the galaxy's centre, or the star."""
    radius_arcsec: float
    """Half of the galaxy's light is within it."""
    sersic_index: float
    axis_ratio: float
    angle_rad: float
    field: NDArray[np.float64]
    """``(n, 3)``: arcsec right and up, and flux, of sources that have nothing to do with the object."""

    @classmethod
    def of(cls, simulated: SimulatedObject, rng: np.random.Generator) -> "_Scene":
        """Take the host from what Sherlock says of it; what Sherlock leaves open is drawn."""
        host: Mapping[str, object] = simulated.sherlock
        magnitude, extent = float(host["Mag"] or 0.0), float(host["major_axis_arcsec"] or 0.0)
        flux = _flux(magnitude) if magnitude else 0.0
        is_star = simulated.kind in STARS
        # An exponential disc has half of its light within 1.678 scale lengths, and a catalogued size of six.
        drawn_arcsec = 2.0 * 10 ** (-0.13 * (magnitude - 18.0)) * rng.lognormal(0.0, 0.25)
        return cls(
            galaxy_flux=0.0 if is_star else flux,
            star_flux=flux if is_star else flux * rng.uniform(0.05, 0.3) * (simulated.kind in ("AGN", "flare")),
            right_arcsec=float(host["eastSeparationArcsec"] or 0.0),  # the object is east of its host, and east is left
            up_arcsec=-float(host["northSeparationArcsec"] or 0.0),
            radius_arcsec=1.678 * extent / 6.0 if extent else min(max(drawn_arcsec, 0.5), 30.0),
            sersic_index=float(rng.choice((1.0, 2.0, 4.0), p=(0.6, 0.2, 0.2))),
            axis_ratio=rng.uniform(0.35, 1.0),
            angle_rad=rng.uniform(0.0, math.pi),
            field=_field(simulated, rng),
        )

    def render(self, fwhm_arcsec: float) -> NDArray[np.float64]:
        """Return the light in data numbers, ``(63, 63)``, seen with this seeing."""
        image = _points(fwhm_arcsec, self.field)
        if self.galaxy_flux and max(abs(self.right_arcsec), abs(self.up_arcsec)) < 300.0:
            image += self.galaxy_flux * self._galaxy(fwhm_arcsec)
        if self.star_flux:
            image += self.star_flux * _moffat(fwhm_arcsec, np.array([self.right_arcsec, self.up_arcsec]) / PIXEL_ARCSEC)
        return image

    def _galaxy(self, fwhm_arcsec: float) -> NDArray[np.float64]:
        """Return a Sersic profile of unit flux, convolved (Graham & Driver 2005 for its normalisation)."""
        right, up = _grid(_MARGIN)
        right, up = right * PIXEL_ARCSEC - self.right_arcsec, up * PIXEL_ARCSEC - self.up_arcsec
        along = right * math.cos(self.angle_rad) + up * math.sin(self.angle_rad)
        across = (up * math.cos(self.angle_rad) - right * math.sin(self.angle_rad)) / self.axis_ratio
        n = self.sersic_index
        b = 2 * n - 1 / 3 + 4 / (405 * n)
        # Softened within a third of a grid step, where the profile of a large index has no end.
        radius = np.sqrt(along**2 + across**2 + (PIXEL_ARCSEC / _OVERSAMPLING / 3) ** 2) / self.radius_arcsec
        total = 2 * math.pi * n * math.exp(b) * b ** (-2 * n) * math.gamma(2 * n) * self.axis_ratio
        surface = np.exp(-b * (radius ** (1 / n) - 1)) / total / self.radius_arcsec**2  # an arcsec^2
        kernel = _moffat_on(_grid(_MARGIN), fwhm_arcsec, np.zeros(2))
        seen = np.fft.irfft2(np.fft.rfft2(surface) * np.fft.rfft2(np.fft.ifftshift(kernel)), surface.shape)
        return _binned(seen * PIXEL_ARCSEC**2, _MARGIN) / _OVERSAMPLING**2


def _field(simulated: SimulatedObject, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the sources of a field, ``(n, 3)``, as many as Pan-STARRS1 has: none is nearer than its nearest one."""
    half_arcsec = 0.5 * SIDE * PIXEL_ARCSEC
    n = rng.poisson(PS1_SOURCES_PER_ARCSEC2 * (2 * half_arcsec) ** 2 * rng.lognormal(0.0, 0.4))
    right, up = rng.uniform(-half_arcsec, half_arcsec, size=(2, n))
    magnitude = np.maximum(_FIELD_FAINTEST_MAG + np.log10(rng.random(n)) / _FIELD_SLOPE, _FIELD_BRIGHTEST_MAG)
    nearest_arcsec, nearest_mag = (float(simulated.columns[name]) for name in ("distpsnr1", "srmag1"))
    is_far = np.hypot(right, up) > (nearest_arcsec if nearest_arcsec >= 0 else _UNCATALOGUED_ARCSEC)
    sources = np.column_stack([right, up, _flux(magnitude)])[is_far]
    is_unrelated = simulated.sherlock["classification"] == "ORPHAN" or simulated.kind in ("far from host", "wrong host")
    if not is_unrelated or nearest_mag == UNKNOWN_MAG:
        return sources
    angle = rng.uniform(0.0, 2 * math.pi)
    nearest = nearest_arcsec * math.cos(angle), nearest_arcsec * math.sin(angle), _flux(nearest_mag)
    return np.vstack([sources, nearest])


def _flux(magnitude: Magnitude) -> Magnitude:
    """Turn magnitudes into data numbers."""
    return 10 ** (-0.4 * (magnitude - ZERO_POINT_MAG))


def _points(fwhm_arcsec: float, sources: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of point sources ``(n, 3)``, ``(63, 63)``."""
    steps = np.arange(SIDE) - SIDE // 2
    right, up, flux = (column[:, np.newaxis, np.newaxis] for column in sources.T)
    grid = steps[np.newaxis, np.newaxis, :] - right / PIXEL_ARCSEC, steps[np.newaxis, :, np.newaxis] - up / PIXEL_ARCSEC
    return (flux * _moffat_profile(np.hypot(*grid), fwhm_arcsec)).sum(axis=0)


def _grid(margin: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return pixel offsets (right, up) from the stamp's centre, oversampled, with a margin around."""
    side = SIDE + 2 * margin
    steps = (np.arange(side * _OVERSAMPLING) + 0.5) / _OVERSAMPLING - side / 2
    return np.meshgrid(steps, steps)


def _binned(image: NDArray[np.float64], margin: int) -> NDArray[np.float64]:
    """Sum an oversampled image to pixels and cut its margin off."""
    side = SIDE + 2 * margin
    pixels = image.reshape(side, _OVERSAMPLING, side, _OVERSAMPLING).sum(axis=(1, 3))
    return pixels[margin : margin + SIDE, margin : margin + SIDE]


def _moffat(fwhm_arcsec: float, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a point source of unit flux at `centre` (pixels right and up), ``(63, 63)``."""
    return _binned(_moffat_on(_grid(0), fwhm_arcsec, centre), 0)


def _moffat_on(
    grid: tuple[NDArray[np.float64], NDArray[np.float64]], fwhm_arcsec: float, centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    right, up = grid
    return _moffat_profile(np.hypot(right - centre[0], up - centre[1]), fwhm_arcsec) / _OVERSAMPLING**2


def _moffat_profile(radius_pixels: NDArray[np.float64], fwhm_arcsec: float) -> NDArray[np.float64]:
    """Return the light of a point source of unit flux at a distance from it, a pixel."""
    width = fwhm_arcsec / PIXEL_ARCSEC / (2 * math.sqrt(2 ** (1 / _MOFFAT_BETA) - 1))
    base = 1 + np.square(radius_pixels / width)
    # As a product: a power of pixels, thirty of them a stamp, took most of the time.
    return (_MOFFAT_BETA - 1) / (math.pi * width**2) / (base * base * base)


def _pixel_noise(limit_mag: float, fwhm_arcsec: float) -> float:
    """Return the noise of a pixel of an image with this limit for point sources.

    Its light is spread over 4 pi sigma^2 pixels for a Gaussian of the same width (King 1983).
    """
    sigma_pixels = fwhm_arcsec / PIXEL_ARCSEC / 2.355
    flux = _flux(limit_mag + _LIMIT_MARGIN_MAG)
    return flux / _DETECTION_SNR / math.sqrt(4 * math.pi * sigma_pixels**2)


def _with_shot_noise(noise: float, light: NDArray[np.float64]) -> NDArray[np.float64]:
    gain = 6.2  # electrons a data number
    return np.sqrt(noise**2 + np.maximum(light, 0.0) / gain)


def _shifted_difference(image: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is left when an image is subtracted from itself, shifted by a small part of a pixel."""
    up, right = np.gradient(image)
    return shift[0] * right + shift[1] * up


def _blurring(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is left when an image is subtracted from itself seen a little sharper: its curvature."""
    padded = np.pad(image, 1, mode="edge")
    around = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
    return around - 4 * image


def _artefact(
    rng: np.random.Generator, static: NDArray[np.float64], flux: float, offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Draw one of :data:`ARTEFACTS`, the same at all epochs of an object."""
    kind = ARTEFACTS[rng.integers(len(ARTEFACTS))]
    right, up = np.meshgrid(np.arange(SIDE) - SIDE // 2, np.arange(SIDE) - SIDE // 2)
    if kind == "dipole":
        return _shifted_difference(static, rng.normal(0.0, 0.4, size=2))
    if kind == "trail":
        angle = rng.uniform(0.0, math.pi)
        distance = right * math.sin(angle) - up * math.cos(angle) + offset[0]
        return flux / 6.0 * np.exp(-0.5 * (distance / 1.2) ** 2)
    if kind == "hot pixel":
        return np.where((right == 0) & (up == 0), flux, 0.0)
    bleed = np.where((abs(right) <= 1) & (abs(up) < rng.integers(8, 30)), _SATURATION, 0.0)
    return np.maximum(bleed, 0.5 * _SATURATION * (np.hypot(right, up) < 4))
