"""Brightness of each class of transient with time, by published parametric forms. Everything here is simulated.

Fluxes are relative to magnitude 25 (``magnitude = 25 - 2.5 log10(flux)``), times are days in the observer's frame
since about the peak. The numbers are rounded textbook values of each class, fitted to nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

ZERO_POINT_MAG = 25.0

Flux = Callable[[NDArray[np.float64], str], NDArray[np.float64]]
"""Difference flux at ``(n,)`` days in band "g" or "r"; negative where the object is fainter than its reference."""


@dataclass(frozen=True)
class Source:
    """What one transient does, before anybody looks at it."""

    flux: Flux
    redshift: float
    """0 for an object of the Galaxy."""
    first_day: float
    last_day: float
    """The days between which the object can be bright enough to be seen."""


@dataclass(frozen=True)
class SupernovaForm:
    """The light curve of a class of supernova: values in the rest frame, each pair for the bands g and r."""

    absolute_mag: float
    absolute_mag_scatter: float
    """Peak in r, before dust."""
    colour: float
    colour_scatter: float
    """g-r at peak, before dust."""
    rise_days: tuple[float, float]
    fall_days: tuple[float, float]
    second_fraction: tuple[float, float]
    """A later component, as a fraction of the first one's peak: the second maximum of a Ia, the radioactive tail."""
    second_delay_days: float
    second_fall_days: tuple[float, float]
    plateau_days: float | None = None
    """Where the plateau of a SN II ends (Olivares E. et al. 2010, Fermi-Dirac drop)."""
    reddening: float = 0.08
    """Mean E(B-V) of the Galaxy and the host together; exponentially distributed."""
    limit_mag: float = 18.8
    """Half of the objects with this peak magnitude are followed up and classified (Fremling et al. 2020)."""


SUPERNOVA_FORMS: Mapping[str, SupernovaForm] = MappingProxyType(
    {
        # Absolute magnitudes after Richardson et al. 2014; time scales after Villar et al. 2019, table 1, and, for the
        # second maximum of a Ia in r, Papadogiannakis et al. 2019; SLSN after Chen et al. 2023.
        "SN Ia": SupernovaForm(
            -19.2, 0.3, -0.08, 0.13, (3.2, 3.8), (13.0, 18.0), (0.10, 0.36), 20.0, (45.0, 30.0), None, 0.11, 18.7
        ),
        "SN II": SupernovaForm(
            -17.2, 0.9, 0.08, 0.2, (2.5, 3.0), (50.0, 130.0), (0.06, 0.12), 60.0, (90.0, 90.0), 90.0, 0.18, 19.1
        ),
        "SN Ib/c": SupernovaForm(
            -17.7, 0.8, 0.3, 0.27, (3.0, 3.6), (12.0, 20.0), (0.15, 0.18), 20.0, (60.0, 60.0), None, 0.18, 19.0
        ),
        "SLSN": SupernovaForm(
            -21.3, 0.6, -0.1, 0.12, (10.0, 12.0), (38.0, 55.0), (0.0, 0.0), 30.0, (60.0, 60.0), None, 0.05, 19.6
        ),
    }
)

_EXTINCTION = {"g": 3.3, "r": 2.3}  # A/E(B-V), Schlafly & Finkbeiner 2011 for R_V = 3.1


