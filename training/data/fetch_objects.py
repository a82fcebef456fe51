"""`aha-train fetch lightcurves` and `fetch cutouts`: what the other two models are trained on, object by object.

Lasair answers one object a call, so that a set of thousands takes days on an ordinary account. Every answer is kept as
it arrives, in a file that both commands share where their outputs are in one folder: each object is asked for once.
"""

import csv
import io
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import AhaError, ConfigError, LasairUnreachableError, RejectedError, SolarSystemObjectError
from annotator.lasair.api import LasairApi
from annotator.lasair.cutouts import CutoutFetcher
from annotator.preprocess.triplet import CHANNELS
from annotator.surveys.values import JD_MINUS_MJD
from annotator.surveys.ztf.candidates import FILTERS
from annotator.surveys.ztf.record import ZTF
from annotator.surveys.ztf.tables import (
    DETECTION,
    FETCHED_WITH_CUTOUTS,
    FETCHED_WITH_CUTOUTS_TOO,
    LIGHT_CURVE_COLUMNS,
)
from annotator.tables.header import Columns
from annotator.transient import LightCurve, Transient, Triplet
from training.data.fetch_table import patiently, read_kept
from training.data.given import read_given
from training.export.files import write_files

log = logging.getLogger(__name__)

ANSWER_KEYS = frozenset({ZTF.id_column, "candidates"})
ANSWERS = "object-answers.jsonl"
"""Name of the file in which Lasair's answers are kept, beside what is made of them."""
SIDE = 63
"""Pixels of a stamp's side in the set; ZTF's stamps at a detector's edge are smaller and left out."""
SOURCE = "Lasair-ZTF"
MAX_UNREACHABLE_IN_A_ROW = 3

CURVE_COLUMNS = (*LIGHT_CURVE_COLUMNS, "source", "group", "repo_licence")
LABEL_COLUMNS = (OBJECT_ID_KEY, "type", "source_label", "source", "label_source", "best_group", "n_g", "n_r")
STAMP_COLUMNS = (
    *(OBJECT_ID_KEY, *FETCHED_WITH_CUTOUTS, "type", "source_label", "simbad_class", "in_training_csv", "aha_pick"),
    *("source", "repo_licence", *FETCHED_WITH_CUTOUTS_TOO),
)
_STAMPS_AT_A_TIME = 64


@dataclass
class Fetched:
    """What became of a list of objects."""

    found: int = 0
    """How many are in the set."""
    failures: dict[str, str] = field(default_factory=dict)
    """Object id to why it is not in the set."""


def fetch_lightcurves(
    api: LasairApi, table: Path, out: Path, wait: bool = False, sleep: Callable[[float], None] = time.sleep
) -> Fetched:
    """Build a set of light curves.

    Parameters
    ----------
    api
        Lasair-ZTF, with its budget of calls.
    table
        CSV with the objects' ids under :data:`OBJECT_ID_KEY`, and `type` and `source_label` where they are known.
    out
        Parquet file to write: a row a detection. Beside it come `lightcurve_labels.csv`, a row an object, and
        `NAME.failures.csv`, which says what is not in the set and why.
    wait, sleep
        As for :func:`training.data.fetch_table.fetch_features`.

    Raises
    ------
    ConfigError
        If the table cannot be read, or there is no folder to write to.
    QuotaError, LasairApiError
        As for :func:`training.data.fetch_table.fetch_features`: what was read is kept.
    """
    import pyarrow
    import pyarrow.parquet

    objects = read_objects(table)
    _require_folder(out.parent)
    answers, result = _fetch_answers(api, list(objects), out.parent / ANSWERS, wait, sleep)
    curves: dict[str, LightCurve] = {}
    for object_id, transient in _parsed(answers, result).items():
        if len(transient.light_curve.time_mjd):
            curves[object_id] = transient.light_curve
        else:
            result.failures[object_id] = "no detection with a date, a filter, a magnitude and a sign"
    rows = [row for object_id, curve in curves.items() for row in _curve_rows(object_id, curve)]
    schema = pyarrow.schema(
        {name: pyarrow.string() for name in CURVE_COLUMNS}
        | {DETECTION.time_jd: pyarrow.float64(), DETECTION.band_number: pyarrow.int8()}
        | {DETECTION.magnitude: pyarrow.float32(), DETECTION.magnitude_error: pyarrow.float32()}
    )
    columns = {name: [row[number] for row in rows] for number, name in enumerate(CURVE_COLUMNS)}
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), buffer)
    result.found = len(curves)
    labels = [_label_row(object_id, curves[object_id], objects[object_id]) for object_id in curves]
    _write_csv(out.parent / "lightcurve_labels.csv", LABEL_COLUMNS, labels)
    _write_failures(out, result)
    write_files(out.parent, [(out.name, buffer.getvalue())])
    return result


