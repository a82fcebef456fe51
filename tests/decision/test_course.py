"""What a light curve in flux says against an object: it is above its template and below it in turn, or has been."""

import dataclasses

import numpy as np
import pytest

from annotator.decision.classify import decide
from annotator.decision.config import DecisionConfig
from annotator.decision.course import ACTIVITY, ROUGHNESS, alternations, course_of
from annotator.decision.variable import standing
from annotator.models import ModalityScore, Scores
from annotator.models.worth import LIGHT_CURVE_PARTS
from annotator.reasons.sentence import explain
from annotator.transient import BEST_REAL_BOGUS, History, LightCurve, Transient

ORDINARY = DecisionConfig()
DAYS = np.arange(0.0, 60.0, 3.0)


def curve(flux_njy: np.ndarray, band: str = "r") -> LightCurve:
    n = len(flux_njy)
    return LightCurve(61000.0 + DAYS[:n], np.full(n, band), flux_njy, np.full(n, 100.0), np.zeros(n, dtype=bool))


def supernova(in_template_njy: float = 0.0) -> LightCurve:
    """Up and down once, less what of its light the template holds."""
    return curve(4000.0 * np.exp(-((DAYS - 20.0) ** 2) / 200.0) - in_template_njy)


PULSATING = curve(3000.0 * np.sin(DAYS))


def transient(seen: LightCurve | None = None, survey: str = "lsst", **changes: object) -> Transient:
    return dataclasses.replace(Transient("1", survey, n_det=9, n_det_good=9, light_curve=seen), **changes)


def scores(score: float = 3.6, **numbers: float) -> Scores:
    return Scores(score, {"features": ModalityScore(score, 0.1, (0.0,), (0.0,))}, numbers=numbers)


def test_a_supernova_in_its_template_crosses_it_twice_and_a_pulsating_star_again_and_again():
    assert alternations(supernova()) == 0
    assert alternations(supernova(in_template_njy=1500.0)) == 2
    assert alternations(PULSATING) > 10
    assert alternations(curve(np.array([90.0, -90.0] * 5))) == 0  # noise


def test_each_band_has_a_template_of_its_own():
    up, down = supernova(), curve(-np.full(len(DAYS), 2000.0), "i")
    both = {name: np.concatenate([getattr(up, name), getattr(down, name)]) for name in ("band", "flux_njy")}
    twice = {name: np.tile(getattr(up, name), 2) for name in ("time_mjd", "flux_error_njy", "is_forced")}
    assert alternations(LightCurve(**both, **twice)) == 0


@pytest.mark.parametrize(
    ("seen", "numbers", "changes", "expected"),
    [
        (supernova(1500.0), {ROUGHNESS: 1.9, ACTIVITY: -0.4}, {}, "anomaly"),
        (PULSATING, {}, {}, "variable"),
        (supernova(), {ROUGHNESS: 2.1}, {}, "variable"),
        (supernova(), {ACTIVITY: -0.2}, {}, "variable"),
        (supernova(), {ACTIVITY: -0.2}, {"fades": True}, "anomaly"),  # its template holds its light
        (PULSATING, {ROUGHNESS: 2.1}, {"survey": "ztf"}, "anomaly"),  # whose gate is measured as it is
        (None, {}, {"sherlock_class": "BS"}, "variable"),
    ],
)
def test_what_varies_by_its_light_curve_is_variable(seen, numbers, changes, expected):
    item = transient(seen, **changes)
    assert decide(item, scores(**numbers), ORDINARY) == expected
    assert bool(standing(item, ORDINARY, numbers)) == (expected == "variable")


def test_the_sentence_says_by_what_it_varies():
    said = explain(transient(PULSATING), scores(), "variable", {}, standing(transient(PULSATING), ORDINARY))
    assert said.startswith("Variable: brighter and fainter than its template in turn, ")


@pytest.mark.parametrize(
    ("n_det", "best", "expected"), [(3, 0.74, "artefact"), (3, 0.76, "anomaly"), (2, 0.6, "anomaly")]
)
def test_what_is_never_clearly_real_is_an_artefact_and_says_how_real_it_was_at_best(n_det, best, expected):
    item = transient(n_det=n_det, extras={BEST_REAL_BOGUS: best})
    assert decide(item, scores(), ORDINARY) == expected
    if expected == "artefact":
        said = explain(item, scores(), expected, {})
        assert said == "Artefact: none of 3 detections is clearly real, the best has reliability 0.74."


def test_the_course_is_told_of_a_survey_whose_features_are_of_the_light_curve_alone():
    item = transient(PULSATING, extras={"reliability": 0.75}, history=History(years=0.5))
    found = course_of(item, {ROUGHNESS: 1.25, ACTIVITY: -1.0})
    assert set(found) >= set(LIGHT_CURVE_PARTS)
    assert (found["stochastic"], found["active_before"], found["doubtful"]) == pytest.approx((0.5, 0.5, 0.5))
    assert 0 < found["long_seen"] < 1 < found["alternating"]
    assert course_of(dataclasses.replace(item, survey="ztf"), {ROUGHNESS: 1.25}) == {}
    assert course_of(transient(), {}) == {}


def test_what_is_brighter_than_weeks_before_rises_and_of_what_fades_the_mirror():
    rising = supernova().flux_njy[:6]
    assert course_of(transient(curve(rising)), {})["rising"] > 1
    assert course_of(transient(curve(-rising), fades=True), {})["rising"] > 1
    assert course_of(transient(supernova()), {}).get("rising", 0.0) < 0
