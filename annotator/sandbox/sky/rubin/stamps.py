"""Cutouts of simulated sources at Rubin's pixel, seeing and depth: science, template and difference, in nJy.

A side is as many pixels as Rubin cuts out. The template, the mean of the sharper of many visits, holds the host and
whatever light of the object it was made with; the difference is the science image less that, at the science image's
seeing, with the noise of both and what a subtraction leaves of all that does not change. Sky is taken off, as in
Rubin's images; photons are counted, so that what is bright is noisier.
"""

import math

import numpy as np
from numpy.typing import NDArray

from annotator.photometry import ZERO_POINT_MAG
from annotator.sandbox.sky.rubin.night import RubinObject
from annotator.sandbox.sky.rubin.scene import PIXEL_ARCSEC, PointSpread, Scene, grid
from annotator.sandbox.sky.stamps import KINDS, to_fits

__all__ = ["KINDS", "PIXEL_ARCSEC", "render", "seeing_arcsec", "simulate"]

MIN_SIDE = 30
# Of 229 stamps of 2025 and 2026: how wide a point is, and the noise of a pixel beside the error of a flux.
_SEEING_ARCSEC = {"u": 1.3, "g": 1.25, "r": 1.18, "i": 1.15, "z": 1.12, "y": 1.12}
_SEEING_SCATTER = 0.18
_NOISE_OF_FLUX = 1.16  # times the noise of as many pixels as a point fills, the error of a flux
# Templates are made of the sharper third of the visits, and their shapes average out.
_TEMPLATE_SEEING_ARCSEC, _TEMPLATE_SEEING_SCATTER = 0.88, 0.1
_ELONGATION, _TEMPLATE_ELONGATION = 0.1, 0.04  # of 1 less the axis ratio, Rayleigh's scale
_TEMPLATE_DEEPER = 0.2  # of the science image's noise, that of the template
_TEMPLATE_VISITS = 20
# Magnitudes that give one electron a second (SMTN-002), and how long a visit looks.
_ELECTRON_MAG = {"u": 26.52, "g": 28.51, "r": 28.36, "i": 28.17, "z": 27.78, "y": 26.82}
_VISIT_S = 30.0
_PHOTONS_OF_FLUX = 1.56  # variance of a point's flux, weighed as against sky, in that of its photons
_SKY_SCATTER = 0.05  # of a pixel's noise, what is left of the sky
# What a subtraction leaves: an offset in pixels, and parts of gain, width and axis ratio of the point-spread function.
_OFFSET_PIXELS, _GAIN, _WIDTH, _RATIO = 0.05, 0.005, 0.012, 0.012
_QUALITY_SCATTER = 0.8  # of a logarithm: air, focus and colour make some subtractions several times as bad
_MISSING_SHARE = 0.01


def render(simulated: RubinObject, i: int, bbox_pixels: int, seed: int) -> dict[str, bytes]:
    """Render the three stamps of a source.

    Parameters
    ----------
    simulated, i
        The object, and which of its sources.
    bbox_pixels
        Of the box around the source; a side of a stamp is at least 30 pixels.
    seed
        Of the night; the same seed gives the same stamps.

    Returns
    -------
    dict
        By kind: a plain FITS file, float32; all three empty for one source in a hundred.
    """
    stamps = simulate(simulated, i, max(MIN_SIDE, bbox_pixels), seed)
    if np.random.default_rng([seed, simulated.source_ids[i], 1]).random() < _MISSING_SHARE:
        return dict.fromkeys(KINDS, b"")
    return {kind: to_fits(stamp, kind) for kind, stamp in stamps.items()}


