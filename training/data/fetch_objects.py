"""`aha-train fetch lightcurves` and `fetch cutouts`: light curves and stamps of typed objects, object by object.

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

from annotator.bands import letters_of
from annotator.errors import (
    AhaError,
    ConfigError,
    LasairUnreachableError,
    RecordError,
    RejectedError,
)
from annotator.lasair.api import LasairApi
from annotator.lasair.cutouts import CutoutFetcher
from annotator.surveys import Survey
from annotator.tables.formulas import as_text
from annotator.tables.header import Columns
from annotator.transient import LightCurve, Transient, Triplet
from training.data.fetch_table import patiently, read_kept
from training.data.fetched_layouts import LAYOUTS, Layout
from training.data.given import read_given
from training.export.files import write_files

log = logging.getLogger(__name__)

LABELS = "lightcurve_labels.csv"
"""Name of the table of classes beside light curves."""
STAMPS = "cutouts"
"""Name of the stamps and of the table beside them."""
MAX_UNREACHABLE_IN_A_ROW = 3
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
        A survey's Lasair, with its budget of calls.
    table
        CSV with the objects' ids under the survey's own name, and `type` and `source_label` where they are known.
    out
        Parquet file to write: a row a measurement. Beside it come :data:`LABELS`, a row an object, and
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

    survey, layout = api.survey, LAYOUTS[api.survey.name]
    objects = read_objects(table, survey)
    _require_folder(out.parent)
    answers, result = _fetch_answers(api, list(objects), out.parent / layout.answers, wait, sleep)
    curves: dict[str, LightCurve] = {}
    for object_id, transient in _parsed(answers, survey, layout, result).items():
        if len(transient.light_curve.time_mjd):
            curves[object_id] = transient.light_curve
        else:
            result.failures[object_id] = "no detection that can be read of it"
    rows = [row for object_id, curve in curves.items() for row in layout.curve_rows(object_id, curve)]
    columns = {name: [row[number] for row in rows] for number, name in enumerate(layout.curve_types)}
    schema = pyarrow.schema({name: getattr(pyarrow, kind)() for name, kind in layout.curve_types.items()})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), buffer)
    result.found = len(curves)
    labels = [_label_row(survey, layout, object_id, curves[object_id], objects[object_id]) for object_id in curves]
    label_columns = (survey.id_column, "type", "source_label", "source", "label_source", "best_group")
    counted = tuple(f"n_{letter}" for letter in layout.letters)
    write_files(
        out.parent,
        [
            (LABELS, _csv((*label_columns, *counted), labels)),
            _failures(out, survey, result),
            (out.name, buffer.getvalue()),
        ],
    )
    return result


def fetch_cutouts(
    api: LasairApi,
    cutouts: CutoutFetcher,
    table: Path,
    out: Path,
    wait: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Build a set of triplets, of each object's brightest positive detection, or the deepest one of what fades.

    Parameters
    ----------
    api, table, wait, sleep
        As for :func:`fetch_lightcurves`.
    cutouts
        Fetches the stamps; its cache keeps what a run that ends early has fetched.
    out
        Folder for `cutouts.npz` (:class:`training.data.fetched_layouts.Layout`), `cutouts.csv`, a row a triplet in the
        same order, and `cutouts.failures.csv`.

    Raises
    ------
    ConfigError, QuotaError, LasairApiError
        As for :func:`fetch_lightcurves`.
    """
    survey, layout = api.survey, LAYOUTS[api.survey.name]
    objects = read_objects(table, survey)
    _require_folder(out)
    answers, result = _fetch_answers(api, list(objects), out / layout.answers, wait, sleep)
    triplets: dict[str, Triplet] = {}
    wanted: list[Transient] = []
    for object_id, transient in _parsed(answers, survey, layout, result).items():
        if transient.cutouts is None:
            result.failures[object_id] = transient.why_missing.get("triplet", "no detection with cutouts")
        else:
            wanted.append(transient)
    for start in range(0, len(wanted), _STAMPS_AT_A_TIME):
        part = wanted[start : start + _STAMPS_AT_A_TIME]
        for transient, outcome in zip(part, cutouts.fetch([item.cutouts for item in part]), strict=True):
            if (failure := _why_not(layout, outcome)) is None:
                triplets[transient.object_id] = outcome
            else:
                result.failures[transient.object_id] = failure
        log.info("stamps of %d objects", len(triplets))
    shown = {item.object_id: layout.shown(answers[item.object_id], item.cutouts.science) for item in wanted}
    result.found = len(triplets)
    buffer = io.BytesIO()
    arrays = layout.arrays(list(triplets.values()), [shown[object_id] for object_id in triplets], list(triplets))
    np.savez_compressed(buffer, **arrays)
    rows = [_stamp_row(survey, layout, object_id, shown[object_id], objects[object_id]) for object_id in triplets]
    write_files(
        out,
        [
            (f"{STAMPS}.csv", _csv(stamp_columns(survey), rows)),
            _failures(out / f"{STAMPS}.npz", survey, result),
            (f"{STAMPS}.npz", buffer.getvalue()),
        ],
    )
    return result


