import json
import time

import pytest

from annotator.cli import main
from annotator.errors import ConfigError
from annotator.ledger import Ledger
from annotator.ledger.positions import Gap, Progress
from annotator.monitor.status import read_status, status_text, stream_status
from annotator.passes.report_text import summary
from annotator.passes.retract import retract
from annotator.passes.run import run_pass
from annotator.sandbox import Account, Sandbox, Topic
from tests.conftest import TOKEN


def test_before_the_first_pass_somebody_has_to_start_one(sandbox, configure):
    status = read_status(configure(sandbox), time.time())
    assert status.attention == ("no pass has ended yet: start one with `aha-annotator once` or `run`",)


def test_after_a_good_pass_nothing_needs_a_person(sandbox, configure, models, tmp_path, capsys):
    config = configure(sandbox)
    report = run_pass(config, models)
    assert main(["status", "-c", str(tmp_path / "aha.yaml"), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["model_set"] == models.version and status["last_pass_outcome"] == "done"
    assert (status["outbox_sent"], status["outbox_waiting"]) == (report.delivery.sent, 0)
    assert status["objects"] == report.scored and status["last_pass_counts"]["scored"] == report.scored
    n_annotate = sum(call.endpoint == "annotate" for call in sandbox.calls)
    n_read = len(sandbox.calls) - n_annotate
    assert (status["writes_left"], status["reads_left"]) == (3000 - n_annotate, 2000 - n_read)
    assert main(["status", "-c", str(tmp_path / "aha.yaml")]) == 0
    assert "last pass" in capsys.readouterr().out


def test_what_went_wrong_and_a_silent_job_are_exit_status_1(sandbox, configure, models, tmp_path, capsys):
    config = configure(sandbox)
    sandbox.misbehave("annotate", "refuse", status=500)
    run_pass(config, models)
    assert main(["status", "-c", str(tmp_path / "aha.yaml")]) == 1
    words = capsys.readouterr().out
    assert "ATTENTION  the last pass: annotation of ZTF99" in words and "3 annotations were not taken" in words
    status = read_status(config, time.time() + 3600)
    assert any("no pass has ended for 60 minutes" in line for line in status.attention)


def test_a_stream_that_cannot_be_asked_is_said_and_leaves_the_other_parts_whole(sandbox, configure, models):
    run_pass(configure(sandbox), models)
    gone = {"kind": "stream", "topic": "lasair_1Any", "group_id": "any", "broker": "127.0.0.1:1"}
    status = read_status(configure(sandbox, source=gone), time.time())
    assert status.stream.lag_messages is None and status.stream.attention == status.attention != ()
    assert status.ledger.objects > 0 and status.models.drift


def test_what_a_stream_lacks_needs_a_person_for_a_week(sandbox, configure, models):
    gone = {"kind": "stream", "topic": "lasair_1Any", "group_id": "any", "broker": "127.0.0.1:1"}
    config, now = configure(sandbox, source=gone), 1e9
    gaps = [Gap("messages had expired before they were read", 200), Gap("the stream was made anew", None)]
    with Ledger(config.ledger) as ledger:
        ledger.record([], [], now, progress=Progress("stream lasair_1Any", "{}", gaps))
        kept = ledger.positions.gaps_since(now - 1)
    words = stream_status(config, None, kept, now).attention
    assert words[0].endswith("01:46:40 UTC: messages had expired before they were read; 200 messages are lost")
    assert words[1].endswith("the stream was made anew; nobody knows how many messages are lost")
    for days, n_told in ((6.9, 2), (7.1, 0)):
        told = read_status(config, now + days * 86_400).stream.attention
        assert sum("lost" in line for line in told) == n_told


def test_models_that_are_refused_are_said(sandbox, configure, models, tmp_path):
    run_pass(configure(sandbox), models)
    (tmp_path / "empty").mkdir()
    status = read_status(configure(sandbox, models="empty"), time.time())
    assert any("expected models" in line for line in status.attention)
    assert "refused" in status_text(status).splitlines()[0]


def test_retracting_rewrites_what_a_bad_release_flagged_and_nothing_else(sandbox, configure, models):
    config = configure(sandbox)
    run_pass(config, models)
    flagged = {row["objectId"] for row in sandbox.annotations()}
    with pytest.raises(ConfigError, match="still installed"):
        retract(config, models, models.version)
    import dataclasses

    newer = dataclasses.replace(models, version="aha-ztf-9.9")
    assert retract(config, newer, "aha-ztf-0.9").queued == 0
    report = retract(config, newer, models.version)
    assert report.queued == report.delivery.sent == len(flagged)
    for row in sandbox.annotations():
        assert row["classification"] == "normal" and row["explanation"].startswith("Retracted: ")
        assert "score" not in row["classdict"] and row["version"] == models.version
    run_pass(config, newer)
    assert {row["version"] for row in sandbox.annotations()} == {"aha-ztf-9.9"}
    assert {row["objectId"] for row in sandbox.annotations() if row["classification"] != "normal"} == flagged


def test_names_from_the_tns_come_from_one_query_a_pass_and_are_kept(night, configure, models):
    with Sandbox(
        night, accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False
    ) as sandbox:
        config = configure(sandbox, decision__watch_score=0.0)
        report = run_pass(config, models)
        named = {item.object_id: item.tns for item in night.objects if item.tns}
        for object_id, entry in report.tns.items():
            assert entry.name.endswith(named[object_id]["tns_name"])
        shown = [item.object_id for item in report.flagged]
        assert set(report.tns) == set(shown) & set(named) != set()
        assert len(shown) > len(report.tns)
        queries = sum(call.endpoint == "query" for call in sandbox.calls)
        again = run_pass(config, models)
        assert sum(call.endpoint == "query" for call in sandbox.calls) - queries == 2  # a page, and the night's sweep
        assert again.flagged == []


def test_without_an_answer_about_names_the_objects_stay(sandbox, configure, models, monkeypatch):
    from annotator.errors import LasairUnreachableError
    from annotator.passes import classes

    def no_answer(*_):
        raise LasairUnreachableError("gone")

    monkeypatch.setattr(classes, "tns_entries", no_answer)
    config = configure(sandbox)
    report = run_pass(config, models)
    assert report.problem == "" and report.tns == {} and "no TNS name" in summary(report)
    with Ledger(config.ledger) as ledger:
        assert ledger.outbox.counts()["sent"] == report.queued > 0
