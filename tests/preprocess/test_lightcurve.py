import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.bands import BANDS
from annotator.errors import MissingModalityError
from annotator.models import ModalityScore, load_models
from annotator.models.inputs import PREPARATIONS
from annotator.preprocess.lightcurve import (
    BRIGHTNESS_RANGE_MAG,
    GRID_DAYS,
    MIN_DETECTIONS,
    grid,
    lightcurve_tensor,
    peak,
    usable_detections,
)
from annotator.transient import LightCurve, Transient

PEAK_MJD = 60000.3
MEASURED = ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced")


def light_curve(time, band, magnitude, error=0.1, positive=True):
    n = len(time)
    return LightCurve.of_magnitudes(
        time_mjd=np.array(time, dtype=float),
        band=np.array([f"z{name[-1]}" for name in band], dtype="<U2"),
        magnitude=np.array(magnitude, dtype=float),
        magnitude_error=np.broadcast_to(np.array(error, dtype=float), n).copy(),
        sign=np.where(np.broadcast_to(positive, n), 1, -1),
    )


def supernova(n=40, seed=0, first=-20.0, last=90.0):
    """A smooth rise and fall with noise, in both bands at random times."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.uniform(first, last, n))
    band = rng.choice(["g", "r"], n)
    evolution = np.where(days < 0, 0.008 * days**2, 0.02 * days)
    magnitude = 18 + evolution + 0.3 * (band == "r") + rng.normal(0, 0.05, n)
    return light_curve(PEAK_MJD + days, band, magnitude, rng.uniform(0.03, 0.2, n))


def reordered(curve, order):
    return LightCurve(*(getattr(curve, name)[order] for name in MEASURED))


def written_out(curve):
    """The representation as its docstring has it, one grid point and one detection at a time."""
    peak_time, peak_magnitude = peak(usable_detections(curve))
    result = np.zeros((3, 2, len(GRID_DAYS)))
    for b, band in enumerate(("zg", "zr")):
        for k, day in enumerate(GRID_DAYS):
            bandwidth = 0.7 if abs(day) <= 30 else 2.0
            sum_w = sum_wm = sum_w2s2 = kernels = 0.0
            nearest = math.inf
            for i in range(len(curve.time_mjd)):
                away = abs(day - (curve.time_mjd[i] - peak_time)) / bandwidth
                if curve.band[i] != band or not curve.is_positive[i] or away > 4:
                    continue
                sigma = max(curve.magnitude_error[i], 0.02)
                kernel = math.exp(-0.5 * away**2)
                w = kernel / sigma**2
                sum_w, sum_wm = sum_w + w, sum_wm + w * (peak_magnitude - curve.magnitude[i])
                sum_w2s2, kernels, nearest = sum_w2s2 + (w * sigma) ** 2, kernels + kernel, min(nearest, away)
            if kernels >= 0.3 and nearest <= 2:
                value = min(max(sum_wm / sum_w, BRIGHTNESS_RANGE_MAG[0]), BRIGHTNESS_RANGE_MAG[1])
                result[:, b, k] = value, math.sqrt(sum_w2s2) / sum_w, 1.0
    return result


@pytest.mark.parametrize("seed", range(5))
def test_the_representation_is_that_of_a_loop_written_out(seed):
    curve = supernova(seed=seed, last=250.0)
    np.testing.assert_allclose(lightcurve_tensor(curve), written_out(curve), rtol=1e-5, atol=1e-5)


def test_a_batch_gives_each_curve_what_it_gets_alone():
    curves = [usable_detections(supernova(n, seed=n)) for n in (3, 17, 200)]
    together = grid(curves)
    for number, curve in enumerate(curves):
        np.testing.assert_array_equal(together[number], grid([curve])[0])


@given(st.integers(min_value=-20000, max_value=20000))
def test_shifting_all_times_changes_nothing(days):
    curve = supernova()
    moved = light_curve(curve.time_mjd + days, curve.band, curve.magnitude, curve.magnitude_error, curve.is_positive)
    np.testing.assert_allclose(lightcurve_tensor(moved), lightcurve_tensor(curve), atol=1e-6)


@given(st.permutations(range(40)))
def test_the_order_of_the_detections_changes_nothing(order):
    curve = supernova()
    np.testing.assert_array_equal(lightcurve_tensor(reordered(curve, list(order))), lightcurve_tensor(curve))


@given(
    st.integers(min_value=0, max_value=1000),
    st.floats(min_value=150, max_value=3000),
    st.booleans(),
    st.floats(min_value=-3, max_value=2.5),
    st.sampled_from("gr"),
)
def test_a_detection_far_away_changes_nothing_near_peak(seed, away, is_before, fainter, band):
    curve = supernova(seed=seed)
    when = PEAK_MJD + (-away if is_before else away)
    more = light_curve(
        [*curve.time_mjd, when],
        [*curve.band, band],
        [*curve.magnitude, 18.5 + fainter],
        [*curve.magnitude_error, 0.1],
    )
    near = np.abs(GRID_DAYS) <= 40
    np.testing.assert_array_equal(lightcurve_tensor(more)[..., near], lightcurve_tensor(curve)[..., near])


def test_only_what_a_detection_is_near_to_is_supported():
    tensor = lightcurve_tensor(light_curve([PEAK_MJD, PEAK_MJD + 20, PEAK_MJD + 100], "rrr", [18, 18.5, 20]))
    supported = GRID_DAYS[tensor[2, 1] == 1]
    assert supported.tolist() == [0, 20, 98, 100, 102]
    assert not tensor[:, 0].any()
    assert not tensor[:2, 1][:, tensor[2, 1] == 0].any()


def test_every_detection_on_the_grid_is_supported_wherever_it_falls():
    for day in np.linspace(-49.9, 299.9, 401):
        curve = light_curve(PEAK_MJD + np.array([0.0, 1.0, 2.0, day]), "gggr", [17, 17, 17, 19])
        supported = GRID_DAYS[lightcurve_tensor(curve)[2, 1] == 1]
        assert supported.size and np.abs(supported - day).min() <= 2.0


def test_brightness_is_relative_to_one_peak_so_that_distance_goes_and_colour_stays():
    curve = supernova()
    farther = light_curve(curve.time_mjd, curve.band, curve.magnitude + 1.7, curve.magnitude_error)
    np.testing.assert_allclose(lightcurve_tensor(farther), lightcurve_tensor(curve), atol=1e-6)
    redder = light_curve(
        curve.time_mjd, curve.band, curve.magnitude + 0.5 * (curve.band == "zr"), curve.magnitude_error
    )
    change = lightcurve_tensor(redder)[0] - lightcurve_tensor(curve)[0]
    is_supported = lightcurve_tensor(curve)[2] == 1
    np.testing.assert_allclose(change[1][is_supported[1]], -0.5, atol=1e-5)
    np.testing.assert_allclose(change[0][is_supported[0]], 0.0, atol=1e-5)


def test_negative_differences_and_other_bands_count_for_nothing():
    curve = supernova()
    extra = light_curve(
        [*curve.time_mjd, PEAK_MJD + 50, PEAK_MJD + 51],
        [*curve.band, "r", "i"],
        [*curve.magnitude, 14.0, 14.0],
        [*curve.magnitude_error, 0.05, 0.05],
        [*curve.is_positive, False, True],
    )
    np.testing.assert_array_equal(lightcurve_tensor(extra), lightcurve_tensor(curve))


@given(st.integers(min_value=0, max_value=49))
def test_one_bright_outlier_does_not_move_the_peak_or_its_brightness(place):
    days = np.arange(-20.0, 80.0, 2.0)
    magnitude = 18 + 0.01 * np.minimum(days**2, 60 + 2 * np.abs(days))
    expected_days, expected = peak(usable_detections(light_curve(PEAK_MJD + days, "r" * 50, magnitude)))
    magnitude[place] -= 4.0
    found_days, found = peak(usable_detections(light_curve(PEAK_MJD + days, "r" * 50, magnitude)))
    assert found_days == pytest.approx(expected_days, abs=2.01)
    assert found == pytest.approx(expected, abs=0.15)


def test_a_lonely_bright_detection_is_no_peak():
    curve = light_curve(PEAK_MJD + np.array([0, 3, 6, 9, 200.0]), "rrrrr", [19, 18.5, 18.8, 19, 15])
    assert peak(usable_detections(curve))[0] < PEAK_MJD + 10


def test_a_young_object_before_its_peak_is_laid_out():
    tensor = lightcurve_tensor(light_curve(PEAK_MJD + np.array([0.0, 3.0, 6.0]), "grg", [20, 19.5, 19]))
    assert tensor[2].sum() >= 3


def test_an_unknown_error_counts_as_a_detection_at_five_sigma():
    curve = light_curve([PEAK_MJD, PEAK_MJD + 10], "rr", [18, 18.5], np.nan)
    tensor = lightcurve_tensor(curve)
    assert tensor[1][tensor[2] == 1] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (None, "no light curve"),
        (light_curve([], "", []), "0 of 0"),
        (light_curve([PEAK_MJD], "r", [18]), "1 of 1"),
        (light_curve([PEAK_MJD, PEAK_MJD + 1], "ri", [18, 18]), "1 of 2"),
        (light_curve([PEAK_MJD, PEAK_MJD + 1], "ri", [18, 18], positive=False), "1 of 2"),
        (light_curve([PEAK_MJD, PEAK_MJD + 1000], "rr", [18, 19]), "of the peak"),
    ],
)
def test_below_the_floor_the_modality_is_missing_with_its_reason(curve, reason):
    with pytest.raises(MissingModalityError, match=reason):
        lightcurve_tensor(curve)


BROKEN = st.one_of(
    st.floats(),
    st.floats(min_value=-1e6, max_value=1e6),
    st.sampled_from([np.nan, np.inf, -np.inf, -999.0, 0.0, 1e300, -1e300, 1e-300]),
)
TIMES = st.one_of(st.floats(min_value=58000, max_value=61000), st.floats(min_value=60000, max_value=60100), BROKEN)


@given(st.lists(st.tuples(TIMES, st.sampled_from([*BANDS, ""]), BROKEN, BROKEN, st.booleans()), max_size=40))
def test_a_broken_light_curve_is_missing_or_gives_finite_bounded_numbers_and_no_huge_score(rows):
    columns = zip(*rows, strict=True) if rows else [[]] * 5
    curve = LightCurve(*map(np.array, columns, (float, str, float, float, bool)))
    try:
        tensor = lightcurve_tensor(curve)
    except MissingModalityError:
        return
    assert np.isfinite(tensor).all() and np.abs(tensor[0]).max() <= 6 and tensor[1].max() <= 1
    assert set(np.unique(tensor[2])) <= {0.0, 1.0} and tensor[2].any()
    assert usable_detections(curve).time_days.size >= MIN_DETECTIONS
    found = SHIPPED.models["lightcurve"].score(Transient("x", "ztf", light_curve=curve))
    assert isinstance(found, ModalityScore)
    assert 0 <= found.score <= 4 and 0 < found.error < 1e5


SHIPPED = load_models(None, "ztf")


def test_the_shipped_model_finds_a_wild_curve_odd_but_is_not_sure_of_its_first_detections():
    model = SHIPPED.models["lightcurve"]
    dates = supernova(60)
    wild = light_curve(dates.time_mjd, dates.band, dates.magnitude + np.sin(np.arange(60) * 1.7), dates.magnitude_error)
    parts = [reordered(wild, np.arange(n)) for n in (20, 3)]
    many, few = (model.score(Transient("x", "ztf", light_curve=part)).score for part in parts)
    assert many > 2 > few >= 0


def test_the_model_is_given_the_tensor_by_the_name_of_its_input():
    tensors = PREPARATIONS["lightcurve"](Transient("x", "ztf", light_curve=supernova())).tensors
    assert [t.name for t in SHIPPED.models["lightcurve"].manifest.inputs] == list(tensors)
    assert tensors["lightcurve"].shape == (1, 3, 2, 176) and tensors["lightcurve"].dtype == np.float32
