"""What time it is: our clock may be wrong, and those we talk to tell theirs."""

import threading
import time
from collections.abc import Callable

MAX_DISAGREEMENT_S = 3600.0
"""Clocks that differ by more cannot be told apart by what is right: nothing is deleted by age."""


LATEST_S = 4_102_444_800.0
"""2100-01-01: what is said to be later is no time, such as one in microseconds, or the last that can be written."""


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
        """Take note of what somebody's clock says just now, in seconds since 1970.

        What was said is a little older than when it is heard: of several times that somebody tells, the one that is
        furthest ahead of ours is the closest to their clock. What is later than :data:`LATEST_S` is not heard.
        """
        if said >= LATEST_S:
            return
        with self._lock:
            ahead_s = said - self._ours()
            self._ahead_s[who] = max(ahead_s, self._ahead_s.get(who, ahead_s))

    def hear_past(self, who: str, said: float) -> None:
        """Take note of a moment that has passed by somebody's clock, such as when a message was written.

        It tells no more than that now is later.
        """
        if said > self._ours():
            self.hear(who, said)

    @property
    def ahead_s(self) -> dict[str, float]:
        """By how much each clock that was heard is ahead of ours, in seconds; negative where it is behind."""
        with self._lock:
            return dict(self._ahead_s)

    @property
    def disagreement_s(self) -> float:
        """By how much the two clocks differ that differ most, ours among them; 0 where nobody else was heard."""
        offsets = [0.0, *self.ahead_s.values()]
        return max(offsets) - min(offsets)

    @property
    def is_confirmed(self) -> bool:
        """Whether somebody else was heard, and all agree to within :data:`MAX_DISAGREEMENT_S`."""
        return bool(self.ahead_s) and self.disagreement_s <= MAX_DISAGREEMENT_S
