import datetime
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from annotator.annotation import Annotation
from annotator.decision.assessment import Assessment, Refusal
from annotator.errors import LedgerBusyError, LedgerError, QuotaError
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger, database, kept_objects, pass_lock
from annotator.ledger.counts import MAX_NIGHTS, MAX_REFUSED
from annotator.nights import DAY_S as NIGHT_S
from annotator.reasons.reason import Reason
from annotator.transient import Transient
from annotator.verdicts import Verdict, latest


def annotation(object_id="ZTF99aaaaaaa", score=3.0, classification="anomaly") -> Annotation:
    return Annotation(object_id, "aha_ztf", classification, "aha-ztf-1.0", "why", {"score": score})


def assessment(object_id="ZTF99aaaaaaa", score=3.0, send=True, **changes) -> Assessment:
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
    return Assessment(**(values | changes))


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def reopened(ledger: Ledger) -> Ledger:
    ledger.close()
    return Ledger(ledger.path)


def test_what_was_recorded_is_there_after_reopening(ledger):
    ledger.record([assessment()], [Refusal("bad", "no sense", "{}")], 1000.0, ("query", "position"))
    with reopened(ledger) as again:
        state = again.scores.states(["ZTF99aaaaaaa", "unknown"])
        assert list(state) == ["ZTF99aaaaaaa"]
        assert state["ZTF99aaaaaaa"].first_flagged_mjd == 60990.0
        assert again.position("query") == "position" and again.position("file") is None
        assert again.outbox.last_sent(["ZTF99aaaaaaa"]) == {"ZTF99aaaaaaa": annotation()}
        assert again.counts.refusals() == [Refusal("bad", "no sense", "{}")]
        (score,) = again.scores.history("ZTF99aaaaaaa")
        assert score["modalities"] == {"features": {"score": 3.0, "error": 0.1}} and score["scored_at"] == 1000.0


def test_scores_annotations_and_position_are_one_transaction(ledger):
    def batch():
        yield assessment(bins={"features": {"gmag": 2}})
        raise RuntimeError("the machine stops here")

    with pytest.raises(RuntimeError):
        ledger.record(batch(), [], 1000.0, ("query", "position"))
    assert ledger.position("query") is None
    assert ledger.scores.states(["ZTF99aaaaaaa"]) == {} and ledger.scores.history("ZTF99aaaaaaa") == []
    assert list(ledger.outbox.due(2000.0)) == [] and ledger.counts.of_bins("aha-ztf-1.0") == {}


def test_a_batch_whose_nightly_counts_cannot_be_written_leaves_no_score(ledger):
    ledger._database.execute("DROP TABLE drift")
    with pytest.raises(LedgerError, match="drift"):
        ledger.record([assessment(bins={"features": {"gmag": 2}})], [], 1000.0)
    assert ledger.scores.history("ZTF99aaaaaaa") == []


def test_each_modality_of_an_object_is_counted_once_a_night_and_model_set(ledger):
    features, both = {"features": {"gmag": 2}}, {"features": {"gmag": 1}, "lightcurve": {"lightcurve_days": 0}}
    missing = {"features": {"score": 1.0, "error": 0.1}, "lightcurve": {"missing": "no call left to fetch it"}}
    joined = {"features": {"score": 1.0, "error": 0.1}, "lightcurve": {"score": 1.0, "error": 0.1}}
    first = assessment(bins=features, modalities=missing)
    ledger.record([first, first, assessment("ZTF99aaaaaab", bins=features, modalities=missing)], [], 1000.0)
    later = assessment(bins=both, modalities=joined)
    ledger.record([later], [], 2000.0)
    ledger.record([later], [], 3000.0)
    ledger.record([assessment(bins=both, modalities=joined, model_set="aha-ztf-1.1")], [], 4000.0)
    ledger.record([later], [], 1000.0 + NIGHT_S)
    with reopened(ledger) as again:
        tonight, tomorrow = again.counts.of_bins("aha-ztf-1.0").values()
        assert tonight == {"gmag": [0, 0, 2], "lightcurve_days": [1]}
        assert tomorrow == {"gmag": [0, 1], "lightcurve_days": [1]}
        assert list(again.counts.of_bins("aha-ztf-1.1").values()) == [{"gmag": [0, 1], "lightcurve_days": [1]}]


