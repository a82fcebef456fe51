"""Ways in which the sandbox can be told to misbehave."""

import random
import threading
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal["refuse", "delay", "drop", "drop_after", "truncate", "garble", "lie", "duplicate"]
"""What goes wrong with a call.

- refuse: answered with a status, nothing done
- delay: done, the answer comes late
- drop: the connection breaks, nothing done
- drop_after: done, the connection breaks before the answer
- truncate: done, the answer breaks off in the middle
- garble: done, the answer is whole but only half of the JSON
- lie: the answer says success, nothing done (annotations only; other calls answer an empty list)
- duplicate: done, every row of the answer comes twice
"""


@dataclass(frozen=True)
class Fault:
    """One standing order to misbehave."""

    endpoint: str
    kind: FaultKind
    times: int | None
    share: float
    status: int
    seconds: float


class Faults:
    """The standing orders; the newest that fits a call is carried out."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._orders: list[tuple[Fault, list[int | None]]] = []

    def add(self, fault: Fault) -> None:
        """Take an order."""
        with self._lock:
            self._orders.insert(0, (fault, [fault.times]))

    def clear(self) -> None:
        """Forget all orders."""
        with self._lock:
            self._orders.clear()

    def next_for(self, endpoint: str) -> Fault | None:
        """Return what has to go wrong with this call."""
        with self._lock:
            for fault, left in self._orders:
                if fault.endpoint not in (endpoint, "*") or left[0] == 0 or self._random.random() >= fault.share:
                    continue
                if left[0] is not None:
                    left[0] -= 1
                return fault
        return None
