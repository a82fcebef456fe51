"""The stream over Kafka's own protocol: librdkafka's mock broker, and every way we know for a stream to go wrong."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from annotator.clock import Clock
from annotator.config import StreamSource
from annotator.errors import SourceError
from annotator.lasair.filters import load_filter
from annotator.sandbox import Sandbox
from annotator.sandbox.kafka import StreamBroker, filter_rows
from annotator.sandbox.sky.night import Night
from annotator.sources import kafka as stream
from annotator.sources import kafka_client, kafka_commit
from annotator.sources.kafka import stream_batches
from annotator.sources.kafka_lag import Lag, peek, read_lag
from annotator.sources.records import Unreadable
from tests.sources.kafka_faults import FETCH, FIND_COORDINATOR, OFFSET_COMMIT
from tests.sources.kafka_reader import Reader, numbered, numbers

HANG_S = 120.0
"""What ends within it did not hang; how soon something ends is told by a clock that the test holds."""


def calls_under_way() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "aha-stream"}


def wait_for_calls(before: set[threading.Thread]) -> None:
    """Wait for the calls to end that were not under way before."""
    deadline = time.monotonic() + HANG_S
    for thread in calls_under_way() - before:
        thread.join(max(deadline - time.monotonic(), 0.0))


@pytest.fixture(autouse=True)
def nothing_is_left(capfd) -> Iterator[None]:
    """See to it that a test leaves nothing behind; what another one left is not its fault."""
    before = calls_under_way()
    yield
    wait_for_calls(before)
    assert not calls_under_way() - before
    assert capfd.readouterr().err == ""


@pytest.fixture(autouse=True)
def a_broker_is_waited_for(monkeypatch) -> None:
    """Have a broker that will answer be waited for: on a busy machine it may take longer than is promised."""
    monkeypatch.setattr(stream, "PATIENCE_S", HANG_S)
    monkeypatch.setattr(stream, "ANSWER_S", HANG_S)
    monkeypatch.setattr(kafka_commit, "ANSWER_S", HANG_S)


class HeldClock:
    """Stands in for the stream's clock: time passes where a test says so, and not on a busy machine.

    Each look at it is `step_s` later.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.step_s = 0.0

    def monotonic(self) -> float:
        self.now += self.step_s
        return self.now

    @contextmanager
    def passing_as_one_says(self) -> Iterator[Callable[[], None]]:
        """Give a function after which every silence lasts too long."""

        def end_patience() -> None:
            self.step_s = stream.PATIENCE_S

        try:
            yield end_patience
        finally:
            self.step_s = 0.0


@pytest.fixture
def clock(monkeypatch) -> HeldClock:
    held = HeldClock()
    monkeypatch.setattr(stream, "time", held)
    return held