def fetch_cutouts(
    api: LasairApi,
    cutouts: CutoutFetcher,
    table: Path,
    out: Path,
    wait: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Build a set of triplets: of each object the stamps of its brightest positive detection.

    Parameters
    ----------
    api, table, wait, sleep
        As for :func:`fetch_lightcurves`.
    cutouts
        Fetches the stamps; its cache keeps what a run that ends early has fetched.
    out
        Folder for `cutouts.npz` (science, template, difference ``(n, 63, 63)`` float32 and the candidates' ids),
        `cutouts.csv`, a row a triplet in the same order, and `cutouts.failures.csv`.

    Raises
    ------
    ConfigError, QuotaError, LasairApiError
        As for :func:`fetch_lightcurves`.
    """
    objects = read_objects(table)
    _require_folder(out)
    answers, result = _fetch_answers(api, list(objects), out / ANSWERS, wait, sleep)
    triplets: dict[str, Triplet] = {}
    wanted: list[Transient] = []
    for object_id, transient in _parsed(answers, result).items():
        if transient.cutouts is None:
            result.failures[object_id] = transient.why_missing.get("triplet", "no detection with cutouts")
        else:
            wanted.append(transient)
    for start in range(0, len(wanted), _STAMPS_AT_A_TIME):
        part = wanted[start : start + _STAMPS_AT_A_TIME]
        for transient, outcome in zip(part, cutouts.fetch([item.cutouts for item in part]), strict=True):
            if (failure := _why_not(outcome)) is None:
                triplets[transient.object_id] = outcome
            else:
                result.failures[transient.object_id] = failure
        log.info("stamps of %d objects", len(triplets))
    shown = {item.object_id: _shown(answers[item.object_id], item.cutouts.science) for item in wanted}
    result.found = len(triplets)
    arrays = {
        kind: np.array([getattr(triplet, kind) for triplet in triplets.values()], dtype=np.float32).reshape(
            -1, SIDE, SIDE
        )
        for kind in CHANNELS
    }
    ids = [int(shown[object_id].get(DETECTION.candidate_id) or 0) for object_id in triplets]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, **{DETECTION.candidate_id: np.array(ids, dtype=np.int64)})
    rows = [_stamp_row(object_id, shown[object_id], objects[object_id]) for object_id in triplets]
    _write_csv(out / "cutouts.csv", STAMP_COLUMNS, rows)
    _write_failures(out / "cutouts.npz", result)
    write_files(out, [("cutouts.npz", buffer.getvalue())])
    return result


def read_objects(table: Path) -> dict[str, Mapping[str, str]]:
    """Read which objects to fetch: object id to its row, in the table's order, each object once.

    Raises
    ------
    ConfigError
        If the table cannot be read, has no column :data:`OBJECT_ID_KEY`, or an id is none of ZTF's letters and digits.
    """
    columns = Columns((OBJECT_ID_KEY,), optional=("type", "source_label"))
    _, rows = read_given("--table", table, columns, "make it with aha-train fetch features")
    if not rows:
        raise ConfigError(f"--table {table}: expected at least one row, found none")
    objects: dict[str, Mapping[str, str]] = {}
    for row in rows:
        if row[OBJECT_ID_KEY].isalnum():  # TNS:NAME is an object that ZTF, and Lasair-ZTF, has no name for
            objects.setdefault(row[OBJECT_ID_KEY], row)
    if not objects:
        raise ConfigError(f"--table {table}: expected ids such as ZTF20abcdefg, found {rows[0][OBJECT_ID_KEY]!r}")
    return objects


def _fetch_answers(
    api: LasairApi, object_ids: Sequence[str], kept_in: Path, wait: bool, sleep: Callable[[float], None]
) -> tuple[dict[str, Mapping[str, Any]], Fetched]:
    """Ask for the objects that are not kept yet; those that Lasair refuses are asked for again in another run."""
    answers: dict[str, Mapping[str, Any]] = {kept[ZTF.id_column]: kept for kept in read_kept(kept_in, ANSWER_KEYS)}
    result = Fetched()
    unreachable_in_a_row = 0
    with open(kept_in, "a", encoding="utf-8") as kept:
        for done, object_id in enumerate(object_ids, start=1):
            if object_id in answers:
                continue
            try:
                answer = patiently(lambda asked=object_id: api.object(asked), wait, sleep)
            except RejectedError as error:
                result.failures[object_id] = str(error)
                continue
            except LasairUnreachableError as error:
                unreachable_in_a_row += 1
                if unreachable_in_a_row == MAX_UNREACHABLE_IN_A_ROW:
                    raise LasairUnreachableError(
                        f"{error}; what was read is kept: run the same command again"
                    ) from error
                result.failures[object_id] = str(error)
                continue
            unreachable_in_a_row = 0
            answers[object_id] = {ZTF.id_column: object_id, "candidates": answer.get("candidates")}
            kept.write(json.dumps(answers[object_id]) + "\n")
            kept.flush()
            if done % 50 == 0:
                os.fsync(kept.fileno())
                log.info("%d of %d objects", done, len(object_ids))
        os.fsync(kept.fileno())
    return {object_id: answers[object_id] for object_id in object_ids if object_id in answers}, result


def _parsed(answers: Mapping[str, Mapping[str, Any]], result: Fetched) -> dict[str, Transient]:
    transients = {}
    for object_id, answer in answers.items():
        if not isinstance(answer["candidates"], list):
            result.failures[object_id] = "Lasair's answer holds no candidates"
            continue
        try:
            transients[object_id] = ZTF.parse(answer)
        except SolarSystemObjectError as refusal:
            result.failures[object_id] = str(refusal)
    return transients


def _curve_rows(object_id: str, curve: LightCurve) -> Iterable[tuple[object, ...]]:
    band_number = {band.name: number for number, band in FILTERS.items()}
    for time_mjd, band, magnitude, error, is_positive in zip(
        curve.time_mjd, curve.band, curve.magnitude, curve.magnitude_error, curve.is_positive, strict=True
    ):
        sign = "t" if is_positive else "f"
        yield object_id, time_mjd + JD_MINUS_MJD, band_number[band], magnitude, error, sign, SOURCE, "lasair", ""


def _label_row(object_id: str, curve: LightCurve, row: Mapping[str, str]) -> dict[str, object]:
    counts = {f"n_{letter}": int((curve.band == f"z{letter}").sum()) for letter in "gr"}
    labels = {name: row.get(name) or "" for name in ("type", "source_label")}
    said = {"source": SOURCE, "label_source": "", "best_group": "lasair"}
    return {OBJECT_ID_KEY: object_id, **labels, **said, **counts}


def _why_not(outcome: Triplet | AhaError) -> str | None:
    if not isinstance(outcome, Triplet):
        return str(outcome)
    shapes = {stamp.shape for stamp in (outcome.science, outcome.template, outcome.difference)}
    if shapes != {(SIDE, SIDE)}:
        return f"its stamps are not {SIDE}x{SIDE}: {', '.join(f'{rows}x{columns}' for rows, columns in sorted(shapes))}"
    return None


def _shown(answer: Mapping[str, Any], science_url: str) -> Mapping[str, Any]:
    """Find the detection that a stamp is of."""
    return next(
        item
        for item in answer["candidates"]
        if isinstance(item, Mapping)
        and isinstance(item.get("image_urls"), Mapping)
        and item["image_urls"].get("Science") == science_url
    )


def _stamp_row(object_id: str, shown: Mapping[str, Any], row: Mapping[str, str]) -> dict[str, object]:
    numbers = {name: shown.get(name) for name in (*FETCHED_WITH_CUTOUTS, *FETCHED_WITH_CUTOUTS_TOO)}
    return {name: "" if value is None else value for name, value in numbers.items()} | {
        OBJECT_ID_KEY: object_id,
        "type": row.get("type") or "",
        "source_label": row.get("source_label") or "",
        "simbad_class": "",
        "in_training_csv": row.get("in_training_csv") or "",
        "aha_pick": True,
        "source": SOURCE,
        "repo_licence": "",
    }


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"--out: there is no folder {folder}; make it first")


def _write_failures(out: Path, result: Fetched) -> None:
    rows = [{OBJECT_ID_KEY: object_id, "reason": reason} for object_id, reason in sorted(result.failures.items())]
    _write_csv(out.with_name(f"{out.stem}.failures.csv"), (OBJECT_ID_KEY, "reason"), rows)


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_files(path.parent, [(path.name, text.getvalue().encode())])
