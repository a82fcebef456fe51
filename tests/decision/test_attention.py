"""The order of attention: monotone in all that speaks for an object, and what is known comes last."""

import dataclasses
import datetime
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.annotation import Annotation
from annotator.decision.attention import (
    BESIDE,
    KNOWN_AT_MOST,
    Evidence,
    asked_for,
    attention_of,
    evidence_kept,
    evidence_of,
    in_one_line,
    known_as,
    once_known,
    order_of,
    parts_of,
    worth_of,
)
from annotator.decision.attention_fit import MIN_VERDICTS, refitted
from annotator.decision.config import CASES, PROFILES, WorthConfig
from annotator.decision.decide import decide_batch
from annotator.decision.objects import Known
from annotator.decision.sending import with_tns_class, with_verdict
from annotator.models import ModalityScore, Scores, load_models
from annotator.models.worth import PARTS, SIGNS, Weights
from annotator.transient import History, Transient
from annotator.verdicts import Verdict
from tests.decision.test_decide import RULES, case

WEIGHTS = Weights(-4.0, np.array([3.0, 1.0, 1.0, 1.0, 0.5, 0.5, 1.0, 0.7, 0.6, 0.3, -2.0]))
NOBODY = Transient("ZTF99aaaaaaa", "ztf")
VERDICT = Verdict("ZTF99aaaaaaa", "regular", "Ada", datetime.datetime(2099, 3, 1, tzinfo=datetime.UTC))

SHARES = st.floats(0, 1)
SCORES = st.floats(0, 8)
VIEWS = ("features", "lightcurve", "triplet")
WEIGHTINGS = st.builds(
    lambda intercept, sizes: Weights(intercept, SIGNS * np.array(sizes)),
    st.floats(-8, 2),
    st.lists(st.floats(0, 5), min_size=len(PARTS), max_size=len(PARTS)),
)
EVIDENCE = st.builds(
    Evidence,
    score=SCORES,
    views=st.dictionaries(st.sampled_from(VIEWS), SCORES),
    exotic=st.none() | SHARES,
    prior=st.none() | SCORES,
    stream=st.dictionaries(st.sampled_from(("score", *VIEWS)), SCORES),
    beside=st.dictionaries(st.sampled_from(BESIDE), SHARES),
)


def chance(evidence: Evidence, weights: Weights = WEIGHTS) -> float:
    return attention_of([evidence], weights)[0].chance


@given(EVIDENCE, WEIGHTINGS, st.sampled_from(("score", "exotic", "prior")), st.floats(0, 3))
def test_nothing_that_speaks_for_an_object_makes_it_worth_less(evidence, weights, name, more):
    before = getattr(evidence, name)
    if before is not None:
        most = 1.0 if name == "exotic" else math.inf
        assert chance(dataclasses.replace(evidence, **{name: min(before + more, most)}), weights) >= chance(
            evidence, weights
        )


@given(EVIDENCE, WEIGHTINGS, st.sampled_from(VIEWS), SCORES)
def test_no_view_that_scores_higher_makes_an_object_worth_less(evidence, weights, view, more):
    higher = dict(evidence.views) | {view: evidence.views.get(view, 0.0) + more}
    assert chance(dataclasses.replace(evidence, views=higher), weights) >= chance(evidence, weights)


@given(EVIDENCE, WEIGHTINGS, SCORES)
def test_nothing_that_is_rarer_in_its_stream_is_worth_less(evidence, weights, more):
    rarer = {name: value + more for name, value in evidence.stream.items()}
    assert chance(dataclasses.replace(evidence, stream=rarer), weights) >= chance(evidence, weights)


@given(EVIDENCE, WEIGHTINGS, st.sampled_from(BESIDE), SHARES)
def test_being_young_rising_or_nuclear_never_counts_against_an_object_and_bogus_or_long_known_never_for_it(
    evidence, weights, name, more
):
    here = evidence.beside.get(name, 0.0)
    higher = dataclasses.replace(evidence, beside=dict(evidence.beside) | {name: min(here + more, 1.0)})
    sign = -1 if name in ("bogus", "long_known") else 1
    assert sign * (chance(higher, weights) - chance(evidence, weights)) >= 0


