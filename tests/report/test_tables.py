"""The night as a table, read back by those that read such tables: csv, json, astropy."""

import csv
import dataclasses
import functools
import io
import json
import shutil
import subprocess
from importlib.util import find_spec

import pytest
from astropy.io.votable import parse, tree, validate
from astropy.table import Table, vstack

from annotator.passes.run import run_pass
from annotator.report.read import read_night
from annotator.report.tables import fields, to_table
from tests.report.report_nights import make_night, night_with
from tests.report.test_night import EVENING


@pytest.fixture(scope="module")
def read(tmp_path_factory, night, models):
    from annotator.sandbox import Account, Sandbox, Topic
    from tests.conftest import TOKEN, write_config

    with Sandbox(
        night, accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False
    ) as server:
        config = write_config(tmp_path_factory.mktemp("night"), server)
        run_pass(config, models, clock=lambda: EVENING)
        return read_night(config, models, EVENING)


def test_csv_has_a_row_an_object_and_an_empty_cell_where_there_is_no_value(read):
    rows = list(csv.DictReader(io.StringIO(to_table(read, "csv"))))
    assert [row["objectId"] for row in rows] == [item.object_id for item in read.candidates]
    for row, item in zip(rows, read.candidates, strict=True):
        assert float(row["score"]) == item.score and row["explanation"] == item.explanation
        assert float(row["ra"]) == item.transient.ra_deg
        assert row["first_mjd"] == ("" if item.first_flagged_mjd is None else repr(item.first_flagged_mjd))
        assert row["tns_name"] == item.tns_name


def test_csv_makes_no_formula_of_a_text_from_outside():
    hostile = {"tns_name": "=HYPERLINK(A1)", "explanation": "@SUM(A1)", "object_id": "+1+1", "tns_type": "SN Ia"}
    night = make_night(1)
    item = dataclasses.replace(night.candidates[0], **hostile, score=-0.5)
    (row,) = csv.DictReader(io.StringIO(to_table(dataclasses.replace(night, candidates=(item,)), "csv")))
    assert [row["tns_name"], row["explanation"], row["objectId"]] == ["'=HYPERLINK(A1)", "'@SUM(A1)", "'+1+1"]
    assert (row["tns_type"], row["score"]) == ("SN Ia", "-0.5")


def test_json_has_what_the_night_was_and_each_object_with_its_reasons(read):
    document = json.loads(to_table(read, "json"))
    assert (document["night"], document["model_set"]) == (read.date, read.model_set)
    for row, item in zip(document["objects"], read.candidates, strict=True):
        assert row["score"] == item.score and row["is_new"] is True
        assert [reason["words"] for reason in row["reasons"].get("features", [])] == [
            reason.words for reason in item.reasons.get("features", ())
        ]
        assert None not in row.values()


def test_votable_is_valid_and_carries_units_and_meanings(read, tmp_path):
    path = tmp_path / "night.vot"
    path.write_text(to_table(read, "votable"))
    found = Table.read(path, format="votable")
    assert list(found["objectId"]) == [item.object_id for item in read.candidates]
    assert found["ra"].unit == "deg" and found["mjd"].unit == "d"
    assert list(found["first_mjd"].mask) == [item.first_flagged_mjd is None for item in read.candidates]
    fields = {field.name: field for field in parse(path, verify="exception").get_first_table().fields}
    assert fields["dec"].ucd == "pos.eq.dec;meta.main" and fields["score"].description
    report = io.StringIO()
    assert validate(path, output=report) is True, report.getvalue()


# --- the same columns and types every night


def bare(item):
    """Take from an object all that it need not have."""
    nothing = {"prior": None, "exotic": None, "n_det": None, "mjd": None, "first_flagged_mjd": None, "judgement": None}
    words = {"tns_name": "", "tns_type": "", "transient": None, "modalities": {}, "explanation": "", "reasons": {}}
    return dataclasses.replace(item, **nothing, **words)


