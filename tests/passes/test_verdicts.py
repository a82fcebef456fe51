"""Verdicts: the file, and what becomes of them in whole passes over HTTP."""

import csv
import datetime
import io
import time
from pathlib import Path
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.cli import main
from annotator.decision.classify import overridden
from annotator.decision.config import DecisionConfig
from annotator.errors import ConfigError
from annotator.ledger import Ledger
from annotator.monitor.check import check
from annotator.passes.report_text import summary
from annotator.passes.run import note_announced, run_pass
from annotator.reasons.sentence import explain_verdict
from annotator.verdicts import (
    Verdict,
    VerdictFile,
    VerdictKind,
    ahead_in_words,
    latest,
    merge,
    read_verdicts,
    refused_in_words,
    verdicts_csv,
)
from tests.conftest import TOKEN

HEADER = "objectId,verdict,person,when\n"
GOOD = "ZTF99aaaaaaa,regular,Ada Ångström,2025-03-01T09:30:00+02:00\n"
PERSON = "Ada O'Hara"


NO_MOMENTS = [
    *("", "yesterday", "NaN", "1e9", "46350.4", "2025-03-01T09:30 CET"),
    *("2025-13-01T00:00", "2025-03-01T25:00", "31/11/2026", "24 nov. 2026 13:00 PM", "0001-01-01T00:00+14:00"),
]


def file_of(folder, content: str | bytes):
    path = folder / "verdicts.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def verdict(name="regular", object_id="ZTF99aaaaaaa", person=PERSON, hour=0, note="") -> Verdict:
    when = datetime.datetime(2025, 3, 1, tzinfo=datetime.UTC) + datetime.timedelta(hours=hour)
    return Verdict(object_id, name, person, when, note)


def write_down(path, item: Verdict) -> None:
    """Add a line to a file of verdicts, as people do."""
    path.write_text(verdicts_csv([*read_verdicts(path).verdicts, item]))


# --- the file


