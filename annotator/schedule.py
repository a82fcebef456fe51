"""When passes are due: the configured interval, or a cron expression as crontab(5) means it.

APScheduler's own reading of one counts Monday as day 0 and lets the day of the month and that of the week both have to
match. So the fields are read here, and it is given the days by name.
"""

import datetime
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from annotator.config import ScheduleConfig
from annotator.errors import ConfigError

if TYPE_CHECKING:
    from apscheduler.triggers.base import BaseTrigger

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NICKNAMES: Mapping[str, str] = MappingProxyType(
    {
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
        "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
    }
)
_FIELDS = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(DAYS)}),
)
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d{1,3}))?", re.ASCII)


def trigger(schedule: ScheduleConfig) -> "BaseTrigger":
    """Make APScheduler's trigger of the configured interval or cron expression.

    Raises
    ------
    ConfigError
        If the cron expression is none, or never fires.
    """
    from apscheduler.triggers.combining import OrTrigger
    from apscheduler.triggers.cron import CronTrigger
    from apscheduler.triggers.interval import IntervalTrigger

    if schedule.cron is None:
        return IntervalTrigger(seconds=round(schedule.every_minutes * 60), timezone=datetime.UTC)
    cron = parse_cron(schedule.cron)
    of_month = {"day": _listed(cron.days)}
    of_week = {"day_of_week": ",".join(DAYS[day] for day in sorted(cron.weekdays))}
    others = {"minute": _listed(cron.minutes), "hour": _listed(cron.hours), "month": _listed(cron.months)}
    if not cron.either_day:
        return CronTrigger(**others, **of_month, **of_week, timezone=datetime.UTC)
    if not _has_day(cron.days, cron.months):  # which would be looked for in every year to come
        return CronTrigger(**others, **of_week, timezone=datetime.UTC)
    return OrTrigger([CronTrigger(**others, **days, timezone=datetime.UTC) for days in (of_month, of_week)])


def next_runs(schedule: ScheduleConfig, now: datetime.datetime, most: int) -> list[datetime.datetime]:
    """Return when the next passes are due, in UTC, after the one that `run` makes when it begins.

    Raises
    ------
    ConfigError
        If the cron expression is none, or never fires.
    """
    due, last, found = trigger(schedule), None, []
    for _ in range(most):
        last = due.get_next_fire_time(last, now if last is None else last)
        found.append(last)
    return found


def _listed(numbers: frozenset[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


@dataclass(frozen=True)
class Cron:
    """The times at which a cron expression fires."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    """Of the month, from 1."""
    months: frozenset[int]
    """From 1."""
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """Whether one of the two kinds of day is enough: where both are restricted."""


def parse_cron(text: str) -> Cron:
    """Read a cron expression.

    Parameters
    ----------
    text
        Five fields (minute, hour, day of the month, month, day of the week), each ``*`` or a list of numbers, names of
        three letters and ranges, with steps after ``*`` and ranges; 0 and 7 are Sunday, and a range may end with it
        (``fri-sun``). Where neither kind of day begins with ``*``, one of them is enough. Or one of :data:`NICKNAMES`.

    Raises
    ------
    ConfigError
        If it is none, or never fires.
    """
    fields = NICKNAMES.get(text.strip().lower(), text).split()
    if len(fields) != len(_FIELDS):
        raise ConfigError(
            f"schedule.cron must be a cron expression of five fields, or one of {', '.join(NICKNAMES)}; found {text!r}"
        )
    minutes, hours, days, months, weekdays = (
        _numbers(field, *of_field) for field, of_field in zip(fields, _FIELDS, strict=True)
    )
    either_day = not fields[2].startswith("*") and not fields[4].startswith("*")
    if not either_day and not _has_day(days, months):
        raise ConfigError(f"schedule.cron {text!r} never fires: no such month has such a day")
    return Cron(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either_day)


def _has_day(days: frozenset[int], months: frozenset[int]) -> bool:
    """Say whether any of these months ever has any of these days."""
    return any(min(days) <= _LONGEST_MONTH[month - 1] for month in months)


def _numbers(field: str, what: str, least: int, most: int, names: Mapping[str, int]) -> frozenset[int]:
    return frozenset(itertools.chain.from_iterable(_range(item, what, least, most, names) for item in field.split(",")))


def _range(item: str, what: str, least: int, most: int, names: Mapping[str, int]) -> range:
    found = _ITEM.fullmatch(item)
    if found is None:
        raise _wrong(item, what, f"a number, a range such as {least}-{most}, or *, with a step such as */2")
    first, last = least, most
    if not found["all"]:
        first = _number(found["first"], item, what, least, most, names)
        last = _number(found["last"], item, what, least, most, names) if found["last"] else first
        if names.get("sun") == last < first:  # a week that ends with Sunday
            last = most
        if found["step"] and not found["last"]:
            raise _wrong(item, what, f"a step after a range or *: {found['first']}-{most}/{found['step']}")
    if last < first:
        raise _wrong(item, what, "a range whose first is not after its last, or two ranges with a comma between")
    step = int(found["step"] or 1)
    if step == 0:
        raise _wrong(item, what, "a step of at least 1")
    return range(first, last + 1, step)


def _number(text: str, item: str, what: str, least: int, most: int, names: Mapping[str, int]) -> int:
    value = int(text) if text.isdigit() else names.get(text.lower(), -1)
    if not least <= value <= most:
        raise _wrong(item, what, f"{least} to {most}" + (f" or {', '.join(names)}" if names else ""))
    return value


def _wrong(item: str, what: str, expected: str) -> ConfigError:
    return ConfigError(f"schedule.cron: the {what} must be {expected}; found {item!r}")
