"""No date is believed that is later than now, whoever gave it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.annotation import Annotation
from annotator.attention.dates import Dates, clock_in_words
from annotator.clock import Clock
from annotator.decision.changes import as_seen, changed
from annotator.decision.objects import ScoredState
from annotator.nights import DAY_S, mjd_of
from annotator.surveys.values import JD_MINUS_MJD

NOW = 1.79e9
NOW_JD = mjd_of(NOW) + JD_MINUS_MJD


def row(name="ZTF26aaaaaaa", jdmax=NOW_JD - 1, **others) -> dict:
    return {"objectId": name, "jdmin": NOW_JD - 9, "jdmax": jdmax, "gmag": 18.0, "ncand": 4, "ncandgp": 4, **others}


def candidate(days_ago: float, **others) -> dict:
    return {"candid": 1, "jd": NOW_JD - days_ago, "fid": 1, "magpsf": 19.0, "sigmapsf": 0.1, "isdiffpos": "t", **others}


@pytest.fixture
def dates() -> Dates:
    return Dates("ztf", lambda: NOW)


@given(st.floats(-40, 4e4))
def test_a_date_is_believed_up_to_a_day_after_now(days_ahead):
    transient = Dates("ztf", lambda: NOW).parse(row(jdmax=NOW_JD + days_ahead))
    if days_ahead > 1.0001:
        assert transient.last_mjd is None and "age_days" not in transient.extras
        assert transient.dates_ahead == ("jdmax",) or days_ahead > 3e4  # no date of this survey at all
    elif days_ahead < 0.9999:
        assert transient.last_mjd == pytest.approx(mjd_of(NOW) + days_ahead) and transient.dates_ahead == ()


@pytest.mark.parametrize("name", ["jdmin", "jdmax", "jd_g_minus_r"])
def test_every_date_of_a_row_is_looked_at(dates, name):
    assert dates.parse(row() | {name: NOW_JD + 400}).dates_ahead == (name,)


def test_a_detection_dated_ahead_is_left_out_of_all_that_is_made_of_detections(dates):
    usual = [candidate(3.0), candidate(2.0, fid=2)]
    ahead = candidate(-400.0, magpsf=14.0, image_urls={"Science": "a", "Template": "b", "Difference": "c"})
    record = {"objectId": "ZTF26aaaaaaa", "candidates": [ahead, *usual]}
    transient = dates.parse(record)
    assert transient.dates_ahead == ("candidates",)
    without = dates.parse(record | {"candidates": usual})
    assert as_seen(transient, None).digest == as_seen(without, None).digest
    assert transient.n_det == 2 and transient.cutouts is None


@given(st.floats(0.01, 2e4), st.floats(0, 300))
def test_a_state_that_was_believed_once_freezes_no_object(days_ahead, days_ago):
    dates = Dates("ztf", lambda: NOW)
    known = {"ZTF26aaaaaaa": ScoredState("other", "m", mjd_of(NOW) + days_ahead, mjd_of(NOW) + days_ahead)}
    seen = [as_seen(dates.parse(row(jdmax=NOW_JD - days_ago)), None)]
    assert changed(seen, known, "m") == []
    believed = dates.believed(known)
    assert changed(seen, believed, "m") == seen
    assert (believed["ZTF26aaaaaaa"].first_flagged_mjd is None) is (known["ZTF26aaaaaaa"].last_mjd > dates.latest_mjd)


@given(st.floats(-100, 100))
def test_what_lasair_holds_is_the_newest_of_nothing_where_it_is_dated_ahead(days_ahead):
    numbers = {"score": 3.0, "mjd": mjd_of(NOW) + days_ahead, "first_mjd": mjd_of(NOW) - 200}
    held = Annotation("ZTF26aaaaaaa", "aha_ztf", "anomaly", "aha-ztf-1.0", "Odd.", numbers)
    (believed,) = Dates("ztf", lambda: NOW).believed_of_sent({held.object_id: held}).values()
    assert ("mjd" in believed.classdict) is (numbers["mjd"] <= mjd_of(NOW)) and "first_mjd" in believed.classdict


@given(st.integers(0, 12), st.integers(0, 12))
def test_where_more_than_half_is_dated_ahead_the_clock_is_wrong_and_dates_are_taken_as_they_are(n_right, n_ahead):
    dates = Dates("ztf", lambda: NOW)
    rows = [row(f"right{n}") for n in range(n_right)] + [row(f"ahead{n}", NOW_JD + 400) for n in range(n_ahead)]
    is_doubted = dates.put_clock_in_doubt([dates.parse(item) for item in rows])
    assert is_doubted is (n_ahead >= 3 and n_ahead > n_right)
    assert dates.is_clock_behind is is_doubted
    assert (dates.parse(row(jdmax=NOW_JD + 400)).last_mjd is not None) is is_doubted
    assert any("clock is behind" in words for words in dates.in_words()) is is_doubted


def test_a_clock_that_differs_by_more_than_an_hour_is_told_with_its_side():
    clock = Clock(lambda: NOW)
    clock.hear("Lasair", NOW + 3500)
    assert clock_in_words(clock) == []
    clock.hear("Lasair", NOW + 365 * DAY_S)
    (words,) = clock_in_words(clock)
    assert words.startswith("this machine's clock is 8760.0 hours behind Lasair's: set it")
    other = Clock(lambda: NOW)
    other.hear("Lasair", NOW - 2 * 3600)
    assert "2.0 hours ahead of Lasair's" in clock_in_words(other)[0]
