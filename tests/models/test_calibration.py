import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.models.calibration import (
    MAX_EXTRAPOLATION,
    Brightness,
    Calibration,
    Level,
    Sampling,
    Tail,
    combined_score,
    round_up,
)

values = st.floats(0, 1e6, allow_nan=False)
tables = st.lists(values, min_size=1, max_size=50).map(lambda found: tuple(sorted(found)))
tails = st.builds(Tail, threshold=st.just(0.0), scale=st.floats(0.01, 1e3), shape=st.floats(0.0, 0.5))
TAIL = Tail(threshold=0.0, scale=1.0, shape=0.1)


def level(table, tail=TAIL, up_to_detections=10**9, up_to_age_days=1e9, name="any") -> Level:
    return Level(name, up_to_detections, up_to_age_days, table, tail)


@given(tables, values)
def test_among_the_normals_the_tail_probability_is_the_conformal_count(table, value):
    at_least = sum(v >= value for v in table)
    if at_least:
        assert level(table).tail_probability(value) == (1 + at_least) / (len(table) + 1)


@given(tables, tails, values)
def test_a_score_is_neither_negative_nor_extrapolated_without_bound(table, tail, value):
    most = math.log10(len(table) + 1) + math.log10(MAX_EXTRAPOLATION)
    assert 0 <= Calibration((level(table, tail),)).score(value, Sampling()) <= most + 1e-12


@given(tables, tails, values, values)
def test_a_larger_value_never_scores_lower(table, tail, first, second):
    calibration = Calibration((level(table, tail),))
    low, high = sorted((first, second))
    assert calibration.score(low, Sampling()) <= calibration.score(high, Sampling()) + 1e-12


@given(tables)
def test_a_value_equal_to_tabulated_ones_is_counted_with_them(table):
    assert level(table).tail_probability(table[-1]) >= 2 / (len(table) + 1)


@given(st.lists(values, min_size=2, max_size=60), st.floats(0.01, 1))
def test_no_more_than_the_promised_share_of_exchangeable_values_is_called_rare_above_the_floor(found, share):
    # Leave each out in turn: the average over who is left out is the probability over exchangeable draws.
    p_values = [
        level(tuple(sorted(found[:i] + found[i + 1 :]))).tail_probability(value) for i, value in enumerate(found)
    ]
    share = max(share, 1 / len(found))  # below the floor the tail speaks, which is fitted, not proved
    assert sum(p <= share for p in p_values) / len(found) <= share + 1e-12


def test_beyond_the_largest_normal_the_fitted_tail_goes_on_from_the_rank_s_floor():
    table = tuple(i / 100 for i in range(999))
    tail = Tail(threshold=9.0, scale=0.5, shape=0.0)
    calibration = Calibration((level(table, tail),))
    assert calibration.score(math.nextafter(9.98, 10), Sampling()) == pytest.approx(3, abs=1e-9)
    # An exponential tail of scale 0.5 falls by e in half a unit.
    assert calibration.score(9.98 + 0.5, Sampling()) == pytest.approx(3 + math.log10(math.e))
    assert calibration.score(1e9, Sampling()) == pytest.approx(3 + math.log10(MAX_EXTRAPOLATION))
    assert level(table, tail).extrapolated_above == pytest.approx(3)


def test_the_tail_is_the_generalised_pareto_distribution():
    from scipy.stats import genpareto

    for shape in (0.0, 0.2, 0.5):
        for value in (1.0, 1.5, 4.0, 40.0):
            expected = genpareto.sf(value, shape, loc=1.0, scale=2.0)
            assert Tail(1.0, 2.0, shape).survival(value) == pytest.approx(expected, rel=1e-9)


YOUNG = level((10.0,), name="young", up_to_detections=5, up_to_age_days=-1)
GROWN = level((20.0,), name="grown", up_to_detections=15, up_to_age_days=15.0)
OLD = level((30.0,), name="old")


