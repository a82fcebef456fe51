"""What a ledger promises, on SQLite and on PostgreSQL."""

import contextlib
import datetime
import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.engine import Engine

from annotator.annotation import Annotation
from annotator.decision.objects import Refusal, ScoredObject, TnsEntry
from annotator.errors import LedgerError, QuotaError
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger, kept_objects, positions
from annotator.ledger.counts import MAX_NIGHTS, LifetimeCount
from annotator.ledger.pass_log import PassRecord
from annotator.ledger.positions import FoundGap, Gap, Progress
from annotator.ledger.refused import MAX_REFUSED, MAX_TEXT, MAX_WHOLE, MAX_WHOLE_TEXT
from annotator.nights import DAY_S as NIGHT_S
from annotator.reasons.reason import Reason
from annotator.transient import Transient
from annotator.verdicts import Verdict, latest

NIGHT = 61_000


def annotation(object_id="ZTF99aaaaaaa", score=3.0, classification="anomaly") -> Annotation:
    return Annotation(object_id, "aha_ztf", classification, "aha-ztf-1.0", "why", {"score": score})


def scored_object(object_id="ZTF99aaaaaaa", score=3.0, send=True, **changes) -> ScoredObject:
    values = {
        "object_id": object_id,
        "state": "digest",
        "model_set": "aha-ztf-1.0",
        "last_mjd": 61000.5,
        "n_det": 4,
        "classification": "anomaly",
        "score": score,
        "modalities": {"features": {"score": 3.0, "error": 0.1}},
        "first_flagged_mjd": 60990.0,
        "outgoing": annotation(object_id, score) if send else None,
    }
    return ScoredObject(**(values | changes))


def reopened(ledger: Ledger) -> Ledger:
    ledger.close()
    return Ledger(ledger.address)


def test_what_a_source_lacks_is_kept_with_how_far_it_was_read(ledger):
    gaps = (Gap("messages had expired", 200), Gap("the stream was made anew", None))
    ledger.record([], [], 1000.0, progress=Progress("stream lasair_1X", "there", gaps))
    ledger.record([], [], 2000.0, progress=Progress("stream lasair_1X", "further"))
    with reopened(ledger) as again:
        assert again.positions.of("stream lasair_1X") == "further"
        assert again.positions.gaps_since(1000.0) == [FoundGap(1000.0, "stream lasair_1X", gap) for gap in gaps]
        assert again.positions.gaps_since(1000.1) == []


def test_the_newest_gaps_are_kept(ledger, monkeypatch):
    monkeypatch.setattr(positions, "MAX_GAPS", 3)
    for number in range(3):
        gaps = (Gap(f"{number}", number), Gap(f"{number}, too", number))
        ledger.record([], [], float(number), progress=Progress("stream lasair_1X", "there", gaps))
    assert [found.gap.reason for found in ledger.positions.gaps_since(0.0)] == ["1, too", "2", "2, too"]


def test_what_was_recorded_is_there_after_reopening(ledger):
    ledger.record([scored_object()], [Refusal("bad", "no sense", "{}")], 1000.0, Progress("query", "position"))
    with reopened(ledger) as again:
        state = again.scores.states(["ZTF99aaaaaaa", "unknown"])
        assert list(state) == ["ZTF99aaaaaaa"]
        assert state["ZTF99aaaaaaa"].first_flagged_mjd == 60990.0
        assert again.positions.of("query") == "position" and again.positions.of("file") is None
        assert again.outbox.last_sent(["ZTF99aaaaaaa"]) == {"ZTF99aaaaaaa": annotation()}
        assert [item.refusal for item in again.refused.open()] == [Refusal("bad", "no sense", "{}")]
        (score,) = again.scores.history("ZTF99aaaaaaa")
        assert score["modalities"] == {"features": {"score": 3.0, "error": 0.1}} and score["scored_at"] == 1000.0


def test_scores_annotations_and_position_are_one_transaction(ledger):
    def batch():
        yield scored_object(bins={"features": {"gmag": 2}})
        raise RuntimeError("the machine stops here")

    with pytest.raises(RuntimeError):
        ledger.record(batch(), [], 1000.0, Progress("query", "position"))
    assert_nothing_recorded(ledger)


@pytest.mark.parametrize("statement", range(9))
def test_a_batch_that_fails_at_any_of_its_statements_leaves_nothing(ledger, statement):
    @contextlib.contextmanager
    def fail_after(number: int):
        made = itertools.count()

        def count(*args: object) -> None:
            if next(made) == number:
                raise RuntimeError("the machine stops here")

        sqlalchemy.event.listen(Engine, "after_cursor_execute", count)
        yield
        sqlalchemy.event.remove(Engine, "after_cursor_execute", count)

    item = scored_object(bins={"features": {"gmag": 2}}, transient=Transient("ZTF99aaaaaaa", "ztf"), waiting_record={})
    with fail_after(2 * statement), pytest.raises(RuntimeError):
        ledger.record([item], [Refusal("bad", "no sense", "{}")], 1000.0, Progress("query", "position"))
    assert_nothing_recorded(ledger)
    ledger.record([item], [], 1000.0)
    assert len(ledger.scores.history("ZTF99aaaaaaa")) == 1


