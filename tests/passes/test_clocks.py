"""Passes by a clock that is wrong, and rows whose dates are: the same in the end as without."""

import json
import random
import time
from pathlib import Path

import pytest

from annotator.attention.shares import PASSES
from annotator.cli import main
from annotator.ledger import Ledger
from annotator.ledger.positions import Progress
from annotator.models import ModelSet
from annotator.monitor.status import read_status
from annotator.nights import DAY_S
from annotator.passes.run import run_pass
from annotator.sandbox import Account, Sandbox, Topic
from annotator.sandbox.sky.night import Night, simulate_night
from tests.conftest import TOKEN, write_config

HOUR_S, YEAR_S = 3600.0, 365 * DAY_S
BEGUN = time.time()


@pytest.fixture(scope="module")
def small_night() -> Night:
    return simulate_night(seed=8, n_objects=40)


def outcome(
    night: Night, models: ModelSet, folder: Path, skew_s: float, seed: int = 0, fault: str | None = None
) -> dict[str, object]:
    """Make passes over an hour each, one of them by a clock that is wrong; return what there is in the end.

    New objects come before each pass, and one of the known moves; the pass in question may fail to write, too.
    """
    rng = random.Random(seed)
    rows = [dict(row) for row in night.rows() if row["ncandgp"]]
    rng.shuffle(rows)
    now = [BEGUN]
    folder.mkdir()
    accounts, topics = [Account(TOKEN, "power")], [Topic("aha_ztf", TOKEN)]
    with Sandbox(accounts=accounts, topics=topics, clock=lambda: now[0]) as server:
        config = write_config(folder, server)
        for number in range(4):
            server.load(rows[number::5])
            if number:
                moved = {key: value for key, value in rows[4 + 5 * number].items() if key not in ("objectId", "htm16")}
                newest = max(row["jdmax"] for row in rows)
                server.update([moved | {"objectId": rows[number - 1]["objectId"], "jdmax": newest + number / 1440}])
            if number == 2 and fault:
                server.misbehave("annotate", fault, times=2, status=500)
            run_pass(config, models, clock=lambda wrong=skew_s * (number == 2): now[0] + wrong)
            now[0] += HOUR_S
        for _ in range(2):
            now[0] += 7 * HOUR_S
            report = run_pass(config, models, clock=lambda: now[0])
        with Ledger(config.ledger) as ledger:
            names = [row["objectId"] for row in rows]
            states = {name: (state.state, state.last_mjd) for name, state in ledger.scores.states(names).items()}
            told = {
                name: [row["classification"] for row in rows] for name, rows in ledger.scores.histories(names).items()
            }
            tonight = ledger.counts.of_bins(models.version, now[0])
        held = {
            row["objectId"]: {key: row[key] for key in ("classification", "version", "explanation", "classdict")}
            for row in server.annotations()
        }
        return {"held": held, "states": states, "told": told, "nights": set(tonight), "waiting": report.waiting}


@pytest.fixture(scope="module")
def undisturbed(small_night, models, tmp_path_factory):
    return {
        fault: outcome(small_night, models, tmp_path_factory.mktemp("undisturbed") / "run", 0.0, fault=fault)
        for fault in (None, "refuse")
    }


@pytest.mark.parametrize("fault", [None, "refuse"])
@pytest.mark.parametrize(
    "skew_s",
    [
        pytest.param(HOUR_S, id="ahead by an hour"),
        pytest.param(-HOUR_S, id="behind by an hour", marks=pytest.mark.long),
        pytest.param(DAY_S, id="ahead by a day", marks=pytest.mark.long),
        pytest.param(-DAY_S, id="behind by a day", marks=pytest.mark.long),
        pytest.param(YEAR_S, id="ahead by a year"),
        pytest.param(-YEAR_S, id="behind by a year"),
    ],
)
def test_one_pass_by_a_clock_that_is_wrong_changes_nothing_in_the_end(
    small_night, models, undisturbed, tmp_path, skew_s, fault
):
    expected = undisturbed[fault]
    found = outcome(small_night, models, tmp_path / "run", skew_s, fault=fault)
    assert found["held"] == expected["held"] != {}
    assert found["states"] == expected["states"] and found["told"] == expected["told"]
    assert found["waiting"] == expected["waiting"] == 0
    assert expected["nights"] <= found["nights"]


