"""What was looked up in TNS."""

from collections.abc import Mapping, Sequence

from annotator.decision.assessment import TnsEntry
from annotator.ledger.database import Database


class TnsCache:
    """What was looked up in TNS."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def without_since(self, object_ids: Sequence[str], since: float) -> list[str]:
        """Return the objects that were not looked up after `since`, in their order."""
        query = "SELECT object_id, looked_up_at FROM tns WHERE object_id IN ({})"
        recent = {row["object_id"] for row in self._database.rows_of(query, object_ids) if row["looked_up_at"] > since}
        return [object_id for object_id in object_ids if object_id not in recent]

    def remember(self, entries: Mapping[str, TnsEntry | None], now: float) -> None:
        """Keep what was found, or that nothing was."""
        with self._database.transaction():
            for object_id, entry in entries.items():
                values = (object_id, entry.name if entry else None, entry.type if entry else None, now)
                self._database.execute("INSERT OR REPLACE INTO tns VALUES (?, ?, ?, ?)", values)

    def entries(self, object_ids: Sequence[str]) -> dict[str, TnsEntry]:
        """Return the objects that have a name."""
        rows = self._database.rows_of("SELECT * FROM tns WHERE name IS NOT NULL AND object_id IN ({})", object_ids)
        return {row["object_id"]: TnsEntry(row["name"], row["type"]) for row in rows}