@given(EVIDENCE, WEIGHTINGS, st.sampled_from(CASES), st.floats(0, 5), st.floats(0, 5))
def test_a_case_that_is_asked_for_more_often_makes_no_object_worth_less(evidence, weights, case_name, times, more):
    less, most = (asked_for(weights, WorthConfig(**{case_name: value})) for value in (times, times + more))
    assert chance(evidence, most) >= chance(evidence, less)
    assert (most.of_parts * SIGNS >= 0).all()


@given(st.lists(EVIDENCE, min_size=1, max_size=8), WEIGHTINGS)
def test_an_object_is_worth_the_same_whatever_is_beside_it(evidence, weights):
    assert attention_of(evidence, weights) == [attention_of([item], weights)[0] for item in evidence]
    assert all(0 <= item.chance <= 1 for item in attention_of(evidence, weights))


@given(SHARES, SHARES)
def test_what_is_known_is_worth_less_than_all_that_is_not(known, unknown):
    assert worth_of(known, is_known=True) < KNOWN_AT_MOST <= worth_of(unknown, is_known=False) <= 1
    assert once_known(worth_of(known, is_known=False)) == pytest.approx(worth_of(known, is_known=True), abs=1.1e-5)
    assert once_known(once_known(worth_of(known, is_known=False))) == once_known(worth_of(known, is_known=False))


@pytest.mark.parametrize(
    ("classification", "tns_type", "verdict", "expected"),
    [
        ("anomaly", "", None, ""),
        ("anomaly", "", dataclasses.replace(VERDICT, verdict="unknown"), ""),
        ("anomaly", "SN Ia", None, "SN Ia in TNS"),
        ("anomaly", "SN Ia", dataclasses.replace(VERDICT, verdict="anomaly"), "judged anomaly"),
        ("normal", "", VERDICT, "judged regular"),
        ("artefact", "", None, "artefact"),
        ("variable", "", None, "variable"),
    ],
)
def test_a_class_a_verdict_and_what_needs_no_person_make_an_object_known(classification, tns_type, verdict, expected):
    assert known_as(classification, tns_type, verdict) == expected


def test_in_a_stream_that_is_full_of_them_odd_objects_count_for_less():
    odd = Evidence(4.0, {"features": 4.0})
    assert chance(dataclasses.replace(odd, stream={"score": 1.0, "features": 4.0})) < chance(odd)
    assert chance(dataclasses.replace(odd, stream={"features": 1.0})) < chance(odd)
    assert chance(dataclasses.replace(odd, stream={"score": 4.0, "features": 4.0})) == chance(odd)


def test_why_is_said_in_one_line_with_what_adds_most_first():
    found = Evidence(1.0, {"features": 1.0}, exotic=0.5, beside={"young": 1.0, "rising": 0.9, "bogus": 0.1})
    (attention,) = attention_of([found], WEIGHTS)
    assert attention.because == ("like known exotics", "young", "rising")
    line = in_one_line(attention.chance, attention.because, "")
    assert line == f"worth {worth_of(attention.chance, False):.2f}: like known exotics, young, rising"
    known = in_one_line(attention.chance, attention.because, "SN Ia in TNS")
    assert known.startswith("worth 0.00: SN Ia in TNS; were that not known 0.")
    assert in_one_line(0.01, (), "") == "worth 0.01: nothing speaks for it"


@given(EVIDENCE)
def test_what_the_ledger_keeps_gives_the_parts_again(evidence):
    kept = {name: {"score": score, "error": 1.0} for name, score in evidence.views.items()} | dict(evidence.beside)
    kept |= {name: getattr(evidence, name) for name in ("exotic", "prior") if getattr(evidence, name) is not None}
    kept |= {"stream" if name == "score" else f"stream_{name}": value for name, value in evidence.stream.items()}
    assert parts_of(evidence_kept(evidence.score, kept | {"worth_because": ["young"]})) == parts_of(evidence)


