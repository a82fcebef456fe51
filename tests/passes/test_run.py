"""The whole job over the wire: the real client, real HTTP, real SQL, against the sandbox."""

import contextlib
import csv
import dataclasses
import io
import json
import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.annotation import Annotation
from annotator.cli import main
from annotator.decision.changes import state_digest
from annotator.decision.sending import must_send
from annotator.errors import LedgerBusyError, LedgerError, SourceError
from annotator.lasair.filters import list_filters, load_filter
from annotator.ledger import Ledger, open_for_pass
from annotator.passes import run
from annotator.passes.run import run_pass
from annotator.sandbox import Account, Sandbox, Topic
from annotator.sources.records import Batch
from annotator.surveys.ztf.parse import parse
from annotator.transient import Transient
from tests.conftest import TOKEN, cases_of_the_long_suite, write_config


def held_by(server: Sandbox) -> dict[str, dict]:
    return {row["objectId"]: row for row in server.annotations()}


def test_one_pass_scores_every_object_of_the_filter_and_annotates_what_stands_out(sandbox, configure, models):
    config = configure(sandbox, decision__classified="state")
    report = run_pass(config, models)
    rows = sandbox.database.query(*_parts("input_ztf"), 10_000, 0)
    assert report.read == report.scored == len(rows) > 80
    assert report.problem == "" and report.refused == 0
    held = held_by(sandbox)
    assert len(held) == report.delivery.sent == report.delivery.stored == report.queued > 5
    with Ledger(config.ledger) as ledger:
        for row in rows:
            (score,) = ledger.scores.history(row["objectId"])
            unheld = {"classification": score["classification"] if score["classification"] == "variable" else "normal"}
            assert score["classification"] == held.get(row["objectId"], unheld)["classification"]
    for row in held.values():
        assert row["version"] == models.version and row["explanation"]
        assert row["classdict"]["score"] == row["classdict"]["features_score"]
        assert row["classification"] in ("anomaly", "watch", "artefact")


def test_annotations_are_sent_highest_score_first(sandbox, configure, models):
    run_pass(configure(sandbox), models)
    scores = [row["classdict"]["score"] for row in sandbox.annotations()]
    assert scores == sorted(scores, reverse=True)


def test_a_second_pass_finds_nothing_new_and_writes_nothing(sandbox, configure, models):
    config = configure(sandbox)
    run_pass(config, models)
    before = sandbox.annotations()
    report = run_pass(config, models)
    assert (report.scored, report.queued, report.delivery.sent) == (0, 0, 0)
    assert report.unchanged == report.read > 0
    assert sandbox.annotations() == before


def test_a_new_detection_is_scored_again_and_a_lost_flag_is_overwritten(sandbox, configure, models, night):
    config = configure(sandbox)
    run_pass(config, models)
    flagged = next(row for row in held_by(sandbox).values() if row["classification"] == "anomaly")
    ordinary = next(row for row in night.rows() if row["objectId"] not in held_by(sandbox) and row["ncandgp"])
    changed = {name: value for name, value in ordinary.items() if name not in ("objectId", "htm16")}
    jdmax = max(row["jdmax"] for row in night.rows()) + 0.01
    sandbox.update([changed | {"objectId": flagged["objectId"], "jdmax": jdmax}])
    report = run_pass(config, models)
    assert report.scored == 1
    assert held_by(sandbox)[flagged["objectId"]]["classification"] == "normal"
    assert held_by(sandbox)[flagged["objectId"]]["classdict"]["first_mjd"] == flagged["classdict"]["first_mjd"]


def test_a_late_alert_within_the_last_two_days_is_not_lost(sandbox, configure, models, night):
    config = configure(sandbox)
    run_pass(config, models)
    newest = max(row["jdmax"] for row in night.rows())
    late = dict(night.rows()[0]) | {"objectId": "ZTF99zzzzzzz", "jdmax": newest - 1.5}
    sandbox.load([late])
    assert run_pass(config, models).scored == 1


def test_paging_reads_every_object_whatever_the_page(sandbox, configure, models):
    report = run_pass(configure(sandbox, source__page_rows=5), models)
    assert report.scored == len(sandbox.database.query(*_parts("input_ztf"), 10_000, 0))
    pages = [call for call in sandbox.calls if call.endpoint == "query"]
    assert len(pages) > 15


