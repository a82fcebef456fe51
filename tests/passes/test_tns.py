"""Classes in TNS: looked up before sending, stated, and demoting where so configured; over HTTP."""

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.annotation import MAX_EXPLANATION
from annotator.decision.objects import TnsEntry
from annotator.ledger import Ledger
from annotator.passes.report_text import summary
from annotator.passes.run import note_announced, run_pass
from annotator.passes.tns import tns_entries
from annotator.reasons.sentence import MAX_TNS_TYPE, state_class
from annotator.report.read import read_night
from annotator.surveys import SURVEYS
from tests.test_annotation import HOSTILE, SAFE

SENTENCE = "At most 1 in 1000 classified supernovae is as odd in object features: r 24 mag."


def held(sandbox) -> dict[str, dict]:
    return {row["objectId"]: row for row in sandbox.annotations()}


def highest(sandbox, classification) -> str:
    rows = [row for row in sandbox.annotations() if row["classification"] == classification]
    return max(rows, key=lambda row: row["classdict"]["score"])["objectId"]


def classify(sandbox, object_id: str, tns_type: str) -> None:
    sandbox.database.put_tns(object_id, {"tns_name": f"2099{object_id[-5:]}", "tns_prefix": "SN", "type": tns_type})


def queries(sandbox) -> int:
    return sum(call.endpoint == "query" for call in sandbox.calls)


def writes(sandbox) -> int:
    return sum(call.endpoint == "annotate" for call in sandbox.calls)


def seen_again(sandbox, night, object_id: str, **changes) -> None:
    row = next(row for row in night.rows() if row["objectId"] == object_id)
    sandbox.update([row | {"jdmax": max(item["jdmax"] for item in night.rows()) + 0.01} | changes])


@pytest.fixture
def flagged(sandbox, configure, models) -> dict[str, dict]:
    """What a pass over the same night flags that knows nothing of TNS."""
    sandbox.database._connection.execute("DELETE FROM watchlist_hits")
    shown = []
    run_pass(configure(sandbox), models, on_dry_annotation=shown.append)
    return {item.object_id: item for item in shown if item.classification in ("anomaly", "watch")}


def assert_only_worth_moved(numbers, before) -> None:
    """Say that a class left all numbers as they were, but for what the object is worth a look now."""
    assert numbers["worth"] < 0.001 <= before["worth"]
    assert dict(numbers) | {"worth": 0} == dict(before) | {"worth": 0}


def first_of(flagged, classification) -> str:
    return next(name for name, item in flagged.items() if item.classification == classification)


@given(st.text(max_size=60) | st.sampled_from(HOSTILE), st.text(alphabet=sorted(SAFE), max_size=250))
def test_a_class_of_any_text_is_stated_safely_briefly_and_once(tns_type, sentence):
    stated = state_class(SENTENCE + sentence, tns_type)
    assert set(stated) <= SAFE and len(stated) <= MAX_EXPLANATION
    assert re.match(rf".{{1,{MAX_TNS_TYPE}}} in TNS\. At most 1 in 1000", stated)
    assert state_class(stated, tns_type) == stated


def test_a_class_takes_the_place_of_the_one_before():
    assert state_class(SENTENCE, "SN Ia") == f"SN Ia in TNS. {SENTENCE}"
    assert state_class(state_class(SENTENCE, "SN"), "SN Ib-Ca-rich") == f"SN Ib-Ca-rich in TNS. {SENTENCE}"
    assert state_class(SENTENCE, "超新星") == f"Classified in TNS. {SENTENCE}"


NAME = "ZTF99aaaaaaa"


def row(name, tns_type, prefix="SN", object_id=NAME) -> dict[str, object]:
    return {"objectId": object_id, "tns_prefix": prefix, "tns_name": name, "type": tns_type}


def looked_up(rows) -> TnsEntry | None:
    class Lasair:
        survey = SURVEYS["ztf"]

        def query(self, *_):
            return rows

    with Ledger(":memory:") as ledger:
        return tns_entries(ledger.tns, Lasair(), [NAME], 1e9).get(NAME)


