"""The shapes in which Rubin's objects come, laid out alike.

A stream's row is flat and may carry the light curve under `alert`. An answer of `object` has Lasair's own columns under
`lasairData`, where it was asked for them, and its lists at the top. An alert packet has the detection that it is of,
and those before it. All are one thing here: columns, two lists of measurements and one of visits without any, what
Sherlock says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from annotator.surveys.json_values import JsonObject
from annotator.surveys.lsst.columns import FEATURE_NAMES, OTHER_COLUMNS
from annotator.surveys.lsst.items import Source
from annotator.surveys.packet_stamps import STAMPS
from annotator.surveys.survey import ids_named
from annotator.surveys.values import is_absent, shown

DETECTED = ("diaSourcesList", "diaSources", "prvDiaSources")
FORCED = ("diaForcedSourcesList", "diaForcedSources", "prvDiaForcedSources")
NONDETECTIONS = ("diaNondetectionLimitsList", "diaNondetectionLimits", "prvDiaNondetectionLimits")
"""What the lists are called: in Lasair's streams and answers, in its answers of 2025, in packets."""
OF_PACKET = "diaSource"
SHERLOCK_CLASS = ("classification", "sherlock_classifications")
"""Lasair's own name of the column, and the label that filters give it."""
ID = "diaObjectId"
ID_PARTS = ("diaObject", OF_PACKET)
_FLAT = tuple(dict.fromkeys((ID, *FEATURE_NAMES, *OTHER_COLUMNS, *SHERLOCK_CLASS, "dec")))
_NESTED = ("alert", "lasairData", "diaObject", "sherlock", "annotations")
READ = (*_FLAT, *_NESTED, OF_PACKET, *DETECTED, *FORCED, *NONDETECTIONS, *STAMPS, "cutouts")
"""All that is looked at of a record."""


@dataclass(frozen=True)
class Shape:
    """A record, laid out."""

    ids: Sequence[object]
    """What it has for an object id, whatever it is."""
    columns: Mapping[str, object]
    """Lasair's columns, by their names; what none of its places has is absent."""
    detected: Sequence[object] | None
    """None where the record says nothing of a light curve."""
    forced: Sequence[object]
    nondetections: Sequence[object]
    own: Source | Mapping[str, object] | None
    """Of a packet the detection that it is of."""
    stamps: Mapping[str, object]
    """Of a packet, FITS by the names of its stamps; else where the record says that its files are."""
    wrong_parts: tuple[str, ...]
    """Parts that are of another kind than they have to be, and count as missing, a phrase each."""


def named(record: Mapping[str, object]) -> Mapping[str, object]:
    """Return a record under Lasair's own names, which an annotation-triggered stream writes in small letters."""
    if isinstance(record, JsonObject):
        record = _what_is_read(record)
    if ID in record or ID.lower() not in record:
        return record
    found: dict[str, object] = {}
    for name, value in record.items():
        canonical = _CANONICAL.get(name, name)
        if canonical not in found or not is_absent(value):
            found[canonical] = value
    return found


_CANONICAL = {name.lower(): name for name in _FLAT}


