"""The items of `candidates` as a record has them: the fields that are read."""

from collections.abc import Mapping, Sequence
from math import nan

import msgspec

Number = float | int | None


class Candidate(msgspec.Struct, gc=False):  # JSON has no cycles
    """One measurement, None or NaN for what it lacks; its numbers are numbers, and else nothing is checked yet."""

    candid: object = None
    jd: Number = nan
    mjd: object = None
    utc: object = None
    fid: float | int | str | None = None
    magpsf: Number = nan
    sigmapsf: Number = None
    diffmaglim: Number = nan
    isdiffpos: object = None
    ra: Number = nan
    dec: Number = nan
    rb: Number = nan
    drb: Number = nan
    ssdistnr: Number = nan
    ssmagnr: object = None
    ssnamenr: object = None
    xpos: object = None
    ypos: object = None
    image_urls: object = None


class OddCandidate(Candidate):
    """One measurement whose fields are of any kind."""

    @classmethod
    def of(cls, item: Mapping[str, object]) -> "OddCandidate":
        """Take the fields out of a mapping."""
        return cls(*map(item.get, cls.__struct_fields__))


def candidates_of(items: Sequence[object]) -> Sequence[Candidate]:
    """Return those of some items that have named values: all of one class."""
    if {Candidate}.issuperset(map(type, items)):
        return items
    try:
        return msgspec.convert(items, list[Candidate])
    except (msgspec.ValidationError, UnicodeError):
        return [OddCandidate.of(item) for item in items if isinstance(item, Mapping)]


def are_typed(items: Sequence[Candidate]) -> bool:
    """Tell whether the numbers of some items, which are all of one class, are numbers."""
    return not items or type(items[0]) is Candidate