@contextmanager
def no_answer_is_waited_for() -> Iterator[None]:
    """Wait a moment only for a broker that will not answer, whatever the machine has to do."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (stream, kafka_client, kafka_commit):
            patch.setattr(module, "CLOSING_S", 0.5)
        for module in (stream, kafka_commit):
            patch.setattr(module, "ANSWER_S", 0.5)
        yield


@contextmanager
def patience_until_a_complaint(clock: HeldClock, *codes: int) -> Iterator[None]:
    """Wait a moment only for each answer, and let patience end when one of these complaints is heard, not before."""
    in_words = kafka_client.error_text
    with clock.passing_as_one_says() as end_patience, no_answer_is_waited_for(), pytest.MonkeyPatch.context() as patch:

        def heard(error: KafkaError, source: StreamSource) -> str:
            if error.code() in codes:
                end_patience()
            return in_words(error, source)

        for module in (stream, kafka_client):
            patch.setattr(module, "error_text", heard)
        yield


# --- what a pass reads


def test_a_pass_reads_every_message_once_in_batches_and_the_next_only_what_is_new(broker, reader):
    broker.publish_raw(reader.source.topic, numbered(100))
    batches = list(reader.read())
    assert [len(batch.records) for batch in batches] == [30, 30, 30, 10]
    assert sorted(numbers(batches)) == list(range(100))
    assert list(reader.read()) == []
    broker.publish_raw(reader.source.topic, numbered(7, first=100))
    assert sorted(numbers(reader.read())) == list(range(100, 107))
    assert (reader.gaps, reader.remarks) == ([], [])


def test_a_batch_counts_as_read_when_it_was_written_down_and_not_before(broker, reader):
    broker.publish_raw(reader.source.topic, numbered(100))
    with closing(stream_batches(reader.source, None)) as batches:
        first, _ = next(batches), next(batches)
        assert reader.behind == 100
        reader.keep(first)
    assert reader.behind == 70
    assert sorted(numbers(reader.read()) + numbers([first])) == list(range(100))


def test_messages_come_in_the_order_in_which_they_were_written_whatever_their_partition(broker, reader):
    for number in range(60):
        broker.publish_raw(reader.source.topic, numbered(1, first=number))
        time.sleep(0.002)  # their times are in milliseconds
    assert numbers(reader.read()) == list(range(60))


def test_a_partition_that_says_nothing_does_not_hold_the_others_back_for_ever(broker, reader, clock):
    """What waits for its turn is handed on when patience ends, and the next pass asks the silent one again."""
    broker.publish_raw(reader.source.topic, numbered(100))
    end = stream.Ahead.end
    ended: set[int] = set()
    with clock.passing_as_one_says() as end_patience, pytest.MonkeyPatch.context() as patch:

        def end_of_others(ahead: stream.Ahead, partition: int) -> None:
            ended.add(partition)
            if partition != 0:
                end(ahead, partition)
            if len(ended) == 4:  # all that will come has come
                end_patience()

        patch.setattr(stream.Ahead, "end", end_of_others)
        seen: list[int] = []
        with pytest.raises(SourceError, match="gave nothing"):
            seen.extend(record["n"] for batch in reader.read() for record in batch.records)
    assert sorted(seen) == list(range(100)) and list(reader.read()) == []


def test_an_empty_stream_ends_by_its_end_and_not_by_silence(broker, reader, clock):
    """No silence ever lasts on a clock that stands still."""
    broker.create_topic(reader.source.topic)
    hangs_at = time.monotonic() + HANG_S
    (batch,) = reader.read(should_stop=lambda: time.monotonic() > hangs_at)
    assert batch.records == [] and time.monotonic() < hangs_at
    assert list(reader.read()) == []


def test_a_stop_ends_the_pass_with_a_small_last_batch_that_is_written_down(broker, reader):
    broker.publish_raw(reader.source.topic, numbered(100))
    stopped = False
    batches = reader.read(should_stop=lambda: stopped)
    first = next(batches)
    stopped = True
    assert next(batches, None) is None
    assert reader.behind == 100 - len(first.records)


def test_a_stop_is_heard_while_there_is_nothing_to_read(reader):
    """An unknown stream is waited for, since it may be about to appear."""
    asked = itertools.count()
    assert list(reader.read(should_stop=lambda: next(asked) >= 10)) == []
    assert next(asked) == 11


def test_what_is_no_record_is_handed_on_as_such_and_the_rest_is_read(broker, reader):
    bad = {
        b"{broken": "not JSON: Expecting property name",
        b"": "empty message",
        b"\xff\xfe\x00": "not JSON: Expecting value",
        b"[" * 200_000: "nested too deeply",
    }
    broker.publish_raw(reader.source.topic, [*numbered(3), *bad, *numbered(3, first=3)])
    (batch,) = reader.read()
    unreadable = [record for record in batch.records if isinstance(record, Unreadable)]
    for value, reason in bad.items():
        (record,) = (record for record in unreadable if record.text == value.decode(errors="replace"))
        assert reason in record.reason
    assert len(unreadable) == len(bad)
    assert sorted(record["n"] for record in batch.records if isinstance(record, Mapping)) == [0, 1, 2, 3, 4, 5]


def test_odd_but_legal_messages_are_read(broker, reader):
    long = {"objectId": "ZTF99aaaaaaa", "alert": "x" * 900_000}
    broker.publish_raw(
        reader.source.topic, [json.dumps(long).encode(), b'{"objectId": "\xff"}', b'{"gmag": NaN}', b"null", b" 3 "]
    )
    (batch,) = reader.read()
    assert len(batch.records) == 5 and long in batch.records and None in batch.records and 3 in batch.records
    assert {"objectId": "\ufffd"} in batch.records


def test_the_clock_hears_when_messages_were_written(broker, reader):
    before = time.time()
    broker.publish_raw(reader.source.topic, numbered(3))
    slow = Clock(lambda: before - 5000.0)
    assert numbers(reader.read(clock=slow))
    assert before - 0.1 <= slow() <= time.time()
    right = Clock()
    assert numbers(Reader(reader.source).read(clock=right)) and right.disagreement_s == 0.0


# --- how far behind


def test_a_ledger_that_never_read_is_behind_by_all_there_is(broker, source):
    before = time.time()
    broker.publish_raw(source.topic, numbered(40))
    after = time.time()
    time.sleep(0.3)
    broker.publish_raw(source.topic, numbered(10))
    lag = read_lag(source, None)
    assert lag.messages == 50
    assert before - 0.1 < lag.oldest_at < after + 0.1


def test_a_ledger_that_read_all_is_not_behind_and_later_only_by_what_came_since(broker, reader):
    broker.publish_raw(reader.source.topic, numbered(40))
    list(reader.read())
    assert read_lag(reader.source, reader.position) == Lag(0, None)
    since = time.time()
    broker.publish_raw(reader.source.topic, numbered(3))
    lag = read_lag(reader.source, reader.position)
    assert lag.messages == 3 and lag.oldest_at > since - 0.1


def test_an_empty_stream_has_no_lag(broker, source):
    broker.create_topic(source.topic)
    assert read_lag(source, None) == Lag(0, None)


def test_a_look_at_one_message_disturbs_nobody(broker, reader):
    source = reader.source
    broker.create_topic(source.topic)
    assert peek(source) is None
    broker.publish_raw(source.topic, [b'{"n": 0}'])
    with closing(reader.read()) as batches:
        next(batches)
        assert peek(source) == {"n": 0}
        assert next(batches, None) is None
    broker.publish_raw(source.topic, [b"{broken"] * 9)
    assert isinstance(peek(source), Unreadable)
    assert reader.behind == 9


# --- a stream or a broker that isn't there


def test_a_stream_that_does_not_exist_is_told_within_the_promised_time(reader, clock):
    clock.step_s, began_at = stream.PATIENCE_S / 10, clock.now
    with pytest.raises(SourceError, match=f"no stream {reader.source.topic}: is the filter active, and was it renamed"):
        list(reader.read())
    assert stream.PATIENCE_S <= clock.now - began_at <= stream.PATIENCE_S + 2 * clock.step_s
    for look in (lambda source: read_lag(source, None), peek):
        with pytest.raises(SourceError, match=f"no stream {reader.source.topic}"):
            look(reader.source)


def test_a_stream_that_appears_while_it_is_waited_for_is_read(broker, reader):
    def appear():
        broker.create_topic(reader.source.topic)
        broker.publish_raw(reader.source.topic, numbered(5))

    timer = threading.Timer(0.5, appear)
    timer.start()
    while not (seen := numbers(reader.read())):
        pass  # it was there before its messages were
    timer.join()
    assert sorted(seen + numbers(reader.read())) == [0, 1, 2, 3, 4]


def test_a_broker_that_does_not_answer_is_told_within_the_promised_time(clock):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    nowhere = StreamSource("lasair_2none", "a-group", address)
    clock.step_s, began_at = stream.PATIENCE_S / 3, clock.now
    with no_answer_is_waited_for(), pytest.raises(SourceError, match=f"no broker answers at {address}"):
        list(Reader(nowhere).read())
    assert stream.PATIENCE_S <= clock.now - began_at <= stream.PATIENCE_S + 2 * clock.step_s
    with pytest.raises(SourceError, match=f"stream lasair_2none: the lag is unknown: no broker answers at {address}"):
        read_lag(nowhere, None, timeout_s=0.5)
    with pytest.raises(SourceError, match=f"stream lasair_2none: it cannot be read: no broker answers at {address}"):
        peek(nowhere, timeout_s=0.5)


def test_a_broker_whose_name_is_unknown_is_told(clock):
    nameless = StreamSource("lasair_2none", "a-group", "kafka.invalid:9092")
    with (
        patience_until_a_complaint(clock, KafkaError._RESOLVE),
        pytest.raises(SourceError, match=r"name of the broker kafka\.invalid:9092 is unknown"),
    ):
        list(Reader(nameless).read())


# --- a broker that goes away


def test_a_broker_that_goes_down_in_mid_pass_is_told_and_the_next_pass_goes_on_from_there(
    broker, reader, clock, monkeypatch
):
    broker.publish_raw(reader.source.topic, numbered(2000))
    with monkeypatch.context() as patch:
        patch.setattr(stream.Ahead, "end", lambda ahead, partition: None)  # however much came before it went down
        batches = reader.read()
        seen = numbers([next(batches), next(batches)])
        broker.go_down()
        try:
            with (
                patience_until_a_complaint(clock, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT),
                pytest.raises(SourceError, match=f"no broker answers at {reader.source.broker}"),
            ):
                seen.extend(record["n"] for batch in batches for record in batch.records)
        finally:
            broker.come_back()
    broker.publish_raw(reader.source.topic, numbered(10, first=2000))
    seen += numbers(reader.read())
    assert sorted(seen) == list(range(2010)) and reader.behind == 0 and reader.gaps == []


def test_a_broker_that_is_back_before_patience_ends_makes_no_difference(broker, reader):
    broker.publish_raw(reader.source.topic, numbered(100))
    batches = reader.read()
    seen = numbers([next(batches)])
    broker.go_down()
    timer = threading.Timer(0.5, broker.come_back)
    timer.start()
    seen += numbers(batches)
    timer.join()
    assert sorted(seen) == list(range(100)) and reader.behind == 0


_BROKER = """
import sys
from tests.sources.kafka_reader import Reader, numbered, numbers
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
        before = calls_under_way()
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGCONT)
            wait_for_calls(before)  # which the broker has to answer before it goes
            process.stdin.close()


