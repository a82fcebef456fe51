"""Telling the broker how far the ledger is: for whoever watches the lag of its groups, and good for nothing else."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from annotator.config import StreamSource
from annotator.sources.kafka_client import ANSWER_S, CLOSING_S, BoundedCalls, consumer_of, error_text

if TYPE_CHECKING:
    import confluent_kafka


class Committer:
    """Commits offsets over a connection of its own: a commit that never returns holds up nothing that is read.

    Parameters
    ----------
    source
        Where the stream is, and under which group's name to commit.
    """

    def __init__(self, source: StreamSource) -> None:
        self._source = source
        self._consumer = consumer_of(source, lambda error: None)
        self._call = BoundedCalls()
        self._failed = False

    def commit(self, offsets: Mapping[int, int]) -> str:
        """Commit offsets, by their partitions; return why the broker took no note, the first time that it did not."""
        import confluent_kafka
        from confluent_kafka import KafkaError

        if self._failed:
            return ""
        ours = [confluent_kafka.TopicPartition(self._source.topic, *place) for place in offsets.items()]
        answer: list[KafkaError | None] = []

        def ask() -> None:
            try:
                answer.extend(item.error for item in self._consumer.commit(offsets=ours, asynchronous=False))
            except confluent_kafka.KafkaException as failure:
                answer.append(failure.args[0])

        self._call(ask, ANSWER_S)
        failures = [self._in_words(error) for error in answer if error]
        if answer and not failures:
            return ""
        self._failed = True
        why = failures[0] if failures else f"no broker answers at {self._source.broker}"
        return f"the broker takes no note of how far {self._source.name} was read, on which nothing depends: {why}"

    def close(self) -> None:
        """Close the connection."""
        self._call(self._consumer.close, CLOSING_S)

    def _in_words(self, error: "confluent_kafka.KafkaError") -> str:
        from confluent_kafka import KafkaError

        if error.code() == KafkaError.UNKNOWN_MEMBER_ID:
            return f"another reader is in the group {self._source.group_id}"
        return error_text(error, self._source)
