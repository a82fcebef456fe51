"""What people are told, and told again: the rule, the ledger's side of it, and a death between telling and noting."""

import functools
import itertools
import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.cli import main
from annotator.decision.announcement import Anomaly, is_to_be_announced, sort_out
from annotator.ledger import Ledger
from annotator.passes.report import SHOWN_ANOMALIES
from annotator.passes.report_text import summary
from annotator.passes.run import note_announced, run_pass
from tests.conftest import TOKEN, copy_features_model
from tests.ledger.test_ledger import scored_object
from tests.passes.kill_driver import Ended, driver

A_FEW = 1.8
"""A score that fewer objects of the night reach than a report names."""
FEATURES, BOTH = frozenset({"features"}), frozenset({"features", "lightcurve"})
ONE = {"features": {"score": 3.0, "error": 0.1}, "lightcurve": {"missing": "no call left to fetch it"}}
TWO = {"features": {"score": 3.0, "error": 0.1}, "lightcurve": {"score": 2.0, "error": 0.1}}


def anomaly(score=3.2, modalities=FEATURES, model_set="aha-ztf-1.0", score_id=1, object_id="ZTF99aaaaaaa") -> Anomaly:
    return Anomaly(object_id, score, modalities, model_set, score_id)


@pytest.mark.parametrize(
    ("new", "announced", "expected"),
    [
        (anomaly(), None, True),
        (anomaly(score_id=2), anomaly(), False),
        (anomaly(3.69), anomaly(), False),
        (anomaly(3.7), anomaly(), True),  # 3.7 - 3.2 is less than 0.5 in binary
        (anomaly(5.0), anomaly(), True),
        (anomaly(2.0), anomaly(), False),
        (anomaly(modalities=BOTH), anomaly(), True),
        (anomaly(2.0, BOTH), anomaly(), True),
        (anomaly(modalities=FEATURES), anomaly(modalities=BOTH), False),
        (anomaly(model_set="aha-ztf-2.0"), anomaly(), False),
    ],
)
def test_an_anomaly_is_told_again_only_when_there_is_more_to_it(new, announced, expected):
    assert is_to_be_announced(new, announced, 0.5) is expected


@given(st.lists(st.floats(3, 6), max_size=30), st.floats(0.1, 2))
def test_without_a_new_modality_the_announcements_of_an_object_rise_by_the_margin_each(scores, margin):
    told: list[float] = []
    announced = None
    for score in scores:
        if is_to_be_announced(anomaly(score), announced, margin):
            announced = anomaly(score)
            told.append(score)
    assert all(after - before >= margin - 1e-6 for before, after in itertools.pairwise(told))
    assert not scores or max(scores) - told[-1] < margin


def test_the_highest_score_comes_first():
    names = {"a": 3.1, "b": 4.0, "c": 3.5}
    anomalies = [anomaly(score, object_id=name) for name, score in names.items()]
    found = sort_out(anomalies, {"c": anomaly(3.4, object_id="c")}, 0.5)
    assert [item.object_id for item in found.to_announce] == ["b", "a"]
    assert [item.object_id for item in found.unchanged] == ["c"]


# --- the ledger's side


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def tell(ledger, margin=0.5) -> list[str]:
    """Give out a report of all that there is."""
    due = ledger.announcements.to_announce()
    found = sort_out(due, ledger.announcements.announced([item.object_id for item in due]), margin)
    ledger.announcements.mark_announced(found.to_announce, found.unchanged, 0.0)
    return [item.object_id for item in found.to_announce]


def test_an_anomaly_is_due_from_its_scoring_to_its_telling_across_restarts(ledger):
    ledger.record([scored_object(modalities=ONE)], [], 1000.0)
    ledger.close()
    with Ledger(ledger.address) as again:
        (due,) = again.announcements.to_announce()
        assert (due.score, due.modalities, due.model_set) == (3.0, FEATURES, "aha-ztf-1.0")
        assert tell(again) == ["ZTF99aaaaaaa"]
        assert again.announcements.to_announce() == []
        assert again.announcements.announced(["ZTF99aaaaaaa"]) == {"ZTF99aaaaaaa": due}


def test_what_is_no_anomaly_any_more_is_not_due(ledger):
    for ending in (
        lambda: ledger.record([scored_object(classification="watch", send=False)], [], 1001.0),
        lambda: ledger.announcements.leave_unannounced(["ZTF99aaaaaaa"]),
    ):
        ledger.record([scored_object()], [], 1000.0)
        assert len(ledger.announcements.to_announce()) == 1
        ending()
        assert ledger.announcements.to_announce() == []


def test_a_modality_that_people_heard_of_is_not_new_when_it_comes_back(ledger):
    told = []
    for score, modalities in ((3.0, TWO), (3.6, ONE), (3.6, TWO), (3.6, ONE)):
        ledger.record([scored_object(score=score, modalities=modalities)], [], 1000.0)
        told.append(tell(ledger))
    assert [len(names) for names in told] == [1, 1, 0, 0]
    assert ledger.announcements.to_announce() == []


