import datetime

from hypothesis import given
from hypothesis import strategies as st

from annotator.nights import day_of, mjd_of, night_of, start_of


def unix(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def test_a_night_is_from_noon_to_noon_and_named_by_the_mjd_it_begins_on():
    # MJD 61000 is 2025-11-21 by the definition of MJD: 40587 days before 1970-01-01, and 20413 days later.
    assert night_of(unix("2025-11-21T12:00:00Z")) == 61000
    assert night_of(unix("2025-11-22T11:59:59Z")) == 61000
    assert night_of(unix("2025-11-22T12:00:00Z")) == 61001
    assert night_of(unix("2025-11-21T11:59:59Z")) == 60999


@given(st.floats(0, 4e9))
def test_every_moment_is_in_the_night_that_has_begun_and_not_ended(unix_s):
    night = night_of(unix_s)
    assert start_of(night) <= unix_s < start_of(night + 1)


def test_an_epoch_is_on_the_day_that_its_mjd_counts_to():
    # MJD 51544.5 is J2000.0 by definition, noon of 2000-01-01.
    assert mjd_of(unix("2000-01-01T12:00:00Z")) == 51544.5
    assert [day_of(mjd) for mjd in (51544.0, 51544.999, 51545.0)] == ["2000-01-01", "2000-01-01", "2000-01-02"]