def assert_nothing_recorded(ledger: Ledger) -> None:
    assert ledger.positions.of("query") is None
    assert ledger.scores.states(["ZTF99aaaaaaa"]) == {} and ledger.scores.history("ZTF99aaaaaaa") == []
    assert list(ledger.outbox.due(2000.0)) == [] and ledger.counts.of_bins("aha-ztf-1.0") == {}
    assert ledger.announcements.to_announce() == [] and ledger.refused.count() == 0
    assert ledger.kept.count_waiting() == 0 and ledger.kept.snapshots(["ZTF99aaaaaaa"]) == {}


def test_a_process_that_dies_amid_a_batch_leaves_nothing_and_holds_nobody_up(ledger, address):
    code = """
import os, signal, sys
import sqlalchemy
from sqlalchemy.engine import Engine
from annotator.ledger import Ledger
from annotator.ledger.positions import Progress
from annotator.ledger_address import read_address
from pathlib import Path
from tests.ledger.test_ledger import scored_object

ledger = Ledger(read_address(sys.argv[1], Path()))

@sqlalchemy.event.listens_for(Engine, "before_cursor_execute")
def die(connection, cursor, statement, *args):
    if statement.startswith("INSERT INTO outbox"):
        os.kill(os.getpid(), signal.SIGKILL)

ledger.record([scored_object()], [], 1000.0, Progress("query", "position"))
"""
    died = subprocess.run([sys.executable, "-c", code, str(address)], timeout=120)
    assert died.returncode == -signal.SIGKILL
    assert_nothing_recorded(ledger)
    ledger.record([scored_object()], [], 1000.0)


def test_a_batch_whose_nightly_counts_cannot_be_written_leaves_no_score(ledger):
    ledger.database.execute("DROP TABLE night_counts")
    with pytest.raises(LedgerError, match="night_counts"):
        ledger.record([scored_object(bins={"features": {"gmag": 2}})], [], 1000.0)
    assert ledger.scores.history("ZTF99aaaaaaa") == []


def test_each_modality_of_an_object_is_counted_once_a_night_and_model_set(ledger):
    features, both = {"features": {"gmag": 2}}, {"features": {"gmag": 1}, "lightcurve": {"lightcurve_days": 0}}
    missing = {"features": {"score": 1.0, "error": 0.1}, "lightcurve": {"missing": "no call left to fetch it"}}
    joined = {"features": {"score": 1.0, "error": 0.1}, "lightcurve": {"score": 1.0, "error": 0.1}}
    first = scored_object(bins=features, modalities=missing)
    ledger.record([first, first, scored_object("ZTF99aaaaaab", bins=features, modalities=missing)], [], 1000.0)
    later = scored_object(bins=both, modalities=joined)
    ledger.record([later], [], 2000.0)
    ledger.record([later], [], 3000.0)
    ledger.record([scored_object(bins=both, modalities=joined, model_set="aha-ztf-1.1")], [], 4000.0)
    ledger.record([later], [], 1000.0 + NIGHT_S)
    with reopened(ledger) as again:
        tonight, tomorrow = again.counts.of_bins("aha-ztf-1.0").values()
        assert tonight == {"gmag": [0, 0, 2], "lightcurve_days": [1]}
        assert tomorrow == {"gmag": [0, 1], "lightcurve_days": [1]}
        assert list(again.counts.of_bins("aha-ztf-1.1").values()) == [{"gmag": [0, 1], "lightcurve_days": [1]}]


def test_nights_are_counted_from_noon_to_noon_and_the_newest_are_kept(ledger):
    noon = NIGHT_S / 2
    for number, moment in enumerate((noon - 1, noon, noon + NIGHT_S - 1)):
        ledger.record([scored_object(f"ZTF99aaaaaa{number}", bins={"features": {"gmag": 0}})], [], moment)
    assert [counts["gmag"] for counts in ledger.counts.of_bins("aha-ztf-1.0").values()] == [[1], [2]]
    for number in range(2 * MAX_NIGHTS):
        ledger.record([scored_object(bins={"features": {"gmag": number}})], [], noon + number * NIGHT_S)
    nights = sorted(ledger.counts.of_bins("aha-ztf-1.0").items())
    assert [len(counts["gmag"]) for _, counts in nights] == list(range(MAX_NIGHTS + 1, 2 * MAX_NIGHTS + 1))


def test_every_score_is_kept_and_the_outbox_holds_the_newest_annotation_only(ledger):
    for score in (2.5, 3.5, 3.1):
        ledger.record([scored_object(score=score)], [], 1000.0)
    assert [row["score"] for row in ledger.scores.history("ZTF99aaaaaaa")] == [2.5, 3.5, 3.1]
    assert list(ledger.outbox.due(2000.0)) == [annotation(score=3.1)]


