"""Cutouts of simulated sources at Rubin's pixel, seeing and depth: science, template and difference, in nJy.

A side is as many pixels as Rubin cuts out. The template holds the host and whatever light of the object it was made
with; the difference is the science image less that, with the noise of both and what a subtraction leaves of the host.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.sandbox.sky.rubin.evolutions import to_njy
from annotator.sandbox.sky.rubin.night import RubinObject
from annotator.sandbox.sky.stamps import KINDS, to_fits

__all__ = ["KINDS", "PIXEL_ARCSEC", "render", "seeing_arcsec", "simulate"]

PIXEL_ARCSEC = 0.2
MIN_SIDE = 30
# Of 229 stamps of 2025 and 2026: how wide a point is, and the noise of a pixel beside the error of a flux.
_SEEING_ARCSEC = {"u": 1.3, "g": 1.25, "r": 1.18, "i": 1.15, "z": 1.12, "y": 1.12}
_SEEING_SCATTER = 0.18
_FLUX_ERROR_OF_PIXEL = 2.29  # times the width of a point in pixels
_TEMPLATE_DEEPER = 0.19  # of the difference's noise, that of the template
_FIELD_PER_ARCSEC2 = 0.012  # galaxies and stars down to 25
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
    static_njy = float(sources.template_njy[i])
    scene = _Scene.draw(of_object, simulated)
    seeing = seeing_arcsec(band, simulated.source_ids[i]), _SEEING_ARCSEC[band] * 0.95
    # The image of a difference is made with the science image's seeing: the template is brought to it.
    still = [scene.render(static_njy, fwhm_arcsec, side) for fwhm_arcsec in seeing]
    pixel_noise = error / (_FLUX_ERROR_OF_PIXEL * seeing[0] / PIXEL_ARCSEC)
    noise = [of_source.normal(0.0, pixel_noise * level, (side, side)) for level in (1.0, _TEMPLATE_DEEPER)]
    offset = of_source.uniform(-0.5, 0.5, size=2)
    added = (
        _artefact(of_source, flux, side)
        if simulated.kind == "bogus"
        else _moving(simulated, flux, seeing[0], offset, side)
    )
    shift, gain = of_source.normal(0.0, 0.04, size=2), of_source.normal(0.0, 0.004)
    up, right = np.gradient(still[0])
    residual = shift[0] * right + shift[1] * up + gain * still[0]
    stamps = (still[0] + added + noise[0], still[1] + noise[1], residual + added + noise[0] - noise[1])
    return {kind: stamp.astype(np.float32) for kind, stamp in zip(KINDS, stamps, strict=True)}


def seeing_arcsec(band: str, source_id: int) -> float:
    """Return the full width at half maximum of a point at a source's visit, the same each time."""
    return _SEEING_ARCSEC[band] * float(np.random.default_rng([source_id, 2]).lognormal(0.0, _SEEING_SCATTER))


@dataclass(frozen=True, eq=False)
class _Scene:
    """What is there at all times, relative to the object."""

    host_pixels: NDArray[np.float64]
    """``(2,)``: right and up, of the host's centre."""
    radius_pixels: float
    """Half of the host's light is within it; 0 for a point."""
    point_share: float
    """Of the static light at the object, what is a point on it: a nucleus, a star, or the object itself."""
    field: NDArray[np.float64]
    """``(n, 3)``: pixels right and up, and nJy, of what has nothing to do with the object."""

    @classmethod
    def draw(cls, rng: np.random.Generator, simulated: RubinObject) -> "_Scene":
        host = simulated.sherlock or {}
        at = [float(host.get(f"{way}SeparationArcsec") or rng.normal(0.0, 0.7)) for way in ("east", "north")]
        field_side = 100  # more than any stamp's, so that a larger stamp shows the same sky
        n = rng.poisson(_FIELD_PER_ARCSEC2 * (field_side * PIXEL_ARCSEC) ** 2)
        places = rng.uniform(-field_side / 2, field_side / 2, size=(2, n))
        light = to_njy(np.minimum(25.0, 18.0 + rng.gamma(9.0, 0.75, n)))
        is_point = simulated.kind in ("AGN", "variable star")
        return cls(
            host_pixels=np.array([at[0], -at[1]]) / PIXEL_ARCSEC,  # the object is east of its host, and east is left
            radius_pixels=0.0 if simulated.kind == "variable star" else rng.uniform(0.3, 1.5) / PIXEL_ARCSEC,
            point_share=0.8 if is_point else 0.0,
            field=np.column_stack([*places, np.asarray(light)]),
        )

    def render(self, static_njy: float, fwhm_arcsec: float, side: int) -> NDArray[np.float64]:
        """Return the light in nJy, ``(side, side)``, seen with this seeing."""
        image = np.zeros((side, side))
        for right, up, light in self.field:
            if max(abs(right), abs(up)) < side:
                image += light * _point(side, fwhm_arcsec, np.array([right, up]))
        if self.point_share:
            image += self.point_share * static_njy * _point(side, fwhm_arcsec, np.zeros(2))
        if self.radius_pixels and np.abs(self.host_pixels).max() < 3 * side:
            image += (1 - self.point_share) * static_njy * 3 * self._disc(side, fwhm_arcsec)
        return image

    def _disc(self, side: int, fwhm_arcsec: float) -> NDArray[np.float64]:
        """Return an exponential disc of unit light, softened by the seeing."""
        right, up = _grid(side)
        scale = self.radius_pixels / 1.678
        soft = fwhm_arcsec / PIXEL_ARCSEC / 2.0
        radius = np.sqrt((right - self.host_pixels[0]) ** 2 + (up - self.host_pixels[1]) ** 2 + soft**2) - soft
        return np.exp(-radius / scale) / (2 * math.pi * (scale + soft / 2) ** 2)


def _grid(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    steps = np.arange(side) - side // 2
    return np.meshgrid(steps.astype(float), steps.astype(float))


def _point(side: int, fwhm_arcsec: float, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a point source of unit flux, a Moffat profile of index 3, at `centre` (pixels right and up)."""
    width = fwhm_arcsec / PIXEL_ARCSEC / (2 * math.sqrt(2 ** (1 / 3) - 1))
    right, up = _grid(side)
    base = 1 + ((right - centre[0]) ** 2 + (up - centre[1]) ** 2) / width**2
    return 2 / (math.pi * width**2) / (base * base * base)


def _moving(
    simulated: RubinObject, flux: float, fwhm_arcsec: float, offset: NDArray[np.float64], side: int
) -> NDArray[np.float64]:
    """Return the object's own change; what is of the solar system leaves a short trail."""
    if simulated.kind != "asteroid":
        return flux * _point(side, fwhm_arcsec, offset)
    along = np.linspace(-0.5, 0.5, 9)[:, None] * np.array([0.8, 0.6]) * 12.0
    return flux * np.mean([_point(side, fwhm_arcsec, offset + step) for step in along], axis=0)


def _artefact(rng: np.random.Generator, flux: float, side: int) -> NDArray[np.float64]:
    """Draw a dipole, a streak or a hot pixel."""
    right, up = _grid(side)
    match rng.integers(3):
        case 0:
            return flux * (_point(side, 0.8, np.array([1.5, 0.0])) - _point(side, 0.8, np.array([-1.5, 0.0])))
        case 1:
            return flux / side * np.exp(-0.5 * ((right - up) / 1.5) ** 2)
    return np.where((right == 0) & (up == 0), flux, 0.0)