@pytest.mark.parametrize(("before", "between"), [("", "\n"), ("\ufeff", "\r\n")], ids=["plain", "from a spreadsheet"])
def test_a_file_is_read_line_by_line_with_its_times_in_utc(tmp_path, before, between):
    lines = [
        "when,person,objectId,note,verdict",
        "2025-03-01T09:30:00+02:00,Ada Ångström,ZTF99aaaaaaa,,regular",
        '2025-03-01 08:00,"Hara, O\'",ZTF99aaaaaab,"a moving source, twice",artefact',
        "",
    ]
    first, second = read_verdicts(file_of(tmp_path, before + between.join(lines))).verdicts
    assert first == Verdict(
        "ZTF99aaaaaaa", "regular", "Ada Ångström", datetime.datetime(2025, 3, 1, 7, 30, tzinfo=datetime.UTC)
    )
    assert (second.person, second.note) == ("Hara, O'", "a moving source, twice")
    assert second.when == datetime.datetime(2025, 3, 1, 8, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (GOOD.replace("regular", "boring"), "verdict must be one of anomaly, regular, artefact, unknown"),
        (GOOD.replace("ZTF99aaaaaaa", "O'Neill"), "objectId must be 1 to 19 letters and digits; found"),
        (GOOD.replace("ZTF99aaaaaaa", "Z" * 20), "objectId must be"),
        (GOOD.replace("ZTF99aaaaaaa", ""), "objectId must be"),
        (GOOD.replace("ZTF99aaaaaaa", "ＺＴＦ９９"), "objectId must be"),
        (GOOD.replace("Ada Ångström", " "), "person must be a name on one line"),
        (GOOD.replace("Ada Ångström", '"Ada\nEve"'), "person must be a name on one line"),
        (GOOD.replace("Ada Ångström", "Ada\x1b[2J"), "person must be a name on one line"),
        (GOOD.replace("Ada Ångström", "Ada, Countess"), "expected 4 values, found 5; put a value with a comma"),
        ("ZTF99aaaaaab,regular\n", "when: expected a date and time"),
        ('ZTF99aaaaaab,"regular\n', "a quote is not closed"),
        ("x" * 11_000_000 + "\n", "field larger than field limit"),
        *((f"ZTF99aaaaaab,unknown,Ada,{when}\n", "when: expected a date and time such as") for when in NO_MOMENTS),
        ("ZTF99aaaaaab,unknown,Ada,05/11/2026\n", "write 2026-11-05 or 2026-05-11; found '05/11/2026'"),
    ],
)
def test_a_line_that_breaks_the_rules_costs_that_line_and_is_named(tmp_path, line, reason):
    others = [GOOD.replace("ZTF99aaaaaaa", f"ZTF99aaaaaa{letter}") for letter in "xyz"]
    path = file_of(tmp_path, HEADER + others[0] + line + "".join(others[1:]))
    read = read_verdicts(path)
    assert [item.object_id for item in read.verdicts] == ["ZTF99aaaaaax", "ZTF99aaaaaay", "ZTF99aaaaaaz"]
    (words,) = read.refused
    assert words.startswith(f"the verdicts {path}, line 3: ") and reason in words


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no header line"),
        ("objectId,verdict,person\n", "no column when"),
        ("object,verdict,person,when\n", "no column objectId; nearest: 'object' for objectId"),
        (GOOD, "no column objectId, verdict, person, when"),
        ("objectId,verdict,person,when,person\n", "column person is repeated"),
        ('{"objectId": "ZTF99aaaaaaa"}\n', "is JSON"),
    ],
)
def test_a_file_without_its_columns_is_an_error_that_says_how_to_begin_one(tmp_path, content, reason):
    path = file_of(tmp_path, content)
    with pytest.raises(ConfigError) as failure:
        read_verdicts(path)
    assert str(path) in str(failure.value) and reason in str(failure.value)
    assert "begin the file with the line objectId,verdict,person,when" in str(failure.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_file_is_read_as_spreadsheets_save_it(tmp_path, encoding, separator):
    rows = [
        ("objectId", "Verdict", "person", "when", "note", ""),
        ("ZTF99aaaaaaa", "Regular", "Ada Ångström", "24/11/2026 09:30", "a moving source,\ntwice", ""),
        ("ZTF99aaaaaab", "artefact", "Bo", "05/11/2026", "", ""),
        ("", "", "", "", "", ""),
        ("ZTF99aaaaaac", "ANOMALY", "Bo", "2026-11-24 09:30:00", "", ""),
        ("ZTF99aaaaaad", "unknown", "Bo", "24.11.2026", "", ""),
        ("ZTF99aaaaaae", "unknown", "Bo", "Nov 24, 2026", "", ""),
        ("", "", "", "", "", ""),
    ]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(rows)
    read = read_verdicts(file_of(tmp_path, text.getvalue().encode(encoding)))
    assert read.refused == ()
    noon, midnight = "2026-11-24T09:30:00+00:00", "2026-11-24T00:00:00+00:00"
    assert [(item.object_id[-1], item.verdict, item.when.isoformat()) for item in read.verdicts] == [
        ("a", "regular", noon),
        ("b", "artefact", "2026-11-05T00:00:00+00:00"),
        ("c", "anomaly", noon),
        ("d", "unknown", midnight),
        ("e", "unknown", midnight),
    ]
    assert (read.verdicts[0].person, read.verdicts[0].note) == ("Ada Ångström", "a moving source, twice")


def test_many_bad_lines_are_told_in_a_few_words(tmp_path):
    read = read_verdicts(file_of(tmp_path, HEADER + GOOD.replace("regular", "boring") * 9))
    told = refused_in_words(read.refused)
    assert len(told) == 6 and told[-1] == "and 4 more of its lines are no verdicts"
    assert refused_in_words(read.refused[:5]) == list(read.refused[:5])


def test_a_file_that_is_not_there_is_an_error_that_says_how_to_begin_one(tmp_path):
    with pytest.raises(ConfigError, match="begin the file with the line objectId,verdict,person,when"):
        read_verdicts(tmp_path / "absent.csv")


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (HEADER + text).encode(errors="replace")))
def test_any_file_is_verdicts_or_a_clear_error(tmp_path_factory, content):
    path = file_of(tmp_path_factory.getbasetemp(), content)
    try:
        read = read_verdicts(path)
    except ConfigError as error:
        read, complaint = [], str(error)
    else:
        complaint = "the verdicts: "
        assert all(f"the verdicts {path}, line " in words for words in read.refused)
        read = read.verdicts
    assert "the verdicts: " in complaint
    assert all(item.verdict in tuple(VerdictKind) and item.when.tzinfo for item in read)


