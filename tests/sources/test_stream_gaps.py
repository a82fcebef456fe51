"""No message that the broker still has is lost, whatever others do to the stream, and what is lost is told."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from confluent_kafka import Consumer
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import SourceError
from annotator.ledger.positions import Gap
from annotator.sources import kafka as stream
from annotator.sources import kafka_client
from annotator.sources.kafka import stream_batches
from annotator.sources.stream_position import (
    Mark,
    PartitionNow,
    PartitionPosition,
    StreamNow,
    StreamPosition,
    read_position,
    resume,
)
from tests.sources.kafka_reader import Reader, numbered, numbers

MESSAGES = 400
ANEW = "the stream was made anew, and is read from the oldest message"


# --- over the wire


def test_a_foreign_reader_in_our_group_that_takes_and_commits_everything_takes_nothing_from_us(broker, reader):
    broker.publish_raw(reader.source.topic, numbered(MESSAGES))
    settings = {"bootstrap.servers": reader.source.broker, "group.id": reader.source.group_id}
    foreign = Consumer(settings | {"auto.offset.reset": "earliest", "log_level": 0})
    foreign.subscribe([reader.source.topic])
    taken = 0
    while taken < MESSAGES:
        taken += len(foreign.consume(100, timeout=0.1))
    foreign.commit(asynchronous=False)
    assert sorted(numbers(reader.read())) == list(range(MESSAGES))
    broker.publish_raw(reader.source.topic, numbered(10, first=MESSAGES))
    assert sorted(numbers(reader.read())) == list(range(MESSAGES, MESSAGES + 10))
    foreign.close()
    assert reader.gaps == [] and len(reader.remarks) == 2  # once a pass
    assert all(f"another reader is in the group {reader.source.group_id}" in remark for remark in reader.remarks)


def test_a_ledger_restored_from_a_backup_reads_what_came_since(broker, reader):
    broker.publish_raw(reader.source.topic, numbered(MESSAGES - 200))
    list(reader.read())
    backup = replace(reader)
    broker.publish_raw(reader.source.topic, numbered(200, first=MESSAGES - 200))
    list(reader.read())
    assert backup.behind == 200
    assert sorted(numbers(backup.read())) == list(range(MESSAGES - 200, MESSAGES))
    assert backup.gaps == []


def test_a_ledger_of_its_own_reads_everything(broker, reader):
    broker.publish_raw(reader.source.topic, numbered(MESSAGES))
    list(reader.read())
    assert sorted(numbers(Reader(reader.source).read())) == list(range(MESSAGES))


@pytest.mark.parametrize("n_new", [0, 10, MESSAGES, 3 * MESSAGES], ids=["empty", "shorter", "as long", "longer"])
def test_a_stream_that_was_made_anew_is_read_from_its_oldest_message(broker, reader, n_new):
    broker.publish_raw(reader.source.topic, numbered(MESSAGES))
    list(reader.read())
    broker.delete_topic(reader.source.topic)
    broker.create_topic(reader.source.topic)
    broker.publish_raw(reader.source.topic, numbered(n_new, first=MESSAGES))
    assert reader.behind == n_new
    assert sorted(numbers(reader.read())) == list(range(MESSAGES, MESSAGES + n_new))
    assert reader.gaps == [Gap(ANEW, None)]
    assert list(reader.read()) == []


def test_a_stream_that_is_made_anew_in_mid_pass_is_read_from_its_oldest_message(broker, reader, monkeypatch):
    """Lasair does so whenever its filter is saved."""
    monkeypatch.setattr(kafka_client, "_AHEAD_KB", 1)
    broker.publish_raw(reader.source.topic, numbered(MESSAGES))
    batches = reader.read()
    next(batches)
    broker.delete_topic(reader.source.topic)
    broker.create_topic(reader.source.topic)
    broker.publish_raw(reader.source.topic, numbered(10, first=MESSAGES))
    seen = numbers(batches) + numbers(reader.read())
    assert set(seen) >= set(range(MESSAGES, MESSAGES + 10)) and Gap(ANEW, None) in reader.gaps


def large(first: int, count: int) -> list[bytes]:
    """Make messages of which the broker keeps five."""
    return [json.dumps({"n": n, "text": "x" * 900_000}).encode() for n in range(first, first + count)]


def test_messages_that_expired_before_they_were_read_are_counted_and_the_rest_is_read(broker, reader):
    broker.create_topic(reader.source.topic, n_partitions=1)
    broker.publish_raw(reader.source.topic, large(0, 2))
    assert numbers(reader.read()) == [0, 1]
    broker.publish_raw(reader.source.topic, large(2, 10))
    kept = reader.behind
    assert 0 < kept < 10
    assert numbers(reader.read()) == list(range(12 - kept, 12))
    assert reader.gaps == [Gap("messages had expired before they were read", 10 - kept)]
    assert numbers(Reader(reader.source).read()) == list(range(12 - kept, 12))  # to whom never read nothing is missing


def test_partitions_that_were_added_are_read_from_their_oldest_message_and_told(broker, reader, monkeypatch):
    broker.publish_raw(reader.source.topic, numbered(MESSAGES))
    look = stream.stream_now

    def before(*arguments: object) -> StreamNow:
        now = look(*arguments)
        return replace(now, partitions={number: now.partitions[number] for number in (0, 1)})

    with monkeypatch.context() as patch:
        patch.setattr(stream, "stream_now", before)
        seen = numbers(reader.read())
        assert 0 < len(seen) < MESSAGES
    assert sorted(seen + numbers(reader.read())) == list(range(MESSAGES))
    assert reader.gaps == [Gap("2 partitions were added, and are read from the oldest message", 0)]


def test_a_stream_that_tells_another_id_is_another_stream(broker, reader, monkeypatch):
    broker.publish_raw(reader.source.topic, numbered(20))
    ids = iter(["first", "first", None, "second"])
    look = stream.stream_now
    monkeypatch.setattr(stream, "stream_now", lambda *arguments: replace(look(*arguments), topic_id=next(ids)))
    assert [len(numbers(reader.read())) for _ in range(4)] == [20, 0, 0, 20]
    assert reader.gaps == [Gap(ANEW, None)]


def test_a_position_that_cannot_be_read_is_told(reader):
    with pytest.raises(SourceError, match="the ledger's position of the stream is unreadable"):
        next(stream_batches(reader.source, "{}"))
    assert read_position(None) is None


# --- in any order of what can happen


@dataclass
class Log:
    """A stream and its reader in miniature."""

    partitions: list[list[int]] = field(default_factory=lambda: [[], []])
    """Messages by offset, each a number that none had before."""
    lows: list[int] = field(default_factory=lambda: [0, 0])
    position: StreamPosition | None = None
    read: frozenset[int] = frozenset()
    gaps: tuple[Gap, ...] = ()
    before_us: frozenset[int] = frozenset()
    """What had expired before anything was read: nobody misses it."""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def mark(self, number: int, offset: int) -> Mark | None:
        messages = self.partitions[number]
        if not self.lows[number] <= offset < len(messages):
            return None
        return Mark(offset, float(messages[offset]), str(messages[offset]))

    def now(self) -> StreamNow:
        before = self.position.partitions if self.position else {}
        return StreamNow(
            "cluster",
            "topic",
            None,
            {
                number: PartitionNow(
                    low,
                    len(messages),
                    self.mark(number, low),
                    self.mark(number, before[number].next - 1) if number in before else None,
                )
                for number, (messages, low) in enumerate(zip(self.partitions, self.lows, strict=True))
            },
        )

    def read_on(self) -> None:
        if self.position is None:
            self.before_us = frozenset(n for messages in self.partitions for n in messages) - self.held
        resumed, gaps = resume(self.position, self.now())
        self.gaps += tuple(gaps)
        partitions = {}
        for number, partition in resumed.partitions.items():
            messages = self.partitions[number]
            self.read |= set(messages[partition.next :])
            last = self.mark(number, len(messages) - 1) if partition.next < len(messages) else partition.last
            partitions[number] = PartitionPosition(len(messages), partition.oldest, partition.first, last)
        self.position = StreamPosition("cluster", "topic", None, partitions)

    @property
    def held(self) -> set[int]:
        """What the broker has."""
        return {n for messages, low in zip(self.partitions, self.lows, strict=True) for n in messages[low:]}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 1), st.integers(1, 5)),
        st.tuples(st.just("expire"), st.integers(0, 1), st.integers(1, 5)),
        st.sampled_from([("read",), ("back up",), ("restore",), ("make anew",), ("add",)]),
    ),
    max_size=30,
)


@given(STEPS)
def test_whatever_happens_all_that_the_broker_has_was_read_and_what_it_lost_is_told(steps):
    log, was_made_anew = Log(), False
    backup = replace(log)
    for step, *details in steps:
        match step:
            case "write":
                number, count = details
                log.partitions[number] += itertools.islice(log.numbers, count)
            case "expire":
                number, count = details
                log.lows[number] = min(log.lows[number] + count, len(log.partitions[number]))
            case "read":
                log.read_on()
            case "back up":
                backup = replace(log)
            case "restore":
                log.position, log.read, log.gaps, log.before_us = (
                    backup.position,
                    backup.read,
                    backup.gaps,
                    backup.before_us,
                )
            case "make anew":
                log.partitions, log.lows = [[] for _ in log.partitions], [0 for _ in log.lows]
                was_made_anew = True
            case "add":
                log.partitions.append([])
                log.lows.append(0)
    log.read_on()
    assert log.held <= log.read
    if not was_made_anew:
        written = {n for messages in log.partitions for n in messages}
        assert sum(gap.missed for gap in log.gaps) == len(written - log.read - log.before_us)
