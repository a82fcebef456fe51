"""The whole pass over a stream, held against what an undisturbed run leaves at Lasair, object by object.

What can be equal, and to what:

- One state of each object in the stream: whatever the order, the doubling, the batches, the crashes and the rubbish in
  between, all fields are what one pass over a query of the same objects leaves.
- Several states, each object's in the order of their epochs: all fields are what passes leave that get one state at a
  time. Batches, doubling and redelivery leave no trace. It is not what a query leaves that sees only the newest state:
  an annotation is only sent again when the class changes or the score moves by the margin, and it remembers when its
  object was first flagged; so the states on the way are part of the answer.
- States out of order: one that comes after a newer one is passed over, so that the way there differs. Class and model
  set are the newest state's (an object that is normal may have no annotation), and the score is within the margin.
"""

import dataclasses
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.config import Config
from annotator.decision.objects import ScoredState
from annotator.errors import SourceError
from annotator.lasair.filters import load_filter
from annotator.ledger import Ledger
from annotator.models import ModelSet
from annotator.passes import run as run_module
from annotator.passes.report import PassReport
from annotator.passes.run import run_pass
from annotator.sandbox import Account, Sandbox, Topic
from annotator.sandbox.kafka import filter_rows
from annotator.sources.kafka_lag import read_lag
from annotator.sources.records import Batch, Unreadable
from tests.conftest import TOKEN, examples, write_config
from tests.sources.kafka_faults import FaultyBroker

Row = dict[str, object]


@pytest.fixture(scope="module")
def broker() -> Iterator[FaultyBroker]:
    with FaultyBroker() as faulty:
        yield faulty


@pytest.fixture
def rows(sandbox) -> list[Row]:
    """What the input filter passes on of the night."""
    return filter_rows(sandbox.database, load_filter("input_ztf"))


@pytest.fixture
def streaming(broker, sandbox, configure, request) -> Config:
    """A configuration for a topic and a group of the test's own."""
    topic = f"lasair_2{request.node.name[:200]}"
    source = {"kind": "stream", "topic": topic, "group_id": topic, "broker": broker.bootstrap}
    return configure(sandbox, source=source | {"batch_messages": 40})


@pytest.fixture
def after_batch(monkeypatch) -> Callable[[int, Callable[[], None]], None]:
    """Let something happen as soon as the ledger holds the Nth batch."""

    def arrange(number: int, happen: Callable[[], None]) -> None:
        batches = itertools.count(1)
        record = Ledger.record

        def record_and_happen(*arguments: object, **named: object) -> None:
            record(*arguments, **named)
            if next(batches) == number:
                happen()

        monkeypatch.setattr(Ledger, "record", record_and_happen)

    return arrange


def behind(config: Config) -> int:
    """Return how many messages the ledger has still to read."""
    with Ledger(config.ledger) as ledger:
        return read_lag(config.source, ledger.positions.of(config.source.name)).messages


def held_by(server: Sandbox) -> dict[str, Row]:
    """Return what Lasair holds, without what is new at each writing."""
    kept = ("topic", "version", "classification", "explanation", "classdict", "url")
    return {row["objectId"]: {name: row[name] for name in kept} for row in server.annotations()}


def lasair(night=None) -> Sandbox:
    return Sandbox(night, accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False)


@pytest.fixture(scope="module")
def undisturbed(night, models, tmp_path_factory) -> dict[str, Row]:
    """What one pass over a query of the same objects leaves."""
    with lasair(night) as server:
        run_pass(write_config(tmp_path_factory.mktemp("query"), server), models)
        held = held_by(server)
    assert {row["classification"] for row in held.values()} == {"anomaly", "watch", "artefact"}
    return held


# --- one state of each object, over Kafka


def test_a_night_over_kafka_leaves_what_a_query_of_it_leaves(streaming, broker, rows, models, sandbox, undisturbed):
    broker.publish(streaming.source.topic, rows)
    report = run_pass(streaming, models)
    assert report.read == report.scored == len(rows) > 80 and report.problem == ""
    assert held_by(sandbox) == undisturbed
    assert not [call for call in sandbox.calls if call.endpoint == "object"]
    with Ledger(streaming.ledger) as ledger:
        assert set(ledger.scores.states([row["objectId"] for row in rows])) == {row["objectId"] for row in rows}
    again = run_pass(streaming, models)
    assert (again.read, again.queued, again.delivery.sent, again.problem) == (0, 0, 0, "")


