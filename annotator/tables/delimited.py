"""The records of a table as text, each whole or refused by itself."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from annotator.tables.dialect import Dialect, is_comment, is_nothing

MAX_LINES = 100
"""Of one record, whose quoted cells may go on over several lines: a quote that nobody closes costs its own line."""
MAX_SHOWN = 4000
"""Characters of a refused record that are kept."""


@dataclass(frozen=True)
class Parted:
    """One record."""

    line: int
    """Number of the line in which it begins, from 1."""
    text: str
    cells: tuple[str, ...] = ()
    """As many as there are names of columns."""
    reason: str = ""
    """Why it could not be parted; empty where it was."""


def parted(lines: Iterable[str], first_line: int, dialect: Dialect, names: tuple[str, ...]) -> Iterator[Parted]:
    """Part the records below a header.

    A record that cannot be parted, or has more cells than there are names, costs the line in which it begins: those
    after it are read as if it were not there. Lines without a letter or digit, comments, and the header once more are
    passed over.

    Parameters
    ----------
    lines
        With their ends.
    first_line
        Number of the first of them.
    dialect, names
        As the header has them.
    """
    lines = _Lines(lines, first_line)
    while (number := lines.number, line := lines.take())[1] is not None:
        if is_nothing(line):
            continue
        if is_comment(line):
            if _is_broken(line, dialect):
                yield Parted(number, line.rstrip("\r\n")[:MAX_SHOWN], reason=_BROKEN)
            continue
        taken = [line]
        while True:
            cells, reason = _cells_of(taken, dialect, len(names))
            if reason != _OPEN or len(taken) == MAX_LINES or (more := lines.take()) is None:
                break
            taken.append(more)
        if reason:
            lines.give_back(taken[1:])
            yield Parted(number, line.rstrip("\r\n")[:MAX_SHOWN], reason=_OPEN if len(taken) > 1 else reason)
        elif cells != names and any(cells):
            yield Parted(number, "".join(taken).rstrip("\r\n")[:MAX_SHOWN], cells)


_BROKEN = "it begins with #; put a blank after that if the line is a comment"


def _is_broken(line: str, dialect: Dialect) -> bool:
    """Tell a row whose first cell is an error of a spreadsheet's, such as `#N/A`, from a comment below the header."""
    bare = line.lstrip("\ufeff \t")
    return dialect.separator != " " and dialect.separator in bare and bare[1:2] not in (" ", "\t", "#")


class _Lines:
    """Lines one by one, of which the last can be given back."""

    def __init__(self, lines: Iterable[str], number: int) -> None:
        self._lines = iter(lines)
        self.number = number
        """Of the line that comes next."""

    def take(self) -> str | None:
        line = next(self._lines, None)
        self.number += line is not None
        return line

    def give_back(self, lines: list[str]) -> None:
        self._lines = itertools.chain(lines, self._lines)
        self.number -= len(lines)


_OPEN = "a quote is not closed; double a quote within a quoted value"


def _cells_of(lines: list[str], dialect: Dialect, n_names: int) -> tuple[tuple[str, ...], str]:
    """Return a record's cells, as many as there are names; or why it has none."""
    try:
        cells = dialect.cells(lines)
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return (), _OPEN
        try:  # blanks between a quoted cell and the sign after it are nothing
            cells = dialect.cells([_BLANK_AFTER_QUOTE.sub(r"\1\2", line) for line in lines])
        except csv.Error:
            return (), f"it is no row of a table: {error}"
    while len(cells) > n_names and not cells[-1]:
        cells.pop()
    if len(cells) > n_names:
        hint = ""
        if dialect.separator != " ":
            hint = f"; put a value with {_WORDS[dialect.separator]} in quotes"
        return (), f"expected {n_names} values, found {len(cells)}{hint}"
    if len(cells) < n_names:
        if dialect.separator == " ":
            return (), f"expected {n_names} values, found {len(cells)}; write nan for a value that is missing"
        if len(cells) > 1 and not lines[-1].endswith(("\n", "\r")):
            return (), f"expected {n_names} values, found {len(cells)}: the file is cut off"
    return tuple(cells) + ("",) * (n_names - len(cells)), ""


_BLANK_AFTER_QUOTE = re.compile(r"""(["'])[ \t]+([,;\t|\r\n]|\Z)""")
_WORDS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
