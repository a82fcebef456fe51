"""One table of objects, written in every way that people's programs write tables."""

import csv
import gzip
import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from astropy.io.votable import from_table
from astropy.table import MaskedColumn, Table
from hypothesis import strategies as st

from annotator.tables.header import Columns

COLUMNS = Columns(
    needed=("objectId",),
    some_of=("gmag", "rmag", "g_minus_r", "maggmin"),
    least=3,
    optional=("candid", "jdmax", "note"),
)
NAMES = ("objectId", "candid", "gmag", "rmag", "g_minus_r", "maggmin", "jdmax", "note")
WHOLE, TEXT = ("candid",), ("objectId", "note")

Rows = Sequence[Mapping[str, object]]
"""Each row's values by column; None where there is none."""

letters = st.sampled_from("abcXYZ 019_-/.,;|'\"#:=()äöüéÅñß\u0142\u03b1\u2028\u00a0")
latin = st.sampled_from("abcXYZ 019_-/.,;|'\"#:=()äöüéÅñß€")


def rows(alphabet: st.SearchStrategy[str] = letters) -> st.SearchStrategy[list[dict[str, object]]]:
    """Make tables whose ids have 18 digits."""
    number = st.none() | st.floats(-99, 99).filter(lambda value: value == 0 or abs(value) > 1e-3)
    note = st.text(alphabet, max_size=12).map(str.strip).filter(lambda text: not text.startswith(("#", "=", '"', "'")))
    row = st.fixed_dictionaries(
        {
            "objectId": st.from_regex("ZTF[0-9]{2}[a-z]{7}", fullmatch=True),
            "candid": st.none() | st.integers(10**17, 2**63 - 1),
            **dict.fromkeys(("gmag", "rmag", "g_minus_r", "maggmin"), number),
            "jdmax": st.none() | st.floats(2_458_000, 2_470_000),
            "note": note.map(lambda text: text or None),
        }
    )
    return st.lists(row, min_size=1, max_size=5)


def text_of(value: object, decimal: str) -> str:
    return "" if value is None else repr(value).replace(".", decimal) if isinstance(value, float) else str(value)


def delimited(
    table: Rows,
    separator: str = ",",
    decimal: str = ".",
    end: str = "\n",
    quoting: int = csv.QUOTE_MINIMAL,
    between: str = "",
    names: Sequence[str] = NAMES,
) -> str:
    """Write text; `between` stands after each separator."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([text_of(row[name], decimal) for name in NAMES] for row in table)
    lines = text.getvalue().split("\n")
    if between:
        lines = [_with_blanks(line, separator, between) for line in lines]
    return end.join(lines)


def _with_blanks(line: str, separator: str, between: str) -> str:
    parts, is_quoted = [], False
    for letter in line:
        is_quoted ^= letter == '"'
        parts.append(letter + between if letter == separator and not is_quoted else letter)
    return "".join(parts)


def in_bars(table: Rows) -> str:
    """Write as MySQL and Markdown do."""

    def cell(value: object) -> str:
        text = text_of(value, ".")
        return '"' + text.replace('"', '""') + '"' if set(text) & set('|"') else text

    lines = [NAMES, *([cell(row[name]) for name in NAMES] for row in table)]
    ruler = "+" + "-----+" * len(NAMES)
    return "\n".join(
        [
            ruler,
            *(f"| {' | '.join(line)} |" for line in lines[:1]),
            ruler,
            *(f"| {' | '.join(line)} |" for line in lines[1:]),
            ruler,
            "",
        ]
    )


def in_columns(table: Rows) -> str:
    """Write with runs of blanks, the header marked as a comment, as TOPCAT does."""

    def cell(value: object) -> str:
        return (
            '"' + text_of(value, ".").replace('"', '""') + '"'
            if value is None or isinstance(value, str)
            else text_of(value, ".")
        )

    lines = [[cell(row[name]) for name in NAMES] for row in table]
    return "\n".join(["# " + "  ".join(NAMES), *("  " + "    ".join(line) for line in lines), ""])


def typed(table: Rows, single: bool = False) -> Table:
    """Make a table of astropy's, with a mask where there is no value."""
    made = Table()
    for name in NAMES:
        values = [row[name] for row in table]
        kind = (
            str
            if name in TEXT
            else np.int64
            if name in WHOLE
            else np.float32
            if single and name != "jdmax"
            else np.float64
        )
        blank = "" if name in TEXT else 0
        made[name] = MaskedColumn(
            [blank if value is None else value for value in values],
            mask=[value is None for value in values],
            dtype=kind,
        )
    return made


