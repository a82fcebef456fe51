"""What people said of an object, and who asks: as the pages of a server show it to one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from annotator.ledger.verdicts import KeptVerdict
from annotator.verdicts import Verdict, latest, merge


@dataclass(frozen=True)
class Said:
    """What people said of one object."""

    holds: Verdict | None
    others: tuple[Verdict, ...]
    """The last of everybody whose verdict does not hold, newest first."""
    own: KeptVerdict | None
    """The asking person's newest verdict that can be taken back."""
    seen: int
    """The number of the newest verdict in the ledger; 0 where there is none."""


@dataclass(frozen=True)
class Bar:
    """The form that takes a verdict."""

    object_id: str
    said: Said | None
    """None where the ledger cannot be asked."""
    note: str = ""
    """What is typed into it already."""
    following: str = ""
    """The page to show after it."""
    seen_before: int = 0
    """The number of the newest verdict that was shown, where `said` is not known."""

    @property
    def seen(self) -> int:
        """The number of the newest verdict that whoever sends it has been shown."""
        return self.said.seen if self.said else self.seen_before


@dataclass(frozen=True)
class Session:
    """Whoever asks, and what is shown to them besides the night."""

    person: str
    csrf_token: str
    last: KeptVerdict | None = None
    """Their verdict on another object that led to this page: it can be taken back from here."""
    n_judged: int = 0
    """Objects of the list on which a verdict holds."""
    bar: Bar | None = None


def said_of(object_id: str, kept: Sequence[KeptVerdict], in_file: Sequence[Verdict], person: str) -> Said:
    """Gather what was said of an object: `kept` in the ledger, and in the configured file."""
    of_object = [item for item in in_file if item.object_id == object_id]
    said = merge(of_object, (item.verdict for item in kept if item.undone_at is None))
    holds = latest(said).get(object_id)
    by_person = {item.person: item for item in said}
    others = sorted((item for item in by_person.values() if item is not holds), key=lambda v: v.when, reverse=True)
    return Said(holds, tuple(others), newest_own(kept, person), max((item.verdict_id for item in kept), default=0))


def newest_own(kept: Sequence[KeptVerdict], person: str) -> KeptVerdict | None:
    """Return a person's newest verdict that was not taken back."""
    own = [item for item in kept if item.verdict.person == person and item.undone_at is None]
    return max(own, key=lambda item: (item.verdict.when, item.verdict_id), default=None)