def read_objects(table: Path, survey: Survey) -> dict[str, Mapping[str, str]]:
    """Read which objects to fetch: object id, as text, to its row, in the table's order, each object once.

    Raises
    ------
    ConfigError
        If the table cannot be read, has no column of ids, or none of them is one. An id that is a number has to have
        all its digits: one that has gone through a spreadsheet's numbers is another object's.
    """
    columns = Columns((survey.id_column,), optional=("type", "source_label"))
    _, rows = read_given("--table", table, columns, "make it with aha-train fetch features")
    if not rows:
        raise ConfigError(f"--table {table}: expected at least one row, found none")
    objects: dict[str, Mapping[str, str]] = {}
    for row in rows:
        given = row[survey.id_column]
        object_id = survey.object_id({survey.id_column: given})
        if survey.id_is_number and given.strip() and not object_id:
            raise ConfigError(
                f"--table {table}: expected {survey.id_column} as whole numbers below 2^63, found {given!r}; make it "
                "with aha-train fetch features, and keep ids as text"
            )
        if object_id.isalnum():  # TNS:NAME is an object that ZTF, and Lasair-ZTF, has no name for
            objects.setdefault(object_id, row)
    if not objects:
        raise ConfigError(
            f"--table {table}: expected ids as {survey.name} has them, found {rows[0][survey.id_column]!r}"
        )
    return objects


def _fetch_answers(
    api: LasairApi, object_ids: Sequence[str], kept_in: Path, wait: bool, sleep: Callable[[float], None]
) -> tuple[dict[str, Mapping[str, Any]], Fetched]:
    """Ask for the objects that are not kept yet; those that Lasair refuses are asked for again in another run."""
    id_column, layout = api.survey.id_column, LAYOUTS[api.survey.name]
    kept_before = read_kept(kept_in, frozenset({id_column, layout.measurements}))
    answers: dict[str, Mapping[str, Any]] = {kept[id_column]: kept for kept in kept_before}
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
            if answer.get(layout.measurements) == []:  # as of an id that Lasair for Rubin does not know
                result.failures[object_id] = "Lasair has no detection of it"
                continue
            answers[object_id] = {**layout.what_is_read(answer), id_column: object_id}
            kept.write(json.dumps(answers[object_id]) + "\n")
            kept.flush()
            if done % 50 == 0:
                os.fsync(kept.fileno())
                log.info("%d of %d objects", done, len(object_ids))
        os.fsync(kept.fileno())
    return {object_id: answers[object_id] for object_id in object_ids if object_id in answers}, result


def _parsed(
    answers: Mapping[str, Mapping[str, Any]], survey: Survey, layout: Layout, result: Fetched
) -> dict[str, Transient]:
    transients = {}
    for object_id, answer in answers.items():
        if not isinstance(answer[layout.measurements], list):
            result.failures[object_id] = f"Lasair's answer holds no {layout.measurements}"
            continue
        try:
            transients[object_id] = survey.parse(answer)
        except RecordError as refusal:  # a known solar-system object, above all
            result.failures[object_id] = str(refusal)
    return transients


def _label_row(
    survey: Survey, layout: Layout, object_id: str, curve: LightCurve, row: Mapping[str, str]
) -> dict[str, object]:
    letters = letters_of(curve.detected().band).tolist()
    labels = {name: row.get(name) or "" for name in ("type", "source_label")}
    said = {"source": layout.source, "label_source": "", "best_group": "lasair"}
    counts = {f"n_{letter}": letters.count(letter) for letter in layout.letters}
    return {survey.id_column: object_id, **labels, **said, **counts}


def _why_not(layout: Layout, outcome: Triplet | AhaError) -> str | None:
    return layout.why_not(outcome) if isinstance(outcome, Triplet) else str(outcome)


def stamp_columns(survey: Survey) -> tuple[str, ...]:
    """Return the columns of the table beside the stamps."""
    layout = LAYOUTS[survey.name]
    known = ("type", "source_label", "simbad_class", "in_training_csv", "aha_pick", "source", "repo_licence")
    return (survey.id_column, *layout.of_stamps, *known, *layout.of_stamps_too)


def _stamp_row(
    survey: Survey, layout: Layout, object_id: str, shown: Mapping[str, Any], row: Mapping[str, str]
) -> dict[str, object]:
    numbers = {name: shown.get(name) for name in (*layout.of_stamps, *layout.of_stamps_too)}
    return {name: "" if value is None else value for name, value in numbers.items()} | {
        survey.id_column: object_id,
        "type": row.get("type") or "",
        "source_label": row.get("source_label") or "",
        "simbad_class": "",
        "in_training_csv": row.get("in_training_csv") or "",
        "aha_pick": True,
        "source": layout.source,
        "repo_licence": "",
    }


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"--out: there is no folder {folder}; make it first")


def _failures(out: Path, survey: Survey, result: Fetched) -> tuple[str, bytes]:
    rows = [{survey.id_column: object_id, "reason": reason} for object_id, reason in sorted(result.failures.items())]
    return f"{out.stem}.failures.csv", _csv((survey.id_column, "reason"), rows)


def _cell(value: object) -> object:
    return as_text(value) if isinstance(value, str) else value


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()
