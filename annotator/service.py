"""One pass over a source: read, score, decide, write down, send. The only module that knows all the others."""

import contextlib
import dataclasses
import heapq
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from annotator.annotation import Annotation, safe_text
from annotator.announcement import Announcement, Anomaly, sort_out
from annotator.assessment import FLAGS, Source, as_classified, as_judged, as_text, assess, news_of, parse_annotatable
from annotator.completion import Completed, Completer
from annotator.config import Config, FileSource, QuerySource, StreamSource
from annotator.cutouts import CutoutCache, CutoutFetcher
from annotator.delivery import Delivery, deliver
from annotator.errors import (
    AhaError,
    ConfigError,
    LasairApiError,
    QuotaError,
    RecordError,
    SourceError,
)
from annotator.explanation import is_verdict
from annotator.filter_files import load_filter
from annotator.lasair_api import LasairApi
from annotator.ledger import Assessment, Ledger, Refusal, TnsEntry, pass_lock
from annotator.models import ModelSet
from annotator.quota import CallBudget
from annotator.sources import Batch, file_batches, query_batches, record_name
from annotator.stream import stream_batches
from annotator.surveys import PARSERS
from annotator.tns import MAX_LOOKED_UP, tns_entries
from annotator.verdicts import Verdict, latest, merge, read_if_any

log = logging.getLogger(__name__)

SHOWN_ANOMALIES = 10
"""Anomalies that a pass announces when it reports; the others are announced by the next reports."""
CLASSIFIED_WITHIN_S = 100 * 86_400.0
"""How long a sent anomaly is looked up for a class that would make it one to watch: spectra come within weeks."""


