"""What Lasair holds is known: over the wire, with the real client, whatever becomes of a write or its object."""

import dataclasses
import json
import sqlite3

import pytest
from sqlalchemy import update

from annotator.annotation import Annotation
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger
from annotator.ledger.store.schema import outbox
from annotator.passes import delivery as delivering
from annotator.passes.delivery import Delivery, deliver
from annotator.passes.sweep import sweep
from annotator.sandbox import Account, Sandbox, Topic
from annotator.surveys import SURVEYS
from tests.conftest import TOKEN

HOUR_S, DAY_S = 3600.0, 86_400.0
NAMES = tuple(f"ZTF99send{letter}aa" for letter in "abcdefgh")


def annotation(name: str = NAMES[0], score: float = 3.2, version: str = "aha-ztf-1.0") -> Annotation:
    numbers = {"score": score, "features_score": score, "n_det": 5}
    return Annotation(name, "aha_ztf", "anomaly" if score >= 3 else "watch", version, "Why.", numbers)


@dataclasses.dataclass
class Site:
    """An outbox, and a Lasair that it is delivered to."""

    server: Sandbox
    ledger: Ledger
    now: list[float]
    survey: object = SURVEYS["ztf"]
    calls_per_hour: int = 5000

    def queue(self, *annotations: Annotation) -> None:
        self.ledger.outbox.queue(annotations, self.now[0])

    def api(self) -> LasairApi:
        budget = CallBudget(self.ledger, self.calls_per_hour, 0.4, self.clock)
        return LasairApi(self.survey, self.server.url, TOKEN, 0.5, budget)

    def deliver(self, later_s: float = 600.0) -> Delivery:
        self.now[0] += later_s
        return deliver(self.ledger.outbox, self.api(), 1, self.clock, lambda: False)

    def sweep(self, later_s: float = 0.0):
        self.now[0] += later_s
        return sweep(self.ledger, self.api(), "aha_ztf", self.clock, lambda: False)

    def clock(self) -> float:
        return self.now[0]

    def states(self) -> dict[str, int]:
        return {name: count for name, count in self.ledger.outbox.states().items() if count}

    def held(self) -> dict[str, float]:
        return {row["objectId"]: row["classdict"]["score"] for row in self.server.annotations()}

    def writes(self) -> int:
        return sum(call.endpoint == "annotate" for call in self.server.calls)

    def reads(self) -> int:
        return sum(call.endpoint == "query" for call in self.server.calls)

    def overwrite(self, item: Annotation) -> None:
        """Store something at Lasair as if somebody had sent it."""
        names = ("topic", "version", "classification", "explanation", "url")
        fields = {name: str(getattr(item, name)) for name in names} | {"objectId": item.object_id}
        self.server.database.annotate(fields | {"classdict": json.dumps(dict(item.classdict))})


@pytest.fixture
def site():
    now = [1e9]
    with (
        Sandbox(accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], clock=lambda: now[0]) as server,
        Ledger(":memory:") as ledger,
    ):
        server.load({"objectId": name} for name in NAMES)
        yield Site(server, ledger, now)


def test_what_is_sent_is_read_back_with_all_its_numbers(site):
    site.queue(*(annotation(name) for name in NAMES))
    done = site.deliver()
    assert (done.sent, done.stored, done.lost, done.problem) == (8, 8, 0, "")
    assert site.states() == {"stored": 8} and site.reads() == 2  # once for the objects, once for what was sent
    site.deliver()
    assert (site.writes(), site.reads()) == (8, 2)


@pytest.mark.parametrize(
    "older",
    [annotation(score=3.1), annotation(version="aha-ztf-0.9"), annotation(score=2.9)],
    ids=["an older score", "an older version", "another class"],
)
def test_every_lost_update_is_found_and_sent_again(site, older):
    others = [annotation(name) for name in NAMES[1:]]
    site.overwrite(older)
    site.server.misbehave("annotate", "lie", times=1)  # the highest score, so that it is the first
    site.queue(annotation(score=9.0), *others)
    done = site.deliver()
    assert (done.sent, done.lost) == (8, 1) and "another one is there" in done.problem
    assert site.states() == {"queued": 1, "stored": 7}
    assert site.deliver().stored == 1 and site.held()[NAMES[0]] == 9.0


