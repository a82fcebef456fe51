import gzip
import io
import itertools
import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import SourceError, TableError
from annotator.lasair.filters import FilterFile
from annotator.nights import mjd_of
from annotator.sources.files import file_batches, read_records
from annotator.sources.query import query_batches
from annotator.sources.records import Unreadable
from annotator.surveys.ztf.record import ZTF

ROWS = [{"objectId": "ZTF99aaaaaaa", "gmag": 19.5}, {"objectId": "ZTF99aaaaaab", "gmag": None}]


def read(text: str | bytes) -> list:
    return list(read_records("-", ZTF, io.BytesIO(text if isinstance(text, bytes) else text.encode())))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(json.dumps(row) for row in ROWS),
        "\r\n\r\n".join(json.dumps(row) for row in ROWS) + "\r\n",
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\ufeff" + json.dumps(ROWS),
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        "".join(json.dumps(row) for row in ROWS),
        "\r".join(json.dumps(row) for row in ROWS),
        "".join(json.dumps(row) + ",\n" for row in ROWS),
        "\n".join(json.dumps([row]) for row in ROWS),
    ],
    ids=["lines", "blank lines", "array", "laid out", "marked", "jq", "no break", "old Mac", "commas", "arrays"],
)
def test_json_lines_and_arrays_give_the_same_records_in_order(text):
    assert read(text) == ROWS


def test_one_object_is_one_record_however_it_is_laid_out():
    assert read(json.dumps(ROWS[0])) == [ROWS[0]]
    assert read(json.dumps(ROWS[0], indent=4)) == [ROWS[0]]


def test_a_bad_line_is_one_unreadable_record_and_the_rest_goes_on():
    records = read('{"objectId": "a"}\n{broken\n{"objectId": "b"}\n')
    assert records[0] == {"objectId": "a"} and records[2] == {"objectId": "b"}
    assert isinstance(records[1], Unreadable) and records[1].text.startswith("{broken")
    records = read('{broken\n{"objectId": "b"}\n')
    assert isinstance(records[0], Unreadable) and records[1] == {"objectId": "b"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"objectId": "a"},]', "begins as a JSON array but is none"),
        ('{\n"objectId": "a",\n}\n', "neither JSON lines nor one JSON document"),
    ],
)
def test_a_file_that_is_not_json_says_where_it_goes_wrong(text, message):
    with pytest.raises(SourceError, match=message):
        read(text)


def test_json_lines_end_at_line_feeds_alone_also_where_one_of_them_is_broken():
    said = {"objectId": "b", "description": "one\u2028two\u2029three\x85four"}
    line = json.dumps(said, ensure_ascii=False)
    for broken_first in ('{"objectId": "a", "candi\n', '"gmag": 19.5}\n', ""):
        records = read(broken_first + (line + "\n") * 2)
        assert [record for record in records if not isinstance(record, Unreadable)] == [said, said]
        assert len(records) == 2 + bool(broken_first)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_json_lines_are_read_as_shells_and_gzip_leave_them(encoding):
    content = "".join(json.dumps(row) + "\r\n" for row in ROWS).encode(encoding)
    packed = gzip.compress(content)
    for written in (content, packed, gzip.compress(packed), gzip.compress(content[:11]) + gzip.compress(content[11:])):
        assert read(written) == ROWS


def test_what_was_packed_and_cut_off_gives_what_is_there_and_says_so(tmp_path):
    path = tmp_path / "many.jsonl.gz"
    lines = [json.dumps({"objectId": f"o{n}", "noise": random.Random(n).random()}) for n in range(20_000)]
    path.write_bytes(gzip.compress("\n".join(lines).encode())[:-1000])
    records = read_records(path, ZTF)
    read = list(itertools.islice(records, 15_000))
    with pytest.raises(SourceError, match=f"cannot read {path}"):
        read.extend(records)
    assert 15_000 < len(read) < 20_000
    batches = []
    with pytest.raises(SourceError, match=f"cannot read {path}"):
        batches.extend(file_batches(path, ZTF))
    assert [record for batch in batches for record in batch.records] == read


def test_lasair_s_literal_nan_is_read():
    (record,) = read('{"objectId": "a", "gmag": NaN}')
    assert math.isnan(record["gmag"])


@pytest.mark.parametrize("text", ["9" * 5000 + "}", "{" + '"a":{' * 100_000])
def test_a_record_that_python_cannot_hold_is_unreadable(text):
    records = read('{"objectId": "a"}\n' + text)
    assert isinstance(records[1], Unreadable)


def test_nothing_gives_nothing():
    assert read("") == read("\n \n") == []


