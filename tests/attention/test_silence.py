"""A source that gives nothing is news, and no failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.attention.silence import HOUR_S, WEEK_S, silence, silence_in_words
from annotator.config import FileSource, QuerySource, StreamSource
from annotator.nights import DAY_S

NOW = 1.79e9
STREAM = StreamSource(topic="lasair_1Any", group_id="any")


def passes(until: float, days: float, news, every_s: float = HOUR_S) -> list[tuple[float, int]]:
    """Make passes that end regularly; `news` tells by the moment how much each was given."""
    moments = [until - n * every_s for n in range(int(days * DAY_S / every_s) + 1)]
    return [(moment, news(moment)) for moment in reversed(moments)]


@pytest.mark.parametrize(("hours", "is_unusual"), [(47, False), (49, True)])
def test_two_nights_without_anything_need_a_person(hours, is_unusual):
    found = silence(passes(NOW, 10, lambda moment: int(moment <= NOW - hours * HOUR_S)), 2.0)
    assert found.is_unusual is is_unusual and found.hours == hours and found.weeks < 4
    assert bool(silence_in_words(found, STREAM)) is is_unusual


def test_how_many_nights_is_configured():
    quiet = passes(NOW, 10, lambda moment: int(moment <= NOW - 49 * HOUR_S))
    assert not silence(quiet, 3.0).is_unusual and silence(quiet, 0.5).is_unusual


def test_a_source_that_never_gave_anything_is_silent_since_the_first_pass():
    found = silence(passes(NOW, 3, lambda moment: 0), 2.0)
    assert found.is_unusual and found.hours == 72


def test_once_four_weeks_are_known_what_is_usual_at_that_hour_of_the_week_counts():
    def at_night_only(moment: float) -> int:
        return int(moment % DAY_S < 8 * HOUR_S)

    evening = NOW - NOW % DAY_S + 23 * HOUR_S
    assert not silence(passes(evening, 40, at_night_only), 0.1).is_unusual
    night = evening + 7 * HOUR_S
    ended = evening - DAY_S
    found = silence(passes(night, 40, lambda moment: int(at_night_only(moment) and moment < ended)), 2.0)
    assert found.is_unusual and found.hours < 48 and found.weeks >= 4
    (words,) = silence_in_words(found, STREAM)
    assert "longer than ever at this hour" in words and "Lasair ends active filters after 180 days" in words


def test_a_filter_that_rarely_gives_anything_is_not_unusual_when_it_never_gave_more():
    once_in_five_days = passes(NOW, 60, lambda moment: int(moment % (5 * DAY_S) < HOUR_S))
    assert not silence(once_in_five_days, 2.0).is_unusual


def test_where_no_pass_was_made_nothing_could_be_heard():
    before = passes(NOW - 5 * DAY_S, 3, lambda moment: 1)
    assert silence(before, 2.0).hours == 0.0
    assert silence([], 2.0) is None


def test_a_recorded_file_is_never_silent(tmp_path):
    found = silence(passes(NOW, 9, lambda moment: 0), 2.0)
    assert silence_in_words(found, FileSource(path=tmp_path)) == []
    (words,) = silence_in_words(found, QuerySource("input_ztf"))
    assert "input_ztf" in words


@given(
    st.lists(st.tuples(st.floats(NOW - 30 * WEEK_S, NOW), st.integers(0, 3)), min_size=1, max_size=40),
    st.floats(0.1, 90),
)
def test_silence_is_as_long_as_since_the_last_news_in_whatever_order_passes_come(made, nights):
    found = silence(made, nights)
    last = max(moment for moment, _ in made)
    heard = [moment for moment, news in made if news]
    assert found.hours == pytest.approx((last - (max(heard) if heard else min(m for m, _ in made))) / HOUR_S)
    assert silence(made[::-1], nights).hours == found.hours
    assert not found.is_unusual or found.hours > 0
