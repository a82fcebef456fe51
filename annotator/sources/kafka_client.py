"""librdkafka's consumer as a stream of Lasair's needs it, its messages as records, its errors in words."""

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.config import StreamSource
from annotator.errors import SourceError
from annotator.sources.avro import framed_record, is_framed
from annotator.sources.records import Unreadable, decoded
from annotator.sources.stream_position import Mark, PartitionNow, StreamNow, StreamPosition

if TYPE_CHECKING:
    import confluent_kafka


MAX_MESSAGE_BYTES = 10_485_760
"""Lasair's own limit, and what is fetched of a partition at a time at the most."""
FETCHED_BYTES = 1_048_576
"""What is asked for of a partition at a time; a message that is larger comes all the same."""
POLL_S = 0.1
ANSWER_S = 5.0
"""How long one question to the broker may take."""
CLOSING_S = 5.0
"""How long it may take to close a connection; a broker that is there takes milliseconds."""
_AHEAD_KB = 8192  # waits in the library's memory: seconds of work; its default of 64 MB is half of all that we use
_END_AFTER_MS = 100  # how long the broker waits for more before it says that a partition is at its end


def consumer_of(
    source: StreamSource, on_error: object, fetched_bytes: int = FETCHED_BYTES
) -> "confluent_kafka.Consumer":
    """Return a consumer that is assigned nothing yet; it never joins a group, and only commits offsets for one."""
    import confluent_kafka

    return confluent_kafka.Consumer(
        {
            "bootstrap.servers": source.broker,
            "group.id": source.group_id,
            "client.id": "aha-annotator",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",  # where to read on from is for us to say
            "fetch.wait.max.ms": _END_AFTER_MS,
            "fetch.message.max.bytes": fetched_bytes,
            "queued.max.messages.kbytes": _AHEAD_KB,
            "error_cb": on_error,
            "log_level": 0,  # what it would print on standard error comes through error_cb, and is put in words
        }
    )


class BoundedCalls:
    """Calls what may never return, and waits for it so long.

    While a broker takes connections and says nothing, librdkafka ends neither a commit nor what comes after it (its
    issue 3740), and it hears no signal meanwhile. What is not waited for goes on in a thread, one call after the other,
    and ends when the broker is back or the process is gone.
    """

    def __init__(self) -> None:
        self._last: threading.Thread | None = None

    def __call__(self, function: Callable[[], object], timeout_s: float) -> None:
        """Call a function after those that were called before, and wait for it so long."""
        before = self._last

        def run() -> None:
            if before is not None:
                before.join()
            function()

        self._last = threading.Thread(target=run, name="aha-stream", daemon=True)
        self._last.start()
        self._last.join(timeout_s)


@contextlib.contextmanager
def onlooker(source: StreamSource) -> Iterator["confluent_kafka.Consumer"]:
    """Open a consumer that looks at single messages; its failures become SourceErrors that say the reason."""
    import confluent_kafka

    complaints: list[str] = []
    # A few bytes: of each partition a message or two is all that is wanted.
    consumer = consumer_of(source, lambda error: complaints.append(error_text(error, source)), fetched_bytes=1024)
    try:
        yield consumer
    except confluent_kafka.KafkaException as failure:
        consumer.poll(POLL_S)  # hears what the library has to complain of
        raise SourceError(complaints[-1] if complaints else error_text(failure.args[0], source)) from failure
    finally:
        BoundedCalls()(consumer.close, CLOSING_S)


def stream_now(
    consumer: "confluent_kafka.Consumer", source: StreamSource, timeout_s: float, kept: StreamPosition | None = None
) -> StreamNow:
    """Ask the broker what there is of a stream.

    Parameters
    ----------
    consumer
        An :func:`onlooker`.
    source
        Where the stream is.
    timeout_s
        For each question.
    kept
        How far it was read, where the messages that tell whether it is still the same are to be looked at.

    Raises
    ------
    SourceError
        If there is no such stream, or a message that is there does not come.
    """
    import confluent_kafka

    cluster = consumer.list_topics(source.topic, timeout=timeout_s)
    topic = cluster.topics[source.topic]
    if topic.error is not None:
        raise SourceError(error_text(topic.error, source))
    topic_id = _topic_id(source, timeout_s) if cluster.controller_id in cluster.brokers else None
    ends = {
        number: consumer.get_watermark_offsets(confluent_kafka.TopicPartition(source.topic, number), timeout=timeout_s)
        for number in topic.partitions
    }
    before = {number: partition.next - 1 for number, partition in (kept.partitions if kept else {}).items()}
    first = marks_at(consumer, source, {number: low for number, (low, high) in ends.items() if low < high}, timeout_s)
    last = marks_at(
        consumer,
        source,
        {number: offset for number, offset in before.items() if number in ends and _is_in(offset, *ends[number])},
        timeout_s,
    )
    partitions = {
        number: PartitionNow(low, high, first.get(number), last.get(number)) for number, (low, high) in ends.items()
    }
    return StreamNow(cluster.cluster_id, source.topic, topic_id, partitions)