def written(made: Table, **how: object) -> bytes:
    """Write a table by astropy."""
    out = io.StringIO() if str(how["format"]).startswith("ascii") else io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if how["format"] == "votable":  # not by the writer in C: see annotator.report.tables
            from_table(made).to_xml(out, tabledata_format=how.get("tabledata_format"), _debug_python_based_parser=True)
        else:
            made.write(out, **how)
    content = out.getvalue()
    return content if isinstance(content, bytes) else content.encode()


def to_fits(table: Rows) -> bytes:
    made = typed(table)
    made["candid"].fill_value = -(2**63)  # FITS knows no mask of whole numbers but a value that stands for none
    return written(made, format="fits")


def to_parquet(table: Rows) -> bytes:
    import pyarrow
    import pyarrow.parquet

    kinds = {
        name: pyarrow.string() if name in TEXT else pyarrow.int64() if name in WHOLE else pyarrow.float64()
        for name in NAMES
    }
    columns = {name: pyarrow.array([row[name] for row in table], kinds[name]) for name in NAMES}
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()


TEXTS: Mapping[str, Callable[[Rows], str]] = {
    "commas": delimited,
    "blanks after commas": lambda table: delimited(table, between=" "),
    "every cell quoted": lambda table: delimited(table, quoting=csv.QUOTE_ALL),
    "semicolons and decimal commas": lambda table: delimited(table, ";", ","),
    "decimal commas in quotes": lambda table: delimited(table, ",", ","),
    "tabs": lambda table: delimited(table, "\t"),
    "tabs and decimal commas": lambda table: delimited(table, "\t", ","),
    "bars": lambda table: delimited(table, "|"),
    "bars and rules": in_bars,
    "runs of blanks": in_columns,
    "lines of Windows": lambda table: delimited(table, end="\r\n"),
    "lines of an old Mac": lambda table: delimited(table, ";", ",", end="\r"),
    "its separator declared": lambda table: "sep=;\n" + delimited(table, ";"),
    "comments before": lambda table: "# from Lasair, by hand\n#\n" + delimited(table),
    "a title and empty rows": lambda table: (
        "Candidates of November;;;\r\n;;;;\r\n" + delimited(table, ";", ",", "\r\n")
    ),
    "empty columns and rows behind": lambda table: "".join(
        line + ",,,\n" for line in [*delimited(table).split("\n"), "", ""]
    ),
    "names in capitals": lambda table: delimited(table, names=[name.upper() for name in NAMES]),
    "names with blanks and quotes": lambda table: delimited(table, names=[f" '{name} ' " for name in NAMES]),
    "ECSV": lambda table: written(typed(table), format="ascii.ecsv").decode(),
    "ECSV with commas": lambda table: written(typed(table), format="ascii.ecsv", delimiter=",").decode(),
}
"""By what is particular in each."""

FILES: Mapping[str, Callable[[Rows], bytes]] = {
    "VOTable": lambda table: written(typed(table), format="votable"),
    "VOTable, binary": lambda table: written(typed(table), format="votable", tabledata_format="binary2"),
    "FITS": to_fits,
    "IPAC": lambda table: written(typed(table), format="ascii.ipac"),
    "MRT": lambda table: written(typed(table), format="ascii.mrt"),
    "Parquet": to_parquet,
}

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")


def packed(content: bytes, is_packed: bool) -> bytes:
    return gzip.compress(content) if is_packed else content


def is_same(cell: object, value: object) -> bool:
    """Tell whether a cell says a value, with all its digits."""
    if value is None:
        return cell == ""
    if isinstance(value, float):
        return isinstance(cell, str) and math.isclose(float(cell), value, rel_tol=0, abs_tol=0)
    return cell == str(value)