def test_nights_are_counted_from_noon_to_noon_and_the_newest_are_kept(ledger):
    noon = NIGHT_S / 2
    for number, moment in enumerate((noon - 1, noon, noon + NIGHT_S - 1)):
        ledger.record([assessment(f"ZTF99aaaaaa{number}", bins={"features": {"gmag": 0}})], [], moment)
    assert [counts["gmag"] for counts in ledger.counts.of_bins("aha-ztf-1.0").values()] == [[1], [2]]
    for number in range(2 * MAX_NIGHTS):
        ledger.record([assessment(bins={"features": {"gmag": number}})], [], noon + number * NIGHT_S)
    nights = sorted(ledger.counts.of_bins("aha-ztf-1.0").items())
    assert [len(counts["gmag"]) for _, counts in nights] == list(range(MAX_NIGHTS + 1, 2 * MAX_NIGHTS + 1))


def test_a_ledger_from_before_drift_was_watched_watches_it_from_now_on(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "MIGRATIONS", database.MIGRATIONS[:1])
    with Ledger(tmp_path / "old.sqlite") as old:
        old._database.execute(
            "INSERT INTO objects (object_id, state, model_set) VALUES ('ZTF99aaaaaaa', 'x', 'aha-ztf-1.0')"
        )
    monkeypatch.undo()
    with Ledger(tmp_path / "old.sqlite") as ledger:
        ledger.record([assessment("ZTF99aaaaaab", bins={"features": {"gmag": 1}})], [], 1.0)
        assert ledger.counts.objects() == 2
        assert list(ledger.counts.of_bins("aha-ztf-1.0").values()) == [{"gmag": [0, 1]}]


def test_every_score_is_kept_and_the_outbox_holds_the_newest_annotation_only(ledger):
    for score in (2.5, 3.5, 3.1):
        ledger.record([assessment(score=score)], [], 1000.0)
    assert [row["score"] for row in ledger.scores.history("ZTF99aaaaaaa")] == [2.5, 3.5, 3.1]
    assert list(ledger.outbox.due(2000.0)) == [annotation(score=3.1)]


def test_what_was_scored_is_kept_of_an_object_as_it_was_last_with_the_number_of_that_scoring(ledger):
    for n_det in (4, 5):
        transient = Transient("ZTF99aaaaaaa", "ztf", {"gmag": 18.5}, n_det=n_det)
        ledger.record([assessment(transient=transient, explanation=f"{n_det} of them")], [], 1000.0)
    ((score_id, kept),) = ledger.kept.snapshots(["ZTF99aaaaaaa", "unknown"]).values()
    assert kept == Transient("ZTF99aaaaaaa", "ztf", {"gmag": 18.5}, n_det=5)
    first, second = ledger.scores.history("ZTF99aaaaaaa")
    assert score_id == second["score_id"]
    assert [first["explanation"], second["explanation"]] == ["4 of them", "5 of them"]


def test_what_was_scored_is_kept_of_the_last_objects_however_often_one_of_them_comes(ledger, monkeypatch):
    monkeypatch.setattr(kept_objects, "MAX_EVIDENCE", 3)
    for number in (0, 1, 2, 2, 2, 3, 3):
        object_id = f"ZTF99aaaaaa{number}"
        ledger.record([assessment(object_id, transient=Transient(object_id, "ztf"))], [], 1000.0)
    assert sorted(ledger.kept.snapshots([f"ZTF99aaaaaa{number}" for number in range(4)])) == [
        "ZTF99aaaaaa1",
        "ZTF99aaaaaa2",
        "ZTF99aaaaaa3",
    ]


def test_reasons_are_kept_with_their_scoring_whether_they_came_with_it_or_later(ledger):
    reason = Reason("r faded 1.3 mag", 0.5, {"quantity": "fade_r", "value": 1.3})
    ledger.record([assessment("ZTF99aaaaaaa", reasons={"features": (reason,)}), assessment("ZTF99aaaaaab")], [], 1000.0)
    first, second = ledger.scores.between("aha-ztf-1.0", 0.0, 2000.0)
    assert (first.reasons, second.reasons) == ({"features": (reason,)}, None)
    ledger.scores.record_reasons({second.score_id: {"features": (reason, reason)}})
    assert ledger.scores.between("aha-ztf-1.0", 0.0, 2000.0)[1].reasons == {"features": (reason, reason)}