one_line = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=20).map(str.strip)
verdict_objects = st.builds(
    Verdict,
    st.text(ascii_letters + digits, min_size=1, max_size=16),
    st.sampled_from(VerdictKind),
    one_line.map(lambda text: text or PERSON),
    st.datetimes(timezones=st.just(datetime.UTC)),
    one_line,
)


@given(st.lists(verdict_objects, max_size=5))
def test_what_was_exported_is_read_again(tmp_path_factory, verdicts):
    path = tmp_path_factory.getbasetemp() / "exported.csv"
    path.write_text(verdicts_csv(verdicts), encoding="utf-8", newline="")
    assert read_verdicts(path) == VerdictFile(tuple(verdicts))


@given(st.lists(verdict_objects, max_size=5), st.lists(verdict_objects, max_size=5))
def test_verdicts_of_two_sources_are_merged_by_time_each_once(first, second):
    merged = merge(first, second, first)
    assert set(merged) == {*first, *second} and len(merged) == len(set(merged))
    assert [item.when for item in merged] == sorted(item.when for item in merged)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(VerdictKind), st.integers(0, 3)), max_size=12))
def test_the_newest_verdict_of_an_object_holds_and_of_two_at_one_time_the_later_line(said):
    verdicts = [verdict(name, object_id, f"person {n}", hour) for n, (object_id, name, hour) in enumerate(said)]
    holding = latest(verdicts)
    assert set(holding) == {object_id for object_id, _, _ in said}
    for object_id, found in holding.items():
        place = verdicts.index(found)
        for n, other in enumerate(verdicts):
            if other.object_id == object_id:
                assert (other.when, n) <= (found.when, place)


@given(st.floats(1.01, 1e4))
def test_a_verdict_dated_later_than_now_holds_only_where_there_is_no_other(days_ahead):
    now = 1.79e9

    def said(name: str, seconds: float) -> Verdict:
        return Verdict("ZTF99aaaaaaa", name, "Ada", datetime.datetime.fromtimestamp(now + seconds, datetime.UTC))

    ahead, before = said("regular", days_ahead * 86_400), said("anomaly", -9e6)
    assert latest([before, ahead], now) == latest([ahead, before], now) == {"ZTF99aaaaaaa": before}
    assert latest([ahead], now) == {"ZTF99aaaaaaa": ahead}
    (words,) = ahead_in_words([before, ahead], Path("v.csv"), now)
    assert words.startswith("1 of the verdicts in v.csv are dated later than now, such as that on ZTF99aaaaaaa")


def test_a_time_without_a_zone_is_no_verdict():
    with pytest.raises(ConfigError, match="when must be a time with its zone"):
        Verdict("ZTF99aaaaaaa", "regular", "Ada", datetime.datetime(2025, 3, 1))


# --- what they do to a classification


