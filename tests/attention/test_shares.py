"""Views that go missing, and flags, are compared with what is usual."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from annotator.attention.shares import FLAGGED, PASSES, TOLD_S, in_words, shares, trend, upper_tail
from annotator.ledger.pass_log import PassRecord

NOW = 1.79e9


def record(scored=200, missing=10, flags=4, ended_at=NOW, **others) -> PassRecord:
    counts = {"scored": scored, "with_lightcurve": scored - missing, "class_anomaly": flags, "class_watch": 0}
    return PassRecord(ended_at, "done", counts | others)


USUAL = [record(ended_at=NOW - 600 * n) for n in range(1, PASSES + 1)]


def of(name: str, passes: list[PassRecord]):
    return next(item for item in shares(passes) if item.name == name)


@given(st.integers(1, 3000), st.data(), st.floats(1e-6, 1 - 1e-6))
def test_the_tail_is_that_of_a_binomial(n, data, share):
    count = data.draw(st.integers(0, n))
    assert upper_tail(count, n, share) == pytest.approx(stats.binom.sf(count - 1, n, share), rel=1e-6, abs=1e-14)


def test_a_view_that_is_missing_for_more_than_twice_the_usual_share_needs_a_person():
    assert in_words(shares([record(missing=15), *USUAL])) == []
    (words,) = in_words(shares([record(missing=60), *USUAL]))
    assert words.startswith("light curve missing for 30.0% of 200 objects, usually 5.0%")


def test_a_view_that_all_objects_lack_is_told_although_it_was_never_missing():
    passes = [record(missing=0, ended_at=NOW - 600 * n) for n in range(1, PASSES + 1)]
    assert of("lightcurve", [record(missing=200), *passes]).is_unusual
    assert not of("lightcurve", [record(missing=1), *passes]).is_unusual


def test_twice_as_many_by_chance_is_no_news():
    usual = [record(scored=60, missing=3, ended_at=NOW - 600 * n) for n in range(1, PASSES + 1)]
    assert not of("lightcurve", [record(scored=60, missing=7), *usual]).is_unusual


def test_flags_are_compared_in_the_same_way():
    (words,) = in_words(shares([record(flags=40), *USUAL]))
    assert words.startswith("flagged are 20.0% of 200 objects, usually 2.0%")


def test_a_pass_of_few_objects_is_neither_compared_nor_usual():
    few = [record(scored=20, missing=20, ended_at=NOW - n) for n in range(30)]
    assert shares(few) == [] and not of("lightcurve", [*few, *USUAL, record(ended_at=0.0)]).is_unusual
    assert of("lightcurve", [*few, record(missing=60), *few, *USUAL]).is_unusual


def test_without_enough_passes_before_nothing_is_usual():
    found = shares([record(missing=200), *USUAL[1:]])
    assert all(item.usual is None and not item.is_unusual for item in found)


def test_what_nobody_mends_is_told_for_a_week_and_is_usual_then():
    """An outage of two hours is a dozen passes: it must not become what is usual."""
    bad = [record(missing=60, unusual=1, ended_at=NOW - 600 * n) for n in range(1, 30)]
    assert of("lightcurve", [record(missing=60), *bad, *USUAL]).is_unusual
    old = [record(missing=60, unusual=1, ended_at=NOW - TOLD_S - 600 * n) for n in range(1, 30)]
    assert not of("lightcurve", [record(missing=60), *old]).is_unusual


def test_no_more_passes_are_read_than_needed():
    read = []

    def newest_first():
        for number in range(10_000):
            read.append(number)
            yield record(ended_at=NOW - 600 * number)

    shares(newest_first())
    assert len(read) <= PASSES + 2


def test_the_trend_says_what_is_there_and_what_usually_is():
    (line,) = trend(shares([record(missing=60), *USUAL]))
    assert line == "light curve 70.0% (usually 95.0%), flagged 2.0% (usually 2.0%) of 200 objects"
    assert trend([]) == []


@given(st.integers(50, 2000), st.floats(0, 1), st.floats(0, 1))
def test_a_share_is_unusual_only_beyond_twice_the_median(scored, missing, flagged):
    passes = [record(scored, round(missing * scored), round(flagged * scored)), *USUAL]
    for item, usual in ((of("lightcurve", passes), 0.05), (of(FLAGGED, passes), 0.02)):
        assert not item.is_unusual or item.share > 2 * usual
        assert math.isclose(item.usual, usual)
