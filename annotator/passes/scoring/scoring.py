"""What objects are scored and decided by."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from annotator.attention.dates import Dates
from annotator.decision.objects import ScoredState, Seen
from annotator.decision.rules import Rules
from annotator.ledger import Ledger
from annotator.models import ModelSet
from annotator.verdicts import Verdict


@dataclass(frozen=True)
class Scoring:
    """What objects are scored and decided by, and where that is written down."""

    ledger: Ledger
    models: ModelSet
    rules: Rules
    verdicts: Mapping[str, Verdict]
    """The one that holds of each object that was judged."""
    clock: Callable[[], float]
    """Seconds since 1970."""
    dates: Dates
    """Which dates are believed."""

    def states(self, seen: Iterable[Seen]) -> dict[str, ScoredState]:
        """Look up what the ledger knows of objects, as far as its dates are believed."""
        return self.dates.believed(self.ledger.scores.states([item.transient.object_id for item in seen]))
