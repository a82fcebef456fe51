"""Tables that somebody gives a command of `aha-train`, through the door that the annotator has for people's files."""

from pathlib import Path

from annotator.errors import ConfigError, TableError
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
