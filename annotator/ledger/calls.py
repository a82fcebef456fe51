"""The calls of the last hour; one that is dated later than now was noted by a clock that was wrong, and is in none."""

from sqlalchemy import ColumnElement, and_, delete, func, insert, literal, select

from annotator.ledger.store.database import Database
from annotator.ledger.store.schema import calls

HOUR_S = 3600.0
WRITING = ("annotate", "annotatelist")
"""Endpoints that write; all others read."""
THROTTLED = "429"


class Calls:
    """The calls of the sliding hour."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, endpoint: str, now: float) -> None:
        """Note one call, before it is made: a call that is lost was still counted by Lasair."""
        self._database.write(insert(calls).values(called_at=now, endpoint=endpoint))

    def take(self, endpoint: str, most: int, now: float) -> bool:
        """Note one call if there is room for it; return whether there was.

        Room is where Lasair has not refused a call for the number of them within the hour, and fewer than `most` calls
        of the kind, reading or writing, were made in it.
        """
        of_kind = (
            calls.c.endpoint.in_(WRITING) if endpoint in WRITING else calls.c.endpoint.not_in((*WRITING, THROTTLED))
        )
        in_hour = _in_hour(now)
        made = select(func.count()).where(in_hour, of_kind).scalar_subquery()
        throttled = select(literal(1)).where(in_hour, calls.c.endpoint == THROTTLED).exists()
        call = select(literal(now), literal(endpoint)).where(and_(made < most, ~throttled, self._database.is_ours()))
        taken = insert(calls).from_select(["called_at", "endpoint"], call).returning(calls.c.called_at)
        self._database.check_place()
        if self._database.value(taken) is not None:
            return True
        self._database.check_fence()
        return False

    def forget(self, now: float) -> None:
        """Forget what no budget counts any longer."""
        self._database.write(delete(calls).where(calls.c.called_at < now - 2 * HOUR_S))

    def last_hour(self, now: float) -> tuple[int, int]:
        """Count the calls of the sliding hour: those that read, and those that write."""
        query = select(calls.c.endpoint, func.count()).where(_in_hour(now))
        rows = self._database.rows(query.where(calls.c.endpoint != THROTTLED).group_by(calls.c.endpoint))
        writes = sum(made for endpoint, made in rows if endpoint in WRITING)
        return sum(made for _, made in rows) - writes, writes

    def last_hour_to(self, endpoint: str, now: float) -> int:
        """Count the calls of the sliding hour to one endpoint."""
        query = select(func.count()).where(_in_hour(now), calls.c.endpoint == endpoint)
        return self._database.value(query)

    def note_throttled(self, now: float) -> None:
        """Note that Lasair refused a call for the number of them."""
        self.count(THROTTLED, now)

    def last_throttled(self, now: float) -> float | None:
        """Return when Lasair last refused a call for the number of them, None if not within the hour."""
        query = select(func.max(calls.c.called_at)).where(calls.c.endpoint == THROTTLED)
        return self._database.value(query.where(_in_hour(now)))


def _in_hour(now: float) -> ColumnElement[bool]:
    return and_(calls.c.called_at > now - HOUR_S, calls.c.called_at <= now)
