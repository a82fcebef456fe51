import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.calibration import Calibration, combined_score, round_up

errors = st.floats(0, 1e6, allow_nan=False)
tables = st.lists(errors, min_size=1, max_size=50).map(lambda values: tuple(sorted(values)))


@given(tables, errors)
def test_tail_probability_is_the_conformal_count(table, error):
    expected = (1 + sum(e >= error for e in table)) / (len(table) + 1)
    assert Calibration(table).tail_probability(error) == expected


@given(tables, errors)
def test_score_lies_between_zero_and_the_table_s_resolution(table, error):
    assert 0 <= Calibration(table).score(error) <= math.log10(len(table) + 1) + 1e-12


@given(tables, errors, errors)
def test_a_larger_error_never_scores_lower(table, first, second):
    calibration = Calibration(table)
    low, high = sorted((first, second))
    assert calibration.score(low) <= calibration.score(high)


@given(tables)
def test_an_error_equal_to_tabulated_ones_is_counted_with_them(table):
    below = math.nextafter(table[-1], -math.inf)
    calibration = Calibration(table)
    assert calibration.tail_probability(table[-1]) >= 2 / (len(table) + 1)
    assert calibration.tail_probability(below) >= calibration.tail_probability(table[-1])


@given(st.lists(errors, min_size=2, max_size=60), st.floats(0.01, 1))
def test_no_more_than_the_promised_share_of_exchangeable_errors_is_called_rare(values, level):
    # Leave each out in turn: the average over who is left out is the probability over exchangeable draws.
    p_values = [
        Calibration(tuple(sorted(values[:i] + values[i + 1 :]))).tail_probability(value)
        for i, value in enumerate(values)
    ]
    assert sum(p <= level for p in p_values) / len(values) <= level


def test_a_thousand_normals_reach_a_score_of_three():
    calibration = Calibration(tuple(float(i) for i in range(999)))
    assert calibration.score(1e9) == pytest.approx(3)
    assert str(calibration.score(-1.0)) == "0.0"


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
