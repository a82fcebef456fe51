"""What the ledger keeps of the nights before."""

import dataclasses

import numpy as np
import pytest

from annotator.decision.config import DecisionConfig
from annotator.decision.stream import NIGHTS, VIEWS, NightThresholds
from annotator.models import ModalityScore
from annotator.nights import start_of
from annotator.passes.own_scale import on_own_scale
from tests.decision.test_decide import RULES
from tests.ledger.test_ledger import scored_object

NIGHT = 61000
SET = "aha-ztf-1.0"


def at(night: int, hours: float = 6.0) -> float:
    return start_of(night) + 3600 * hours


def scored(name: str, score: float, classification: str = "normal", exotic: float | None = 0.1, **changes):
    said = {"features": ModalityScore(score, 0.1, (), (), sampling="young"), "triplet": ModalityScore(0.5, 0.1, (), ())}
    beside = {} if exotic is None else {"exotic": exotic}
    values = {"classification": classification, "model_scores": said, "modalities": beside, "send": False}
    return scored_object(name, score, **(values | changes))


def test_each_object_counts_once_a_night_as_it_was_scored_last(ledger):
    ledger.record([scored("ZTF20aaaaaaa", 1.0), scored("ZTF20aaaaaab", 2.0)], [], at(NIGHT - 1))
    ledger.record([scored("ZTF20aaaaaaa", 1.5, exotic=None)], [], at(NIGHT - 1, 8))
    ledger.record([scored("ZTF20aaaaaaa", 3.0, "variable")], [], at(NIGHT - 2))
    found = ledger.stream.recent(SET, at(NIGHT))
    assert found.nights.tolist() == [NIGHT - 1, NIGHT - 1, NIGHT - 2]
    assert found.values[:, VIEWS.index("score")].tolist() == [1.5, 2.0, 3.0]
    assert found.values[:, VIEWS.index("features")].tolist() == [1.5, 2.0, 3.0]
    assert np.isnan(found.values[:, VIEWS.index("lightcurve")]).all()
    np.testing.assert_equal(found.values[:, VIEWS.index("exotic")], [np.nan, 0.1, 0.1])
    assert set(found.samplings) == {"features: young"}
    assert found.is_candidate.tolist() == [True, True, False]


def test_tonight_and_what_is_long_past_and_other_model_sets_are_no_part_of_it(ledger):
    for night in (NIGHT, NIGHT - NIGHTS, NIGHT - NIGHTS - 1):
        ledger.record([scored("ZTF20aaaaaaa", 1.0)], [], at(night))
    ledger.record([scored("ZTF20aaaaaab", 1.0, model_set="aha-ztf-0.9")], [], at(NIGHT - 1))
    assert ledger.stream.recent(SET, at(NIGHT, 20)).nights.tolist() == [NIGHT - NIGHTS]
    assert len(ledger.stream.recent("none", at(NIGHT))) == 0


def test_what_nothing_scored_is_no_part_of_it(ledger):
    ledger.record([scored("ZTF20aaaaaaa", 0.0, model_scores={})], [], at(NIGHT - 1))
    assert len(ledger.stream.recent(SET, at(NIGHT))) == 0


def test_old_nights_are_forgotten_by_their_number(ledger):
    for night in range(NIGHT - 40, NIGHT):
        ledger.record([scored("ZTF20aaaaaaa", 1.0)], [], at(night))
    ledger.record([scored("ZTF20aaaaaaa", 1.0)], [], at(NIGHT + 400))
    ledger.stream.forget()
    assert ledger.stream.recent(SET, at(NIGHT)).nights.min() == NIGHT - NIGHTS


def test_a_night_s_thresholds_are_fixed_with_its_first_pass(ledger):
    fixed = NightThresholds(3.4, 2.5, 0.41, 9000, 30)
    ledger.stream.fix(fixed, SET, NIGHT)
    assert ledger.stream.thresholds(SET, NIGHT) == fixed
    assert ledger.stream.thresholds(SET, NIGHT + 1) is ledger.stream.thresholds("other", NIGHT) is None
    without = dataclasses.replace(fixed, exotic=None)
    ledger.stream.fix(without, "other", NIGHT)
    assert ledger.stream.thresholds("other", NIGHT) == without


@pytest.fixture
def known(ledger):
    many = [scored(f"ZTF20{place:07d}", place / 100) for place in range(600)]
    ledger.record(many, [], at(NIGHT - 1))
    return ledger


def test_a_pass_has_the_scale_of_the_nights_before_and_no_thresholds_without_a_budget(known):
    rules, thresholds = on_own_scale(RULES, known, at(NIGHT))
    assert rules.stream.n_known == 600
    assert thresholds is None and rules.thresholds == RULES.thresholds


def test_the_thresholds_of_a_night_with_a_budget_stay_until_it_ends(known):
    budget = dataclasses.replace(RULES, thresholds=DecisionConfig(anomalies_per_night=10, watch_per_night=30))
    rules, first = on_own_scale(budget, known, at(NIGHT, 1))
    assert rules.thresholds.anomaly_score == first.anomaly_score > 5
    known.record([scored("ZTF20zzzzzzz", 19.0)], [], at(NIGHT - 1, 23))  # told late of the night before
    _, second = on_own_scale(budget, known, at(NIGHT, 23))
    assert second == first
    _, next_night = on_own_scale(budget, known, at(NIGHT + 1))
    assert next_night.n_objects == 601
