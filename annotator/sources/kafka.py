"""The Kafka stream of an active Lasair filter, read so that no message is lost and none need be read twice.

Offsets are committed only once the results of a batch are in the ledger. A pass ends when every assigned partition has
said that it is at its end: silence is no sign of anything, since after a crash the broker holds the partitions back for
the whole session timeout.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from annotator.config import StreamSource
from annotator.errors import SourceError
from annotator.sources.kafka_client import POLL_S, _consumer, _record, error_text
from annotator.sources.records import Batch

if TYPE_CHECKING:
    import confluent_kafka


PATIENCE_S = 15.0
"""How long beyond the session timeout the broker may take to assign partitions, or to show any sign of life."""
CLOSING_S = 5.0
"""How long leaving the group may take; a broker that is there takes milliseconds."""


def stream_batches(source: StreamSource, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Batch]:
    """Read a stream up to its present end.

    Whoever has written a batch's results to the ledger calls its `commit`; what a dry run leaves uncommitted the next
    pass reads again. A commit that the broker refuses is told when all was read.

    Parameters
    ----------
    source
        Where the stream is, and who reads it.
    should_stop
        Asked all the time: the batch in hand is then the last, however small.

    Raises
    ------
    SourceError
        If no partition is assigned in time, the broker shows no sign of life, or it doesn't note how far the stream was
        read; the message says what it last said.
    """
    reader = _Reader(source)
    try:
        while not (reader.at_end or should_stop()):
            messages = reader.read(should_stop)
            if messages.records:
                yield Batch(messages.records, commit=functools.partial(reader.commit, messages.offsets))
        reader.require_commits()
    finally:
        reader.close()


@dataclass
class _Messages:
    """The messages of one batch, and the offset after the last one of each partition."""

    records: list[object] = field(default_factory=list)
    offsets: dict[int, int] = field(default_factory=dict)


class _Reader:
    """One membership in a consumer group."""

    def __init__(self, source: StreamSource) -> None:
        self._source = source
        self._assigned: set[int] = set()
        self._ended: set[int] = set()
        self._complaint = ""
        self._commit_failure = ""
        self._last_call: threading.Thread | None = None
        self._alive_at = time.monotonic()
        self._consumer = _consumer(source, self._hear_complaint)
        self._consumer.subscribe(
            [source.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    @property
    def at_end(self) -> bool:
        """Whether partitions are assigned and each has reached its end."""
        return bool(self._assigned) and self._assigned <= self._ended

    def read(self, should_stop: Callable[[], bool] = lambda: False) -> _Messages:
        """Collect the next messages: as many as a batch holds, or fewer where the end is reached before."""
        from confluent_kafka import KafkaError

        batch = _Messages()
        self._alive_at = time.monotonic()  # what was done with the batch before is not the broker's silence
        while len(batch.records) < self._source.batch_messages and not (self.at_end or should_stop()):
            wanted = self._source.batch_messages - len(batch.records)
            for message in self._consumer.consume(wanted, timeout=POLL_S):
                error = message.error()
                if error is None:
                    batch.records.append(_record(message.value()))
                    batch.offsets[message.partition()] = message.offset() + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._ended.add(message.partition())
                else:
                    self._hear_complaint(error)
                    continue
                self._alive_at = time.monotonic()
            self._require_life()
        return batch

    def commit(self, offsets: dict[int, int]) -> None:
        """Commit a batch's offsets, where its partitions are still ours.

        A commit that fails loses nothing: the messages come again, and the ledger knows their objects.
        """
        import confluent_kafka
        from confluent_kafka import KafkaError

        topic = self._source.topic
        ours = [confluent_kafka.TopicPartition(topic, p, o) for p, o in offsets.items() if p in self._assigned]
        if not ours:
            return
        answer: list[KafkaError | None] = []

        def ask() -> None:
            try:
                answer.extend(item.error for item in self._consumer.commit(offsets=ours, asynchronous=False))
            except confluent_kafka.KafkaException as failure:
                answer.append(failure.args[0])

        self._call(ask, self._patience_s)
        if not answer:
            self._commit_failure = f"no broker answers at {self._source.broker}"
            self.require_commits()
        # Where the group moved on without us, another reader gets the messages again, or we do.
        moved_on = (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID)
        failures = [error_text(error, self._source) for error in answer if error and error.code() not in moved_on]
        self._commit_failure = failures[0] if failures else ""

    def require_commits(self) -> None:
        """Raise SourceError if the last batch's offsets could not be committed."""
        if self._commit_failure:
            raise SourceError(
                f"how far the stream {self._source.topic} was read could not be noted, so that the next pass reads "
                f"some of it again: {self._commit_failure}"
            )

    def close(self) -> None:
        """Leave the group, so that the next reader need not wait for the session to time out."""
        self._call(self._consumer.close, CLOSING_S)

    def _call(self, function: Callable[[], object], timeout_s: float) -> None:
        """Call what may never return, and wait for it so long.

        While a broker takes connections and says nothing, librdkafka ends neither a commit nor what comes after it
        (its issue 3740), and it hears no signal meanwhile. What is not waited for goes on in a thread, one call after
        the other, and ends when the broker is back or the process is gone.
        """
        before = self._last_call

        def run() -> None:
            if before is not None:
                before.join()
            function()

        self._last_call = threading.Thread(target=run, name="aha-stream", daemon=True)
        self._last_call.start()
        self._last_call.join(timeout_s)

    def _on_assign(self, _consumer: object, partitions: list) -> None:
        self._assigned = {partition.partition for partition in partitions}
        self._ended.clear()
        self._alive_at = time.monotonic()

    def _on_revoke(self, _consumer: object, partitions: list) -> None:
        self._assigned -= {partition.partition for partition in partitions}

    def _hear_complaint(self, error: "confluent_kafka.KafkaError") -> None:
        self._complaint = error_text(error, self._source)

    @property
    def _patience_s(self) -> float:
        return self._source.session_timeout_s + PATIENCE_S

    def _require_life(self) -> None:
        if time.monotonic() - self._alive_at < self._patience_s:
            return
        guess = f"no reason was given; is another reader in the group {self._source.group_id}?"
        raise SourceError(
            f"the stream {self._source.topic} at {self._source.broker} gave nothing for {self._patience_s:g} s: "
            f"{self._complaint or guess}"
        )
