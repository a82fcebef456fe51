"""Cron expressions against a reading of crontab(5) of its own, minute by minute."""

import calendar
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.config import ScheduleConfig
from annotator.errors import ConfigError
from annotator.schedule import DAYS, MONTHS, NICKNAMES, next_runs, trigger

NOW = datetime.datetime(2026, 11, 25, 3, 20, 30, tzinfo=datetime.UTC)
"""A Wednesday."""


def runs(cron: str, most: int = 3, now: datetime.datetime = NOW) -> list[datetime.datetime]:
    return next_runs(ScheduleConfig(cron=cron), now, most)


def in_words(cron: str, most: int = 3) -> list[str]:
    return [f"{moment:%a %Y-%m-%d %H:%M}" for moment in runs(cron, most)]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 12 * * 0", ["Sun 2026-11-29 12:00", "Sun 2026-12-06 12:00"]),
        ("0 12 * * 7", ["Sun 2026-11-29 12:00", "Sun 2026-12-06 12:00"]),
        ("0 12 * * sun", ["Sun 2026-11-29 12:00", "Sun 2026-12-06 12:00"]),
        ("0 12 * * 1", ["Mon 2026-11-30 12:00", "Mon 2026-12-07 12:00"]),
        ("0 12 * * 5-7", ["Fri 2026-11-27 12:00", "Sat 2026-11-28 12:00", "Sun 2026-11-29 12:00"]),
        ("0 12 * * Mon-Fri/2", ["Wed 2026-11-25 12:00", "Fri 2026-11-27 12:00", "Mon 2026-11-30 12:00"]),
        ("30 4 1,15 * 5", ["Fri 2026-11-27 04:30", "Tue 2026-12-01 04:30", "Fri 2026-12-04 04:30"]),
        ("30 4 */2 * 5", ["Fri 2026-11-27 04:30", "Fri 2026-12-11 04:30"]),
        ("0 0 29 2 *", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]),
        ("*/20 3 * * *", ["Wed 2026-11-25 03:40", "Thu 2026-11-26 03:00", "Thu 2026-11-26 03:20"]),
        ("0 0 1 jan,Jul *", ["Fri 2027-01-01 00:00", "Thu 2027-07-01 00:00"]),
        ("0 0 30 2 1", ["Mon 2027-02-01 00:00"]),
        ("0 0 31 4,6 mon", ["Mon 2027-04-05 00:00"]),
        ("0 12 * * fri-sun", ["Fri 2026-11-27 12:00", "Sat 2026-11-28 12:00", "Sun 2026-11-29 12:00"]),
        ("0 12 * * 6-0", ["Sat 2026-11-28 12:00", "Sun 2026-11-29 12:00", "Sat 2026-12-05 12:00"]),
        ("@daily", ["Thu 2026-11-26 00:00", "Fri 2026-11-27 00:00"]),
        ("@weekly", ["Sun 2026-11-29 00:00"]),
    ],
)
def test_every_field_means_what_crontab_says(cron, expected):
    assert in_words(cron, len(expected)) == expected


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("every day", "five fields"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("@reboot", "five fields, or one of @yearly"),
        ("60 * * * *", "the minute must be 0 to 59"),
        ("* 24 * * *", "the hour must be 0 to 23"),
        ("* * 0 * *", "the day of the month must be 1 to 31"),
        ("* * * 13 *", "the month must be 1 to 12 or jan"),
        ("* * * * 8", "the day of the week must be 0 to 7 or sun"),
        ("* * * * fri-mon", "first is not after its last"),
        ("* 22-4 * * *", "two ranges with a comma between"),
        ("*/0 * * * *", "a step of at least 1"),
        ("5/10 * * * *", "a step after a range or *: 5-59/10"),
        ("1,,2 * * * *", "a number, a range"),
        ("-1 * * * *", "a number, a range"),
        ("L * * * *", "the minute must be 0 to 59"),
        ("0 0 31 4,6 *", "never fires"),
        ("0 0 30 2 *", "never fires"),
    ],
)
def test_what_is_no_cron_expression_or_never_fires_is_refused_with_the_reason(cron, reason):
    with pytest.raises(ConfigError, match=r"schedule\.cron") as failure:
        trigger(ScheduleConfig(cron=cron))
    assert reason in str(failure.value)


def items(least: int, most: int, names: dict[str, int]) -> st.SearchStrategy[str]:
    numbers = st.integers(least, most)
    spelled = st.sampled_from(sorted(names)) if names else st.nothing()
    pairs = st.tuples(numbers, numbers).map(sorted)
    steps = st.integers(1, most + 5)
    return st.one_of(
        st.just("*"),
        steps.map("*/{}".format),
        numbers.map(str),
        spelled,
        pairs.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(pairs, steps).map(lambda both: f"{both[0][0]}-{both[0][1]}/{both[1]}"),
    )


NAMES = [{}, {}, {}, {name: n for n, name in enumerate(MONTHS, 1)}, {name: n for n, name in enumerate(DAYS)}]
BOUNDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
crons = st.tuples(
    *(
        st.lists(items(*bounds, names), min_size=1, max_size=3).map(",".join)
        for bounds, names in zip(BOUNDS, NAMES, strict=True)
    )
)


def holds(field: str, value: int, number: int) -> bool:
    """Say whether a value is among those that a field names, item by item, as the manual page words it."""
    for item in field.split(","):
        span, _, step = item.partition("/")
        low, high = BOUNDS[number]
        if span != "*":
            ends = [NAMES[number].get(end, end) for end in span.split("-")]
            low, high = int(ends[0]), int(ends[-1])
        if low <= value <= high and (value - low) % int(step or 1) == 0:
            return True
    return False


def fires(fields: tuple[str, ...], day: datetime.date) -> bool:
    sunday_first = day.isoweekday() % 7
    of_month = holds(fields[2], day.day, 2)
    of_week = holds(fields[4], sunday_first, 4) or (sunday_first == 0 and holds(fields[4], 7, 4))
    both_restricted = fields[2][0] != "*" and fields[4][0] != "*"
    is_day = of_month or of_week if both_restricted else of_month and of_week
    return holds(fields[3], day.month, 3) and is_day


def brute_force(fields: tuple[str, ...], days: int) -> list[datetime.datetime]:
    minutes = [
        (hour, minute)
        for hour in range(24)
        if holds(fields[1], hour, 1)
        for minute in range(60)
        if holds(fields[0], minute, 0)
    ]
    found = []
    for ahead in range(days):
        day = NOW.date() + datetime.timedelta(days=ahead)
        if fires(fields, day):
            found += [datetime.datetime(day.year, day.month, day.day, *at, tzinfo=datetime.UTC) for at in minutes]
        found = [moment for moment in found if moment > NOW]
        if len(found) >= 3:
            return found[:3]
    return found


@given(crons)
def test_any_expression_fires_when_crontab_says(fields):
    expected = brute_force(fields, 3 * 366)
    try:
        found = runs(" ".join(fields))
    except ConfigError:
        months = [month for month in range(1, 13) if holds(fields[3], month, 3)]
        assert not any(
            holds(fields[2], day, 2) for m in months for day in range(1, calendar.monthrange(2028, m)[1] + 1)
        )
        return
    assert found[: len(expected)] == expected
    assert len(expected) == 3 or found[len(expected)].date() >= NOW.date() + datetime.timedelta(days=3 * 366)


def test_every_nickname_is_an_expression():
    assert all(runs(name, 1) for name in NICKNAMES)
