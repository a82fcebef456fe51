"""Rubin's names of a measurement's fields where training reads and writes tables of them, or makes objects up."""

import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from annotator.surveys.lsst.columns import FEATURE_NAMES
from annotator.surveys.lsst.items import OddSource
from annotator.surveys.values import number, whole_number

OBJECT_ID = "diaObjectId"
SOURCE_ID = "diaSourceId"
EPOCH_TAI = "midpointMjdTai"
FLUX = "psfFlux"
"""Of the difference, nJy."""
FLUX_ERROR = "psfFluxErr"
"""nJy."""
DETECTED, FORCED = "diaSource", "forced"
"""What a table of measurements calls one that was detected, and one that was forced."""

LIGHT_CURVE_COLUMNS = (OBJECT_ID, "mjd", "band", FLUX, FLUX_ERROR, "kind")
"""What a table of light curves has to have, one row a measurement; ``mjd`` is UTC, ids are text."""

CUTOUT_COLUMNS = (SOURCE_ID, EPOCH_TAI, "band", FLUX, FLUX_ERROR, "reliability", "ra", "decl")
"""Of the detection that a triplet is of."""

_OF_TNS = MappingProxyType({"tns_name": "tns_name", "type": "type", "z": "z", "tns_ra": "ra", "tns_decl": "decl"})
"""A column of the table of typed objects to that of Lasair's crossmatch_tns, which has names of `objects`, too."""

_OF_OBJECTS = (
    *(OBJECT_ID, "ra", "decl", "glat", "ebv", "firstDiaSourceMjdTai", "lastDiaSourceMjdTai"),
    *("nDiaSources", "nPosDiaSources", "nSourcesGood", "latestR"),
    *(name for name in FEATURE_NAMES if name not in ("separationArcsec", "major_axis_arcsec")),
)

TYPED_COLUMNS: tuple[str, ...] = (*_OF_OBJECTS, *_OF_TNS)
"""Of the table of typed objects. What Sherlock says is not among them: Lasair leaves out of a query that names its
table the objects that it has not looked at."""
TYPED_TABLES = "objects, crossmatch_tns"
TYPED_SELECTED = ", ".join(
    (
        *(f"objects.{name}" for name in _OF_OBJECTS),
        *(f"crossmatch_tns.{of}" if of == name else f"crossmatch_tns.{of} AS {name}" for name, of in _OF_TNS.items()),
    )
)
TYPED_CONDITION = "crossmatch_tns.type <> ''"
"""In SQL: somebody has a spectrum. A type that is null is no type either."""

ANSWER_LISTS = ("diaSourcesList", "diaForcedSourcesList")
"""What an answer of `object` has to have."""

_STAMP = re.compile(r"/(\d+)_cutout\w+/?$")


def apart_deg(row: Mapping[str, object]) -> float:
    """Return how far the transient that TNS names is from the object; infinity where either has no place."""
    ra, dec, tns_ra, tns_dec = (number(row.get(name)) for name in ("ra", "decl", "tns_ra", "tns_decl"))
    if None in (ra, dec, tns_ra, tns_dec):
        return math.inf
    across = abs(ra - tns_ra) % 360.0
    return math.hypot(min(across, 360.0 - across) * math.cos(math.radians(dec)), dec - tns_dec)


def what_is_read_of(answer: Mapping[str, object]) -> dict[str, object]:
    """Return of an answer of `object` what is ever read of it: a thirtieth of what Lasair sends of a measurement.

    A list that is none stays as it is.
    """
    names = OddSource.__struct_fields__
    kept: dict[str, object] = {OBJECT_ID: answer.get(OBJECT_ID)}
    for part in ANSWER_LISTS:
        items = answer.get(part)
        kept[part] = (
            [
                {name: item[name] for name in names if item.get(name) is not None}
                for item in items
                if isinstance(item, Mapping)
            ]
            if isinstance(items, list)
            else items
        )
    return kept


def detection_of_stamps(answer: Mapping[str, object], url: str) -> Mapping[str, object]:
    """Return the detection whose stamp is at an address; empty where the answer has none of its number."""
    found = _STAMP.search(url)
    source_id = int(found[1]) if found else None
    detections = answer[ANSWER_LISTS[0]]
    return next((item for item in detections if whole_number(item.get(SOURCE_ID)) == source_id), {})


def made_up_object(object_id: int, measurements: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Lay an object out as Lasair's `object` answers, of detections that nobody observed.

    Parameters
    ----------
    object_id
        Its number; those of its detections follow from it.
    measurements
        Each with ``mjd_tai``, ``band``, ``flux_njy`` and ``flux_error_njy``.
    """
    sources = [
        {
            SOURCE_ID: 1000 * object_id + count,
            EPOCH_TAI: item["mjd_tai"],
            "band": item["band"],
            FLUX: item["flux_njy"],
            FLUX_ERROR: item["flux_error_njy"],
            "reliability": 0.9,
        }
        for count, item in enumerate(measurements)
    ]
    return {OBJECT_ID: object_id, ANSWER_LISTS[0]: sources}


def object_of_rows(object_id: str, rows: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Lay an object out as Lasair's `object` answers, of rows of a table of measurements, one each.

    Parameters
    ----------
    object_id
        Its number, as text.
    rows
        Each with ``mjd`` and ``kind``, and the columns of a measurement by their names.
    """
    detected: list[dict[str, object]] = []
    forced: list[dict[str, object]] = []
    for row in rows:
        names = ("band", FLUX, FLUX_ERROR, *(("reliability",) if row["kind"] == DETECTED else ()))
        item = {"midpointMjdTai": row["mjd"]} | {name: row.get(name) for name in names}
        (detected if row["kind"] == DETECTED else forced).append(item)
    return {OBJECT_ID: int(object_id)} | dict(zip(ANSWER_LISTS, (detected, forced), strict=True))
