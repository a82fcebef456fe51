"""What is old is forgotten in steps, and whatever anything speaks of stays."""

import datetime
import itertools
import random

import pytest
from sqlalchemy import select

from annotator.decision.sending import FLAGS
from annotator.errors import LedgerError
from annotator.ledger import Ledger, retention
from annotator.ledger.care import faults
from annotator.ledger.retention import horizons_at
from annotator.ledger.store.schema import objects, scores
from annotator.nights import DAY_S
from annotator.reasons.reason import Reason
from tests.ledger.test_ledger import scored_object, verdict

NOW = datetime.datetime(2026, 11, 30, 9, tzinfo=datetime.UTC).timestamp()
SETS = ("aha-ztf-1.0", "aha-ztf-1.1")


def utc(*when: int) -> float:
    return datetime.datetime(*when, tzinfo=datetime.UTC).timestamp()


def fill(ledger: Ledger, seed: int, days: int = 1200) -> None:
    """Score a few objects for years, most of them for a while only."""
    draw = random.Random(seed)
    for day in range(days, -1, -5):
        seen = [name for number, name in enumerate("abcdef") if day > 200 * number and draw.random() < 0.6]
        classes = draw.choices(("normal", "watch", "anomaly"), (8, 1, 1), k=len(seen))
        ledger.record(
            [
                scored_object(
                    f"ZTF99aaaaaa{name}",
                    score=draw.random(),
                    model_set=SETS[day < 400],
                    classification=classification,
                    reasons={"features": (Reason("odd", 1.0, {}),)},
                    numbers={"age": 1.0},
                    waiting_record={} if draw.random() < 0.1 else None,
                    send=False,
                )
                for name, classification in zip(seen, classes, strict=True)
            ],
            [],
            NOW - day * DAY_S + draw.random(),
        )


def forget(ledger: Ledger, now: float = NOW, most: int = 10**6) -> int:
    return ledger.retention.forget_scores(horizons_at(now, 90, 30, 24), most)


def left(ledger: Ledger) -> dict[int, bool]:
    """Return the numbers of the scores that are kept, and which of them have their reasons."""
    rows = ledger.database.rows(select(scores.c.score_id, scores.c.reasons))
    return {row.score_id: row.reasons is not None for row in rows}


def expected(ledger: Ledger) -> set[int]:
    """Return the numbers of the scores that are to stay, of all, by what is promised."""
    stay = set()
    rows = sorted(ledger.database.rows(select(scores)), key=lambda row: (row.object_id, row.score_id))
    for _, past in itertools.groupby(rows, lambda row: row.object_id):
        past = list(past)
        is_seen = past[-1].scored_at >= utc(2024, 11, 1)
        last = {}
        for row in past:
            when = datetime.datetime.fromtimestamp(row.scored_at, datetime.UTC)
            last[(when.year, when.month) if is_seen else None] = row.score_id
        flags = [row for row in past if row.classification in FLAGS]
        first = {
            (row.model_set, wanted): row.score_id
            for wanted in (FLAGS, ("anomaly",))
            for row in reversed(flags)
            if row.classification in wanted
        }
        stay |= {*last.values(), *first.values()} | {row.score_id for row in past if row.scored_at >= utc(2026, 8, 1)}
    return stay | {row.score_id for row in ledger.database.rows(select(retention.waiting.c.score_id))}


def test_months_that_are_wholly_older_than_so_many_nights_are_reduced():
    found = horizons_at(NOW, 90, 30, 24)
    assert (found.whole_since, found.seen_since) == (utc(2026, 8, 1), utc(2024, 11, 1))
    assert found.numbers_since == utc(2026, 10, 30, 12)


