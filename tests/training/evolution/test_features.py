import numpy as np
import pytest
import torch

from annotator.preprocess.evolution import EVOLUTION_NAMES
from tests.training.evolution.test_exotic import drawn
from training.evolution.features import CLIP, DIRECTED, EXPECTED_LARGE, fit_evolution, numbers_of
from training.evolution.train_features import LEVELS, samplings_of
from training.metrics.calibrate import level_places
from training.metrics.ranking import auc


@pytest.fixture(scope="module")
def model():
    states = drawn(1500, names=EVOLUTION_NAMES)
    return fit_evolution(states.values[~states.is_exotic], seed=0)


def test_the_prior_goes_in_the_stated_directions_and_what_is_missing_is_the_middle(model):
    middle = np.full((1, len(EVOLUTION_NAMES)), np.nan, np.float32)
    (neither,) = numbers_of(model, middle)["prior"]
    assert neither == pytest.approx(len(DIRECTED) / 2)
    for name in DIRECTED:
        low, high = middle.copy(), middle.copy()
        low[0, EVOLUTION_NAMES.index(name)], high[0, EVOLUTION_NAMES.index(name)] = -5, 5
        (of_low,), (of_high,) = numbers_of(model, low)["prior"], numbers_of(model, high)["prior"]
        assert of_high - of_low == pytest.approx(1 if name in EXPECTED_LARGE else -1)


def test_what_is_far_from_normals_is_farther_and_no_value_is_too_far_to_say(model):
    near, far = np.zeros((1, len(EVOLUTION_NAMES)), np.float32), np.full((1, len(EVOLUTION_NAMES)), 1e6, np.float32)
    found = numbers_of(model, np.concatenate([near, far]))
    assert found["oddity"][1] > found["oddity"][0] + CLIP
    assert found["error"][1] > found["error"][0] and np.isfinite(found["error"]).all()


def test_no_label_is_used_and_known_exotics_stand_out_in_the_stated_directions(model):
    asked = drawn(1500, 7, names=EVOLUTION_NAMES)
    assert auc(numbers_of(model, asked.values)["prior"], asked.is_exotic) > 0.75


def test_a_missing_quantity_has_no_residual(model):
    states = drawn(50, names=EVOLUTION_NAMES)
    with torch.no_grad():
        _, residual, latent, _, _ = model(torch.from_numpy(states.values))
    assert (residual.numpy()[np.isnan(states.values)] == 0).all() and latent.shape == (50, 4)


def test_levels_are_by_bands_first_and_then_by_points():
    states = drawn(200, names=EVOLUTION_NAMES)
    places = level_places(samplings_of(states), LEVELS)
    np.testing.assert_array_equal(places == 0, states.n_bands <= 1)
    several = states.n_bands > 1
    np.testing.assert_array_equal((places == 1)[several], (states.n_points <= 3)[several])
    np.testing.assert_array_equal((places == 3)[several], (states.n_points > 6)[several])
