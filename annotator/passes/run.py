"""One pass over a source: read, score, decide, write down, send. The only module that knows all the others."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from annotator.annotation import Annotation
from annotator.config import Config
from annotator.decision.announcement import sort_out
from annotator.errors import AhaError, LasairApiError, QuotaError, SourceError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger, pass_lock
from annotator.models import ModelSet
from annotator.passes.batch import assess_source
from annotator.passes.classes import take_classes
from annotator.passes.delivery import deliver
from annotator.passes.judging import apply, standing_verdicts, take_back
from annotator.passes.late_reasons import find_late_reasons
from annotator.passes.report import PassReport

log = logging.getLogger(__name__)


def run_pass(
    config: Config,
    models: ModelSet,
    clock: Callable[[], float] = time.time,
    should_stop: Callable[[], bool] = lambda: False,
    on_dry_annotation: Callable[[Annotation], None] | None = None,
) -> PassReport:
    """Make one pass and return what it did.

    Whoever gives the report out says so with :func:`note_announced` afterwards: what it names is named again by the
    next report until then, so that a crash in between announces twice and never fails to announce.

    Parameters
    ----------
    config
        The configuration, with its token.
    models
        The survey's models.
    clock
        Seconds since 1970.
    should_stop
        Asked between batches and between annotations; what is in hand is finished first.
    on_dry_annotation
        Where given, this is a dry run: annotations go there instead of to Lasair, and neither the ledger nor the
        stream's offsets change.

    Raises
    ------
    LedgerError, ModelError, SourceError, ConfigError
        If the pass cannot be made, or not to its end. What goes wrong with Lasair's API is in the report, and the
        next pass goes on from there.
    """
    is_dry = on_dry_annotation is not None
    with recorded_pass(config, clock, is_dry) as (ledger, api, report):
        verdicts = standing_verdicts(config, ledger)
        report.judged = apply(verdicts, ledger, clock()) + take_back(verdicts, config, ledger, models, clock())
        report.queued = report.judged
        try:
            assess_source(config, ledger, api, models, verdicts, report, clock, should_stop, commit=not is_dry)
        except QuotaError as error:
            report.reading_pause = str(error)
        except (LasairApiError, SourceError) as error:
            # What was read before is worth sending, today as on any other day.
            report.reading_problem = str(error)
        take_classes(config, ledger, api, report, clock())
        if on_dry_annotation:
            for annotation in ledger.outbox.due(clock()):
                on_dry_annotation(annotation)
        else:
            report.delivery = deliver(ledger, api, config.lasair.batch_annotations, clock, should_stop)
        _announce(config, ledger, report)
        if not is_dry:
            find_late_reasons(ledger, models, should_stop)
    return report


def note_announced(config: Config, report: PassReport, clock: Callable[[], float] = time.time) -> None:
    """Note that a report was given out: what it named is not announced again unless there is more to it.

    Raises
    ------
    LedgerError
        If it cannot be noted; the next report names the same objects.
    """
    if report.announced or report.announcement.unchanged:
        with Ledger(config.ledger) as ledger:
            ledger.announcements.mark_announced(report.announced, report.announcement.unchanged, clock())


@contextlib.contextmanager
def recorded_pass(
    config: Config, clock: Callable[[], float], is_dry: bool = False
) -> Iterator[tuple[Ledger, LasairApi, PassReport]]:
    """Hold the ledger for a pass, and note in it how the pass ended, whatever happens."""
    token = config.require_token()
    with pass_lock(config.ledger), Ledger(config.ledger) as kept:
        ledger = kept.copy_in_memory() if is_dry else kept
        # A dry run's reads are calls like any other: they are counted in the ledger that stays.
        budget = CallBudget(kept, config.lasair.usable_calls_per_hour, config.lasair.read_share, clock)
        api = LasairApi(config.lasair.endpoint, token, config.lasair.timeout_s, budget)
        pass_id = ledger.passes.begin(clock())
        report = PassReport()
        outcome = "interrupted"
        try:
            yield ledger, api, report
            outcome = report.problem or "done"
        except AhaError as error:
            outcome = str(error)
            raise
        finally:
            report.waiting = ledger.outbox.counts()["waiting"]
            ledger.passes.end(pass_id, outcome, report.counts(), clock())
            if is_dry:
                ledger.close()


def _announce(config: Config, ledger: Ledger, report: PassReport) -> None:
    """Tell the anomalies apart that people have not heard of, whichever pass scored them."""
    anomalies = ledger.announcements.to_announce()
    announced = ledger.announcements.announced([anomaly.object_id for anomaly in anomalies])
    report.announcement = sort_out(anomalies, announced, config.decision.announce_margin)
