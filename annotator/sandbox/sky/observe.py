"""A survey like ZTF's public one, looking at a simulated source. Everything here is simulated.

Cadence after Bellm et al. 2019: g and r in one night, every one to three nights, clouds in spells, moonlight. Depth,
stated errors and scatter are those of alert packets, where errors are not what a signal-to-noise ratio alone gives:
they grow with brightness like the source's own shot noise and are half as large again as the scatter about a smooth
curve, while bright detections scatter by a few hundredths of a magnitude that no error states: the night's zero point.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotator.sandbox.sky import light_curves
from annotator.sandbox.sky.light_curves import ZERO_POINT_MAG, Source

SURVEY_START_JD = 2457754.5  # nid, ZTF's number of the night, counts from 2017 January 1 UTC
NIGHTS = 150
PAST_NIGHTS = 4 * 365
"""Before those."""
SEASON_NIGHTS = 215
"""Of a year, in which a field is up at night."""
FAINTER_THAN_LIMIT_MAG = 0.3
"""So much fainter than its own exposure's limit is the faintest detection: of recorded detections fainter than 19.5 a
fifth are fainter than the limit beside them, which is stated brighter than five times the noise."""
_BANDS = ("g", "r")
_LIMIT_SNR = 6.5  # of a source as bright as the limit, by its stated error in the dark
_DEPTH_MAG = (20.7, 20.5)  # g, r: of a dark and clear night
_MOON_MAG = (0.9, 0.6)
_CLOUD_MAG, _EXPOSURE_MAG = 0.2, 0.15  # mean of what a night's clouds take of its depth, scatter of its exposures
# Of 17,000 detections of supernovae in alert packets: stated errors of 0.028 mag at 15.2, 0.047 at 17.2, 0.073 at 18.2,
# 0.12 at 19.2 and 0.21 at 20.2, within 0.01 of these three terms.
_SHOT_ERROR_MAG, _SHOT_AT_MAG = 0.063, 18.25
_STATED_FLOOR = 0.023  # of the flux
# About lines between their neighbours the same detections scatter by 0.5 to 0.6 of what is stated where they are faint,
# and by 0.04 mag where they are bright.
_SCATTER_OF_STATED = 0.55
_ZERO_POINT_SCATTER = 0.022  # of the flux, common to a night's exposures of a band
_OUTLIERS, _OUTLIER_SCATTER = 0.025, 3.5
# How unlike one another objects are in that: the light of the host, the place on the detector, the neighbours.
_SCATTER_OF_SCATTER = 0.45
# Mean size of what a band's reference image has too much or too little of the object and its host, which all its
# differences then have in common (Masci et al. 2019, and the baselines of forced photometry); its tail is long. Of a
# hundred real SN Ia one has a detection more than forty days before its peak.
_REFERENCE_MAG = 22.6
_EXPOSURES = (0.22, 0.74, 0.04)  # shares of visits with none, one and two in a band


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


@dataclass(frozen=True, eq=False)
class Survey:
    """What all objects of a night share."""

    last_midnight_jd: float
    clear: NDArray[np.bool_]
    """``(NIGHTS,)``: which nights were clear; 0 is the last one, 1 the one before."""
    full_moon_night: float
    """Days between the last midnight and a full Moon."""
    cloud_mag: NDArray[np.float64]
    """``(NIGHTS,)``: what thin clouds and poor seeing take of each clear night's depth."""
    before: "Survey | None" = None
    """The years before these nights; 0 is the last night of them."""


def weather(rng: np.random.Generator, last_midnight_jd: float) -> Survey:
    """Draw which nights were clear, in spells, and how clear; the last one was."""
    clear = _clear(rng, NIGHTS)
    survey = Survey(last_midnight_jd, clear, rng.uniform(0.0, 29.53), rng.exponential(_CLOUD_MAG, NIGHTS))
    of_past = rng.spawn(1)[0]
    before = replace(
        survey,
        last_midnight_jd=last_midnight_jd - NIGHTS,
        clear=_clear(of_past, PAST_NIGHTS),
        full_moon_night=survey.full_moon_night + NIGHTS,
        cloud_mag=of_past.exponential(_CLOUD_MAG, PAST_NIGHTS),
    )
    return replace(survey, before=before)