def test_only_the_configured_classes_are_written(sandbox, configure, models):
    run_pass(configure(sandbox, annotation__classes=["anomaly"], decision__classified="state"), models)
    assert {row["classification"] for row in sandbox.annotations()} == {"anomaly"}


def test_a_dry_run_sends_nothing_keeps_nothing_and_tells_what_would_be_sent(sandbox, configure, models):
    config = configure(sandbox)
    shown: list[Annotation] = []
    run_pass(config, models, on_dry_annotation=shown.append)
    assert sandbox.annotations() == []
    with Ledger(config.ledger) as ledger:
        assert ledger.outbox.counts() == {"waiting": 0, "failed": 0, "sent": 0}
        assert ledger.scores.states([item.object_id for item in shown]) == {}
    run_pass(config, models)
    assert {item.object_id: item.classification for item in shown} == {
        name: row["classification"] for name, row in held_by(sandbox).items()
    }


def test_recorded_records_are_annotated_from_a_file_and_bad_ones_are_kept_for_inspection(
    sandbox, configure, models, night, tmp_path
):
    rows = night.rows()
    lines = [json.dumps(row) for row in rows] + [
        '{"objectId": "O\'Neill"}',
        "{broken",
        "[]",
        '{"gmag": 19}',
        lines_nan(),
    ]
    (tmp_path / "night.jsonl").write_text("\n".join(lines))
    config = configure(sandbox, source={"kind": "file", "path": "night.jsonl"})
    report = run_pass(config, models)
    assert (report.read, report.scored, report.refused) == (len(rows) + 5, len(rows), 5)
    with Ledger(config.ledger) as ledger:
        refused = [item.refusal for item in ledger.refused.open()]
    assert [item.object_id for item in refused] == ["O'Neill", "", "", "", "ZTF99zzzzzzy"]
    assert "letters and digits" in refused[0].reason and "not JSON" in refused[1].reason
    assert refused[1].record == "{broken"
    assert "nothing of it can be scored (features: 0 of 21 object features" in refused[4].reason
    assert "ZTF99zzzzzzy" not in held_by(sandbox) and report.problem == ""


def test_what_nothing_can_be_scored_of_any_longer_is_refused_and_what_was_sent_stands(
    sandbox, configure, models, night, tmp_path
):
    row = night.rows()[0]
    config = configure(
        sandbox,
        source={"kind": "file", "path": "night.jsonl"},
        decision__watch_score=0.0,
        annotation__classes=["anomaly", "watch", "normal"],
    )
    (tmp_path / "night.jsonl").write_text(json.dumps(row))
    assert run_pass(config, models).delivery.sent == 1
    before = held_by(sandbox)
    blank = {"objectId": row["objectId"], "jdmax": row["jdmax"] + 1, "ncand": row["ncand"] + 1}
    (tmp_path / "night.jsonl").write_text(json.dumps(blank))
    report = run_pass(config, dataclasses.replace(models, version="aha-ztf-9.9"))
    assert (report.scored, report.refused, report.queued) == (0, 1, 0)
    assert held_by(sandbox) == before


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_spreadsheet_s_table_is_annotated_as_the_same_records_in_json_are(
    sandbox, configure, models, night, tmp_path, separator
):
    rows = night.rows()
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter=separator)
    table.writerow([*names, ""])
    for row in rows:
        table.writerow(["" if row.get(name) is None else str(row[name]).replace(".", ",") for name in names] + [""])
    table.writerows([[""] * len(names), ["ZTF99zzzzzzz"] * (len(names) + 3)])
    (tmp_path / "night.csv").write_bytes(text.getvalue().encode("utf-16"))
    (tmp_path / "night.jsonl").write_text("\n".join(map(json.dumps, rows)))
    written = []
    for number, name in enumerate(("night.csv", "night.jsonl")):
        config = configure(sandbox, source={"kind": "file", "path": name}, ledger=f"{number}.sqlite")
        annotations = []
        report = run_pass(config, models, on_dry_annotation=annotations.append)
        assert (report.scored, report.refused, report.problem) == (len(rows), int(name == "night.csv"), "")
        written.append({item.object_id: (item.classification, item.classdict) for item in annotations})
    assert written[0] == written[1] != {}


