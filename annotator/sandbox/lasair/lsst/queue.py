"""The way of an annotation at Lasair for Rubin: acknowledged, put into Kafka, and stored later by one consumer of all.

The messages have no key and the topic has many partitions, so that of two annotations of an object the older one may be
applied last. The consumer builds SQL without escaping; a message that its database refuses ends it, and since it has
not said that it has read that message, it meets it again whenever it is started: nothing of anybody's is stored until a
person takes the message away.
"""

import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Queueing:
    """How long annotations wait, by the sandbox's clock."""

    delay_s: float = 1.0
    """What all of them wait at least."""
    late_share: float = 0.15
    """The share that waits longer: of 40 objects annotated three times, a second apart, 6 kept the second one."""
    late_s: float = 3.0
    """How much longer."""
    lost_share: float = 0.0
    """The share that is acknowledged and never stored."""
    twice_share: float = 0.0
    """The share that is stored once more, so much later as what waits longer: Kafka gives every message at least once,
    and again where the consumer ended before it had said that it had read it."""
    seed: int = 0
    """Which of them."""


AS_MEASURED = Queueing()


class AnnotationQueue:
    """Annotations between their acknowledgement and the table; safe to use from many threads.

    Parameters
    ----------
    store
        Stores one; raises sqlite3.Error where MariaDB would refuse it.
    queueing
        How long they wait.
    clock
        Returns Unix seconds.
    """

    def __init__(
        self, store: Callable[[Mapping[str, str]], None], queueing: Queueing, clock: Callable[[], float]
    ) -> None:
        self.queueing = queueing
        """How long those wait that come from now on."""
        self._store = store
        self._clock = clock
        self._random = np.random.default_rng(queueing.seed)
        self._lock = threading.RLock()
        self._waiting: list[tuple[float, int, Mapping[str, str]]] = []
        self._n_put = 0
        self._why_dead = ""

    @property
    def why_dead(self) -> str:
        """What the database said of the message that ended the consumer; empty while it lives."""
        with self._lock:
            return self._why_dead

    def __len__(self) -> int:
        """Return how many wait."""
        with self._lock:
            return len(self._waiting)

    def put(self, annotation: Mapping[str, str]) -> None:
        """Take an annotation that was acknowledged."""
        queueing = self.queueing
        with self._lock:
            is_late, is_lost, is_twice = self._random.random(3) < (
                queueing.late_share,
                queueing.lost_share,
                queueing.twice_share,
            )
            if is_lost:
                return
            for waits_longer in (is_late, True)[: 1 + is_twice]:
                wait_s = queueing.delay_s + (queueing.late_s if waits_longer else 0.0)
                self._waiting.append((self._clock() + wait_s, self._n_put, annotation))
                self._n_put += 1

    def settle(self) -> None:
        """Store what is due by now, until one ends the consumer."""
        with self._lock:
            if self._why_dead or not self._waiting:
                return
            now = self._clock()
            self._waiting.sort(key=lambda item: item[:2])
            while self._waiting and self._waiting[0][0] <= now:
                try:
                    self._store(self._waiting[0][2])
                except sqlite3.Error as error:
                    self._why_dead = str(error)
                    return
                self._waiting.pop(0)

    def restart(self, without_the_poison: bool) -> None:
        """Start the consumer anew; it meets the same message again unless a person has taken that away."""
        with self._lock:
            if self._why_dead and without_the_poison:
                self._waiting.pop(0)
            self._why_dead = ""
