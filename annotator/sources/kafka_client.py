"""librdkafka's consumer as a stream of Lasair's needs it, its messages as records, its errors in words."""

from typing import TYPE_CHECKING

from annotator.config import StreamSource
from annotator.sources.records import Unreadable, decoded

if TYPE_CHECKING:
    import confluent_kafka


MAX_MESSAGE_BYTES = 10_485_760
"""Lasair's own limit; the library's default of 1 MB would hold the partition up at a larger message."""
POLL_S = 0.1
_AHEAD_KB = 16_384  # what waits in memory: seconds of work; the library's default of 64 MB would be half of all we use
_END_AFTER_MS = 100  # how long the broker waits for more before it says that a partition is at its end


def _consumer(source: StreamSource, on_error: object) -> "confluent_kafka.Consumer":
    import confluent_kafka

    session_ms = round(source.session_timeout_s * 1000)
    return confluent_kafka.Consumer(
        {
            "bootstrap.servers": source.broker,
            "group.id": source.group_id,
            "client.id": "aha-annotator",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": max(session_ms // 10, 100),
            "fetch.wait.max.ms": _END_AFTER_MS,
            "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
            "queued.max.messages.kbytes": _AHEAD_KB,
            "error_cb": on_error,
            "log_level": 0,  # what it would print on standard error comes through error_cb, and is put in words
        }
    )


def _record(value: bytes | None) -> object:
    if not value:
        return Unreadable("empty message", "")
    return decoded(value.decode("utf-8", errors="replace"))


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
        KafkaError._RESOLVE: f"the name of the broker {source.broker} is unknown",
        KafkaError.TOPIC_AUTHORIZATION_FAILED: f"the stream {source.topic} may not be read: names start with lasair_",
    }
    return meanings.get(error.code(), error.str())
