"""A survey like ZTF's public one, looking at a simulated source. Everything here is simulated.

Cadence, depth and errors after Bellm et al. 2019: g and r every one to three nights, clouds in spells, moonlight.
"""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from annotator.sandbox.sky import light_curves
from annotator.sandbox.sky.light_curves import ZERO_POINT_MAG, Source

SURVEY_START_JD = 2457754.5  # nid, ZTF's number of the night, counts from 2017 January 1 UTC
NIGHTS = 150
_DETECTION_SNR = 5.0
_DEPTH_MAG = {"g": 20.7, "r": 20.4}
_MOON_MAG = {"g": 0.9, "r": 0.6}
_FILTER_ID = {"g": 1, "r": 2}
# Shares of visits with no exposure, and with at most one: the cumulated shares (0.16, 0.8, 0.04) that rng.choice would
# make anew for each of a night's 100,000 draws, which took most of the simulation's time.
_EXPOSURES = tuple(np.cumsum((0.16, 0.8, 0.04)) / np.sum((0.16, 0.8, 0.04)))[:2]


@dataclass(frozen=True)
class Epoch:
    """One visit of the survey: a detection, or, without `candid` and what follows it, an upper limit."""

    jd: float
    fid: int
    nid: int
    diffmaglim: float
    candid: int | None = None
    magpsf: float | None = None
    sigmapsf: float | None = None
    isdiffpos: str | None = None
    rb: float | None = None
    drb: float | None = None
    ra: float | None = None
    dec: float | None = None


@dataclass(frozen=True)
class Survey:
    """What all objects of a night share."""

    last_midnight_jd: float
    clear: np.ndarray
    """``(NIGHTS,)`` bool: which nights were clear; 0 is the last one, 1 the one before."""
    full_moon_night: float
    """Days between the last midnight and a full Moon."""


def weather(rng: np.random.Generator) -> np.ndarray:
    """Draw which nights were clear, in spells; the last one was."""
    clear = np.ones(NIGHTS, dtype=bool)
    for night in range(1, NIGHTS):
        clear[night] = rng.random() < (0.85 if clear[night - 1] else 0.45)
    return clear


def observe(
    rng: np.random.Generator, survey: Survey, source: Source, kind: str, position: tuple[float, float], number: int
) -> tuple[Epoch, ...]:
    """Look at a source as the survey would, at a moment of its life that falls on the last night."""
    if rng.random() < 0.55:  # about to fade away, as most objects of an archive were when last seen
        age_days = source.last_day - rng.exponential(3.0)
    else:
        age_days = rng.uniform(max(source.first_day, -10.0), min(source.last_day, 40.0))
    visits = sorted(_visits(rng, survey))
    days = np.array([day for day, _ in visits])
    flux = {band: source.flux(age_days + days, band) for band in "gr"}
    epochs = []
    for i, (day, band) in enumerate(visits):
        true_flux = float(flux[band][i]) if kind != "artefact" else _subtraction_residual(rng)
        epochs.append(_expose(rng, survey, day, band, true_flux, position, is_real=kind != "artefact"))
    return tuple(
        # Unique, and in the shape of ZTF's: night, time of the day, and a running number.
        replace(e, candid=e.nid * 10**15 + int((e.jd - 0.5) % 1 * 10**6) * 10**9 + number % 10**6 * 1000 + i)
        if e.magpsf is not None
        else e
        for i, e in enumerate(epochs)
    )


def _visits(rng: np.random.Generator, survey: Survey) -> Iterator[tuple[float, str]]:
    """Yield what a field gets: days since the last midnight (negative before it), and the band."""
    cadence_nights = int(rng.choice((1, 2, 3), p=(0.15, 0.55, 0.3)))
    first_hour = rng.uniform(3.0, 9.5)
    for night in range(0, NIGHTS, cadence_nights):
        if not survey.clear[night]:
            continue
        for band in ("g", "r"):
            for _ in range(bisect.bisect_right(_EXPOSURES, rng.random())):
                yield -night + (first_hour + rng.uniform(0.0, 3.0)) / 24, band


def _subtraction_residual(rng: np.random.Generator) -> float:
    """Draw what is left of a bright star: mostly nothing, sometimes light of either sign."""
    return rng.choice((0.0, 1.0, -0.5), p=(0.65, 0.25, 0.1)) * light_curves.to_flux(rng.normal(18.3, 0.7))


def _expose(
    rng: np.random.Generator,
    survey: Survey,
    day: float,
    band: str,
    true_flux: float,
    position: tuple[float, float],
    is_real: bool,
) -> Epoch:
    moonlight = 0.5 * (1 + math.cos(2 * math.pi * (day - survey.full_moon_night) / 29.53))
    limit_mag = _DEPTH_MAG[band] - _MOON_MAG[band] * moonlight**3 + rng.normal(0.0, 0.25)
    limit_flux = light_curves.to_flux(limit_mag)
    error = math.hypot(limit_flux / _DETECTION_SNR, 0.02 * true_flux)
    flux = true_flux + rng.normal(0.0, error)
    jd = survey.last_midnight_jd + day
    epoch = Epoch(round(jd, 7), _FILTER_ID[band], math.floor(jd - SURVEY_START_JD), round(limit_mag, 4))
    if abs(flux) < limit_flux:
        return epoch
    snr = abs(flux) / error
    scatter_deg = math.hypot(0.08, 0.85 / snr) / 3600  # seeing over signal-to-noise ratio, and a floor
    return replace(
        epoch,
        magpsf=round(ZERO_POINT_MAG - 2.5 * math.log10(abs(flux)), 4),
        sigmapsf=round(1.0857 / snr, 4),
        isdiffpos="t" if flux > 0 else "f",
        rb=round(rng.beta(12.0, 1.3) if is_real else rng.uniform(0.05, 0.6), 4),
        drb=round(1 - min(0.3, rng.exponential(0.02)) if is_real else rng.uniform(0.0, 0.3), 4),
        ra=position[0] + rng.normal(0.0, scatter_deg) / math.cos(math.radians(position[1])),
        dec=position[1] + rng.normal(0.0, scatter_deg),
    )