def test_age_trend_and_place_are_read_from_the_quantities():
    numbers = {"age": 60**0.5, "trend_08_g": 0.1, "trend_08_r": -0.25, "host_separation": 5.0, "ps1_separation": 0.5}
    scores = Scores(1.0, {"features": ModalityScore(1.0, 1.0, (), ())}, artefact=0.25, numbers=numbers)

    def beside(**numbers: float) -> dict[str, float]:
        return dict(evidence_of(dataclasses.replace(scores, numbers=numbers, artefact=None), {}, NOBODY).beside)

    found = evidence_of(scores, {}, NOBODY).beside
    assert found == {"young": 0.5, "rising": 0.5, "nuclear": 0.75, "bogus": 0.25}
    assert beside() == {}
    assert beside(age=60.0) == {"young": 0.0}
    assert beside(age=1.0, trend_08_r=-0.25) == {"young": 1.0}  # all of one night: no rise


@pytest.mark.parametrize(
    ("past", "long_known"),
    [
        *((History(), None), (History(years=1.5), 0.5), (History(years=9.0), 1.0)),
        *((History(years=9.0, n_earlier_seasons=0), 0.0), (History(years=9.0, n_earlier_seasons=3), 1.0)),
        (History(years=9.0, n_earlier_seasons=3, brighter_mag=1.0, scatter_mag=0.1), 0.0),
    ],
)
def test_to_be_like_exotics_counts_for_less_where_something_was_for_years_and_does_nothing_new(past, long_known):
    scores = Scores(1.0, {"features": ModalityScore(1.0, 1.0, (), ())}, exotic=0.5)
    found = evidence_of(scores, {}, dataclasses.replace(NOBODY, history=past))
    assert found.beside.get("long_known") == long_known
    parts = dict(zip(PARTS, parts_of(found), strict=True))
    assert parts["exotic_new"] == pytest.approx(parts["exotic"] * (1 - (long_known or 0.0)))


def test_where_worth_is_not_known_the_score_orders():
    items = [(0.2, 1.0, "c"), (None, 5.0, "b"), (0.2, 3.0, "a"), (None, 6.0, "d")]
    assert [item[2] for item in sorted(items, key=lambda item: order_of(*item))] == ["a", "c", "d", "b"]


# --- verdicts


def judged(n: int, seed: int = 0) -> tuple[list[Evidence], list[bool]]:
    """Somebody who is glad of odd stamps alone."""
    rng = np.random.default_rng(seed)
    found = [Evidence(1.0, {"triplet": 4.0 * value}, exotic=0.1) for value in rng.random(n)]
    return found, [item.views["triplet"] > 2.0 for item in found]


def test_with_few_verdicts_the_weights_stay_and_with_more_they_move_to_what_people_said():
    assert refitted(WEIGHTS, *judged(MIN_VERDICTS - 1)) is WEIGHTS
    stamps = PARTS.index("odd_triplet")
    some, many = (refitted(WEIGHTS, *judged(n)) for n in (MIN_VERDICTS, 400))
    assert WEIGHTS.of_parts[stamps] < some.of_parts[stamps] < many.of_parts[stamps]
    untouched = [PARTS.index(name) for name in ("young", "rising", "nuclear", "bogus")]
    np.testing.assert_array_equal(many.of_parts[untouched], WEIGHTS.of_parts[untouched])


def test_a_refit_depends_on_no_order_and_keeps_the_signs():
    evidence, glad = judged(60)
    there = refitted(WEIGHTS, evidence, glad)
    back = refitted(WEIGHTS, evidence[::-1], glad[::-1])
    assert there.intercept == back.intercept and there.of_parts.tolist() == back.of_parts.tolist()
    contrary = refitted(WEIGHTS, evidence, [not item for item in glad])
    assert (contrary.of_parts * SIGNS >= 0).all()
    assert contrary.of_parts[PARTS.index("odd_triplet")] == 0.0