def test_a_span_of_time_tells_what_was_new_in_it_and_what_was_flagged_first(ledger):
    ledger.record([assessment("ZTF99aaaaaaa", classification="normal"), assessment("ZTF99aaaaaab")], [], 1000.0)
    ledger.record(
        [assessment("ZTF99aaaaaaa", 4.0), assessment("ZTF99aaaaaab", 5.0), assessment("ZTF99aaaaaac")], [], 2000.0
    )
    ledger.record([assessment("ZTF99aaaaaaa", 9.0, model_set="aha-ztf-0.9")], [], 2100.0)
    found = ledger.scores.between("aha-ztf-1.0", 1500.0, 2500.0)
    assert [(item.object_id, item.score, item.is_new, item.is_newly_flagged) for item in found] == [
        ("ZTF99aaaaaab", 5.0, False, False),
        ("ZTF99aaaaaaa", 4.0, False, True),
        ("ZTF99aaaaaac", 3.0, True, True),
    ]
    assert ledger.scores.last() == (2100.0, "aha-ztf-0.9") and ledger.scores.last(2100.0) == (2000.0, "aha-ztf-1.0")


def test_the_highest_score_is_sent_first(ledger):
    scores = {"ZTF99aaaaaaa": 2.2, "ZTF99aaaaaab": 3.4, "ZTF99aaaaaac": 2.9}
    ledger.record([assessment(name, score) for name, score in scores.items()], [], 1000.0)
    assert [item.classdict["score"] for item in ledger.outbox.due(2000.0)] == [3.4, 2.9, 2.2]


def test_what_was_sent_is_not_sent_again_but_still_known(ledger):
    ledger.record([assessment()], [], 1000.0)
    ledger.outbox.mark_sent(annotation(), 1010.0)
    assert list(ledger.outbox.due(2000.0)) == []
    assert ledger.outbox.last_sent(["ZTF99aaaaaaa"]) == {"ZTF99aaaaaaa": annotation()}
    assert ledger.outbox.counts() == {"waiting": 0, "failed": 0, "sent": 1}


def test_an_acknowledgement_of_an_older_annotation_does_not_hide_a_newer_one(ledger):
    ledger.record([assessment(score=3.0)], [], 1000.0)
    ledger.record([assessment(score=3.6)], [], 1001.0)
    ledger.outbox.mark_sent(annotation(score=3.0), 1002.0)
    assert list(ledger.outbox.due(2000.0)) == [annotation(score=3.6)]


def test_a_failure_keeps_its_reason_and_its_pause_grows_to_six_hours(ledger):
    ledger.record([assessment()], [], 0.0)
    now = 0.0
    for pause in [*(60 * 2**n for n in range(9)), 21600, 21600]:
        ledger.outbox.mark_failed(annotation(), "annotate: refused", now)
        assert not list(ledger.outbox.due(now + pause - 1))
        assert list(ledger.outbox.due(now + pause))
        now += pause
    assert ledger.outbox.counts() == {"waiting": 1, "failed": 1, "sent": 0}


def test_refused_records_are_bounded_in_number_and_length(ledger):
    ledger.record([], [Refusal(f"o{n}", "why", "x" * 5000) for n in range(MAX_REFUSED + 50)], 0.0)
    kept = ledger.counts.refusals()
    assert len(kept) == MAX_REFUSED and kept[-1].object_id == f"o{MAX_REFUSED + 49}"
    assert max(len(item.record) for item in kept) == 2000


def test_a_copy_for_a_dry_run_leaves_the_ledger_as_it_was(ledger):
    ledger.record([assessment()], [], 0.0)
    with ledger.copy_in_memory() as copy:
        copy.record([assessment("ZTF99aaaaaab")], [], 1.0, ("query", "further"))
        assert len(copy.scores.states(["ZTF99aaaaaaa", "ZTF99aaaaaab"])) == 2
    assert list(ledger.scores.states(["ZTF99aaaaaaa", "ZTF99aaaaaab"])) == ["ZTF99aaaaaaa"]
    assert ledger.position("query") is None


def test_a_ledger_of_an_older_release_is_brought_up_to_date_with_all_it_holds(ledger, monkeypatch):
    ledger.record([assessment()], [], 0.0)
    newer = (*database.MIGRATIONS, "ALTER TABLE objects ADD COLUMN note TEXT NOT NULL DEFAULT 'none'; SELECT 1")
    monkeypatch.setattr(database, "MIGRATIONS", newer)
    with reopened(ledger) as again:
        assert again.outbox.last_sent(["ZTF99aaaaaaa"]) == {"ZTF99aaaaaaa": annotation()}
        assert [row["note"] for row in again._database.execute("SELECT note FROM objects")] == ["none"]
        assert again._database.execute("PRAGMA user_version").fetchone()[0] == len(newer)
    monkeypatch.undo()
    with pytest.raises(LedgerError, match="this release reads"):
        Ledger(ledger.path)


