"""How far the ledger is behind its stream, and a look at one message; neither changes anything."""

from dataclasses import dataclass

from annotator.config import StreamSource
from annotator.errors import SourceError
from annotator.sources.kafka_client import ANSWER_S, messages_at, onlooker, record_of, stream_now, time_of
from annotator.sources.stream_position import read_position, resume


@dataclass(frozen=True)
class Lag:
    """How far the ledger is behind a stream."""

    messages: int
    oldest_at: float | None
    """When the oldest message that was not read arrived (seconds since 1970), None where all were."""


def read_lag(source: StreamSource, position: str | None, timeout_s: float = ANSWER_S) -> Lag:
    """Ask the broker how far the ledger is behind.

    Parameters
    ----------
    source
        Where the stream is.
    position
        The ledger's; None where it was never read.
    timeout_s
        For each question.

    Raises
    ------
    SourceError
        If the broker does not answer, or has no such stream.
    """
    try:
        with onlooker(source) as consumer:
            now = stream_now(consumer, source, timeout_s, read_position(position))
            resumed, _ = resume(read_position(position), now)
            behind = {
                number: partition.next
                for number, partition in resumed.partitions.items()
                if partition.next < now.partitions[number].high
            }
            messages = sum(now.partitions[number].high - offset for number, offset in behind.items())
            found = messages_at(consumer, source, behind, timeout_s).values()
    except SourceError as error:
        raise SourceError(f"the stream {source.topic}: the lag is unknown: {error}") from error
    return Lag(messages, min((time_of(message) for message in found if message is not None), default=None))


def peek(source: StreamSource, timeout_s: float = ANSWER_S) -> object | None:
    """Read one of the newest records of the stream; None where the stream holds none.

    Raises
    ------
    SourceError
        If the broker does not answer, or has no such stream.
    """
    try:
        with onlooker(source) as consumer:
            now = stream_now(consumer, source, timeout_s)
            newest = {
                n: partition.high - 1 for n, partition in now.partitions.items() if partition.low < partition.high
            }
            found = messages_at(consumer, source, newest, timeout_s).values()
    except SourceError as error:
        raise SourceError(f"the stream {source.topic}: it cannot be read: {error}") from error
    return next((record_of(message, source.schemas) for message in found if message is not None), None)