def test_what_was_scored_after_a_report_was_made_is_left_for_the_next(ledger):
    ledger.record([scored_object(score=3.0)], [], 1000.0)
    due = ledger.announcements.to_announce()
    ledger.record([scored_object(score=3.9)], [], 1001.0)
    ledger.announcements.mark_announced(due, [], 1002.0)
    assert tell(ledger) == ["ZTF99aaaaaaa"]


# --- in whole passes


def test_a_pass_names_what_is_new_highest_first_and_the_next_names_the_rest(sandbox, configure, models):
    config = configure(sandbox, decision__anomaly_score=0.6, decision__classified="state")
    named: list[str] = []
    report = run_pass(config, models)
    due = [item.object_id for item in report.announcement.to_announce]
    assert len(due) == report.classes["anomaly"] > SHOWN_ANOMALIES
    while report.announced:
        words = summary(report)
        assert f"anomalies: {len(due) - len(named)} to announce, 0 as they were announced" in words
        named += [item.object_id for item in report.announced]
        assert all(name in words for name in named[-len(report.announced) :])
        assert not any(name in words for name in due[len(named) :])
        left = len(due) - len(named)
        assert (f"and {left} more, in the next reports" in words) is (left > 0)
        note_announced(config, report)
        report = run_pass(config, models)
    assert named == due
    assert "anomalies" not in summary(report)


def test_an_announced_anomaly_that_is_seen_again_is_counted_and_not_named(sandbox, configure, models, night):
    config = configure(sandbox, decision__anomaly_score=A_FEW)
    report = run_pass(config, models)
    note_announced(config, report)
    name = report.announced[0].object_id
    jdmax = max(row["jdmax"] for row in night.rows())
    (row,) = (row for row in night.rows() if row["objectId"] == name)
    sandbox.update([row | {"jdmax": jdmax + 0.01}])
    report = run_pass(config, models)
    assert "anomalies: 0 to announce, 1 as they were announced" in summary(report)
    assert name not in summary(report)
    note_announced(config, report)
    assert run_pass(config, models).announcement.unchanged == ()


def test_a_report_that_was_not_given_out_is_made_again(sandbox, configure, models):
    config = configure(sandbox)
    lost = run_pass(config, models).announced
    assert run_pass(config, models).announced == lost != ()


def test_a_dry_run_announces_to_nobody(sandbox, configure, models, tmp_path, monkeypatch, capsys):
    configure(sandbox, decision__anomaly_score=A_FEW, models=str(copy_features_model(tmp_path)))
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    path = str(tmp_path / "aha.yaml")
    for arguments, expected in ((["--dry-run"], True), ([], True), ([], False)):
        assert main(["once", "-c", path, *arguments]) == 0
        shown = capsys.readouterr()
        assert ("to announce" in shown.out + shown.err) is expected


@pytest.fixture
def once(tmp_path) -> Iterator[Callable[..., Ended]]:
    """Make passes in processes of their own, which can be killed."""
    with driver(os.environ | {"LASAIR_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}) as started:
        yield functools.partial(started.run, ["once", "-c", str(tmp_path / "aha.yaml")])


def test_killed_between_telling_and_noting_it_tells_again_and_never_forgets(sandbox, configure, models, tmp_path, once):
    config = configure(sandbox, decision__anomaly_score=A_FEW, models=str(copy_features_model(tmp_path)))
    aside = tmp_path / "aside"

    def state(restore: bool) -> None:
        for ending in ("", "-wal", "-shm"):
            kept, used = aside.with_name(aside.name + ending), config.ledger.with_name(config.ledger.name + ending)
            source, target = (kept, used) if restore else (used, kept)
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copy(source, target)

    run_pass(config, models)  # all is scored and sent, and nobody was told
    state(restore=False)
    undisturbed = once()
    steps = undisturbed.steps
    with Ledger(config.ledger) as ledger:
        told = set(ledger.announcements.announced([item["objectId"] for item in sandbox.annotations()]))
    assert undisturbed.status == 0, undisturbed.errors
    assert told and all(name in undisturbed.output for name in told)
    end_of_pass = max(number for number, step in enumerate(steps) if step == "SQL UPDATE passes SET")
    marking = [number for number, step in enumerate(steps) if number > end_of_pass]
    assert {"SQL INSERT INTO announced", "SQL DELETE FROM to_announce"} < {steps[number] for number in marking}
    assert steps[marking[-1]] == "SQL COMMIT"
    last = len(marking) - 1
    for point in (end_of_pass, *(marking[number] for number in (last // 2, last))):
        state(restore=True)
        killed = once(kill_before=point + 1)
        assert killed.is_killed
        with Ledger(config.ledger) as ledger:
            noted = set(ledger.announcements.announced(sorted(told)))
        assert noted == set()  # one transaction: all of a report, or nothing
        again = once()
        assert again.status == 0
        assert all(name in again.output for name in told)
        assert all(name in killed.output for name in told) is (point > end_of_pass)
    silent = once()
    assert silent.status == 0 and not any(name in silent.output for name in told)
