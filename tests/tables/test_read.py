"""People's tables: whatever wrote them, the same records are read."""

import gzip
import sys
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from annotator.errors import TableError
from annotator.tables.header import Columns
from annotator.tables.numbers import has_decimal_commas, with_point
from annotator.tables.read import BadRow, Row, Table, read_table
from tests.conftest import examples
from tests.tables.written import (
    COLUMNS,
    ENCODINGS,
    FILES,
    NAMES,
    TEXTS,
    delimited,
    is_same,
    latin,
    packed,
    rows,
    typed,
    written,
)

ROW = {
    "objectId": "ZTF26abcdefg",
    "candid": 3_000_000_000_000_000_017,
    **{"gmag": 18.25, "rmag": 18.0, "g_minus_r": 0.25, "maggmin": 17.9, "jdmax": 2461002.79, "note": "Ångström, twice"},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.csv"


def read(path, content: str | bytes, columns: Columns = COLUMNS) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, columns)


def cells(table: Table) -> list[dict]:
    found = list(table.rows)
    assert all(isinstance(row, Row) for row in found), found
    return [dict(row.cells) for row in found]


def check(path, table, content: bytes) -> None:
    """Text is read as it was written; numbers, whatever country's spreadsheet wrote them, with a point."""
    read_again = read(path, content)
    found = list(read_again.rows)
    with_points = cells(Table(read_again.names, iter(found)).with_points())
    assert len(found) == len(table)
    for text, numbers, row in zip(found, with_points, table, strict=True):
        assert isinstance(text, Row), text
        for name in NAMES:
            cell = text.cells[name] if name in ("objectId", "note") else numbers[name]
            assert is_same(cell, row[name]), (name, cell, row[name])


over_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(100))


@over_files
@given(how=st.sampled_from(list(TEXTS)), table=rows(), encoding=st.sampled_from(ENCODINGS), is_packed=st.booleans())
def test_a_text_says_the_same_in_every_dialect_and_encoding(path, how, table, encoding, is_packed):
    check(path, table, packed(TEXTS[how](table).encode(encoding), is_packed))


@over_files
@given(how=st.sampled_from(list(TEXTS)), table=rows(latin))
def test_a_text_says_the_same_as_spreadsheets_on_windows_save_it(path, how, table):
    content = TEXTS[how](table).encode("cp1252")
    assume(content.isascii() or not is_utf8(content))
    # Where lines end as on an old Mac the byte of the euro may be one of its letters with an accent: nobody can tell.
    assume("old Mac" not in how or "€" not in content.decode("cp1252"))
    check(path, table, content)


def is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@over_files
@given(how=st.sampled_from(["VOTable", "VOTable, binary"]), table=rows(), is_packed=st.booleans())
def test_a_votable_keeps_every_digit(path, how, table, is_packed):
    check(path, table, packed(FILES[how](table), is_packed))


@settings(over_files, max_examples=examples(30))
@given(table=rows(st.sampled_from("abcXYZ 019_-/.,;|'\"#:=()")), is_packed=st.booleans())
def test_fits_keeps_every_digit(path, table, is_packed):
    check(path, table, packed(FILES["FITS"](table), is_packed))


needs_pyarrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed")


@needs_pyarrow
@settings(over_files, max_examples=examples(20))
@given(table=rows(), is_packed=st.booleans())
def test_parquet_keeps_every_digit_too(path, table, is_packed):
    check(path, table, packed(FILES["Parquet"](table), is_packed))


def test_every_way_of_writing_is_tried_with_one_ordinary_row(path):
    for how, write in TEXTS.items():
        for encoding in (*ENCODINGS, "cp1252"):
            check(path, [ROW] * 3, write([ROW] * 3).encode(encoding))
        check(path, [ROW], write([ROW]).rstrip("\r\n").encode()), how