@dataclass
class PassReport:
    """What one pass did."""

    read: int = 0
    unchanged: int = 0
    scored: int = 0
    refused: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    completed_later: int = 0
    """Objects that were scored again since what they had waited for was fetched."""
    queued: int = 0
    waiting: int = 0
    delivery: Delivery = field(default_factory=Delivery)
    flagged: list[Assessment] = field(default_factory=list)
    """The highest scores among the anomalies and the watched, highest first."""
    judged: int = 0
    """Annotations that were rewritten since a person has judged otherwise."""
    demoted: int = 0
    """Anomalies that were made ones to watch after they were scored, since TNS has a class for them."""
    announcement: Announcement = field(default_factory=Announcement)
    """The anomalies that people have not heard of, and those that are as they have."""
    tns: dict[str, TnsEntry] = field(default_factory=dict)
    """Those of the flagged and announced that have a name there."""
    reading_problem: str = ""
    """Why reading ended early, where a person must look at it; empty if it did not."""
    reading_pause: str = ""
    """Why reading ended early although nothing is wrong; empty if it did not."""

    @property
    def problem(self) -> str:
        """What a person must look at; empty if nothing."""
        return "; ".join(filter(None, (self.reading_problem, self.delivery.problem)))

    @property
    def announced(self) -> tuple[Anomaly, ...]:
        """The anomalies that this report names."""
        return self.announcement.news[:SHOWN_ANOMALIES]

    def count(self, assessments: Sequence[Assessment]) -> None:
        """Add what was scored."""
        self.scored += len(assessments)
        for item in assessments:
            self.classes[item.classification] = self.classes.get(item.classification, 0) + 1
            self.queued += item.outgoing is not None
        latest = {item.object_id: item for item in (*self.flagged, *assessments)}
        flagged = (item for item in latest.values() if item.classification in FLAGS)
        self.flagged = heapq.nlargest(MAX_LOOKED_UP, flagged, key=lambda item: item.score)

    def in_words(self) -> str:
        """Say in a few lines what was done, and what a person must look at."""
        classes = ", ".join(f"{count} {name}" for name, count in sorted(self.classes.items())) or "none"
        delivery = self.delivery
        lines = [
            f"read {self.read} records: {self.scored} scored ({classes}), {self.unchanged} unchanged, "
            f"{self.refused} refused",
            f"annotations: {self.queued} new, {delivery.sent} sent, {delivery.failed} failed, {self.waiting} waiting; "
            f"{delivery.read_back} read back, {delivery.lost} of them not there",
        ]
        if self.completed_later:
            lines.append(f"{self.completed_later} of the scored had waited for their light curve or cutouts")
        if self.judged:
            lines.append(f"{self.judged} annotations rewritten since a person has judged otherwise")
        if self.demoted:
            lines.append(f"{self.demoted} anomalies made ones to watch since TNS has a class for them")
        lines += self._announcement_in_words()
        lines += [f"waiting: {pause}" for pause in dict.fromkeys((self.reading_pause, delivery.pause)) if pause]
        return "\n".join([*lines, f"ATTENTION: {self.problem}"] if self.problem else lines)

    def _announcement_in_words(self) -> list[str]:
        news, unchanged = self.announcement.news, self.announcement.unchanged
        if not news and not unchanged:
            return []
        lines = [f"anomalies: {len(news)} to announce, {len(unchanged)} as they were announced"]
        for item in self.announced:
            entry = self.tns.get(item.object_id)
            name = safe_text(f"{entry.name} {entry.type}") if entry else "no TNS name"
            lines.append(f"  {item.object_id}  {item.score:5.2f}  {name}")
        left = len(news) - len(self.announced)
        return [*lines, f"  and {left} more, in the next reports"] if left else lines

    def counts(self) -> dict[str, int]:
        """Return the numbers, classes flat among them."""
        numbers = {
            name: value for name, value in (self.__dict__ | self.delivery.__dict__).items() if isinstance(value, int)
        }
        return numbers | {f"class_{name}": count for name, count in sorted(self.classes.items())}


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
    with _recorded_pass(config, clock, is_dry) as (ledger, api, report):
        verdicts = _verdicts(config, ledger)
        report.judged = _apply(verdicts, ledger, clock()) + _take_back(verdicts, config, ledger, models, clock())
        report.queued = report.judged
        try:
            _assess_source(config, ledger, api, models, verdicts, report, clock, should_stop, commit=not is_dry)
        except QuotaError as error:
            report.reading_pause = str(error)
        except (LasairApiError, SourceError) as error:
            # What was read before is worth sending, today as on any other day.
            report.reading_problem = str(error)
        _take_classes(config, ledger, api, report, clock())
        if on_dry_annotation:
            for annotation in ledger.due_annotations(clock()):
                on_dry_annotation(annotation)
        else:
            report.delivery = deliver(ledger, api, config.lasair.batch_annotations, clock, should_stop)
        _announce(config, ledger, report)
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
            ledger.mark_announced(report.announced, report.announcement.unchanged, clock())


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
    with _recorded_pass(config, clock) as (ledger, api, report):
        flagged = [item for item in ledger.annotations_of_version(bad_version) if item.classification != "normal"]
        ledger.queue([_retraction(annotation) for annotation in flagged], clock())
        report.queued = len(flagged)
        report.delivery = deliver(ledger, api, config.lasair.batch_annotations, clock, lambda: False)
    return report


def _retraction(annotation: Annotation) -> Annotation:
    return dataclasses.replace(
        annotation,
        classification="normal",
        explanation=f"Retracted: {annotation.classification} by {annotation.version}, a release found to be faulty.",
        classdict={name: value for name, value in annotation.classdict.items() if name in ("n_det", "mjd")},
    )


@contextlib.contextmanager
def _recorded_pass(
    config: Config, clock: Callable[[], float], is_dry: bool = False
) -> Iterator[tuple[Ledger, LasairApi, PassReport]]:
    """Hold the ledger for a pass, and note in it how the pass ended, whatever happens."""
    token = config.require_token()
    with pass_lock(config.ledger), Ledger(config.ledger) as kept:
        ledger = kept.copy_in_memory() if is_dry else kept
        # A dry run's reads are calls like any other: they are counted in the ledger that stays.
        budget = CallBudget(kept, config.lasair.usable_calls_per_hour, config.lasair.read_share, clock)
        api = LasairApi(config.lasair.endpoint, token, config.lasair.timeout_s, budget)
        pass_id = ledger.begin_pass(clock())
        report = PassReport()
        outcome = "interrupted"
        try:
            yield ledger, api, report
            outcome = report.problem or "done"
        except AhaError as error:
            outcome = str(error)
            raise
        finally:
            report.waiting = ledger.outbox_counts()["waiting"]
            ledger.end_pass(pass_id, outcome, report.counts(), clock())
            if is_dry:
                ledger.close()


