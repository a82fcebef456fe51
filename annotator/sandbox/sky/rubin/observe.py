"""Differences against templates, as Rubin measures them: sources of either sign, and photometry forced at their place.

A template is the mean of a stretch of earlier visits, so it may hold the transient's own light: the differences are
negative then. Not every place has one in every band; without one there is no difference. A source and the photometry
forced on the same visit are two measurements of the same light: they differ by little.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.sandbox.sky.rubin.cadence import BANDS, WAVELENGTH_NM, Visits
from annotator.sandbox.sky.rubin.evolutions import Evolution, to_njy

DETECTION_SNR = 5.0
SENT_RELIABILITY = 0.5
"""Since February 2026 no alert of less is sent."""
_TEMPLATE_SHARES = (0.25, 0.35, 0.9, 0.97, 0.92, 0.5)  # of places with a template, u to y
_TEMPLATE_NOISE_MAG = (0.2, 0.9, 0.6, 0.3, 0.2, 0.3)  # by which the first templates' noise makes differences shallower
_TEMPLATE_DAYS = 20.0
# So that of ordinary supernovae some 15 % have only negative sources, and some 8 % both signs, as Rubin's typed ones.
_LATE_TEMPLATES = 0.8  # share of places whose template was made while there was something to see
_LATE_BANDS = 0.9  # of such a place's bands
_ZERO_POINT_SCATTER = 0.008
_NO_FORCED_YET = 0.25  # share of objects that nobody has forced photometry of
_FORCED_BEFORE_DAYS = 30.0


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of one object, in time order."""

    days: NDArray[np.float64]
    """``(n,)``: since the last night's midnight."""
    band: NDArray[np.str_]
    flux_njy: NDArray[np.float64]
    """``(n,)``: of the difference, signed."""
    error_njy: NDArray[np.float64]
    template_njy: NDArray[np.float64]
    """``(n,)``: of the object and what it lies on, in the template; the science image has this and the difference."""
    held_njy: NDArray[np.float64]
    """``(n,)``: of that, the object's own light, a point: an active nucleus, a star, a supernova that was there."""
    reliability: NDArray[np.float64]
    """``(n,)``, 0 to 1; NaN for what is forced, which nobody rates."""
    visit: NDArray[np.int64]
    """``(n,)``: places in the visits."""

    def __len__(self) -> int:
        return len(self.days)


@dataclass(frozen=True, eq=False)
class Observed:
    """What Rubin's pipelines would have of an object."""

    sources: Measurements
    """Differences of five sigma or more."""
    forced: Measurements
    """At every visit with a template, from a month before the first source to the night before the last; or none."""
    template_bands: str


