"""What was tried for young objects: its numbers by hand, and a sky on which limits are what they are."""

import numpy as np
import pytest

from annotator.models.load import load_models
from annotator.transient import LightCurve
from training.exotic.network import INPUTS
from training.young.ablations import RELATIVE, Usual, limit_numbers, of_limits
from training.young.replay import AGES_DAYS


def _curve(limits: list[tuple[float, str, float]]) -> LightCurve:
    times, bands, magnitudes = zip(*limits, strict=True) if limits else ((), (), ())
    return LightCurve.of_magnitudes(
        time_mjd=np.array([58999.0, 59000.0, 59003.0]),
        band=np.array(["g", "g", "r"]),
        magnitude=np.array([18.0, 19.5, 19.0]),
        magnitude_error=np.full(3, 0.1),
        sign=np.array([-1, 1, 1], dtype=np.int8),
        limit_time_mjd=np.array(times, dtype=np.float64),
        limit_band=np.array(bands, dtype="<U1"),
        limit_magnitude=np.array(magnitudes, dtype=np.float64),
    )


def test_limits_before_the_first_positive_detection_say_when_its_light_was_first_seen():
    limits = [(58960.0, "g", 20.5), (58996.0, "g", 20.5), (58998.0, "r", 19.0), (59001.0, "g", 20.6)]
    gap, deep, rise, rate, age = limit_numbers(_curve(limits))
    assert (gap, deep) == (2.0, 4.0)  # the red limit is not as deep as the detection
    assert rise == pytest.approx(1.0)
    assert rate == pytest.approx(0.25)
    assert age == 5.0
    assert np.isnan(limit_numbers(_curve([]))).all()


def test_what_is_usual_at_an_absolute_magnitude_is_taken_off():
    rng = np.random.default_rng(3)
    numbers = np.full((200, len(INPUTS)), np.nan, dtype=np.float32)

    def put(name: str, values: np.ndarray) -> None:
        numbers[:, INPUTS.index(name)] = values

    magnitude, age = rng.uniform(-20, -16, 200), rng.uniform(1, 20, 200)
    put("absolute_magnitude", magnitude)
    put("age", age)
    put("peak_g", magnitude + 36)
    put("now_g", magnitude + 36.5)
    for name in RELATIVE:
        put(name, 0.1 * magnitude + rng.normal(0, 0.01, 200))
    found = Usual.of(numbers).relative(numbers)
    colours = found[:, :3]
    assert np.abs(colours.mean(axis=0)).max() < 1e-3
    assert colours.std(axis=0) == pytest.approx(np.ones(3), abs=1e-3)
    assert found[:, len(RELATIVE)] == pytest.approx(magnitude + 0.5, abs=1e-4)
    assert np.isnan(found[:, len(RELATIVE) + 1]).all()
    numbers[:, INPUTS.index("absolute_magnitude")] = np.nan
    assert np.isnan(Usual.of(np.concatenate([numbers, numbers])).relative(numbers)).all()


def test_heads_are_compared_on_a_simulated_sky_with_and_without_limits():
    tried = of_limits(load_models(None, "ztf"), {"SN Ia": 60, "SN II": 10, "SLSN": 20, "TDE": 20})
    assert [item.gain is None for item in tried] == [True, False]
    for item in tried:
        assert len(item.young_auc) == len(item.recall) == len(AGES_DAYS)
        assert all(0.5 < value <= 1 for value in item.young_auc)
        assert all(0 <= value <= 1 for value in item.recall)
    assert tried[1].gain.low <= tried[1].gain.value <= tried[1].gain.high