def test_doubled_shuffled_and_between_rubbish_the_night_is_the_same(
    streaming, broker, rows, models, sandbox, undisturbed
):
    long = rows[0] | {"alert": {"diaSourcesList": "x" * 300_000}}
    rubbish = [b"{broken", b"", b"null", b"[]", b'{"objectId": "O\'Neill"}', b'{"gmag": 19}', b"\xff\xfe"]
    messages = [json.dumps(row | {"UTC": "2099-01-01 00:00:00"}).encode() for row in (*rows, *rows[::3])]
    messages += [json.dumps(row).encode() for row in (long, *rows[:10])]  # as when a filter is saved: without UTC
    messages += rubbish * 4
    random.Random(4).shuffle(messages)
    broker.publish_raw(streaming.source.topic, messages)
    report = run_pass(streaming, models)
    assert (report.read, report.scored, report.problem) == (len(messages), len(rows), "")
    assert report.refused == len(rubbish) * 4
    assert held_by(sandbox) == undisturbed
    with Ledger(streaming.ledger) as ledger:
        reasons = {item.refusal.record: item.refusal.reason for item in ledger.refused.open()}
    assert len(reasons) == len(rubbish) and all(reasons.values())


def test_a_broker_that_goes_in_mid_pass_and_lasair_that_goes_too_change_nothing_in_the_end(
    streaming, broker, rows, models, sandbox, undisturbed, monkeypatch, after_batch
):
    broker.publish(streaming.source.topic, rows)
    now = time.time()
    sandbox.misbehave("annotate", "drop_after", times=2)
    with monkeypatch.context() as impatient:
        # On a busy machine all may have come before the broker goes: the stream has no end before that.
        impatient.setattr("annotator.sources.ahead.Ahead.is_at_end", False)

        def go_down() -> None:  # until then a busy machine has all the time it needs
            impatient.setattr("annotator.sources.kafka.PATIENCE_S", 0.5)
            impatient.setattr("annotator.sources.kafka_commit.ANSWER_S", 0.5)
            broker.go_down()

        after_batch(2, go_down)
        report = run_pass(streaming, models, clock=lambda: now)
    broker.come_back()
    assert 80 <= report.read <= len(rows) and report.problem  # what had arrived before was read
    assert report.delivery.sent + report.delivery.failed > 0  # what was read is sent all the same
    for hours in (1, 2):
        report = run_pass(streaming, models, clock=lambda hours=hours: now + 3700 * hours)
    assert report.problem == "" and report.waiting == 0
    assert held_by(sandbox) == undisturbed


def test_a_stop_in_mid_pass_finishes_the_batch_in_hand_and_the_next_pass_goes_on_behind_it(
    streaming, broker, rows, models, sandbox, undisturbed, after_batch
):
    broker.publish(streaming.source.topic, rows)
    stop = threading.Event()
    after_batch(1, stop.set)
    report = run_pass(streaming, models, should_stop=stop.is_set)
    assert (report.read, report.delivery.sent, report.problem) == (40, 0, "")
    assert behind(streaming) == len(rows) - 40
    assert run_pass(streaming, models).read == len(rows) - 40
    assert held_by(sandbox) == undisturbed


def test_a_stop_is_heard_while_the_stream_is_waited_for(streaming, models):
    """A stream that is not there may be about to appear; whoever stops the job need not wait for that."""
    asked = itertools.count()
    report = run_pass(streaming, models, should_stop=lambda: next(asked) >= 10)
    assert (report.read, report.problem) == (0, "")
    assert next(asked) < 20  # from then on nothing is waited for, and each part of a pass asks once


def test_a_dry_run_leaves_offsets_and_ledger_and_says_what_would_be_sent(
    streaming, broker, rows, models, sandbox, undisturbed
):
    broker.publish(streaming.source.topic, rows)
    shown = []
    report = run_pass(streaming, models, on_dry_annotation=shown.append)
    assert report.scored == len(rows) and sandbox.annotations() == []
    assert behind(streaming) == len(rows)
    with Ledger(streaming.ledger) as ledger:
        assert ledger.counts.objects() == 0 and ledger.outbox.counts()["waiting"] == 0
    assert {item.object_id: item.classification for item in shown} == {
        name: row["classification"] for name, row in undisturbed.items()
    }


