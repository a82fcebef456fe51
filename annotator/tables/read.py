"""Read a table that somebody gives: find out what it is, judge its header, and give its rows as text."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from annotator.errors import TableError
from annotator.tables import contents
from annotator.tables.contents import Kind
from annotator.tables.delimited import parted
from annotator.tables.dialect import HEAD_LINES, find_header
from annotator.tables.header import Columns, n_known, recognised
from annotator.tables.numbers import has_decimal_commas, with_point

SAMPLE_ROWS = 1000
"""By so many it is told whether a table has decimal commas."""


@dataclass(frozen=True)
class Row:
    """One row."""

    place: str
    """For people, such as ``line 3``."""
    cells: Mapping[str, object]
    """Text by the name of the column, of every column that has a name; empty where there is no value. A cell of Parquet
    that holds several values is a list or a mapping."""


@dataclass(frozen=True)
class BadRow:
    """A line that is no row."""

    place: str
    reason: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table whose header was found good."""

    names: tuple[str, ...]
    """Of its columns, as whoever asked knows them."""
    rows: Iterator[Row | BadRow]
    """In order, each read when it is asked for."""

    def with_points(self) -> "Table":
        """Return it with a point in every number, whatever country's spreadsheet wrote it."""
        rows = iter(self.rows)
        sample = list(itertools.islice(rows, SAMPLE_ROWS))
        decimal_commas = has_decimal_commas(
            cell for row in sample if isinstance(row, Row) for cell in row.cells.values()
        )
        return Table(self.names, (_with_points(row, decimal_commas) for row in itertools.chain(sample, rows)))


def _with_points(row: Row | BadRow, decimal_commas: bool) -> Row | BadRow:
    if isinstance(row, BadRow):
        return row
    cells = {
        name: with_point(cell, decimal_commas) if isinstance(cell, str) else cell for name, cell in row.cells.items()
    }
    return Row(row.place, cells)


def read_table(path: Path, columns: Columns) -> Table:
    """Read a table of a file, whole.

    Parameters
    ----------
    path
        CSV, or text with semicolons, tabs, bars or blanks between the cells; ECSV, VOTable, FITS, IPAC and
        machine-readable tables, or Parquet where pyarrow is installed; each also packed by gzip.
    columns
        What is looked for in it.

    Raises
    ------
    TableError
        If the file cannot be read, is none of these, or lacks columns that are needed.
    """
    try:
        with open(path, "rb", contents.HEAD_BYTES) as file:
            stream = contents.unpacked(file)
            kind = contents.kind_of(str(path), contents.head_of(stream))
            if kind is Kind.JSON:
                raise TableError(f"{path} is JSON: expected a table, such as CSV")
            table = table_in(str(path), stream, kind, columns)
            return Table(table.names, iter(list(table.rows)))
    except contents.UNREADABLE as error:
        raise TableError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def table_in(name: str, stream: BinaryIO, kind: Kind, columns: Columns) -> Table:
    """Read a table of a stream that can be read twice, row by row where it is text.

    Parameters
    ----------
    name
        Of the table, for people.
    stream
        As :func:`annotator.tables.contents.unpacked` gives it.
    kind
        What it holds; not JSON.
    columns
        What is looked for in it.

    Raises
    ------
    TableError
        As :func:`read_table` does.
    """

    def count(names: Iterable[str]) -> int:
        return n_known(names, columns)

    if kind is Kind.TEXT:
        return _text_table(name, stream, columns)
    from annotator.tables import typed_formats as typed

    if kind is Kind.PARQUET:
        found = typed.read_parquet(name, stream)
    elif kind in (Kind.IPAC, Kind.MRT):
        found = typed.read_described(name, stream, kind)
    else:
        found = (typed.read_votable if kind is Kind.VOTABLE else typed.read_fits)(name, stream, count)
    names = recognised(name, found.names, columns, found.is_nested)
    rows = (Row(f"row {number}", _named(names, cells)) for number, cells in enumerate(found.rows, start=1))
    return Table(tuple(filter(None, names)), rows)


def _text_table(name: str, stream: BinaryIO, columns: Columns) -> Table:
    text = contents.lines_of(stream, contents.encoding_of(stream), newline="")
    first = list(itertools.islice(text, HEAD_LINES))
    header = find_header(first, lambda names: n_known(names, columns))
    if header is None:
        raise TableError(f"{name} has no header line: its first line must name the columns")
    names = recognised(name, header.names, columns)
    below = itertools.chain(first[header.n_lines :], text)
    records = parted(below, header.n_lines + 1, header.dialect, header.names)
    above = parted(first[: header.n_lines - 1], 1, header.dialect, header.names)
    rows = itertools.chain(
        (
            BadRow(f"line {record.line}", "it stands above the line that names the columns", record.text)
            for record in above
            if sum(map(bool, record.cells)) > 1
        ),
        (
            BadRow(f"line {record.line}", record.reason, record.text)
            if record.reason
            else Row(f"line {record.line}", _named(names, record.cells))
            for record in records
        ),
    )
    return Table(tuple(filter(None, names)), rows)


def _named(names: Iterable[str], cells: Iterable[object]) -> dict[str, object]:
    return {name: cell for name, cell in zip(names, cells, strict=True) if name}
