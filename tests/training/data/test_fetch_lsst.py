"""`aha-train fetch ... --survey lsst` over HTTP, against the sandbox of Lasair for Rubin."""

import csv
import dataclasses
import itertools
import math

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.errors import ConfigError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.cutouts import CutoutFetcher
from annotator.ledger import Ledger
from annotator.preprocess.fits import read_stamp
from annotator.sandbox import Account, LsstSandbox, simulate_rubin_night
from annotator.sandbox.lasair.lsst.records import bbox_size
from annotator.sandbox.sky.rubin.stamps import render
from annotator.surveys import SURVEYS
from tests.conftest import TOKEN
from tests.lsst_records import rubin_object, shapes
from tests.training.rubin_lasair import clock, load
from training.data import fetch_objects
from training.data.fetch_objects import fetch_cutouts, fetch_lightcurves, read_objects
from training.data.fetch_table import fetch_features
from training.data.native import read_light_curves, read_native

LSST = SURVEYS["lsst"]
TYPES = ("SN Ia", "SLSN-I", "AGN", "SN IIn", "", None, "TDE-H-He", "SN Ic-BL")
IDS = (2**63 - 1, 2**53 + 1, 17, *range(10**18, 10**18 + 5))
OBJECTS = [rubin_object(number, n_nights=6, object_id=own, fades=number == 3) for number, own in enumerate(IDS)]
TYPED = {str(item.object_id): kind for item, kind in zip(OBJECTS, TYPES, strict=True) if kind}


@pytest.fixture
def sandbox():
    with LsstSandbox(accounts=[Account(TOKEN, "power")], clock=clock) as server:
        load(server, OBJECTS, TYPES)
        yield server


@pytest.fixture
def api(sandbox, tmp_path):
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        yield LasairApi(LSST, sandbox.url, TOKEN, 60.0, CallBudget(ledger, 5000, 0.98))


