"""One pass over a source: read, score, decide, write down, send. The only module that knows all the others."""

import contextlib
import dataclasses
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from annotator.annotation import Annotation
from annotator.attention import shares, silence
from annotator.attention.dates import Dates, clock_in_words
from annotator.clock import Clock
from annotator.config import Config, FileSource, QuerySource, Source, StreamSource
from annotator.decision.announcement import Announcement, sort_out
from annotator.decision.attention import once_known
from annotator.errors import QuotaError
from annotator.lasair.api import LasairApi
from annotator.lasair.filters import load_filter
from annotator.ledger import Ledger, open_known
from annotator.ledger.pass_log import PassRecord
from annotator.ledger.positions import Progress
from annotator.models import ModelSet
from annotator.nights import night_of
from annotator.passes.classes import take_classes
from annotator.passes.delivery import deliver
from annotator.passes.judging import apply_verdicts, make_anew, take_back, take_back_passers_by
from annotator.passes.recorded import recorded_pass, step
from annotator.passes.report import PassReport
from annotator.passes.scoring.batch import take_batch, take_waiting
from annotator.passes.scoring.enrich import Enricher
from annotator.passes.scoring.late_reasons import find_late_reasons
from annotator.passes.scoring.scoring import Scoring
from annotator.passes.sweep import sweep
from annotator.passes.tally import add_taken, counts, note_demoted
from annotator.passes.terms import enricher_of, scoring_of
from annotator.passes.upkeep import forget, look_after
from annotator.sources.files import file_batches
from annotator.sources.kafka import stream_batches
from annotator.sources.query import query_batches
from annotator.sources.records import Batch

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
    LedgerError
        If the ledger cannot be used, or another pass holds it. Whatever else goes wrong is in the report: the steps
        after it are made, delivery above all, and the next pass goes on from there.
    ConfigError
        If there is no token.
    """
    clock = Clock(clock)
    with recorded_pass(config, clock, is_dry=on_dry_annotation is not None) as (ledger, api, report):
        scoring = scoring_of(config, models, ledger, report, clock)
        work = _Work(config, scoring, api, report, clock, should_stop)
        with step(report, "applying the verdicts"):
            _judge(work)
        with step(report, "preparing to read"):
            enricher = enricher_of(config, api, models, ledger, work.dates, should_stop)
            with step(report, "reading"):
                _read(work, enricher, is_dry=on_dry_annotation is not None)
            with step(report, "scoring again what had waited"):
                _score_waiting(work, enricher)
            enricher.note_refused()
        with step(report, "taking back what is a solar-system object"):
            report.queued += take_back_passers_by(ledger, clock())
        with step(report, "looking up classes in TNS"):
            _take_classes(work)
        if on_dry_annotation:
            for annotation in ledger.outbox.due(clock()):
                on_dry_annotation(annotation)
        else:
            with step(report, "the sweep"):
                report.sweep = sweep(ledger, api, config.annotation.topic, clock, should_stop)
            with step(report, "delivery"):
                report.delivery = deliver(
                    ledger.outbox,
                    api,
                    config.batch_annotations,
                    clock,
                    should_stop,
                    objects_are_in_main=isinstance(config.source, QuerySource),
                )
            with step(report, "making damaged annotations anew"):
                _mend(work)
        with step(report, "the announcement"):
            report.announcement = _announcement(ledger, config.decision.announce_margin)
        if not on_dry_annotation:
            with step(report, "finding late reasons"):
                find_late_reasons(ledger, models, should_stop)
            with step(report, "forgetting what is old"):
                judged = None if scoring.rules.leaves_judged else scoring.verdicts
                forget(ledger, config.retention, report.scored, clock, should_stop, judged)
            report.problems += look_after(ledger, night_of(clock()), is_suspect=report.broke_off)
        with step(report, "looking for what is unusual"):
            report.problems += _unusual(work)
    return report


@dataclass(frozen=True)
class _Work:
    """What the steps of a pass share."""

    config: Config
    scoring: Scoring
    api: LasairApi
    report: PassReport
    clock: Clock
    should_stop: Callable[[], bool]

    @property
    def ledger(self) -> Ledger:
        """Where all is written down."""
        return self.scoring.ledger

    @property
    def dates(self) -> Dates:
        """Which dates are believed."""
        return self.scoring.dates


def _judge(work: _Work) -> None:
    """Rewrite what Lasair holds against people's verdicts.

    Nothing is taken back while a line of the file of verdicts cannot be read: it may hold the verdict.
    """
    report, scoring = work.report, work.scoring
    report.judged = report.queued = apply_verdicts(scoring.verdicts, work.ledger, work.clock())
    if not scoring.rules.leaves_judged:
        taken_back = take_back(scoring)
        report.judged += taken_back
        report.queued += taken_back


def _read(work: _Work, enricher: Enricher, is_dry: bool) -> None:
    """Read the source until its present end; score, decide and write down batch by batch."""
    report, source = work.report, work.config.source
    try:
        with contextlib.closing(_batches(source, work.api, work.ledger, work.should_stop, work.clock)) as batches:
            for batch in batches:
                taken = take_batch(batch.records, work.scoring, enricher, _progress(source, batch))
                add_taken(report, taken)
                work.dates.note(taken.scored_objects)
                if news := len(batch.records) - batch.repeated:
                    report.news = (report.news or 0) + news
                report.remarks += map(str, batch.gaps)
                if not is_dry and (remark := batch.commit()):
                    report.remarks.append(remark)
                log.info("%d read, %d scored, %d refused so far", report.read, report.scored, report.refused)
        if not work.should_stop():
            report.news = report.news or 0
    except QuotaError as error:
        report.reading_pause = str(error)


def _mend(work: _Work) -> None:
    """Make anew what the steps before have found damaged; the next pass sends it."""
    if damaged := list(work.ledger.outbox.damaged):
        work.report.queued += make_anew(work.scoring)
        work.report.problems.append(
            f"{len(damaged)} annotations in the ledger are damaged, such as that of {damaged[0]}: they are made anew "
            "of what is kept of their objects, or with their next states; look at the disk that holds the ledger"
        )


def _score_waiting(work: _Work, enricher: Enricher) -> None:
    """Score again what can be completed now, of the objects that had to do without a modality."""
    if work.should_stop():
        return
    taken = take_waiting(work.scoring, enricher)
    work.report.completed_later = len(taken.scored_objects)
    add_taken(work.report, taken)
    work.dates.note(taken.scored_objects)


def _take_classes(work: _Work) -> None:
    """Look up in TNS what is flagged, and what would lead the list."""
    report = work.report
    flagged = [item.object_id for item in report.flagged]
    taken = take_classes(flagged, report.places, work.ledger, work.api, work.config.decision, work.clock())
    report.tns = taken.entries
    note_demoted(report, taken.demoted)


def _unusual(work: _Work) -> list[str]:
    """Say what a person must look at though no step failed."""
    passes, report, now = work.ledger.passes, work.report, work.clock()
    words = [*work.dates.in_words(), *clock_in_words(work.clock)]
    source = work.config.source
    if isinstance(source, FileSource) and report.refused == report.read > report.solar_system:
        words.append(f"no record of {source.path} could be used: see `aha-annotator refused`")
    if report.news == 0:
        known = [*passes.heard(now - silence.MAX_WEEKS * silence.WEEK_S, now), (now, 0)]
        found = silence.silence(known, work.config.attention.silent_nights)
        words += silence.silence_in_words(found, source)
    if report.scored >= shares.MIN_OBJECTS:
        present = PassRecord(now, "", counts(report))
        told = shares.in_words(shares.shares(itertools.chain([present], passes.newest_first(now, shares.MIN_OBJECTS))))
        report.is_unusual = bool(told)
        words += told
    return words


def note_announced(config: Config, report: PassReport, clock: Callable[[], float] = time.time) -> None:
    """Note that a report was given out: what it named is not announced again unless there is more to it.

    Raises
    ------
    LedgerError
        If it cannot be noted; the next report names the same objects.
    """
    if report.announced or report.announcement.unchanged:
        with open_known(config.ledger) as ledger:
            ledger.announcements.mark_announced(report.announced, report.announcement.unchanged, clock())


def _batches(
    source: Source, api: LasairApi, ledger: Ledger, should_stop: Callable[[], bool], clock: Clock
) -> Iterator[Batch]:
    """Read the source until its present end, or until the batch in hand when it has to stop."""
    if isinstance(source, FileSource):
        return _until(should_stop, file_batches(source.path, api.survey, source.schemas))
    position = ledger.positions.of(source.name)
    if isinstance(source, StreamSource):
        return stream_batches(source, position, should_stop, clock)
    filter_file = load_filter(source.filter, api.survey.name)
    found = query_batches(api.query, api.survey, filter_file, source.page_rows, source.reread_days, position, clock)
    return _until(should_stop, found)


def _until(should_stop: Callable[[], bool], batches: Iterable[Batch]) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        if should_stop():
            return


def _progress(source: Source, batch: Batch) -> Progress | None:
    """Return what the ledger keeps of how far a source was read; None where nothing is to be kept."""
    return Progress(source.name, batch.position, batch.gaps) if batch.position else None


def _announcement(ledger: Ledger, margin: float) -> Announcement:
    """Tell the anomalies apart that people have not heard of, whichever pass scored them."""
    anomalies = ledger.announcements.to_announce()
    object_ids = [anomaly.object_id for anomaly in anomalies]
    announced = ledger.announcements.announced(object_ids)
    classified = {name for name, entry in ledger.tns.entries(object_ids).items() if entry.type}
    anomalies = [
        dataclasses.replace(item, worth=once_known(item.worth))
        if item.object_id in classified and item.worth is not None
        else item
        for item in anomalies
    ]
    return sort_out(anomalies, announced, margin)