def shape_of(record: Mapping[str, object]) -> Shape:
    """Lay a record out; it has Lasair's own names (:func:`named`)."""
    wrong: list[str] = []

    def part(where: Mapping[str, object], name: str, kind: type = Mapping) -> object:
        value = where.get(name)
        if isinstance(value, kind):
            return value
        if not is_absent(value):
            wrong.append(f"{name} is no {'list' if kind is list else 'mapping'} but {shown(value)}")
        return None

    alert = part(record, "alert") or {}
    places = [record, alert]
    lists = {}
    for names in (DETECTED, FORCED, NONDETECTIONS):
        found = [value for where in places for name in names if (value := part(where, name, list)) is not None]
        lists[names] = [item for items in found for item in items] if found else None
    own = record.get(OF_PACKET)
    if isinstance(own, Mapping | Source):
        lists[DETECTED] = [own, *(lists[DETECTED] or ())]
    elif not is_absent(own):
        wrong.append(f"{OF_PACKET} is no mapping but {shown(own)}")
        own = None
    else:
        own = None
    added = part(record, "lasairData") or {}
    objects = [found for where in (record, alert) if (found := part(where, "diaObject"))]
    sherlock = _sherlock_of([record, alert, added])
    columns: dict[str, object] = {}
    for where in (*objects, sherlock, added, record):  # the last one counts
        columns |= {name: value for name in _FLAT if not is_absent(value := where.get(name))}
    if columns.get("decl") is None and "dec" in columns:
        columns["decl"] = columns["dec"]
    columns["classification"] = next((columns[name] for name in SHERLOCK_CLASS if name in columns), None)
    stamps = {name: record[name] for name in STAMPS if record.get(name) is not None}
    if not stamps and isinstance(record.get("cutouts"), Mapping):
        stamps = record["cutouts"]
    ids = ids_named(record, ID, ID_PARTS) + ([own.diaObjectId] if isinstance(own, Source) else [])
    measured = lists[DETECTED], lists[FORCED] or (), lists[NONDETECTIONS] or ()
    return Shape(ids, columns, *measured, own, stamps, tuple(dict.fromkeys(wrong)))


def _sherlock_of(places: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
    """Return what Sherlock says: a part of its own, or the first item of an alert's annotations; often {}."""
    for where in places:
        if isinstance(own := where.get("sherlock"), Mapping) and own:
            return own
        of_alert = where.get("annotations")
        added = of_alert.get("sherlock") if isinstance(of_alert, Mapping) else None
        if isinstance(added, list) and added and isinstance(added[0], Mapping):
            return added[0]
    return {}


# A record's own text is decoded no further than it is read


def _fields(names: Sequence[str], kind: object) -> list[tuple]:
    return [(name, kind, msgspec.UNSET) for name in names]


_LISTS = _fields((*DETECTED, *FORCED), list[Source] | None | msgspec.UnsetType)
_ALERT = msgspec.defstruct(
    "Alert", [*_LISTS, *_fields((*NONDETECTIONS, "diaObject", "annotations", "sherlock"), object)]
)
_MESSAGE = msgspec.defstruct(
    "Message",
    [
        *_fields(("alert",), _ALERT | None | msgspec.UnsetType),
        *_fields((OF_PACKET,), Source | None | msgspec.UnsetType),
        *_LISTS,
        *_fields(
            [ID.lower(), *(name for name in READ if name not in {"alert", OF_PACKET, *DETECTED, *FORCED})], object
        ),
    ],
)
_DECODER = msgspec.json.Decoder(_MESSAGE)


def _what_is_read(record: JsonObject) -> Mapping[str, object]:
    """Decode no more of a record than what is read of it, its measurements as what they are.

    Where something is of another kind than it has to be, or cannot be said in JSON, the record is read whole.
    """
    try:
        message = _DECODER.decode(record.strict)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return record
    read = _set(message)
    if ID not in read and ID.lower() in read:
        return record
    if isinstance(read.get("alert"), _ALERT):
        read["alert"] = _set(read["alert"])
    if record.strict is not record.text and _is_said("null", {name: read[name] for name in read if name not in _LONG}):
        return record
    return read


_LONG = {*DETECTED, *FORCED, OF_PACKET}


def _set(struct: msgspec.Struct) -> dict[str, object]:
    return {name: value for name in struct.__struct_fields__ if (value := getattr(struct, name)) is not msgspec.UNSET}


def _is_said(word: str, value: object) -> bool:
    """Tell whether any text of a value has a word in it."""
    if isinstance(value, str):
        return word in value
    if isinstance(value, Mapping):
        return any(_is_said(word, item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(_is_said(word, item) for item in value if not isinstance(item, Source))
