"""One pass over a source: read, score, decide, write down, send. The only module that knows all the others."""

import contextlib
import dataclasses
import hashlib
import heapq
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from annotator.annotation import Annotation, classdict, decide
from annotator.config import Config, FileSource, QuerySource, StreamSource
from annotator.delivery import Delivery, deliver
from annotator.errors import (
    AhaError,
    ConfigError,
    LasairApiError,
    QuotaError,
    RecordError,
    SourceError,
)
from annotator.explanation import explain
from annotator.filter_files import load_filter
from annotator.lasair_api import LasairApi
from annotator.ledger import Assessment, Ledger, Refusal, ScoredState, TnsEntry, pass_lock
from annotator.models import Missing, ModelSet, Scores
from annotator.quota import CallBudget
from annotator.sources import Batch, file_batches, query_batches, readable, record_name
from annotator.stream import stream_batches
from annotator.surveys import PARSERS
from annotator.tns import MAX_LOOKED_UP, tns_entries
from annotator.transient import Transient

log = logging.getLogger(__name__)

SHOWN_FLAGGED = 10
"""Objects that a pass names when it reports."""


@dataclass
class PassReport:
    """What one pass did."""

    read: int = 0
    unchanged: int = 0
    scored: int = 0
    refused: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    queued: int = 0
    waiting: int = 0
    delivery: Delivery = field(default_factory=Delivery)
    flagged: list[Assessment] = field(default_factory=list)
    """The highest scores among the anomalies and the watched, highest first."""
    tns: dict[str, TnsEntry] = field(default_factory=dict)
    """Those of them that have a name there."""
    reading_problem: str = ""
    """Why reading ended early, where a person must look at it; empty if it did not."""
    reading_pause: str = ""
    """Why reading ended early although nothing is wrong; empty if it did not."""

    @property
    def problem(self) -> str:
        """What a person must look at; empty if nothing."""
        return "; ".join(filter(None, (self.reading_problem, self.delivery.problem)))

    def count(self, read: int, assessments: Sequence[Assessment], refusals: Sequence[Refusal]) -> None:
        """Add one batch."""
        self.read += read
        self.scored += len(assessments)
        self.refused += len(refusals)
        self.unchanged += read - len(assessments) - len(refusals)
        for item in assessments:
            self.classes[item.classification] = self.classes.get(item.classification, 0) + 1
            self.queued += item.outgoing is not None
        latest = {item.object_id: item for item in (*self.flagged, *assessments)}
        flagged = (item for item in latest.values() if item.classification in ("anomaly", "watch"))
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
        for item in self.flagged[:SHOWN_FLAGGED]:
            entry = self.tns.get(item.object_id)
            name = f"{entry.name} {entry.type}".strip() if entry else "no TNS name"
            lines.append(f"  {item.object_id}  {item.classification:8} {item.score:5.2f}  {name}")
        lines += [f"waiting: {pause}" for pause in dict.fromkeys((self.reading_pause, delivery.pause)) if pause]
        return "\n".join([*lines, f"ATTENTION: {self.problem}"] if self.problem else lines)

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
        try:
            _assess_source(config, ledger, api, models, report, clock, should_stop, commit=not is_dry)
        except QuotaError as error:
            report.reading_pause = str(error)
        except (LasairApiError, SourceError) as error:
            # What was read before is worth sending, today as on any other day.
            report.reading_problem = str(error)
        if on_dry_annotation:
            for annotation in ledger.due_annotations(clock()):
                on_dry_annotation(annotation)
        else:
            report.delivery = deliver(ledger, api, config.lasair.batch_annotations, clock, should_stop)
        _name_the_flagged(ledger, api, report, clock())
    return report


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


def _name_the_flagged(ledger: Ledger, api: LasairApi, report: PassReport, now: float) -> None:
    """Add TNS names for people to read; without an answer the objects stay as they are."""
    object_ids = [flagged.object_id for flagged in report.flagged]
    try:
        entries = tns_entries(ledger, api, object_ids, now)
    except LasairApiError as error:
        log.info("no TNS names: %s", error)
        entries = ledger.tns(object_ids)
    report.tns = entries


# --- from source to ledger


def _assess_source(
    config: Config,
    ledger: Ledger,
    api: LasairApi,
    models: ModelSet,
    report: PassReport,
    clock: Callable[[], float],
    should_stop: Callable[[], bool],
    commit: bool,
) -> None:
    source_name = f"query {config.source.filter}" if isinstance(config.source, QuerySource) else ""
    with contextlib.closing(_batches(config, api, ledger.position(source_name), commit, should_stop)) as batches:
        for batch in batches:
            assessments, refusals = _assess(batch.records, config, ledger, models, report)
            position = (source_name, batch.position) if batch.position else None
            ledger.record(assessments, refusals, clock(), position)
            log.info("%d read, %d scored, %d refused so far", report.read, report.scored, report.refused)
            if should_stop():
                next(batches, None)  # a stream commits a batch when it is asked for the next
                return


