import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from training.metrics import ranking as evaluate

GENERATOR = np.random.default_rng(0)
SCORES = np.round(GENERATOR.normal(size=400), 1)  # with ties
IS_EXOTIC = GENERATOR.random(400) < 0.1
BINS = GENERATOR.integers(0, 10, 400)


def test_auc_and_average_precision_are_sklearn_s_ties_included():
    found = evaluate.ranking(SCORES, IS_EXOTIC, BINS)
    assert found["auc"].value == pytest.approx(roc_auc_score(IS_EXOTIC, SCORES))
    assert found["ap"].value == pytest.approx(average_precision_score(IS_EXOTIC, SCORES))


def test_hits_are_the_exotics_among_the_ten_highest_of_a_bin():
    scores = GENERATOR.permutation(400).astype(float)
    expected = [IS_EXOTIC[b == BINS][np.argsort(-scores[b == BINS])[:10]].sum() for b in range(10)]
    assert evaluate.ranking(scores, IS_EXOTIC, BINS)["hits"].value == pytest.approx(np.mean(expected))


def test_a_perfect_score_and_its_opposite_are_one_and_zero():
    perfect = evaluate.ranking(IS_EXOTIC.astype(float), IS_EXOTIC, BINS)
    assert (perfect["auc"].value, perfect["auc"].low, perfect["ap"].value) == (1, 1, 1)
    assert evaluate.ranking(-IS_EXOTIC.astype(float), IS_EXOTIC, BINS)["auc"].value == 0


def test_the_interval_s_width_is_that_of_theory():
    """Hanley and McNeil (1982), for scores that say nothing, on average: var = (n1 + n0 + 1) / (12 n1 n0)."""
    n_exotic, n_normal = IS_EXOTIC.sum(), (~IS_EXOTIC).sum()
    expected = 2 * 1.96 * math.sqrt((n_exotic + n_normal + 1) / (12 * n_exotic * n_normal))
    nothing = np.random.default_rng(5).normal(size=(10, 400))
    aucs = [evaluate.ranking(scores, IS_EXOTIC, BINS)["auc"] for scores in nothing]
    assert all(auc.low < auc.value < auc.high for auc in aucs)
    assert np.mean([auc.high - auc.low for auc in aucs]) == pytest.approx(expected, rel=0.15)


def test_the_best_single_column_is_found_with_its_sign():
    columns = GENERATOR.normal(size=(400, 3))
    columns[:, 1] -= 3 * IS_EXOTIC
    name, values = evaluate.best_column(columns, ("a", "b", "c"), IS_EXOTIC)
    assert name.startswith("b, smaller")
    assert roc_auc_score(IS_EXOTIC, values) > 0.9


@given(st.integers(0, 2**32 - 1))
def test_resampling_weights_count_an_object_as_often_as_it_is_drawn(seed):
    generator = np.random.default_rng(seed)
    labels = generator.random(30) < 0.3
    weights = np.bincount(generator.integers(30, size=30), minlength=30)
    assert evaluate._hits(weights, labels) == np.repeat(labels, weights)[:10].sum()
