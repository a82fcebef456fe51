"""What a night is, for everything that is counted by the night."""

import datetime
import math

DAY_S = 86_400.0
MJD_0 = datetime.datetime(1858, 11, 17)
"""Where MJDs are counted from, UTC."""
_UNIX_EPOCH_MJD = 40_587
MAX_AHEAD_DAYS = 1.0
"""For clocks that differ: a date that is later than now by more is none."""


def night_of(unix_s: float) -> int:
    """Return the number of the night that a moment is in.

    A night is from noon to noon UTC, and its number the MJD of the day on whose noon it begins.
    """
    return math.floor(unix_s / DAY_S - 0.5) + _UNIX_EPOCH_MJD


def start_of(night: int) -> float:
    """Return when a night begins, in seconds since 1970; it ends when the next one begins."""
    return (night - _UNIX_EPOCH_MJD + 0.5) * DAY_S


def mjd_of(unix_s: float) -> float:
    """Return the MJD of a moment, UTC."""
    return unix_s / DAY_S + _UNIX_EPOCH_MJD


def day_of(mjd: float) -> str:
    """Return the day that an epoch is on, UTC, as in 2026-11-24."""
    return (MJD_0.date() + datetime.timedelta(days=math.floor(mjd))).isoformat()


def date_of(night: int) -> str:
    """Return the date of the day on whose noon a night begins, UTC, as in 2026-11-24."""
    return datetime.datetime.fromtimestamp(start_of(night), datetime.UTC).date().isoformat()


def night_on(date: str) -> int:
    """Return the night that begins on a day.

    Raises
    ------
    ValueError
        If it is no date such as 2026-11-24.
    """
    noon = datetime.datetime.combine(datetime.date.fromisoformat(date), datetime.time(12), datetime.UTC)
    return night_of(noon.timestamp())
