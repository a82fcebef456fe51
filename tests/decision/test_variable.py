"""What is called variable, and what is not although it has a past."""

import dataclasses

import pytest

from annotator.decision.classify import decide
from annotator.decision.config import DecisionConfig
from annotator.decision.sending import must_send
from annotator.decision.variable import known_to_vary, standing
from annotator.models import ModalityScore, Scores
from annotator.reasons.sentence import explain
from annotator.transient import History, Transient
from tests.decision.test_decide import case, decided, sent

ORDINARY = DecisionConfig()
SCORES = Scores(3.6, {"features": ModalityScore(3.6, 0.1, (0.0,), (0.0,))})
KNOWN = History(first_year=2019, years=6.2, n_detections=700, n_negative=12, n_earlier_seasons=5)
AS_EVER = dataclasses.replace(KNOWN, brighter_mag=0.3, scatter_mag=0.2, bluer_mag=0.1, colour_scatter_mag=0.1)


def transient(past: History = KNOWN, sherlock_class: str = "SN", **extras: float) -> Transient:
    return Transient("ZTF19aaaaaaa", "ztf", n_det=9, sherlock_class=sherlock_class, history=past, extras=extras)


@pytest.mark.parametrize("sherlock_class", ["VS", "CV", "AGN"])
def test_what_sherlock_puts_on_a_variable_is_one_however_high_it_scores(sherlock_class):
    assert decide(transient(History(), sherlock_class), SCORES, ORDINARY) == "variable"


@pytest.mark.parametrize("sherlock_class", ["SN", "NT", "ORPHAN", "BS", "UNCLEAR", None])
def test_what_has_no_past_and_lies_on_no_variable_is_none(sherlock_class):
    assert decide(transient(History(), sherlock_class), SCORES, ORDINARY) == "anomaly"


@pytest.mark.parametrize(
    ("nearest", "star_score", "expected"),
    [
        *((0.4, 0.97, "variable"), (0.99, 0.76, "variable"), (1.0, 0.97, "anomaly"), (0.4, 0.75, "anomaly")),
        *((0.4, None, "anomaly"), (None, 0.97, "anomaly")),
    ],
)
def test_what_lies_on_a_star_is_variable(nearest, star_score, expected):
    found = {"nearest_arcsec": nearest, "nearest_star_score": star_score}
    item = transient(History(), **{name: value for name, value in found.items() if value is not None})
    assert decide(item, SCORES, ORDINARY) == expected


@pytest.mark.parametrize(
    ("seasons", "years", "n_detections", "expected"),
    [
        *((3, 1.0, 40, "variable"), (2, 8.0, 40, "anomaly"), (0, 3.0, 300, "variable"), (None, 3.0, 300, "variable")),
        *((0, 2.9, 5000, "anomaly"), (0, 8.0, 299, "anomaly"), (0, 8.0, None, "anomaly")),
        *((None, 1.0, None, "variable"), (None, 0.9, 5000, "anomaly"), (None, None, 5000, "anomaly")),
    ],
)
def test_a_past_is_seasons_or_years_and_detections(seasons, years, n_detections, expected):
    past = History(2017, years, n_detections, None, seasons)
    assert decide(transient(past), SCORES, ORDINARY) == expected


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        *(({}, "variable"), ({"brighter_mag": 0.61}, "anomaly"), ({"brighter_mag": 0.59}, "variable")),
        *(({"brighter_mag": 0.49, "scatter_mag": 0.01}, "variable"), ({"bluer_mag": 0.31}, "anomaly")),
        ({"bluer_mag": 0.29}, "variable"),
    ],
)
@pytest.mark.parametrize("sherlock_class", ["SN", "AGN"])
def test_a_source_that_does_what_it_never_did_stays_what_its_scores_make_it(new, expected, sherlock_class):
    item = transient(dataclasses.replace(AS_EVER, **new), sherlock_class)
    assert decide(item, SCORES, ORDINARY) == expected


def test_what_is_never_good_is_an_artefact_and_no_variable():
    assert decide(dataclasses.replace(transient(), n_det_good=0), SCORES, ORDINARY) == "artefact"


def test_it_can_be_left_to_the_scores():
    off = DecisionConfig(variable=False)
    assert decide(transient(), SCORES, off) == "anomaly"
    assert known_to_vary(transient(), off) == standing(transient(), off) == ""


def test_its_explanation_says_by_what_it_is_known_and_how_rare_it_is():
    said = explain(transient(), SCORES, "variable", {}, standing(transient(), ORDINARY))
    assert said.startswith("Variable: a source known since 2019, with 5 earlier seasons. At most 1 in 3981 classified")
    agn = transient(History(), "AGN")
    assert explain(agn, SCORES, "variable", {}, standing(agn, ORDINARY)).startswith(
        "Variable: an active galactic nucleus by Sherlock. At most"
    )


def test_the_explanation_of_a_flare_says_since_when_its_source_is_known():
    flare = transient(dataclasses.replace(AS_EVER, brighter_mag=1.4))
    said = explain(flare, SCORES, "anomaly", {}, standing(flare, ORDINARY))
    assert said.endswith("A source known since 2019, now brighter than ever before, by 1.4 mag over its past.")


def test_a_variable_is_written_over_an_earlier_flag_alone():
    held = sent(3.2)
    item = case(3.2, mjd=61001.0)
    variable = dataclasses.replace(item, classification="variable")
    assert decided(variable).outgoing is None
    rewritten = dataclasses.replace(held, classification="variable", classdict=held.classdict | {"mjd": 61001.0})
    assert must_send(rewritten, held, ("anomaly", "watch", "artefact"), 0.3)
    assert not must_send(rewritten, rewritten, ("anomaly", "watch", "artefact"), 0.3)