def _is_in(offset: int, low: int, high: int) -> bool:
    return low <= offset < high


def _topic_id(source: StreamSource, timeout_s: float) -> str | None:
    """Ask which of all streams that ever had this name it is; None where the broker does not know such a question."""
    import confluent_kafka
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": source.broker, "client.id": "aha-annotator", "log_level": 0})
    asked = admin.describe_topics(confluent_kafka.TopicCollection([source.topic]), request_timeout=timeout_s)
    try:
        found = asked[source.topic].result(timeout_s + 1).topic_id
    except (confluent_kafka.KafkaException, TimeoutError):
        return None
    bits = (found.get_most_significant_bits(), found.get_least_significant_bits())
    return str(found) if any(bits) else None


def marks_at(
    consumer: "confluent_kafka.Consumer", source: StreamSource, offsets: Mapping[int, int], timeout_s: float
) -> dict[int, Mark]:
    """Look at one message of each partition; one that is not there although those after it are has no mark.

    Raises
    ------
    SourceError
        If the broker does not say in time what is there.
    """
    found = messages_at(consumer, source, offsets, timeout_s)
    return {
        number: mark_of(message)
        for number, message in found.items()
        if message is not None and message.offset() == offsets[number]
    }


def messages_at(
    consumer: "confluent_kafka.Consumer", source: StreamSource, offsets: Mapping[int, int], timeout_s: float
) -> "dict[int, confluent_kafka.Message | None]":
    """Read the first message of each partition from an offset on, None where there is none; raise as above."""
    import confluent_kafka
    from confluent_kafka import KafkaError

    if not offsets:
        return {}
    found: dict[int, confluent_kafka.Message | None] = {}
    complaint = f"no broker answers at {source.broker}"
    consumer.assign([confluent_kafka.TopicPartition(source.topic, *place) for place in offsets.items()])
    deadline = time.monotonic() + timeout_s
    while len(found) < len(offsets):
        for message in consumer.consume(len(offsets) - len(found), timeout=POLL_S):
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                found.setdefault(message.partition(), None if error else message)
            else:
                complaint = error_text(error, source)
        if time.monotonic() > deadline:
            raise SourceError(complaint)
    consumer.unassign()
    return found


def mark_of(message: "confluent_kafka.Message") -> Mark:
    """Take what a message is known by."""
    return Mark(message.offset(), time_of(message), hashlib.sha256(message.value() or b"").hexdigest()[:16])


def time_of(message: "confluent_kafka.Message") -> float:
    """Return when a message was written, by its producer's clock (seconds since 1970); negative if nobody knows."""
    return message.timestamp()[1] / 1000


def record_of(message: "confluent_kafka.Message", schemas: Path | None) -> object:
    """Read what a message says: JSON, or Avro of a schema in a folder."""
    value = message.value()
    if value and is_framed(value):
        return framed_record(value, schemas)
    return decoded(value) if value else Unreadable("empty message", "")


def error_text(error: "confluent_kafka.KafkaError", source: StreamSource) -> str:
    """Say what a Kafka error means for an operator."""
    from confluent_kafka import KafkaError

    no_stream = f"there is no stream {source.topic}: is the filter active, and was it renamed?"
    no_broker = f"no broker answers at {source.broker}"
    meanings = {
        KafkaError.UNKNOWN_TOPIC_OR_PART: no_stream,
        KafkaError._UNKNOWN_TOPIC: no_stream,
        KafkaError._ALL_BROKERS_DOWN: no_broker,
        KafkaError._TRANSPORT: no_broker,
        KafkaError._TIMED_OUT: no_broker,
        KafkaError._RESOLVE: f"the name of the broker {source.broker} is unknown",
        KafkaError.TOPIC_AUTHORIZATION_FAILED: f"the stream {source.topic} may not be read: names start with lasair_",
    }
    return meanings.get(error.code(), error.str())