@functools.cache
def nights() -> dict:
    """Nights of which some have columns that are empty throughout."""
    full = make_night(20)
    return {
        "full": full,
        "bare": night_with([bare(item) for item in full.candidates]),
        "one object": night_with([bare(full.candidates[0])]),
        "without judgements": night_with([dataclasses.replace(item, judgement=None) for item in full.candidates]),
        "empty": night_with([]),
    }


@pytest.fixture
def files(tmp_path):
    """Each night as a VOTable."""
    for name, night in nights().items():
        (tmp_path / f"{name}.vot").write_text(to_table(night, "votable"))
    return [tmp_path / f"{name}.vot" for name in nights()]


def test_a_votable_has_the_same_fields_whatever_the_night_holds(files):
    found = [
        [
            (item.name, item.datatype, item.arraysize, item.unit, item.ucd)
            for item in parse(path).get_first_table().fields
        ]
        for path in files
    ]
    assert all(item == found[0] for item in found)
    assert {(datatype, size) for _, datatype, size, _, _ in found[0]} == {
        ("unicodeChar", "*"),
        *((kind, None) for kind in ("long", "double", "boolean")),
    }
    assert all(validate(path, output=io.StringIO()) for path in files)


def test_no_votable_is_written_by_what_writes_beyond_its_buffer(monkeypatch):
    monkeypatch.setattr(tree.tablewriter, "write_tabledata", pytest.fail)
    assert "<TR>" in to_table(nights()["full"], "votable")


def test_csv_and_json_have_the_same_columns_whatever_the_night_holds():
    names = [field.name for field in fields("ztf")]
    for night in nights().values():
        assert next(csv.reader(io.StringIO(to_table(night, "csv")))) == names
        document = json.loads(to_table(night, "json"))
        assert [column["name"] for column in document["columns"]] == names
        kinds = {column["name"]: column["kind"] for column in document["columns"]}
        made = {"text": str, "whole": int, "real": float, "yes_no": bool}
        for row in document["objects"]:
            assert all(type(row[name]) is made[kinds[name]] for name in row.keys() - {"reasons"})


def test_astropy_stacks_the_tables_of_several_nights(files):
    stacked = vstack([Table.read(path, format="votable") for path in files], metadata_conflicts="silent")
    assert len(stacked) == sum(len(night.candidates) for night in nights().values())
    first = nights()["full"].candidates
    assert list(stacked["n_det"][: len(first)]) == [item.n_det for item in first]
    assert stacked["n_det"].mask[len(first) : 2 * len(first)].all()
    assert [str(text) for text in stacked["verdict"][: len(first)]] == [
        item.judgement.verdict if item.judgement else "" for item in first
    ]


@pytest.mark.skipif(find_spec("pandas") is None, reason="pandas is not installed")
def test_pandas_stacks_the_tables_of_several_nights(files):
    import pandas

    from_json = pandas.concat(
        pandas.DataFrame(document["objects"], columns=[column["name"] for column in document["columns"]]).astype(object)
        for document in (json.loads(to_table(night, "json")) for night in nights().values())
    )
    from_votable = pandas.concat(Table.read(path, format="votable").to_pandas().astype(object) for path in files)
    assert len(from_json) == len(from_votable) == sum(len(night.candidates) for night in nights().values())
    assert from_json["objectId"].tolist() == from_votable["objectId"].tolist()
    assert from_json["score"].tolist() == from_votable["score"].tolist()


@pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts, TOPCAT's command line, is not installed")
def test_topcat_stacks_the_tables_of_several_nights(files, tmp_path):
    stacked = tmp_path / "stacked.vot"
    sources = [f"in={path}" for path in files]
    said = subprocess.run(
        ["stilts", "tcat", *sources, "ofmt=votable", f"out={stacked}"], capture_output=True, text=True, timeout=120
    )
    assert said.returncode == 0, said.stderr
    found = Table.read(stacked, format="votable")
    expected = [item for night in nights().values() for item in night.candidates]
    assert [str(name) for name in found["objectId"]] == [item.object_id for item in expected]
    assert [bool(value) for value in found["is_new"]] == [item.is_new for item in expected]
    assert list(found["n_det"].mask) == [item.n_det is None for item in expected]
