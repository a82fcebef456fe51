"""Recorded files of records."""

import csv
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from annotator.errors import SourceError
from annotator.sources.records import Batch, Unreadable, decoded

BATCH_RECORDS = 500
"""Records of a file that are scored and written to the ledger at a time."""


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
