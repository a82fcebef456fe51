"""A stream's own scale, and thresholds for so many flags a night."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.decision.config import DecisionConfig
from annotator.decision.sending import must_send
from annotator.decision.stream import VIEWS, NightThresholds, Recent, StreamScale, night_thresholds
from tests.decision.test_decide import case, decided

BUSY = "features: 5 detections or fewer"


def recent(scores, exotic=None, samplings=None, n_nights=10, is_candidate=True) -> Recent:
    scores = np.asarray(scores, dtype=float)
    n = len(scores)
    values = np.full((n, len(VIEWS)), np.nan)
    values[:, VIEWS.index("score")] = scores
    if exotic is not None:
        values[:, VIEWS.index("exotic")] = exotic
    return Recent(
        nights=61000 + np.arange(n) % n_nights,
        samplings=[BUSY] * n if samplings is None else samplings,
        values=values,
        is_candidate=np.broadcast_to(is_candidate, n).astype(bool),
    )


def test_a_score_is_placed_among_this_stream_s_own():
    scale = StreamScale(recent(np.linspace(0, 1, 999)))
    assert scale.places(BUSY, {"score": 2.0}) == {"score": 3.0}  # none of 999 is as high: 1 in 1,000
    assert scale.places(BUSY, {"score": 0.0}) == {"score": 0.0}
    of_middle = scale.places(BUSY, {"score": 0.5})["score"]
    assert of_middle == pytest.approx(-math.log10((1 + 500) / 1000), abs=1e-3)


def test_as_high_counts_against_the_object():
    scale = StreamScale(recent([1.5] * 999))
    assert scale.places(BUSY, {"score": 1.5}) == {"score": 0.0}


def test_nothing_is_said_until_five_hundred_are_known():
    assert StreamScale(recent([1.0] * 499)).places(BUSY, {"score": 2.0}) == {}
    assert StreamScale(recent([1.0] * 500)).places(BUSY, {"score": 2.0}) == {"score": pytest.approx(2.6998)}


def test_like_is_compared_with_like_and_small_bins_are_put_together():
    samplings = ["young"] * 600 + ["old"] * 600 + ["odd"] * 60 + ["odder"] * 60
    scale = StreamScale(recent([0.5] * 600 + [1.5] * 600 + [0.5] * 120, samplings=samplings))
    young, old = (scale.places(name, {"score": 1.0})["score"] for name in ("young", "old"))
    assert young == pytest.approx(math.log10(601), abs=1e-3)
    assert old == 0.0
    for name in ("odd", "odder", "never seen"):
        assert scale.places(name, {"score": 1.0})["score"] == pytest.approx(math.log10(121), abs=1e-3)


def test_too_few_odd_ones_are_compared_with_all():
    scale = StreamScale(recent([0.5] * 700 + [9.0] * 50, samplings=["young"] * 700 + ["odd"] * 50))
    assert scale.places("odd", {"score": 1.0})["score"] == pytest.approx(-math.log10(51 / 751), abs=1e-3)


def test_each_view_has_a_place_of_its_own_where_it_is_known():
    scale = StreamScale(recent([0.5] * 600, exotic=0.1))
    found = scale.places(BUSY, {"score": 1.0, "exotic": 0.05, "features": 2.0, "triplet": None})
    assert found == {"score": pytest.approx(2.7789), "exotic": 0.0}


def test_it_stands_in_the_annotation_and_by_itself_writes_none():
    scale = StreamScale(recent([1.0] * 999))
    first = decided(case(3.2), stream=scale)
    assert first.outgoing.classdict["stream"] == first.stream["score"] == first.modalities["stream"] == 3.0
    assert "stream" not in decided(case(3.2)).outgoing.classdict
    known = dataclasses.replace(first.outgoing, classdict=first.outgoing.classdict | {"stream": 0.5})
    assert not must_send(first.outgoing, known, ("anomaly", "watch", "artefact"), 0.3)


BUDGET = DecisionConfig(anomalies_per_night=10, watch_per_night=30)


def n_flags(known: Recent, found: NightThresholds) -> tuple[int, int]:
    score = known.values[:, VIEWS.index("score")]
    chance = np.nan_to_num(known.values[:, VIEWS.index("exotic")], nan=-1.0)
    is_anomaly = (score >= found.anomaly_score) | (chance >= (found.exotic or math.inf))
    is_anomaly &= known.is_candidate
    is_watch = (score >= found.watch_score) & ~is_anomaly & known.is_candidate
    return int(is_anomaly.sum()), int(is_watch.sum())


def test_a_budget_sets_thresholds_that_the_nights_before_would_have_met():
    rng = np.random.default_rng(1)
    known = recent(rng.exponential(1.5, 20_000), exotic=rng.beta(1, 5, 20_000))
    found = night_thresholds(known, BUDGET, 0.3)
    anomalies, watches = n_flags(known, found)
    assert 95 <= anomalies <= 100
    assert 295 <= watches <= 300
    assert found.anomaly_score > 3 and found.watch_score > 2 and found.exotic > 0.3
    assert (found.n_objects, found.n_nights) == (20_000, 10)


def test_no_threshold_is_below_the_absolute_ones():
    quiet = recent(np.linspace(0, 1, 2000), exotic=0.01)
    found = night_thresholds(quiet, BUDGET, 0.3)
    assert (found.anomaly_score, found.watch_score, found.exotic) == (3.0, 2.0, 0.3)


def test_what_scores_do_not_decide_on_takes_no_place():
    scores = np.r_[np.full(2000, 9.0), np.linspace(0, 2.5, 2000)]
    known = recent(scores, is_candidate=np.arange(4000) >= 2000)
    assert night_thresholds(known, BUDGET, None).anomaly_score == 3.0


def test_without_a_budget_or_with_too_little_known_the_absolute_ones_hold():
    assert night_thresholds(recent([9.0] * 5000), DecisionConfig(), 0.3) is None
    assert night_thresholds(recent([9.0] * 499), BUDGET, 0.3) is None


def test_where_half_of_the_stream_scores_alike_none_of_it_is_flagged():
    known = recent(np.r_[np.full(1000, 4.0), np.zeros(1000)])
    assert n_flags(known, night_thresholds(known, BUDGET, None)) == (0, 0)


def test_a_threshold_that_was_fixed_never_undercuts_what_is_configured_now():
    fixed = NightThresholds(3.4, 2.6, 0.4, 9000, 30)
    held, exotic = fixed.over(DecisionConfig(anomaly_score=5.0, watch_score=2.0), 0.5)
    assert (held.anomaly_score, held.watch_score, exotic) == (5.0, 2.6, 0.5)
    assert fixed.over(DecisionConfig(), None)[1] is None


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 90), st.booleans())
def test_no_budget_is_ever_exceeded_in_the_nights_it_is_made_of(seed, anomalies, watches, has_head):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(500, 3000))
    scores = np.round(rng.exponential(rng.uniform(0.3, 3), n), int(rng.integers(0, 5)))
    known = recent(scores, np.round(rng.random(n), 2) if has_head else None, n_nights=int(rng.integers(1, 30)))
    budget = DecisionConfig(anomalies_per_night=anomalies, watch_per_night=watches)
    found = night_thresholds(known, budget, 0.3 if has_head else None)
    n_anomalies, n_watches = n_flags(known, found)
    assert n_anomalies <= anomalies * found.n_nights
    assert n_watches <= watches * found.n_nights
    assert found.anomaly_score >= 3 and 2 <= found.watch_score <= found.anomaly_score
