"""Dates and times as people and their spreadsheets write them, understood only where they can mean one thing.

24/11/2026 and 11/24/2026 are each clear; 05/11/2026 is so only beside them, in a table that writes all its dates alike.
"""

import contextlib
import datetime
import re
from collections.abc import Sequence

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_NUMBER_OF = {key: number for number, name in enumerate(_MONTHS, start=1) for key in (name, name[:3], name[:4])}

_CLOCK = (
    r"(?:[T\s,]\s*(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AP])\.?M\.?)?\s*(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?)?"
)
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})(?P<sign>[-/.])(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})" + _CLOCK, re.I)
_DAY_FIRST = re.compile(r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4}|\d\d)" + _CLOCK, re.I)
_EITHER_FIRST = re.compile(
    r"(?P<one>\d{1,2})(?P<sign>[-/])(?P<other>\d{1,2})(?P=sign)(?P<year>\d{4}|(?<=/)\d\d)" + _CLOCK, re.I
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_NAMED_FIRST = re.compile(
    _WEEKDAY + r"(?P<name>[a-z]{3,9})\.?[\s-]+(?P<day>\d{1,2})(?:st|nd|rd|th)?(?:,\s*|\s+|-)(?P<year>\d{4})" + _CLOCK,
    re.I,
)
_NAMED_SECOND = re.compile(
    _WEEKDAY
    + r"(?P<day>\d{1,2})(?:st|nd|rd|th|\.)?[\s-]+(?P<name>[a-z]{3,9})\.?(?:,\s*|\s+|-)(?P<year>\d{4}|\d\d)"
    + _CLOCK,
    re.I,
)

EXPECTED = "a date and time such as 2026-11-24T09:30Z (UTC where it names no zone)"
AMBIGUOUS = "it can be day/month or month/day, and no other date of the table tells which: write {}"


def moments(texts: Sequence[str]) -> list[datetime.datetime | str]:
    """Read the dates of one column of one table.

    Parameters
    ----------
    texts
        Dates of any of the kinds that ISO 8601 and spreadsheets have, with a time or without, which is midnight, and
        with a zone or without, which is UTC. Months by name are English.

    Returns
    -------
    list
        Each moment, in UTC; or why there is none.
    """
    day_first, month_first = _evidence(texts)
    order = None if day_first == month_first else "day" if day_first else "month"
    return [_moment(text, order) for text in texts]


def _evidence(texts: Sequence[str]) -> tuple[bool, bool]:
    """Tell whether dates of a table have the day first, and whether some have the month first."""
    found = [match for text in texts if (match := _EITHER_FIRST.fullmatch(text))]
    return any(int(item["one"]) > 12 for item in found), any(int(item["other"]) > 12 for item in found)


def _moment(text: str, order: str | None) -> datetime.datetime | str:
    with contextlib.suppress(ValueError, OverflowError):  # the first days of the year 1 have no UTC
        if moment := _of_iso(text):
            return moment
        for pattern in (_YEAR_FIRST, _DAY_FIRST, _NAMED_FIRST, _NAMED_SECOND):
            if found := pattern.fullmatch(text):
                parts = found.groupdict()
                month = _NUMBER_OF.get(parts["name"].lower()) if parts.get("name") else int(parts["month"])
                year = int(parts["year"])
                return _made(found, _whole(year), month or 0, int(parts["day"]))
        if found := _EITHER_FIRST.fullmatch(text):
            one, other, year = int(found["one"]), int(found["other"]), _whole(int(found["year"]))
            if one > 12 or (order == "day" and other <= 12) or one == other:
                return _made(found, year, other, one)
            if other > 12 or order == "month":
                return _made(found, year, one, other)
            either = [_made(found, year, *pair).strftime("%Y-%m-%d") for pair in ((other, one), (one, other))]
            return AMBIGUOUS.format(" or ".join(either))
    return f"expected {EXPECTED}"


def _of_iso(text: str) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).astimezone(datetime.UTC)


def _whole(year: int) -> int:
    """Complete a year of two digits."""
    return year if year > 99 else 2000 + year


def _made(found: re.Match[str], year: int, month: int, day: int) -> datetime.datetime:
    """Make a moment of a date and the clock that was found beside it; raise ValueError where there is no such one."""
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if found["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(f"no hour of a clock of twelve: {hour}")
        hour = hour % 12 + (12 if found["half"].upper() == "P" else 0)
    microsecond = int((found["fraction"] or "0").ljust(6, "0")[:6])
    zone = datetime.UTC
    if found["zone"] and found["zone"][0] in "+-":
        hours, minutes = int(found["zone"][1:3]), int(found["zone"][-2:])
        zone = datetime.timezone(
            (1 if found["zone"][0] == "+" else -1) * datetime.timedelta(hours=hours, minutes=minutes)
        )
    return datetime.datetime(year, month, day, hour, minute, second, microsecond, zone).astimezone(datetime.UTC)