def _clear(rng: np.random.Generator, n_nights: int) -> NDArray[np.bool_]:
    clear = np.ones(n_nights, dtype=bool)
    for night in range(1, n_nights):
        clear[night] = rng.random() < (0.85 if clear[night - 1] else 0.45)
    return clear


def observe(
    rng: np.random.Generator, survey: Survey, source: Source, kind: str, position: tuple[float, float], number: int
) -> tuple[Epoch, ...]:
    """Look at a source as the survey would, at a moment of its life that falls on the last night.

    What has a past is looked at in the years before, too, in the seasons in which its field is up.
    """
    if rng.random() < 0.55:  # about to fade away, as most objects of an archive were when last seen
        age_days = source.last_day - rng.exponential(3.0)
    else:
        first_day = min(max(source.first_day, -10.0), source.last_day)
        age_days = rng.uniform(first_day, max(first_day, min(source.last_day, 40.0)))
    epochs = _look(rng, survey, source, kind, position, number, age_days, sorted(_visits(rng, survey)))
    if not source.past_days:
        return epochs
    of_past, before = rng.spawn(1)[0], survey.before
    later_nights = of_past.uniform(0.0, SEASON_NIGHTS - NIGHTS)  # that the season began earlier than these nights
    visits = sorted(
        visit
        for visit in _visits(of_past, before)
        if (visit[2] + NIGHTS + later_nights) % 365.25 < SEASON_NIGHTS and visit[2] < source.past_days
    )
    return _look(of_past, before, source, kind, position, number, age_days - NIGHTS, visits) + epochs


def _look(
    rng: np.random.Generator,
    survey: Survey,
    source: Source,
    kind: str,
    position: tuple[float, float],
    number: int,
    age_days: float,
    visits: Sequence[tuple[float, int, int]],
) -> tuple[Epoch, ...]:
    if not visits:
        return ()
    days, band, night = (np.array(column) for column in zip(*visits, strict=True))
    flux = np.empty(len(visits))
    for i, name in enumerate(_BANDS):
        flux[band == i] = source.flux(age_days + days[band == i], name)
    is_real = kind != "artefact"
    if not is_real:
        flux = _subtraction_residuals(rng, len(visits))
    return _expose(rng, survey, days, band, night, flux, position, is_real, number)


def _visits(rng: np.random.Generator, survey: Survey) -> Iterator[tuple[float, int, int]]:
    """Yield what a field gets: days since the last midnight (negative before it), the band's place, the night."""
    cadence_nights = int(rng.choice((1, 2, 3), p=(0.1, 0.6, 0.3)))
    first_hour = rng.uniform(3.0, 9.5)
    nights = [night for night in range(0, len(survey.clear), cadence_nights) if survey.clear[night]]
    n_exposures = rng.choice(3, p=_EXPOSURES, size=(len(nights), len(_BANDS)))
    hours = first_hour + rng.uniform(0.0, 3.0, size=(len(nights), len(_BANDS), 2))
    for i, night in enumerate(nights):
        for band in range(len(_BANDS)):
            for k in range(n_exposures[i, band]):
                yield -night + hours[i, band, k] / 24, band, night


