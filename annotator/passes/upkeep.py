"""What a pass does for the ledger when its work is done."""

from collections.abc import Callable, Collection

from annotator.clock import Clock
from annotator.config import RetentionConfig
from annotator.ledger import Ledger
from annotator.ledger.care import damage_in_words
from annotator.ledger.retention import horizons_at


def look_after(ledger: Ledger, night: int, is_suspect: bool = False) -> list[str]:
    """Look through the ledger's file for damage; return what a person must know.

    Parameters
    ----------
    night
        A night's passes do so once.
    is_suspect
        Whether something failed in a way that damage may be behind: then it is looked at in any case.
    """
    if ledger.identity.was_looked_at_in(night) and not is_suspect:
        return []
    if said := damage_in_words(ledger, quick=not is_suspect):
        return [said]
    ledger.identity.note_looked_at(night)
    return []


LEAST_ROWS = 1000
"""Old scores that a pass looks at, be it ever so small."""
TIMES_SCORED = 4
"""Or as many as it has scored itself, so often: each is looked at three times, so that what is old becomes less."""


def forget(
    ledger: Ledger,
    retention: RetentionConfig,
    scored: int,
    clock: Clock,
    should_stop: Callable[[], bool],
    judged: Collection[str] | None,
) -> None:
    """Forget some of what is older than is kept; the next pass goes on from there.

    Parameters
    ----------
    ledger
        Held for the pass.
    retention
        For how long what is kept.
    scored
        Objects that the pass has scored.
    clock
        While nobody confirms what it says, nothing is forgotten by its age.
    should_stop
        Asked between steps.
    judged
        Objects that people judged; None where not all of them are known.
    """
    ledger.stream.forget()
    ledger.retention.forget_passes(retention.passes)
    if clock.is_confirmed:
        horizons = horizons_at(clock(), retention.score_nights, retention.numbers_nights, retention.unseen_months)
        ledger.retention.forget_lifetimes(horizons)
        ledger.retention.forget_scores(horizons, max(LEAST_ROWS, TIMES_SCORED * scored), should_stop, judged)
