"""`aha-train fetch features`: the labelled table that the object-feature model is trained on, read from Lasair-ZTF.

The classes and the join follow AHA's description of its databank; unlike AHA's, rows with missing values stay, since
the model takes them.
"""

import csv
import io
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from annotator.errors import ConfigError, QuotaError, SourceError
from annotator.lasair.api import LasairApi
from annotator.surveys.ztf.record import ZTF
from annotator.surveys.ztf.tables import DATABANK_TABLES, OBJECT
from training.export.files import write_files

log = logging.getLogger(__name__)

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "SN Ia": ("SN Ia%",),
        "SN II": ("SN II%",),
        "SN Ib/c": ("SN Ib%", "SN Ic%"),
        "Exotic": ("TDE%", "SLSN%", "Kilonova%", "AGN%"),
    }
)
"""AHA's four classes as patterns of the TNS type."""

GALACTIC_PLANE_DEG = 15.0
"""Below this galactic latitude the databank's `galactic_plane` says yes."""

UNKNOWN = -999.0
"""How the databank writes an unknown redshift or size."""

_READ = tuple(name for names in DATABANK_TABLES.values() for name in names)

COLUMNS = (*_READ[:-1], "galactic_plane", "g_r_days_from_fl", _READ[-1])
"""The table's columns in order, the redshift after what is derived; `source_label` follows."""

SELECTED = ", ".join(f"{table}.{name}" for table, names in DATABANK_TABLES.items() for name in names)
TABLES = ", ".join(DATABANK_TABLES)
PAGE_ROWS = 1000
QUOTA_PAUSE_S = 300.0
"""How long `--wait` sleeps before it looks whether the hour has room again."""


PAGE_KEYS = frozenset({"label", "rows", "last"})


def fetch_features(
    api: LasairApi, out: Path, wait: bool = False, sleep: Callable[[float], None] = time.sleep
) -> Mapping[str, int]:
    """Build the labelled table.

    Every page is kept in `out` + ".part" as it arrives; a run that ends early goes on from there. The table itself
    appears at once when it is complete.

    Parameters
    ----------
    api
        Lasair-ZTF, with its budget of calls.
    out
        The `.csv` file to write.
    wait
        Sleep where the hour's calls are used up, instead of ending.
    sleep
        How to sleep.

    Returns
    -------
    Mapping
        Objects of each class.

    Raises
    ------
    QuotaError
        If the calls are used up and `wait` is off: run the same command again later.
    LasairApiError
        If Lasair does not answer; what was read stays.
    SourceError
        If an answer lacks the columns asked for, or the file in part is damaged.
    """
    if not out.parent.is_dir():
        raise ConfigError(f"cannot write {out}: there is no folder {out.parent}")
    part = out.with_name(out.name + ".part")
    pages = read_kept(part, PAGE_KEYS)
    with open(part, "a", encoding="utf-8") as kept:
        for label, patterns in CLASSES.items():
            for page in _missing_pages(api, label, patterns, pages, wait, sleep):
                kept.write(json.dumps(page) + "\n")
                kept.flush()
                os.fsync(kept.fileno())
                pages.append(page)
                log.info("%s: %d rows", label, sum(len(p["rows"]) for p in pages if p["label"] == label))
    objects = _best_rows(pages)
    _write_table(out, objects)
    part.unlink()
    counts = dict.fromkeys(CLASSES, 0)
    for label, _ in objects.values():
        counts[label] += 1
    return counts


def read_kept(kept_in: Path, keys: frozenset[str]) -> list[dict[str, Any]]:
    """Read what an earlier run kept, an answer a line; what comes after a line cut off in writing is dropped.

    Parameters
    ----------
    keys
        What each answer has.
    """
    answers: list[dict[str, Any]] = []
    if not kept_in.exists():
        return answers
    complete = 0
    with open(kept_in, "rb") as kept:
        for line in kept:
            try:
                answer = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n") or not isinstance(answer, dict) or not keys <= set(answer):
                break
            answers.append(answer)
            complete += len(line)
    os.truncate(kept_in, complete)
    return answers


