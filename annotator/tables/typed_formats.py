"""Tables whose columns have types, VOTable, FITS, Parquet and those of archives, with every cell as text.

A number is written so that it is read back the same: a whole one with all its digits, a real one with as many as its
type has.
"""

import contextlib
import datetime
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from annotator.errors import TableError
from annotator.fences import failure_of
from annotator.tables.contents import Kind, encoding_of, encoding_of_head, lines_of

_ELSEWHERE = re.compile(r"<(\w+:)?STREAM\b[^>]*\bhref\s*=|<!(ENTITY|ATTLIST)\b")
"""What would make the reader ask another place, or may hide that."""
_INSIDE = re.compile(rb"<DATA>\s*<FITS\b")
ROWS_AT_A_TIME = 1000
"""Of a Parquet file that are made text."""


@dataclass(frozen=True)
class TypedTable:
    """One table of a file."""

    names: tuple[str, ...]
    rows: Iterator[tuple[object, ...]]
    """Text, empty where there is no value; a list or a mapping of a cell that holds several."""
    is_nested: bool = False
    """Whether a column holds lists or mappings."""


def read_votable(name: str, stream: BinaryIO, n_known: Callable[[Sequence[str]], int]) -> TypedTable:
    """Read the table of a VOTable that has most of the names that are looked for.

    Raises
    ------
    TableError
        If it holds none, or none that can be read.
    """
    content = stream.read()
    if _ELSEWHERE.search(content.decode(encoding_of_head(content) or "utf-8", errors="replace")):
        raise TableError(f"{name}: its data lie elsewhere (STREAM with href): save the table with its data")
    if _INSIDE.search(content):
        raise TableError(f"{name}: its data are FITS within the VOTable: save the table as FITS, or as BINARY")
    with _reading(name, "VOTable"):
        from astropy.io.votable import parse

        document = parse(io.BytesIO(content), verify="ignore", invalid="mask")
        tables = [table for table in document.iter_tables() if table.fields]
        if not tables:
            raise TableError(f"{name} is a VOTable without a table")
        table = max(tables, key=lambda table: n_known([field.name or field.ID for field in table.fields]))
        names = tuple(field.name or field.ID for field in table.fields)
        columns = [np.ma.asarray(table.array[key]) for key in table.array.dtype.names]
        return TypedTable(names, _rows(columns))


def read_fits(name: str, stream: BinaryIO, n_known: Callable[[Sequence[str]], int]) -> TypedTable:
    """Read the table of a FITS file that has most of the names that are looked for.

    Raises
    ------
    TableError
        If it holds none, or none that can be read.
    """
    with _reading(name, "FITS"):
        from astropy.io import fits
        from astropy.table import Table

        with fits.open(io.BytesIO(stream.read()), memmap=False) as units:
            tables = [unit for unit in units if isinstance(unit, fits.BinTableHDU | fits.TableHDU)]
            if not tables:
                raise TableError(f"{name} is FITS without a table")
            chosen = max(tables, key=lambda unit: n_known(unit.columns.names))
            table = Table.read(chosen, format="fits", character_as_bytes=True, unit_parse_strict="silent")
        return TypedTable(tuple(table.colnames), _rows([np.ma.asarray(table[key]) for key in table.colnames]))


def read_described(name: str, stream: BinaryIO, kind: Kind) -> TypedTable:
    """Read a table as text that says of each column where it stands and of what type it is, as archives have them.

    Parameters
    ----------
    kind
        IPAC or MRT.

    Raises
    ------
    TableError
        If it cannot be read.
    """
    with _reading(name, kind):
        from astropy.io import ascii as tables

        text = "".join(lines_of(stream, encoding_of(stream), newline=""))
        table = tables.read(text, format=kind.name.lower())
        return TypedTable(tuple(table.colnames), _rows([np.ma.asarray(table[key]) for key in table.colnames]))


def read_parquet(name: str, stream: BinaryIO) -> TypedTable:
    """Read a Parquet file, a thousand rows at a time.

    Raises
    ------
    TableError
        If pyarrow is not installed, or the file cannot be read.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise TableError(
            f"{name} is Parquet, and what reads it is not installed: pip install pyarrow, or save the table as CSV"
        ) from None
    with _reading(name, "Parquet"):
        file = pyarrow.parquet.ParquetFile(io.BytesIO(stream.read()))
        schema = file.schema_arrow
        is_nested = any(pyarrow.types.is_nested(field.type) for field in schema)
        return TypedTable(tuple(schema.names), _parquet_rows(name, file), is_nested)


def _parquet_rows(name: str, file) -> Iterator[tuple[object, ...]]:
    batches = file.iter_batches(ROWS_AT_A_TIME)
    while True:
        with _reading(name, "Parquet"):
            batch = next(batches, None)
            if batch is None:
                return
            columns = [_parquet_cells(column) for column in batch.columns]
        yield from zip(*columns, strict=True)


def _parquet_cells(column) -> list[object]:
    import pyarrow

    if pyarrow.types.is_temporal(column.type):
        column = column.cast(pyarrow.string())
    is_single = pyarrow.types.is_float32(column.type)
    return [_text(np.float32(value) if is_single and value is not None else value) for value in column.to_pylist()]


def _rows(columns: Sequence[np.ma.MaskedArray]) -> Iterator[tuple[object, ...]]:
    n_rows = len(columns[0]) if columns else 0
    masks = [np.ma.getmaskarray(column) for column in columns]
    for row in range(n_rows):
        yield tuple(
            "" if np.all(mask[row]) else _text(column.data[row]) for column, mask in zip(columns, masks, strict=True)
        )


def _text(value: object) -> object:
    """Write a value as text, with all its digits; empty where it is none."""
    if value is None or value is np.ma.masked:
        return ""
    if isinstance(value, np.ndarray):
        return _text(value.item()) if value.ndim == 0 else value.tolist()
    if isinstance(value, list | dict):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip(" \0")
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else str(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value).strip()


@contextlib.contextmanager
def _reading(name: str, what: str) -> Iterator[None]:
    """Say in one sentence what a library failed at."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a file does against its standard is no news to who gets the values
            yield
    except TableError:
        raise
    except Exception as error:  # those of astropy and pyarrow share no base below Exception
        raise TableError(f"{name} is no {what} that can be read: {failure_of(error)}") from error