def test_more_lost_updates_than_one_call_can_look_up_are_all_found(site, monkeypatch):
    monkeypatch.setattr(delivering, "MAX_ASKED", 3)
    site.queue(*(annotation(name) for name in NAMES))
    site.server.misbehave("annotate", "lie")
    assert site.deliver().lost == 8
    site.server.behave()
    assert site.deliver().stored == 8


def test_what_no_call_was_left_to_read_back_is_read_back_in_later_passes(site, monkeypatch):
    monkeypatch.setattr(delivering, "MAX_ASKED", 2)
    site.calls_per_hour = 20  # eight of them to read, of which a pass may spend a quarter of what is left on this
    site.queue(*(annotation(name) for name in NAMES))
    passes = 0
    while site.states() != {"stored": 8}:
        site.deliver(1200.0)
        passes += 1
        assert passes < 12
    assert passes > 1


# --- objects that the main database lacks


def test_an_annotation_is_held_until_the_main_database_has_its_object(site):
    site.server.hide(NAMES[:1])
    site.queue(annotation(score=9.0), annotation(NAMES[1]))
    done = site.deliver()
    assert (done.sent, done.held, done.problem) == (1, 1, "") and site.states() == {"held": 1, "stored": 1}
    site.server.show()
    assert site.deliver().stored == 1 and site.writes() == 2


def test_after_a_day_it_is_sent_all_the_same_and_that_is_said_and_not_shown_is_not_lost(site):
    site.server.hide(NAMES[:1])
    site.queue(annotation())
    passes = [site.deliver(HOUR_S) for _ in range(25)]
    assert [done.sent for done in passes] == [0] * 24 + [1] and passes[-1].unseen == 1
    for _ in range(4):
        later = site.deliver(DAY_S)
        assert (later.sent, later.lost, later.problem) == (0, 0, "")
    assert site.states() == {"sent": 1} and site.writes() == 1
    site.server.show()
    assert site.deliver(DAY_S).stored == 1 and site.writes() == 1


def test_an_object_that_was_seen_once_is_not_asked_for_again(site):
    site.queue(annotation())
    site.deliver()
    reads = site.reads()
    site.queue(annotation(score=3.9))
    assert site.deliver().stored == 1 and site.reads() == reads + 1


def test_where_no_call_is_left_to_ask_it_is_sent_after_an_hour(site):
    site.calls_per_hour = 2
    api = site.api()
    site.queue(annotation())
    api.budget.spend("query")
    done = site.deliver(60.0)
    assert (done.sent, done.held) == (0, 1) and "kept to read" in done.pause
    for _ in range(12):
        site.ledger.calls.take("query", 1, site.now[0])  # others always come first
        done = site.deliver(600.0)
        if done.sent:
            break
    assert done.sent == 1 and site.now[0] - 1e9 == pytest.approx(HOUR_S, abs=700.0)


# --- writes whose end nobody knows


@pytest.mark.parametrize("fault", ["drop_after", "hang_after", "drop", "hang"])
def test_a_write_without_an_answer_is_read_back_before_anything_else_and_never_made_twice(site, fault):
    was_stored = fault.endswith("_after")
    site.server.misbehave("annotate", fault, times=1)
    site.queue(annotation(score=9.0), annotation(NAMES[1]))
    first = site.deliver()
    assert first.problem and site.held().get(NAMES[0]) == (9.0 if was_stored else None)
    site.server.behave()
    site.deliver()
    assert site.states() == {"stored": 2}
    assert site.writes() == (2 if was_stored else 3)