def _missing_pages(
    api: LasairApi,
    label: str,
    patterns: tuple[str, ...],
    pages: list[dict[str, Any]],
    wait: bool,
    sleep: Callable[[float], None],
) -> Iterator[dict[str, Any]]:
    """Ask for a class page by page in the order of their ids, from where the last page ended."""
    done = [page for page in pages if page["label"] == label]
    if done and done[-1]["last"]:
        return
    after = max((row[ZTF.id_column] for page in done for row in page["rows"]), default="")
    types = " OR ".join(f"crossmatch_tns.type LIKE '{pattern}'" for pattern in patterns)
    while True:
        conditions = f"({types}) AND objects.{OBJECT.colour} IS NOT NULL AND {ZTF.id_sql} > '{after}'"
        ordered = f"{conditions} ORDER BY {ZTF.id_sql}"
        rows = patiently(lambda asked=ordered: api.query(SELECTED, TABLES, asked, PAGE_ROWS), wait, sleep)
        last = len(rows) < PAGE_ROWS
        for row in rows:
            missing = [name for name in _READ if name not in row]
            if missing or not str(row[ZTF.id_column]).isalnum():
                raise SourceError(f"Lasair's answer lacks {', '.join(missing) or f'a plain {ZTF.id_column}'}: {row}")
        yield {"label": label, "rows": rows, "last": last}
        if last:
            return
        after = rows[-1][ZTF.id_column]


def patiently(call: Callable[[], Any], wait: bool, sleep: Callable[[float], None]) -> Any:
    """Make a call; where the hour's calls are used up, sleep and try again if `wait`, else raise QuotaError."""
    while True:
        try:
            return call()
        except QuotaError as error:
            if not wait:
                raise QuotaError(
                    f"{error}; what was read is kept: run the same command again, or use --wait"
                ) from error
            log.info("%s; sleeping", error)
            sleep(QUOTA_PAUSE_S)


def _best_rows(pages: list[dict[str, Any]]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Keep one row an object: the one whose Sherlock class is the most reliable (1 is the best of Sherlock's ranks)."""
    best: dict[str, tuple[str, dict[str, Any]]] = {}
    for page in pages:
        for row in page["rows"]:
            held = best.get(row[ZTF.id_column])
            if held is None or _reliability(row) > _reliability(held[1]):
                best[row[ZTF.id_column]] = (page["label"], row)
    return best


def _reliability(row: Mapping[str, Any]) -> float:
    value = row[OBJECT.sherlock_rank]
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else -math.inf


def _write_table(out: Path, objects: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, [*COLUMNS, "source_label"], lineterminator="\n")
    writer.writeheader()
    for object_id in sorted(objects):
        label, row = objects[object_id]
        writer.writerow({name: _cell(value) for name, value in _enriched(row).items()} | {"source_label": label})
    write_files(out.parent, [(out.name, table.getvalue().encode())])


def _enriched(row: Mapping[str, Any]) -> dict[str, Any]:
    """Add the databank's derived columns, and its sentinel where a redshift or a size is unknown."""
    latitude, colour_jd, first_jd = row[OBJECT.galactic_latitude], row[OBJECT.colour_jd], row[OBJECT.first_jd]
    return {name: row[name] for name in _READ} | {
        "galactic_plane": "" if latitude is None else "yes" if abs(latitude) < GALACTIC_PLANE_DEG else "no",
        "g_r_days_from_fl": None if colour_jd is None or first_jd is None else colour_jd - first_jd,
        "z": UNKNOWN if _cell(row["z"]) == "" else row["z"],
        OBJECT.host_size: UNKNOWN if _cell(row[OBJECT.host_size]) == "" else row[OBJECT.host_size],
    }


def _cell(value: object) -> object:
    """Return a table's cell: empty for null, NaN and infinity."""
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else value
