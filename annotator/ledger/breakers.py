"""Endpoints that are left alone for a while, kept across passes and restarts."""

from dataclasses import dataclass

from sqlalchemy import delete, select

from annotator.ledger.store.database import Database
from annotator.ledger.store.schema import breakers


@dataclass(frozen=True)
class Pause:
    """Why and how long an endpoint is left alone."""

    opened_at: float
    """Since when nothing of use came from it, in seconds since 1970."""
    until: float
    """When it may be asked again, in seconds since 1970."""
    times: int
    """Pauses one after the other, without a good answer between them."""
    cause: str
    """What was said, by the server or of it."""


class Breakers:
    """The endpoints that are left alone just now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pauses(self) -> dict[str, Pause]:
        """Return the pauses by endpoint; one that is over stays until there is a good answer."""
        rows = self._database.rows(select(breakers).order_by(breakers.c.opened_at, breakers.c.endpoint))
        return {row.endpoint: Pause(row.opened_at, row.paused_until, row.times, row.cause) for row in rows}

    def keep(self, endpoint: str, pause: Pause) -> None:
        """Note a pause."""
        row = {"opened_at": pause.opened_at, "paused_until": pause.until, "times": pause.times, "cause": pause.cause}
        self._database.replace(breakers, [{"endpoint": endpoint} | row])

    def forget(self, endpoint: str) -> None:
        """Note that an endpoint gave a good answer."""
        self._database.write(delete(breakers).where(breakers.c.endpoint == endpoint))