def ahead(row: dict, days: float) -> dict:
    return row | {"jdmax": row["jdmax"] + days}


@pytest.mark.parametrize("days", [2.5, 3650.0])
def test_a_row_dated_ahead_costs_its_date_is_named_and_moves_nothing(sandbox, configure, models, night, days, tmp_path):
    config = configure(sandbox)
    run_pass(config, models)
    bad = ahead(dict(night.rows()[0]) | {"objectId": "ZTF99zzzzzzz"}, days)
    sandbox.load([bad])
    report = run_pass(config, models)
    assert report.scored == 1 and "dated later than now: ZTF99zzzzzzz (jdmax)" in report.problem
    with Ledger(config.ledger) as ledger:
        (score,) = ledger.scores.history("ZTF99zzzzzzz")
        assert score["last_mjd"] is None and score["modalities"]["dates_ahead"] == ["jdmax"]
    assert main(["status", "-c", str(tmp_path / "aha.yaml")]) == 1
    newest = max(row["jdmax"] for row in night.rows())
    sandbox.load([dict(night.rows()[1]) | {"objectId": "ZTF99zzzzzzy", "jdmax": newest + 0.001}])
    sandbox.update([bad | {"jdmax": newest + 0.002}])
    report = run_pass(config, models)
    assert report.scored == 2 and report.problem == ""
    assert run_pass(config, models).scored == 0


def test_a_ledger_that_believed_a_date_ahead_before_recovers(sandbox, configure, models, night):
    config = configure(sandbox)
    run_pass(config, models)
    with Ledger(config.ledger) as ledger:
        ledger.record([], [], time.time(), Progress("query input_ztf", json.dumps({"jdmax": 2465000.5})))
    sandbox.load([next(row for row in night.rows() if row["ncandgp"]) | {"objectId": "ZTF99zzzzzzz"}])
    report = run_pass(config, models)
    assert report.scored == 1 and report.problem == ""


def test_a_job_whose_last_pass_is_dated_ahead_is_not_taken_for_alive(sandbox, configure, models):
    config = configure(sandbox)
    run_pass(config, models)
    run_pass(config, models, clock=lambda: time.time() + YEAR_S)
    status = read_status(config, time.time() + 2 * HOUR_S)
    assert any("hours later than now: set this machine's clock" in words for words in status.attention)
    assert any("no pass has ended for 120 minutes" in words for words in status.attention)
    run_pass(config, models)
    assert read_status(config, time.time()).attention == ()


def test_a_source_that_gives_nothing_for_two_nights_is_attention_of_the_pass_and_of_status(
    small_night, configure, models
):
    now = [BEGUN]
    accounts, topics = [Account(TOKEN, "power")], [Topic("aha_ztf", TOKEN)]
    with Sandbox(small_night, accounts=accounts, topics=topics, clock=lambda: now[0]) as server:
        config = configure(server)
        assert run_pass(config, models, clock=lambda: now[0]).news > 0
        for hours, is_told in ((40, False), (49, True)):
            now[0] = BEGUN + hours * HOUR_S
            report = run_pass(config, models, clock=lambda: now[0])
            assert report.news == 0 and report.problem.startswith("the source has given nothing for 49") is is_told
        status = read_status(config, now[0] + 60)
        assert any("the source has given nothing for 49 hours" in words for words in status.attention)
        assert status.ledger.source_silent_hours == pytest.approx(49, abs=0.1)
        patient = configure(server, attention__silent_nights=3)
        assert run_pass(patient, models, clock=lambda: now[0]).problem == ""


def test_a_view_that_is_suddenly_missing_is_attention_of_the_pass_and_of_status(sandbox, configure, models):
    config = configure(sandbox)
    with Ledger(config.ledger) as ledger:
        for number in range(PASSES):
            pass_id = ledger.passes.begin(BEGUN - 9000 + number)
            counts = {"news": 1, "scored": 100, "with_features": 100, "class_watch": 1}
            ledger.passes.end(pass_id, "done", counts, BEGUN - 9000 + number)
    report = run_pass(config, models)
    assert report.is_unusual and report.problem.startswith("flagged are ")
    status = read_status(config, time.time())
    assert any("flagged are " in words for words in status.attention)
    assert status.to_dict()["shares"]["flagged"]["usual"] == 0.01
    assert status.to_dict()["shares"]["features"]["share"] == 0.0