def test_what_was_scored_is_kept_of_an_object_as_it_was_last_with_the_number_of_that_scoring(ledger):
    for n_det in (4, 5):
        transient = Transient("ZTF99aaaaaaa", "ztf", {"gmag": 18.5}, n_det=n_det)
        ledger.record([scored_object(transient=transient, explanation=f"{n_det} of them")], [], 1000.0)
    ((score_id, kept),) = ledger.kept.snapshots(["ZTF99aaaaaaa", "unknown"]).values()
    assert kept == Transient("ZTF99aaaaaaa", "ztf", {"gmag": 18.5}, n_det=5)
    first, second = ledger.scores.history("ZTF99aaaaaaa")
    assert score_id == second["score_id"]
    assert [first["explanation"], second["explanation"]] == ["4 of them", "5 of them"]


def test_what_was_scored_is_kept_of_the_last_objects_however_often_one_of_them_comes(ledger, monkeypatch):
    monkeypatch.setattr(kept_objects, "MAX_SNAPSHOTS", 3)
    for number in (0, 1, 2, 2, 2, 3, 3):
        object_id = f"ZTF99aaaaaa{number}"
        ledger.record([scored_object(object_id, transient=Transient(object_id, "ztf"))], [], 1000.0)
    assert sorted(ledger.kept.snapshots([f"ZTF99aaaaaa{number}" for number in range(4)])) == [
        "ZTF99aaaaaa1",
        "ZTF99aaaaaa2",
        "ZTF99aaaaaa3",
    ]


def test_reasons_are_kept_with_their_scoring_whether_they_came_with_it_or_later(ledger):
    reason = Reason("r faded 1.3 mag", 0.5, {"quantity": "fade_r", "value": 1.3})
    ledger.record(
        [scored_object("ZTF99aaaaaaa", reasons={"features": (reason,)}), scored_object("ZTF99aaaaaab")], [], 1000.0
    )
    first, second = ledger.scores.between("aha-ztf-1.0", 0.0, 2000.0)
    assert (first.reasons, second.reasons) == ({"features": (reason,)}, None)
    ledger.scores.record_reasons({second.score_id: {"features": (reason, reason)}})
    assert ledger.scores.between("aha-ztf-1.0", 0.0, 2000.0)[1].reasons == {"features": (reason, reason)}


def test_a_span_of_time_tells_what_was_new_in_it_and_what_was_flagged_first(ledger):
    ledger.record([scored_object("ZTF99aaaaaaa", classification="normal"), scored_object("ZTF99aaaaaab")], [], 1000.0)
    ledger.record(
        [scored_object("ZTF99aaaaaaa", 4.0), scored_object("ZTF99aaaaaab", 5.0), scored_object("ZTF99aaaaaac")],
        [],
        2000.0,
    )
    ledger.record([scored_object("ZTF99aaaaaaa", 9.0, model_set="aha-ztf-0.9")], [], 2100.0)
    found = ledger.scores.between("aha-ztf-1.0", 1500.0, 2500.0)
    assert [(item.object_id, item.score, item.is_new, item.is_newly_flagged) for item in found] == [
        ("ZTF99aaaaaab", 5.0, False, False),
        ("ZTF99aaaaaaa", 4.0, False, True),
        ("ZTF99aaaaaac", 3.0, True, True),
    ]
    assert ledger.scores.last() == (2100.0, "aha-ztf-0.9") and ledger.scores.last(2100.0) == (2000.0, "aha-ztf-1.0")


def test_the_highest_score_is_sent_first(ledger):
    scores = {"ZTF99aaaaaaa": 2.2, "ZTF99aaaaaab": 3.4, "ZTF99aaaaaac": 2.9}
    ledger.record([scored_object(name, score) for name, score in scores.items()], [], 1000.0)
    assert [item.classdict["score"] for item in ledger.outbox.due(2000.0)] == [3.4, 2.9, 2.2]


def test_what_was_sent_is_not_sent_again_but_still_known(ledger):
    ledger.record([scored_object()], [], 1000.0)
    ledger.outbox.mark_sent([annotation()], 1010.0)
    assert list(ledger.outbox.due(2000.0)) == []
    assert ledger.outbox.last_sent(["ZTF99aaaaaaa"]) == {"ZTF99aaaaaaa": annotation()}
    assert ledger.outbox.counts() == {"waiting": 0, "failed": 0, "sent": 1}


def test_an_acknowledgement_of_an_older_annotation_does_not_hide_a_newer_one(ledger):
    ledger.record([scored_object(score=3.0)], [], 1000.0)
    ledger.record([scored_object(score=3.6)], [], 1001.0)
    ledger.outbox.mark_sent([annotation(score=3.0)], 1002.0)
    assert list(ledger.outbox.due(2000.0)) == [annotation(score=3.6)]


