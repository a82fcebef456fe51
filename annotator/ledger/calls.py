"""The calls of the last hour."""

from annotator.ledger.database import Database

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
        with self._database.transaction():
            self._database.execute("DELETE FROM calls WHERE called_at < ?", (now - 2 * HOUR_S,))
            self._database.execute("INSERT INTO calls VALUES (?, ?)", (now, endpoint))

    def last_hour(self, now: float) -> tuple[int, int]:
        """Count the calls of the sliding hour: those that read, and those that write."""
        query = "SELECT endpoint, count(*) AS made FROM calls WHERE called_at > ? AND endpoint != ? GROUP BY endpoint"
        made = {row["endpoint"]: row["made"] for row in self._database.execute(query, (now - HOUR_S, THROTTLED))}
        writes = sum(count for endpoint, count in made.items() if endpoint in WRITING)
        return sum(made.values()) - writes, writes

    def last_hour_to(self, endpoint: str, now: float) -> int:
        """Count the calls of the sliding hour to one endpoint."""
        query = "SELECT count(*) FROM calls WHERE called_at > ? AND endpoint = ?"
        return self._database.execute(query, (now - HOUR_S, endpoint)).fetchone()[0]

    def note_throttled(self, now: float) -> None:
        """Note that Lasair refused a call for the number of them."""
        self._database.execute("INSERT INTO calls VALUES (?, ?)", (now, THROTTLED))

    def last_throttled(self, now: float) -> float | None:
        """Return when Lasair last refused a call for the number of them, None if not within the hour."""
        query = "SELECT max(called_at) FROM calls WHERE endpoint = ? AND called_at > ?"
        return self._database.execute(query, (THROTTLED, now - HOUR_S)).fetchone()[0]
