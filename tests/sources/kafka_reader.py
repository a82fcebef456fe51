"""A reader of streams that keeps what the ledger keeps of it, for tests that need no ledger."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from annotator.clock import Clock
from annotator.config import StreamSource
from annotator.ledger.positions import Gap
from annotator.sources.kafka import stream_batches
from annotator.sources.kafka_lag import read_lag
from annotator.sources.records import Batch


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [json.dumps({"n": number}).encode() for number in range(first, first + count)]


def numbers(batches: Iterable[Batch]) -> list[int]:
    return [record["n"] for batch in batches for record in batch.records]


@dataclass
class Reader:
    """Reads as passes do, and keeps of it what the ledger keeps."""

    source: StreamSource
    position: str | None = None
    gaps: list[Gap] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def read(self, should_stop: Callable[[], bool] = lambda: False, clock: Clock | None = None) -> Iterator[Batch]:
        """Make one pass: a batch is written down and committed before the next one is asked for."""
        with closing(stream_batches(self.source, self.position, should_stop, clock)) as batches:
            for batch in batches:
                yield batch
                self.keep(batch)

    def keep(self, batch: Batch) -> None:
        """Write down that a batch was read."""
        self.position = batch.position
        self.gaps += batch.gaps
        self.remarks += filter(None, [batch.commit()])

    @property
    def behind(self) -> int:
        """Messages that were not read yet."""
        return read_lag(self.source, self.position).messages
