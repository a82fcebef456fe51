"""The Kafka side of the embedded Lasair: a real broker on this machine, and a filter's stream on it.

The broker is the mock cluster inside librdkafka, the library that the annotator reads streams with. It speaks Kafka's
protocol to any client of any process, consumer groups and their timeouts included, keeps everything in memory and is
gone with its process.
"""

import json
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from annotator.errors import SourceError
from annotator.lasair.filters import FilterFile
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.filter_form import form_tables

if TYPE_CHECKING:
    import confluent_kafka


ROWS_PER_BATCH = 1000
"""Rows that one run of an active filter passes on; Lasair silently loses the rest."""
_PATIENCE_S = 10.0


class StreamBroker:
    """A Kafka broker on 127.0.0.1, a context manager.

    A topic has 4 partitions. Of each the newest 5 MB are kept: about 20,000 messages of 1 kB in a topic that nobody has
    read yet. The first reader of a consumer group waits 3 s for others to join, and its session timeout must be longer
    (measured with librdkafka 2.16.0).
    """

    def __init__(self) -> None:
        self._producer: confluent_kafka.Producer | None = None
        self._bootstrap = ""

    def __enter__(self) -> Self:
        import confluent_kafka

        self._producer = confluent_kafka.Producer(self._settings())
        brokers = self._producer.list_topics(timeout=_PATIENCE_S).brokers.values()
        self._bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    @property
    def bootstrap(self) -> str:
        """What clients connect to, as HOST:PORT."""
        return self._bootstrap

    def create_topic(self, topic: str) -> None:
        """Make a topic that holds nothing yet; one that is there stays as it is."""
        self._opened().list_topics(topic, timeout=_PATIENCE_S)

    def publish(self, topic: str, rows: Iterable[Mapping[str, object]]) -> int:
        """Send rows as an active filter of Lasair does, each with the time of sending; return how many.

        Raises
        ------
        SourceError
            If the broker did not take them all.
        """
        utc = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        return self.publish_raw(topic, (json.dumps({**row, "UTC": utc}).encode() for row in rows))

    def publish_raw(self, topic: str, values: Iterable[bytes]) -> int:
        """Send messages as they are, without a key, as Lasair does: any may go to any partition; return how many.

        Raises
        ------
        SourceError
            If the broker did not take them all.
        """
        import confluent_kafka

        failures: list[str] = []

        def note(error: confluent_kafka.KafkaError | None, _: object) -> None:
            if error:
                failures.append(error.str())

        producer, values = self._opened(), list(values)
        try:
            for value in values:
                producer.produce(topic, value, on_delivery=note)
        except confluent_kafka.KafkaException as failure:
            failures.append(failure.args[0].str())
        unanswered = producer.flush(_PATIENCE_S)
        if failures or unanswered:
            reason = failures[0] if failures else f"{unanswered} were not answered"
            raise SourceError(f"the embedded broker did not take all messages: {reason}")
        return len(values)

    def _settings(self) -> dict[str, object]:
        return {
            "test.mock.num.brokers": 1,
            "sticky.partitioning.linger.ms": 0,  # each message to a partition of its own, not a burst to each
            "queue.buffering.max.messages": 0,  # as many as there are
            "log_level": 0,  # it would tell standard error that it is a mock
        }

    def _opened(self) -> "confluent_kafka.Producer":
        if self._producer is None:
            raise RuntimeError("the broker is not up: use it in a with statement")
        return self._producer


def filter_rows(database: Database, filter_file: FilterFile) -> list[dict[str, object]]:
    """Run a filter as an active one is run on a batch of alerts: its columns, and at most :data:`ROWS_PER_BATCH` rows.

    Its tables are those that Lasair's form makes of SELECT. Its labels are as they were typed, which the shipped
    filters' are in Lasair's streams, too.

    Raises
    ------
    RejectedError
        If Lasair's rules or the database refuse it.
    """
    tables = form_tables(filter_file.selected, filter_file.annotators)
    return database.query(filter_file.selected, tables, filter_file.conditions, ROWS_PER_BATCH)
