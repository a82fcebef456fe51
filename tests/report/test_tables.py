"""The night as a table, read back by those that read such tables: csv, json, astropy."""

import csv
import io
import json

import pytest
from astropy.io.votable import parse, validate
from astropy.table import Table

from annotator.passes.run import run_pass
from annotator.report.read import read_night
from annotator.report.tables import to_table
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