@pytest.mark.parametrize(
    ("rows", "entry"),
    [
        ([row("2026xyz", "SN Ia"), row("2019abc", None, "AT")], TnsEntry("SN 2026xyz", "SN Ia")),
        ([row("2019abc", "SN II"), row("2026xyz", None, "AT")], TnsEntry("SN 2019abc", "SN II")),
        ([row("2019abc", "SN II"), row("2026xyz", "SN Ia")], TnsEntry("SN 2026xyz", "SN Ia")),
        ([row("2026zz", "SN II"), row("2026aaa", "SN Ia")], TnsEntry("SN 2026aaa", "SN Ia")),
        ([row("2026aab", "-", "AT"), row("2026aaa", "", "AT")], TnsEntry("AT 2026aab", "")),
        ([row("None", "SN Ia"), row("2026aaa", "Unknown", "AT")], TnsEntry("AT 2026aaa", "")),
        ([row("2026aaa", "SN Ia", prefix=None)], TnsEntry("2026aaa", "SN Ia")),
        ([row("2026aaa", "SN"), row("2026aaa", "SN Ia"), row("2026aaa", "TBD")], TnsEntry("SN 2026aaa", "SN Ia")),
        ([row("SN 2026aaa", "SN Ia")], TnsEntry("SN 2026aaa", "SN Ia")),
        ([row("2026aaa", "SN Ia", object_id="ZTF99aaaaaab"), row("", "SN Ia"), row(5, "SN Ia")], None),
    ],
)
def test_of_several_rows_of_an_object_the_newest_with_a_class_counts_in_any_order(rows, entry):
    assert all(looked_up(order) == entry for order in itertools.permutations(rows))


@pytest.mark.parametrize(
    "placeholder",
    [
        *("", " ", "-", "None", "null", "NaN", "Unknown", "Other", "other ", None, 0, [], {}),
        *("?", "\N{EM DASH}", "\u200b", "\\N", "[]", "0.0", "N/A", "n.a.", "TBD", "AT", "Not classified"),
        *("not_classified", "<NA>", "False", "pending...", "UNCLEAR", "(unknown)"),
    ],
)
def test_what_stands_where_there_is_no_class_is_none(placeholder):
    assert looked_up([row("2026aaa", placeholder)]) == TnsEntry("SN 2026aaa", "")


@pytest.mark.parametrize("classification", ["anomaly", "watch"])
def test_the_first_annotation_of_a_classified_object_states_its_class_without_a_write_of_its_own(
    sandbox, configure, models, flagged, classification
):
    name = first_of(flagged, classification)
    classify(sandbox, name, "SN Ia-91bg-like")
    report = run_pass(configure(sandbox, decision__classified="state"), models)
    assert writes(sandbox) == report.queued == report.delivery.sent == len(sandbox.annotations())
    row = held(sandbox)[name]
    assert row["explanation"] == state_class(flagged[name].explanation, "SN Ia-91bg-like")
    assert row["classification"] == classification
    assert_only_worth_moved(row["classdict"], flagged[name].classdict)
    others = {item["objectId"]: item["explanation"] for item in sandbox.annotations()} | {name: ""}
    assert "in TNS" not in str(others)
    assert queries(sandbox) == 2 * 2 + 1  # pages and names of the two passes, and one read back


def test_what_somebody_wrote_into_tns_reaches_neither_lasair_s_sql_nor_the_terminal(
    sandbox, configure, models, flagged
):
    name = first_of(flagged, "anomaly")
    classify(sandbox, name, "SN Ia'); DROP TABLE annotations; -- \x1b[2J" + "x" * 99)
    report = run_pass(configure(sandbox), models)
    assert report.problem == "" and report.delivery.failed == 0
    explanation = held(sandbox)[name]["explanation"]
    assert explanation.startswith("SN Ia ); DROP TABLE a... in TNS. At most 1 in ")
    assert set(explanation) <= SAFE and "\x1b" not in summary(report) and "'" not in summary(report)


def test_a_class_that_becomes_known_later_is_stated_when_there_is_another_reason_to_write(
    sandbox, configure, models, flagged, night
):
    config, now = configure(sandbox, decision__classified="state"), [1e9]
    run_pass(config, models, clock=lambda: now[0])
    name, before = first_of(flagged, "watch"), sandbox.annotations()
    classify(sandbox, name, "TDE")
    now[0] += 90_000.0
    seen_again(sandbox, night, name)
    report = run_pass(config, models, clock=lambda: now[0])
    assert report.tns[name].type == "TDE"
    assert report.delivery.sent == 0 and sandbox.annotations() == before
    (row,) = (row for row in night.rows() if row["objectId"] == name)
    seen_again(sandbox, night, name, jdmax=row["jdmax"] + 40.0, rmag=25.5, magrmax=25.5, g_minus_r=4.9)
    report = run_pass(config, models, clock=lambda: now[0])
    assert report.delivery.sent == 1
    assert re.match(r"TDE in TNS\. (At most|By extrapolation) 1 in \d+ ", held(sandbox)[name]["explanation"])


def test_an_annotation_that_still_waits_takes_along_a_class_that_has_become_known(sandbox, configure, models, flagged):
    config, now = configure(sandbox), [1e9]
    sandbox.misbehave("annotate", "refuse", status=500)
    assert run_pass(config, models, clock=lambda: now[0]).waiting > 1
    sandbox.behave()
    name = first_of(flagged, "watch")
    classify(sandbox, name, "SN II")
    now[0] += 90_000.0
    report = run_pass(config, models, clock=lambda: now[0])
    assert (report.scored, report.queued, report.waiting) == (0, 0, 0)
    assert held(sandbox)[name]["explanation"].startswith("SN II in TNS. ")