def test_another_schema_or_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "newer.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="schema version"):
        Ledger(path)
    (tmp_path / "text.sqlite").write_text("this is no database, it is a text of some length " * 50)
    with pytest.raises(LedgerError, match="cannot"):
        Ledger(tmp_path / "text.sqlite")
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE somebody_elses (x)")
    with pytest.raises(LedgerError, match="schema version 0"):
        Ledger(foreign)
    with pytest.raises(LedgerError, match="cannot open"):
        Ledger(tmp_path / "no" / "such" / "folder.sqlite")


def test_a_second_pass_on_the_same_ledger_is_turned_away_and_the_lock_ends_with_the_process(tmp_path):
    path = tmp_path / "ledger.sqlite"
    code = "import sys, time, pathlib; from annotator.ledger import pass_lock\n"
    code += "with pass_lock(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LedgerBusyError, match=f"process {other.pid}"), pass_lock(path):
            pass
        other.kill()
        other.wait()
        with pass_lock(path):
            pass


def test_a_reader_waits_for_a_writer_instead_of_failing(ledger):
    other = sqlite3.connect(ledger.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Thread(target=lambda: (time.sleep(0.3), other.execute("COMMIT")))
    release.start()
    ledger.record([assessment()], [], 0.0)
    release.join()
    other.close()
    assert ledger.outbox.counts()["waiting"] == 1


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
    ledger.record([assessment()], [], 0.0)
    ledger.outbox.mark_sent(annotation(), 10.0)
    assert ledger.outbox.unverified(5) == [annotation()]
    ledger.outbox.mark_failed(annotation(), "not there", 20.0)
    assert ledger.outbox.counts() == {"waiting": 1, "failed": 1, "sent": 0}
    assert list(ledger.outbox.due(80.0)) == [annotation()]
    ledger.outbox.mark_sent(annotation(), 90.0)
    ledger.outbox.mark_verified(annotation(), 91.0)
    assert ledger.outbox.unverified(5) == []


def test_after_a_429_there_is_an_hour_of_silence(ledger):
    now = [0.0]
    budget = CallBudget(ledger, 50, 0.4, lambda: now[0])
    budget.throttled()
    for now[0] in (1.0, 1800.0, 3599.0):
        with pytest.raises(QuotaError, match="no calls until 1970-01-01 01:00 UTC"):
            budget.spend("annotate")
    now[0] = 3601.0
    budget.spend("annotate")


# --- what people said


def verdict(name="regular", object_id="ZTF99aaaaaaa", person="Ada Ångström", second=0.0, note="") -> Verdict:
    when = datetime.datetime(2099, 3, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=second)
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


def test_people_who_judge_at_the_same_time_lose_nothing(ledger):
    def judge(person: str) -> None:
        with Ledger(ledger.path) as own:
            for n in range(10):
                own.verdicts.add(verdict("regular", person=person, second=n, note=str(n)))

    judges = [threading.Thread(target=judge, args=(person,)) for person in ("Ada", "Grace", "Vera")]
    for judge_thread in judges:
        judge_thread.start()
    for judge_thread in judges:
        judge_thread.join()
    assert len(ledger.verdicts.holding()) == 30


def test_who_would_not_wait_long_for_another_writer_is_told_soon(ledger):
    with ledger._database.transaction(), Ledger(ledger.path, busy_timeout_s=0.05) as hurried:
        assert hurried._database.execute("PRAGMA busy_timeout").fetchone()[0] == 50  # milliseconds
        with pytest.raises(LedgerError, match="locked"):
            hurried.verdicts.add(verdict())
    assert ledger.verdicts.holding() == []


# --- read only


def test_who_only_reads_sees_what_was_recorded_whether_or_not_the_ledger_is_open_elsewhere(ledger):
    ledger.record([assessment()], [], 1000.0)
    with Ledger(ledger.path, read_only=True) as reader:
        assert len(reader.scores.history("ZTF99aaaaaaa")) == 1
        ledger.record([assessment()], [], 2000.0)
        assert len(reader.scores.history("ZTF99aaaaaaa")) == 2
        with pytest.raises(LedgerError, match="readonly"):
            reader.verdicts.add(verdict())
    ledger.close()
    with Ledger(ledger.path, read_only=True) as reader:
        assert len(reader.scores.history("ZTF99aaaaaaa")) == 2


def test_who_only_reads_makes_no_ledger_where_there_is_none(tmp_path):
    with pytest.raises(LedgerError, match="there is no ledger at"):
        Ledger(tmp_path / "missing.sqlite", read_only=True)
    assert not list(tmp_path.iterdir())
