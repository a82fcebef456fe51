"""`aha-train fetch lightcurves` and `fetch cutouts` over HTTP, against the sandbox."""

import csv
import json

import numpy as np
import pyarrow.parquet
import pytest

from annotator.errors import ConfigError, LasairUnreachableError, QuotaError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.cutout_cache import CutoutCache
from annotator.lasair.cutouts import CutoutFetcher
from annotator.ledger import Ledger
from annotator.preprocess.fits import read_stamp
from annotator.sandbox import Account, Sandbox, simulate_night
from annotator.sandbox.sky.stamps import render
from annotator.surveys.ztf.record import ZTF
from training.cli import main
from training.data.fetch_objects import fetch_cutouts, fetch_lightcurves, read_objects, stamp_columns
from training.data.fetched_layouts import LAYOUTS

TOKEN = "token-of-the-tests"
PATIENCE_S = 60.0
"""Of a call: on a busy machine an answer takes long, and a call that is made again is counted twice."""
NIGHT = simulate_night(seed=4, n_objects=30)
OBJECTS = {item.object_id: item for item in NIGHT.objects}


@pytest.fixture
def sandbox():
    with Sandbox(NIGHT, accounts=[Account(TOKEN, "power")]) as server:
        yield server


@pytest.fixture
def api(sandbox, tmp_path):
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        yield LasairApi(ZTF, sandbox.url, TOKEN, PATIENCE_S, CallBudget(ledger, 5000, 0.98))