@pytest.mark.parametrize("how", ["IPAC", "MRT"])
def test_a_table_of_an_archive_says_itself_where_its_columns_stand(path, how):
    table = [ROW | {"note": "moves, twice"}, ROW | {"candid": None, "gmag": None, "note": None}]
    check(path, table, FILES[how](table))


def test_letters_of_an_old_mac_are_known_by_where_they_are(path):
    (row,) = cells(read(path, delimited([ROW], ";", ",", end="\r").encode("mac_roman")))
    assert row["note"] == ROW["note"]


@needs_pyarrow
def test_a_single_precision_number_has_the_digits_of_its_type(path):
    values = {"gmag": 18.2, "rmag": 17.125, "g_minus_r": 0.1, "maggmin": 1e-7}
    for how in ("votable", "fits", "parquet"):
        made = typed([ROW | values | {"note": "twice"}], single=True)
        if how == "parquet":
            made.write(path, format="parquet", overwrite=True)
            content = path.read_bytes()
        else:
            content = written(made, format=how)
        (row,) = cells(read(path, content))
        assert {name: float(row[name]) for name in values} == values


@needs_pyarrow
def test_parquet_keeps_what_is_nested_and_asks_for_no_columns_beside_it(path):
    import pyarrow
    import pyarrow.parquet

    candidates = [{"candid": 3_000_000_000_000_000_017, "jd": 2461002.79, "note": None}]
    pyarrow.parquet.write_table(pyarrow.table({"objectId": ["ZTF26abcdefg"], "candidates": [candidates]}), path)
    (row,) = cells(read_table(path, COLUMNS))
    assert row == {"objectId": "ZTF26abcdefg", "candidates": candidates}


def test_parquet_without_pyarrow_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TableError, match="pip install pyarrow, or save the table as CSV"):
        read(path, b"PAR1....PAR1")


# --- the header


def test_the_nearest_names_are_shown_where_hardly_any_is_known(path):
    with pytest.raises(TableError) as found:
        read(path, "objectId,g_mag,r_mag,note\nZTF26abcdefg,18.2,18.0,\n")
    assert "none of the 4 columns is here; nearest: " in str(found.value)
    assert "'g_mag' for gmag" in str(found.value) and "'r_mag' for rmag" in str(found.value)
    with pytest.raises(TableError, match="2 of the 4 columns are here; nearest: 'gminusr' for g_minus_r"):
        read(path, "objectId,gmag,rmag,gminusr\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("object_id,gmag,rmag,maggmin\n", "no column objectId; nearest: 'object_id' for objectId; the columns are"),
        ("ZTF26abcdefg,18.2,18.0,17.9\n", "no column objectId; the columns are ZTF26abcdefg, 18.2, 18.0, 17.9"),
        ("objectId,gmag,rmag,maggmin,rmag\n", "column rmag is repeated"),
        ("objectId,gmag,rmag,maggmin,mood,mood\n", "column mood is repeated"),
        ("objectId, GMAG,Gmag,maggmin,rmag\n", "column gmag is repeated"),
        ("", "no header line"),
        ("# nothing but a comment\n", "no column objectId"),
        ('{"objectId": "ZTF26abcdefg"}', "is JSON: expected a table"),
        ("<html><body>Sign in</body></html>", "XML or HTML, and no VOTable"),
        pytest.param(b"PK\x03\x04 xl/workbook.xml", "save the sheet as CSV", id="workbook"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1", "save the sheet as CSV", id="old workbook"),
        ("SIMPLE  =                    T / not much of it", "no FITS that can be read"),
        ("<?xml version='1.0'?><VOTABLE><RESOURCE><TABLE>", "no VOTable that can be read"),
        ("<VOTABLE><RESOURCE/></VOTABLE>", "a VOTable without a table"),
        ("\\begin{table}\n\\begin{tabular}{cc}\nobjectId & gmag\\\\\n", "LaTeX, which is not read"),
        ("ZTF26aaaaaaa,18.2,18.2,17.9\n", "no column objectId"),
        (
            "<VOTABLE><RESOURCE><TABLE><DATA><FITS><STREAM/></FITS></DATA></TABLE></RESOURCE></VOTABLE>",
            "save the table as",
        ),
        pytest.param(gzip.compress(b"objectId,gmag,rmag,maggmin\n" * 99, mtime=0)[:-9], "cannot read", id="cut gzip"),
    ],
)
def test_what_is_no_table_says_what_it_is(path, content, words):
    with pytest.raises(TableError) as found:
        read(path, content)
    assert str(path) in str(found.value) and words in str(found.value)