def test_the_ten_old_rows_of_a_saved_filter_change_nothing_that_is_newer(
    streaming, broker, rows, models, sandbox, undisturbed
):
    """Lasair makes the topic anew and begins it with ten rows from long ago, which have no UTC."""
    broker.publish(streaming.source.topic, rows)
    run_pass(streaming, models)
    ids = [row["objectId"] for row in rows]
    with Ledger(streaming.ledger) as ledger:
        known = ledger.scores.states(ids)
    never_flagged = [row for row in rows if known[row["objectId"]].first_flagged_mjd is None]
    flag = next(row for row in rows if undisturbed.get(row["objectId"], {}).get("classification") == "anomaly")
    old = [flag | {"objectId": row["objectId"], "jdmax": row["jdmax"] - 20} for row in never_flagged[:5]]
    old += [row | {"jdmax": row["jdmax"] - 20, "gmag": 15.0, "ncandgp": 0, "ncand": 9} for row in rows[:5]]
    broker.delete_topic(streaming.source.topic)
    broker.create_topic(streaming.source.topic)
    broker.publish_raw(streaming.source.topic, [json.dumps(row).encode() for row in old])
    report = run_pass(streaming, models)
    assert (report.read, report.scored, report.unchanged) == (10, 0, 10)
    assert any("the stream was made anew" in remark for remark in report.remarks)
    assert held_by(sandbox) == undisturbed
    with Ledger(streaming.ledger) as ledger:
        assert ledger.scores.states(ids) == known


def test_the_ten_old_rows_of_a_saved_filter_are_overtaken_by_what_is_newer(
    streaming, broker, rows, models, sandbox, undisturbed
):
    old = [row | {"jdmax": row["jdmax"] - 20, "gmag": 15.0, "ncandgp": 0, "ncand": 9} for row in rows[:10]]
    broker.publish_raw(streaming.source.topic, [json.dumps(row).encode() for row in old])
    run_pass(streaming, models)
    assert {row["classification"] for row in held_by(sandbox).values()} == {"artefact"}
    broker.publish(streaming.source.topic, rows)
    run_pass(streaming, models)
    held = held_by(sandbox)
    assert {n: row for n, row in held.items() if n not in {row["objectId"] for row in old}} == {
        n: row for n, row in undisturbed.items() if n not in {row["objectId"] for row in old}
    }
    for row in old:
        expected = undisturbed.get(row["objectId"], {"classification": "normal"})["classification"]
        assert held[row["objectId"]]["classification"] == expected


# --- several states of each object, in all orders: without Kafka, for the many


@pytest.fixture(scope="module")
def states(night, models, tmp_path_factory) -> list[list[Row]]:
    """Four objects with five states each, which go through all classes and through steps below the margin."""
    with lasair(night) as server:
        config = write_config(tmp_path_factory.mktemp("classes"), server)
        run_pass(config, models)
        by_class: dict[str, list[Row]] = {}
        with Ledger(config.ledger) as ledger:
            for row in filter_rows(server.database, load_filter("input_ztf")):
                (score,) = ledger.scores.history(row["objectId"])
                by_class.setdefault(score["classification"], []).append(row)
    # From a day before the night's end, which may be a moment ago: no state is dated later than now.
    jd = max(row["jdmax"] for group in by_class.values() for row in group) - 1.0
    paths = [
        ("normal", "anomaly", "anomaly", "watch", "normal"),
        ("anomaly", "anomaly", "anomaly", "anomaly", "anomaly"),
        ("artefact", "normal", "watch", "watch", "anomaly"),
        ("watch", "normal", "watch", "anomaly", "watch"),
    ]
    objects = []
    for number, path in enumerate(paths):
        objects.append([])
        for step, name in enumerate(path):
            # The same row, a little fainter each time, has a score that moves by less than the margin.
            row = by_class[name][number % len(by_class[name])]
            fainter = {"gmag": row["gmag"] + 0.002 * step} if row["gmag"] else {}
            objects[-1].append(row | fainter | {"objectId": f"ZTF99state{number}", "jdmax": jd + 0.1 * step})
    return objects


@dataclasses.dataclass(frozen=True)
class Replay:
    """Runs passes over given batches, each replay with a ledger and a Lasair of its own."""

    models: ModelSet
    objects: Sequence[Row]
    """What Lasair's own tables hold: an annotation of an object that it doesn't know could not be read back."""
    new_folder: Callable

    def __call__(self, *passes: Iterable[Sequence[object]]) -> tuple[dict[str, Row], list[PassReport]]:
        """Return what Lasair holds after the passes, each of which reads batches, and their reports.

        In the place of a batch an error may stand, which is raised there.
        """
        held, reports, _ = self.with_states(*passes)
        return held, reports

    def with_states(
        self, *passes: Iterable[Sequence[object]]
    ) -> tuple[dict[str, Row], list[PassReport], dict[str, ScoredState]]:
        """Return besides what the ledger knows of the objects."""
        with lasair() as server, pytest.MonkeyPatch.context() as patch:
            server.load(self.objects)
            source = {"kind": "stream", "topic": "lasair_2none", "group_id": "none"}
            config = write_config(self.new_folder("replay"), server, source=source)
            reports = []
            for batches in passes:
                patch.setattr(run_module, "stream_batches", lambda *_, batches=batches: _batches(batches))
                reports.append(run_pass(config, self.models))
            with Ledger(config.ledger) as ledger:
                states = ledger.scores.states([row["objectId"] for row in self.objects])
            return held_by(server), reports, states