def test_without_an_answer_from_tns_everything_is_sent_all_the_same(sandbox, configure, models, flagged):
    classify(sandbox, first_of(flagged, "anomaly"), "SN Ia")
    config = configure(sandbox, source={"kind": "file", "path": "night.jsonl"})
    (config.ledger.parent / "night.jsonl").write_text("")
    with Ledger(config.ledger) as ledger:
        ledger.outbox.queue(flagged.values(), 0.0)
    sandbox.misbehave("query", "refuse", times=1, status=500)
    report = run_pass(config, models)
    assert report.problem == "" and report.delivery.sent == len(flagged) and report.tns == {}
    assert "in TNS" not in str(sandbox.annotations())


# --- where a class demotes


def test_a_classified_anomaly_is_written_as_one_to_watch_and_not_announced(sandbox, configure, models, flagged):
    name = first_of(flagged, "anomaly")
    classify(sandbox, name, "SN Ia")
    report = run_pass(configure(sandbox, decision__classified="demote"), models)
    row = held(sandbox)[name]
    assert row["classification"] == "watch" and row["explanation"].startswith("SN Ia in TNS. At most 1 in ")
    assert_only_worth_moved(row["classdict"], flagged[name].classdict)  # a class never reaches a score
    assert writes(sandbox) == report.queued == len(sandbox.annotations())
    assert report.demoted == 1 and "1 anomalies made ones to watch since TNS" in summary(report)
    announced = [item.object_id for item in report.announcement.to_announce]
    assert name not in announced and len(announced) > 0
    assert {item.classification for item in report.flagged if item.object_id == name} == {"watch"}


def test_a_class_that_becomes_known_later_demotes_with_a_write_of_its_own_once(
    sandbox, configure, models, flagged, night
):
    config, now = configure(sandbox, decision__classified="demote"), [1e9]
    run_pass(config, models, clock=lambda: now[0])
    name, written = first_of(flagged, "anomaly"), writes(sandbox)
    assert held(sandbox)[name]["classification"] == "anomaly"
    classify(sandbox, name, "SN IIn")
    now[0] += 90_000.0
    report = run_pass(config, models, clock=lambda: now[0])
    assert (report.scored, report.demoted, report.delivery.sent) == (0, 1, 1)
    assert held(sandbox)[name]["classification"] == "watch" and writes(sandbox) == written + 1
    seen_again(sandbox, night, name)
    report = run_pass(config, models, clock=lambda: now[0])
    assert (report.classes, report.delivery.sent, report.demoted) == ({"watch": 1}, 0, 0)


def test_where_a_class_is_only_stated_an_anomaly_stays_one(sandbox, configure, models, flagged):
    name = first_of(flagged, "anomaly")
    classify(sandbox, name, "SN Ia")
    config = configure(sandbox, decision__classified="state")
    report = run_pass(config, models)
    assert held(sandbox)[name]["classification"] == "anomaly" and report.demoted == 0
    due = [item.object_id for item in report.announcement.to_announce]
    assert due[-1] == name  # what is known comes last
    while name not in {item.object_id for item in report.announced}:
        note_announced(config, report)
        report = run_pass(config, models)
    (line,) = (line for line in summary(report).splitlines() if name in line)
    assert line.endswith("SN Ia")


def test_what_leads_the_list_without_a_flag_is_looked_up_too_and_comes_last_once_it_is_known(
    sandbox, configure, models, flagged
):
    nothing = {"decision__anomaly_score": 20.0, "decision__watch_score": 20.0, "decision__exotic_probability": 1.0}
    config = configure(sandbox, **nothing)
    name = first_of(flagged, "anomaly")
    classify(sandbox, name, "SN Ia")
    report = run_pass(config, models)
    assert name not in held(sandbox) and report.tns[name].type == "SN Ia"
    night = read_night(config, models, time.time())
    by_id = {item.object_id: item for item in night.candidates}
    assert by_id[name].worth < 0.001 and by_id[name].tns_type == "SN Ia"


def test_there_is_one_query_for_names_a_pass_however_much_there_is_to_look_up(sandbox, configure, models, flagged):
    now = [1e9]
    config = configure(sandbox, decision__classified="demote", decision__watch_score=0.0)
    # A page, the names, one read back; a page, and the night's sweep of what was sent; then what is known for a day, or
    # was swept this night, waits.
    for expected, later_s in ((3, 0.0), (2, 0.0), (1, 90_000.0), (3, 0.0)):
        before = queries(sandbox)
        run_pass(config, models, clock=lambda: now[0])
        assert queries(sandbox) - before == expected
        now[0] += later_s