# --- in a decision


def test_an_annotation_carries_the_worth_and_a_class_or_a_verdict_puts_it_last():
    rules = dataclasses.replace(RULES, worth=WEIGHTS)
    (found,) = decide_batch([case(3.4)], {}, rules)
    assert found.worth == found.outgoing.classdict["worth"] > KNOWN_AT_MOST
    assert found.modalities["worth"] == pytest.approx(found.worth, abs=0.001)
    (known,) = decide_batch([case(3.4)], {found.object_id: Known(tns_type="SN Ia")}, rules)
    assert 0 < known.worth == known.outgoing.classdict["worth"] < KNOWN_AT_MOST
    assert known.modalities["worth"] == found.modalities["worth"]
    assert with_tns_class(found.outgoing, "SN Ia", RULES.thresholds).classdict["worth"] == known.worth
    assert with_verdict(found.outgoing, VERDICT).classdict["worth"] == known.worth
    (without,) = decide_batch([case(3.4)], {}, RULES)
    assert without.worth is None and "worth" not in without.outgoing.classdict


def test_a_worth_that_moves_writes_nothing_by_itself():
    rules = dataclasses.replace(RULES, worth=WEIGHTS)
    (first,) = decide_batch([case(3.4)], {}, rules)
    other = dataclasses.replace(rules, worth=Weights(0.0, WEIGHTS.of_parts))
    (second,) = decide_batch([case(3.4, mjd=61001.0)], {first.object_id: Known(last_sent=first.outgoing)}, other)
    assert second.worth != first.worth and second.outgoing is None
    assert isinstance(first.outgoing, Annotation)


def test_profiles_that_ship_ask_for_every_case():
    assert all(len(times) == len(CASES) for times in PROFILES.values())
    balanced = asked_for(WEIGHTS, WorthConfig())
    np.testing.assert_array_equal(balanced.of_parts, WEIGHTS.of_parts)
    tidal = WorthConfig(profile="tidal_disruptions", odd=2.0)
    assert (tidal.times("nuclear"), tidal.times("odd")) == (3.0, 2.0)


# --- of Rubin


@pytest.fixture(scope="module")
def rubin_weights():
    return load_models(None, "lsst").worth.as_weights()


def test_an_outlier_that_the_head_does_not_support_does_not_lead(rubin_weights):
    lone = [Evidence(score, {"features": score}, exotic=0.01, prior=prior) for score in (2.0, 4.4) for prior in (0, 3)]
    (supported,) = attention_of([Evidence(0.4, {"features": 0.4}, exotic=0.6, prior=1.0)], rubin_weights)
    assert max(item.chance for item in attention_of(lone, rubin_weights)) < 0.7 * supported.chance


@pytest.mark.parametrize("name", ["alternating", "active_before", "long_seen", "stochastic", "doubtful"])
def test_what_speaks_against_an_object_never_helps_it(rubin_weights, name):
    kept = {"features": 1.0}
    chances = [
        item.chance
        for item in attention_of(
            [Evidence(1.0, kept, 0.6, 1.0, beside={name: x}) for x in (0, 0.4, 1.0)], rubin_weights
        )
    ]
    assert chances == sorted(chances, reverse=True)


def test_whoever_hunts_the_unheard_of_gets_the_outliers_first(rubin_weights):
    asked = asked_for(rubin_weights, WorthConfig(profile="unheard_of"))
    lone, like = Evidence(4.0, {"features": 4.0}, exotic=0.01), Evidence(0.4, {"features": 0.4}, exotic=0.9)
    first, second = attention_of([lone, like], asked)
    assert first.chance > second.chance and first.because[0].startswith("odd")