def _subtraction_residuals(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Draw what is left of a bright star: mostly nothing, sometimes light of either sign."""
    return rng.choice((0.0, 1.0, -0.5), p=(0.85, 0.1, 0.05), size=n) * light_curves.to_flux(rng.normal(18.3, 0.7, n))


def stated_error(flux: NDArray[np.float64], limit_mag: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the error that a packet states of a flux, ``(n,)``: sky, the source's own light, and a floor."""
    of_shot = light_curves.to_flux(_SHOT_AT_MAG)
    shot = _SHOT_ERROR_MAG / 1.0857 * np.sqrt(np.abs(flux) * of_shot)
    return np.sqrt((light_curves.to_flux(limit_mag) / _LIMIT_SNR) ** 2 + shot**2 + (_STATED_FLOOR * flux) ** 2)


def _measured(
    rng: np.random.Generator,
    n_nights: int,
    night: NDArray[np.int64],
    band: NDArray[np.int64],
    flux: NDArray[np.float64],
    stated: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Add to ``(n,)`` fluxes what the pixels' noise adds, the night's zero point, and, of few, what nobody expects."""
    scale = rng.lognormal(0.0, _SCATTER_OF_SCATTER)
    random = scale * _SCATTER_OF_STATED * stated * rng.normal(size=len(flux))
    random = np.where(rng.random(len(flux)) < _OUTLIERS, _OUTLIER_SCATTER * random, random)
    zero_point = rng.normal(0.0, scale * _ZERO_POINT_SCATTER, size=(n_nights, len(_BANDS)))[night, band]
    reference = rng.laplace(0.0, light_curves.to_flux(_REFERENCE_MAG), len(_BANDS))
    return flux * (1 + zero_point) + reference[band] + random


def _expose(
    rng: np.random.Generator,
    survey: Survey,
    days: NDArray[np.float64],
    band: NDArray[np.int64],
    night: NDArray[np.int64],
    true_flux: NDArray[np.float64],
    position: tuple[float, float],
    is_real: bool,
    number: int,
) -> tuple[Epoch, ...]:
    n = len(days)
    moonlight = 0.5 * (1 + np.cos(2 * math.pi * (days - survey.full_moon_night) / 29.53))
    dark_mag, moon_mag = (np.array(values)[band] for values in (_DEPTH_MAG, _MOON_MAG))
    limit_mag = dark_mag - moon_mag * moonlight**3 - survey.cloud_mag[night] + rng.normal(0.0, _EXPOSURE_MAG, n)
    flux = _measured(rng, len(survey.clear), night, band, true_flux, stated_error(true_flux, limit_mag))
    stated = stated_error(flux, limit_mag)
    is_seen = np.abs(flux) >= light_curves.to_flux(limit_mag + FAINTER_THAN_LIMIT_MAG)
    snr = np.abs(flux) / stated
    scatter_deg = np.hypot(0.08, 0.85 / snr) / 3600  # seeing over signal-to-noise ratio, and a floor
    ra_deg = position[0] + rng.normal(0.0, scatter_deg) / math.cos(math.radians(position[1]))
    dec_deg = position[1] + rng.normal(0.0, scatter_deg)
    rb = rng.beta(12.0, 1.3, n) if is_real else rng.uniform(0.05, 0.6, n)
    drb = 1 - np.minimum(0.3, rng.exponential(0.02, n)) if is_real else rng.uniform(0.0, 0.3, n)
    epochs = []
    columns = (days, band, limit_mag, is_seen, flux, snr, rb, drb, ra_deg, dec_deg)
    for i, epoch in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        epoch_days, its_band, limit, seen, its_flux, its_snr, its_rb, its_drb, ra, dec = epoch
        jd = survey.last_midnight_jd + epoch_days
        nid = math.floor(jd - SURVEY_START_JD)
        what = round(jd, 7), its_band + 1, nid, round(limit, 4)
        if not seen:
            epochs.append(Epoch(*what))
            continue
        epochs.append(
            Epoch(
                *what,
                # Unique, and in the shape of ZTF's: night, time of the day, and a running number.
                candid=nid * 10**15 + int((what[0] - 0.5) % 1 * 10**6) * 10**9 + number % 10**6 * 1000 + i,
                magpsf=round(ZERO_POINT_MAG - 2.5 * math.log10(abs(its_flux)), 4),
                sigmapsf=round(1.0857 / its_snr, 4),
                isdiffpos="t" if its_flux > 0 else "f",
                rb=round(its_rb, 4),
                drb=round(its_drb, 4),
                ra=ra,
                dec=dec,
            )
        )
    return tuple(epochs)
