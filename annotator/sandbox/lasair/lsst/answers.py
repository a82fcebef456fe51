"""Lasair for Rubin's answer to `object`, in its four shapes."""

import math
from collections.abc import Mapping, Sequence

from annotator.errors import RejectedError
from annotator.sandbox.lasair.answers import tns_block, utc_text
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.lsst.records import LITE_FORCED, LITE_SOURCE, ObjectRecords, Record, lite
from annotator.sandbox.lasair.lsst.schema import MJD_MINUS_JD
from annotator.sandbox.sky.coordinates import galactic_deg

MAX_CUTOUT_DAYS = 365.0
"""For so long Lasair keeps cutouts; `object` with Lasair's additions fails on a source that is older."""

_OBLIQUITY_RAD = math.radians(23.4393)
_NOT_A_COLUMN_HERE = ("ra", "decl")  # they are in `diaObject`
_ANNOTATION = (
    "annotationID", "topic", "version", "timestamp", "classification", "explanation", "classdict", "url",
)  # fmt: skip


def plain_answer(object_id: str, records: ObjectRecords | None, is_lite: bool) -> Record:
    """Write the answer without Lasair's additions: oldest first, and of an unknown object empty lists."""
    sources, forced = (list(records.sources), list(records.forced)) if records else ([], [])
    if is_lite:
        sources, forced = lite(sources, LITE_SOURCE), lite(forced, LITE_FORCED)
        return {"diaObjectId": object_id, "diaSourcesList": sources, "diaForcedSourcesList": forced}
    return {
        "diaObjectId": object_id,
        "diaObject": records.dia_object if records else None,
        "diaSourcesList": sources,
        "diaForcedSourcesList": forced,
    }


def added_answer(
    database: Database, object_id: str, records: ObjectRecords | None, now_mjd: float, root_url: str, is_lite: bool
) -> Record | None:
    """Write the answer with Lasair's additions, newest first; None where `objects` has no such object.

    Raises
    ------
    RejectedError
        If a source is older than Lasair keeps cutouts: "'image_urls'", as Python puts a missing key.
    """
    rows = database.object_rows(int(object_id))
    columns = rows["objects"]
    if columns is None:
        return None
    newest_first = list(reversed(records.sources)) if records else []
    if any(now_mjd - float(source["midpointMjdTai"]) > MAX_CUTOUT_DAYS for source in newest_first):
        raise RejectedError("'image_urls'")
    kept = {name: columns[name] for name in columns if name not in _NOT_A_COLUMN_HERE}
    kept["timestamp"] = str(columns["timestamp"]).replace(" ", "T") if columns["timestamp"] else None
    data = {name: columns[name] for name in ("nDiaSources", "glat", "ebv")} if is_lite else kept
    data |= _place(columns["ra"], columns["decl"])
    data |= {
        "now_mjd": f"{now_mjd:.2f}",
        "mjdmin_ago": _ago(now_mjd, columns["firstDiaSourceMjdTai"]),
        "mjdmax_ago": _ago(now_mjd, columns["lastDiaSourceMjdTai"]),
        **_epochs(newest_first),
        "sherlock": rows["sherlock_classifications"] or {},
        "TNS": tns_block(rows["crossmatch_tns"]),
        "annotations": [
            {key: row[key] for key in _ANNOTATION} for row in database.annotations_of(int(object_id))
        ],
        "imageUrls": [_image_urls(source["diaSourceId"], root_url) for source in newest_first],
    }  # fmt: skip
    forced = list(reversed(records.forced)) if records else []
    return {
        "diaObjectId": object_id,
        "lasairData": data,
        "diaObject": {
            name: columns[name] for name in ("ra", "decl", "firstDiaSourceMjdTai", "lastDiaSourceMjdTai")
        },
        "diaSourcesList": lite(newest_first, LITE_SOURCE) if is_lite else newest_first,
        "diaForcedSourcesList": lite(forced, LITE_FORCED) if is_lite else forced,
    }  # fmt: skip


def _epochs(newest_first: Sequence[Mapping[str, object]]) -> Record:
    """Name the first, the last and the brightest source; what is called a magnitude is a flux, in nJy.

    The band beside the last one is that of the first: so Lasair has it.
    """
    if not newest_first:
        return {}
    first, last = newest_first[-1], newest_first[0]
    peak = max(newest_first, key=lambda source: float(source["psfFlux"]))
    named = _named("disc", first) | _named("latest", last) | _named("peak", peak)
    return named | {"latestFilter": first["band"]}


def _named(prefix: str, source: Mapping[str, object]) -> Record:
    mjd = float(source["midpointMjdTai"])
    return {
        f"{prefix}Mjd": mjd,
        f"{prefix}Utc": utc_text(mjd - MJD_MINUS_JD),
        f"{prefix}Mag": f"{source['psfFlux']:.2f}\u00b1{source['psfFluxErr']:.2f}",
        f"{prefix}Filter": source["band"],
    }


def _image_urls(source_id: object, root_url: str) -> Record:
    stem = f"{root_url}/fits/{source_id}_cutout"
    return {kind: f"{stem}{kind}" for kind in ("Science", "Template", "Difference")} | {"diaSourceId": source_id}


def _ago(now_mjd: float, mjd: float | None) -> float:
    return now_mjd - (mjd or 60000.0)  # what is not known counts as of 2023


def _place(ra_deg: float, dec_deg: float) -> Record:
    longitude_deg, latitude_deg = galactic_deg(ra_deg, dec_deg)
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    sin_latitude = math.sin(dec) * math.cos(_OBLIQUITY_RAD) - math.cos(dec) * math.sin(_OBLIQUITY_RAD) * math.sin(ra)
    ec_longitude = math.atan2(
        math.sin(ra) * math.cos(_OBLIQUITY_RAD) + math.tan(dec) * math.sin(_OBLIQUITY_RAD), math.cos(ra)
    )
    return {
        "rasex": _sexagesimal(ra_deg / 15),
        "decsex": _sexagesimal(dec_deg),
        "ec_lon": math.degrees(ec_longitude) % 360.0,
        "ec_lat": math.degrees(math.asin(max(-1.0, min(1.0, sin_latitude)))),
        "g_lon": longitude_deg,
        "g_lat": latitude_deg,
    }


def _sexagesimal(value: float) -> str:
    thousandths = round(abs(value) * 3_600_000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{'-' if value < 0 else ''}{minutes // 60:02d}:{minutes % 60:02d}:{rest / 1000:.3f}"
