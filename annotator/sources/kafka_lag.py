"""How far a consumer group is behind its stream, seen from outside the group."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from annotator.config import StreamSource
from annotator.errors import SourceError
from annotator.sources.kafka_client import POLL_S, _consumer, _record, error_text

if TYPE_CHECKING:
    import confluent_kafka


@dataclass(frozen=True)
class Lag:
    """How far a consumer group is behind a stream."""

    messages: int
    oldest_at: float | None
    """When the oldest message that was not read arrived (seconds since 1970), None where all were."""


def read_lag(source: StreamSource, timeout_s: float = 10.0) -> Lag:
    """Ask the broker how far the group is behind, without joining it.

    Raises
    ------
    SourceError
        If the broker does not answer, or has no such stream.
    """
    import confluent_kafka

    with _onlooker(source, "the lag is unknown") as consumer:
        behind: list[confluent_kafka.TopicPartition] = []
        messages = 0
        for partition in consumer.committed(_partitions(consumer, source, timeout_s), timeout=timeout_s):
            low, high = consumer.get_watermark_offsets(partition, timeout=timeout_s)
            # Messages that expired before they were read are below the low mark. Beyond the high mark there was a log
            # that the broker lost: what it has instead is read from the start.
            next_offset = max(partition.offset, low) if partition.offset <= high else low
            if next_offset < high:
                messages += high - next_offset
                behind.append(confluent_kafka.TopicPartition(source.topic, partition.partition, next_offset))
        return Lag(messages, _oldest_at(consumer, behind, timeout_s))


def peek(source: StreamSource, timeout_s: float = 10.0) -> object | None:
    """Read one record of the stream, without joining the group; None where the stream holds none.

    Raises
    ------
    SourceError
        If the broker does not answer, or has no such stream.
    """
    import confluent_kafka

    with _onlooker(source, "it cannot be read") as consumer:
        for partition in _partitions(consumer, source, timeout_s):
            low, high = consumer.get_watermark_offsets(partition, timeout=timeout_s)
            if low == high:
                continue
            consumer.assign([confluent_kafka.TopicPartition(source.topic, partition.partition, high - 1)])
            for message in consumer.consume(1, timeout=timeout_s):
                if message.error() is None:
                    return _record(message.value())
        return None


@contextlib.contextmanager
def _onlooker(source: StreamSource, otherwise: str) -> Iterator["confluent_kafka.Consumer"]:
    """Open a consumer that asks and never joins the group; its failures are said as `otherwise`, with the reason."""
    import confluent_kafka

    complaints: list[str] = []
    consumer = _consumer(source, lambda error: complaints.append(error_text(error, source)))
    try:
        yield consumer
    except confluent_kafka.KafkaException as failure:
        words = complaints[-1] if complaints else error_text(failure.args[0], source)
        raise SourceError(f"the stream {source.topic}: {otherwise}: {words}") from failure
    finally:
        consumer.close()


def _partitions(
    consumer: "confluent_kafka.Consumer", source: StreamSource, timeout_s: float
) -> "list[confluent_kafka.TopicPartition]":
    import confluent_kafka

    topic = consumer.list_topics(source.topic, timeout=timeout_s).topics[source.topic]
    if topic.error is not None:
        raise SourceError(error_text(topic.error, source))
    return [confluent_kafka.TopicPartition(source.topic, number) for number in topic.partitions]


def _oldest_at(consumer: "confluent_kafka.Consumer", behind: list, timeout_s: float) -> float | None:
    """Look at the first unread message of each partition."""
    if not behind:
        return None
    consumer.assign(behind)
    first_at: dict[int, float] = {}
    deadline = time.monotonic() + timeout_s
    while len(first_at) < len(behind) and time.monotonic() < deadline:
        for message in consumer.consume(100, timeout=POLL_S):
            if message.error() is None:
                first_at.setdefault(message.partition(), message.timestamp()[1] / 1000)
    return min(first_at.values(), default=None)