def rows_of(path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def asked(sandbox) -> int:
    return sum(call.endpoint == "object" for call in sandbox.calls)


def test_the_table_has_every_object_with_a_type_under_all_its_digits_and_an_agn_is_no_exotic(api, tmp_path):
    counts = fetch_features(api, tmp_path / "objects.csv")
    rows = rows_of(tmp_path / "objects.csv")
    assert {row["diaObjectId"]: row["type"] for row in rows} == TYPED and len(rows) == len(TYPED)
    assert counts == {"SN Ia": 1, "SN II": 1, "SN Ib/c": 1, "Exotic": 2, "Other": 1}
    assert {row["type"] for row in rows if row["source_label"] == "Other"} == {"AGN"}
    assert list(read_objects(tmp_path / "objects.csv", LSST)) == [row["diaObjectId"] for row in rows]


def test_answers_of_another_survey_in_the_folder_stay(api, tmp_path):
    (tmp_path / "object-answers.jsonl").write_text('{"objectId": "ZTF20abcdefg", "candidates": []}\n')
    fetch_features(api, tmp_path / "objects.csv")
    fetch_lightcurves(api, tmp_path / "objects.csv", tmp_path / "lightcurves.parquet")
    assert "ZTF20abcdefg" in (tmp_path / "object-answers.jsonl").read_text()


def test_pages_of_a_table_follow_the_ids_as_numbers(api, tmp_path, monkeypatch):
    fetch_features(api, tmp_path / "whole.csv")
    monkeypatch.setattr("training.data.fetch_table.PAGE_ROWS", 2)
    fetch_features(api, tmp_path / "paged.csv")
    assert (tmp_path / "paged.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_light_curves_are_those_that_the_annotator_decodes_and_are_read_back_to_the_bit(api, tmp_path):
    fetch_features(api, tmp_path / "objects.csv")
    result = fetch_lightcurves(api, tmp_path / "objects.csv", tmp_path / "lightcurves.parquet")
    assert (result.found, result.failures) == (len(TYPED), {})
    curves = {curve.object_id: curve for curve in read_native(tmp_path).typed.curves}
    assert {object_id: curve.kind for object_id, curve in curves.items()} == TYPED
    for item in OBJECTS:
        if str(item.object_id) in TYPED:
            expected = LSST.parse(shapes(item)["object, full"]).light_curve
            found = curves[str(item.object_id)].light_curve
            for name in ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced"):
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_a_withdrawn_source_is_dropped_an_asteroid_refused_and_an_unknown_object_asked_for_again(
    api, sandbox, tmp_path
):
    first, second = (rubin_object(70 + number, n_nights=6) for number in (1, 2))
    first.sources[0]["timeWithdrawnMjdTai"] = 61500.0
    moving = [
        source | {"ssObjectId": 42, "ra": 10.0 + number / 100, "dec": -30.0}
        for number, source in enumerate(second.sources)
    ]
    asteroid = dataclasses.replace(second, sources=moving)
    load(sandbox, [first, asteroid], ["SN Ia", "SN Ia"])
    table = tmp_path / "table.csv"
    ids = [first.object_id, second.object_id, 12345]
    table.write_text("diaObjectId,type\n" + "".join(f"{own},SN Ia\n" for own in ids))
    for _ in range(2):
        result = fetch_lightcurves(api, table, tmp_path / "lightcurves.parquet")
    (curve,) = read_light_curves(tmp_path / "lightcurves.parquet").values()
    assert len(curve.detected()) == len(first.sources) - 1
    assert "solar-system object 42" in result.failures[str(second.object_id)]
    assert "no detection" in result.failures["12345"]
    assert asked(sandbox) == 4 and len(rows_of(tmp_path / "lightcurves.failures.csv")) == 2


def test_a_run_that_is_killed_at_any_step_goes_on_and_asks_for_each_object_once(api, sandbox, tmp_path, monkeypatch):
    class KilledError(BaseException):
        pass

    steps = itertools.count()

    def dies_at(step, call):
        def deadly(*given):
            if next(steps) == step:
                raise KilledError
            return call(*given)

        return deadly

    def run(folder) -> None:
        fetch_features(api, folder / "objects.csv")
        fetch_lightcurves(api, folder / "objects.csv", folder / "lightcurves.parquet")

    whole = tmp_path / "whole"
    whole.mkdir()
    run(whole)
    for step in range(len(TYPED) + 3):  # a query, an answer each, two writes
        folder, before = tmp_path / f"killed-{step}", asked(sandbox)
        folder.mkdir()
        steps = itertools.count()
        with monkeypatch.context() as patch:
            for name in ("query", "object"):
                patch.setattr(api, name, dies_at(step, getattr(api, name)))
            for module in ("fetch_table", "fetch_objects"):
                patch.setattr(f"training.data.{module}.write_files", dies_at(step, fetch_objects.write_files))
            with pytest.raises(KilledError):
                run(folder)
        run(folder)
        assert asked(sandbox) - before == len(TYPED)
        names = {path.name for path in folder.iterdir()}
        assert names == {path.name for path in whole.iterdir()}
        assert all((folder / name).read_bytes() == (whole / name).read_bytes() for name in names)


def test_stamps_are_of_the_brightest_detection_by_its_number_each_as_large_as_it_is(tmp_path):
    night = simulate_rubin_night(7, 20, now_mjd=61400.4)
    of_one_sign = [item for item in night.objects if abs(np.sign(item.observed.sources.flux_njy).mean()) == 1]
    objects = {str(item.object_id): item for item in of_one_sign[:5]}
    table = tmp_path / "table.csv"
    table.write_text("diaObjectId,type\n" + "".join(f"{own},SN Ia\n" for own in objects))
    now = [(night.now_mjd - 40587.0) * 86400]
    with (
        LsstSandbox(night, accounts=[Account(TOKEN, "power")], clock=lambda: now[0]) as server,
        Ledger(tmp_path / "calls.sqlite") as ledger,
    ):
        api = LasairApi(LSST, server.url, TOKEN, 60.0, CallBudget(ledger, 5000, 0.98))
        cutouts = CutoutFetcher(["127.0.0.1"], moved=(LSST.cutout_root, server.root_url))
        fetch_cutouts(api, cutouts, table, tmp_path)
        fetch_lightcurves(api, table, tmp_path / "lightcurves.parquet")
        rows, found = rows_of(tmp_path / "cutouts.csv"), read_native(tmp_path).triplets
        assert asked(server) == 5 and list(found) == [row["diaObjectId"] for row in rows]
        for row in rows:
            item = objects[row["diaObjectId"]]
            place = int(np.argmax(np.abs(item.observed.sources.flux_njy)))
            assert int(row["diaSourceId"]) == item.source_ids[place]
            stamps = render(item, place, bbox_size(item, place), night.seed)
            triplet = found[row["diaObjectId"]]
            for kind in ("Science", "Template", "Difference"):
                np.testing.assert_array_equal(getattr(triplet, kind.lower()), read_stamp(stamps[kind]))
            assert triplet.time_mjd == pytest.approx(item.source_mjd_tai[place] - 37 / 86400, abs=1e-9)
            assert triplet.is_negative == (item.observed.sources.flux_njy[place] < 0)
        assert len(rows) >= 4
        now[0] += 400 * 86400
        result = fetch_cutouts(api, cutouts, table, tmp_path)
        assert result.found == 0 and len(read_native(tmp_path).triplets) == 0
        assert len(result.failures) == 5


class StandIn:
    """Lasair for Rubin without the wire."""

    survey = LSST

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids

    def query(self, selected, tables, conditions, limit):
        names = [column.rpartition(" AS ")[2].rpartition(".")[2] for column in selected.split(", ")]
        return [dict.fromkeys(names) | {"diaObjectId": own, "type": "TDE"} for own in sorted(self.ids)]

    def object(self, object_id):
        source = {"diaSourceId": 2**62, "midpointMjdTai": 61000.0, "band": "r", "psfFlux": 1e3, "psfFluxErr": math.nan}
        return {"diaObjectId": object_id, "diaSourcesList": [source], "diaForcedSourcesList": []}


class TwiceNamed(StandIn):
    """An object near which TNS has two transients."""

    def query(self, selected, tables, conditions, limit):
        (row,) = super().query(selected, tables, conditions, limit)
        return [
            row | {"ra": 10.0, "decl": -30.0, "tns_ra": 10.0 + apart_deg, "tns_decl": -30.0, "type": kind}
            for kind, apart_deg in (("CV", 3e-4), ("SLSN-I", -1e-4), ("AGN", 2e-4))
        ]


def test_of_several_transients_of_tns_an_object_is_the_nearest_one(tmp_path):
    fetch_features(TwiceNamed([2**62]), tmp_path / "objects.csv")
    (row,) = rows_of(tmp_path / "objects.csv")
    assert (row["type"], row["source_label"]) == ("SLSN-I", "Exotic")


@settings(max_examples=25)
@given(st.lists(st.integers(1, 2**63 - 1) | st.integers(2**53, 2**53 + 9), min_size=1, max_size=4, unique=True))
def test_an_id_keeps_all_its_digits_from_lasair_to_what_is_trained_on(tmp_path_factory, ids):
    folder, api = tmp_path_factory.mktemp("ids"), StandIn(ids)
    fetch_features(api, folder / "objects.csv")
    fetch_lightcurves(api, folder / "objects.csv", folder / "lightcurves.parquet")
    wanted = {str(own) for own in ids}
    assert {curve.object_id for curve in read_native(folder).typed.curves} == wanted
    frame = pandas.read_parquet(folder / "lightcurves.parquet")
    assert set(frame["diaObjectId"]) == wanted  # text, through pandas, too
    assert {row["diaObjectId"] for row in rows_of(folder / "lightcurve_labels.csv")} == wanted


def test_an_id_that_has_gone_through_a_float_is_refused_by_name(tmp_path):
    frame = pandas.DataFrame({"diaObjectId": [2**62 + 1, None], "type": ["TDE", "TDE"]})
    frame.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(ConfigError, match=r"--table .*below 2\^63, found '4\.6"):
        read_objects(tmp_path / "table.csv", LSST)
    (tmp_path / "table.csv").write_text("diaObjectId,type\n0,SN Ia\n")  # as in an alert of an asteroid
    with pytest.raises(ConfigError, match="found '0'"):
        read_objects(tmp_path / "table.csv", LSST)
    measured = {"mjd": [61000.0], "band": ["r"], "psfFlux": [1.0], "psfFluxErr": [1.0], "kind": ["diaSource"]}
    path = tmp_path / "lightcurves.parquet"
    pandas.DataFrame({"diaObjectId": [float(2**62)], **measured}).to_parquet(path)
    with pytest.raises(ConfigError, match="holds no id of 64 bits"):
        read_light_curves(path)
    pandas.DataFrame({"diaObjectId": ["4.6e18"], **measured}).to_parquet(path)
    with pytest.raises(ConfigError, match=r"below 2\^63, found '4\.6e18'"):
        read_light_curves(path)