def supernova(rng: np.random.Generator, form: SupernovaForm) -> Source:
    """Draw one supernova: a Bazin et al. (2009) rise and fall, or a plateau, and a later second component."""
    excess_mag = rng.exponential(form.reddening)
    dust_mag = {band: excess_mag * factor for band, factor in _EXTINCTION.items()}
    redshift, peak_r_mag = _followed_up(rng, form, dust_mag["r"])
    colour = rng.normal(form.colour, form.colour_scatter) + dust_mag["g"] - dust_mag["r"]
    peak_mag = {"g": peak_r_mag + colour, "r": peak_r_mag}
    stretch = rng.lognormal(0.0, 0.1)
    fall_stretch = rng.lognormal(0.0, 0.35 if form.plateau_days else 0.12)
    plateau_days = form.plateau_days * rng.lognormal(0.0, 0.15) if form.plateau_days else None
    second_scale = rng.lognormal(0.0, 0.15)

    def rest_flux(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        i = "gr".index(band)
        main = bazin(days, form.rise_days[i] * stretch, form.fall_days[i] * stretch * fall_stretch)
        if plateau_days:
            main = main * logistic((plateau_days - days) / 5.0)
        late_days = days - form.second_delay_days * stretch
        second = bazin(late_days, 5.0, form.second_fall_days[i])
        return main + form.second_fraction[i] * second_scale * second

    grid = np.linspace(-40.0, 150.0, 381)
    peak = {band: rest_flux(grid, band).max() for band in "gr"}

    def flux(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        return rest_flux(days / (1 + redshift), band) / peak[band] * to_flux(peak_mag[band])

    return _visible(flux, redshift, -60.0, 400.0)


def tidal_disruption(rng: np.random.Generator) -> Source:
    """Draw a TDE: Gaussian rise, t^-5/3 fall at a constant blue colour (Rees 1988, van Velzen et al. 2021)."""
    form = SupernovaForm(-19.6, 0.7, -0.25, 0.08, (0, 0), (0, 0), (0, 0), 0, (0, 0), reddening=0.03, limit_mag=19.2)
    redshift, peak_r_mag = _followed_up(rng, form, 0.0)
    colour = rng.normal(form.colour, form.colour_scatter)
    rise_days, fall_days = rng.lognormal(math.log(9.0), 0.25), rng.lognormal(math.log(45.0), 0.35)

    def flux(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        phase = days / (1 + redshift)
        rise = np.exp(-0.5 * (np.minimum(phase, 0.0) / rise_days) ** 2)
        fall = (1 + np.maximum(phase, 0.0) / fall_days) ** (-5 / 3)
        return rise * fall * to_flux(peak_r_mag + (colour if band == "g" else 0.0))

    return _visible(flux, redshift, -60.0, 400.0)


def active_nucleus(rng: np.random.Generator) -> Source:
    """Draw an AGN: a damped random walk against its reference image (Kelly et al. 2009, MacLeod et al. 2010)."""
    redshift = rng.uniform(0.05, 0.4)
    reference_mag = {"r": rng.uniform(16.8, 18.3)}
    reference_mag["g"] = reference_mag["r"] + rng.normal(0.3, 0.12)
    memory_days, scatter_mag = rng.lognormal(math.log(200.0), 0.4), rng.uniform(0.2, 0.35)
    grid = np.arange(-220.0, 10.0)
    memory = math.exp(-1.0 / memory_days)
    steps = rng.normal(0.0, scatter_mag * math.sqrt(1 - memory**2), grid.size)
    walk = np.empty(grid.size)
    walk[0] = rng.normal(0.0, scatter_mag)
    for i in range(1, grid.size):
        walk[i] = memory * walk[i - 1] + steps[i]

    def flux(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        change_mag = np.interp(days, grid, walk) * (1.2 if band == "g" else 1.0)  # bluer when brighter
        return to_flux(reference_mag[band]) * (10 ** (-0.4 * change_mag) - 1)

    return Source(flux, redshift, -1.0, 0.0)


def dwarf_nova(rng: np.random.Generator) -> Source:
    """Draw an outburst of a cataclysmic variable: up in a day, a sloping top, a steep end (Otulakowska-Hypka 2016)."""
    peak_r_mag = rng.uniform(13.0, 18.5)
    colour = rng.normal(-0.1, 0.1)
    top_days, slope, end_days = rng.uniform(4.0, 16.0), rng.uniform(0.05, 0.12), rng.uniform(1.0, 1.8)

    def flux(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        top = logistic(days / 0.3) * 10 ** (-0.4 * slope * np.maximum(days, 0.0))
        end = np.exp(-np.maximum(days - top_days, 0.0) / end_days)
        return top * end * to_flux(peak_r_mag + (colour if band == "g" else 0.0))

    return _visible(flux, 0.0, -10.0, 60.0)


def fast_blue_transient(rng: np.random.Generator) -> Source:
    """Draw a transient like AT2018cow: up in two days, halved in four, hot (Drout et al. 2014, Ho et al. 2023)."""
    form = SupernovaForm(
        -19.8, 0.6, -0.4, 0.06, (0.9, 1.0), (4.0, 4.6), (0, 0), 0, (9, 9), reddening=0.02, limit_mag=18.3
    )
    return supernova(rng, form)


def bazin(days: NDArray[np.float64], rise_days: float, fall_days: float) -> NDArray[np.float64]:
    """Evaluate the form of Bazin et al. (2009), eq. 1, shifted so that its maximum lies at 0 and is 1."""
    ratio = fall_days / rise_days - 1
    top_days = rise_days * math.log(ratio)
    top = math.exp(-top_days / fall_days) / (1 + 1 / ratio)
    shifted = np.asarray(days, dtype=float) + top_days
    # Long before the explosion the fall alone would overflow; the product is 0 there.
    exponent = np.minimum(-shifted / fall_days, 300.0)
    return np.exp(exponent) * logistic(shifted / rise_days) / top


def logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate 1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def to_flux(magnitude: float) -> float:
    """Turn a magnitude into a flux relative to :data:`ZERO_POINT_MAG`."""
    return 10 ** (-0.4 * (magnitude - ZERO_POINT_MAG))


def luminosity_distance_mpc(redshift: float) -> float:
    """Return the distance to second order in redshift (Weinberg 1972), for H0 = 70 km/s/Mpc and q0 = -0.55."""
    return 299792.458 / 70.0 * redshift * (1 + 0.5 * (1 + 0.55) * redshift)


def distance_modulus_mag(redshift: float) -> float:
    """Return the difference between apparent and absolute magnitude."""
    return 5 * math.log10(luminosity_distance_mpc(redshift)) + 25


def _followed_up(rng: np.random.Generator, form: SupernovaForm, dust_mag: float) -> tuple[float, float]:
    """Draw redshift and peak magnitude: uniform in volume, kept where somebody would take a spectrum."""
    while True:
        absolute_mag = rng.normal(form.absolute_mag, form.absolute_mag_scatter)
        furthest = min(1.0, 10 ** (0.2 * (form.limit_mag + 1.0 - absolute_mag - 25)) * 70.0 / 299792.458)
        redshift = furthest * rng.random() ** (1 / 3)
        if redshift < 0.006:  # a supernova in the few galaxies nearer than that makes the news
            continue
        peak_mag = absolute_mag + distance_modulus_mag(redshift) + dust_mag
        if rng.random() < 1 / (1 + math.exp((peak_mag - form.limit_mag) / 0.2)):
            return redshift, peak_mag


def _visible(flux: Flux, redshift: float, first: float, last: float, faintest_mag: float = 19.8) -> Source:
    days = np.arange(first, last)
    brightest = np.maximum(flux(days, "g"), flux(days, "r"))
    seen = days[brightest > min(to_flux(faintest_mag), 0.8 * brightest.max())]
    return Source(flux, redshift, float(seen[0]), float(seen[-1]))
