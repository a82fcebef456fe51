"""What is on the sky about a simulated source of Rubin at all times, and how an image spreads it.

Point-spread functions are Moffat profiles, not quite round. A host is a Sersic profile, as large as galaxies of its
brightness are; about it are the stars and galaxies of the field, most of them too faint to be told one by one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.photometry import flux_of as to_njy

PIXEL_ARCSEC = 0.2

_OVERSAMPLING = 2
_MARGIN = 8  # pixels around the stamp, so that the convolution's edges stay outside it
_FIELD_PIXELS = 100  # more than any stamp's side, so that a larger stamp shows the same sky
_FIELD_PER_ARCSEC2 = 0.044  # galaxies and stars down to 27, of which a quarter are brighter than 25
_FIELD_FAINTEST_MAG, _FIELD_BRIGHTEST_MAG, _FIELD_SLOPE = 27.0, 16.5, 0.28
_MOST_ABOVE_CENTRE = 30.0  # times the light at the object, that of all its host: more is another galaxy's outskirts
_SERSIC = ((1.0, 2.0, 4.0), (0.6, 0.2, 0.2))


@dataclass(frozen=True)
class PointSpread:
    """How an image spreads a point: a Moffat profile of index 3, longer than wide."""

    fwhm_arcsec: float
    """Full width at half maximum, the geometric mean of both."""
    axis_ratio: float
    angle_rad: float

    def on(
        self, right: NDArray[np.float64], up: NDArray[np.float64], wider: float = 1.0, rounder: float = 1.0
    ) -> NDArray[np.float64]:
        """Return the light a pixel of a point of unit flux, at pixels right and up of it.

        Parameters
        ----------
        wider, rounder
            Factors of width and of the axis ratio, of an image that is not quite this one.
        """
        ratio = min(1.0, self.axis_ratio * rounder)
        width = wider * self.fwhm_arcsec / PIXEL_ARCSEC / (2 * math.sqrt(2 ** (1 / 3) - 1))
        along = right * math.cos(self.angle_rad) + up * math.sin(self.angle_rad)
        across = up * math.cos(self.angle_rad) - right * math.sin(self.angle_rad)
        base = 1 + (along**2 * ratio + across**2 / ratio) / width**2
        return 2 / (math.pi * width**2) / (base * base * base)

    @property
    def effective_pixels(self) -> float:
        """Over how many pixels' noise a flux is measured: one over the sum of squares of the profile."""
        return 1.25 * math.pi * (self.fwhm_arcsec / PIXEL_ARCSEC / (2 * math.sqrt(2 ** (1 / 3) - 1))) ** 2