def _batches(batches: Iterable[Sequence[object]]) -> Iterator[Batch]:
    for batch in batches:
        if isinstance(batch, Exception):
            raise batch
        yield Batch(list(batch))


@pytest.fixture(scope="module")
def replay(models, states, tmp_path_factory) -> Replay:
    return Replay(models, [path[-1] for path in states], tmp_path_factory.mktemp)


@pytest.fixture(scope="module")
def one_at_a_time(replay, states) -> dict[str, Row]:
    """What is left when each state comes alone, oldest first, and is sent before the next one comes."""
    held, reports = replay(*([[row]] for path in states for row in path))
    assert not any(report.problem for report in reports)
    assert {name: row["classification"] for name, row in held.items()} == {
        "ZTF99state0": "normal",
        "ZTF99state1": "anomaly",
        "ZTF99state2": "anomaly",
        "ZTF99state3": "watch",
    }
    return held


@pytest.fixture(scope="module")
def only_the_newest(replay, states) -> dict[str, Row]:
    """What is left when only each object's newest state ever comes."""
    return replay([[path[-1] for path in states]])[0]


def test_the_states_on_the_way_are_part_of_the_answer(one_at_a_time, only_the_newest):
    """Otherwise the tests below would hold too easily."""
    assert one_at_a_time != only_the_newest
    assert one_at_a_time["ZTF99state1"]["classdict"]["mjd"] < only_the_newest["ZTF99state1"]["classdict"]["mjd"]
    assert one_at_a_time["ZTF99state2"]["classdict"]["first_mjd"] < only_the_newest["ZTF99state2"]["classdict"]["mjd"]


N_OBJECTS, N_STATES = 4, 5
RUBBISH = Unreadable("not JSON", "{broken")


