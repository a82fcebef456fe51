"""Dates as people write them."""

import datetime
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.tables.moments import moments

TIMES = st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2090, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0)
)
CLOCKS = ("%H:%M:%S", "%I:%M:%S %p", "%H:%M:%SZ", "%H:%M:%S+00:00")
DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%b %d, %Y", "%d %B %Y", "%d-%b-%Y", "%A, %B %d, %Y", "%d %b %Y")


@given(TIMES, st.sampled_from(DATES), st.sampled_from(CLOCKS))
def test_a_date_that_can_mean_one_thing_is_that_moment_in_utc(moment, date, clock):
    expected = moment.replace(tzinfo=datetime.UTC)
    midnight = expected.replace(hour=0, minute=0, second=0)
    assert moments([moment.strftime(f"{date} {clock}"), moment.strftime(date)]) == [expected, midnight]


@given(st.lists(TIMES, min_size=1), st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"]), st.randoms())
def test_dates_that_are_written_alike_are_told_by_those_that_are_clear(times, form, rng: random.Random):
    texts = [moment.strftime(form) for moment in times]
    read = moments(texts)
    if all(moment.day <= 12 for moment in times):
        for text, moment, found in zip(texts, times, read, strict=True):
            assert moment.day == moment.month or f"{moment:%Y-%m-%d}" in found, text
        return
    assert [found.date() for found in read] == [moment.date() for moment in times]
    rng.shuffle(texts)
    assert sorted(moments(texts)) == sorted(read)


def test_where_a_table_has_both_orders_only_what_is_clear_is_read():
    first, second, third = moments(["24/11/2026", "11/25/2026", "05/11/2026"])
    assert (first.day, second.day) == (24, 25)
    assert third == (
        "it can be day/month or month/day, and no other date of the table tells which: write 2026-11-05 or 2026-05-11"
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24-Nov-26", "2026-11-24T00:00:00+00:00"),
        ("24.11.26 09:30", "2026-11-24T09:30:00+00:00"),
        ("11/24/26", "2026-11-24T00:00:00+00:00"),
        ("24/11/26 9:30 PM", "2026-11-24T21:30:00+00:00"),
        ("24. Nov 2026 9:30", "2026-11-24T09:30:00+00:00"),
        ("Nov 24th, 2026, 12:30 AM", "2026-11-24T00:30:00+00:00"),
        ("Sept. 4 2026", "2026-09-04T00:00:00+00:00"),
        ("2026-11-24T09:30:00+02:00", "2026-11-24T07:30:00+00:00"),
        ("24.11.2026 09:30 +02:00", "2026-11-24T07:30:00+00:00"),
        ("20261124T0930Z", "2026-11-24T09:30:00+00:00"),
        ("11/11/2026", "2026-11-11T00:00:00+00:00"),
    ],
)
def test_what_spreadsheets_and_letters_have(text, moment):
    assert moments([text])[0].isoformat() == moment