def test_a_failure_keeps_its_reason_and_its_pause_grows_to_six_hours(ledger):
    ledger.record([scored_object()], [], 0.0)
    now = 0.0
    for pause in [*(60 * 2**n for n in range(9)), 21600, 21600]:
        ledger.outbox.mark_failed([annotation()], "annotate: refused", now)
        assert not list(ledger.outbox.due(now + pause - 1))
        assert list(ledger.outbox.due(now + pause))
        now += pause
    assert ledger.outbox.counts() == {"waiting": 1, "failed": 1, "sent": 0}


def test_refused_records_are_bounded_in_number_and_length(ledger):
    ledger.record([], [Refusal(f"o{n}", "why", "x" * 5000) for n in range(MAX_REFUSED + 50)], 0.0)
    kept = [item.refusal for item in ledger.refused.open()]
    assert len(kept) == MAX_REFUSED and kept[-1].object_id == f"o{MAX_REFUSED + 49}"
    assert {len(item.record) for item in kept[:-MAX_WHOLE]} == {MAX_TEXT}
    assert {len(item.record) for item in kept[-MAX_WHOLE:]} == {5000}
    ledger.record([], [Refusal("long", "why", "x" * 2 * MAX_WHOLE_TEXT)], 0.0)
    kept = [item.refusal for item in ledger.refused.open()]
    assert len(kept[-1].record) == MAX_WHOLE_TEXT and len(kept[-MAX_WHOLE - 1].record) == MAX_TEXT


def test_what_was_refused_and_scored_since_is_not_open_any_longer(ledger):
    ledger.record([], [Refusal(name, "why", "{}", "triplet", "OSError") for name in "abc"], 5.0)
    first, *_, last = ledger.refused.open()
    assert (first.refused_at, first.refusal) == (5.0, Refusal("a", "why", "{}", "triplet", "OSError"))
    ledger.refused.mark_scored([first.refused_id, last.refused_id], 6.0)
    assert [item.refusal.object_id for item in ledger.refused.open()] == ["b"]
    assert ledger.refused.count() == 3


def test_a_dry_run_sees_what_is_there_and_leaves_the_ledger_as_it_was(ledger):
    ledger.record([scored_object()], [], 0.0)
    with ledger.for_dry_run() as dry:
        dry.passes.begin(1.0)
        dry.record(
            [scored_object("ZTF99aaaaaab")], [Refusal("bad", "no sense", "{}")], 1.0, Progress("query", "further")
        )
        dry.announcements.leave_unannounced(["ZTF99aaaaaaa"])
        assert len(dry.scores.states(["ZTF99aaaaaaa", "ZTF99aaaaaab"])) == 2
        ledger.calls.count("query", 1.0)  # a dry run's calls are calls like any other
        ledger.verdicts.add(verdict())  # and nobody is held up
        with pytest.raises(LedgerError):  # within a dry run, too, a transaction is all or nothing
            dry.record([scored_object("ZTF99aaaaaac"), scored_object("ZTF99aaaaaac", state=None)], [], 2.0)
        assert dry.scores.states(["ZTF99aaaaaac"]) == {} and dry.outbox.counts()["waiting"] == 2
        if isinstance(ledger.address, Path):  # what it is made in is gone with the process, however that ends
            assert not [path for path in ledger.address.parent.iterdir() if "dry" in path.name]
    assert list(ledger.scores.states(["ZTF99aaaaaaa", "ZTF99aaaaaab"])) == ["ZTF99aaaaaaa"]
    assert ledger.positions.of("query") is None and ledger.refused.count() == 0
    assert len(ledger.announcements.to_announce()) == 1 and ledger.calls.last_hour(1.0) == (1, 0)


def test_a_writer_waits_for_another_instead_of_failing(ledger, address):
    ledger.record([scored_object()], [], 0.0)
    begun, done = threading.Event(), threading.Event()

    def write() -> None:
        with Ledger(address) as other, other.database.transaction():
            other.outbox.mark_sent([annotation()], 1.0)
            begun.set()
            done.wait(0.3)

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(60)
    ledger.outbox.mark_verified([annotation()], 2.0)
    done.set()
    writer.join()
    assert ledger.outbox.counts()["sent"] == 1 and ledger.outbox.unverified(9, 2.0) == []


def test_calls_are_counted_over_a_sliding_hour_across_restarts(ledger):
    now = [0.0]
    budget = CallBudget(ledger, 6, 0.5, lambda: now[0])
    for now[0] in (0.0, 1000.0, 2000.0):
        budget.spend("query")
    now[0] = 3000.0
    with reopened(ledger) as again:
        budget = CallBudget(again, 6, 0.5, lambda: now[0])
        with pytest.raises(QuotaError, match="all 3 calls an hour that are kept to read"):
            budget.spend("query")
        now[0] = 3601.0
        budget.spend("query")
        with pytest.raises(QuotaError):
            budget.spend("query")