@st.composite
def in_order(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Draw messages (object, state): each object's states in order, any object next, messages doubled on the way.

    What was doubled may come again at any later time, as after a crash.
    """
    turns = draw(st.permutations([number for number in range(N_OBJECTS) for _ in range(N_STATES)]))
    reached = [0] * N_OBJECTS
    messages: list[tuple[int, int]] = []
    for number in turns:
        messages.append((number, reached[number]))
        reached[number] += 1
        if draw(st.booleans()):
            messages.append(draw(st.sampled_from(messages)))
    return messages


@st.composite
def in_any_order(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Draw messages (object, state) in any order, each state at least once."""
    every = [(number, step) for number in range(N_OBJECTS) for step in range(N_STATES)]
    return draw(st.permutations(every + draw(st.lists(st.sampled_from(every), max_size=10))))


def cut(messages: Sequence[object], ends: Iterable[int]) -> list[Sequence[object]]:
    """Cut messages into batches that end at the given places."""
    places = [0, *sorted({end for end in ends if 0 < end < len(messages)}), len(messages)]
    return [messages[start:end] for start, end in itertools.pairwise(places)]


ENDS = st.lists(st.integers(1, 50), max_size=12)


@settings(max_examples=examples(20))
@given(messages=in_order(), ends=ENDS, pass_ends=st.lists(st.integers(1, 8), max_size=3), rubbish=st.integers(0, 40))
def test_batches_passes_doubling_and_rubbish_leave_no_trace(
    replay, states, one_at_a_time, messages, ends, pass_ends, rubbish
):
    records: list[object] = [states[number][step] for number, step in messages]
    records.insert(rubbish, RUBBISH)
    held, _ = replay(*cut(cut(records, ends), pass_ends))
    assert held == one_at_a_time


@settings(max_examples=examples(15))
@given(messages=in_order(), ends=ENDS, at=st.integers(0, 12), back=st.integers(0, 12))
def test_a_stream_that_breaks_off_and_comes_again_from_earlier_leaves_no_trace(
    replay, states, one_at_a_time, messages, ends, at, back
):
    """As after a crash between ledger and commit: what was read is read again."""
    batches = cut([states[number][step] for number, step in messages], ends)
    at = min(at, len(batches))
    held, reports = replay([*batches[:at], SourceError("the broker is gone")], batches[max(0, at - back) :])
    assert held == one_at_a_time
    assert [report.problem for report in reports] == ["the broker is gone", ""]
    n_states = N_OBJECTS * N_STATES
    assert sum(report.scored for report in reports) == n_states  # nothing is scored twice


@settings(max_examples=examples(20))
@given(messages=in_any_order(), ends=ENDS)
def test_out_of_order_the_newest_state_wins(replay, states, only_the_newest, models, messages, ends):
    held, _ = replay(cut([states[number][step] for number, step in messages], ends))
    for path in states:
        name = path[-1]["objectId"]
        if name not in only_the_newest:
            assert held.get(name, {"classification": "normal"})["classification"] == "normal"
            continue
        found, newest = held[name], only_the_newest[name]
        assert (found["classification"], found["version"]) == (newest["classification"], models.version)
        assert abs(found["classdict"]["score"] - newest["classdict"]["score"]) < 0.3
        assert found["classdict"]["first_mjd"] <= newest["classdict"]["first_mjd"]


@pytest.fixture(scope="module")
def known_in_the_end(replay, states) -> dict[str, ScoredState]:
    """What the ledger knows when each state comes alone, oldest first; every object was flagged at least once."""
    known = replay.with_states([[row] for path in states for row in path])[2]
    assert len(known) == N_OBJECTS and all(item.first_flagged_mjd for item in known.values())
    return known


def sent(row: Row) -> Row:
    """Return a row as a stream gives it; those that a stream begins with look as a query gives them."""
    return row | {"UTC": "2026-11-29 03:00:00"}


@settings(max_examples=examples(10))
@given(messages=in_any_order(), ends=ENDS, pass_ends=st.lists(st.integers(1, 8), max_size=3))
def test_in_any_order_the_ledger_ends_up_with_the_newest_state_and_the_earliest_flag(
    replay, states, known_in_the_end, messages, ends, pass_ends
):
    records = [sent(states[number][step]) for number, step in messages]
    _, _, known = replay.with_states(*cut(cut(records, ends), pass_ends))
    assert known == known_in_the_end


@settings(max_examples=examples(5))
@given(messages=in_any_order())
def test_within_one_batch_any_order_leaves_what_the_order_of_the_epochs_leaves(replay, states, one_at_a_time, messages):
    assert replay([[states[number][step] for number, step in messages]])[0] == one_at_a_time


def test_an_earlier_flag_that_comes_late_is_told_with_the_next_annotation_and_not_by_itself(replay, states, models):
    early, newest = (sent(states[1][step]) for step in (0, 2))
    next_class = sent(states[0][4] | {"objectId": early["objectId"], "jdmax": newest["jdmax"] + 1})
    late, reports, known = replay.with_states([[newest]], [[early]])
    assert [report.delivery.sent for report in reports] == [1, 0] and reports[1].scored == 0
    assert late == replay([[newest]])[0]
    epoch_mjd = replay.with_states([[early]])[2][early["objectId"]].last_mjd
    assert known[early["objectId"]].first_flagged_mjd == epoch_mjd < known[early["objectId"]].last_mjd
    told = replay([[newest]], [[early]], [[next_class]])[0][early["objectId"]]
    assert (told["classification"], told["classdict"]["first_mjd"]) == ("normal", round(epoch_mjd, 5))


@settings(max_examples=examples(15))
@given(
    order=st.permutations([(number, N_STATES - 1) for number in range(N_OBJECTS)] * 2),
    old=st.lists(st.tuples(st.integers(0, N_OBJECTS - 1), st.integers(0, N_STATES - 2)), max_size=10),
    ends=ENDS,
)
def test_once_the_newest_state_was_written_down_older_ones_change_nothing_at_all(
    replay, states, only_the_newest, order, old, ends
):
    newest, older = ([states[number][step] for number, step in messages] for messages in (order, old))
    assert replay([*cut(newest, ends), *cut(older, ends)])[0] == only_the_newest


def test_an_object_without_an_epoch_is_taken_as_it_comes(replay, states):
    """Nothing says which of its states is newer: the last to come is."""

    def without(row: Mapping[str, object]) -> Row:
        return {name: value for name, value in row.items() if name != "jdmax"}

    first, last = without(states[3][0]), without(states[3][3])
    assert replay([[first, last]])[0] == replay([[first], [last]])[0]
    assert replay([[first, last]])[0]["ZTF99state3"]["classification"] == "anomaly"
    assert replay([[last, first]])[0]["ZTF99state3"]["classification"] == "watch"