@dataclass(frozen=True, eq=False)
class Scene:
    """What is there at all times, relative to the object."""

    host_pixels: NDArray[np.float64]
    """``(2,)``: right and up, of the host's centre."""
    radius_pixels: float
    """Half of the host's light is within it."""
    sersic_index: float
    axis_ratio: float
    angle_rad: float
    field: NDArray[np.float64]
    """``(n, 3)``: pixels right and up, and nJy, of what has nothing to do with the object."""

    @classmethod
    def draw(cls, rng: np.random.Generator, sherlock: Mapping[str, object] | None, host_mag: float) -> "Scene":
        """Draw the surroundings of an object.

        Parameters
        ----------
        sherlock
            What Sherlock says of the host; None or without a separation: its centre is drawn, too.
        host_mag
            Of what lies under the object, in AB: larger galaxies are brighter.
        """
        host = sherlock or {}
        at = [float(host.get(f"{way}SeparationArcsec") or rng.normal(0.0, 0.7)) for way in ("east", "north")]
        n = rng.poisson(_FIELD_PER_ARCSEC2 * (_FIELD_PIXELS * PIXEL_ARCSEC) ** 2)
        places = rng.uniform(-_FIELD_PIXELS / 2, _FIELD_PIXELS / 2, size=(2, n))
        magnitudes = np.maximum(_FIELD_FAINTEST_MAG + np.log10(rng.random(n)) / _FIELD_SLOPE, _FIELD_BRIGHTEST_MAG)
        # Half-light radii after Shen et al. 2003 at the distances of what Rubin finds: 0.6 arcsec at 22 mag.
        radius_arcsec = 0.6 * 10 ** (-0.1 * (min(host_mag, 25.0) - 22.0)) * rng.lognormal(0.0, 0.4)
        indices, shares = _SERSIC
        return cls(
            host_pixels=np.array([at[0], -at[1]]) / PIXEL_ARCSEC,  # the object is east of its host, and east is left
            radius_pixels=min(max(radius_arcsec, 0.15), 8.0) / PIXEL_ARCSEC,
            sersic_index=float(rng.choice(indices, p=shares)),
            axis_ratio=rng.uniform(0.35, 1.0),
            angle_rad=rng.uniform(0.0, math.pi),
            field=np.column_stack([*places, np.asarray(to_njy(magnitudes))]),
        )

    def render(
        self, host_njy: float, held_njy: float, offset: NDArray[np.float64], spread: PointSpread, side: int
    ) -> NDArray[np.float64]:
        """Return the light in nJy, ``(side, side)``, as an image shows it.

        Parameters
        ----------
        host_njy
            Of the host, as a point at the object would be measured on it.
        held_njy
            Of the object itself.
        offset
            ``(2,)``: pixels right and up, of the object from the stamp's middle.
        """
        right, up = grid(side)
        image = held_njy * spread.on(right - offset[0], up - offset[1])
        for at_right, at_up, light in self.field:
            if max(abs(at_right), abs(at_up)) < side:
                image += light * spread.on(right - offset[0] - at_right, up - offset[1] - at_up)
        if host_njy > 0 and np.abs(self.host_pixels).max() < 3 * side:
            galaxy = self._galaxy(spread, offset, side)
            point = spread.on(right - offset[0], up - offset[1])
            share = float((galaxy * point).sum() / (point * point).sum())  # as a flux is measured at the object
            image += host_njy * min(1 / max(share, 1e-9), _MOST_ABOVE_CENTRE) * galaxy
        return image

    def _galaxy(self, spread: PointSpread, offset: NDArray[np.float64], side: int) -> NDArray[np.float64]:
        """Return the host, a Sersic profile of unit flux, convolved (Graham & Driver 2005 for its normalisation)."""
        wide = side + 2 * _MARGIN
        steps = (np.arange(wide * _OVERSAMPLING) + 0.5) / _OVERSAMPLING - wide / 2
        right, up = np.meshgrid(steps, steps)
        from_centre = right - self.host_pixels[0] - offset[0], up - self.host_pixels[1] - offset[1]
        along = from_centre[0] * math.cos(self.angle_rad) + from_centre[1] * math.sin(self.angle_rad)
        across = (
            from_centre[1] * math.cos(self.angle_rad) - from_centre[0] * math.sin(self.angle_rad)
        ) / self.axis_ratio
        n = self.sersic_index
        b = 2 * n - 1 / 3 + 4 / (405 * n)
        # Softened within a third of a grid step, where the profile of a large index has no end.
        radius = np.sqrt(along**2 + across**2 + (1 / _OVERSAMPLING / 3) ** 2) / self.radius_pixels
        total = 2 * math.pi * n * math.exp(b) * b ** (-2 * n) * math.gamma(2 * n) * self.axis_ratio
        surface = np.exp(-b * (radius ** (1 / n) - 1)) / total / self.radius_pixels**2 / _OVERSAMPLING**2
        middle = 0.5 / _OVERSAMPLING  # of the pixel that the transform takes for the first
        kernel = np.fft.ifftshift(spread.on(right - middle, up - middle)) / _OVERSAMPLING**2
        seen = np.fft.irfft2(np.fft.rfft2(surface) * np.fft.rfft2(kernel), surface.shape)
        pixels = seen.reshape(wide, _OVERSAMPLING, wide, _OVERSAMPLING).sum(axis=(1, 3))
        return pixels[_MARGIN : _MARGIN + side, _MARGIN : _MARGIN + side]


def grid(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many pixels right and up of a stamp's middle its pixels are, ``(side, side)`` each."""
    steps = np.arange(side) - (side - 1) / 2
    return np.meshgrid(steps, steps)
