"""Messages that were read ahead of their turn: they are taken in the order of their times, whatever their partition."""

import heapq
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import confluent_kafka


MAX_AHEAD_BYTES = 8_388_608
"""What waits for the messages of a partition that is behind the others; beyond it, order gives way."""


class Ahead:
    """The messages of some partitions, merged by their times; each partition's stay in their order.

    Lasair's messages have no key, so that the states of one object come from any partition, and librdkafka gives a lot
    of one partition before a lot of the next: in which order is for nobody to know.

    Parameters
    ----------
    partitions
        Those that are read. None is past another before all have said what they have, or that they have nothing.
    """

    def __init__(self, partitions: Iterable[int] = ()) -> None:
        self._queues: dict[int, deque[confluent_kafka.Message]] = {number: deque() for number in partitions}
        self._open = set(self._queues)
        self._silent = set(self._queues)
        self._heads: list[tuple[int, int]] = []
        self._bytes = 0
        self._waits = True

    @property
    def is_at_end(self) -> bool:
        """Whether every partition was at its end at one time, and all that it had was taken."""
        return not self._open and not self._heads

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._heads

    def put(self, message: "confluent_kafka.Message") -> None:
        """Add a partition's next message."""
        number = message.partition()
        queue = self._queues[number]
        self._waits = True
        queue.append(message)
        self._bytes += len(message)
        if len(queue) == 1:
            self._silent.discard(number)
            heapq.heappush(self._heads, (message.timestamp()[1], number))

    def end(self, partition: int) -> None:
        """Note that a partition has nothing more just now."""
        self._open.discard(partition)
        self._silent.discard(partition)

    def wait_no_longer(self) -> None:
        """Give out what is there, though a partition says nothing, until one says something again."""
        self._waits = False

    def take(self) -> "confluent_kafka.Message | None":
        """Return the oldest message of all, None while it is not known which one that is."""
        if not self._heads or (self._waits and self._silent and self._bytes <= MAX_AHEAD_BYTES):
            return None
        _, number = heapq.heappop(self._heads)
        queue = self._queues[number]
        message = queue.popleft()
        self._bytes -= len(message)
        if queue:
            heapq.heappush(self._heads, (queue[0].timestamp()[1], number))
        elif number in self._open:
            self._silent.add(number)
        return message
