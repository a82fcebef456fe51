"""The hour's calls: counted in the ledger across restarts, refused here before Lasair has to.

By hand, and not by a rate limiter's library: what is left has two shares, survives a restart in the ledger's own
transaction, counts as Lasair counts (each call twice, in a sliding hour), and stands still for an hour after a 429.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from annotator.errors import QuotaError
from annotator.ledger import Ledger
from annotator.ledger.calls import HOUR_S, WRITING


@dataclass(frozen=True)
class CallBudget:
    """The right to call Lasair.

    Lasair counts rejected calls too and sends no Retry-After: whoever goes on calling after a 429 stays locked out. So
    after one there is an hour's silence, across restarts.
    """

    ledger: Ledger
    calls_per_hour: int
    """Calls that may be made in any sliding hour."""
    read_share: float
    """Part of them that is kept for reading; the rest is for writing, so that neither can starve the other."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""

    def spend(self, endpoint: str) -> None:
        """Count a call that is about to be made; raise QuotaError where there is no room for it."""
        now = self.clock()
        kind, room = ("write", self.writes_per_hour) if endpoint in WRITING else ("read", self.reads_per_hour)
        if self.ledger.calls.take(endpoint, room, now):
            return
        throttled_at = self.ledger.calls.last_throttled(now)
        if throttled_at is not None:
            until = time.strftime("%Y-%m-%d %H:%M", time.gmtime(throttled_at + HOUR_S))
            raise QuotaError(f"Lasair answered 429 within the last hour: no calls until {until} UTC")
        raise QuotaError(f"all {room} calls an hour that are kept to {kind} were made: the rest waits")

    def left(self) -> tuple[int, int]:
        """Return how many calls are left of this hour: to read, and to write."""
        reads, writes = self.ledger.calls.last_hour(self.clock())
        return max(0, self.reads_per_hour - reads), max(0, self.writes_per_hour - writes)

    @property
    def reads_per_hour(self) -> int:
        """Calls an hour for reading; of two calls or more, one at the least for each."""
        return min(max(1, round(self.calls_per_hour * self.read_share)), self.calls_per_hour - 1)

    @property
    def writes_per_hour(self) -> int:
        """Calls an hour for writing."""
        return self.calls_per_hour - self.reads_per_hour

    def throttled(self) -> None:
        """Note that Lasair answered 429."""
        self.ledger.calls.note_throttled(self.clock())
