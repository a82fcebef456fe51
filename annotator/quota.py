"""The hour's calls: counted in the ledger across restarts, refused here before Lasair has to."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from annotator.errors import QuotaError
from annotator.ledger import HOUR_S, Ledger


@dataclass(frozen=True)
class CallBudget:
    """The right to call Lasair.

    Lasair counts rejected calls too and sends no Retry-After: whoever goes on calling after a 429 stays locked out. So
    after one there is an hour's silence, across restarts.
    """

    ledger: Ledger
    calls_per_hour: int
    """Calls that may be made in any sliding hour."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""

    def spend(self, endpoint: str) -> None:
        """Count a call that is about to be made; raise QuotaError where there is no room for it."""
        now = self.clock()
        throttled_at = self.ledger.last_throttled(now)
        if throttled_at is not None:
            until = time.strftime("%Y-%m-%d %H:%M", time.gmtime(throttled_at + HOUR_S))
            raise QuotaError(f"Lasair answered 429 within the last hour: no calls until {until} UTC")
        used = self.ledger.calls_last_hour(now)
        if used >= self.calls_per_hour:
            raise QuotaError(f"{used} of {self.calls_per_hour} calls were made in the last hour: the rest waits")
        self.ledger.count_call(endpoint, now)

    def throttled(self) -> None:
        """Note that Lasair answered 429."""
        self.ledger.note_throttled(self.clock())