def test_a_broker_that_falls_silent_stops_neither_the_pass_nor_the_process_for_ever(other_process, monkeypatch):
    """It takes connections and answers nothing: left alone, librdkafka would wait for it without end."""
    process, address = other_process
    reader = Reader(StreamSource("lasair_2silent", "a-group", address, 30))
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": address})
    for value in numbered(100):
        producer.produce(reader.source.topic, value)
    producer.flush()
    producer.close()
    take = stream.Ahead.take

    def take_when_all_is_there(ahead: stream.Ahead) -> Message | None:
        return None if ahead._open else take(ahead)

    monkeypatch.setattr(stream.Ahead, "take", take_when_all_is_there)
    batches = reader.read()
    seen = numbers([next(batches), next(batches)])  # and the rest has arrived
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # a signal that was sent need not have been heard yet
    began_at = time.monotonic()
    with no_answer_is_waited_for():
        seen += numbers(batches)
    assert time.monotonic() - began_at < HANG_S
    (remark,) = reader.remarks  # told once, though there were commits after it
    assert "takes no note of how far stream lasair_2silent was read" in remark and "no broker answers" in remark
    process.send_signal(signal.SIGCONT)
    assert sorted(seen) == list(range(100)) and list(reader.read()) == [] and reader.behind == 0


