"""The measurements of a record as it has them: the fields that are read of a source, detected or forced."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Number = float | int | None
Band = Literal["u", "g", "r", "i", "z", "y"]


class Source(msgspec.Struct, gc=False):  # JSON has no cycles
    """One measurement, None for what it lacks; what is there is of the kind that it has to be."""

    diaSourceId: int | None = None
    diaObjectId: int | None = None
    midpointMjdTai: Number = None
    band: Band | None = None
    psfFlux: Number = None
    psfFluxErr: Number = None
    ra: Number = None
    dec: Number = None
    """In packets."""
    decl: Number = None
    """At Lasair, where SQL has a word DEC."""
    reliability: Number = None
    scienceFlux: Number = None
    templateFlux: Number = None
    ssObjectId: int | None = None
    timeWithdrawnMjdTai: Number = None
    isDipole: bool | None = None
    glint_trail: bool | None = None


class OddSource(Source):
    """One measurement whose fields are of any kind."""

    @classmethod
    def of(cls, item: Mapping[str, object]) -> "OddSource":
        """Take the fields out of a mapping."""
        return cls(*map(item.get, cls.__struct_fields__))


def sources_of(items: Sequence[object]) -> Sequence[Source]:
    """Return those of some items that have named values: all of one class."""
    if {Source}.issuperset(map(type, items)):
        return items
    return [OddSource.of(item) for item in items if isinstance(item, Mapping)]


def are_typed(items: Sequence[Source]) -> bool:
    """Tell whether the fields of some items, which are all of one class, are of the kinds that they have to be."""
    return not items or type(items[0]) is Source
