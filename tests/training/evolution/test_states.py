import numpy as np
import pytest

from annotator.preprocess.evolution import EVOLUTION
from annotator.transient import LightCurve
from training.data.classified_curves import ClassifiedCurve
from training.evolution.states import measured_states, together, training_states


def classified(number, kind="SN Ia", n=30):
    rng = np.random.default_rng(number)
    time = 61000 + np.sort(rng.uniform(0, 90, n))
    flux = 2e4 * np.exp(-(((time - 61030) / 30) ** 2)) + rng.normal(0, 100, n)
    curve = LightCurve(time, rng.choice(list("gri"), n), flux, np.full(n, 100.0), np.abs(flux) < 500)
    return ClassifiedCurve(f"{number}", kind, "made up", curve)


CURVES = [classified(number, "TDE" if number % 5 == 0 else "SN Ia") for number in range(40)]


def test_states_know_who_they_are_and_those_of_too_few_points_are_left_out():
    states = measured_states([*CURVES, classified(99, n=1)], 0)
    assert 30 < len(states) <= 40 and "99" not in states.object_ids
    assert states.values.shape == (len(states), len(EVOLUTION)) and states.values.dtype == np.float32
    assert (states.is_exotic == (states.kinds == "TDE")).all()
    assert (states.n_points >= 2).all()


def test_what_is_measured_on_is_the_same_each_time_and_training_draws_other_states():
    first, again, other = (measured_states(CURVES, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.values, again.values)
    assert len(first) != len(other) or not np.array_equal(first.values, other.values, equal_nan=True)


def test_training_sees_fewer_bands_and_shorter_histories():
    many, one = training_states(CURVES, 10, 0), together([measured_states(CURVES, seed) for seed in range(10)])
    assert many.n_bands.mean() < one.n_bands.mean() - 0.1
    assert many.n_points.mean() < one.n_points.mean() - 1
    assert len(np.unique(many.object_ids)) == pytest.approx(40, abs=3)