def test_a_table_gives_one_record_a_row_and_null_for_an_empty_cell(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        'objectId,gmag,rmag,maggmin,note\n"ZTF99aaaaaaa",19.5,,,"a, b"\nZTF99aaaaaab,,,,\nZTF99aaaaaac\n,,,,\n'
    )
    nothing = dict.fromkeys(("gmag", "rmag", "maggmin", "note"))
    assert list(read_records(path, ZTF)) == [
        {"objectId": "ZTF99aaaaaaa"} | nothing | {"gmag": "19.5", "note": "a, b"},
        {"objectId": "ZTF99aaaaaab"} | nothing,
        {"objectId": "ZTF99aaaaaac"} | nothing,
    ]


def test_a_table_without_a_header_or_a_file_that_is_not_there_is_an_error(tmp_path):
    (tmp_path / "empty.csv").write_text(",,,\n")
    with pytest.raises(TableError, match="no header"):
        list(read_records(tmp_path / "empty.csv", ZTF))
    with pytest.raises(SourceError, match="cannot read"):
        list(read_records(tmp_path / "absent.json", ZTF))


@given(st.binary(max_size=300))
def test_any_bytes_are_records_or_a_clear_error(content):
    try:
        read(content)
    except (SourceError, TableError):
        return


@given(st.binary(max_size=300))
def test_any_bytes_as_a_table_are_records_or_a_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        list(read_records(path, ZTF))
    except (SourceError, TableError):
        return


def test_a_file_comes_in_batches_that_hold_every_record(tmp_path):
    path = tmp_path / "many.jsonl"
    path.write_text("\n".join(json.dumps({"objectId": f"o{n}"}) for n in range(1234)))
    batches = list(file_batches(path, ZTF))
    assert [len(batch.records) for batch in batches] == [500, 500, 234]
    assert [record["objectId"] for batch in batches for record in batch.records] == [f"o{n}" for n in range(1234)]


FILTER = FilterFile("mine", "", "objects.objectId, objects.jdmax", "objects", "objects.ncand > 1 OR objects.ncand = 0")


class Table:
    """A table that answers the paged query as SQL would, and can change between pages."""

    def __init__(self, rows, row_cap=10_000):
        self.rows, self.row_cap, self.asked = dict(rows), row_cap, []
        self.between_pages = lambda: None

    def query(self, selected, tables, conditions, page_rows):
        self.asked.append(conditions)
        where, order = conditions.split(" ORDER BY ")
        assert order == "objects.jdmax, objects.objectId"
        _, _, after = where.partition(" AND ")
        rows = [{"objectId": name, "jdmax": jd} for name, jd in self.rows.items() if self._passes(after, jd, name)]
        rows.sort(key=lambda row: (row["jdmax"], row["objectId"]))
        page = rows[: min(page_rows, self.row_cap)]
        self.between_pages()
        return page

    @staticmethod
    def _passes(after, jd, name):
        condition = after.replace("objects.jdmax", "jd").replace("objects.objectId", "name")
        condition = condition.replace(" = ", " == ").replace(" OR ", " or ").replace(" AND ", " and ")
        return not after or eval(condition, {"jd": jd, "name": name})  # our own text, made two lines above


def object_ids(batches) -> list[str]:
    return [record["objectId"] for batch in batches for record in batch.records]


@given(
    st.dictionaries(
        st.from_regex("ZTF99[a-z]{7}", fullmatch=True), st.sampled_from([2461000.5, 2461001.25, 2461002.0])
    ),
    st.integers(1, 7),
)
def test_pages_give_every_object_once_also_where_epochs_are_equal(rows, page_rows):
    table = Table(rows)
    assert sorted(object_ids(query_batches(table.query, ZTF, FILTER, page_rows, 2.0, None))) == sorted(rows)


def test_the_filter_s_own_or_stays_in_brackets():
    table = Table({"ZTF99aaaaaaa": 2461000.5})
    list(query_batches(table.query, ZTF, FILTER, 1, 2.0, None))
    assert all(asked.startswith("(objects.ncand > 1 OR objects.ncand = 0)") for asked in table.asked)


def test_the_next_pass_reads_the_last_two_days_again():
    table = Table({"ZTF99aaaaaaa": 2461000.0, "ZTF99aaaaaab": 2461007.5, "ZTF99aaaaaac": 2461009.0})
    *_, last = query_batches(table.query, ZTF, FILTER, 2, 2.0, None)
    assert object_ids(query_batches(table.query, ZTF, FILTER, 2, 2.0, last.position)) == [
        "ZTF99aaaaaab",
        "ZTF99aaaaaac",
    ]


