"""Brightness of what varies for years, and was seen before: nuclei, stars, and what flares in one of them.

Everything here is simulated. Times and fluxes are those of :mod:`annotator.sandbox.sky.light_curves`; fluxes are
differences from a reference image. What a source did before the present season is drawn from generators that are
spawned, so that no other object of a night depends on how far back anybody looks.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from annotator.sandbox.sky.light_curves import Source, damped_walk, logistic, supernova, to_flux, visible

PAST_DAYS = 4 * 365.0
"""For how long the survey had looked before the present season."""
_WALK_FROM, _WALK_TO = -220.0, 10.0
"""Days of a nucleus that the present season needs."""


def active_nucleus(rng: np.random.Generator) -> Source:
    """Draw an AGN: a damped random walk against its reference image (Kelly et al. 2009, MacLeod et al. 2010)."""
    redshift = rng.uniform(0.05, 0.4)
    reference_mag = {"r": rng.uniform(16.8, 18.3)}
    reference_mag["g"] = reference_mag["r"] + rng.normal(0.3, 0.12)
    memory_days, scatter_mag = rng.lognormal(math.log(200.0), 0.4), rng.uniform(0.2, 0.35)
    grid, walk = _walk(rng, memory_days, scatter_mag)

    def flux(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        change_mag = np.interp(days, grid, walk) * (1.2 if band == "g" else 1.0)  # bluer when brighter
        return to_flux(reference_mag[band]) * (10 ** (-0.4 * change_mag) - 1)

    return Source(flux, redshift, -1.0, 0.0, PAST_DAYS)


def _walk(
    rng: np.random.Generator, memory_days: float, scatter_mag: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw a damped random walk, which looks alike in either direction: from the present on, and back from there."""
    grid = np.arange(_WALK_FROM, _WALK_TO)
    walk = damped_walk(rng, grid.size, memory_days, scatter_mag)
    memory = math.exp(-1.0 / memory_days)
    step_mag = scatter_mag * math.sqrt(1 - memory**2)
    before = np.arange(_WALK_FROM - 1.0, _WALK_FROM - PAST_DAYS, -1.0)
    past = np.empty(before.size)
    last = walk[0]
    for i, step in enumerate(rng.spawn(1)[0].normal(0.0, step_mag, before.size)):
        last = past[i] = memory * last + step
    return np.concatenate([before[::-1], grid]), np.concatenate([past[::-1], walk])


def dwarf_nova(rng: np.random.Generator) -> Source:
    """Draw an outburst of a cataclysmic variable, up in a day, a sloping top, a steep end, and those before it.

    Amplitude of 3.3 mag, give or take one, above a star as faint as most (Otulakowska-Hypka et al. 2016); outbursts
    come half a year to a year and a half apart, each a little brighter or fainter than the present one.
    """
    peak_r_mag = float(np.clip(rng.uniform(19.0, 21.8) - rng.normal(3.3, 1.0), 14.0, 19.3))
    colour = rng.normal(-0.1, 0.1)
    top_days, slope, end_days = rng.uniform(4.0, 16.0), rng.uniform(0.05, 0.12), rng.uniform(1.0, 1.8)
    of_past = rng.spawn(1)[0]
    every_days = of_past.uniform(180.0, 500.0)
    earlier = np.arange(1, PAST_DAYS // every_days + 1)
    outbursts = [(0.0, 0.0), *zip(-every_days * earlier, of_past.normal(0.0, 0.2, earlier.size), strict=True)]

    def flux(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        peak = to_flux(peak_r_mag + (colour if band == "g" else 0.0))
        return peak * sum(to_flux(25.0 + mag) * outburst(days - start) for start, mag in outbursts)

    def outburst(days: NDArray[np.float64]) -> NDArray[np.float64]:
        top = logistic(days / 0.3) * 10 ** (-0.4 * slope * np.maximum(days, 0.0))
        return top * np.exp(-np.maximum(days - top_days, 0.0) / end_days)

    return replace(visible(flux, 0.0, -10.0, 60.0), past_days=PAST_DAYS)


def long_period_variable(rng: np.random.Generator) -> Source:
    """Draw a Mira or a semiregular variable: red, up and down by magnitudes in half a year to a year and a half.

    Periods and amplitudes are about those of the General Catalogue of Variable Stars (Samus et al. 2017).
    """
    mean_r_mag, amplitude_mag = rng.uniform(14.5, 17.0), rng.uniform(0.6, 2.5)
    period_days, turn, reference_turn = (
        rng.uniform(150.0, 500.0),
        rng.uniform(0, 2 * math.pi),
        rng.uniform(0, 2 * math.pi),
    )
    colour = rng.normal(1.6, 0.4)

    def magnitude(turns: NDArray[np.float64] | float, band: str) -> NDArray[np.float64]:
        in_g = band == "g"
        return mean_r_mag + colour * in_g - 0.5 * amplitude_mag * (1.2 if in_g else 1.0) * np.cos(turns)

    def flux(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        now = to_flux(magnitude(2 * math.pi * days / period_days + turn, band))
        return now - to_flux(magnitude(reference_turn, band))

    return Source(flux, 0.0, -1.0, 0.0, PAST_DAYS)


def flare_in_nucleus(rng: np.random.Generator) -> Source:
    """Draw a star's disruption in a nucleus that has varied a little for years: what it never did before."""
    nucleus, flare = active_nucleus(rng), supernova(rng, "TDE")

    def flux(days: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        return flare.flux(days, band) + _LITTLE * nucleus.flux(days, band)

    return replace(flare, flux=flux, past_days=PAST_DAYS)


_LITTLE = 0.2
"""Of what an AGN varies by."""
