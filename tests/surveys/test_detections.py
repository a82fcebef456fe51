"""Each exposure once, directions on the sphere, and whose a detection is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.surveys.detections import Measurement, each_once, mean_direction, of_solar_system

EXPOSURE_DAYS = 10 / 86400
measurements = st.lists(
    st.builds(
        Measurement,
        band=st.sampled_from("gr"),
        time_days=st.integers(0, 12).map(lambda step: step * 4 / 86400),
        is_limit=st.booleans(),
        error=st.sampled_from([0.05, 0.1, math.inf]),
        brightness=st.sampled_from([18.0, 19.0]),
        sign=st.sampled_from([-1, 0, 1]),
        identity=st.none() | st.integers(1, 4),
    ),
    max_size=8,
)


@given(measurements, st.randoms())
def test_the_order_of_measurements_changes_nothing_of_what_is_one(items, random):
    shuffled = random.sample(items, len(items))
    kept = [items[group[0]] for group in each_once(items, EXPOSURE_DAYS)]
    assert sorted(item.order for item in kept) == sorted(
        shuffled[group[0]].order for group in each_once(shuffled, EXPOSURE_DAYS)
    )


@given(measurements)
def test_every_measurement_is_in_one_group_and_a_copy_makes_no_new_one(items):
    groups = each_once(items, EXPOSURE_DAYS)
    assert sorted(place for group in groups for place in group) == list(range(len(items)))
    again = each_once([*items, *items], EXPOSURE_DAYS)
    assert [(items * 2)[group[0]].order for group in again] == [items[group[0]].order for group in groups]
    for group in groups:
        if items[group[0]].is_limit:
            assert all(items[place].is_limit for place in group)


def test_one_identity_is_one_whatever_a_digit_says():
    first = Measurement("r", 0.0, False, 0.08, 18.3, 1, 3000000000000000001)
    later = Measurement("r", 0.01, False, 0.08, 18.300001, 1, 3000000000000000001)
    assert len(each_once([first, later], EXPOSURE_DAYS)) == 1


@given(st.floats(0, 360, exclude_max=True), st.floats(-89.9, 89.9), st.lists(st.floats(-1e-4, 1e-4), min_size=1))
def test_the_mean_of_places_close_together_is_close_to_them_wherever_on_the_sky(ra, dec, offsets):
    places = [((ra + offset) % 360.0, dec + offset / 10) for offset in offsets]
    mean_ra, mean_dec = mean_direction(places)
    assert 0 <= mean_ra < 360
    assert abs((mean_ra - ra + 180) % 360 - 180) <= 1.001e-4 and abs(mean_dec - dec) < 1.1e-5


def test_on_the_meridian_of_0_h_the_mean_is_there_and_not_on_the_other_side():
    ra, dec = mean_direction([(359.99997, 20.2), (3e-5, 20.2)])
    assert min(ra, 360 - ra) < 1e-9 and dec == pytest.approx(20.2)
    assert mean_direction([]) is None


def whose(separation, difference=math.nan, ra=(150.0,), dec=(20.0,)):
    n = len(ra)
    pad = [math.nan] * (n - 1)
    return of_solar_system(
        np.array([separation, *pad]), np.array([difference, *pad]), np.array(ra), np.array(dec)
    ).tolist()[0]


@pytest.mark.parametrize(
    ("separation", "difference", "is_theirs"),
    [
        *((0.4, 0.2, True), (4.9, -1.5, True), (5.1, 0.0, False), (0.4, 1.6, False), (0.4, -1.6, False)),
        *((0.0, math.nan, True), (1.9, math.nan, True), (2.1, math.nan, False), (math.nan, 0.0, False)),
    ],
)
def test_a_detection_where_a_known_object_was_and_as_bright_as_that_is_of_that_object(
    separation, difference, is_theirs
):
    assert whose(separation, difference) is is_theirs


def test_where_nobody_predicts_a_magnitude_another_detection_at_the_same_place_speaks_for_the_source():
    assert whose(1.0, ra=(150.0, 150.0), dec=(20.0, 20.0 + 0.6 / 3600))
    assert not whose(1.0, ra=(150.0, 150.0), dec=(20.0, 20.0 + 0.4 / 3600))
    assert not whose(1.0, ra=(359.99999, 0.00001), dec=(0.0, 0.0))
    assert not whose(1.0, ra=(150.0, math.nan), dec=(20.0, math.nan))  # who knows where that was


def test_a_source_with_hundreds_of_detections_near_nameless_objects_keeps_them_all_in_no_time():
    n = 50_000
    at = np.linspace(10.0, 20.0, n)
    assert not of_solar_system(np.zeros(n), np.full(n, np.nan), at, at).any()
