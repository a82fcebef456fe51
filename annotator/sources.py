"""Where objects come from: recorded files and the query API. Each yields batches of records with a position."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from annotator.errors import RecordError, SourceError
from annotator.filter_files import FilterFile

BATCH_RECORDS = 500
"""Records of a file that are scored and written to the ledger at a time."""


@dataclass(frozen=True)
class Unreadable:
    """Text that stands where a record should, and why it is none."""

    reason: str
    text: str


@dataclass(frozen=True)
class Batch:
    """Records that belong together: when they are in the ledger, the source has been read up to `position`."""

    records: list[object]
    """What the survey's parser takes, or :class:`Unreadable`."""
    position: str | None = None


def read_records(path: Path | str, stdin: BinaryIO | None = None) -> Iterator[object]:
    """Read a file of records one by one, in order.

    Parameters
    ----------
    path
        JSON lines, a JSON array, one JSON object, a table of flat rows (`.csv`), or "-" for standard input.
    stdin
        What "-" means.

    Yields
    ------
    object
        Each record, or :class:`Unreadable` for a line that is not JSON.

    Raises
    ------
    SourceError
        If the file cannot be opened, or holds nothing that is JSON.
    """
    if str(path) == "-":
        lines = io.TextIOWrapper(stdin or sys.stdin.buffer, encoding="utf-8-sig", errors="replace")
        try:
            yield from _read_json("standard input", lines)
        finally:
            lines.detach()  # standard input is not ours to close
        return
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as lines:
            read = _read_table if Path(path).suffix.lower() == ".csv" else _read_json
            yield from read(str(path), lines)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


def _read_table(name: str, lines: TextIO) -> Iterator[object]:
    csv.field_size_limit(10_000_000)
    rows = csv.DictReader(lines)
    try:
        if not rows.fieldnames:
            raise SourceError(f"{name} has no header line: its first line must name the columns")
        for row in rows:
            # An empty cell is an absent value; cells beyond the header's have no name.
            yield {column: value for column, value in row.items() if column is not None and value not in ("", None)}
    except csv.Error as error:
        raise SourceError(f"{name} is not a table, line {rows.line_num}: {error}") from error


def _read_json(name: str, lines: TextIO) -> Iterator[object]:
    """Decide by the first line whether this is JSON lines, which are read one at a time, or one document."""
    first = next((line for line in lines if line.strip()), "")
    if not first:
        return
    record = decoded(first)
    if not isinstance(record, Unreadable | list):
        yield record
        yield from _json_lines(lines)
        return
    text = first + lines.read()
    document = decoded(text)
    if isinstance(document, list):
        yield from document
    elif not isinstance(document, Unreadable):
        yield document
    elif first.lstrip().startswith("["):
        raise SourceError(f"{name} begins as a JSON array but is none: {document.reason}")
    else:
        records = list(_json_lines(text.splitlines()))
        if all(isinstance(record, Unreadable) for record in records):
            raise SourceError(f"{name} is neither JSON lines nor one JSON document: {document.reason}")
        yield from records


def _json_lines(lines: Iterable[str]) -> Iterator[object]:
    return (decoded(line.strip()) for line in lines if line.strip())


def decoded(text: str) -> object:
    """Decode JSON as Lasair writes it, literal NaN included."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        return Unreadable(f"not JSON: {error}", text)
    except RecursionError:
        return Unreadable("not JSON that can be read: nested too deeply", text)
    except ValueError as error:  # a number of more digits than Python converts
        return Unreadable(f"not JSON that can be read: {str(error).split(';')[0]}", text)


def file_batches(path: Path) -> Iterator[Batch]:
    """Read a recorded file in batches; unchanged objects are skipped later, so it has no position to keep."""
    records: list[object] = []
    for record in read_records(path):
        records.append(record)
        if len(records) == BATCH_RECORDS:
            yield Batch(records)
            records = []
    if records:
        yield Batch(records)


Query = Callable[[str, str, str, int], list[dict[str, Any]]]
"""selected, tables, conditions, limit -> rows."""

_SURE_ROWS = 1000
# Lasair caps the rows of an answer by the token's level, 1,000 at the least: only a shorter page is surely the last.


def query_batches(
    query: Query, input_filter: FilterFile, page_rows: int, reread_days: float, position: str | None
) -> Iterator[Batch]:
    """Run the input filter page by page, oldest alert first.

    Pages follow (jdmax, objectId), not a row offset: an object that gets a new alert meanwhile moves to the end and is
    read again, and none is passed over.

    Parameters
    ----------
    query
        The API's query.
    input_filter
        Has to select jdmax and objectId, and not to order its rows.
    page_rows
        Rows to ask for in one call.
    reread_days
        How far before `position` to begin.
    position
        Where an earlier pass got to; None to read all that the filter gives.

    Raises
    ------
    SourceError
        If the filter cannot be paged, or its rows lack what pages are made by.
    """
    if re.search(r"\border\s+by\b", input_filter.conditions, re.IGNORECASE):
        raise SourceError(f"the input filter {input_filter.name} must not have ORDER BY: pages set their own order")
    newest_jd = _newest(position)
    after = "" if newest_jd is None else f"objects.jdmax > {newest_jd - reread_days!r}"
    while True:
        conditions = f"({input_filter.conditions})" + (f" AND {after}" if after else "")
        rows = query(
            input_filter.selected,
            input_filter.tables,
            f"{conditions} ORDER BY objects.jdmax, objects.objectId",
            page_rows,
        )
        if not rows:
            return
        jd, object_id = _page_end(rows, input_filter.name)
        newest_jd = jd if newest_jd is None else max(jd, newest_jd)
        yield Batch(list(rows), json.dumps({"jdmax": newest_jd}))
        if len(rows) < min(page_rows, _SURE_ROWS):
            return
        after = f"(objects.jdmax > {jd!r} OR (objects.jdmax = {jd!r} AND objects.objectId > '{object_id}'))"


def _newest(position: str | None) -> float | None:
    if position is None:
        return None
    try:
        return float(json.loads(position)["jdmax"])
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"the ledger's position of the query source is unreadable: {position!r}") from error


def _page_end(rows: list[dict[str, Any]], filter_name: str) -> tuple[float, str]:
    """Find the last row's sort key, which the next page goes on from."""
    keys = [
        (float(row["jdmax"]), row["objectId"])
        for row in rows
        if isinstance(row.get("jdmax"), int | float) and isinstance(row.get("objectId"), str)
    ]
    # The id goes into SQL text; Lasair's are letters and digits.
    keys = [(jd, object_id) for jd, object_id in keys if jd == jd and re.fullmatch("[A-Za-z0-9]+", object_id)]
    if not keys:
        raise SourceError(
            f"rows of the input filter {filter_name} have no jdmax and objectId: select both under these names"
        )
    return max(keys)


def record_name(record: object) -> str:
    """Return the object id that a refused record claims, or an empty text."""
    object_id = record.get("objectId") if isinstance(record, Mapping) else None
    return object_id if isinstance(object_id, str) else ""


def readable(record: object) -> object:
    """Pass a record on; raise RecordError for text that is none."""
    if isinstance(record, Unreadable):
        raise RecordError(record.reason)
    return record
