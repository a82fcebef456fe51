"""What a report is told: read from the ledger that real passes have written."""

import contextlib
import dataclasses
import datetime
import sqlite3

import pytest

from annotator.decision import stream
from annotator.decision.objects import TnsEntry
from annotator.errors import ConfigError, LedgerError
from annotator.ledger import Ledger
from annotator.models import Missing, Model
from annotator.monitor import status
from annotator.nights import date_of, night_of, start_of
from annotator.passes.run import run_pass
from annotator.report.read import read_night, read_object
from annotator.verdicts import Verdict

EVENING = start_of(61_000) + 36_000.0
DAY_S = 86_400.0


@pytest.fixture
def config(sandbox, configure, models):
    config = configure(sandbox)
    run_pass(config, models, clock=lambda: EVENING)
    return config


def seen_again(sandbox, night, object_id: str, days: float = 1.0, **changes) -> None:
    row = next(row for row in night.rows() if row["objectId"] == object_id)
    sandbox.update([row | {"jdmax": max(item["jdmax"] for item in night.rows()) + days} | changes])


def test_a_night_lists_every_object_in_the_order_of_attention_with_all_that_was_said_of_it(config, models, sandbox):
    found = read_night(config, models, EVENING + 60)
    assert (found.number, found.date, found.model_set) == (61_000, "2025-11-21", models.version)
    assert [item.rank for item in found.candidates] == list(range(1, len(found.candidates) + 1))
    worths = [item.worth for item in found.candidates]
    assert worths == sorted(worths, reverse=True) and found.n_left_out == 0 and worths[0] > 0.1
    held = {row["objectId"]: row for row in sandbox.annotations()}
    assert held.keys() <= {item.object_id for item in found.candidates}
    for item in found.candidates:
        if item.object_id in held:
            annotation = held[item.object_id]
            assert item.classification == annotation["classification"]
            assert item.tns_type or item.explanation == annotation["explanation"]
            assert item.score == annotation["classdict"]["score"]
            assert item.worth == annotation["classdict"]["worth"]
        assert item.modalities["features"].score == pytest.approx(item.score)
        assert item.transient.object_id == item.object_id
        assert item.worth_in_words.startswith(f"worth {item.worth:.2f}: ")
        (scored,) = item.history
        assert scored.score == item.score and scored.scored_at == EVENING


def test_a_night_with_a_budget_is_judged_and_shown_by_thresholds_of_the_nights_before(
    sandbox, configure, models, night, monkeypatch
):
    monkeypatch.setattr(stream, "LEAST_KNOWN", 50)
    config = configure(sandbox, decision__anomalies_per_night=1, decision__watch_per_night=2)
    first = run_pass(config, models, clock=lambda: EVENING)
    assert first.thresholds is None and first.classes["anomaly"] > 1
    held = sandbox.annotations()
    oddest = max(night.rows(), key=lambda row: row["ncand"])["objectId"]
    seen_again(sandbox, night, oddest)
    second = run_pass(config, models, clock=lambda: EVENING + DAY_S)
    assert second.scored == 1
    # A threshold that moved has written nothing by itself.
    others = [row for row in sandbox.annotations() if row["objectId"] != oddest]
    assert others == [row for row in held if row["objectId"] != oddest]
    found = read_night(config, models, EVENING + DAY_S + 60)
    assert found.anomaly_score == second.thresholds.anomaly_score > config.decision.anomaly_score
    assert found.watch_score == second.thresholds.watch_score
    assert found.budget == f"a night's budget, by {first.scored} objects of 1 night before"
    (again,) = found.candidates
    assert again.stream is not None
    before = read_night(config, models, EVENING + DAY_S + 60, night=61_000)
    assert (before.anomaly_score, before.budget) == (config.decision.anomaly_score, "")