@pytest.mark.parametrize("tns_type", ["", "SN Ia"])
@pytest.mark.parametrize("classified", ["state", "demote"])
@pytest.mark.parametrize("decided", ["anomaly", "watch", "artefact", "normal"])
def test_a_person_has_the_last_word_and_then_a_class_in_tns_if_so_configured(decided, classified, tns_type):
    decision = DecisionConfig(classified=classified)
    assert overridden(decided, verdict("regular").override, tns_type, decision) == "normal"
    assert overridden(decided, verdict("artefact").override, tns_type, decision) == "artefact"
    left_to_the_models = "watch" if (decided, classified, tns_type) == ("anomaly", "demote", "SN Ia") else decided
    for name in ("anomaly", "unknown"):
        assert overridden(decided, verdict(name).override, tns_type, decision) == left_to_the_models


def test_who_judged_stays_here_and_the_day_is_told():
    assert explain_verdict(verdict("regular", hour=3)) == "Judged regular by a person on 2025-03-01."
    assert explain_verdict(verdict("artefact", hour=30)) == "Judged an artefact by a person on 2025-03-02."


# --- in whole passes


@pytest.fixture
def verdicts_file(tmp_path):
    return file_of(tmp_path, HEADER)


@pytest.fixture
def config(sandbox, configure, verdicts_file):
    return configure(sandbox, verdicts=verdicts_file.name)


def held(sandbox) -> dict[str, dict]:
    return {row["objectId"]: row for row in sandbox.annotations()}


def of_class(sandbox, classification) -> dict:
    """The highest held annotation of a class."""
    rows = [row for row in sandbox.annotations() if row["classification"] == classification]
    return max(rows, key=lambda row: row["classdict"]["score"])


def writes(sandbox) -> int:
    return sum(call.endpoint == "annotate" for call in sandbox.calls)


def seen_again(sandbox, night, object_id) -> None:
    """Let an object have a new detection that changes next to nothing."""
    row = next(row for row in night.rows() if row["objectId"] == object_id)
    sandbox.update([row | {"jdmax": max(item["jdmax"] for item in night.rows()) + 0.01}])


@pytest.mark.parametrize(("said", "becomes"), [("regular", "normal"), ("artefact", "artefact")])
def test_a_verdict_overwrites_the_flag_of_an_object_that_is_no_longer_in_the_stream(
    sandbox, config, models, verdicts_file, said, becomes
):
    run_pass(config, models)
    before, written = held(sandbox), writes(sandbox)
    flagged = of_class(sandbox, "anomaly")["objectId"]
    write_down(verdicts_file, verdict(said, flagged))
    sandbox.load([], replace=True)
    report = run_pass(config, models)
    assert (report.read, report.judged, report.queued, report.delivery.sent) == (0, 1, 1, 1)
    assert "1 annotations rewritten since a person has judged otherwise" in summary(report)
    after = held(sandbox)[flagged]
    assert after["classification"] == becomes and "by a person on 2025-03-01." in after["explanation"]
    assert after["classdict"].pop("worth") < 0.001 <= before[flagged]["classdict"].pop("worth")  # known: last
    assert after["classdict"] == before[flagged]["classdict"]
    assert PERSON.split()[0] not in str(sandbox.annotations())
    assert {name: row for name, row in held(sandbox).items() if name != flagged} == {
        name: row for name, row in before.items() if name != flagged
    }
    assert run_pass(config, models).judged == 0 and writes(sandbox) == written + 1


def test_a_silenced_object_stays_silent_when_it_is_seen_again(sandbox, config, models, verdicts_file, night):
    run_pass(config, models)
    flagged = of_class(sandbox, "anomaly")["objectId"]
    write_down(verdicts_file, verdict("regular", flagged))
    first = run_pass(config, models)
    assert flagged not in {item.object_id for item in first.announcement.to_announce}
    written = writes(sandbox)
    seen_again(sandbox, night, flagged)
    report = run_pass(config, models)
    assert (report.scored, report.classes, report.queued, report.delivery.sent) == (1, {"normal": 1}, 0, 0)
    assert flagged not in summary(report) and writes(sandbox) == written
    with Ledger(config.ledger) as ledger:
        last = ledger.scores.history(flagged)[-1]
    assert last["classification"] == "normal" and last["score"] > 1.0  # a verdict never reaches a score