@pytest.mark.parametrize(
    ("sampling", "name"),
    [
        (Sampling(1, 0.0), "young"),
        (Sampling(5, 200.0), "young"),
        (Sampling(6, 200.0), "grown"),
        (Sampling(40, 15.0), "grown"),
        (Sampling(16, 15.1), "old"),
        (Sampling(None, 3.0), "grown"),
        (Sampling(None, 30.0), "old"),
        (Sampling(3, None), "young"),
        (Sampling(), "old"),
    ],
)
def test_an_object_is_compared_with_normals_of_like_sampling(sampling, name):
    assert Calibration((YOUNG, GROWN, OLD)).level_of(sampling).name == name


def test_what_is_odd_for_one_level_is_ordinary_for_another():
    calibration = Calibration((YOUNG, GROWN, OLD))
    assert calibration.score(25.0, Sampling(3, 1.0)) > calibration.score(25.0, Sampling(50, 60.0)) == pytest.approx(0.0)
    assert str(calibration.score(-1.0, Sampling())) == "0.0"


@given(st.floats(0, 1e6))
def test_rounding_up_never_lowers_and_moves_by_less_than_the_last_digit(error):
    rounded = round_up(error)
    assert rounded >= error
    assert rounded - error <= 1.000001e-5 * error
    assert json.loads(json.dumps(rounded)) == rounded


@given(st.lists(st.floats(0, 4), max_size=5))
def test_combined_score_is_bonferroni_s_bound(scores):
    expected = -math.log10(min(1.0, len(scores) * min(10**-s for s in scores))) if scores else 0.0
    assert combined_score(scores) == pytest.approx(expected, abs=1e-9)
    assert not str(combined_score(scores)).startswith("-")


def test_nothing_present_scores_zero_and_one_modality_keeps_its_score():
    assert combined_score([]) == 0.0
    assert combined_score([2.5]) == 2.5


BRIGHTNESS = Brightness((16.0, 18.0, 20.0), (0.02, 0.05, 0.15), (2.0, 1.0, 0.5, -0.5, -1.0), (1.0, 0.8, 0.6, 0.1, 0.0))


@given(values, values, st.floats(10, 26), st.floats(0.005, 1.0))
def test_of_like_brightness_and_depth_a_larger_value_never_scores_lower(first, second, peak_mag, error_mag):
    calibration = Calibration((level((1.0, 2.0, 3.0)),), BRIGHTNESS)
    low, high = sorted((first, second))
    sampling = Sampling(peak_mag=peak_mag, error_mag=error_mag)
    assert calibration.score(low, sampling) <= calibration.score(high, sampling) + 1e-12


@pytest.mark.parametrize(
    ("peak_mag", "error_mag", "typical", "spread"),
    [
        (16.0, 0.02, 2.0, 1.0),
        (14.0, 0.001, 2.0, 1.0),  # beyond the knots nothing is extrapolated
        (17.0, 0.02, 1.5, 0.9),
        (18.0, 0.05, 0.5, 0.9),
        (25.0, 1.0, -0.5, 0.6),
        (16.0, math.sqrt(0.05 * 0.15), 2.0 - 0.75, 1.05),  # depth between knots by its logarithm
        (None, None, 0.5, 0.9),  # unknown: as the middle ones
    ],
)
def test_what_is_typical_is_interpolated_between_knots_of_brightness_and_of_depth(peak_mag, error_mag, typical, spread):
    found = BRIGHTNESS.relative(7.0, Sampling(peak_mag=peak_mag, error_mag=error_mag))
    assert math.log(found) == pytest.approx((math.log(7.0) - typical) / spread)


def test_without_brightness_a_value_is_ranked_as_it_is():
    assert Calibration((level((1.0, 2.0)),)).relative(1.5, Sampling(peak_mag=15.0, error_mag=0.02)) == 1.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"typical": (1.0,)}, "typical must be one number a knot"),
        ({"spread": (1.0,) * 6}, "spread must be one number a knot"),
        ({"peak_knots_mag": (18.0, 16.0, 20.0)}, "peak_knots_mag must be ascending"),
    ],
)
def test_numbers_that_do_not_fit_the_knots_are_refused(changes, message):
    names = ("peak_knots_mag", "error_knots_mag", "typical", "spread")
    with pytest.raises(ValueError, match=message):
        Brightness(**{name: getattr(BRIGHTNESS, name) for name in names} | changes)