def test_while_nothing_can_be_read_back_nothing_of_the_object_is_sent(site):
    site.server.misbehave("annotate", "drop_after", times=1)
    site.queue(annotation())
    site.ledger.outbox.mark_visible(NAMES, site.now[0])
    site.server.misbehave("query", "refuse", status=503)
    assert site.deliver().unsure == 1
    site.queue(annotation(score=4.0))
    for _ in range(3):
        assert site.deliver().sent == 0
    assert site.states() == {"unsure": 1} and site.writes() == 1
    site.server.behave()
    assert site.deliver().stored == 1 and site.held() == {NAMES[0]: 4.0} and site.writes() == 2


def test_a_newer_annotation_that_is_what_was_written_need_not_be_written(site):
    site.ledger.outbox.queue([annotation()], 0.0)
    site.ledger.outbox.begin([annotation()], 1.0)  # and the process is killed after the answer
    site.overwrite(annotation())
    site.queue(annotation(score=3.9))
    site.queue(annotation())
    assert site.deliver().stored == 1 and site.writes() == 0


def test_where_writes_are_queued_a_newer_one_waits_until_the_older_is_there(site):
    """LSST applies them in any order."""
    site.survey = dataclasses.replace(SURVEYS["ztf"], queues_annotations=True)
    site.server.misbehave("annotate", "late", seconds=900.0)
    site.queue(annotation())
    site.deliver()
    assert site.states() == {"sent": 1} and site.held() == {}
    site.queue(annotation(score=4.0))
    assert site.deliver(300.0).sent == 0
    site.server.behave()
    site.deliver(900.0)
    assert site.held() == {NAMES[0]: 4.0} and site.writes() == 2
    site.deliver(900.0)
    assert site.states() == {"stored": 1} and site.writes() == 2


# --- who is refused, and what is down


def test_after_an_outage_the_best_anomaly_goes_first(site):
    site.queue(*(annotation(name, 3.0 + number) for number, name in enumerate(NAMES)))
    for status in (500, 503, 404, 400):
        site.server.misbehave("annotate", "refuse", status=status)
        done = site.deliver()
        assert done.problem and (done.sent, done.failed) == (0, 0)
        site.server.behave()
    done = site.deliver(1.0)
    assert done.sent == 8 and [*site.held()] == [*reversed(NAMES)]


def test_annotations_that_are_refused_themselves_keep_no_other_from_being_sent(site, monkeypatch):
    poison, stored = NAMES[:3], site.server.database.annotate

    def store(fields):
        if fields["objectId"] in poison:
            raise sqlite3.OperationalError("Lasair-ZTF answers 500 to what its database chokes on")
        return stored(fields)

    monkeypatch.setattr(site.server.database, "annotate", store)
    site.queue(*(annotation(name, 9.0) for name in poison), *(annotation(name) for name in NAMES[3:]))
    for _ in range(4):
        site.deliver()
    assert sorted(site.held()) == sorted(NAMES[3:]) and site.states() == {"queued": 3, "stored": 5}
    for _ in range(3):
        writes = site.writes()
        site.deliver()
        assert site.writes() <= writes + 1  # to see whether Lasair takes any again
    site.queue(annotation(NAMES[3], 4.0))
    site.deliver()
    site.deliver()
    assert site.held()[NAMES[3]] == 4.0


# --- the sweep


def test_each_night_what_lasair_lost_or_holds_otherwise_is_found_and_sent_again(site):
    site.queue(*(annotation(name) for name in NAMES))
    site.deliver()
    assert site.sweep().counts == {"held": 8} and site.sweep() is None
    with site.server.database._lock:
        site.server.database._connection.execute("DELETE FROM annotations WHERE objectId < ?", (NAMES[3],))
    site.overwrite(annotation(NAMES[4], 2.5))
    site.deliver(DAY_S)
    assert site.sweep().counts == {"held": 5, "missing": 3, "otherwise": 1}
    assert site.deliver().lost == 4
    assert site.held() == dict.fromkeys(NAMES, 3.2) and site.states() == {"stored": 8} and site.writes() == 12


