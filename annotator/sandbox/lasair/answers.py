"""Lasair-ZTF's answer to `object`, from the sandbox's tables and light curves."""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.schema import UNIX_EPOCH_JD
from annotator.sandbox.sky.observe import Epoch

JD_MINUS_MJD = 2400000.5
_BANDS = {1: "g", 2: "r", 3: "i"}
_MESSAGE = "SIMULATED, or loaded by a test: the sandbox of aha-annotator, not Lasair."


def object_answer(
    database: Database,
    object_id: str,
    candidates: Iterable[Mapping[str, object]],
    now_jd: float,
    lasair_added: bool,
) -> dict[str, object] | None:
    """Write the answer of `object`; None where Lasair-ZTF has none.

    Its own additions need a row of `objects` and a light curve, whose objectId is told apart by its case. Without them
    there is always an answer: the epochs that are known, oldest first, maybe none. A NaN cannot be said.
    """
    rows = database.object_rows(object_id)
    columns = rows["objects"]
    candidates = sorted(candidates, key=lambda candidate: candidate["jd"], reverse=lasair_added)
    if any(value != value for item in candidates for value in item.values()):  # true of a NaN alone
        return None
    if not lasair_added:
        return {"objectId": object_id, "candidates": candidates, "forcedphot": []}
    if columns is None or not candidates:
        return None
    detections = [candidate for candidate in candidates if candidate.get("candid") is not None]
    now_mjd = now_jd - JD_MINUS_MJD
    # No features here: Lasair-ZTF's `object` has them not.
    data = {name: columns[name] for name in ("ncand", "ramean", "decmean", "glonmean", "glatmean", "jdmin", "jdmax")}
    data["now_mjd"] = f"{now_mjd:.2f}"
    for name in ("jdmin", "jdmax"):
        if columns[name] is not None:
            data[f"m{name}_ago"] = now_jd - columns[name]
    if detections:
        data |= _named("disc", detections[-1]) | _named("latest", detections[0])
        data |= _named("peak", min(detections, key=lambda candidate: candidate["magpsf"]))
    return {
        "objectId": object_id,
        "objectData": data,
        "candidates": [_with_dates(candidate, now_mjd) for candidate in candidates],
        "count_isdiffpos": sum(candidate.get("isdiffpos") == "f" for candidate in detections),
        "count_all_candidates": len(detections),
        "count_noncandidate": len(candidates) - len(detections),
        "forcedphot": [],
        "sherlock": _without(rows["sherlock_classifications"], "objectId"),
        "TNS": tns_block(rows["crossmatch_tns"]),
        "image_urls": detections[0].get("image_urls", {}) if detections else {},
        "message": _MESSAGE,
    }


def candidate(epoch: Epoch, cutouts_url: str) -> dict[str, object]:
    """Write one epoch as an item of `candidates`; an upper limit has its limit as magnitude, and no candid."""
    if epoch.candid is None:
        return {"jd": epoch.jd, "fid": epoch.fid, "diffmaglim": epoch.diffmaglim, "magpsf": epoch.diffmaglim}
    stem = f"{cutouts_url}/{int(epoch.jd - JD_MINUS_MJD)}/{epoch.candid}_cutout"
    return {
        "candid": epoch.candid,
        "jd": epoch.jd,
        "ra": epoch.ra,
        "dec": epoch.dec,
        "fid": epoch.fid,
        "nid": epoch.nid,
        "magpsf": epoch.magpsf,
        "sigmapsf": epoch.sigmapsf,
        "isdiffpos": epoch.isdiffpos,
        "ssdistnr": -999.0,
        "ssnamenr": "null",
        "drb": epoch.drb,
        "image_urls": {kind: f"{stem}{kind}.fits" for kind in ("Science", "Template", "Difference")},
    }


def _with_dates(item: Mapping[str, object], now_mjd: float) -> dict[str, object]:
    mjd = item["jd"] - JD_MINUS_MJD
    return {**item, "mjd": mjd, "since_now": now_mjd - mjd, "utc": utc_text(item["jd"])}


def _named(prefix: str, detection: Mapping[str, object]) -> dict[str, object]:
    return {
        f"{prefix}Mjd": f"{detection['jd'] - JD_MINUS_MJD:.2f}",
        f"{prefix}Utc": utc_text(detection["jd"]),
        f"{prefix}Mag": f"{detection['magpsf']:.2f}\u00b1{detection['sigmapsf']:.2f}",
        f"{prefix}Filter": _BANDS.get(detection["fid"], ""),
    }


def tns_block(row: Mapping[str, object] | None) -> dict[str, object]:
    """Write the block of the Transient Name Server, whose dates are in words."""
    if row is None:
        return {}
    kept = {name: value for name, value in row.items() if name not in ("ext_catalogs", "hostz", "htm16")}
    modified = kept.pop("lastmodified_date")
    return kept | {
        "id": 1,
        "cone_id": 1,
        "arcsec": 0.0,
        "disc_date": _date_in_words(row["disc_date"]),
        "disc_date_mjd": _mjd(row["disc_date"]),
        "lasairmodified_date": _date_in_words(modified),
    }


def _date(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)
    except ValueError:
        return None


def _date_in_words(text: object) -> str | None:
    """Write a date as in 1st November 2026 at 12:13:14."""
    date = _date(text)
    if date is None:
        return None
    ending = "th" if date.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(date.day % 10, "th")
    return f"{date.day}{ending} {date:%B %Y at %H:%M:%S}"


def _mjd(text: object) -> float | None:
    date = _date(text)
    return None if date is None else date.timestamp() / 86400.0 + UNIX_EPOCH_JD - JD_MINUS_MJD


def utc_text(jd: float) -> str:
    """Write a Julian date as a date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime((jd - UNIX_EPOCH_JD) * 86400))


def _without(row: Mapping[str, object] | None, name: str) -> dict[str, object]:
    return {key: value for key, value in (row or {}).items() if key != name}