def test_an_object_that_was_judged_before_it_was_first_seen_is_never_written(sandbox, configure, models, tmp_path):
    (tmp_path / "first").mkdir()
    run_pass(configure(sandbox, ledger="first/ledger.sqlite"), models)
    flagged = of_class(sandbox, "anomaly")["objectId"]
    write_down(file_of(tmp_path, HEADER), verdict("regular", flagged))
    written = writes(sandbox)
    config = configure(sandbox, verdicts="verdicts.csv", ledger="second.sqlite")
    report = run_pass(config, models)
    assert report.delivery.sent == writes(sandbox) - written > 0
    with Ledger(config.ledger) as ledger:
        assert ledger.outbox.last_sent([flagged]) == {}
        assert ledger.scores.history(flagged)[-1]["classification"] == "normal"


@pytest.mark.parametrize("said", ["anomaly", "unknown"])
def test_the_other_verdicts_change_no_annotation(sandbox, config, models, verdicts_file, night, said):
    run_pass(config, models)
    before = sandbox.annotations()
    for classification in ("anomaly", "watch"):
        write_down(verdicts_file, verdict(said, of_class(sandbox, classification)["objectId"]))
    ordinary = next(row["objectId"] for row in night.rows() if row["objectId"] not in held(sandbox))
    write_down(verdicts_file, verdict(said, ordinary))
    seen_again(sandbox, night, ordinary)
    assert run_pass(config, models).classes == {"normal": 1}
    assert sandbox.annotations() == before


def test_a_verdict_that_is_taken_back_lets_the_models_speak_again_at_the_next_pass(
    sandbox, config, models, verdicts_file
):
    run_pass(config, models)
    flagged = of_class(sandbox, "anomaly")["objectId"]
    write_down(verdicts_file, verdict("regular", flagged))
    run_pass(config, models)
    write_down(verdicts_file, verdict("unknown", flagged, "Grace", hour=1))
    assert run_pass(config, models).delivery.sent == 1
    assert held(sandbox)[flagged]["classification"] == "anomaly"


@pytest.mark.parametrize(("said", "becomes"), [("regular", "normal"), ("artefact", "artefact")])
def test_a_verdict_in_the_ledger_silences_an_object_at_the_next_pass_until_it_is_undone(
    sandbox, configure, models, night, said, becomes
):
    config = configure(sandbox)
    run_pass(config, models)
    flagged = of_class(sandbox, "anomaly")["objectId"]
    with Ledger(config.ledger) as ledger:
        number = ledger.verdicts.add(verdict(said, flagged))
    assert run_pass(config, models).judged == 1
    assert held(sandbox)[flagged]["classification"] == becomes
    seen_again(sandbox, night, flagged)
    assert run_pass(config, models).classes == {becomes: 1}
    with Ledger(config.ledger) as ledger:
        assert ledger.scores.history(flagged)[-1]["score"] > 1.0
        ledger.verdicts.undo(number, PERSON, time.time())
    report = run_pass(config, models)
    assert (report.judged, report.read, report.scored) == (1, report.unchanged, 0)
    assert held(sandbox)[flagged]["classification"] == "anomaly"
    assert "Judged" not in held(sandbox)[flagged]["explanation"]
    assert (run_pass(config, models).judged, run_pass(config, models).scored) == (0, 0)


