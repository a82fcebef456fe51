"""What brokers, archives and spreadsheets write for a number, a sign, a date, an absence: any survey's values, read.

A value is understood or it is missing; nothing is taken for what it does not say.
"""

import datetime
import functools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.bands import Band
from annotator.preprocess.quantities import MAX_AGE_DAYS

JD_MINUS_MJD = 2400000.5
TAI_MINUS_UTC_DAYS = 37 / 86400
"""Since 2017 (IERS, Bulletin C); no leap second has come since, and by 2035 none is to come any longer (CGPM 2022)."""
JD_RANGE = (2447892.5, 2488069.5)
"""1990 to 2100: outside, it is no date of a survey."""
_UNIX_EPOCH_JD = 2440587.5

_ABSENT = frozenset(("", "none", "null", "nan", "<na>", "n/a", "na", "nat", "--", "-", "inf", "-inf"))
"""Words for "there is none", in lower case."""
_SENTINELS = frozenset((-99.0, -999.0, -9999.0))
"""Numbers that say the same, where they cannot be a value."""
_POSITIVE = frozenset(("t", "true", "1", "+", "+1", "p", "pos", "positive", "y", "yes"))
_NEGATIVE = frozenset(("f", "false", "0", "-", "-1", "n", "neg", "negative", "no"))
_NUMBER_KINDS = frozenset((float, type(None)))
_MOST_NAMED = 4
"""Names of a record without an object id that are told."""
_MOST_SHOWN = 40
"""Characters of a value that is named."""


def number(value: object) -> float | None:
    """Return a finite number, or None for anything that is not one; text that is a number counts."""
    if type(value) is float:  # nearly all of them
        return value if math.isfinite(value) else None
    if value is None or type(value) is bool or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    if isinstance(value, str) and "_" in value:  # Python's own spelling of digits in groups
        return None
    return result if math.isfinite(result) else None


def count(value: float | None) -> int | None:
    """Return a number of things, or None for what is none."""
    return int(value) if value is not None and 0 <= value < 1e9 else None


def floats(values: Sequence[object]) -> NDArray[np.float64]:
    """Return numbers as an array ``(n,)``, NaN (or infinity) for what is none."""
    if not _NUMBER_KINDS.issuperset(map(type, values)):
        values = [number(value) for value in values]
    return np.array(values, dtype=np.float64)


def physical(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return the numbers that lie between two others, both included, and NaN for the rest."""
    return np.where((values >= low) & (values <= high), values, np.nan)


def within(value: float | None, low: float, high: float) -> float | None:
    """Return a value that lies between two others, both included, else None."""
    return value if value is not None and low <= value <= high else None


def is_absent(value: object) -> bool:
    """Tell whether a value says that there is none: null, NaN, a word for it, or a sentinel."""
    if value is None:
        return True
    if type(value) is float:
        return not math.isfinite(value) or value in _SENTINELS
    if isinstance(value, str):
        return value.strip().lower() in _ABSENT or number(value) in _SENTINELS
    return type(value) is int and value in _SENTINELS


def sign_of(value: object) -> bool | None:
    """Tell whether a difference is positive, in all spellings; None where it is not said.

    t and f, true and false, 1 and 0 or -1, + and -, as text, number or boolean, in any case.
    """
    if isinstance(value, str):
        value = value.strip().lower()
        if value in _POSITIVE:
            return True
        if value in _NEGATIVE:
            return False
    elif isinstance(value, bool):
        return value
    return {1.0: True, 0.0: False, -1.0: False}.get(number(value))


def whole_number(value: object) -> int | None:
    """Return a whole number with all its digits, or None.

    It may be text; a float is none, for it holds 15 digits of the 19 that an id has.
    """
    if type(value) is int:
        return value
    if isinstance(value, str) and len(value) < 40:
        digits = value.strip()
        return int(digits) if digits.isascii() and digits.isdigit() else None
    return None


def julian_date(jd: object, mjd: object = None, written: object = None) -> float | None:
    """Return a date (JD) from the first of three that is one: a JD, an MJD, a date in words.

    Each may be a number, text that is one, or a date as ISO 8601 has it (UTC where it names no zone). An MJD in
    the place of a JD, or the other way round, is told by its size.
    """
    for value, offset in ((jd, 0.0), (mjd, JD_MINUS_MJD), (written, math.nan)):
        found = number(value)
        if found is None:
            dates = (_iso_date(value),) if isinstance(value, str) else ()
        else:
            dates = (found + offset, found, found + JD_MINUS_MJD)
        for date in dates:
            if date is not None and JD_RANGE[0] <= date <= JD_RANGE[1]:
                return date
    return None


@functools.lru_cache(maxsize=1024)
def _iso_date(text: str) -> float | None:
    try:
        date = datetime.datetime.fromisoformat(text.strip())
        zoned = date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
        return zoned.timestamp() / 86400 + _UNIX_EPOCH_JD
    except (ValueError, OverflowError):
        return None


class BandSpellings:
    """How a survey's bands are spelt.

    Parameters
    ----------
    numbers
        The survey's own number of a band, to the band.
    prefixes
        What may stand before or after a band's letter, in lower case, letters and digits alone, such as ztf.
    others
        Bands without a number.
    """

    def __init__(self, numbers: Mapping[int, Band], prefixes: Iterable[str], others: Iterable[Band] = ()) -> None:
        bands = (*numbers.values(), *others)
        self._of_number = {float(number): band.name for number, band in numbers.items()}
        self._of_text = {band.letter: band.name for band in bands}
        for prefix in prefixes:
            self._of_text |= {
                spelt: band.name for band in bands for spelt in (prefix + band.letter, band.letter + prefix)
            }
        self.expected = ", ".join([*map(str, numbers), *(band.letter for band in bands)])

    def name(self, value: object) -> str | None:
        """Return a band's name, None where the value names none of the bands."""
        kind = type(value)
        if kind is int or kind is float:
            return self._of_number.get(value)
        if not isinstance(value, str):
            return None
        text = "".join(filter(str.isalnum, value.lower()))
        return self._of_text.get(text) or self._of_number.get(number(value))


def physical_extras(
    values: Mapping[str, float],
    ranges: Iterable[tuple[str, str, float, float]],
    first_days: float | None,
    last_days: float | None,
) -> dict[str, float]:
    """Return a record's further physical values; the age is a difference of two dates, which themselves go nowhere.

    Parameters
    ----------
    values
        By Lasair's columns.
    ranges
        Of each value its name, its column, and between what it is physical.
    first_days, last_days
        Dates on one scale, None where they are not known.
    """
    extras = {
        name: value
        for name, column, low, high in ranges
        if (value := within(values.get(column), low, high)) is not None
    }
    if first_days is not None and last_days is not None and last_days >= first_days:
        extras["age_days"] = min(last_days - first_days, MAX_AGE_DAYS)
    return extras


def nothing_but(names: Sequence[object]) -> str:
    """Say what a record has that has no object id."""
    told = ", ".join(map(shown, names[:_MOST_NAMED]))
    return f"nothing, only {told}{' and more' if len(names) > _MOST_NAMED else ''}" if names else "nothing"


def shown(value: object) -> str:
    """Write a value for a person, short; whatever it is."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested deeply, or of more digits than Python writes
        return f"a {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