def lines_nan() -> str:
    return (
        '{"objectId": "ZTF99zzzzzzy", "gmag": NaN, "rmag": null, "sgmag1": -999, "dmdt_g": 1e300, "maggmin": "faint"}'
    )


def test_an_annotation_that_the_ledger_holds_damaged_is_made_anew_and_told(sandbox, configure, models, night):
    config = configure(sandbox)
    run_pass(config, models)
    before = {row["objectId"]: row for row in sandbox.annotations()}
    waits, seen_again = sorted(before)[:2]
    with contextlib.closing(sqlite3.connect(config.ledger)) as file, file:
        file.execute("UPDATE outbox SET annotation = 'no JSON' WHERE object_id IN (?, ?)", (waits, seen_again))
        file.execute("UPDATE outbox SET sent_at = NULL WHERE object_id = ?", (waits,))
    row = next(row for row in night.rows() if row["objectId"] == seen_again)
    sandbox.update([row | {"jdmax": max(item["jdmax"] for item in night.rows()) + 0.01}])
    report = run_pass(config, models)
    assert f"1 annotations in the ledger are damaged, such as that of {waits}" in report.problem
    assert (report.queued, report.delivery.sent, report.waiting) == (2, 1, 1)
    report = run_pass(config, models)
    assert (report.delivery.sent, report.problem) == (1, "")
    assert {row["objectId"]: row["classification"] for row in sandbox.annotations()} == {
        name: row["classification"] for name, row in before.items()
    }


def test_a_batch_that_comes_again_after_a_crash_scores_nothing_twice_even_without_epochs(
    sandbox, configure, models, night, tmp_path
):
    first, second = (
        {k: v for k, v in row.items() if k != "jdmax"} | {"objectId": "ZTF99zzzzzzz"} for row in night.rows()[:2]
    )
    (tmp_path / "twice.jsonl").write_text("\n".join(map(json.dumps, [first, second])))
    config = configure(sandbox, source={"kind": "file", "path": "twice.jsonl"})
    assert run_pass(config, models).scored == 2
    again = run_pass(config, models)
    assert (again.scored, again.unchanged) == (0, 2)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("refuse", {"status": 500}),
        ("refuse", {"status": 429}),
        ("drop_after", {}),
        ("garble", {}),
        ("lie", {}),
        *cases_of_the_long_suite(
            ("refuse", {"status": 502}), ("drop", {}), ("truncate", {}), ("delay", {"seconds": 3.0})
        ),
    ],
)
@pytest.mark.parametrize("endpoint", ["query", "annotate"])
def test_whatever_goes_wrong_the_next_passes_end_where_an_undisturbed_one_does(
    sandbox, configure, models, undisturbed, endpoint, kind, options
):
    config = configure(sandbox, lasair__timeout_s=1.5 if kind == "delay" else 30.0)
    now = [time.time()]
    sandbox.misbehave(endpoint, kind, times=3, **options)
    outcomes = []
    for _ in range(6):
        outcomes.append(run_pass(config, models, clock=lambda: now[0]))
        now[0] += 3700
    assert {name: _lasting(row) for name, row in held_by(sandbox).items()} == undisturbed
    assert any(report.problem or report.reading_pause or report.delivery.pause for report in outcomes) or kind == "lie"
    assert outcomes[-1].problem == "" and outcomes[-1].waiting == 0