def test_the_summary_counts_what_the_pass_did(config, models):
    found = read_night(config, models, EVENING + 60)
    summary = found.summary
    with Ledger(config.ledger) as ledger:
        counts = ledger.passes.last().counts
    assert summary.objects == summary.scorings == summary.new_objects == counts["scored"] == len(found.candidates)
    assert summary.classes == {name: counts[f"class_{name}"] for name in summary.classes}
    assert summary.by_modality == {
        "features": sum(item.modalities["features"].score is not None for item in found.candidates)
    }
    assert (
        summary.newly_flagged
        == counts["class_anomaly"] + counts["class_watch"]
        == sum(item.is_newly_flagged for item in found.candidates)
    )
    assert (summary.passes, summary.refused, summary.outbox_waiting) == (1, counts["refused"], 0)
    assert summary.drift and summary.reads_left > 0


def test_normal_objects_have_reasons_too_found_by_the_pass_that_scored_them(config, models):
    found = read_night(config, models, EVENING + 60)
    normal = [
        item for item in found.candidates if item.classification == "normal" and not item.modalities["features"].missing
    ]
    assert normal and all(item.has_reasons for item in found.candidates)
    assert sum(bool(item.reasons["features"]) for item in normal) > len(normal) / 2  # in some nothing stands out


