"""What the course of a light curve in flux says for or against an object, from 0 to 1 each, beside all scores.

A transient goes up once and down once. What shines in the template, too (an active nucleus, a variable star), and what
a subtraction leaves, goes up and down again: above its template and below it in turn, farther from any smooth form than
its errors say, as bright long before its peak as at it. A supernova that is in its template crosses it twice at most.
"""

import math
from collections.abc import Mapping

import numpy as np

from annotator.bands import BANDS
from annotator.preprocess.nightly import Points, laid_out, nightly
from annotator.preprocess.usable import SIGNIFICANT
from annotator.surveys import SURVEYS
from annotator.transient import LightCurve, Transient

ROUGHNESS, ACTIVITY = "features_roughness", "features_activity_before"
"""Quantities of the light curve (:mod:`annotator.preprocess.evolution`), as numbers of the model of the features."""

RISING_MAG = 0.5
"""By how much brighter than before a source is that counts as rising in full."""
_NOW_DAYS, _BEFORE_DAYS = 1.5, (3.0, 20.0)
"""Before the last significant night: what is compared."""

_ROUGH = (0.5, 2.0)
"""Of nine in ten simulated supernovae the roughness is below the first, of one in a hundred above the second."""
_MORE_ALTERNATIONS = 3
"""Beyond the one that a supernova in its template has on its way up, or down: as many count in full."""
_LEAST_ACTIVITY = -2.0
"""In the logarithm of the peak's flux: less is none."""
_SURE, _UNSURE = 1.0, 0.5
"""Reliabilities that leave no doubt, and all of it: of 45 alerts of asteroids none is below 0.89, and since February
2026 no alert of less than 0.5 is sent."""
_NEW_DAYS, _YEAR_DAYS = 100.0, 365.25
"""From the first detection to the last, at which an object counts as long seen not at all, and in full."""


def course_of(transient: Transient, numbers: Mapping[str, float]) -> dict[str, float]:
    """Return what is known of an object's course; of a survey whose features are its own columns nothing.

    Parameters
    ----------
    numbers
        What the models computed of it by name (:attr:`annotator.models.Scores.numbers`).

    Returns
    -------
    dict
        ``rising``, and what speaks against it: :data:`annotator.models.worth.LIGHT_CURVE_PARTS`. Numbers may be beyond
        0 and 1.
    """
    survey = SURVEYS[transient.survey]
    if not survey.features_are_of_light_curve:
        return {}
    found: dict[str, float] = {}
    if ROUGHNESS in numbers:
        found["stochastic"] = (numbers[ROUGHNESS] - _ROUGH[0]) / (_ROUGH[1] - _ROUGH[0])
    if ACTIVITY in numbers and not transient.fades:
        found["active_before"] = 1.0 - numbers[ACTIVITY] / _LEAST_ACTIVITY
    if (reliability := transient.extras.get(survey.real_bogus[-1])) is not None:
        found["doubtful"] = (_SURE - reliability) / (_SURE - _UNSURE)
    if transient.history.years:
        days = max(transient.history.years * _YEAR_DAYS, _NEW_DAYS)
        found["long_seen"] = math.log(days / _NEW_DAYS) / math.log(_YEAR_DAYS / _NEW_DAYS)
    if transient.light_curve is not None:
        nights = _nights(transient.light_curve)
        found["alternating"] = (_alternations(nights) - 1) / _MORE_ALTERNATIONS
        rise_mag = _rise_mag(nights, -1.0 if transient.fades else 1.0)
        if rise_mag is not None:
            found["rising"] = rise_mag / RISING_MAG
    return found


def alternations(curve: LightCurve) -> int:
    """Count how often an object went from above its template to below it or back, in the band in which that is most.

    Nights count, by their mean and at five standard deviations, forced photometry too.
    """
    return _alternations(_nights(curve))


def _nights(curve: LightCurve) -> Points:
    return nightly(laid_out([curve], _NAMES))


_NAMES = sorted(BANDS)


def _alternations(nights: Points) -> int:
    clear = nights.where(np.abs(nights.flux) >= SIGNIFICANT * nights.error)
    signs = (np.sign(clear.flux[clear.band == band]) for band in np.unique(clear.band))
    return max((int(np.count_nonzero(np.diff(of_band))) for of_band in signs), default=0)


def _rise_mag(nights: Points, sign: float) -> float | None:
    """Return by how much brighter the last night is than those of weeks before, in the band in which that is most."""
    flux = sign * nights.flux
    is_clear = flux >= SIGNIFICANT * nights.error
    if not is_clear.any():
        return None
    ago_days = nights.time_days[is_clear].max() - nights.time_days
    rises = []
    for band in np.unique(nights.band):
        here = nights.band == band
        now = here & is_clear & (ago_days <= _NOW_DAYS)
        before = here & (ago_days >= _BEFORE_DAYS[0]) & (ago_days <= _BEFORE_DAYS[1])
        if now.any() and before.any():
            weights = nights.error[before] ** -2.0
            mean, error = np.average(flux[before], weights=weights), weights.sum() ** -0.5
            rises.append(2.5 * math.log10(flux[now].max() / max(mean, error)))
    return max(rises, default=None)