@pytest.fixture(scope="module")
def undisturbed(night, models, tmp_path_factory) -> dict[str, dict]:
    """What Lasair holds after a pass in which nothing went wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Sandbox(
        night, accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False
    ) as server:
        run_pass(write_config(folder, server), models)
        return {name: _lasting(row) for name, row in held_by(server).items()}


def _lasting(row: dict) -> dict:
    return {name: value for name, value in row.items() if name not in ("annotationID", "timestamp")}


def _parts(name: str) -> tuple[str, str, str]:
    item = load_filter(name)
    return item.selected, item.tables, item.conditions


def test_fifty_calls_an_hour_are_kept_and_the_rest_waits_its_turn(night, configure, models):
    now = [time.time()]
    with Sandbox(
        night, accounts=[Account(TOKEN, "user")], topics=[Topic("aha_ztf", TOKEN)], clock=lambda: now[0]
    ) as server:
        server.load([{**row, "jdmax": 2440587.5 + now[0] / 86400 - 0.5} for row in night.rows()])
        config = configure(server, lasair__calls_per_hour=100, decision__watch_score=0.3)
        report = run_pass(config, models, clock=lambda: now[0])
        assert report.delivery.sent == 30 and report.waiting > 0
        assert "kept to write" in report.delivery.pause and report.problem == ""
        for _ in range(40):
            now[0] += 600
            report = run_pass(config, models, clock=lambda: now[0])
        assert report.waiting == 0
        assert not [call for call in server.calls if call.status == 429]


@pytest.mark.parametrize("fault", [None, "refuse", "drop_after"])
def test_where_the_server_takes_lists_they_cost_one_call_and_leave_the_same(
    night, configure, models, undisturbed, fault
):
    accounts, topics = [Account(TOKEN, "power")], [Topic("aha_ztf", TOKEN)]
    with Sandbox(night, accounts=accounts, topics=topics, batch_annotate=True, tells_time=False) as server:
        config = configure(server, lasair__batch_annotations=20)
        if fault:
            server.misbehave("annotatelist", fault, times=1, status=500)
        now = [time.time()]
        for _ in range(3):
            report = run_pass(config, models, clock=lambda: now[0])
            now[0] += 3700
        assert {name: _lasting(row) for name, row in held_by(server).items()} == undisturbed
        assert report.waiting == 0 and report.problem == ""
        if not fault:
            made = [call.endpoint for call in server.calls]
            assert made.count("annotatelist") == -(-len(undisturbed) // 20) and made.count("annotate") <= 1


def test_a_token_that_is_not_accepted_is_said_in_plain_words_and_nothing_is_lost(sandbox, configure, models):
    report = run_pass(configure(sandbox, token="wrong"), models)
    assert "does not accept the token" in report.problem and "wrong" not in report.problem
    assert run_pass(configure(sandbox), models).scored > 80


def test_a_topic_of_somebody_else_stops_the_sending_early(sandbox, configure, models):
    report = run_pass(configure(sandbox, annotation__topic="aha_other"), models)
    assert "does not exist" in report.problem
    assert report.delivery.failed == 0 and report.waiting > 5


def test_a_second_topic_asks_for_a_ledger_of_its_own_instead_of_writing_nothing(sandbox, configure, models):
    run_pass(configure(sandbox), models)
    sent = len(sandbox.annotations())
    with pytest.raises(LedgerError, match="give it a ledger of its own"):
        run_pass(configure(sandbox, annotation__topic="aha_other"), models)
    assert run_pass(configure(sandbox), models).problem == "" and len(sandbox.annotations()) == sent


def test_a_cache_in_somebody_s_folder_stops_the_pass_before_anything_is_deleted_or_sent(
    sandbox, configure, tmp_path, monkeypatch, capsys
):
    configure(sandbox, cutouts={"cache": ".", "cache_megabytes": 0.001})
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["once", "-c", str(tmp_path / "aha.yaml")]) == 2
    assert "name another folder" in capsys.readouterr().err and sandbox.annotations() == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_second_pass_at_the_same_time_is_turned_away(sandbox, configure, models):
    config = configure(sandbox)
    with open_for_pass(config.ledger), pytest.raises(LedgerBusyError):
        run_pass(config, models)


def test_a_file_that_is_not_there_ends_the_pass_with_a_problem(sandbox, configure, models):
    report = run_pass(configure(sandbox, source={"kind": "file", "path": "absent.jsonl"}), models)
    assert "cannot read" in report.problem


@pytest.mark.parametrize("community_filter", [f for f in list_filters() if f.annotators], ids=lambda f: f.name)
def test_every_row_of_the_databank_goes_through_query_score_annotate_and_filter(community_filter, databank):
    server, n_rows, report = databank
    assert report.read == report.scored == n_rows > 4000
    assert report.problem == "" and len(server.annotations()) == report.delivery.sent
    rows = server.database.query(
        community_filter.selected, community_filter.tables, community_filter.conditions, 10_000, 0
    )
    held = held_by(server)
    assert all(row["objectId"] in held for row in rows)


@pytest.fixture(scope="module")
def databank(shared, models, tmp_path_factory):
    with open(shared / "data" / "object_features.csv", newline="") as table:
        rows = [{k: _number(v) for k, v in row.items() if v != ""} for row in csv.DictReader(table)]
    folder = tmp_path_factory.mktemp("databank")
    with Sandbox(accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False) as server:
        server.load(rows)
        report = run_pass(write_config(folder, server), models)
        read = server.database.query(*_parts("input_ztf"), 10_000, 0)
        yield server, len(read), report


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def annotation(classification="anomaly", score=3.2, version="aha-ztf-1.0", **numbers) -> Annotation:
    content = {"score": score, "features_score": score} | numbers
    return Annotation("ZTF99aaaaaaa", "aha_ztf", classification, version, "why", content)


CLASSES = ("anomaly", "watch", "artefact")


@pytest.mark.parametrize(
    ("new", "held", "expected"),
    [
        (annotation(), None, True),
        (annotation("normal", 0.5), None, False),
        (annotation(), annotation(), False),
        (annotation(score=3.45, n_det=9, mjd=61001.0, features_error=0.5), annotation(), False),
        (annotation(score=3.5), annotation(), True),
        (annotation("watch", 2.9), annotation(), True),
        (annotation("normal", 1.9), annotation("watch", 2.0), True),
        (annotation("normal", 0.5), annotation("normal", 1.9), False),
        (annotation(version="aha-ztf-1.1"), annotation(), True),
        (annotation(lightcurve_score=1.0), annotation(), True),
        (annotation(), annotation(lightcurve_score=1.0), False),
    ],
)
def test_a_rewrite_needs_a_reason(new, held, expected):
    assert must_send(new, held, CLASSES, 0.3) is expected


@given(st.lists(st.tuples(st.sampled_from(["normal", "watch", "anomaly"]), st.floats(0, 4)), max_size=12))
def test_what_lasair_ends_up_holding_does_not_depend_on_when_it_was_reachable(history):
    def final(delivered_each_time: bool) -> Annotation | None:
        queued, lasair = None, None
        for classification, score in history:
            new = annotation(classification, score)
            if must_send(new, queued, CLASSES, 0.3):
                queued = new
                if delivered_each_time:
                    lasair = queued
        return lasair if delivered_each_time else queued

    assert final(True) == final(False)


def test_the_digest_sees_everything_a_score_or_decision_depends_on_and_nothing_else(night):
    base = parse(night.rows()[0])
    digests = {state_digest(base)}
    for field in dataclasses.fields(Transient):
        if field.name == "dates_ahead":  # a date that counts as missing is as good as one that is
            assert state_digest(dataclasses.replace(base, dates_ahead=("jdmax",))) == state_digest(base)
            continue
        if field.name == "features":
            changed = dataclasses.replace(base, features=dict(base.features) | {"gmag": 12.3})
        else:
            changed = dataclasses.replace(base, **{field.name: "x" if "id" in field.name else 1})
        digests.add(state_digest(changed))
    assert len(digests) == len(dataclasses.fields(Transient))
    assert state_digest(parse(night.rows()[0] | {"tns_name": "2099abc"})) == state_digest(base)


@pytest.mark.parametrize(
    ("dry", "expected"), [(None, ["written down", "committed"] * 2), (print, ["written down"] * 2)]
)
def test_a_batch_is_committed_once_the_ledger_has_it_and_by_a_dry_run_never(
    sandbox, configure, models, night, monkeypatch, dry, expected
):
    rows, done, record = night.rows(), [], Ledger.record
    batches = [Batch(part, commit=lambda: done.append("committed")) for part in (rows[:5], rows[5:10])]

    def record_and_note(*arguments: object) -> None:
        record(*arguments)
        done.append("written down")

    monkeypatch.setattr(Ledger, "record", record_and_note)
    monkeypatch.setattr(run, "file_batches", lambda *_: batches)
    report = run_pass(configure(sandbox, source={"kind": "file", "path": "x"}), models, on_dry_annotation=dry)
    assert (report.read, done) == (10, expected)


def test_a_source_that_breaks_off_still_sends_what_was_read_before(sandbox, configure, models, night, monkeypatch):
    def breaks_off(*_):
        yield Batch(night.rows())
        raise SourceError("the disk is gone")

    monkeypatch.setattr(run, "file_batches", breaks_off)
    report = run_pass(configure(sandbox, source={"kind": "file", "path": "x"}), models)
    assert report.problem == "the disk is gone" and report.delivery.sent == report.queued > 0