def test_time_spent_on_a_batch_does_not_count_as_the_broker_s_silence(broker, reader, clock):
    broker.publish_raw(reader.source.topic, numbered(100))
    batches = reader.read()
    seen = numbers([next(batches)])
    clock.now += stream.PATIENCE_S + 1
    assert sorted(seen + numbers(batches)) == list(range(100))


# --- a broker that refuses


def test_a_refusal_that_lasts_is_told_in_its_own_words(broker, reader, clock):
    broker.publish_raw(reader.source.topic, numbered(10))
    broker.refuse(FETCH, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    try:
        with (
            patience_until_a_complaint(clock, KafkaError.TOPIC_AUTHORIZATION_FAILED),
            pytest.raises(SourceError, match="may not be read: names start with lasair_"),
        ):
            list(reader.read())
    finally:
        broker.relent(FETCH)
    assert sorted(numbers(reader.read())) == list(range(10))


@pytest.mark.parametrize(
    ("request_kind", "error"),
    [
        (FETCH, KafkaError.OFFSET_OUT_OF_RANGE),
        (FETCH, KafkaError.NOT_LEADER_FOR_PARTITION),
        (FIND_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE),
        (OFFSET_COMMIT, KafkaError.NOT_COORDINATOR),
        (OFFSET_COMMIT, KafkaError.ILLEGAL_GENERATION),
    ],
    ids=["no such offset", "another leader", "no coordinator", "another coordinator", "another generation"],
)
def test_a_passing_refusal_loses_nothing(broker, reader, request_kind, error):
    broker.publish_raw(reader.source.topic, numbered(100))
    batches = reader.read()
    seen = numbers([next(batches)])
    broker.answer(request_kind, [error])
    try:
        seen += numbers(batches)
    finally:
        broker.relent(request_kind)
    assert sorted(seen) == list(range(100)) and reader.behind == 0 and reader.gaps == []


def test_offsets_that_the_broker_never_takes_are_told_once_and_change_nothing(broker, reader):
    broker.publish_raw(reader.source.topic, numbered(100))
    broker.refuse(OFFSET_COMMIT, KafkaError.GROUP_AUTHORIZATION_FAILED)
    try:
        seen = numbers(reader.read())
    finally:
        broker.relent(OFFSET_COMMIT)
    assert sorted(seen) == list(range(100)) and reader.behind == 0
    (remark,) = reader.remarks
    assert "Group authorization failed" in remark
    assert list(reader.read()) == []


def test_a_stream_that_is_deleted_for_good_ends_the_pass(broker, reader, clock):
    broker.publish_raw(reader.source.topic, numbered(100))
    list(reader.read())
    broker.delete_topic(reader.source.topic)
    clock.step_s = stream.PATIENCE_S / 10
    with pytest.raises(SourceError, match=f"no stream {reader.source.topic}"):
        list(reader.read())


# --- the embedded Lasair's own broker


def test_a_simulated_night_comes_over_kafka_with_the_columns_of_the_input_filter(night: Night):
    with Sandbox(night) as sandbox, StreamBroker() as broker:
        rows = filter_rows(sandbox.database, load_filter("input_ztf"))
        assert broker.publish("lasair_2night", rows) == len(rows) > 80
        source = StreamSource("lasair_2night", "a-group", broker.bootstrap)
        assert read_lag(source, None).messages == len(rows)
        records = [dict(record) for batch in Reader(source).read() for record in batch.records]
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
