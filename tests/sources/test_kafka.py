"""The stream over Kafka's own protocol: librdkafka's mock broker, and every way we know for a stream to go wrong."""

import itertools
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from annotator.config import StreamSource
from annotator.errors import SourceError
from annotator.lasair.filters import load_filter
from annotator.sandbox import Sandbox
from annotator.sandbox.kafka import StreamBroker, filter_rows
from annotator.sandbox.sky.night import Night
from annotator.sources import kafka as stream
from annotator.sources.kafka import stream_batches
from annotator.sources.kafka_lag import Lag, peek, read_lag
from annotator.sources.records import Batch, Unreadable
from tests.sources.kafka_faults import FETCH, FIND_COORDINATOR, HEARTBEAT, JOIN_GROUP, OFFSET_COMMIT, FaultyBroker

_numbers = itertools.count()
SESSION_S = 1.5
"""A tenth of it is the heartbeat's interval: enough room on a busy machine. The broker waits as long for the members of
a group to come back that all of them have left, so that each further pass of a group takes it, too."""


@pytest.fixture(scope="module")
def broker() -> Iterator[FaultyBroker]:
    with FaultyBroker() as faulty:
        yield faulty


@pytest.fixture
def source(broker) -> StreamSource:
    """A topic and a group of the test's own; the topic is not there yet."""
    number = next(_numbers)
    return StreamSource(f"lasair_2test{number}", f"group-{number}", broker.bootstrap, SESSION_S, 30)


@pytest.fixture(autouse=True)
def nothing_is_left(capfd) -> Iterator[None]:
    yield
    deadline = time.monotonic() + HANG_S
    while _left_over() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _left_over()
    assert capfd.readouterr().err == ""


HANG_S = 120.0
"""What ends within it did not hang; how soon something ends is told by a clock that the test holds."""


