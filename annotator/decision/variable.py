"""What is known to vary: by catalogue, by the source it lies on, by its past or its light curve; and what is new."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from annotator.decision.config import DecisionConfig
from annotator.decision.course import ACTIVITY, ROUGHNESS, alternations
from annotator.surveys import SURVEYS
from annotator.transient import History, Transient

SHERLOCK_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "VS": "a variable star",
        "CV": "a cataclysmic variable",
        "AGN": "an active galactic nucleus",
        "BS": "a bright star",
    }
)
"""Sherlock's classes of what varies, in words; which of them count is the survey's own
(:attr:`annotator.surveys.survey.Survey.varying_classes`)."""
NO_NUMBERS: Mapping[str, float] = MappingProxyType({})
NEAREST_ARCSEC = 1.0
"""A catalogued source so near is the one that is seen."""
NEW_MAG = 0.5
NEW_SCATTERS = 3.0
"""By so much, and by so many times the scatter of its past, the present of a source that is known to vary has to be
brighter than its past to be new; so many times the scatter of its colour it has to be bluer."""


def known_to_vary(transient: Transient, decision: DecisionConfig, numbers: Mapping[str, float] = NO_NUMBERS) -> str:
    """Say by what an object is known to vary, in a few words; empty where nothing tells.

    Sherlock puts it on a variable star, a cataclysmic variable or an AGN; or the nearest catalogued source, within an
    arcsecond, is like a star (`variable_star_score`); or it has a history: more than `variable_seasons` seasons before
    the present one. Of a record that does not go back, or of a source that no gap divides into seasons, two numbers
    tell: `variable_years` since its first alert and `variable_detections` ever. A supernova that goes off where
    something was detected once, years ago, has neither the one nor the other. Where the record does not go back at all,
    as a row of columns, it is `variable_row_years` alone that tell, until the light curve of all epochs is there.
    Of a survey whose object features are of the light curve, that tells, too (:func:`_by_its_course`).

    Parameters
    ----------
    numbers
        What the models computed of it by name (:attr:`annotator.models.Scores.numbers`).
    """
    if not decision.variable:
        return ""
    survey = SURVEYS[transient.survey]
    if transient.sherlock_class in survey.varying_classes:
        return f"{SHERLOCK_VARIABLES[transient.sherlock_class]} by Sherlock"
    nearest, star_score = (transient.extras.get(name) for name in ("nearest_arcsec", "nearest_star_score"))
    is_near = nearest is not None and nearest < NEAREST_ARCSEC
    if is_near and star_score is not None and star_score >= decision.variable_star_score:
        return f"a star-like source (score {star_score:.2f}) is {nearest:.1f} arcsec away"
    past = transient.history
    if past.n_earlier_seasons is not None and past.n_earlier_seasons > decision.variable_seasons:
        return f"{since(past)}, with {past.n_earlier_seasons} earlier seasons"
    is_old = past.years is not None and past.years >= decision.variable_years
    if is_old and past.n_detections is not None and past.n_detections >= decision.variable_detections:
        return f"{since(past)}, with {past.n_detections} detections"
    if past.n_earlier_seasons is None and past.years is not None and past.years >= decision.variable_row_years:
        return f"{since(past)}, of which the record has no more than the present"
    return _by_its_course(transient, decision, numbers) if survey.features_are_of_light_curve else ""


def _by_its_course(transient: Transient, decision: DecisionConfig, numbers: Mapping[str, float]) -> str:
    """Say by what its light curve tells that a source varies; of one that fades, what was before is its template's."""
    if transient.light_curve is not None:
        n = alternations(transient.light_curve)
        if n >= decision.variable_alternations:
            return f"brighter and fainter than its template in turn, {n} times in one band"
    scatter = math.exp(numbers.get(ROUGHNESS, -math.inf))
    if scatter >= decision.variable_scatter:
        return f"it scatters {scatter:.0f} times as much as its errors say about any smooth course"
    activity = 10.0 ** numbers.get(ACTIVITY, -math.inf)
    if activity >= decision.variable_activity and not transient.fades:
        return f"it was {activity:.1f} times as bright as at its peak 100 days or more before"
    return ""


def what_is_new(past: History) -> str:
    """Say what a source does that it never did before, in a few words; empty where that is nothing, or not known."""
    brighter, scatter, bluer, colour_scatter = (
        *(past.brighter_mag, past.scatter_mag),
        *(past.bluer_mag, past.colour_scatter_mag),
    )
    if brighter is not None and brighter >= max(NEW_MAG, NEW_SCATTERS * scatter):
        return f"now brighter than ever before, by {brighter:.1f} mag over its past"
    if bluer is not None and bluer >= NEW_SCATTERS * colour_scatter:
        return f"now bluer than ever before, by {bluer:.1f} mag in g-r over its past"
    return ""


def since(past: History) -> str:
    """Say since when a source is known."""
    return f"a source known since {past.first_year}" if past.first_year is not None else "a source known for long"


def standing(transient: Transient, decision: DecisionConfig, numbers: Mapping[str, float] = NO_NUMBERS) -> str:
    """Say in a few words what is known of an object's variability, for its explanation; empty where nothing is.

    Of one that does what it never did before, since when it is known and what is new.
    """
    known = known_to_vary(transient, decision, numbers)
    new = what_is_new(transient.history) if known else ""
    return f"{since(transient.history)}, {new}" if new else known


def is_variable(transient: Transient, decision: DecisionConfig, numbers: Mapping[str, float] = NO_NUMBERS) -> bool:
    """Tell whether an object is known to vary and does nothing that it never did before."""
    return bool(known_to_vary(transient, decision, numbers)) and not what_is_new(transient.history)
