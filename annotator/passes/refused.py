"""`aha-annotator refused --retry`: what was refused is scored after a mend."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from annotator.clock import Clock
from annotator.config import Config
from annotator.models import ModelSet
from annotator.passes.recorded import recorded_pass
from annotator.passes.scoring.batch import take_refused
from annotator.passes.tally import add_taken
from annotator.passes.terms import enricher_of, scoring_of


@dataclass(frozen=True)
class Retried:
    """What became of what had been refused."""

    scored: int
    """What could be scored, or whose object was scored in a later state since."""
    refused: int
    """What is refused still."""


def retry_refused(config: Config, models: ModelSet, clock: Callable[[], float] = time.time) -> Retried:
    """Score again what was refused and not scored since, oldest first; the next pass sends what comes of it.

    Parameters
    ----------
    config, models, clock
        As for :func:`annotator.passes.run.run_pass`.

    Raises
    ------
    LedgerError
        If the ledger cannot be used, or a pass holds it.
    """
    clock = Clock(clock)
    with recorded_pass(config, clock) as (ledger, api, report):
        scoring = scoring_of(config, models, ledger, report, clock)
        enricher = enricher_of(config, api, models, ledger, scoring.dates)
        items = ledger.refused.open()
        scored = 0
        for item in items:
            taken = take_refused(item.refusal, scoring, enricher)
            if not taken.refusals:
                add_taken(report, taken)
                scored += 1
                ledger.refused.mark_scored([item.refused_id], clock())
    return Retried(scored, len(items) - scored)