def test_reading_and_writing_cannot_starve_each_other(ledger):
    budget = CallBudget(ledger, 50, 0.4, lambda: 0.0)
    assert (budget.reads_per_hour, budget.writes_per_hour) == (20, 30)
    for _ in range(30):
        budget.spend("annotate")
    with pytest.raises(QuotaError, match="kept to write"):
        budget.spend("annotate")
    for _ in range(20):
        budget.spend("query")
    with pytest.raises(QuotaError, match="kept to read"):
        budget.spend("object")
    assert ledger.calls.last_hour(0.0) == (20, 30)


def test_what_lasair_acknowledged_and_does_not_have_is_sent_again(ledger):
    ledger.record([scored_object()], [], 0.0)
    ledger.outbox.mark_sent([annotation()], 10.0)
    assert [entry.annotation for entry in ledger.outbox.unverified(5, 10.0)] == [annotation()]
    ledger.outbox.mark_failed([annotation()], "not there", 20.0)
    assert ledger.outbox.counts() == {"waiting": 1, "failed": 1, "sent": 0}
    assert list(ledger.outbox.due(80.0)) == [annotation()]
    ledger.outbox.mark_sent([annotation()], 90.0)
    ledger.outbox.mark_verified([annotation()], 91.0)
    assert ledger.outbox.unverified(5, 91.0) == []


def test_after_a_429_there_is_an_hour_of_silence(ledger):
    now = [0.0]
    budget = CallBudget(ledger, 50, 0.4, lambda: now[0])
    budget.throttled()
    for now[0] in (1.0, 1800.0, 3599.0):
        with pytest.raises(QuotaError, match="no calls until 1970-01-01 01:00 UTC"):
            budget.spend("annotate")
    now[0] = 3601.0
    budget.spend("annotate")


def test_a_call_is_taken_while_there_is_room_for_its_kind(ledger):
    assert [ledger.calls.take("annotate", 2, now) for now in (0.0, 1.0, 2.0)] == [True, True, False]
    assert ledger.calls.take("query", 1, 3.0) and not ledger.calls.take("object", 1, 4.0)
    assert ledger.calls.last_hour(4.0) == (1, 2) and ledger.calls.take("annotate", 2, 3600.5)
    ledger.calls.note_throttled(3700.0)
    assert not ledger.calls.take("annotate", 50, 3701.0) and ledger.calls.take("annotate", 50, 7300.5)


def test_a_pass_whose_clock_was_a_year_ahead_leaves_nothing_that_stops_the_next(ledger):
    year = 365 * NIGHT_S
    anomaly = annotation(classification="anomaly")
    ledger.record([scored_object(bins={"features": {"gmag": 0}}, outgoing=anomaly)], [], year)
    for _ in range(60):
        ledger.calls.count("annotate", year)
    ledger.calls.note_throttled(year)
    ledger.outbox.mark_failed([anomaly], "refused", year)
    ledger.tns.remember({anomaly.object_id: None}, year)
    assert ledger.calls.take("annotate", 1, 1000.0) and ledger.calls.last_throttled(1000.0) is None
    assert ledger.calls.last_hour(1000.0) == (0, 1) and ledger.calls.last_hour_to("annotate", 1000.0) == 1
    assert list(ledger.outbox.due(1000.0)) == [anomaly]
    assert ledger.tns.without_between([anomaly.object_id], 0.0, 1000.0) == [anomaly.object_id]
    ledger.record([scored_object(bins={"features": {"gmag": 0}})], [], 1000.0)
    assert list(ledger.counts.of_bins("aha-ztf-1.0", 1000.0).values()) == [{"gmag": [1]}]
    assert [count.scored for count in ledger.counts.of_nights("aha-ztf-1.0", 9, 1000.0)] == [1]


def test_a_clock_that_is_wrong_once_deletes_no_night_by_its_age(ledger):
    for number in range(MAX_NIGHTS - 1):
        ledger.record([scored_object(bins={"features": {"gmag": 0}})], [], 1e9 + number * NIGHT_S)
    for wrong in (1e9 + 400 * NIGHT_S, 1e9 - 400 * NIGHT_S):
        ledger.record([scored_object(bins={"features": {"gmag": 0}})], [], wrong)
        assert len(ledger.counts.of_bins("aha-ztf-1.0", 1e9 + MAX_NIGHTS * NIGHT_S)) == MAX_NIGHTS - 1


def test_calls_that_no_budget_counts_are_forgotten(ledger):
    for now in (0.0, 5000.0):
        ledger.calls.count("query", now)
    ledger.calls.forget(7300.0)
    assert ledger.calls.last_hour(5000.0) == (1, 0)
    ledger.calls.forget(20_000.0)
    assert ledger.calls.last_hour(5000.0) == (0, 0)


