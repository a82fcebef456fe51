"""What a night is, for everything that is counted by the night."""

import math

DAY_S = 86_400.0
_UNIX_EPOCH_MJD = 40_587


def night_of(unix_s: float) -> int:
    """Return the number of the night that a moment is in.

    A night is from noon to noon UTC, and its number the MJD of the day on whose noon it begins.
    """
    return math.floor(unix_s / DAY_S - 0.5) + _UNIX_EPOCH_MJD


def start_of(night: int) -> float:
    """Return when a night begins, in seconds since 1970; it ends when the next one begins."""
    return (night - _UNIX_EPOCH_MJD + 0.5) * DAY_S
