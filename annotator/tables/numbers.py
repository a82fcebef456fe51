"""Numbers as spreadsheets of different countries write them: with decimal commas, and signs between thousands.

And as texts do, with a minus of their own, and Fortran, with a D before the exponent.
"""

import re
from collections.abc import Iterable

_GAP = "[ \u00a0\u2009\u202f'\u2019]"
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_SIGN = "[+\\-\u2212]?"
_COMMA = re.compile(rf"{_SIGN}(?:\d+,\d*|,\d+){_EXPONENT}")
_POINT = re.compile(rf"{_SIGN}(?:\d+\.\d*|\.\d+){_EXPONENT}")
_GROUPED_BY = {
    sign: re.compile(rf"{_SIGN}\d{{1,3}}(?:{re.escape(sign)}\d{{3}})+(?:{re.escape(other)}\d*)?")
    for sign, other in ((",", "."), (".", ","))
}
_OF_FORTRAN = re.compile(rf"({_SIGN}(?:\d+\.\d*|\.\d+))[dD]([+-]?\d+)")
_GROUPED_BY_GAPS = re.compile(rf"{_SIGN}\d{{1,3}}(?:{_GAP}\d{{3}})+(?:[.,]\d*)?")


def has_decimal_commas(cells: Iterable[object]) -> bool:
    """Tell by cells of a table whether a comma parts the decimals of its numbers.

    `1,234` can be either: it is a number with decimals unless others of the table have theirs after a point.
    """
    points = False
    for cell in cells:
        if not isinstance(cell, str) or not cell[-1:].isdigit():
            continue
        if _COMMA.fullmatch(cell) and not _GROUPED_BY[","].fullmatch(cell):
            return True
        points |= _POINT.fullmatch(cell) is not None
    return not points


def with_point(cell: str, decimal_commas: bool) -> str:
    """Return a number as programs write it; any other text as it is."""
    if cell.isdigit() or not (cell[-1:].isdigit() or cell[-1:] in (",", ".")):
        return cell
    cell = _OF_FORTRAN.sub(r"\1e\2", cell) if _OF_FORTRAN.fullmatch(cell) else cell
    if cell[0] == "\u2212":  # the minus of texts
        cell = f"-{cell[1:]}"
    if _GROUPED_BY_GAPS.fullmatch(cell):
        cell = re.sub(_GAP, "", cell)
    decimal, group = (",", ".") if decimal_commas else (".", ",")
    is_grouped = _GROUPED_BY[group].fullmatch(cell) is not None
    if is_grouped and (cell.count(group) > 1 or decimal in cell or not decimal_commas):
        cell = cell.replace(group, "")
    return cell.replace(",", ".") if decimal_commas and _COMMA.fullmatch(cell) else cell
