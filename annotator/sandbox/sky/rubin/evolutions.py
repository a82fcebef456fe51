"""What each class does, in flux by wavelength. Everything here is simulated.

Supernovae, disrupted stars and fast transients are those of :mod:`annotator.sandbox.sky.light_curves` in their own
frame: its brightness in r, and a black body of its g-r of the moment for every other wavelength, with less light in the
ultraviolet where metals take it. Redshift moves wavelength and time. Active nuclei, variable stars and asteroids are
of this file: they shine in the template, too.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.photometry import ZERO_POINT_MAG
from annotator.photometry import flux_of as to_njy
from annotator.sandbox.sky.light_curves import SHAPES, SUPERNOVA_CLASSES, damped_walk, distance_modulus_mag
from annotator.sandbox.sky.rubin.cadence import DEPTH_MAG, WAVELENGTH_NM

Flux = Callable[[NDArray[np.float64], float], NDArray[np.float64]]
"""All of a source's light in nJy, ``(n,)``, at ``(n,)`` days and a wavelength in nm; never negative."""

_HC_OVER_K_NM_KELVIN = 1.4387769e7
_BLANKET_NM = 370.0
_BLANKET_MAG_PER_100NM: Mapping[str, float] = MappingProxyType(
    {"SN Ia": 1.6, "SN II": 0.8, "SN Ib/c": 1.4, "SLSN": 0.4, "TDE": 0.0, "fast blue": 0.1}
)
_FAINTEST_PEAK_MAG = 23.3  # in the brightest of r, i and z: half of the objects that faint are seen twice
_FURTHEST = 1.1  # redshift, up to which the distances are good to some tenths of a magnitude
_KELVIN = np.geomspace(2500.0, 60000.0, 200)


@dataclass(frozen=True)
class Evolution:
    """What one source does."""

    flux: Flux
    redshift: float
    """0 for an object of the Galaxy or the solar system."""
    first_day: float
    last_day: float
    """The days between which it is seen to change."""


def draw(rng: np.random.Generator, kind: str) -> Evolution:
    """Draw an evolution of a class: one of those of :mod:`annotator.sandbox.sky.rubin.night`."""
    match kind:
        case "AGN":
            return _active_nucleus(rng)
        case "variable star":
            return _pulsating_star(rng)
        case "asteroid":
            return _asteroid(rng)
        case "bogus":
            return _nothing()
    return _explosion(rng, kind)


