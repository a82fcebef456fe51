import numpy as np
import pytest
import torch
import xgboost

from annotator.models.runtime import onnxruntime
from tests.conftest import of_the_long_suite
from training.exotic.forest import Forest
from training.export.graph import check_parity, export_graph
from training.export.trees import with_tree_operator

NOTHING = np.float32(np.nan)


def examples(n=600, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(0, 3, size=(n, 6)).astype(np.float32)
    labels = (inputs[:, 0] + inputs[:, 1] * inputs[:, 2] / 4 + rng.normal(size=n) > 1).astype(int)
    inputs[rng.random(inputs.shape) < missing] = NOTHING
    return inputs, labels


def grown(n_boosters=1, n_trees=25, missing=0.2, **settings):
    inputs, labels = examples(missing=missing)
    parameters = {"objective": "binary:logistic", "base_score": 0.5, "nthread": 1, "max_depth": 4} | settings
    data = xgboost.DMatrix(inputs, labels)
    return [xgboost.train(parameters | {"seed": n, "subsample": 0.7}, data, n_trees) for n in range(n_boosters)]


def margins(boosters, inputs):
    return np.array([booster.predict(xgboost.DMatrix(inputs), output_margin=True) for booster in boosters]).T


@pytest.mark.parametrize("settings", [{}, {"max_depth": 1}, {"max_depth": 8}, {"tree_method": "exact"}, {"gamma": 5}])
def test_a_forest_gives_what_xgboost_gives_of_values_that_are_there_and_missing(settings):
    boosters = grown(**settings)
    inputs, _ = examples(400, seed=1, missing=0.3)
    expected = margins(boosters, inputs)[:, 0]
    with torch.no_grad():
        found = Forest(boosters)(torch.from_numpy(inputs)).numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_value_at_a_threshold_goes_where_xgboost_sends_it():
    boosters = grown(n_trees=5)
    forest = Forest(boosters)
    is_node = forest.child.numpy() != np.arange(len(forest.child))
    conditions = np.nextafter(forest.threshold.numpy()[is_node], np.float32(np.inf))
    inputs = np.repeat(conditions[:, None], 6, axis=1)
    np.testing.assert_allclose(forest(torch.from_numpy(inputs)).numpy(), margins(boosters, inputs)[:, 0], atol=1e-5)


def test_the_mean_over_the_boosters_is_the_forest_and_each_booster_is_xgboost_s():
    boosters, (inputs, _) = grown(n_boosters=3), examples(50, seed=3, missing=0.2)
    forest, given = Forest(boosters), torch.from_numpy(inputs)
    by_booster = forest.by_booster(given)
    assert by_booster.shape == (50, 3) and forest.by_tree(given).shape == (50, 75)
    torch.testing.assert_close(by_booster.mean(dim=1), forest(given))
    np.testing.assert_allclose(by_booster.numpy(), margins(boosters, inputs), atol=1e-5)


def test_a_tree_that_is_one_leaf_gives_the_same_everywhere():
    boosters = grown(n_trees=3, gamma=1e9)
    inputs, _ = examples(20, seed=4)
    found = Forest(boosters)(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, margins(boosters, inputs)[:, 0], atol=1e-6)
    assert np.ptp(found) == 0


def test_boosters_of_unlike_many_trees_are_refused():
    with pytest.raises(ValueError, match="as many trees each, found 11 of 2"):
        Forest([grown(n_trees=5)[0], grown(n_trees=6)[0]])


@pytest.mark.parametrize("settings", [{"n_boosters": 3}, {"gamma": 1e9}, *of_the_long_suite({}, {"max_depth": 1})])
def test_the_operator_for_trees_gives_what_the_steps_give(settings):
    """Of the last kind each tree is one leaf."""
    forest = Forest(grown(**settings)).eval()
    inputs, _ = examples(missing=0.3)
    steps = export_graph(forest, {"inputs": inputs}, ("probability",))
    graph = with_tree_operator(steps, forest)
    check_parity(graph, forest, {"inputs": inputs}, ("probability",))
    assert len(graph) < len(steps)


def test_each_row_is_the_same_to_the_bit_in_any_company():
    forest = Forest(grown(n_boosters=2)).eval()
    inputs, _ = examples(64, seed=5, missing=0.3)
    graph = with_tree_operator(export_graph(forest, {"inputs": inputs}, ("probability",)), forest)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    first, others, reversed_order = np.arange(16), np.r_[0:4, 40:52], np.arange(16)[::-1]
    alone, beside, moved = (session.run(None, {"inputs": inputs[rows]})[0] for rows in (first, others, reversed_order))
    np.testing.assert_array_equal(beside[:4], alone[:4])
    np.testing.assert_array_equal(moved[::-1], alone)
