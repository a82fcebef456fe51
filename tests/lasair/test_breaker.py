"""When a server is left alone: by rules alone, and in a ledger that outlives the pass."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import (
    LasairUnreachableError,
    MissingModalityError,
    NotNowError,
    QuotaError,
    RejectedError,
    UnauthorizedError,
)
from annotator.lasair.breaker import FIRST_PAUSE_S, MAX_IN_A_ROW, MAX_PAUSE_S, Breaker, Breakers
from annotator.ledger import Ledger

START = 1e9


class Clock:
    now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker("object", clock=clock)


def ask(breaker: Breaker, subject: str, error: Exception | None = None) -> str:
    """Make a call that ends so; return how it ended for who made it."""
    asked = False
    try:
        with breaker.call(subject):
            asked = True
            if error:
                raise error
    except NotNowError:
        return "opened" if asked else "not asked"
    except (RejectedError, MissingModalityError, LasairUnreachableError, UnauthorizedError, QuotaError):
        return "raised"
    return "answered"


REFUSED, SILENT = RejectedError("object: HTTP 404"), LasairUnreachableError("no answer")
NOTHING = MissingModalityError("its host has an empty file")


def test_the_same_of_three_different_objects_in_a_row_is_about_the_server(breaker):
    assert [ask(breaker, name, REFUSED) for name in "abcd"] == ["raised", "raised", "opened", "not asked"]
    assert not any(breaker.believes(name) for name in "abc")


def test_one_object_that_is_refused_however_often_is_about_itself(breaker):
    assert {ask(breaker, "a", REFUSED) for _ in range(10)} == {"raised"}
    assert not breaker.believes("a")  # nobody else was asked
    ask(breaker, "b")
    assert breaker.believes("a") and not breaker.believes("b")


def test_a_good_answer_between_makes_refusals_facts_about_their_objects(breaker):
    for name in "abcdef":
        ask(breaker, name, REFUSED)
        if name in "bdf":
            ask(breaker, f"good after {name}")
    assert breaker.pause is None and all(breaker.believes(name) for name in "abcdef")


def test_what_was_refused_last_is_believed_unless_it_turns_out_to_be_the_server(breaker):
    ask(breaker, "good")
    ask(breaker, "a", REFUSED)
    ask(breaker, "b", REFUSED)
    assert breaker.believes("a") and breaker.believes("b")
    ask(breaker, "c", REFUSED)
    assert not any(breaker.believes(name) for name in "abc")


def test_that_there_is_nothing_of_an_object_is_believed_where_others_have_something_and_never_stops_the_asking(breaker):
    assert {ask(breaker, name, NOTHING) for name in "abcdef"} == {"raised"} and breaker.pause is None
    ask(breaker, "good")
    assert not any(breaker.believes(name) for name in "abcdef")  # so many in a row are about the server
    for name in "ab":
        ask(breaker, name, NOTHING)
    assert breaker.believes("a") and breaker.believes("b")
    ask(breaker, "c", NOTHING)
    assert not any(breaker.believes(name) for name in "abc")


def test_a_server_that_has_nothing_of_an_object_is_there(breaker, clock):
    for name in "abc":
        ask(breaker, name, SILENT)
    clock.now = breaker.pause.until
    assert ask(breaker, "d", NOTHING) == "raised" and breaker.pause is None
    assert not breaker.has_answered and not breaker.believes("d")


@pytest.mark.parametrize("error", [SILENT, UnauthorizedError("no"), LasairUnreachableError("another shape")])
def test_no_answer_three_times_is_about_the_server_though_one_object_alone_was_asked_for(breaker, error):
    assert [ask(breaker, "a", error) for _ in range(4)] == ["raised", "raised", "opened", "not asked"]


def test_calls_that_the_quota_forbids_say_nothing_of_the_server(breaker):
    assert {ask(breaker, name, QuotaError("used up")) for name in "abcdef"} == {"raised"}


def test_the_pause_doubles_up_to_an_hour_with_one_call_after_each_and_a_good_answer_ends_it(breaker, clock):
    for name in "abc":
        ask(breaker, name, REFUSED)
    pauses = []
    for number in range(12):
        pauses.append(breaker.pause.until - clock.now)
        clock.now = breaker.pause.until - 0.1
        assert ask(breaker, "x", REFUSED) == "not asked"
        clock.now = breaker.pause.until
        assert ask(breaker, f"{number}", REFUSED if number % 2 else SILENT) == "opened"
    assert pauses == [min(FIRST_PAUSE_S * 2**number, MAX_PAUSE_S) for number in range(12)]
    assert breaker.pause.opened_at == START
    clock.now = breaker.pause.until
    assert ask(breaker, "good") == "answered" and breaker.pause is None
    assert [ask(breaker, name, REFUSED) for name in "abc"] == ["raised", "raised", "opened"]
    assert breaker.pause.until - clock.now == FIRST_PAUSE_S


def test_a_clock_that_is_set_back_locks_nothing(breaker, clock):
    for name in "abc":
        ask(breaker, name, REFUSED)
    clock.now -= 365 * 86_400.0
    assert ask(breaker, "good") == "answered"


def test_it_is_said_once_with_its_cause(breaker, clock, caplog):
    for name in "abcdefgh":
        ask(breaker, name, REFUSED)
    clock.now = breaker.pause.until
    ask(breaker, "i", REFUSED)
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("object: no good answer 3 times in a row") and "HTTP 404" in line


def test_a_pause_outlives_its_pass_and_each_pass_may_knock_once(clock):
    with Ledger(":memory:") as ledger:
        breakers = Breakers(ledger.breakers, clock)
        for name in "abc":
            ask(breakers["object"], name, REFUSED)
        breakers.save()
        assert "object: no good answer" in breakers.problem and "query" not in ledger.breakers.pauses()
        clock.now += 1.0
        breakers = Breakers(ledger.breakers, clock)
        assert breakers.problem == "" and ask(breakers["query"], "q") == "answered"
        assert [ask(breakers["object"], name, SILENT) for name in "de"] == ["opened", "not asked"]
        breakers.save()
        assert ledger.breakers.pauses()["object"].times == 2
        breakers = Breakers(ledger.breakers, clock)
        assert [ask(breakers["object"], name) for name in "fg"] == ["answered", "answered"]
        breakers.save()
        assert ledger.breakers.pauses() == {}


def test_while_one_call_sees_whether_the_server_is_back_the_others_wait_for_what_it_finds(clock):
    with Ledger(":memory:") as ledger:
        breakers = Breakers(ledger.breakers, clock)
        for name in "abc":
            ask(breakers["cutouts host"], name, REFUSED)
        breakers.save()
        breaker = Breakers(ledger.breakers, clock)["cutouts host"]
    ends, others = [], [threading.Thread(target=lambda: ends.append(ask(breaker, "other"))) for _ in range(4)]
    with breaker.call("first"):
        for thread in others:
            thread.start()
        assert ends == []
    for thread in others:
        thread.join(120.0)
    assert ends == ["answered"] * 4


def test_calls_that_were_under_way_when_it_opened_count_for_nothing(breaker):
    slow = breaker.call("slow")
    slow.__enter__()
    for name in "abc":
        ask(breaker, name, REFUSED)
    with pytest.raises(NotNowError):
        slow.__exit__(LasairUnreachableError, SILENT, None)
    assert breaker.pause.times == 1


@given(st.lists(st.sampled_from(["good", *"abcde"]), max_size=60))
def test_no_refusal_is_believed_of_a_server_that_never_gave_a_good_answer_and_calls_end(names):
    breaker = Breaker("object", clock=lambda: START)
    asked = 0
    for name in names:
        asked += ask(breaker, name, None if name == "good" else REFUSED) != "not asked"
    if "good" not in names:
        assert not any(breaker.believes(name) for name in "abcde")
    if breaker.pause:
        last = names[:asked][-MAX_IN_A_ROW:]
        assert "good" not in last and not breaker.has_answered


def test_where_many_are_asked_for_that_were_never_there_each_refusal_is_believed(clock):
    breaker = Breaker("object", clock=clock, doubts_refusals=False)
    assert {ask(breaker, name, REFUSED) for name in "abcdef"} == {"raised"} and breaker.believes("a")
    assert [ask(breaker, name, SILENT) for name in "abcd"] == ["raised", "raised", "opened", "not asked"]
