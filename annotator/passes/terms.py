"""What the objects of a pass are scored and decided by, and what fetches their views: as configured, and as known."""

import dataclasses
from collections.abc import Callable, Mapping

from annotator.attention.dates import Dates
from annotator.clock import Clock
from annotator.config import Config, FileSource
from annotator.decision.classify import exotic_threshold_of
from annotator.decision.rules import Rules
from annotator.lasair.api import LasairApi
from annotator.lasair.cutout_cache import CutoutCache
from annotator.lasair.cutouts import CutoutFetcher, moved_root
from annotator.ledger import Ledger
from annotator.models import ModelSet
from annotator.nights import night_of
from annotator.passes.judging import weights_of_worth
from annotator.passes.own_scale import on_own_scale
from annotator.passes.recorded import step
from annotator.passes.report import PassReport
from annotator.passes.scoring.enrich import Enricher
from annotator.passes.scoring.scoring import Scoring
from annotator.surveys import SURVEYS
from annotator.verdicts import Verdict, ahead_in_words, latest, merge, read_if_any, refused_in_words


def scoring_of(config: Config, models: ModelSet, ledger: Ledger, report: PassReport, clock: Clock) -> Scoring:
    """Gather what the objects of a pass are scored and decided by.

    Where a line of the file of verdicts, or all of it, cannot be read, which is a problem of the report, all other
    verdicts apply, and what people judged otherwise stands.
    """
    kept, dates, now = ledger.verdicts.holding(), Dates(config.survey, clock), clock()
    rules, report.thresholds = on_own_scale(rules_of(config, models), ledger, now)

    def scoring(rules: Rules, verdicts: Mapping[str, Verdict]) -> Scoring:
        worth = weights_of_worth(config.worth, models, ledger, verdicts)
        return Scoring(ledger, models, dataclasses.replace(rules, worth=worth), verdicts, clock, dates)

    with step(report, "reading the verdicts"):
        in_file = read_if_any(config.verdicts)
        report.problems += [*refused_in_words(in_file.refused), *ahead_in_words(in_file.verdicts, config.verdicts, now)]
        if in_file.refused:
            rules = dataclasses.replace(rules, leaves_judged=True)
        return scoring(rules, latest(merge(in_file.verdicts, kept), now))
    return scoring(dataclasses.replace(rules, leaves_judged=True), latest(kept, now))


def rules_of(config: Config, models: ModelSet) -> Rules:
    """Gather what the objects of a pass are decided by."""
    return Rules(
        thresholds=config.decision,
        exotic_threshold=exotic_threshold_of(models, config.decision),
        topic=config.annotation.topic,
        classes=config.annotation.classes,
        resend_margin=config.annotation.resend_margin,
        model_set=models.version,
        head_inputs=models.head_inputs,
        distributions=models.distributions,
    )


def enricher_of(
    config: Config,
    api: LasairApi,
    models: ModelSet,
    ledger: Ledger,
    dates: Dates,
    should_stop: Callable[[], bool] = lambda: False,
) -> Enricher:
    """Return what fetches the views that records lack."""
    source, kept = config.source, config.cutouts
    cutouts = CutoutFetcher(
        config.lasair.allowed_cutout_hosts(SURVEYS[config.survey]),
        kept.parallel,
        kept.timeout_s,
        CutoutCache(kept.cache, kept.cache_megabytes * 1e6),
        source.path.parent if isinstance(source, FileSource) else None,
        api.breakers,
        moved_root(api.survey, config.lasair),
    )
    # A recorded file is replayed as it is: what Lasair says of an object today is not what the record is of.
    asked = None if isinstance(source, FileSource) else api
    night = night_of(api.budget.clock())
    return Enricher(models.views, asked, config.lasair, cutouts, ledger.kept, night, should_stop, dates.parse)