def test_an_annotation_whose_object_the_main_database_lost_is_not_lost(site):
    site.queue(*(annotation(name) for name in NAMES))
    site.deliver()
    site.server.hide(NAMES)
    site.sweep(DAY_S)
    for _ in range(3):
        assert site.deliver(DAY_S).lost == 0
    site.server.show()
    assert site.deliver(DAY_S).stored == 8 and site.writes() == 8


def test_where_nothing_was_ever_sent_there_is_nothing_to_compare(site):
    site.overwrite(annotation(NAMES[1]))
    site.queue(annotation())
    assert site.sweep() is None and site.reads() == 0
    site.deliver()
    assert site.sweep().counts == {"held": 2, "strangers": 1}


def test_a_sweep_under_a_wrong_clock_brings_no_sweep_a_pass_afterwards(site):
    site.queue(annotation())
    site.deliver()
    right = site.now[0]
    site.now[0] += 400 * DAY_S
    assert site.sweep().ended_at is not None
    site.now[0] = right
    assert [site.sweep(HOUR_S) is not None for _ in range(3)] == [True, False, False]


def test_what_the_ledger_does_not_know_is_told_until_it_is_gone(site):
    site.queue(annotation())
    site.deliver()
    site.overwrite(annotation(NAMES[1]))
    assert site.sweep().counts == {"held": 2, "strangers": 1} and site.ledger.sweeps.strangers() == 1
    site.queue(annotation(NAMES[1]))
    site.deliver()
    site.sweep(DAY_S)
    assert site.ledger.sweeps.strangers() == 0


def test_a_sweep_goes_on_where_no_call_was_left_and_is_bounded_by_its_pages(site, monkeypatch):
    from annotator.passes import sweep as sweeping

    monkeypatch.setattr(sweeping, "PAGE_ROWS", 3)
    monkeypatch.setattr(sweeping, "SURE_ROWS", 3)
    site.queue(*(annotation(name) for name in NAMES))
    site.deliver()
    site.overwrite(annotation(NAMES[7], 2.5))
    site.calls_per_hour = 2
    calls, found = site.reads(), []
    for _ in range(4):
        found.append(site.sweep(HOUR_S + 1))
    assert [item and item.ended_at is not None for item in found] == [False, False, True, None]
    assert found[2].counts == {"held": 8, "otherwise": 1} and site.reads() == calls + 3


def test_an_answer_that_lies_makes_nothing_be_written(site):
    site.queue(*(annotation(name) for name in NAMES))
    site.deliver()
    site.server.misbehave("query", "lie", times=1)
    assert site.sweep(DAY_S).counts == {"missing": 8}
    site.deliver()
    assert site.states() == {"stored": 8} and site.writes() == 8


# --- an outbox that is damaged


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "5", "[]", "{}", '{"objectId": 1}', "[" * 100_000),
        annotation(NAMES[7]).to_json(),
        annotation().to_json().replace('"Why."', '"O\'Neill"'),
        annotation().to_json().replace("3.2", '"much"'),
        json.dumps(json.loads(annotation().to_json()) | {"classdict": [1]}),
    ],
    ids=(
        *("empty", "broken JSON", "null", "a number", "a list", "an empty object", "another object", "a deep list"),
        *("another object's", "an apostrophe", "text for a number", "a list of numbers"),
    ),
)
def test_an_annotation_that_nobody_can_read_ends_nothing_and_is_told(site, text, monkeypatch):
    monkeypatch.setattr(delivering, "MAX_ASKED", 1)  # a page of nothing but damage is not the end
    site.queue(*(annotation(name) for name in NAMES))
    site.ledger.outbox._database.write(update(outbox).where(outbox.c.object_id == NAMES[0]).values(annotation=text))
    done = site.deliver()
    assert (done.sent, done.stored) == (7, 7) and set(site.held()) == set(NAMES[1:])
    assert site.sweep().counts == {"held": 7} and list(site.ledger.outbox.damaged) == [NAMES[0]]
    assert list(site.ledger.outbox.last_sent(NAMES)) == list(NAMES[1:])
    site.ledger.outbox.take_out([NAMES[0]])
    assert site.states() == {"stored": 7} and not site.ledger.outbox.damaged