def test_a_batch_is_written_in_as_many_statements_as_a_single_object_and_a_call_counted_in_one(ledger):
    def statements(do: Callable, *values: object) -> int:
        made = []
        sqlalchemy.event.listen(Engine, "before_cursor_execute", note := lambda *args: made.append(args[2]))
        do(*values)
        sqlalchemy.event.remove(Engine, "before_cursor_execute", note)
        return len(made)

    def batch(n: int) -> list[ScoredObject]:
        names = [f"ZTF99a{number:06d}" for number in range(n)]
        return [
            scored_object(name, bins={"features": {"gmag": 2}}, transient=Transient(name, "ztf"), waiting_record={})
            for name in names
        ]

    one, many = (statements(ledger.record, batch(n), [], 0.0) for n in (1, 300))
    assert 5 < many <= one < 20
    ids = [item.object_id for item in batch(300)]
    for read in (ledger.scores.states, ledger.outbox.last_sent, ledger.kept.snapshots, ledger.scores.histories):
        assert statements(read, ids) == 1
    assert statements(ledger.calls.take, "annotate", 50, 0.0) == 1
    for mark in (ledger.outbox.mark_sent, ledger.outbox.mark_verified):
        assert statements(mark, [annotation()], 0.0) == 1
        assert statements(mark, [item.outgoing for item in batch(300)], 0.0) == 3  # with the ends of the transaction
    assert statements(ledger.outbox.queue, [], 0.0) == statements(ledger.announcements.leave_unannounced, []) == 0


def test_scores_have_the_order_of_their_batch_and_of_an_objects_states_the_last_counts(ledger):
    items = [scored_object(f"ZTF99aaaaaa{n % 7}", score=float(n), state=str(n), waiting_record=n) for n in range(100)]
    ledger.record(items, [], 0.0)
    names = [f"ZTF99aaaaaa{n}" for n in range(7)]
    scored = sorted((row["score_id"], row["score"]) for rows in ledger.scores.histories(names).values() for row in rows)
    assert [score for _, score in scored] == [float(n) for n in range(100)]
    last = {item.object_id: item for item in items}
    assert {name: state.state for name, state in ledger.scores.states(names).items()} == {
        name: item.state for name, item in last.items()
    }
    assert sorted(map(int, ledger.kept.waiting_records(99, NIGHT).values())) == list(range(93, 100))
    assert {item.object_id: item.score for item in ledger.announcements.to_announce()} == {
        name: item.score for name, item in last.items()
    }
    ledger.record([scored_object(names[0]), scored_object(names[0], classification="normal", send=False)], [], 1.0)
    assert names[0] not in {item.object_id for item in ledger.announcements.to_announce()}
    assert ledger.kept.waiting_of(names) == set(names[1:])


def test_objects_come_in_the_order_of_their_code_points(ledger):
    names = ["ZTF99B", "ZTF99a", "ZTF99A", "ztf99b", "1692984331914446", "169298433191445"]
    ledger.record([scored_object(name) for name in names], [], 0.0)
    assert [item.object_id for item in ledger.outbox.due(0.0)] == sorted(names)
    assert [item.object_id for item in ledger.announcements.to_announce()] == sorted(names)


def test_text_from_outside_that_a_database_has_no_place_for_is_kept_without_it(ledger):
    ledger.record([], [Refusal("a\0b", "half a pair \ud800 of it", '{"name": "\0"}')], 0.0)
    assert [item.refusal for item in ledger.refused.open()] == [
        Refusal("a\N{REPLACEMENT CHARACTER}b", "half a pair ? of it", '{"name": "\N{REPLACEMENT CHARACTER}"}')
    ]
    ledger.tns.remember({"ZTF99aaaaaaa": TnsEntry("SN 2099\0a", "SN Ia"), "ZTF99aaaaaab": None}, 1.0)
    assert ledger.tns.entries(["ZTF99aaaaaaa"])["ZTF99aaaaaaa"].name == "SN 2099\N{REPLACEMENT CHARACTER}a"
    assert ledger.tns.without_between(["ZTF99aaaaaaa", "ZTF99aaaaaab", "ZTF99aaaaaac"], 0.5, 9.0) == ["ZTF99aaaaaac"]


def test_a_refusal_counts_once_a_night_and_what_was_refused_has_its_turn_in_the_next_one(ledger):
    names = ["ZTF99aaaaaaa", "ZTF99aaaaaab"]
    ledger.record([scored_object(name, waiting_record=name) for name in names], [], 0.0)
    for _ in range(3):
        ledger.kept.note_refused(names[:1], NIGHT)
    assert list(ledger.kept.waiting_records(9, NIGHT)) == names[1:]
    assert ledger.kept.refused_before(names, NIGHT) == {names[0]: 0}
    assert ledger.kept.refused_before(names, NIGHT + 1) == {names[0]: 1}
    ledger.record([scored_object(names[0], waiting_record="of another state")], [], 0.0)  # it stays counted
    ledger.kept.note_refused(names[:1], NIGHT + 1)
    assert ledger.kept.refused_before(names, NIGHT + 2) == {names[0]: 2}
    assert list(ledger.kept.waiting_records(9, NIGHT + 2)) == names[::-1]
    ledger.record([scored_object(names[0])], [], 0.0)
    ledger.kept.note_refused(names[:1], NIGHT + 2)
    assert ledger.kept.refused_before(names, NIGHT + 3) == {}


