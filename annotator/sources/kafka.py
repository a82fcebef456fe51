"""The Kafka stream of an active Lasair filter, read so that no message is lost and none need be read twice.

How far it was read stands in the ledger, and nowhere else: partitions are assigned, not subscribed to, so that no other
reader, no group and no session decides on what we read. What is committed to the broker is for the eye of whoever
watches its groups. A pass ends when every partition has said that it is at its end: silence is no sign of anything.
"""

import functools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from annotator.clock import Clock
from annotator.config import StreamSource
from annotator.errors import SourceError
from annotator.ledger.positions import Gap
from annotator.sources.ahead import Ahead
from annotator.sources.kafka_client import (
    ANSWER_S,
    CLOSING_S,
    POLL_S,
    BoundedCalls,
    consumer_of,
    error_text,
    mark_of,
    onlooker,
    record_of,
    stream_now,
    time_of,
)
from annotator.sources.kafka_commit import Committer
from annotator.sources.records import Batch
from annotator.sources.stream_position import StreamPosition, read_position, resume

if TYPE_CHECKING:
    import confluent_kafka


PATIENCE_S = 15.0
"""How long the broker may take to show any sign of life."""


def stream_batches(
    source: StreamSource,
    position: str | None,
    should_stop: Callable[[], bool] = lambda: False,
    clock: Clock | None = None,
) -> Iterator[Batch]:
    """Read a stream from a position up to its present end.

    Messages come in the order of their times, whatever their partition. A batch without any tells where
    the stream begins, or what it lacks.

    Parameters
    ----------
    source
        Where the stream is.
    position
        How far it was read, as the last batch said; None to read it from its oldest message.
    should_stop
        Asked all the time: the batch in hand is then the last, however small.
    clock
        Hears when messages were written.

    Raises
    ------
    SourceError
        If there is no such stream, or the broker shows no sign of life; the message says what it last said.
    """
    reader = _Reader(source, read_position(position), should_stop, clock)
    try:
        if reader.begin():
            while not (reader.is_at_end or should_stop()):
                if (batch := reader.read()).records or batch.gaps:
                    position = batch.position
                    yield batch
            if (batch := reader.read(0)).position != position:
                yield batch
    finally:
        reader.close()


class _Reader:
    """One reading of all partitions."""

    def __init__(
        self,
        source: StreamSource,
        position: StreamPosition | None,
        should_stop: Callable[[], bool],
        clock: Clock | None,
    ) -> None:
        self._source = source
        self._position = position
        self._should_stop = should_stop
        self._clock = clock
        self._gaps: list[Gap] = []
        self._ahead = Ahead()
        self._last: dict[int, confluent_kafka.Message] = {}
        self._complaint = ""
        self._committer = Committer(source)
        self._alive_at = time.monotonic()
        self._consumer = consumer_of(source, self._hear_complaint)

    def begin(self) -> bool:
        """Find out where to read on, and what is missing before it; return whether that was before a stop."""
        import confluent_kafka

        while not self._should_stop():
            try:
                with onlooker(self._source) as looking:
                    now = stream_now(looking, self._source, ANSWER_S, self._position)
            except SourceError as error:
                self._complaint = str(error)
                self._consumer.poll(POLL_S)
                self._require_life()
                continue
            self._position, gaps = resume(self._position, now)
            self._gaps += gaps
            self._ahead = Ahead(self._position.partitions)
            self._consumer.assign(
                [
                    confluent_kafka.TopicPartition(self._source.topic, number, partition.next)
                    for number, partition in self._position.partitions.items()
                ]
            )
            self._alive_at = time.monotonic()
            return True
        return False

    @property
    def is_at_end(self) -> bool:
        """Whether every partition has reached its end."""
        return self._ahead.is_at_end

    def read(self, most: int | None = None) -> Batch:
        """Collect the next messages: as many as a batch holds, or fewer where the end is reached before."""
        most = self._source.batch_messages if most is None else most
        records: list[object] = []
        self._alive_at = time.monotonic()  # what was done with the batch before is not the broker's silence
        while len(records) < most and not (self.is_at_end or self._should_stop()):
            message = self._ahead.take()
            if message is None:
                try:
                    self._fetch()
                except SourceError:
                    if not records:
                        raise
                    break  # what was read is worth writing down; the next batch tells what is wrong
                continue
            records.append(record_of(message, self._source.schemas))
            self._last[message.partition()] = message
        if self._clock is not None and self._last:
            self._clock.hear_past("Kafka", max(map(time_of, self._last.values())))
        self._note_read()
        gaps, self._gaps = tuple(self._gaps), []
        offsets = {number: partition.next for number, partition in self._position.partitions.items()}
        commit = functools.partial(self._committer.commit, offsets)
        return Batch(records, self._position.to_json(), commit=commit, gaps=gaps)

    def _fetch(self) -> None:
        """Wait a moment for messages."""
        from confluent_kafka import KafkaError

        for message in self._consumer.consume(self._source.batch_messages, timeout=POLL_S):
            error = message.error()
            if error is None:
                self._ahead.put(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._ahead.end(message.partition())
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                # Our place is not there: what comes after it in another partition may be of another stream.
                self._note_read()
                self.begin()
                return
            else:
                self._hear_complaint(error)
                continue
            self._alive_at = time.monotonic()
        self._require_life()

    def _note_read(self) -> None:
        """Move the position behind what was taken."""
        partitions = dict(self._position.partitions)
        for number, message in self._last.items():
            partitions[number] = replace(partitions[number], next=message.offset() + 1, last=mark_of(message))
        self._last.clear()
        self._position = replace(self._position, partitions=partitions)

    def close(self) -> None:
        """Close the connections."""
        self._committer.close()
        BoundedCalls()(self._consumer.close, CLOSING_S)

    def _hear_complaint(self, error: "confluent_kafka.KafkaError") -> None:
        self._complaint = error_text(error, self._source)

    def _require_life(self) -> None:
        if time.monotonic() - self._alive_at < PATIENCE_S:
            return
        if not self._ahead.is_empty:
            self._ahead.wait_no_longer()
            return
        raise SourceError(
            f"the stream {self._source.topic} at {self._source.broker} gave nothing for {PATIENCE_S:g} s: "
            f"{self._complaint or 'no reason was given'}"
        )