def test_an_exact_name_goes_before_one_that_has_to_be_tidied(path):
    (row,) = cells(read(path, "objectId,gmag,rmag,maggmin,jdmax\nZTF26abcdefg,18.2,18.0,17.9,1\n"))
    assert row["gmag"] == "18.2"
    columns = Columns(needed=("objectId", "RA", "ra"))
    (row,) = cells(read(path, "OBJECTID,ra,RA\na,1,2\n", columns))
    assert row == {"objectId": "a", "ra": "1", "RA": "2"}


def test_a_votable_whose_data_lie_elsewhere_is_not_fetched(path):
    content = written(typed([ROW]), format="votable", tabledata_format="binary2").decode()
    there = content.replace("<STREAM ", "<STREAM href='http://localhost:9/data' ")
    hidden = content.replace(
        "<VOTABLE", "<!DOCTYPE VOTABLE [<!ATTLIST STREAM href CDATA 'http://localhost:9/'>]>\n<VOTABLE"
    )
    in_utf_16 = there.replace('encoding="utf-8"', 'encoding="utf-16"').encode("utf-16")
    for written_so in (there, hidden, in_utf_16):
        with pytest.raises(TableError, match="its data lie elsewhere"):
            read(path, written_so)


# --- rows


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ZTF26bbbbbbb,18.2,18.0,17.9,1,2", "expected 5 values, found 6; put a value with a comma in quotes"),
        ('ZTF26bbbbbbb,"18.2,18.0,17.9,1', "a quote is not closed"),
        ('"ZTF26bbbbbbb"x,18.2,18.0,17.9,1', "it is no row of a table"),
        ("x" * 11_000_000, "field larger than field limit"),
    ],
    ids=["too many values", "a quote that is not closed", "letters after a quote", "a huge cell"],
)
def test_a_bad_line_costs_that_line_and_is_named(path, line, reason):
    good = ["ZTF26aaaaaaa,18.2,18.0,17.9,", 'ZTF26ccccccc,18.2,18.0,17.9,"a, b"', "ZTF26ddddddd,18.2,18.0,17.9,"]
    lines = ["objectId,gmag,rmag,maggmin,note", good[0], line, *good[1:], ""]
    first, bad, *others = read(path, "\n".join(lines)).rows
    assert [row.cells["objectId"] for row in (first, *others)] == ["ZTF26aaaaaaa", "ZTF26ccccccc", "ZTF26ddddddd"]
    assert isinstance(bad, BadRow) and (bad.place, bad.text) == ("line 3", line[:4000])
    assert reason in bad.reason
    assert others[0].place == "line 4"


def test_an_error_of_a_spreadsheet_s_is_no_comment_that_nobody_reads(path):
    content = (
        "objectId,gmag,rmag,maggmin\n# by Ada, of the second night\n#N/A,1,2,3\n#NAME?,1,2,3\nZTF26aaaaaaa,1,2,3\n"
    )
    *errors, row = read(path, content).rows
    assert [item.place for item in errors] == ["line 3", "line 4"] and row.cells["objectId"] == "ZTF26aaaaaaa"
    assert {item.reason for item in errors} == {"it begins with #; put a blank after that if the line is a comment"}


def test_a_line_that_was_cut_off_in_writing_is_no_row(path):
    header = "objectId,gmag,rmag,maggmin,note\n"
    (whole,) = read(path, header + "ZTF26aaaaaaa,18.2,18.0\n").rows
    assert whole.cells["maggmin"] == ""
    (cut,) = read(path, header + "ZTF26aaaaaaa,18.2,1").rows
    assert cut.reason == "expected 5 values, found 3: the file is cut off"