def planck(wavelength_nm: float, kelvin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of a black body a unit of frequency, up to a factor."""
    return 1.0 / wavelength_nm**3 / np.expm1(_HC_OVER_K_NM_KELVIN / (wavelength_nm * kelvin))


def temperature_kelvin(g_minus_r_mag: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the temperature of the black body with a colour; what no black body has is the nearest that one has."""
    colour = -2.5 * np.log10(planck(WAVELENGTH_NM["g"], _KELVIN) / planck(WAVELENGTH_NM["r"], _KELVIN))
    return np.interp(-g_minus_r_mag, -colour, _KELVIN)


def _explosion(rng: np.random.Generator, kind: str) -> Evolution:
    of_class = SUPERNOVA_CLASSES[kind]
    while True:
        absolute_mag = rng.normal(of_class.absolute_mag, of_class.absolute_mag_scatter)
        reach = 10 ** (0.2 * (_FAINTEST_PEAK_MAG + 0.7 - absolute_mag - 25)) * 70.0 / 299792.458
        redshift = min(_FURTHEST, reach) * rng.random() ** (1 / 3)
        if redshift < 0.01:
            continue
        reddening_mag = rng.exponential(of_class.reddening)
        flux = thermal(rng, kind, absolute_mag, redshift, reddening_mag)
        days = np.arange(-100.0, 420.0, 2.0)
        seen = np.array([flux(days, WAVELENGTH_NM[band]) / to_njy(DEPTH_MAG[band]) for band in "griz"]).max(axis=0)
        peak_mag = min(-2.5 * math.log10(flux(days, WAVELENGTH_NM[band]).max()) + ZERO_POINT_MAG for band in "riz")
        if rng.random() > 1 / (1 + math.exp((peak_mag - _FAINTEST_PEAK_MAG) / 0.25)):
            continue
        bright = days[seen > 1.0]
        if bright.size:
            return Evolution(flux, redshift, float(bright[0]), float(bright[-1]))


def thermal(rng: np.random.Generator, kind: str, absolute_mag: float, redshift: float, reddening_mag: float) -> Flux:
    """Draw a shape of a class and return its light from a redshift, behind dust of this E(B-V)."""
    shape = SHAPES[kind](rng, 0.0)
    peak_mag = absolute_mag + distance_modulus_mag(redshift) - 2.5 * math.log10(1 + redshift)
    blanket = _BLANKET_MAG_PER_100NM[kind]

    def flux(days: NDArray[np.float64], wavelength_nm: float) -> NDArray[np.float64]:
        own_days, own_nm = days / (1 + redshift), wavelength_nm / (1 + redshift)
        in_r = shape(own_days, "r")
        kelvin = temperature_kelvin(shape(own_days, "g") - in_r)
        light = planck(own_nm, kelvin) / planck(WAVELENGTH_NM["r"], kelvin)
        dust = 3.1 * reddening_mag * (wavelength_nm / 550.0) ** -1.3 + blanket * max(0.0, _BLANKET_NM - own_nm) / 100
        return to_njy(peak_mag + in_r + dust) * light

    return flux


def _active_nucleus(rng: np.random.Generator) -> Evolution:
    """Draw a damped random walk, larger in the blue (MacLeod et al. 2010), about a nucleus of 18.5 to 22."""
    memory_days, scatter_mag = rng.lognormal(math.log(200.0), 0.4), rng.uniform(0.1, 0.3)
    r_mag, colour = rng.uniform(18.5, 22.0), rng.normal(0.2, 0.15)
    grid = np.arange(-500.0, 2.0)
    walk = damped_walk(rng, grid.size, memory_days, scatter_mag)

    def flux(days: NDArray[np.float64], wavelength_nm: float) -> NDArray[np.float64]:
        change = np.interp(days, grid, walk) * (wavelength_nm / WAVELENGTH_NM["r"]) ** -0.5
        return to_njy(r_mag - colour * math.log(wavelength_nm / WAVELENGTH_NM["r"]) * 4 + change)

    return Evolution(flux, float(rng.uniform(0.1, 1.1)), 0.0, 0.0)


def _pulsating_star(rng: np.random.Generator) -> Evolution:
    """Draw a star that rises fast and falls slowly, as RR Lyrae and Cepheids do, or a slow sinusoid."""
    is_slow = rng.random() < 0.3
    period_days = rng.uniform(80.0, 400.0) if is_slow else rng.uniform(0.35, 8.0)
    amplitude_mag, turn = rng.uniform(0.15, 0.9), rng.random()
    mean_mag, kelvin = rng.uniform(17.0, 21.5), np.array([rng.uniform(3500.0, 7500.0)])
    harmonics = (1.0,) if is_slow else (1.0, 0.45, 0.25)

    def flux(days: NDArray[np.float64], wavelength_nm: float) -> NDArray[np.float64]:
        phase = 2 * math.pi * (days / period_days + turn)
        swing = sum(a * np.sin((k + 1) * phase) for k, a in enumerate(harmonics)) / sum(harmonics)
        colour = -2.5 * np.log10(planck(wavelength_nm, kelvin) / planck(WAVELENGTH_NM["r"], kelvin))
        change = 0.5 * amplitude_mag * (wavelength_nm / WAVELENGTH_NM["r"]) ** -0.8 * swing
        return to_njy(mean_mag + float(colour[0]) + change)

    return Evolution(flux, 0.0, 0.0, 0.0)


def _asteroid(rng: np.random.Generator) -> Evolution:
    """Draw sunlight from a rock; at one place it is seen at one visit."""
    r_mag, sun_kelvin = rng.uniform(20.0, 22.3), np.array([5770.0])

    def flux(days: NDArray[np.float64], wavelength_nm: float) -> NDArray[np.float64]:
        colour = -2.5 * np.log10(planck(wavelength_nm, sun_kelvin) / planck(WAVELENGTH_NM["r"], sun_kelvin))
        return np.full(len(days), to_njy(r_mag + float(colour[0])))

    return Evolution(flux, 0.0, 0.0, 0.0)


def _nothing() -> Evolution:
    """Draw no light at all: what is measured there is left by a subtraction."""
    return Evolution(lambda days, wavelength_nm: np.zeros(len(days)), 0.0, 0.0, 0.0)