def test_what_is_flagged_has_its_turn_before_others_that_wait(ledger):
    classes = dict(zip("abcdef", ("normal", "watch", "variable", "anomaly", "normal", "artefact"), strict=True))
    items = [scored_object(f"ZTF99aaaaaa{n}", classification=c, waiting_record=n) for n, c in classes.items()]
    ledger.record(items, [], 0.0)
    assert sorted(ledger.kept.waiting_records(2, NIGHT).values()) == ['"b"', '"d"']
    assert len(ledger.kept.waiting_records(9, NIGHT)) == 6
    ledger.kept.note_refused(["ZTF99aaaaaab"], NIGHT)
    assert list(ledger.kept.waiting_records(1, NIGHT + 1).values()) == ['"d"']


def test_the_newest_records_wait_whenever_their_object_came_first(ledger, monkeypatch):
    monkeypatch.setattr(kept_objects, "MAX_WAITING", 2)
    for name in "abca":
        ledger.record([scored_object(f"ZTF99aaaaaa{name}", waiting_record=name)], [], 1000.0)
    assert sorted(ledger.kept.waiting_records(9, NIGHT)) == ["ZTF99aaaaaaa", "ZTF99aaaaaac"]


def test_a_flag_takes_its_class_along_in_place_while_it_waits_and_by_a_new_write_once_sent(ledger):
    waits, sent = annotation("ZTF99aaaaaaa"), annotation("ZTF99aaaaaab")
    ledger.record([scored_object(item.object_id) for item in (waits, sent)], [], 0.0)
    ledger.outbox.mark_failed([waits], "refused", 1.0)
    ledger.outbox.mark_sent([sent], 1.0)
    ledger.tns.remember({item.object_id: TnsEntry("SN 2099a", "SN Ia") for item in (waits, sent)}, 1.0)
    flags = ledger.outbox.classified_flags()
    assert {(flag.annotation.object_id, flag.tns_type, flag.waits) for flag in flags} == {
        ("ZTF99aaaaaaa", "SN Ia", True),
        ("ZTF99aaaaaab", "SN Ia", False),
    }
    assert ledger.outbox.waiting_flags(9) == ["ZTF99aaaaaaa"]
    assert ledger.outbox.anomalies_sent_since(0.5, 9.0) == ["ZTF99aaaaaab"]
    watched = [annotation(item.object_id, classification="watch") for item in (waits, sent)]
    ledger.outbox.amend(zip((waits, sent), watched, strict=True), 2.0)
    assert ledger.outbox.counts() == {"waiting": 2, "failed": 1, "sent": 0}
    assert list(ledger.outbox.due(2.0)) == [watched[1]] and list(ledger.outbox.due(61.0)) == watched
    assert ledger.announcements.to_announce() == [] and ledger.outbox.anomalies_sent_since(0.0, 9.0) == []


def test_passes_are_found_by_their_news_and_by_how_much_they_scored(ledger):
    for ended_at, counts in ((5.0, {"news": 3, "scored": 9}), (15.0, {"read": 4}), (25.0, {"news": 0, "scored": 60})):
        ledger.passes.end(ledger.passes.begin(ended_at - 5), "done", counts, ended_at)
    assert ledger.passes.heard(0.0, 25.0) == [(5.0, 3), (25.0, 0)] and ledger.passes.heard(6.0, 24.0) == []
    assert [item.ended_at for item in ledger.passes.newest_first(99.0, 1)] == [25.0, 5.0]
    assert [item.ended_at for item in ledger.passes.newest_first(99.0, 50)] == [25.0]
    assert list(ledger.passes.newest_first(24.0, 50)) == [] and ledger.passes.last(24.0).ended_at == 15.0


def test_passes_are_remembered_with_how_they_ended(ledger):
    assert ledger.passes.last() is None
    for number, outcome in enumerate(("done", "no answer")):
        ledger.passes.end(ledger.passes.begin(10.0 * number), outcome, {"read": number}, 10.0 * number + 5)
    ledger.passes.begin(30.0)
    assert ledger.passes.last() == PassRecord(15.0, "no answer", {"read": 1})
    assert ledger.passes.between(0.0, 15.0) == [PassRecord(5.0, "done", {"read": 0})]


def test_objects_are_counted_by_how_often_they_were_scored(ledger):
    for name, classes in (("a", ["normal"]), ("b", ["watch", "anomaly", "normal"]), ("c", ["anomaly"])):
        for item in classes:
            ledger.record([scored_object(f"ZTF99aaaaaa{name}", classification=item, send=False)], [], 0.0)
    assert ledger.counts.lifetimes("aha-ztf-1.0") == [LifetimeCount(1, 2, 1, 1), LifetimeCount(3, 1, 1, 2)]


# --- what people said


def verdict(name="regular", object_id="ZTF99aaaaaaa", person="Ada Ångström", second=0.0, note="") -> Verdict:
    when = datetime.datetime(2025, 3, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=second)
    return Verdict(object_id, name, person, when, note)


