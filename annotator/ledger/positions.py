"""How far each source was read, and what it lacked."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from annotator.ledger.store.database import Database
from annotator.ledger.store.schema import gaps, positions

MAX_GAPS = 1000
"""Gaps that are kept, the newest: a topic that is made anew again and again has some at every pass."""


@dataclass(frozen=True)
class Gap:
    """Messages of a source that nobody can read any longer."""

    reason: str
    missed: int | None
    """How many; None where nobody knows."""

    def __str__(self) -> str:
        return f"{self.reason}; {'nobody knows how many' if self.missed is None else self.missed} messages are lost"


@dataclass(frozen=True)
class FoundGap:
    """A gap as the ledger keeps it."""

    found_at: float
    """Seconds since 1970."""
    source: str
    gap: Gap


@dataclass(frozen=True)
class Progress:
    """How far a source was read, and what it lacked on the way."""

    source: str
    position: str
    gaps: Sequence[Gap] = ()


class Positions:
    """How far each source was read, and what it lacked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, source: str) -> str | None:
        """Return how far a source was read, None if never."""
        return self._database.value(select(positions.c.position).where(positions.c.source == source))

    def note(self, progress: Progress, now: float) -> None:
        """Write how far a source was read; `now` is in seconds since 1970."""
        source = progress.source
        self._database.replace(positions, [{"source": source, "position": progress.position}])
        rows = [
            {"found_at": now, "source": source, "missed": gap.missed, "reason": gap.reason} for gap in progress.gaps
        ]
        if rows:
            self._database.write_each(insert(gaps), rows)
            newest = select(gaps.c.gap_id).order_by(gaps.c.gap_id.desc())
            self._database.write(
                delete(gaps).where(gaps.c.gap_id <= newest.offset(MAX_GAPS).limit(1).scalar_subquery())
            )

    def gaps_since(self, since: float) -> list[FoundGap]:
        """Return the gaps that were found since (seconds since 1970), oldest first."""
        rows = self._database.rows(select(gaps).where(gaps.c.found_at >= since).order_by(gaps.c.gap_id))
        return [FoundGap(row.found_at, row.source, Gap(row.reason, row.missed)) for row in rows]
