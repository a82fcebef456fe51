import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from annotator.models.runtime import onnxruntime
from training.exotic.forest import Forest
from training.export.graph import check_parity, export_graph, narrow
from training.export.trees import with_tree_operator


def examples(n=600, seed=0):
    """Quarters between -8 and 8: with them, no threshold of a tree is moved across a value by half precision."""
    rng = np.random.default_rng(seed)
    inputs = (rng.integers(-32, 33, size=(n, 6)) / 4).astype(np.float32)
    return inputs, (inputs[:, 0] + inputs[:, 1] * inputs[:, 2] / 4 + rng.normal(size=n) > 1).astype(int)


def grown(kind=RandomForestClassifier, **settings):
    inputs, labels = examples()
    return kind(25, random_state=0, **settings).fit(inputs, labels)


@pytest.mark.parametrize("settings", [{}, {"max_depth": 3}, {"min_samples_leaf": 40}, {"class_weight": {0: 1, 1: 7}}])
def test_a_forest_gives_what_scikit_learn_s_gives(settings):
    trees = grown(**settings)
    inputs, _ = examples(400, seed=1)
    # A share is kept in half precision: 2**-12 of it.
    expected = trees.predict_proba(inputs)[:, 1]
    with torch.no_grad():
        found = Forest(trees)(torch.from_numpy(inputs)).numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=3e-4)


def test_randomised_thresholds_are_those_of_half_precision():
    """Its thresholds lie anywhere: with them rounded, scikit-learn's own trees give what ours do."""
    trees = grown(ExtraTreesClassifier, min_samples_leaf=5)
    for estimator in trees.estimators_:
        thresholds = estimator.tree_.threshold
        thresholds[:] = thresholds.astype(np.float16)
    inputs = np.random.default_rng(2).normal(0, 4, (500, 6)).astype(np.float32)
    found = Forest(trees)(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, trees.predict_proba(inputs)[:, 1], atol=3e-4)


def test_the_mean_over_the_trees_is_the_forest_and_each_tree_is_scikit_learn_s():
    trees, (inputs, _) = grown(), examples(50, seed=3)
    forest, given = Forest(trees), torch.from_numpy(inputs)
    by_tree = forest.by_tree(given)
    assert by_tree.shape == (50, 25)
    torch.testing.assert_close(by_tree.mean(dim=1), forest(given))
    for number, estimator in enumerate(trees.estimators_):
        np.testing.assert_allclose(by_tree[:, number], estimator.predict_proba(inputs)[:, 1], atol=3e-4)


def test_a_tree_that_is_one_leaf_gives_its_share_everywhere():
    inputs, labels = examples()
    trees = RandomForestClassifier(3, max_depth=1, min_samples_leaf=500, bootstrap=False).fit(inputs, labels)
    assert [estimator.tree_.node_count for estimator in trees.estimators_] == [1, 1, 1]
    found = Forest(trees)(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, labels.mean(), atol=3e-4)


def test_trees_of_unlike_depth_stay_in_the_leaf_they_reached():
    inputs, labels = examples()
    trees = grown()
    trees.estimators_ += (
        RandomForestClassifier(1, min_samples_leaf=500, bootstrap=False).fit(inputs, labels).estimators_
    )
    depths = {estimator.tree_.max_depth for estimator in trees.estimators_}
    assert 0 in depths and max(depths) > 5
    by_tree = Forest(trees).by_tree(torch.from_numpy(inputs))
    np.testing.assert_allclose(by_tree[:, -1], labels.mean(), atol=3e-4)


def test_the_graph_is_smaller_when_it_is_narrow_and_gives_the_same():
    inputs, labels = examples(3000)
    trees = ExtraTreesClassifier(40, min_samples_leaf=2, random_state=0).fit(inputs, labels)
    forest = Forest(trees).eval()
    assert len(forest.threshold) > 10_000
    graph = export_graph(forest, {"inputs": inputs[:100]}, ("share",))
    small = narrow(graph)
    assert len(small) < 0.5 * len(graph)
    asked = np.random.default_rng(5).normal(0, 4, (300, 6)).astype(np.float32)
    wide, found = (
        onnxruntime.InferenceSession(g, providers=["CPUExecutionProvider"]).run(["share"], {"inputs": asked})[0]
        for g in (graph, small)
    )
    np.testing.assert_array_equal(found, wide)
    np.testing.assert_allclose(found, forest(torch.from_numpy(asked)).numpy(), atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"max_depth": 1, "min_samples_leaf": 290}, {"min_samples_leaf": 2}])
def test_the_operator_for_trees_gives_what_the_steps_give(settings):
    """A tree of the second kind is one leaf now and then."""
    inputs, labels = examples()
    trees = ExtraTreesClassifier(25, random_state=0, **settings).fit(inputs, labels)
    forest = Forest(trees).eval()
    steps = export_graph(forest, {"inputs": inputs}, ("probability",))
    graph = with_tree_operator(steps, forest)
    check_parity(graph, forest, {"inputs": inputs}, ("probability",))
    assert len(graph) < len(steps)