def _batches(
    config: Config, api: LasairApi, position: str | None, commit: bool, should_stop: Callable[[], bool]
) -> Iterator[Batch]:
    source = config.source
    if isinstance(source, StreamSource):
        return stream_batches(source, commit, should_stop)
    if isinstance(source, FileSource):
        return file_batches(source.path)
    return query_batches(api.query, load_filter(source.filter), source.page_rows, source.reread_days, position)


def _assess(
    records: Sequence[object], config: Config, ledger: Ledger, models: ModelSet, report: PassReport
) -> tuple[list[Assessment], list[Refusal]]:
    """Score the new and changed objects of one batch; a record that cannot be used is refused by name.

    States of one object are taken one after the other, as if each had come in a batch of its own: what Lasair ends up
    holding must not depend on where a batch happened to end.
    """
    transients, refusals = [], []
    for record in records:
        try:
            transients.append(parse_annotatable(record, config.survey))
        except RecordError as error:
            refusals.append(Refusal(record_name(record), str(error), _as_text(record)))
    object_ids = list({transient.object_id for transient in transients})
    known, held = ledger.scored_states(object_ids), ledger.last_annotations(object_ids)
    assessments = []
    for transient in transients:
        object_id = transient.object_id
        if not _is_news(transient, known.get(object_id), models.version):
            continue
        (scores,) = models.score([transient])
        item = _assessment(transient, scores, config, models, known.get(object_id), held.get(object_id))
        assessments.append(item)
        known[object_id] = ScoredState(item.state, item.model_set, item.last_mjd, item.first_flagged_mjd)
        if item.outgoing:
            held[object_id] = item.outgoing
    report.count(len(records), assessments, refusals)
    return assessments, refusals


def parse_annotatable(record: object, survey: str) -> Transient:
    """Read a record of an object that can be annotated; raise RecordError where its id could not be written."""
    transient = PARSERS[survey](readable(record))
    if not transient.object_id.isascii() or not transient.object_id.isalnum() or len(transient.object_id) > 16:
        raise RecordError(f"expected an object id of 1 to 16 letters and digits, found {transient.object_id[:40]!r}")
    return transient


def is_older(mjd: float | None, than_mjd: float | None) -> bool:
    """Tell whether an epoch is known to be before another."""
    return mjd is not None and than_mjd is not None and mjd < than_mjd


def _is_news(transient: Transient, known: ScoredState | None, model_set: str) -> bool:
    if known is None or known.model_set != model_set:
        return True
    return known.state != state_digest(transient) and not is_older(transient.last_mjd, known.last_mjd)


def state_digest(transient: Transient) -> str:
    """Digest of everything about an object that a score, a decision or an annotation depends on."""
    content = {name: value for name, value in transient.__dict__.items() if name != "features"}
    text = json.dumps([content, sorted(transient.features.items())], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _assessment(
    transient: Transient,
    scores: Scores,
    config: Config,
    models: ModelSet,
    known: ScoredState | None,
    held: Annotation | None,
) -> Assessment:
    classification = decide(transient, scores, config.decision)
    first_mjd = known.first_flagged_mjd if known else None
    if first_mjd is None and classification in ("anomaly", "watch"):
        first_mjd = transient.last_mjd
    annotation = Annotation(
        object_id=transient.object_id,
        topic=config.annotation.topic,
        classification=classification,
        version=models.version,
        explanation=explain(transient, scores, classification, models),
        classdict=classdict(transient, scores, first_mjd),
    )
    return Assessment(
        object_id=transient.object_id,
        state=state_digest(transient),
        model_set=models.version,
        last_mjd=transient.last_mjd,
        n_det=transient.n_det,
        classification=classification,
        score=scores.score,
        modalities=json.dumps(modality_summary(scores)),
        first_flagged_mjd=first_mjd,
        outgoing=annotation
        if must_send(annotation, held, config.annotation.classes, config.annotation.resend_margin)
        else None,
    )


def modality_summary(scores: Scores) -> dict[str, Mapping[str, object]]:
    """Each modality's score and error, or why it is missing, as `score` prints them."""
    return {
        name: {"missing": item.why}
        if isinstance(item, Missing)
        else {"score": round(item.score, 4), "error": float(f"{item.error:.7g}")}
        for name, item in scores.modalities.items()
    }


def must_send(new: Annotation, held: Annotation | None, classes: Sequence[str], margin: float) -> bool:
    """Decide whether an annotation is worth a write, which triggers other people's filters.

    Parameters
    ----------
    new
        What would be written.
    held
        What Lasair holds, or will hold once the outbox is empty.
    classes
        Classes that are written; any other is only written over one of these.
    margin
        By how much the combined score has to move while all else is the same.
    """
    if held is None:
        return new.classification in classes
    if new.classification != held.classification:
        return True
    if new.classification not in classes:
        return False
    return (
        new.version != held.version
        or new.topic != held.topic
        or not _modalities(new) <= _modalities(held)
        # Rounded, since 3.5 - 3.2 is a little less than 0.3 in binary.
        or round(abs(new.classdict["score"] - held.classdict.get("score", 0.0)), 6) >= margin
    )


def _modalities(annotation: Annotation) -> set[str]:
    return {key for key in annotation.classdict if key.endswith("_score")}


def _as_text(record: object) -> str:
    return getattr(record, "text", None) or json.dumps(record, default=str)
