"""What somebody gives `aha-train`: tables and arrays, through the doors that the annotator has for such files."""

from collections.abc import Sequence
from pathlib import Path

from numpy.typing import NDArray

from annotator.errors import ConfigError, TableError
from annotator.models.files import UNREADABLE, unpack
from annotator.tables.header import Columns
from annotator.tables.read import BadRow, read_table


def read_given(option: str, path: Path, columns: Columns, remedy: str) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Read a table whole: nothing is trained on a part of what was given.

    Parameters
    ----------
    option
        That named it, such as ``--data``.
    path
        A table of any kind (:func:`annotator.tables.read.read_table`).
    columns
        What is looked for in it.
    remedy
        What to do where it is none.

    Returns
    -------
    tuple
        The names of the columns, and the rows: text by name, numbers with a decimal point, empty where there is no
        value.

    Raises
    ------
    ConfigError
        If it cannot be read, lacks a needed column, or a line of it is no row.
    """
    try:
        table = read_table(path, columns).with_points()
    except TableError as failure:
        raise ConfigError(f"{option} {failure}; {remedy}") from failure
    rows = []
    for row in table.rows:
        if isinstance(row, BadRow):
            raise ConfigError(f"{option} {path}, {row.place}: {row.reason}; correct the table")
        rows.append({name: str(cell) for name, cell in row.cells.items()})
    return table.names, rows


MAX_ARRAYS_BYTES = 16_000_000_000
"""Of all arrays of a file: a hundred thousand triplets of ZTF have 5 thousand million."""


def read_arrays(option: str, path: Path, names: Sequence[str], remedy: str) -> list[NDArray]:
    """Read arrays with a row each thing; the file is measured before it is unpacked.

    Parameters
    ----------
    option
        That named it, such as ``--data``.
    path
        An archive of numpy's, ``NAME.npz``.
    names
        Of the arrays.
    remedy
        What to do where it is none.

    Raises
    ------
    ConfigError
        If it cannot be read, lacks one of them, or would unpack to more than anybody has.
    """
    try:
        found = unpack(path.read_bytes(), MAX_ARRAYS_BYTES)
        arrays = [found[name] for name in names]
        if single := [name for name, array in zip(names, arrays, strict=True) if not array.ndim]:
            raise ValueError(f"{', '.join(single)} with no rows")
    except (*UNREADABLE, MemoryError) as failure:
        raise ConfigError(
            f"{option} {path}: expected arrays {', '.join(names)}, found {failure}; {remedy}"
        ) from failure
    return arrays
