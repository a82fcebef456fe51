"""Texts in CSV that no spreadsheet takes for a formula.

A cell that begins with ``=``, ``+``, ``-``, ``@``, as wide as in Japanese, too, with a tab or an end of line is run by
spreadsheets when somebody opens the file, and what stands in it may come from an alert or another person. An apostrophe
before it makes it a text.
"""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def as_text(text: str) -> str:
    """Return a text as a cell has it: with an apostrophe before what would be a formula; a number is none."""
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def from_text(cell: str) -> str:
    """Return the text that :func:`as_text` made a cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