def test_an_object_that_gets_a_new_alert_between_pages_is_read_again_and_none_is_passed_over():
    table = Table({f"ZTF99aaaaaa{letter}": 2461000.0 + n for n, letter in enumerate("abcdef")})

    def new_alert():
        table.rows["ZTF99aaaaaaa"] = 2461099.0

    table.between_pages = new_alert
    ids = object_ids(query_batches(table.query, ZTF, FILTER, 2, 2.0, None))
    assert set(ids) == set(table.rows)
    assert ids.count("ZTF99aaaaaaa") == 2


def test_a_token_that_gets_fewer_rows_than_asked_for_still_reads_everything():
    table = Table({f"ZTF99{n:07d}": 2461000.0 + n / 1000 for n in range(2500)}, row_cap=1000)
    assert len(object_ids(query_batches(table.query, ZTF, FILTER, 10_000, 2.0, None))) == 2500


NOW = 1.79e9
NOW_JD = mjd_of(NOW) + ZTF.epoch_minus_mjd


@given(
    st.dictionaries(
        st.from_regex("ZTF99[a-z]{7}", fullmatch=True), st.floats(-20, 20) | st.floats(2, 4000), max_size=12
    ),
    st.dictionaries(st.from_regex("ZTF98[a-z]{7}", fullmatch=True), st.floats(0, 1), max_size=6),
    st.integers(1, 5),
    st.one_of(st.none(), st.floats(-30, 1e7), st.just(math.inf), st.just(math.nan)),
)
def test_no_row_dated_ahead_and_no_position_hides_what_comes_next(days_ahead, new, page_rows, held_days_ahead):
    table = Table({name: NOW_JD + days for name, days in days_ahead.items()})
    position = None if held_days_ahead is None else json.dumps({"jdmax": NOW_JD + held_days_ahead})
    for batch in query_batches(table.query, ZTF, FILTER, page_rows, 2.0, position, lambda: NOW):
        position = batch.position or position
    later = NOW + 86_400.0
    table.rows |= {name: NOW_JD + days for name, days in new.items()}
    batches = list(query_batches(table.query, ZTF, FILTER, page_rows, 2.0, position, lambda: later))
    assert set(new) <= set(object_ids(batches))
    assert all(json.loads(batch.position)["jdmax"] <= NOW_JD + 1.001 for batch in batches if batch.position)


def test_a_row_that_was_read_before_or_is_dated_ahead_is_no_news():
    table = Table({"ZTF99aaaaaaa": NOW_JD - 1, "ZTF99aaaaaab": NOW_JD + 3650})

    def read(position):
        (batch,) = query_batches(table.query, ZTF, FILTER, 10, 2.0, position, lambda: NOW)
        return len(batch.records) - batch.repeated, batch.position

    news, position = read(None)
    assert news == 1 and read(position) == (0, position)
    table.rows["ZTF99aaaaaac"] = NOW_JD - 0.5
    assert read(position)[0] == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"objectId": "ZTF99aaaaaaa"}], "have no jdmax and objectId"),
        ([{"objectId": "x' OR 1=1", "jdmax": 2461000.0}], "have no jdmax and objectId"),
        ([{"objectId": "ZTF99aaaaaaa", "jdmax": float("nan")}], "have no jdmax and objectId"),
        ([{"objectId": "ZTF99aaaaaaa", "jdmax": "tonight"}], "have no jdmax and objectId"),
        ([{"objectId": "ZTF99aaaaaaa", "jdmax": 10**400}], "have no jdmax and objectId"),
        ([{"objectId": "ZTF99aaaaaaa", "JDMAX": 2461000.0}], "they have JDMAX; capitals count"),
    ],
)
def test_rows_that_cannot_be_paged_are_an_error(rows, message):
    with pytest.raises(SourceError, match=message):
        list(query_batches(lambda *parts: rows, ZTF, FILTER, 10, 2.0, None))


def test_an_epoch_that_a_database_gives_as_text_is_a_number():
    table = Table({f"ZTF99aaaaaa{letter}": 2461000.5 + number for number, letter in enumerate("abcdefg")})

    def as_text(*parts):
        return [row | {"jdmax": f"{row['jdmax']:.7f}"} for row in table.query(*parts)]

    assert sorted(object_ids(query_batches(as_text, ZTF, FILTER, 3, 2.0, None))) == sorted(table.rows)


def test_a_filter_that_sets_its_own_order_and_a_damaged_position_are_errors():
    ordered = FilterFile("mine", "", "objects.objectId", "objects", "objects.ncand > 1 order  BY objects.jdmax")
    with pytest.raises(SourceError, match="must not have ORDER BY"):
        list(query_batches(Table({}).query, ZTF, ordered, 10, 2.0, None))
    with pytest.raises(SourceError, match="unreadable"):
        list(query_batches(Table({}).query, ZTF, FILTER, 10, 2.0, "yesterday"))