def test_quoted_cells_may_go_on_over_lines_and_the_header_may_be_repeated(path):
    header = "objectId,gmag,rmag,maggmin,note\n"
    content = header + 'ZTF26aaaaaaa,1,2,3,"one\r\ntwo"\n' + header + "ZTF26bbbbbbb,1,2,3,\n"
    first, second = read(path, content).rows
    assert (first.place, first.cells["note"]) == ("line 2", "one\r\ntwo")
    assert (second.place, second.cells["objectId"]) == ("line 5", "ZTF26bbbbbbb")


def test_rows_that_stand_above_the_header_are_not_lost_in_silence(path):
    above, below = read(path, "ZTF26aaaaaaa,1,2,3\nobjectId,gmag,rmag,maggmin\nZTF26bbbbbbb,1,2,3\n").rows
    assert (above.place, above.reason) == ("line 1", "it stands above the line that names the columns")
    assert below.cells["objectId"] == "ZTF26bbbbbbb"


def test_an_id_that_a_spreadsheet_was_kept_from_is_the_id(path):
    header = "objectId,gmag,rmag,maggmin\n"
    (row,) = cells(read(path, header + '"=""169342374987654321""",="18.2",2,3\n'))
    assert (row["objectId"], row["gmag"]) == ("169342374987654321", "18.2")


def test_what_stands_after_the_end_of_a_table_is_no_row_of_it(path):
    (row,) = cells(read(path, "objectId\tgmag\trmag\tmaggmin\n---\t---\t---\t---\na\t1\t2\t3\n[EOD]\n"))
    assert row["objectId"] == "a"
    packed = gzip.compress(b"objectId,gmag,rmag,maggmin\na,1,2,3\n", mtime=0)
    assert len(cells(read(path, packed + b"left behind by a copy"))) == 1


BEGINNINGS = (
    b"objectId,gmag,rmag,maggmin\n",
    b"# %ECSV 1.0\n",
    "objectId;gmag;rmag;maggmin\n".encode("utf-16"),
    gzip.compress(bytes(range(256)), mtime=0),
    *(write([ROW | {"note": "twice"}]) for how, write in FILES.items() if how != "Parquet"),
)


@over_files
@given(st.binary(max_size=300), st.sampled_from(BEGINNINGS), st.integers(0, 9000))
def test_any_bytes_are_a_table_or_a_clear_error(path, content, beginning, n_kept):
    try:
        found = list(read(path, beginning[:n_kept] + content).with_points().rows)
    except TableError:
        return
    assert all(row.cells if isinstance(row, Row) else row.reason for row in found)


# --- numbers


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (("18,2", "2.461.002,79", "-0,5", "1,5e-3", "12", "9,"), ("18.2", "2461002.79", "-0.5", "1.5e-3", "12", "9.")),
        (("18.2", "2,461,002.79", "1,234", "-0.5"), ("18.2", "2461002.79", "1234", "-0.5")),
        (("18,234", "17,123"), ("18.234", "17.123")),
        (("18.234", "17.123"), ("18.234", "17.123")),
        (("2 461 002,79", "1\u202f234,5", "a, b"), ("2461002.79", "1234.5", "a, b")),
        (("1'234.5", "18.2", "SN, Ia"), ("1234.5", "18.2", "SN, Ia")),
        (("1.82D+01", "-2.5d-1", "12d3", "\u22120.2"), ("1.82e+01", "-2.5e-1", "12d3", "-0.2")),
    ],
    ids=["Germany", "Britain", "three decimals after a comma", "three decimals", "France", "Switzerland", "Fortran"],
)
def test_a_number_is_known_whichever_country_s_spreadsheet_wrote_it(cells, numbers):
    decimal_commas = has_decimal_commas(cells)
    assert tuple(with_point(cell, decimal_commas) for cell in cells) == numbers
