"""Taking back what a bad release flagged."""

import time
from collections.abc import Callable

from annotator.annotation import Annotation, Classification
from annotator.clock import Clock
from annotator.config import Config
from annotator.decision.sending import taken_back
from annotator.errors import ConfigError
from annotator.models import ModelSet
from annotator.passes.delivery import deliver
from annotator.passes.recorded import recorded_pass
from annotator.passes.report import PassReport


def retract(config: Config, models: ModelSet, bad_version: str, clock: Callable[[], float] = time.time) -> PassReport:
    """Rewrite as normal what a bad release flagged; what doesn't fit into the hour's calls follows in later passes.

    Parameters
    ----------
    config, clock
        As for :func:`run_pass`.
    models
        The models that are installed now; every object is scored with them when it is next seen.
    bad_version
        The model set to retract.

    Raises
    ------
    ConfigError
        If that is the set that is installed: the next pass would flag the same objects again.
    """
    if models.version == bad_version:
        raise ConfigError(f"{bad_version} is still installed: install another model set first, then retract this one")
    clock = Clock(clock)
    with recorded_pass(config, clock) as (ledger, api, report):
        flagged = [
            item for item in ledger.outbox.of_version(bad_version) if item.classification != Classification.NORMAL
        ]
        ledger.outbox.queue([_retraction(annotation) for annotation in flagged], clock())
        report.queued = len(flagged)
        report.delivery = deliver(ledger.outbox, api, config.batch_annotations, clock, lambda: False)
    return report


def _retraction(flag: Annotation) -> Annotation:
    why = f"Retracted: {flag.classification} by {flag.version}, a release found to be faulty."
    return taken_back(flag, why)
