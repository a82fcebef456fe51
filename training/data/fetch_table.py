"""`aha-train fetch features`: the labelled table of a survey's typed objects, read from its Lasair.

Of ZTF it is what the object-feature model is trained on: classes and join follow AHA's description of its databank;
unlike AHA's, rows with missing values stay, since the model takes them. Of Rubin it is a list of all objects with a
type, whose light curves are fetched then: no model has its columns as inputs.
"""

import csv
import io
import json
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from annotator.errors import ConfigError, QuotaError, SourceError
from annotator.lasair.api import LasairApi
from annotator.surveys.lsst.tables import (
    TYPED_COLUMNS,
    TYPED_CONDITION,
    TYPED_SELECTED,
    TYPED_TABLES,
    apart_deg,
)
from annotator.surveys.survey import Survey
from annotator.surveys.ztf.tables import DATABANK_TABLES, OBJECT
from annotator.tables.formulas import as_text
from training.data.classified_curves import EXOTIC_KINDS
from training.data.table import EXOTIC
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

PAGE_ROWS = 1000
QUOTA_PAUSE_S = 300.0
"""How long `--wait` sleeps before it looks whether the hour has room again."""


PAGE_KEYS = frozenset({"label", "rows", "last"})

OTHER = "Other"
"""Label of a type that is none of the classes, as an active galactic nucleus of Rubin's is none."""

_PREFIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {label: tuple(pattern.rstrip("%") for pattern in patterns) for label, patterns in CLASSES.items()}
    | {EXOTIC: EXOTIC_KINDS}
)


@dataclass(frozen=True)
class Typed:
    """What is asked for of a survey's typed objects, and how the table of them is laid out."""

    selected: str
    tables: str
    conditions: Mapping[str, str]
    """In SQL, of what is asked for one after the other, by name."""
    read: tuple[str, ...]
    """What an answer's rows have to have."""
    columns: tuple[str, ...]
    """Of the table; `source_label` follows."""
    rank: Callable[[Mapping[str, Any]], float]
    """Of several rows of one object the one with the highest counts."""
    label: Callable[[str, Mapping[str, Any]], str]
    """Of a row, by the name of what was asked for."""
    laid_out: Callable[[Mapping[str, Any]], Mapping[str, object]]
    """Make the table's columns of a row."""


def label_of(kind: str) -> str:
    """Return the class that a spectroscopic type is of, :data:`OTHER` of all that is neither normal nor looked for."""
    return next((label for label, prefixes in _PREFIXES.items() if kind.startswith(prefixes)), OTHER)


def fetch_features(
    api: LasairApi, out: Path, wait: bool = False, sleep: Callable[[float], None] = time.sleep
) -> Mapping[str, int]:
    """Build the labelled table.

    Every page is kept in `out` + ".part" as it arrives; a run that ends early goes on from there. The table itself
    appears at once when it is complete.

    Parameters
    ----------
    api
        A survey's Lasair, with its budget of calls.
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
    typed, survey = TYPED[api.survey.name], api.survey
    pages = [page for page in read_kept(part, PAGE_KEYS) if page["label"] in typed.conditions]
    with open(part, "a", encoding="utf-8") as kept:
        for name in typed.conditions:
            for page in _missing_pages(api, typed, name, pages, wait, sleep):
                kept.write(json.dumps(page) + "\n")
                kept.flush()
                os.fsync(kept.fileno())
                pages.append(page)
                log.info("%s: %d rows", name, sum(len(p["rows"]) for p in pages if p["label"] == name))
    objects = _best_rows(pages, survey, typed.rank)
    labels = {object_id: typed.label(name, row) for object_id, (name, row) in objects.items()}
    _write_table(out, typed, [(labels[object_id], objects[object_id][1]) for object_id in sorted(objects)])
    part.unlink()
    return dict.fromkeys(CLASSES, 0) | Counter(labels.values())


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
    typed: Typed,
    name: str,
    pages: list[dict[str, Any]],
    wait: bool,
    sleep: Callable[[float], None],
) -> Iterator[dict[str, Any]]:
    """Ask page by page in the order of their ids, from where the last page ended."""
    survey = api.survey
    done = [page for page in pages if page["label"] == name]
    if done and done[-1]["last"]:
        return
    known = (survey.object_id(row) for page in done for row in page["rows"])
    after = max(known, key=survey.id_value, default="0" if survey.id_is_number else "")
    while True:
        conditions = f"({typed.conditions[name]}) AND {survey.id_sql} > {survey.id_literal(after)}"
        ordered = f"{conditions} ORDER BY {survey.id_sql}"
        rows = patiently(lambda asked=ordered: api.query(typed.selected, typed.tables, asked, PAGE_ROWS), wait, sleep)
        last = len(rows) < PAGE_ROWS
        for row in rows:
            missing = [column for column in typed.read if column not in row]
            if missing or not survey.object_id(row).isalnum():
                raise SourceError(f"Lasair's answer lacks {', '.join(missing) or f'a plain {survey.id_column}'}: {row}")
        yield {"label": name, "rows": rows, "last": last}
        if last:
            return
        after = survey.object_id(rows[-1])


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


def _best_rows(
    pages: list[dict[str, Any]], survey: Survey, rank: Callable[[Mapping[str, Any]], float]
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Keep one row an object: the one that ranks highest."""
    best: dict[str, tuple[str, dict[str, Any]]] = {}
    for page in pages:
        for row in page["rows"]:
            object_id = survey.object_id(row)
            if object_id not in best or rank(row) > rank(best[object_id][1]):
                best[object_id] = (page["label"], row)
    return best


def _reliability(row: Mapping[str, Any]) -> float:
    """Return how reliable Sherlock's class is: 1 is the best of its ranks."""
    value = row[OBJECT.sherlock_rank]
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else -math.inf


def _write_table(out: Path, typed: Typed, labelled: list[tuple[str, Mapping[str, Any]]]) -> None:
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, [*typed.columns, "source_label"], lineterminator="\n")
    writer.writeheader()
    for label, row in labelled:
        writer.writerow(
            {name: _cell(value) for name, value in typed.laid_out(row).items()} | {"source_label": _cell(label)}
        )
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
    """Return a table's cell: empty for null, NaN and infinity; no spreadsheet takes a text for a formula."""
    if isinstance(value, str):
        return as_text(value)
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else value


def _class_in_sql(patterns: tuple[str, ...]) -> str:
    types = " OR ".join(f"crossmatch_tns.type LIKE '{pattern}'" for pattern in patterns)
    return f"({types}) AND objects.{OBJECT.colour} IS NOT NULL"


TYPED: Mapping[str, Typed] = MappingProxyType(
    {
        "ztf": Typed(
            selected=", ".join(f"{table}.{name}" for table, names in DATABANK_TABLES.items() for name in names),
            tables=", ".join(DATABANK_TABLES),
            conditions={label: _class_in_sql(patterns) for label, patterns in CLASSES.items()},
            read=_READ,
            columns=COLUMNS,
            rank=_reliability,
            label=lambda name, row: name,
            laid_out=_enriched,
        ),
        "lsst": Typed(
            selected=TYPED_SELECTED,
            tables=TYPED_TABLES,
            conditions={"typed": TYPED_CONDITION},
            read=TYPED_COLUMNS,
            columns=TYPED_COLUMNS,
            rank=lambda row: -apart_deg(row),  # several transients of TNS may be near one object
            label=lambda name, row: label_of(row["type"]),
            laid_out=lambda row: {name: row[name] for name in TYPED_COLUMNS},
        ),
    }
)
"""By survey."""