def simulate(simulated: RubinObject, i: int, side: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Simulate the three stamps: ``(side, side)`` float32 each in nJy, row 0 in the south."""
    of_object = np.random.default_rng([seed, simulated.object_id])
    of_source = np.random.default_rng([seed, simulated.source_ids[i]])
    sources = simulated.observed.sources
    band, flux, error = str(sources.band[i]), float(sources.flux_njy[i]), float(sources.error_njy[i])
    static, held = float(sources.template_njy[i]), float(sources.held_njy[i])
    host = max(static - held, 0.0)
    scene = Scene.draw(of_object, simulated.sherlock, ZERO_POINT_MAG - 2.5 * math.log10(max(host, 1.0)))
    spreads = _spreads(of_object, of_source, band, simulated.source_ids[i])
    offset = of_source.uniform(-0.5, 0.5, size=2)  # stamps are cut to whole pixels
    still = [scene.render(host, held, offset, spread, side) for spread in spreads]
    electrons_njy = _VISIT_S * 10 ** (0.4 * (_ELECTRON_MAG[band] - ZERO_POINT_MAG))
    added = (
        _artefact(of_source, flux, side)
        if simulated.kind == "bogus"
        else _moving(simulated, flux, spreads[0], offset, side)
    )
    # The error of a flux is that of the sky and of the photons; the sky's is the same in every pixel.
    of_photons = _PHOTONS_OF_FLUX * (static + abs(flux)) / electrons_njy
    of_sky = math.sqrt(max(error**2 - of_photons, 0.3 * error**2))
    level = of_sky / _NOISE_OF_FLUX / math.sqrt(spreads[0].effective_pixels)
    photons = [np.maximum(image, 0.0) / electrons_njy for image in (still[0] + added, still[1])]
    noise = of_source.normal(0.0, np.sqrt(level**2 + photons[0]))
    template_noise = of_object.normal(0.0, np.sqrt((_TEMPLATE_DEEPER * level) ** 2 + photons[1] / _TEMPLATE_VISITS))
    sky = level * _SKY_SCATTER * of_source.normal(size=2)
    science = still[0] + added + noise + sky[0]
    difference = _left(of_source, still[0], spreads[0]) + added + noise - template_noise + sky[1]
    stamps = (science, still[1] + template_noise, difference)
    return {kind: stamp.astype(np.float32) for kind, stamp in zip(KINDS, stamps, strict=True)}


def seeing_arcsec(band: str, source_id: int) -> float:
    """Return the full width at half maximum of a point at a source's visit, the same each time."""
    return _SEEING_ARCSEC[band] * float(np.random.default_rng([source_id, 2]).lognormal(0.0, _SEEING_SCATTER))


def _spreads(
    of_object: np.random.Generator, of_source: np.random.Generator, band: str, source_id: int
) -> tuple[PointSpread, PointSpread]:
    """Draw the point-spread functions of science image and template."""
    template_arcsec = _TEMPLATE_SEEING_ARCSEC * of_object.lognormal(0.0, _TEMPLATE_SEEING_SCATTER)
    found = []
    for rng, fwhm_arcsec, elongation in (
        (of_source, seeing_arcsec(band, source_id), _ELONGATION),
        (of_object, template_arcsec, _TEMPLATE_ELONGATION),
    ):
        found.append(PointSpread(fwhm_arcsec, 1 - min(rng.rayleigh(elongation), 0.4), rng.uniform(0.0, math.pi)))
    return found[0], found[1]


def _left(rng: np.random.Generator, still: NDArray[np.float64], spread: PointSpread) -> NDArray[np.float64]:
    """Draw what a subtraction leaves of what does not change: images are never quite alike."""
    worse = rng.lognormal(0.0, _QUALITY_SCATTER)
    shift, gain = worse * rng.normal(0.0, _OFFSET_PIXELS, size=2), worse * rng.normal(0.0, _GAIN)
    width, ratio = worse * rng.normal(0.0, _WIDTH), worse * rng.normal(0.0, _RATIO)
    up, right = np.gradient(still)
    left = shift[0] * right + shift[1] * up + gain * still
    # To first order a wider image differs by its curvature along both axes alike, a longer one by their difference.
    along_up, along_right = np.gradient(up, axis=0), np.gradient(right, axis=1)
    across = np.gradient(up, axis=1)
    variance = (spread.fwhm_arcsec / PIXEL_ARCSEC / 2.355) ** 2
    turn = 2 * rng.uniform(0.0, math.pi)
    longer = (along_right - along_up) * math.cos(turn) + 2 * across * math.sin(turn)
    return left + variance * (width * (along_up + along_right) + ratio * longer)


def _moving(
    simulated: RubinObject, flux: float, spread: PointSpread, offset: NDArray[np.float64], side: int
) -> NDArray[np.float64]:
    """Return the object's own change; what is of the solar system leaves a short trail."""
    right, up = grid(side)
    if simulated.kind != "asteroid":
        return flux * spread.on(right - offset[0], up - offset[1])
    along = offset + np.linspace(-0.5, 0.5, 9)[:, None] * np.array([0.8, 0.6]) * 12.0
    return flux * np.mean([spread.on(right - at[0], up - at[1]) for at in along], axis=0)


def _artefact(rng: np.random.Generator, flux: float, side: int) -> NDArray[np.float64]:
    """Draw a dipole, a streak or a hot pixel."""
    right, up = grid(side)
    spread = PointSpread(0.8, 1.0, 0.0)
    match rng.integers(3):
        case 0:
            return flux * (spread.on(right - 1.5, up) - spread.on(right + 1.5, up))
        case 1:
            return flux / side * np.exp(-0.5 * ((right - up) / 1.5) ** 2)
    return np.where((right == right[0, side // 2]) & (up == up[side // 2, 0]), flux, 0.0)
