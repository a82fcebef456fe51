"""What time it is: our clock may be wrong, and those we talk to tell theirs."""

import threading
import time
from collections.abc import Callable


class Clock:
    """The latest of our clock, Lasair's and Kafka's; calling it returns seconds since 1970.

    A date ahead of this is ahead of every clock we know of. Others' clocks are heard as by-products of their answers;
    safe to share between threads.

    Parameters
    ----------
    ours
        This machine's, in seconds since 1970.
    """

    def __init__(self, ours: Callable[[], float] = time.time) -> None:
        self._ours = ours
        self._lock = threading.Lock()
        self._ahead_s: dict[str, float] = {}

    def __call__(self) -> float:
        """Return the present, in seconds since 1970."""
        with self._lock:
            return self._ours() + max([0.0, *self._ahead_s.values()])

    def hear(self, who: str, said: float) -> None:
        """Take note of what somebody's clock says just now, in seconds since 1970."""
        with self._lock:
            self._ahead_s[who] = said - self._ours()

    @property
    def disagreement_s(self) -> float:
        """By how much the two clocks differ that differ most, ours among them; 0 where nobody else was heard."""
        with self._lock:
            offsets = [0.0, *self._ahead_s.values()]
        return max(offsets) - min(offsets)
