"""Brightness of each class of transient with time, by published templates and forms. Everything here is simulated.

What varies for years is in :mod:`annotator.sandbox.sky.variables`.

Fluxes are relative to magnitude 25 (``magnitude = 25 - 2.5 log10(flux)``), times are days in the observer's frame
since about the peak. The numbers are rounded textbook values of each class; their medians
were compared with those of classified curves, and no curve is in them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ZERO_POINT_MAG = 25.0

Magnitude = TypeVar("Magnitude", float, NDArray[np.float64])

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
    past_days: float = 0.0
    """For how long before the present season it has done what it does; 0 for what goes off once."""


@dataclass(frozen=True)
class SupernovaClass:
    """Which supernovae of a class there are: brightness, dust, and how faint they are looked at."""

    absolute_mag: float
    absolute_mag_scatter: float
    """Peak in r, before dust."""
    reddening: float
    """Mean E(B-V) of the Galaxy and the host together; exponentially distributed."""
    limit_mag: float
    """Half of the objects with this peak magnitude are followed up and classified (Fremling et al. 2020)."""


SUPERNOVA_CLASSES: Mapping[str, SupernovaClass] = MappingProxyType(
    {
        # Absolute magnitudes after Richardson et al. 2014; SLSN: Chen et al. 2023, TDE: van Velzen et al. 2021.
        "SN Ia": SupernovaClass(-19.2, 0.3, 0.10, 18.7),
        "SN II": SupernovaClass(-17.2, 0.9, 0.18, 19.1),
        "SN Ib/c": SupernovaClass(-17.7, 0.8, 0.14, 19.0),
        "SLSN": SupernovaClass(-21.3, 0.6, 0.05, 19.6),
        "TDE": SupernovaClass(-19.6, 0.7, 0.03, 19.2),
        "fast blue": SupernovaClass(-19.8, 0.6, 0.02, 18.3),
    }
)

_EXTINCTION = {"g": 3.3, "r": 2.3}  # A/E(B-V), Schlafly & Finkbeiner 2011 for R_V = 3.1

Shape = Callable[[NDArray[np.float64], str], NDArray[np.float64]]
"""Magnitudes fainter than the peak in r, ``(n,)``, at rest-frame days since about then, colour included."""


def supernova(rng: np.random.Generator, kind: str) -> Source:
    """Draw a transient of one of :data:`SUPERNOVA_CLASSES`: distance, dust, and a shape of its own."""
    of_class = SUPERNOVA_CLASSES[kind]
    excess_mag = rng.exponential(of_class.reddening)
    dust_mag = {band: excess_mag * factor for band, factor in _EXTINCTION.items()}
    redshift, peak_r_mag = _followed_up(rng, of_class, dust_mag["r"])
    shape = SHAPES[kind](rng, redshift)

    def flux(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        return to_flux(peak_r_mag + dust_mag[band] - dust_mag["r"] + shape(days / (1 + redshift), band))

    return visible(flux, redshift, -90.0, 400.0)


_IA_DAYS = (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 25, 30, 35, 40, 50, 60, 80, 100, 200)
# Fainter than in B, V and R at the maximum in B (Leibundgut 1988 for B and V, Riess et al. 1999 for R; rounded).
_IA_MAG = (
    (0, 0.03, 0.1, 0.2, 0.36, 0.57, 0.78, 0.99, 1.2, 1.43, 1.66, 2.17, 2.58, 2.85, 3.03, 3.22, 3.38, 3.68, 3.98, 5.5),
    (0, -0.02, 0, 0.07, 0.16, 0.26, 0.38, 0.51, 0.65, 0.79, 0.93, 1.26, 1.6, 1.91, 2.13, 2.43, 2.68, 3.18, 3.68, 6.2),
    (0, -0.03, 0, 0.07, 0.19, 0.33, 0.47, 0.57, 0.63, 0.65, 0.66, 0.74, 0.91, 1.21, 1.54, 1.94, 2.26, 2.91, 3.51, 6.5),
)
_IA_RISE_DAYS = (17.5, 17.9, 18.3)
_BAND_ANGSTROM = MappingProxyType({"g": 5050.0, "r": 6550.0})  # effective, of the red light after maximum
_IA_ANGSTROM = (4400.0, 5500.0, 6500.0)


def _type_ia(rng: np.random.Generator, redshift: float) -> Shape:
    """Draw B, V and R templates, stretched (Perlmutter et al. 1997), at the rest-frame wavelength that g and r see.

    Rises for 17.5 days (Hayden et al. 2010), at first about as the square of time. Three in a hundred are subluminous:
    fast, red at maximum and without a second maximum (Taubenberger 2017).
    """
    is_subluminous = rng.random() < 0.03
    stretch = rng.uniform(0.65, 0.8) if is_subluminous else rng.normal(0.98, 0.1)
    colour = rng.normal(-0.13, 0.09) + (0.4 if is_subluminous else 0.35 * max(0.0, 0.95 - stretch))
    bump = (0.0 if is_subluminous else 1.0) + rng.normal(0.0, 0.1)  # in R over what V does
    waves = {band: _wave(rng, 0.05) for band in "gr"}

    def shape(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        phase = days / stretch
        late = np.array([np.interp(phase, _IA_DAYS, magnitudes) for magnitudes in _IA_MAG])
        late[2] = late[1] + bump * (late[2] - late[1])
        all_days = np.array(
            [np.where(phase < 0, _fireball_mag(phase, rise), at) for rise, at in zip(_IA_RISE_DAYS, late, strict=True)]
        )
        rest_angstrom = _BAND_ANGSTROM[band] / (1 + redshift)
        place = np.interp(rest_angstrom, _IA_ANGSTROM, (0.0, 1.0, 2.0))
        weights = np.maximum(0.0, 1 - np.abs(place - np.arange(3)))
        return weights @ all_days + waves[band](days) + (colour if band == "g" else 0.0)

    return shape


def _type_ii(rng: np.random.Generator, redshift: float) -> Shape:
    """Draw a fast rise, cooling, a plateau that slopes, its end and the radioactive tail.

    Rise of 5 to 15 days (Gonzalez-Gaitan et al. 2015), slopes and the plateau's end at 84 +- 17 days after Anderson et
    al. 2014; g fades faster while the photosphere cools, to g-r of about 1 (de Jaeger et al. 2018). Of seven one is a
    IIn, slow to rise and to fade (Nyholm et al. 2020), of twelve one a IIb, which is a Ib/c in the light that it gives.
    """
    chance = rng.random()
    if chance < 0.08:
        return _type_ibc(rng, redshift)
    if chance < 0.22:
        return _slow(rng, rise=(13.0, 0.45), fade=(50.0, 0.5), colour=(0.05, 0.1), cooling=0.005)
    rise_days = rng.lognormal(math.log(8.0), 0.3)
    decline = rng.lognormal(0.0, 0.45)
    first = {"g": 0.045 * decline, "r": 0.016 * decline}
    second = {"g": 0.016 * decline, "r": 0.008 * decline}
    first_days, end_days = rng.normal(30.0, 4.0), max(50.0, rng.normal(84.0, 15.0))
    drop_mag = {"g": rng.normal(2.0, 0.3), "r": rng.normal(1.7, 0.3)}
    colour = rng.normal(0.05, 0.1)
    waves = {band: _wave(rng, 0.07) for band in "gr"}

    def shape(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        age = days + rise_days
        bend = _softplus(age - first_days, 4.0)
        fade = first[band] * _softplus(days, 2.0) + (second[band] - first[band]) * bend
        end = drop_mag[band] * logistic((age - end_days) / 4.0) + 0.006 * np.maximum(age - end_days, 0.0)
        rise = _fireball_mag(np.minimum(days, 0.0), rise_days, power=0.8)
        return rise + fade + end + waves[band](days) + (colour if band == "g" else 0.0)

    return shape


_IBC_DAYS = np.array([0, 5, 10, 15, 20, 25, 30, 40, 60, 100, 200.0])
_IBC_MAG = MappingProxyType(
    {
        "g": np.array([0.0, 0.3, 0.8, 1.3, 1.68, 1.92, 2.06, 2.25, 2.55, 3.2, 4.9]),
        "r": np.array([0.0, 0.1, 0.36, 0.7, 1.0, 1.24, 1.42, 1.68, 2.06, 2.9, 5.0]),
    }
)


def _type_ibc(rng: np.random.Generator, redshift: float) -> Shape:
    """Draw a rise of about 17 days, redder all the while, then a linear tail: Taddia et al. 2015 and 2018.

    The peak comes three days earlier in g; g-r of 0.25 at the peak before dust, stretched by a seventh either way.
    """
    stretch, colour = rng.lognormal(0.0, 0.15), rng.normal(0.28, 0.1)
    depth = rng.lognormal(0.0, 0.12)
    waves = {band: _wave(rng, 0.07) for band in "gr"}

    def shape(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        phase = days / stretch + (3.0 if band == "g" else 0.0)
        fade = depth * np.interp(phase, _IBC_DAYS, _IBC_MAG[band])
        rise = _fireball_mag(np.minimum(phase, 0.0), 16.0 if band == "g" else 18.0)
        return rise + fade + waves[band](days) + (colour if band == "g" else 0.0)

    return shape


def _superluminous(rng: np.random.Generator, redshift: float) -> Shape:
    """Draw a slow one, blue and cooling, with undulations as half of them have (Chen et al. 2023 a, b)."""
    return _slow(
        rng, rise=(17.0, 0.4), fade=(38.0, 0.4), colour=(-0.1, 0.1), cooling=0.008, wave_mag=rng.uniform(0.03, 0.15)
    )


def _disrupted_star(rng: np.random.Generator, redshift: float) -> Shape:
    """Draw a Gaussian rise and t^-5/3 fall at a constant blue colour (Rees 1988, van Velzen et al. 2021)."""
    return _slow(
        rng, rise=(12.0, 0.35), fade=(45.0, 0.4), colour=(-0.22, 0.08), cooling=0.0, power=5 / 3, wave_mag=0.06
    )


def _fast_and_blue(rng: np.random.Generator, redshift: float) -> Shape:
    """Draw a transient like AT2018cow: up in two days, halved in four, hot (Drout et al. 2014, Ho et al. 2023)."""
    return _slow(rng, rise=(1.7, 0.25), fade=(5.5, 0.25), colour=(-0.3, 0.08), cooling=0.005)


SHAPES: Mapping[str, Callable[[np.random.Generator, float], Shape]] = MappingProxyType(
    {
        "SN Ia": _type_ia,
        "SN II": _type_ii,
        "SN Ib/c": _type_ibc,
        "SLSN": _superluminous,
        "TDE": _disrupted_star,
        "fast blue": _fast_and_blue,
    }
)
"""What draws a shape of each class, at a redshift; at 0 it is what g and r would see nearby."""


def _slow(
    rng: np.random.Generator,
    *,
    rise: tuple[float, float],
    fade: tuple[float, float],
    colour: tuple[float, float],
    cooling: float,
    power: float | None = None,
    wave_mag: float = 0.04,
) -> Shape:
    """Draw a Gaussian rise and an exponential fall, or one by a power of time, that cools from blue.

    `rise` and `fade` are the median time scale and its scatter in its logarithm, `colour` the mean g-r at the peak and
    its scatter, `cooling` the mean change of g-r (mag/day) between 30 days before and 80 after.
    """
    rise_days, fade_days = (rng.lognormal(math.log(median), scatter) for median, scatter in (rise, fade))
    g_r, redder = rng.normal(*colour), cooling * rng.lognormal(0.0, 0.4)
    common, own = _wave(rng, wave_mag), {band: _wave(rng, 0.02) for band in "gr"}

    def shape(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        before, after = np.minimum(days, 0.0), np.maximum(days, 0.0)
        fall = power * np.log1p(after / fade_days) if power else after / fade_days
        magnitudes = 1.0857 * (0.5 * (before / rise_days) ** 2 + fall) + common(days) + own[band](days)
        return magnitudes + (g_r + redder * np.clip(days, -30.0, 80.0) if band == "g" else 0.0)

    return shape


def _fireball_mag(days: NDArray[np.float64], rise_days: float, power: float = 1.8) -> NDArray[np.float64]:
    """Return how much fainter than at the peak a fireball is before it, whose flux starts as a power of time.

    The form 1 - (1 - x)^2 of x = (age / rise)^power has slope 0 at the peak and is 2 x when young.
    """
    age = np.clip((days + rise_days) / rise_days, 1e-6, 1.0)
    return -2.5 * np.log10(np.maximum(1 - (1 - age**power) ** 2, 1e-12))


def _wave(rng: np.random.Generator, scatter_mag: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Draw what one object does beside its template: smooth over ten days or more, of this scatter."""
    periods, turns = rng.uniform(20.0, 70.0, 3), rng.uniform(0.0, 2 * math.pi, 3)
    amplitudes = rng.normal(0.0, scatter_mag * math.sqrt(2 / 3), 3)

    def wave(days: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sin(2 * math.pi * days[:, None] / periods + turns) @ amplitudes

    return wave


def _softplus(days: NDArray[np.float64], width_days: float) -> NDArray[np.float64]:
    """Return 0 long before and the days themselves long after, bent within a width."""
    return width_days * np.logaddexp(0.0, days / width_days)


def damped_walk(rng: np.random.Generator, n_days: int, memory_days: float, scatter: float) -> NDArray[np.float64]:
    """Draw a damped random walk about 0, ``(n_days,)``: a value a day, of this scatter over the years."""
    memory = math.exp(-1.0 / memory_days)
    steps = rng.normal(0.0, scatter * math.sqrt(1 - memory**2), n_days)
    walk = np.empty(n_days)
    walk[0] = rng.normal(0.0, scatter)
    for i in range(1, n_days):
        walk[i] = memory * walk[i - 1] + steps[i]
    return walk


def logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate 1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def to_flux(magnitude: Magnitude) -> Magnitude:
    """Turn magnitudes into fluxes relative to :data:`ZERO_POINT_MAG`."""
    return 10 ** (-0.4 * (magnitude - ZERO_POINT_MAG))


def luminosity_distance_mpc(redshift: float) -> float:
    """Return the distance to second order in redshift (Weinberg 1972), for H0 = 70 km/s/Mpc and q0 = -0.55."""
    return 299792.458 / 70.0 * redshift * (1 + 0.5 * (1 + 0.55) * redshift)


def distance_modulus_mag(redshift: float) -> float:
    """Return the difference between apparent and absolute magnitude."""
    return 5 * math.log10(luminosity_distance_mpc(redshift)) + 25


def _followed_up(rng: np.random.Generator, form: SupernovaClass, dust_mag: float) -> tuple[float, float]:
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


def visible(flux: Flux, redshift: float, first: float, last: float, faintest_mag: float = 19.8) -> Source:
    """Return a source with the days on which it can be seen."""
    days = np.arange(first, last)
    brightest = np.maximum(flux(days, "g"), flux(days, "r"))
    seen = days[brightest > min(to_flux(faintest_mag), 0.8 * brightest.max())]
    return Source(flux, redshift, float(seen[0]), float(seen[-1]))
