"""One batch of a pass: parsed, scored, decided."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from annotator.annotation import OBJECT_ID
from annotator.config import Config, FileSource, QuerySource, StreamSource
from annotator.decision.assess import assess
from annotator.decision.assessment import Assessment, Completed, Refusal, Source
from annotator.decision.changes import news_of
from annotator.errors import RecordError
from annotator.lasair.api import LasairApi
from annotator.lasair.cutout_cache import CutoutCache
from annotator.lasair.cutouts import CutoutFetcher
from annotator.lasair.filters import load_filter
from annotator.ledger import Ledger
from annotator.models import ModelSet
from annotator.passes.enrich import Completer
from annotator.passes.report import PassReport
from annotator.sources.files import file_batches
from annotator.sources.kafka import stream_batches
from annotator.sources.query import query_batches
from annotator.sources.records import Batch, as_text, readable, record_name
from annotator.surveys import SURVEYS
from annotator.transient import Transient
from annotator.verdicts import Verdict

log = logging.getLogger(__name__)


def parse_annotatable(record: object, survey: str) -> Transient:
    """Read a record of an object that can be annotated; raise RecordError where its id could not be written."""
    transient = SURVEYS[survey].parse(readable(record))
    if not OBJECT_ID.fullmatch(transient.object_id):
        raise RecordError(f"expected an object id of 1 to 16 letters and digits, found {transient.object_id[:40]!r}")
    return transient


# --- from source to ledger


def assess_source(
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
    """Score what the source gives, batch by batch, each written down before the next is read."""
    source_name = f"query {config.source.filter}" if isinstance(config.source, QuerySource) else ""
    completer = _completer(config, api, models, should_stop)
    with contextlib.closing(_batches(config, api, ledger.position(source_name), commit, should_stop)) as batches:
        for batch in batches:
            assessments, refusals = assess_batch(batch.records, config, ledger, models, completer, report, verdicts)
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


def assess_batch(
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
    waited = [
        (SURVEYS[config.survey].parse(record), record)
        for record in ledger.kept.waiting_records(completer.waiting_turns)
    ]
    completed = completer.waiting([transient for transient, _ in waited])
    joined = [number for number, item in enumerate(completed) if not item.waits or item.gained]
    if joined:
        sources, items = [waited[number] for number in joined], [completed[number] for number in joined]
        assessments = assess(sources, items, config, ledger, models, verdicts)
        ledger.record(assessments, [], now)
        report.completed_later = len(joined)
        report.count(assessments)