def test_a_night_is_read_without_a_graph_a_broker_or_a_write(config, models, configure, sandbox, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a night is only read")

    def tables() -> list[str]:
        with contextlib.closing(sqlite3.connect(config.ledger)) as database:
            return list(database.iterdump())

    monkeypatch.setattr(Model, "run", refuse)
    monkeypatch.setattr(status, "read_lag", refuse)
    streamed = configure(
        sandbox, source={"kind": "stream", "topic": "lasair_1Any", "group_id": "any", "broker": "127.0.0.1:1"}
    )
    before = tables()
    found = read_night(streamed, models, EVENING + 60)
    assert found.candidates and read_object(streamed, found.candidates[0].object_id).reasons
    assert tables() == before


def test_the_latents_of_an_object_are_those_it_was_scored_with(config, models):
    (item, *_) = read_night(config, models, EVENING).candidates
    assert item.latents == {"features": models.models["features"].score(item.transient).latent}


def test_what_is_kept_of_an_object_gives_its_score_to_the_bit(config, models):
    found = read_night(config, models, EVENING + 60)
    for item, scores in zip(found.candidates, models.score([item.transient for item in found.candidates]), strict=True):
        assert round(scores.score, 4) == item.score
        for name, said in scores.modalities.items():
            assert item.modalities[name].missing == (said.why if isinstance(said, Missing) else "")


def test_only_the_highest_scores_are_listed_and_the_others_counted(config, models):
    whole, part = (read_night(config, models, EVENING, most=most) for most in (1000, 7))
    assert part.candidates == whole.candidates[:7]
    assert part.n_left_out == len(whole.candidates) - 7 and part.summary == whole.summary


def test_the_next_night_tells_what_is_new(config, models, sandbox, night):
    first = read_night(config, models, EVENING)
    old = next(item for item in first.candidates if item.classification == "normal")
    seen_again(sandbox, night, old.object_id)
    sandbox.load(
        [dict(night.rows()[0]) | {"objectId": "ZTF99zzzzzzz", "jdmax": max(row["jdmax"] for row in night.rows())}]
    )
    run_pass(config, models, clock=lambda: EVENING + DAY_S)
    second = read_night(config, models, EVENING + DAY_S)
    assert second.number == 61_001
    assert {item.object_id: item.is_new for item in second.candidates} == {old.object_id: False, "ZTF99zzzzzzz": True}
    (again,) = (item for item in second.candidates if item.object_id == old.object_id)
    assert [past.scored_at for past in again.history] == [EVENING, EVENING + DAY_S]
    # The evening before is still there, with what the ledger keeps of the objects that were not seen again.
    earlier = read_night(config, models, EVENING + DAY_S, night=61_000)
    assert [item.object_id for item in earlier.candidates] == [item.object_id for item in first.candidates]
    assert [item.object_id for item in earlier.candidates if item.transient is None] == [old.object_id]
    assert all(past.scored_at < start_of(61_001) for item in earlier.candidates for past in item.history)


def test_what_people_and_tns_say_is_shown(config, models):
    first = read_night(config, models, EVENING)
    flagged, other = [item for item in first.candidates if item.classification == "anomaly"][:2]
    when = datetime.datetime.fromtimestamp(EVENING, datetime.UTC)
    with Ledger(config.ledger) as ledger:
        ledger.verdicts.add(Verdict(flagged.object_id, "regular", "Ada <b>", when, "seen"))
        ledger.tns.remember({other.object_id: TnsEntry("SN 2025abc", "SLSN-I")}, EVENING)
    found = {item.object_id: item for item in read_night(config, models, EVENING).candidates}
    judgement = found[flagged.object_id].judgement
    assert (judgement.verdict, judgement.person, judgement.when, judgement.note) == (
        "regular",
        "Ada <b>",
        "2025-11-21T22:00:00Z",
        "seen",
    )
    assert found[flagged.object_id].classification == "normal"
    assert (found[other.object_id].tns_name, found[other.object_id].tns_type) == ("SN 2025abc", "SLSN-I")
    for known, words in ((flagged, "judged regular"), (other, "SLSN-I in TNS")):
        assert found[known.object_id].rank > known.rank and found[known.object_id].worth < 0.001 < known.worth
        assert found[known.object_id].worth_if_unknown == known.worth
        assert found[known.object_id].worth_in_words.startswith(f"worth 0.00: {words}; were that not known ")


def test_a_night_without_scores_is_refused_by_name(config, models, configure, sandbox):
    with pytest.raises(ConfigError, match=r"nothing was scored in the night of 2025-11-20"):
        read_night(config, models, EVENING, night=60_999)
    other = configure(sandbox, ledger="other.sqlite")
    with pytest.raises(LedgerError, match="there is no ledger"):
        read_night(other, models, EVENING)
    Ledger(other.ledger).close()
    with pytest.raises(ConfigError, match="nothing was scored: make a pass first"):
        read_night(other, models, EVENING)


def test_a_night_of_other_models_is_read_as_they_scored_it(config, models):
    found = read_night(config, models, EVENING)
    newer = dataclasses.replace(models, version="aha-ztf-9.9")
    read = read_night(config, newer, EVENING)
    assert read.candidates == found.candidates and read.summary.drift == ()
    assert (found.other_models, read.model_set, read.other_models) == ("", models.version, "aha-ztf-9.9")


def test_one_object_is_read_as_it_was_scored_last(config, models, sandbox, night):
    first = read_night(config, models, EVENING).candidates[3]
    assert read_object(config, first.object_id).score == first.score
    seen_again(sandbox, night, first.object_id)
    run_pass(config, models, clock=lambda: EVENING + DAY_S)
    again = read_object(config, first.object_id)
    assert len(again.history) == 2 and again.transient is not None
    with pytest.raises(ConfigError, match="ZTF18zzzzzzz was not scored at all"):
        read_object(config, "ZTF18zzzzzzz")


def test_a_night_is_named_by_the_day_it_begins_on():
    assert date_of(night_of(EVENING)) == "2025-11-21"


def test_where_no_worth_is_known_flags_come_first_whatever_their_score(sandbox, configure, models):
    without = dataclasses.replace(models, worth=None)
    config = configure(sandbox, decision={"exotic_probability": 0.02})
    run_pass(config, without, clock=lambda: EVENING)
    night = read_night(config, without, EVENING)
    order = [{"anomaly": 0, "watch": 1}.get(item.classification, 2) for item in night.candidates]
    assert order == sorted(order) and {0, 2} <= set(order)
    assert min(item.score for item in night.candidates[: order.count(0)]) < 1.0