class HeldClock:
    """Stands in for the stream's clock: time passes where a test says so, and not on a busy machine.

    From the broker's first complaint on, each look at it is `step_s` later: patience ends when its reason was heard.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.step_s = 0.0
        self.complained = False

    def monotonic(self) -> float:
        self.now += self.step_s * self.complained
        return self.now


@pytest.fixture
def clock(monkeypatch) -> HeldClock:
    held, error_text = HeldClock(), stream.error_text

    def hear(*arguments: object) -> str:
        held.complained = True
        return error_text(*arguments)

    monkeypatch.setattr(stream, "time", held)
    monkeypatch.setattr(stream, "error_text", hear)
    return held


@contextmanager
def impatience() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "PATIENCE_S", 0.5)
        patch.setattr(stream, "CLOSING_S", 0.5)
        yield


def _left_over() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "aha-stream"]


@pytest.fixture
def impatient() -> Iterator[None]:
    with impatience():
        yield


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [json.dumps({"n": number}).encode() for number in range(first, first + count)]


def numbers(batches: Iterable[Batch]) -> list[int]:
    return [record["n"] for batch in batches for record in batch.records]


def read_through(source: StreamSource, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Batch]:
    """Read as a pass does: a batch is committed before the next one is asked for."""
    with closing(stream_batches(source, should_stop)) as batches:
        for batch in batches:
            yield batch
            batch.commit()


# --- what a pass reads


def test_a_pass_reads_every_message_once_in_batches_and_the_next_only_what_is_new(broker, source):
    broker.publish_raw(source.topic, numbered(100))
    batches = list(read_through(source))
    assert [len(batch.records) for batch in batches] == [30, 30, 30, 10]
    assert sorted(numbers(batches)) == list(range(100))
    assert list(read_through(source)) == []
    broker.publish_raw(source.topic, numbered(7, first=100))
    assert sorted(numbers(read_through(source))) == list(range(100, 107))


def test_a_batch_is_committed_when_that_is_said_and_not_before(broker, source):
    broker.publish_raw(source.topic, numbered(100))
    with closing(stream_batches(source)) as batches:
        first, _ = next(batches), next(batches)
        assert read_lag(source).messages == 100
        first.commit()
        assert read_lag(source).messages == 70
    assert read_lag(source).messages == 70
    rest = numbers(read_through(source))
    assert sorted(rest + numbers([first])) == list(range(100))


def test_a_dry_run_leaves_the_stream_as_it_was(broker, source):
    broker.publish_raw(source.topic, numbered(50))
    assert sorted(numbers(stream_batches(source))) == list(range(50))
    assert read_lag(source).messages == 50


def test_an_empty_stream_ends_by_its_end_and_not_by_silence(broker, source, clock):
    """No silence ever lasts on a clock that stands still."""
    broker.create_topic(source.topic)
    hangs_at = time.monotonic() + HANG_S
    assert list(read_through(source, should_stop=lambda: time.monotonic() > hangs_at)) == []
    assert time.monotonic() < hangs_at


def test_a_stop_ends_the_pass_with_a_small_last_batch_that_is_committed(broker, source):
    broker.publish_raw(source.topic, numbered(100))
    stopped = False
    batches = read_through(source, should_stop=lambda: stopped)
    first = next(batches)
    stopped = True
    assert next(batches, None) is None
    assert read_lag(source).messages == 100 - len(first.records)


def test_a_stop_is_heard_while_there_is_nothing_to_read(broker, source):
    """An unknown stream is waited for, since it may be about to appear."""
    asked = itertools.count()
    assert list(read_through(source, should_stop=lambda: next(asked) >= 10)) == []
    assert next(asked) == 12  # told once to the batch in hand, once to the pass


def test_what_is_no_record_is_handed_on_as_such_and_the_rest_is_read(broker, source):
    bad = {
        b"{broken": "not JSON: Expecting property name",
        b"": "empty message",
        b"\xff\xfe\x00": "not JSON: Expecting value",
        b'{"n": ' + b"9" * 5000 + b"}": "not JSON that can be read: Exceeds the limit",
        b"[" * 200_000: "nested too deeply",
    }
    broker.publish_raw(source.topic, [*numbered(3), *bad, *numbered(3, first=3)])
    (batch,) = read_through(source)
    unreadable = [record for record in batch.records if isinstance(record, Unreadable)]
    for value, reason in bad.items():
        (record,) = (record for record in unreadable if record.text == value.decode(errors="replace"))
        assert reason in record.reason
    assert len(unreadable) == len(bad)
    assert sorted(record["n"] for record in batch.records if isinstance(record, dict)) == [0, 1, 2, 3, 4, 5]


def test_odd_but_legal_messages_are_read(broker, source):
    long = {"objectId": "ZTF99aaaaaaa", "alert": "x" * 300_000}
    broker.publish_raw(
        source.topic, [json.dumps(long).encode(), b'{"objectId": "\xff"}', b'{"gmag": NaN}', b"null", b" 3 "]
    )
    (batch,) = read_through(source)
    records = {json.dumps(record)[:16]: record for record in batch.records}
    assert len(records) == 5 and long in batch.records and None in batch.records and 3 in batch.records
    assert {"objectId": "\ufffd"} in batch.records


# --- how far behind


def test_a_group_that_never_read_is_behind_by_all_there_is(broker, source):
    before = time.time()
    broker.publish_raw(source.topic, numbered(40))
    after = time.time()
    time.sleep(0.3)
    broker.publish_raw(source.topic, numbered(10))
    lag = read_lag(source)
    assert lag.messages == 50
    assert before - 0.1 < lag.oldest_at < after + 0.1


def test_a_group_that_read_all_is_not_behind_and_later_only_by_what_came_since(broker, source):
    broker.publish_raw(source.topic, numbered(40))
    list(read_through(source))
    assert read_lag(source) == Lag(0, None)
    since = time.time()
    broker.publish_raw(source.topic, numbered(3))
    lag = read_lag(source)
    assert lag.messages == 3 and lag.oldest_at > since - 0.1


def test_an_empty_stream_has_no_lag(broker, source):
    broker.create_topic(source.topic)
    assert read_lag(source) == Lag(0, None)


def test_messages_that_expired_unread_are_neither_behind_nor_in_the_way(broker, source):
    broker.create_topic(source.topic, n_partitions=1)
    broker.publish_raw(source.topic, [json.dumps({"n": n, "text": "x" * 900_000}).encode() for n in range(10)])
    kept = read_lag(source).messages
    assert 0 < kept < 10  # the broker keeps 5 MB
    assert numbers(read_through(source)) == list(range(10 - kept, 10))


def test_a_log_that_the_broker_lost_is_read_from_its_start_and_counted_so(broker, source):
    broker.publish_raw(source.topic, numbered(20))
    consumer = Consumer({"bootstrap.servers": source.broker, "group.id": source.group_id})
    consumer.commit(offsets=[TopicPartition(source.topic, number, 5000) for number in range(4)], asynchronous=False)
    consumer.close()
    assert read_lag(source).messages == 20
    assert sorted(numbers(read_through(source))) == list(range(20))
    assert read_lag(source).messages == 0


def test_a_look_at_one_message_disturbs_nobody(broker, source):
    broker.create_topic(source.topic)
    assert peek(source) is None
    broker.publish_raw(source.topic, [b'{"n": 0}'])
    batches = read_through(source)
    with closing(batches):
        next(batches)
        assert peek(source) == {"n": 0}
        assert next(batches, None) is None
    broker.publish_raw(source.topic, [b"{broken"] * 9)
    assert isinstance(peek(source), Unreadable)
    assert read_lag(source).messages == 9


# --- a stream or a broker that isn't there


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_does_not_exist_is_told_within_the_promised_time(source, clock):
    clock.step_s, began_at = 0.1, clock.now
    with pytest.raises(SourceError, match=f"no stream {source.topic}: is the filter active, and was it renamed"):
        list(read_through(source))
    assert SESSION_S + 0.5 < clock.now - began_at < SESSION_S + 0.8
    for look in (read_lag, peek):
        with pytest.raises(SourceError, match=f"no stream {source.topic}"):
            look(source)


def test_a_stream_that_appears_while_it_is_waited_for_is_read(broker, source):
    def appear():
        broker.create_topic(source.topic)
        broker.publish_raw(source.topic, numbered(5))

    timer = threading.Timer(1.0, appear)
    timer.start()
    assert sorted(numbers(read_through(source))) == [0, 1, 2, 3, 4]
    timer.join()


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_does_not_answer_is_told_within_the_promised_time(clock):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    nowhere = StreamSource("lasair_2none", "a-group", address, SESSION_S)
    clock.step_s, began_at = 0.1, clock.now
    with pytest.raises(SourceError, match=f"no broker answers at {address}"):
        list(read_through(nowhere))
    assert SESSION_S + 0.5 < clock.now - began_at < SESSION_S + 0.8
    with pytest.raises(SourceError, match=f"stream lasair_2none: the lag is unknown: no broker answers at {address}"):
        read_lag(nowhere, timeout_s=1.0)
    with pytest.raises(SourceError, match=f"stream lasair_2none: it cannot be read: no broker answers at {address}"):
        peek(nowhere, timeout_s=1.0)


def test_a_broker_whose_name_is_unknown_is_told(clock):
    clock.step_s = 1.0
    nameless = StreamSource("lasair_2none", "a-group", "kafka.invalid:9092", 1.0)
    with pytest.raises(SourceError, match=r"name of the broker kafka\.invalid:9092 is unknown"):
        list(read_through(nameless))


# --- a broker that goes away


def test_a_broker_that_goes_down_in_mid_pass_is_told_and_the_next_pass_goes_on_from_there(broker, source):
    broker.publish_raw(source.topic, numbered(100))
    batches = read_through(source)
    seen = numbers([next(batches), next(batches)])
    broker.go_down()
    try:
        with impatience(), pytest.raises(SourceError, match=f"no broker answers at {source.broker}"):
            seen.extend(record["n"] for batch in batches for record in batch.records)
    finally:
        broker.come_back()
    rest = numbers(read_through(source))
    assert set(seen + rest) == set(range(100))
    assert sorted(rest) != list(range(100)) and read_lag(source).messages == 0


def test_a_broker_that_is_back_before_patience_ends_makes_no_difference(broker, source):
    broker.publish_raw(source.topic, numbered(100))
    batches = read_through(source)
    seen = numbers([next(batches)])
    broker.go_down()
    timer = threading.Timer(1.0, broker.come_back)
    timer.start()
    seen += numbers(batches)
    timer.join()
    assert set(seen) == set(range(100)) and read_lag(source).messages == 0


_BROKER = """
import sys
from tests.sources.kafka_faults import FaultyBroker
with FaultyBroker() as broker:
    print(broker.bootstrap, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_process() -> Iterator[tuple[subprocess.Popen, str]]:
    """A broker in a process of its own, which can be stopped and continued."""
    with subprocess.Popen(
        [sys.executable, "-c", _BROKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process, process.stdout.readline().strip()
        process.send_signal(signal.SIGCONT)
        process.stdin.close()


def test_a_broker_that_falls_silent_stops_neither_the_pass_nor_the_process_for_ever(other_process):
    """It takes connections and answers nothing: left alone, librdkafka would wait for it without end."""
    process, address = other_process
    source = StreamSource("lasair_2silent", "a-group", address, SESSION_S, 30)
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": address})
    for value in numbered(100):
        producer.produce(source.topic, value)
    producer.flush()
    producer.close()
    batches = read_through(source)
    seen = numbers([next(batches), next(batches)])
    process.send_signal(signal.SIGSTOP)
    began_at = time.monotonic()
    with impatience(), pytest.raises(SourceError, match=r"could not be noted, .* no broker answers"):
        seen.extend(record["n"] for batch in batches for record in batch.records)
    assert time.monotonic() - began_at < HANG_S
    process.send_signal(signal.SIGCONT)
    rest = numbers(read_through(source))
    assert set(seen + rest) == set(range(100)) and read_lag(source).messages == 0


def test_time_spent_on_a_batch_does_not_count_as_the_broker_s_silence(broker, source, clock):
    broker.publish_raw(source.topic, numbered(100))
    batches = read_through(source)
    seen = numbers([next(batches)])
    broker.go_down()
    time.sleep(SESSION_S + 2)
    clock.now += SESSION_S + stream.PATIENCE_S + 1
    broker.answer(JOIN_GROUP, [KafkaError.COORDINATOR_LOAD_IN_PROGRESS])  # so that there is some silence
    broker.come_back()
    assert set(seen + numbers(batches)) == set(range(100))


# --- a broker that refuses


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("request_kind", "error", "words"),
    [
        (FETCH, KafkaError.TOPIC_AUTHORIZATION_FAILED, "may not be read: names start with lasair_"),
        (JOIN_GROUP, KafkaError.GROUP_AUTHORIZATION_FAILED, "Group authorization failed"),
    ],
)
def test_a_refusal_that_lasts_is_told_in_its_own_words(broker, source, request_kind, error, words):
    broker.publish_raw(source.topic, numbered(10))
    broker.refuse(request_kind, error)
    try:
        with pytest.raises(SourceError, match=words):
            list(read_through(msgspec.structs.replace(source, session_timeout_s=1.0)))
    finally:
        broker.relent(request_kind)
    assert read_lag(source).messages == 10


@pytest.mark.parametrize(
    ("request_kind", "error"),
    [
        (FETCH, KafkaError.OFFSET_OUT_OF_RANGE),
        (FIND_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE),
        (JOIN_GROUP, KafkaError.COORDINATOR_LOAD_IN_PROGRESS),
        (HEARTBEAT, KafkaError.UNKNOWN_MEMBER_ID),
        (OFFSET_COMMIT, KafkaError.NOT_COORDINATOR),
        (OFFSET_COMMIT, KafkaError.ILLEGAL_GENERATION),
    ],
)
def test_a_passing_refusal_loses_nothing(broker, source, request_kind, error):
    broker.publish_raw(source.topic, numbered(100))
    broker.answer(request_kind, [error])
    try:
        seen = numbers(read_through(source))
    finally:
        broker.relent(request_kind)
    assert set(seen) == set(range(100)) and read_lag(source).messages == 0


def test_offsets_that_are_never_taken_are_told_when_all_was_read(broker, source):
    broker.publish_raw(source.topic, numbered(100))
    broker.refuse(OFFSET_COMMIT, KafkaError.GROUP_AUTHORIZATION_FAILED)
    seen = []
    try:
        with pytest.raises(SourceError, match=r"could not be noted, .* Group authorization failed"):
            seen.extend(record["n"] for batch in read_through(source) for record in batch.records)
    finally:
        broker.relent(OFFSET_COMMIT)
    assert sorted(seen) == list(range(100)) and read_lag(source).messages == 100


def test_a_stream_that_is_deleted_in_mid_pass_and_made_anew_is_read_from_its_start(broker, source):
    """Lasair does so whenever its filter is saved."""
    broker.publish_raw(source.topic, numbered(400))
    batches = read_through(source)
    next(batches)
    broker.delete_topic(source.topic)
    broker.create_topic(source.topic)
    broker.publish_raw(source.topic, numbered(10, first=400))
    assert set(numbers(batches)) | set(numbers(read_through(source))) >= set(range(400, 410))


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_is_deleted_for_good_ends_the_pass(broker, source):
    """In which words depends on patience: the library itself waits 30 s for a stream to come back."""
    broker.publish_raw(source.topic, numbered(100))
    batches = read_through(source)
    next(batches)
    broker.delete_topic(source.topic)
    with pytest.raises(SourceError, match=f"the stream {source.topic}"):
        list(batches)


# --- other readers


def test_a_reader_that_joins_in_mid_batch_loses_no_message_of_either(broker, source):
    broker.publish_raw(source.topic, numbered(400))
    mine, theirs = [], []
    batches = read_through(source)
    mine += numbers([next(batches)])
    other = threading.Thread(target=lambda: theirs.extend(numbers(read_through(source))))
    other.start()
    time.sleep(0.5)
    mine += numbers(batches)
    other.join()
    assert theirs
    assert set(mine) | set(theirs) | set(numbers(read_through(source))) == set(range(400))
    assert read_lag(source).messages == 0


def test_readers_that_come_and_break_off_at_random_lose_no_message(broker, source):
    """What a reader broke off with counts as never seen, as if it had crashed before the ledger had it."""
    seed = random.randrange(10**6)
    broker.publish_raw(source.topic, numbered(1000))
    kept: Counter[int] = Counter()

    def live(rng: random.Random) -> None:
        time.sleep(rng.uniform(0, 2))
        batches = read_through(source)
        with closing(batches):
            for batch in batches:
                if rng.random() < 0.1:
                    return
                time.sleep(rng.uniform(0, 0.1))
                kept.update(numbers([batch]))

    lives = [threading.Thread(target=live, args=(random.Random(seed + number),)) for number in range(4)]
    for life in lives:
        life.start()
    for life in lives:
        life.join()
    kept.update(numbers(read_through(source)))
    assert set(kept) == set(range(1000)), f"seed {seed}"
    assert read_lag(source).messages == 0


# --- the embedded Lasair's own broker


def test_a_simulated_night_comes_over_kafka_with_the_columns_of_the_input_filter(night: Night):
    with Sandbox(night) as sandbox, StreamBroker() as broker:
        rows = filter_rows(sandbox.database, load_filter("input_ztf"))
        assert broker.publish("lasair_2night", rows) == len(rows) > 100
        source = StreamSource("lasair_2night", "a-group", broker.bootstrap, 3.5)
        assert read_lag(source).messages == len(rows)
        records = [record for batch in read_through(source) for record in batch.records]
    for record in records:
        assert time.strptime(record.pop("UTC"), "%Y-%m-%d %H:%M:%S")
    by_id = {row["objectId"]: row for row in rows}
    assert {record["objectId"]: record for record in records} == by_id and len(by_id) == len(rows)


def test_messages_are_spread_over_the_partitions():
    with StreamBroker() as broker:
        broker.create_topic("lasair_2spread")
        broker.publish_raw("lasair_2spread", numbered(200))
        consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "a-group"})
        marks = [consumer.get_watermark_offsets(TopicPartition("lasair_2spread", number)) for number in range(4)]
        consumer.close()
    assert all(low == 0 and high > 20 for low, high in marks) and sum(high for _, high in marks) == 200


def test_a_broker_is_gone_when_its_context_ends_and_cannot_be_used_outside_it():
    with StreamBroker() as broker:
        host, port = broker.bootstrap.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)
    with pytest.raises(RuntimeError, match="use it in a with statement"):
        broker.publish_raw("lasair_2none", [b"{}"])


def test_a_message_that_is_too_long_for_the_broker_is_an_error(broker):
    with pytest.raises(SourceError, match="too large"):
        broker.publish_raw("lasair_2long", [b"x" * 2_000_000])
