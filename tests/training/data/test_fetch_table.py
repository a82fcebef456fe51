"""`aha-train fetch features` over HTTP, against the sandbox."""

import csv
import dataclasses
import functools
import math

import pytest

from annotator.errors import ConfigError, LasairApiError, QuotaError, SourceError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger
from annotator.sandbox import Account, Sandbox, simulate_night
from annotator.surveys.ztf.record import ZTF
from training.cli import main
from training.data import fetch_table as fetch
from training.data.fetch_table import COLUMNS, fetch_features
from training.data.table import read_table

TOKEN = "token-of-the-tests"
PATIENCE_S = 60.0
"""Of a call: on a busy machine an answer takes long, and a call that is made again is counted twice."""
TYPES = ("SN Ia", "SN Ia-CSM", "SN II", "SN IIn", "SN Ib", "SN Ic-BL", "SLSN-I", "TDE-He", "AGN", "CV", None)


@functools.cache
def labelled_rows() -> list[dict]:
    """Eleven kinds in turns, the same number of each; only what has a colour is in the databank."""
    rows = [row for row in simulate_night(seed=2, n_objects=150).rows() if row["g_minus_r"] is not None][:110]
    assert len(rows) == 110
    for number, row in enumerate(rows):
        kind = TYPES[number % len(TYPES)]
        if kind:
            row |= {"tns_name": f"2099{number:04d}", "type": kind, "z": 0.05 if number % 3 else None}
            row |= {"ra": row["ramean"], "decl": row["decmean"]}
    return rows


@pytest.fixture
def sandbox():
    with Sandbox(accounts=[Account(TOKEN, "power")]) as server:
        server.load(labelled_rows())
        yield server


@pytest.fixture
def api(sandbox, tmp_path):
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        yield LasairApi(ZTF, sandbox.url, TOKEN, PATIENCE_S, CallBudget(ledger, 5000, 0.98))


def table(path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_the_databank_s_layout_classes_and_sentinels(api, tmp_path, shared):
    out = tmp_path / "features.csv"
    counts = fetch_features(api, out)
    rows = table(out)
    with open(shared / "data" / "object_features.csv", newline="") as databank:
        assert list(rows[0]) == next(csv.reader(databank))
    assert counts == {"SN Ia": 20, "SN II": 20, "SN Ib/c": 20, "Exotic": 30} == _counted(rows)
    expected = {row["objectId"]: row for row in labelled_rows()}
    for row in rows:
        truth = expected[row["objectId"]]
        assert row["type"] == truth["type"] and float(row["gmag"]) == pytest.approx(truth["gmag"], rel=1e-6)
        assert float(row["z"]) == (0.05 if truth["z"] else -999.0)
        assert row["galactic_plane"] == ("yes" if abs(float(row["glatmean"])) < 15 else "no")
        assert float(row["g_r_days_from_fl"]) == pytest.approx(float(row["jd_g_minus_r"]) - float(row["jdmin"]))
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.tmp"))


def test_the_layout_is_forty_four_columns():
    assert len(COLUMNS) + 1 == 44


def _counted(rows) -> dict[str, int]:
    counts = dict.fromkeys(fetch.CLASSES, 0)
    for row in rows:
        counts[row["source_label"]] += 1
    return counts


def test_the_table_is_what_training_reads(api, tmp_path):
    fetch_features(api, tmp_path / "features.csv")
    assert len(read_table(tmp_path / "features.csv", "ztf").rows) == 90


def test_pages_read_everything_and_an_interrupted_run_goes_on_where_it_ended(api, sandbox, tmp_path, monkeypatch):
    out = tmp_path / "features.csv"
    fetch_features(api, out)
    whole = out.read_bytes()
    out.unlink()
    monkeypatch.setattr(fetch, "PAGE_ROWS", 7)
    interruptions = 0
    for _ in range(40):
        sandbox.behave()
        sandbox.misbehave("query", "drop", share=0.3)
        try:
            fetch_features(api, out)
            break
        except LasairApiError:
            interruptions += 1
            assert not out.exists()
    assert interruptions > 2 and out.read_bytes() == whole
    pages = [call for call in sandbox.calls if call.status == 200]
    assert len(pages) <= 4 + math.ceil(90 / 7) + 4 + interruptions


def test_a_part_that_was_cut_off_in_writing_loses_only_that_page(api, tmp_path, monkeypatch):
    out, part = tmp_path / "features.csv", tmp_path / "features.csv.part"
    fetch_features(api, out)
    whole = out.read_bytes()
    monkeypatch.setattr(fetch, "PAGE_ROWS", 9)
    monkeypatch.setattr(fetch, "_write_table", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch_features(api, out)
    monkeypatch.undo()
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    fetch_features(api, out)
    assert out.read_bytes() == whole


def test_the_hour_s_calls_are_kept_and_what_was_read_stays(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "PAGE_ROWS", 8)
    now = [1e9]
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        api = LasairApi(ZTF, sandbox.url, TOKEN, PATIENCE_S, CallBudget(ledger, 6, 0.9, lambda: now[0]))
        with pytest.raises(QuotaError, match="run the same command again"):
            fetch_features(api, tmp_path / "features.csv")
        assert len(sandbox.calls) == 5

        def sleep(seconds):
            now[0] += seconds

        assert sum(fetch_features(api, tmp_path / "features.csv", wait=True, sleep=sleep).values()) == 90


def test_the_best_sherlock_class_is_kept_of_an_object_that_comes_twice(api, sandbox, tmp_path):
    sandbox.misbehave("query", "duplicate")
    assert sum(fetch_features(api, tmp_path / "features.csv").values()) == 90


def test_an_answer_without_the_columns_is_an_error_and_a_missing_folder_too(api, sandbox, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no folder"):
        fetch_features(api, tmp_path / "absent" / "features.csv")
    bare = dataclasses.replace(fetch.TYPED["ztf"], selected="objects.objectId")
    monkeypatch.setattr(fetch, "TYPED", {"ztf": bare})
    with pytest.raises(SourceError, match="lacks gmag"):
        fetch_features(api, tmp_path / "features.csv")


def test_the_command_reads_its_token_from_the_environment(sandbox, tmp_path, monkeypatch, capsys):
    out = tmp_path / "features.csv"
    command = ["fetch", "features", "--out", str(out), "--endpoint", sandbox.url, "--calls-per-hour", "10000"]
    command += ["--ledger", str(tmp_path / "calls.sqlite")]
    monkeypatch.delenv("LASAIR_TOKEN", raising=False)
    assert main(command) == 2
    assert "LASAIR_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    assert main(command) == 0
    assert len(table(out)) == 90
