import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from annotator.cli import main
from annotator.demo import NIGHT_OBJECTS
from annotator.lasair.filters import list_filters
from annotator.sandbox import simulate_night
from tests.conftest import of_the_long_suite

NOT_EVERY_NIGHT = ("hostless_or_far", "young_and_rising")
"""Filters of what a simulated night may lack: what rises fastest in it are cataclysmic variables; few of its supernovae
far from a host are odd besides."""
COMMUNITY = [item.name for item in list_filters() if item.annotators]


@pytest.mark.parametrize("n_objects", [120, *of_the_long_suite(NIGHT_OBJECTS)])
def test_the_demo_annotates_a_night_and_every_community_filter_finds_something(
    tmp_path, capsys, monkeypatch, n_objects
):
    monkeypatch.setattr("annotator.demo.NIGHT_OBJECTS", n_objects)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    printed = capsys.readouterr().out
    rare = COMMUNITY if n_objects < NIGHT_OBJECTS else NOT_EVERY_NIGHT
    for name in COMMUNITY:
        least = r"\d+" if name in rare and name != "tonights_anomalies" else r"[1-9]\d*"
        assert re.search(rf"^{name}: {least} objects", printed, re.MULTILINE), name
    assert f"{n_objects} SIMULATED objects" in printed
    annotations = json.loads((tmp_path / "demo" / "annotations.json").read_text())
    assert {row["classification"] for row in annotations} == {"anomaly", "watch", "artefact"}
    assert 5 <= len(annotations) <= 60
    page = Path(printed.splitlines()[-1])
    assert page == (tmp_path / "demo" / "report" / "index.html").resolve()
    written = page.read_text(encoding="utf-8")
    for row in annotations:
        assert row["objectId"] in written and (page.parent / "objects" / f"{row['objectId']}.html").is_file()


def test_the_demo_of_rubin_delivers_to_a_queue_reads_back_and_shows_a_night_in_flux(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("annotator.demo.NIGHT_OBJECTS", 60)
    assert main(["demo", "--survey", "lsst", "--out", str(tmp_path / "demo")]) == 0
    printed = capsys.readouterr().out
    assert "60 SIMULATED objects" in printed and "PROVISIONAL" in printed
    for item in list_filters("lsst"):
        assert not item.annotators or re.search(rf"^{item.name}: \d+ objects", printed, re.MULTILINE), item.name
    annotations = json.loads((tmp_path / "demo" / "annotations.json").read_text())
    assert len(annotations) >= 3
    assert f"0 failed, {len(annotations)} at Lasair, {len(annotations)} of them read back" in printed
    assert re.search(r"^\w+: [1-9]\d* objects", printed, re.MULTILINE)
    page = Path(printed.splitlines()[-1])
    of_object = (page.parent / "objects" / f"{annotations[0]['diaObjectId']}.html").read_text(encoding="utf-8")
    assert "Missing: no model for this survey yet" in of_object
    pages = [path.read_text(encoding="utf-8") for path in (page.parent / "objects").glob("*.html")]
    assert any("difference flux, nJy" in text for text in pages)


def test_rubin_s_messages_are_replayed_copies_too(tmp_path, capsys):
    curve = {
        "diaSourcesList": [
            {"diaSourceId": 7 + i, "midpointMjdTai": 61000.0 + 3 * i, "band": "griz"[i % 4]}
            | {"psfFlux": 5000.0 + 900 * i, "psfFluxErr": 200.0, "reliability": 0.9}
            for i in range(6)
        ]
    }
    bare = [{"diaObjectId": 2**63 - 1 - number, "lastDiaSourceMjdTai": 61015.0} for number in range(3)]
    path = tmp_path / "recorded.jsonl"
    path.write_text("\n".join(json.dumps(row) for item in bare for row in (item, item | {"alert": curve})))
    assert main(["demo", "--survey", "lsst", "--out", str(tmp_path / "demo"), "--records", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "3 recorded objects" in printed and "read 6 records: 3 scored" in printed


@pytest.fixture
def recorded(tmp_path) -> Path:
    path = tmp_path / "recorded.jsonl"
    path.write_text("\n".join(["{broken", *map(json.dumps, simulate_night(3, 40).rows())]))
    return path


def test_recorded_records_are_replayed_instead_as_often_as_one_likes(tmp_path, capsys, recorded):
    for _ in range(2):
        assert main(["demo", "--out", str(tmp_path / "demo"), "--records", str(recorded)]) == 0
        assert "40 recorded objects" in capsys.readouterr().out
    (tmp_path / "nothing.json").write_text("[]")
    assert main(["demo", "--out", str(tmp_path / "demo"), "--records", str(tmp_path / "nothing.json")]) == 2


def test_a_folder_that_holds_something_else_is_no_demo_s_and_stays_as_it_is(tmp_path, capsys):
    for name in ("aha.yaml", "ledger.sqlite", "annotations.json"):
        (tmp_path / name).write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "name another folder" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("aha.yaml", "ledger.sqlite", "annotations.json"), "mine"
    )


@contextlib.contextmanager
def stopped_at_the_end(process: subprocess.Popen):
    try:
        yield
    finally:
        process.kill()  # a failed assertion must not wait for it


def test_the_sandbox_stays_up_when_asked_to_and_answers_a_check(tmp_path, recorded):
    command = [
        sys.executable,
        "-m",
        "annotator",
        "demo",
        "--keep",
        "--out",
        str(tmp_path / "demo"),
        "--records",
        str(recorded),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo, stopped_at_the_end(demo):
        for line in demo.stdout:
            if "LASAIR_TOKEN" in line:
                break
        environment = os.environ | {"LASAIR_TOKEN": "sandbox-token"}
        check = [sys.executable, "-m", "annotator", "check", "-c", str(tmp_path / "demo" / "aha.yaml")]
        checked = subprocess.run(check, env=environment, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=120) == 0