def test_verdicts_of_several_people_are_kept_with_person_time_and_note(ledger):
    given = [
        verdict("anomaly", second=5.000001, note="<b>rises</b> again"),
        verdict("regular", person="Grace", second=9),
        verdict("artefact", "ZTF99aaaaaab", second=1),
    ]
    for item in given:
        ledger.verdicts.add(item)
    with reopened(ledger) as again:
        assert again.verdicts.holding() == [given[2], *given[:2]]  # oldest first
        assert [item.verdict for item in again.verdicts.of_object("ZTF99aaaaaaa")] == given[:2]
        assert latest(again.verdicts.holding())["ZTF99aaaaaaa"] == given[1]
        assert again.verdicts.of_object("ZTF99aaaaaac") == []


def test_a_verdict_that_is_undone_stays_for_the_record_and_the_one_before_holds_again(ledger):
    ledger.verdicts.add(verdict("anomaly"))
    number = ledger.verdicts.add(verdict("regular", person="Grace", second=1))
    assert ledger.verdicts.undo(number, "Grace", 2000.0)
    assert not ledger.verdicts.undo(number, "Ada", 3000.0) and not ledger.verdicts.undo(number + 1, "Ada", 3000.0)
    assert ledger.verdicts.holding() == [verdict("anomaly")]
    first, second = ledger.verdicts.of_object("ZTF99aaaaaaa")
    assert (first.undone_at, first.undone_by) == (None, None)
    assert (second.verdict_id, second.undone_at, second.undone_by) == (number, 2000.0, "Grace")


def test_a_verdict_that_is_sent_twice_is_kept_once_unless_something_was_said_in_between(ledger):
    first = ledger.verdicts.add(verdict("regular", note="host"))
    assert ledger.verdicts.add(verdict("regular", note="host", second=1)) == first
    assert len(ledger.verdicts.holding()) == 1
    ledger.verdicts.add(verdict("regular", note="host, and dull", second=2))
    ledger.verdicts.add(verdict("anomaly", person="Grace", second=3))
    again = ledger.verdicts.add(verdict("regular", note="host, and dull", second=4))
    assert len(ledger.verdicts.holding()) == 4
    ledger.verdicts.undo(again, "Ada", 5.0)
    ledger.verdicts.add(verdict("regular", note="host, and dull", second=6))
    assert len(ledger.verdicts.holding()) == 4 and len(ledger.verdicts.of_object("ZTF99aaaaaaa")) == 5


def test_people_who_judge_at_the_same_time_lose_nothing(ledger, address):
    def judge(person: str) -> None:
        with Ledger(address) as own:
            for n in range(10):
                own.verdicts.add(verdict("regular", person=person, second=n, note=str(n)))

    at_once(judge, ("Ada", "Grace", "Vera"))
    assert len(ledger.verdicts.holding()) == 30


def test_a_form_that_is_sent_several_times_at_once_is_one_verdict(ledger, address):
    def judge(second: float) -> None:
        with Ledger(address) as own:
            own.verdicts.add(verdict(second=second))

    for second in (0.0, 10.0, 20.0):
        ledger.verdicts.add(verdict(second=second, note="something else"))
        at_once(judge, [second + 1] * 4)
    assert len(ledger.verdicts.holding()) == 6


def test_people_who_open_a_ledger_that_is_not_there_yet_at_the_same_time_make_one(address):
    def begin(number: int) -> None:
        with Ledger(address) as own:
            own.passes.begin(float(number))

    at_once(begin, range(4))
    with Ledger(address) as ledger:
        assert ledger.passes.begin(9.0) == 5


def at_once(do: Callable[[object], None], values: Iterable[object]) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(do, values)) is not None


def test_who_would_not_wait_long_for_another_writer_is_told_soon(ledger, address):
    with ledger.database.transaction(), Ledger(address, busy_timeout_s=0.05) as hurried:
        ledger.verdicts.add(verdict())
        with pytest.raises(LedgerError, match="lock"):
            hurried.verdicts.add(verdict())
    assert ledger.verdicts.holding() == [verdict()]


# --- read only


def test_who_only_reads_sees_what_was_recorded_whether_or_not_the_ledger_is_open_elsewhere(ledger, address):
    ledger.record([scored_object()], [], 1000.0)
    with Ledger(address, read_only=True) as reader:
        assert len(reader.scores.history("ZTF99aaaaaaa")) == 1
        with ledger.database.transaction():
            ledger.record([scored_object()], [], 2000.0)
            assert len(reader.scores.history("ZTF99aaaaaaa")) == 1  # it waits for nobody
        assert len(reader.scores.history("ZTF99aaaaaaa")) == 2
        with pytest.raises(LedgerError, match=r"read-?only"):
            reader.verdicts.add(verdict())
    ledger.close()
    with Ledger(address, read_only=True) as reader:
        assert len(reader.scores.history("ZTF99aaaaaaa")) == 2


def test_who_only_reads_makes_no_ledger_where_there_is_none(address):
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"there is no ledger at|is empty: make a pass first"):
            Ledger(address, read_only=True)