def test_what_is_left_is_what_is_promised_whatever_the_steps_and_wherever_they_end(ledger, monkeypatch):
    draw = random.Random(1)
    fill(ledger, seed=1)
    before, stay = left(ledger), expected(ledger)
    lifetimes = [ledger.counts.lifetimes(model_set) for model_set in SETS]
    recent = ledger.scores.between(SETS[1], utc(2026, 8, 1), NOW)
    states = ledger.database.rows(select(objects.c.object_id, objects.c.state).order_by(objects.c.object_id))

    for days in (700, 300, 0):  # as passes go on, each of which may break off
        for _ in range(10):
            monkeypatch.setattr(retention, "STEP_ROWS", draw.randrange(1, 60))
            if draw.random() < 0.3:
                with monkeypatch.context() as broken:
                    broken.setattr(ledger.retention, "_delete", _break_off)
                    with pytest.raises(LedgerError):
                        _until_it_breaks(ledger, NOW - days * DAY_S)
            forget(ledger, NOW - days * DAY_S, draw.randrange(1, 100))
        forget(ledger, NOW - days * DAY_S)

    after = left(ledger)
    assert set(after) == stay and len(stay) < len(before) / 2
    assert forget(ledger) == 0 and left(ledger) == after
    assert faults(ledger) == []
    assert [ledger.counts.lifetimes(model_set) for model_set in SETS] == lifetimes
    assert ledger.scores.between(SETS[1], utc(2026, 8, 1), NOW) == recent
    assert all(night.night >= 61253 for night in ledger.counts.of_nights(SETS[1], 99))
    assert ledger.database.rows(select(objects.c.object_id, objects.c.state).order_by(objects.c.object_id)) == states


def _break_off(score_ids):
    raise LedgerError("no room")


def _until_it_breaks(ledger: Ledger, now: float) -> None:
    forget(ledger, now)
    raise LedgerError("nothing was left to do")


def test_numbers_stay_of_what_was_judged_flagged_or_scored_since(ledger):
    for name, days in (("a", 40), ("b", 40), ("c", 40), ("c", 3), ("d", 40), ("e", 40)):
        item = scored_object(
            f"ZTF99aaaaaa{name}", numbers={"age": 1.0}, first_flagged_mjd=60000.0 if name == "d" else None
        )
        ledger.record([item], [], NOW - days * DAY_S)
    ledger.verdicts.add(verdict(object_id="ZTF99aaaaaab"))
    horizons = horizons_at(NOW, 90, 30, 24)

    def with_numbers() -> set[str]:
        rows = ledger.database.rows(select(objects.c.object_id).where(objects.c.numbers.is_not(None)))
        return {row.object_id[-1] for row in rows}

    ledger.retention.forget_scores(horizons, 99, judged=None)  # a file of verdicts cannot be read
    assert with_numbers() == set("abcde")
    ledger.retention.forget_scores(horizons, 99, judged=["ZTF99aaaaaae"])
    assert with_numbers() == set("bcde")


def test_a_score_dated_later_than_now_has_no_age_and_is_in_nobodys_way(ledger):
    for days in (300, -400, 299, 298):
        ledger.record([scored_object(send=False, classification="normal")], [], NOW - days * DAY_S)
    forget(ledger)
    assert set(left(ledger)) == {2, 4}


def test_lifetimes_stay_of_model_sets_that_are_in_use(ledger, monkeypatch):
    monkeypatch.setattr(retention, "STEP_LIFETIMES", 2)
    horizons = horizons_at(NOW, 90, 30, 24)
    for model_set, when in (("old", horizons.whole_since - 1), ("kept", horizons.whole_since), ("now", NOW)):
        ledger.record([scored_object(f"ZTF99aaaaaa{name}", model_set=model_set) for name in "abcde"], [], when)
    ledger.database.execute("INSERT INTO lifetimes VALUES ('gone', 'ZTF99aaaaaaa', 1, 0)")
    for _ in range(4):
        ledger.retention.forget_lifetimes(horizons)
    counted = [(name, of.objects) for name in ("gone", "old", "kept", "now") for of in ledger.counts.lifetimes(name)]
    assert counted == [("kept", 5), ("now", 5)]


def test_the_newest_passes_are_kept(ledger, monkeypatch):
    monkeypatch.setattr(retention, "STEP_PASSES", 2)
    ledger.retention.forget_passes(3)
    for number in range(8):
        ledger.passes.end(ledger.passes.begin(number), "done", {}, number)
    for kept in (6, 4, 3, 3):
        ledger.retention.forget_passes(3)
        assert [item.ended_at for item in ledger.passes.between(0, 99)] == list(range(8 - kept, 8))