@pytest.fixture
def cutouts(tmp_path):
    return CutoutFetcher(["127.0.0.1"], cache=CutoutCache(tmp_path / "stamps", 1e9))


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    rows = [{"objectId": o, "type": "SN Ia", "source_label": "SN Ia"} for o in OBJECTS]
    rows += [rows[3], {"objectId": "TNS:2018avk", "type": "SLSN-I", "source_label": "Exotic"}]
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, ["objectId", "type", "source_label"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def asked(sandbox) -> int:
    return sum(call.endpoint == "object" for call in sandbox.calls)


def brightest(object_id):
    seen = [e for e in OBJECTS[object_id].epochs if e.isdiffpos == "t"]
    return min(seen, key=lambda e: e.magpsf, default=None)


def test_the_light_curves_have_the_layout_of_the_training_data_and_the_detections_of_the_objects(
    api, table, tmp_path, shared
):
    out = tmp_path / "lightcurves.parquet"
    result = fetch_lightcurves(api, table, out)
    read = pyarrow.parquet.read_table(out)
    expected = pyarrow.parquet.read_schema(shared / "data" / "lightcurves.parquet")
    assert read.schema.names == expected.names == list(LAYOUTS["ztf"].curve_types)
    for name in ("jd", "fid", "magpsf", "sigmapsf"):
        assert read.schema.field(name).type == expected.field(name).type
    assert result.found == len(OBJECTS) and result.failures == {}
    rows = read.to_pylist()
    for object_id, item in list(OBJECTS.items())[:10]:
        seen = {round(e.jd, 5): e for e in item.epochs if e.candid is not None}
        found = [row for row in rows if row["objectId"] == object_id]
        assert len(seen) - 2 <= len(found) <= len(seen)
        for row in found:
            epoch = seen[round(row["jd"], 5)]
            assert (row["fid"], row["isdiffpos"]) == (epoch.fid, epoch.isdiffpos)
            assert row["magpsf"] == pytest.approx(epoch.magpsf, rel=1e-6)
    labels = rows_of(tmp_path / "lightcurve_labels.csv")
    assert [row["objectId"] for row in labels] == list(OBJECTS)
    assert {row["source_label"] for row in labels} == {"SN Ia"}


def test_the_light_curves_are_what_training_reads(api, table, tmp_path):
    lightcurve_data = pytest.importorskip("training.data.curves")
    fetch_lightcurves(api, table, tmp_path / "lightcurves.parquet")
    curves = lightcurve_data.read_curves(tmp_path / "lightcurves.parquet", tmp_path / "lightcurve_labels.csv").curves
    assert 15 < len(curves) <= len(OBJECTS)


def test_the_stamps_have_the_layout_of_the_training_data_and_are_of_the_brightest_positive_detection(
    api, cutouts, table, tmp_path, shared
):
    result = fetch_cutouts(api, cutouts, table, tmp_path)
    rows = rows_of(tmp_path / "cutouts.csv")
    with open(shared / "data" / "cutouts.csv", newline="") as file:
        assert list(rows[0]) == next(csv.reader(file)) == list(stamp_columns(ZTF))
    with np.load(tmp_path / "cutouts.npz") as arrays, np.load(shared / "data" / "cutouts.npz") as expected:
        assert set(arrays.files) == set(expected.files)
        for name in arrays.files:
            written, read = arrays[name], expected[name]
            assert written.dtype == read.dtype and written.shape == (len(rows), *read.shape[1:])
        assert arrays["candid"].tolist() == [int(row["candid"]) for row in rows]
        science = arrays["science"]
        for number, row in enumerate(rows):
            epoch = brightest(row["objectId"])
            assert int(row["candid"]) == epoch.candid and float(row["jd"]) == epoch.jd
            stamp = read_stamp(render(OBJECTS[row["objectId"]], epoch, NIGHT.seed)["Science"])
            assert np.array_equal(science[number], stamp, equal_nan=True)
    assert result.found == len(rows) > 22 and len(rows) + len(result.failures) == len(OBJECTS)
    failures = rows_of(tmp_path / "cutouts.failures.csv")
    assert {row["objectId"]: row["reason"] for row in failures} == result.failures


def test_one_folder_asks_for_every_object_once(api, cutouts, sandbox, table, tmp_path):
    fetch_lightcurves(api, table, tmp_path / "lightcurves.parquet")
    fetch_cutouts(api, cutouts, table, tmp_path)
    stamps = sum(call.endpoint == "cutout" for call in sandbox.calls)
    fetch_cutouts(api, cutouts, table, tmp_path)
    assert asked(sandbox) == len(OBJECTS)
    again = sum(call.endpoint == "cutout" for call in sandbox.calls) - stamps
    assert again <= 3 * len(rows_of(tmp_path / "cutouts.failures.csv"))


def test_an_interrupted_run_goes_on_where_it_ended(api, sandbox, table, tmp_path):
    out, kept = tmp_path / "lightcurves.parquet", tmp_path / "object-answers.jsonl"
    fetch_lightcurves(api, table, out)
    whole = out.read_bytes()
    lines = kept.read_bytes().splitlines(keepends=True)
    out.unlink()
    kept.write_bytes(b"".join(lines[:20]) + lines[20][:100])
    before = asked(sandbox)
    fetch_lightcurves(api, table, out)
    assert out.read_bytes() == whole and asked(sandbox) - before == len(OBJECTS) - 20
    assert not list(tmp_path.glob("*.tmp"))


def test_an_outage_ends_the_run_soon_and_keeps_what_was_read(api, sandbox, table, tmp_path):
    sandbox.misbehave("object", "drop")
    with pytest.raises(LasairUnreachableError, match="run the same command again"):
        fetch_lightcurves(api, table, tmp_path / "lightcurves.parquet")
    assert asked(sandbox) == 3 and not (tmp_path / "lightcurves.parquet").exists()
    sandbox.behave()
    again = LasairApi(ZTF, sandbox.url, TOKEN, PATIENCE_S, api.budget)  # the same command once more
    assert fetch_lightcurves(again, table, tmp_path / "lightcurves.parquet").found == len(OBJECTS)


def test_what_cannot_be_had_is_listed_with_its_reason_and_the_rest_is_there(api, sandbox, cutouts, table, tmp_path):
    with open(table, "a") as file:
        file.write("ZTF99unknown,SN Ia,SN Ia\n")
    sandbox.misbehave("cutout", "truncate", times=2)
    result = fetch_cutouts(api, cutouts, table, tmp_path)
    assert "object" in result.failures["ZTF99unknown"]
    failures = {row["objectId"]: row["reason"] for row in rows_of(tmp_path / "cutouts.failures.csv")}
    assert failures == result.failures and len(rows_of(tmp_path / "cutouts.csv")) == result.found > 22
    result = fetch_lightcurves(api, table, tmp_path / "lightcurves.parquet")
    assert set(result.failures) == {"ZTF99unknown"}
    assert (tmp_path / "lightcurves.failures.csv").exists()


def test_the_hour_s_calls_are_kept(sandbox, table, tmp_path):
    now = [1e9]
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        api = LasairApi(ZTF, sandbox.url, TOKEN, PATIENCE_S, CallBudget(ledger, 20, 0.9, lambda: now[0]))
        with pytest.raises(QuotaError, match="run the same command again"):
            fetch_lightcurves(api, table, tmp_path / "lightcurves.parquet")
        assert asked(sandbox) == 18

        def sleep(seconds):
            now[0] += seconds

        result = fetch_lightcurves(api, table, tmp_path / "lightcurves.parquet", wait=True, sleep=sleep)
        assert result.found == asked(sandbox) == len(OBJECTS)


@pytest.mark.parametrize("text", ["", "name,type\na,b\n", "objectId\n\n", "objectId\nTNS:2018avk\n"])
def test_a_table_without_usable_ids_is_usage(tmp_path, text):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(ConfigError, match="--table"):
        read_objects(tmp_path / "table.csv", ZTF)
    with pytest.raises(ConfigError, match="--table"):
        read_objects(tmp_path / "absent.csv", ZTF)


def test_the_commands_say_what_they_wrote(sandbox, table, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    common = ["--table", str(table), "--endpoint", sandbox.url, "--calls-per-hour", "10000"]
    common += ["--ledger", str(tmp_path / "calls.sqlite")]
    out = tmp_path / "lightcurves.parquet"
    assert main(["fetch", "lightcurves", "--out", str(out), *common]) == 0
    assert f"{len(OBJECTS)} objects; 0 failed" in capsys.readouterr().err
    assert main(["fetch", "cutouts", "--out", str(tmp_path), *common]) == 0
    assert "triplets" in capsys.readouterr().err
    answers = (tmp_path / "object-answers.jsonl").read_text().splitlines()
    assert len(answers) == len(OBJECTS) and set(json.loads(answers[0])) == {"objectId", "candidates"}
    assert main(["fetch", "cutouts", "--out", str(tmp_path / "absent"), *common]) == 2
    monkeypatch.delenv("LASAIR_TOKEN")
    assert main(["fetch", "lightcurves", "--out", str(out), *common]) == 2
