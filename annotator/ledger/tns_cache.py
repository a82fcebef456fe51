"""What was looked up in TNS."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from annotator.decision.objects import TnsEntry
from annotator.ledger.store.database import Database
from annotator.ledger.store.schema import tns


class TnsCache:
    """What was looked up in TNS."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def without_between(self, object_ids: Sequence[str], since: float, now: float) -> list[str]:
        """Return the objects that were not looked up after `since`, in their order; none was later than now."""
        query = select(tns.c.object_id).where(tns.c.looked_up_at > since, tns.c.looked_up_at <= now)
        recent = {row.object_id for row in self._database.rows_of(query, tns.c.object_id, object_ids)}
        return [object_id for object_id in object_ids if object_id not in recent]

    def remember(self, entries: Mapping[str, TnsEntry | None], now: float) -> None:
        """Keep what was found, or that nothing was."""
        rows = [
            {
                "object_id": object_id,
                "name": entry.name if entry else None,
                "type": entry.type if entry else None,
                "looked_up_at": now,
            }
            for object_id, entry in entries.items()
        ]
        self._database.replace(tns, rows)

    def entries(self, object_ids: Sequence[str]) -> dict[str, TnsEntry]:
        """Return the objects that have a name."""
        query = select(tns.c.object_id, tns.c.name, tns.c.type).where(tns.c.name.is_not(None))
        rows = self._database.rows_of(query, tns.c.object_id, object_ids)
        return {row.object_id: TnsEntry(row.name, row.type) for row in rows}