@pytest.mark.parametrize("newer", ["file", "ledger"])
def test_of_a_verdict_in_the_file_and_one_in_the_ledger_the_newer_holds(sandbox, config, models, verdicts_file, newer):
    run_pass(config, models)
    flagged = of_class(sandbox, "anomaly")["objectId"]
    write_down(verdicts_file, verdict("regular", flagged, hour=2 if newer == "file" else 1))
    with Ledger(config.ledger) as ledger:
        ledger.verdicts.add(verdict("artefact", flagged, "Grace", hour=1 if newer == "file" else 2))
    run_pass(config, models)
    assert held(sandbox)[flagged]["classification"] == {"file": "normal", "ledger": "artefact"}[newer]


def test_an_announcement_that_was_due_is_dropped_with_the_verdict(sandbox, config, models, verdicts_file):
    due = run_pass(config, models).announcement.to_announce
    write_down(verdicts_file, verdict("regular", due[0].object_id))
    report = run_pass(config, models)
    assert [item.object_id for item in report.announcement.to_announce] == [item.object_id for item in due[1:]]


def test_while_the_file_is_broken_all_else_is_done_and_what_was_judged_stands(
    sandbox, config, models, verdicts_file, tmp_path, capsys, monkeypatch, night
):
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    run_pass(config, models)
    in_file, in_ledger = (of_class(sandbox, name)["objectId"] for name in ("watch", "anomaly"))
    write_down(verdicts_file, verdict("artefact", in_file))
    run_pass(config, models)
    judged = held(sandbox)[in_file]
    verdicts_file.write_text(verdicts_file.read_text().replace("artefact", "boring"))
    with Ledger(config.ledger) as ledger:
        ledger.verdicts.add(verdict("regular", in_ledger))
    seen_again(sandbox, night, in_file)
    capsys.readouterr()
    assert main(["once", "-c", str(tmp_path / "aha.yaml")]) == 1
    assert "verdicts.csv, line 2: verdict must be one of" in capsys.readouterr().out
    assert held(sandbox)[in_file] == judged and judged["classification"] == "artefact"
    assert held(sandbox)[in_ledger]["classification"] == "normal"
    assert main(["status", "-c", str(tmp_path / "aha.yaml")]) == 1
    assert "line 2: verdict must be one of" in capsys.readouterr().out
    (point,) = (item for item in check(tmp_path / "aha.yaml", {}) if item.name == "verdicts")
    assert not point.in_order and "line 2" in point.words
    verdicts_file.write_text(HEADER + GOOD)
    (point,) = (item for item in check(tmp_path / "aha.yaml", {}) if item.name == "verdicts")
    assert point.in_order and "1 verdicts on 1 objects" in point.words
    assert run_pass(config, models).problem == ""


def test_one_bad_line_costs_that_line_and_what_others_say_is_done(sandbox, config, models, verdicts_file):
    run_pass(config, models)
    silenced, other = (of_class(sandbox, name)["objectId"] for name in ("watch", "anomaly"))
    write_down(verdicts_file, verdict("regular", silenced))
    verdicts_file.write_text(verdicts_file.read_text() + f",,,,\n{other},boring,Ada,2025-03-01T09:30Z,\n,,,,\n")
    report = run_pass(config, models)
    assert "verdicts.csv, line 4: verdict must be one of" in report.problem and report.judged == 1
    assert held(sandbox)[silenced]["classification"] == "normal"
    assert held(sandbox)[other]["classification"] == "anomaly"


def test_a_verdict_in_a_dry_run_is_shown_and_nothing_kept(sandbox, config, models, verdicts_file):
    report = run_pass(config, models)
    note_announced(config, report, time.time)
    before = sandbox.annotations()
    flagged = of_class(sandbox, "watch")["objectId"]
    write_down(verdicts_file, verdict("regular", flagged))
    shown = []
    run_pass(config, models, on_dry_annotation=shown.append)
    assert [(item.object_id, item.classification) for item in shown] == [(flagged, "normal")]
    assert sandbox.annotations() == before
    with Ledger(config.ledger) as ledger:
        assert ledger.outbox.last_sent([flagged])[flagged].classification == "watch"