def observe(rng: np.random.Generator, visits: Visits, evolution: Evolution, kind: str) -> Observed:
    """Look at a source at a moment of its life that falls on the last night."""
    age_days = _age(rng, evolution)
    has_template = rng.random(len(BANDS)) < _TEMPLATE_SHARES
    has_template[BANDS.index("i")] |= not has_template.any()
    host_njy = _host(rng, kind)
    n = len(visits.days)
    flux, held, template, depth = np.zeros(n), np.zeros(n), np.zeros(n), np.full(n, 20.0)
    usable = np.zeros(n, dtype=bool)
    may_be_late = rng.random() < _LATE_TEMPLATES
    for band, there, shallower in zip(BANDS, has_template, _TEMPLATE_NOISE_MAG, strict=True):
        here = visits.band == band
        if not there or not here.any():
            continue
        nm, ready = WAVELENGTH_NM[band], _ready(rng, age_days - evolution.first_day, may_be_late)
        in_template = 0.0
        if kind != "asteroid":
            window = ready - np.linspace(0.0, 1.0, 9) * _TEMPLATE_DAYS
            in_template = float(evolution.flux(age_days + window, nm).mean())
        flux[here] = evolution.flux(age_days + visits.days[here], nm) - in_template
        held[here] = in_template
        template[here] = in_template + host_njy * (nm / WAVELENGTH_NM["r"]) ** 1.2
        depth[here] = visits.depth_mag[here] - shallower * rng.lognormal(0.0, 0.3)
        usable[here] = visits.days[here] > ready  # nothing is subtracted before there is a template
    if kind == "asteroid":
        flux[:-1] = 0.0  # it has come from elsewhere, and will be elsewhere
    if kind == "bogus":
        flux = _residuals(rng, n)
    sky = to_njy(depth) / DETECTION_SNR
    error = np.sqrt(sky**2 + 0.006 * sky * np.maximum(template + np.abs(flux), 0.0) ** 0.9)
    night = visits.night
    zero_point = dict(zip(np.unique(night), rng.normal(0.0, _ZERO_POINT_SCATTER, len(np.unique(night))), strict=True))
    true_flux = flux * (1 + np.array([zero_point[each] for each in night]))
    noise = error * rng.normal(size=n)
    measured = true_flux + noise
    snr = measured / error
    is_source = usable & (np.abs(snr) >= DETECTION_SNR)
    reliability = _reliability(rng, np.abs(snr), kind)
    sources = _select(visits, is_source, measured, error, template, held, reliability)
    forced_flux = true_flux + noise * 0.97 + error * 0.2 * rng.normal(size=n)
    is_forced = np.zeros(n, dtype=bool)
    if is_source.any() and kind != "asteroid" and rng.random() > _NO_FORCED_YET:
        first = visits.days[is_source][0]
        is_forced = usable & (visits.days > first - _FORCED_BEFORE_DAYS) & (night < 0)
    forced = _select(visits, is_forced, forced_flux, error * 0.99, template, held, np.full(n, math.nan))
    bands = "".join(b for b, there in zip(BANDS, has_template, strict=True) if there)
    return Observed(sources, forced, bands)


def _age(rng: np.random.Generator, evolution: Evolution) -> float:
    """Draw at what day of its life the object is on the last night."""
    if evolution.first_day == evolution.last_day:
        return 0.0
    if rng.random() < 0.4:  # about to fade away
        return evolution.last_day - min(rng.exponential(6.0), evolution.last_day - evolution.first_day)
    return float(rng.uniform(evolution.first_day, min(evolution.last_day, evolution.first_day + 110.0)))


def _ready(rng: np.random.Generator, seen_days: float, may_be_late: bool) -> float:
    """Draw when a band's template was ready: long ago, or while the object had been seen for as long as it took."""
    if may_be_late and seen_days > _TEMPLATE_DAYS and rng.random() < _LATE_BANDS:
        return -rng.random() * (seen_days - _TEMPLATE_DAYS)
    return rng.uniform(-430.0, -310.0)


def _host(rng: np.random.Generator, kind: str) -> float:
    """Draw how much light of its host lies under an object, in r: of a core, of a disc's outskirts, or next to none."""
    if kind in ("variable star", "asteroid"):
        return 0.0
    return float(to_njy(rng.uniform(17.5, 26.5)))


def _residuals(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Draw what subtractions leave: mostly nothing, sometimes light of either sign."""
    size = to_njy(rng.normal(22.3, 0.6, n))
    return rng.choice((0.0, 1.0, -1.0), p=(0.7, 0.18, 0.12), size=n) * size


def _reliability(rng: np.random.Generator, snr: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """Draw how much the pipeline trusts each: what is bright is trusted, and what is left by a subtraction is not."""
    n = len(snr)
    if kind == "bogus":
        return rng.uniform(0.3, 0.75, n)
    return 1 - np.minimum(0.7, rng.exponential(0.55 / np.maximum(snr - 3.0, 1.0), n))


def _select(
    visits: Visits,
    chosen: NDArray[np.bool_],
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    template: NDArray[np.float64],
    held: NDArray[np.float64],
    reliability: NDArray[np.float64],
) -> Measurements:
    return Measurements(
        visits.days[chosen],
        visits.band[chosen],
        flux[chosen],
        error[chosen],
        template[chosen],
        held[chosen],
        reliability[chosen],
        np.flatnonzero(chosen),
    )