def _verdicts(config: Config, ledger: Ledger) -> dict[str, Verdict]:
    """Return the verdict that holds for each object, of those in the file and those given on the inspection page."""
    return latest(merge(read_if_any(config.verdicts), ledger.verdicts()))


def _apply(verdicts: Mapping[str, Verdict], ledger: Ledger, now: float) -> int:
    """Rewrite what Lasair holds against people's verdicts, whether or not the objects are still in the stream.

    Returns how many annotations that were.
    """
    overruling = {object_id: verdict for object_id, verdict in verdicts.items() if verdict.asked_class is not None}
    held = ledger.last_annotations(list(overruling))
    rewritten = [as_judged(annotation, overruling[object_id]) for object_id, annotation in held.items()]
    outgoing = [annotation for annotation in rewritten if annotation is not None]
    ledger.queue(outgoing, now)
    ledger.leave_unannounced(overruling)
    return len(outgoing)


def _take_back(verdicts: Mapping[str, Verdict], config: Config, ledger: Ledger, models: ModelSet, now: float) -> int:
    """Let the models speak again, by what is kept of them, of objects whose verdict was taken back.

    An object that waits for a modality is scored again anyway. Returns how many annotations are rewritten.
    """
    ever_judged = dict.fromkeys((*ledger.ever_judged(), *verdicts))
    free = [name for name in ever_judged if name not in verdicts or verdicts[name].asked_class is None]
    held = ledger.last_annotations(free)
    stale = [name for name, annotation in held.items() if is_verdict(annotation.explanation)]
    waiting = ledger.waiting_of(stale)
    kept = [transient for name, (_, transient) in ledger.evidence(stale).items() if name not in waiting]
    if not kept:
        return 0
    states = ledger.scored_states([transient.object_id for transient in kept])
    completed = [Completed(transient, waits=False) for transient in kept]
    assessments = assess([(transient, None) for transient in kept], completed, config, ledger, models, verdicts)
    # The state stays that of the record it was scored by: the next record is news only where it is another.
    ledger.record([dataclasses.replace(item, state=states[item.object_id].state) for item in assessments], [], now)
    return sum(item.outgoing is not None for item in assessments)


def _take_classes(config: Config, ledger: Ledger, api: LasairApi, report: PassReport, now: float) -> None:
    """Look up in TNS what was flagged, before it is sent: what waits takes its class along without a write of its own.

    Without an answer the objects stay as they are. A class that becomes known after an annotation was sent is no reason
    to write it again, unless it makes another classification.
    """
    demotes = config.decision.classified == "demote"
    object_ids = [anomaly.object_id for anomaly in ledger.to_announce()]
    object_ids += ledger.waiting_flags(MAX_LOOKED_UP) + [item.object_id for item in report.flagged]
    if demotes:
        object_ids += ledger.anomalies_sent_since(now - CLASSIFIED_WITHIN_S)
    object_ids = list(dict.fromkeys(object_ids))
    try:
        report.tns = tns_entries(ledger, api, object_ids, now)
    except LasairApiError as error:
        log.info("no TNS names: %s", error)
        report.tns = ledger.tns(object_ids)
    changes, demoted = [], set()
    for flag in ledger.classified_flags():
        new = as_classified(flag.annotation, flag.tns_type, config.decision)
        is_demoted = new.classification != flag.annotation.classification
        if is_demoted:
            demoted.add(new.object_id)
        if is_demoted or (flag.waits and new != flag.annotation):
            changes.append((flag.annotation, new))
    ledger.amend(changes, now)
    report.demoted = len(demoted)
    report.flagged = [
        dataclasses.replace(item, classification="watch") if item.object_id in demoted else item
        for item in report.flagged
    ]


def _announce(config: Config, ledger: Ledger, report: PassReport) -> None:
    """Tell the anomalies apart that people have not heard of, whichever pass scored them."""
    anomalies = ledger.to_announce()
    announced = ledger.announced([anomaly.object_id for anomaly in anomalies])
    report.announcement = sort_out(anomalies, announced, config.decision.announce_margin)


# --- from source to ledger


