"""How a table was written as text: by which sign its cells are parted, and which of its lines names the columns.

Both are found by the names that somebody looks for: the line and the sign that give the most of them.
"""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

csv.field_size_limit(10_000_000)

SEPARATORS = (",", ";", "\t", "|", " ")
"""A blank stands for runs of blanks and tabs."""
HEAD_LINES = 1000
"""Among the first of so many lines is the one that names the columns; ECSV has one for each column before it."""

ENOUGH_NAMES = 2
"""So many in one line that is no comment, and it is the header."""

_DECLARED = re.compile(r'\s*"?sep=(?P<sign>[^"])"?[\s,;]*\Z', re.IGNORECASE)
_GUARDED = re.compile(r'="([^"]+)"')
_END_OF_TST = "[EOD]"
"""The last line of a tab-separated table of Starlink's."""
_RULER = re.compile(r"(?=.*[-=]{2})[-=+|:\s]+\Z")


@dataclass(frozen=True)
class Dialect:
    """By which sign cells are parted, and by which they are quoted."""

    separator: str
    quote: str = '"'

    def cells(self, lines: Sequence[str]) -> list[str]:
        """Part one record, which may go on over several lines within quotes.

        Raises
        ------
        csv.Error
            If its quotes do not fit.
        """
        if self.separator == " ":
            lines = [line.replace("\t", " ") for line in lines]
        return [trimmed(cell) for cell in next(self._reader(lines), [])]

    def _reader(self, lines: Sequence[str]):
        return csv.reader(lines, delimiter=self.separator, quotechar=self.quote, skipinitialspace=True, strict=True)


def trimmed(cell: str) -> str:
    """Return a cell without blanks around it, a mark of the byte order, and what keeps spreadsheets from its digits."""
    cell = cell.strip().strip("\ufeff\u200b").strip()
    guarded = _GUARDED.fullmatch(cell)
    return guarded[1] if guarded else cell


@dataclass(frozen=True)
class Header:
    """The line that names the columns, as far as it was found."""

    dialect: Dialect
    n_lines: int
    """How many lines there are up to its end."""
    names: tuple[str, ...]
    """As they are written."""


def is_comment(line: str) -> bool:
    """Tell a line that is no part of the table."""
    return line.lstrip("\ufeff \t").startswith("#")


def is_nothing(line: str) -> bool:
    """Tell a line without any letter or digit, such as a spreadsheet's empty row, or a rule under a header."""
    bare = line.strip(" \t\r\n\ufeff,;|\"'")
    return not bare or bare == _END_OF_TST or (bare[0] in "-=+:" and _RULER.match(line) is not None)


def find_header(lines: Sequence[str], n_known: Callable[[Sequence[str]], int]) -> Header | None:
    """Find the line that names the columns.

    It is the one that names most of those that are looked for, and may be marked as a comment; of several the first.

    Parameters
    ----------
    lines
        The first ones of a text, with their ends.
    n_known
        Tells how many of some names are looked for.
    """
    declared = None
    best: tuple[tuple[int, bool], Header] | None = None
    for number, line in enumerate(lines):
        if found := _DECLARED.match(line):
            declared = found["sign"]
            continue
        if is_nothing(line):
            continue
        header = _parted(line.lstrip("\ufeff \t").lstrip("#"), number + 1, declared, n_known)
        order = (n_known(header.names), not is_comment(line))
        if best is None or order > best[0]:
            best = (order, header)
        if order >= (ENOUGH_NAMES, True):
            break
    return best[1] if best else None


def _parted(line: str, n_lines: int, declared: str | None, n_known: Callable[[Sequence[str]], int]) -> Header:
    """Part a line by the sign that gives the most names that are looked for; where none does, the most cells."""
    found = []
    for separator in (declared,) if declared else SEPARATORS:
        for quote in ('"', "'"):
            dialect = Dialect(separator, quote)
            try:
                names = dialect.cells([line])
            except csv.Error:
                continue
            while names and not names[-1]:
                names.pop()
            # Titles are made of words: blanks part cells only where that gives names.
            n_cells = 1 if separator == " " else len(names)
            n_quoted = sum(name[:1] in ("'", '"') for name in names)
            found.append(((n_known(names), n_cells, -n_quoted), Header(dialect, n_lines, tuple(names))))
    if not found:
        return Header(Dialect(declared or ","), n_lines, (trimmed(line),))
    return max(found, key=lambda item: item[0])[1]