def _assess_source(
    config: Config,
    ledger: Ledger,
    api: LasairApi,
    models: ModelSet,
    verdicts: Mapping[str, Verdict],
    report: PassReport,
    clock: Callable[[], float],
    should_stop: Callable[[], bool],
    commit: bool,
) -> None:
    source_name = f"query {config.source.filter}" if isinstance(config.source, QuerySource) else ""
    completer = _completer(config, api, models, should_stop)
    with contextlib.closing(_batches(config, api, ledger.position(source_name), commit, should_stop)) as batches:
        for batch in batches:
            assessments, refusals = _assess_batch(batch.records, config, ledger, models, completer, report, verdicts)
            position = (source_name, batch.position) if batch.position else None
            ledger.record(assessments, refusals, clock(), position)
            log.info("%d read, %d scored, %d refused so far", report.read, report.scored, report.refused)
            if should_stop():
                next(batches, None)  # a stream commits a batch when it is asked for the next
                return
    _assess_waiting(config, ledger, models, verdicts, completer, report, clock())


def _completer(config: Config, api: LasairApi, models: ModelSet, should_stop: Callable[[], bool]) -> Completer:
    source, kept = config.source, config.cutouts
    cutouts = CutoutFetcher(
        config.lasair.allowed_cutout_hosts,
        kept.parallel,
        kept.timeout_s,
        CutoutCache(kept.cache, kept.cache_megabytes * 1e6),
        source.path.parent if isinstance(source, FileSource) else None,
    )
    # A recorded file is replayed as it is: what Lasair says of an object today is not what the record is of.
    asked = None if isinstance(source, FileSource) else api
    return Completer(models.models, asked, config.lasair, cutouts, should_stop)


def _batches(
    config: Config, api: LasairApi, position: str | None, commit: bool, should_stop: Callable[[], bool]
) -> Iterator[Batch]:
    source = config.source
    if isinstance(source, StreamSource):
        return stream_batches(source, commit, should_stop)
    if isinstance(source, FileSource):
        return file_batches(source.path)
    return query_batches(api.query, load_filter(source.filter), source.page_rows, source.reread_days, position)


def _assess_batch(
    records: Sequence[object],
    config: Config,
    ledger: Ledger,
    models: ModelSet,
    completer: Completer,
    report: PassReport,
    verdicts: Mapping[str, Verdict] = MappingProxyType({}),
) -> tuple[list[Assessment], list[Refusal]]:
    """Score the new and changed objects of one batch; a record that cannot be used is refused by name.

    States of one object are taken one after the other, as if each had come in a batch of its own: what Lasair ends up
    holding must not depend on where a batch happened to end.
    """
    parsed: list[Source] = []
    refusals = []
    for record in records:
        try:
            parsed.append((parse_annotatable(record, config.survey), record))
        except RecordError as error:
            refusals.append(Refusal(record_name(record), str(error), as_text(record)))
    news = news_of(parsed, ledger, models.version)
    assessments = assess(news, _completed(news, completer), config, ledger, models, verdicts)
    report.read += len(records)
    report.refused += len(refusals)
    report.unchanged += len(parsed) - len(news)
    report.count(assessments)
    return assessments, refusals


def _completed(news: Sequence[Source], completer: Completer) -> list[Completed]:
    """Complete the last state of each object; what Lasair has now is not what an earlier one had."""
    last = {transient.object_id: number for number, (transient, _) in enumerate(news)}
    completed = [Completed(transient, waits=False) for transient, _ in news]
    for number, item in zip(last.values(), completer.news([news[n][0] for n in last.values()]), strict=True):
        completed[number] = item
    return completed


def _assess_waiting(
    config: Config,
    ledger: Ledger,
    models: ModelSet,
    verdicts: Mapping[str, Verdict],
    completer: Completer,
    report: PassReport,
    now: float,
) -> None:
    """Score the objects again for which a modality can be fetched now that could not before."""
    waited = [(PARSERS[config.survey](record), record) for record in ledger.waiting_records(completer.waiting_turns)]
    completed = completer.waiting([transient for transient, _ in waited])
    joined = [number for number, item in enumerate(completed) if not item.waits or item.gained]
    if joined:
        sources, items = [waited[number] for number in joined], [completed[number] for number in joined]
        assessments = assess(sources, items, config, ledger, models, verdicts)
        ledger.record(assessments, [], now)
        report.completed_later = len(joined)
        report.count(assessments)
