"""One batch of a pass: read what is known of its objects once, score them, decide."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from annotator.annotation import OBJECT_ID, Classification
from annotator.attention.dates import Dates
from annotator.decision.changes import as_seen, changed
from annotator.decision.classify import decide
from annotator.decision.decide import decide_batch
from annotator.decision.objects import Case, Enriched, Known, Refusal, ScoredObject, ScoredState, Seen
from annotator.decision.rules import Rules
from annotator.errors import RecordError
from annotator.ledger import Ledger
from annotator.models import ModelSet
from annotator.passes.enrich import Enricher
from annotator.reasons.find import reasons_of
from annotator.sources.records import as_text, readable
from annotator.transient import Transient
from annotator.verdicts import Verdict


@dataclass(frozen=True)
class ScoredBatch:
    """What became of the records of a batch."""

    read: int
    """Records."""
    unchanged: int
    """Those of them that say nothing new of their object."""
    scored_objects: Sequence[ScoredObject]
    refusals: Sequence[Refusal]


def score_batch(
    records: Sequence[object],
    ledger: Ledger,
    enricher: Enricher,
    models: ModelSet,
    rules: Rules,
    verdicts: Mapping[str, Verdict],
    dates: Dates,
) -> ScoredBatch:
    """Score the new and changed objects of one batch; a record that cannot be used is refused by name.

    States of one object are taken one after the other, as if each had come in a batch of its own: what Lasair ends up
    holding must not depend on where a batch happened to end. Nothing is written.

    Parameters
    ----------
    records
        As a source gives them.
    ledger
        What was known of the objects.
    enricher
        Fetches what their records lack.
    models, rules
        What they are scored and decided by.
    verdicts
        The one that holds of each object that was judged.
    dates
        Which dates are believed.
    """
    seen, refusals = parse_batch(records, dates)
    states = dates.believed(ledger.scores.states([item.transient.object_id for item in seen]))
    fresh = changed(seen, states, models.version)
    known = known_of(fresh, states, ledger, verdicts)
    scored_objects = score_seen(fresh, _enriched(fresh, enricher), known, models, rules)
    return ScoredBatch(len(records), len(seen) - len(fresh), scored_objects, refusals)


def score_waiting(
    ledger: Ledger,
    enricher: Enricher,
    models: ModelSet,
    rules: Rules,
    verdicts: Mapping[str, Verdict],
    dates: Dates,
) -> list[ScoredObject]:
    """Score the objects again for which a modality can be fetched now that could not before; nothing is written."""
    records = ledger.kept.waiting_records(enricher.waiting_turns)
    transients = [dates.parse(record) for record in records]
    joined = [
        (as_seen(transient, record), item)
        for transient, record, item in zip(transients, records, enricher.waiting(transients), strict=True)
        if not item.waits or item.gained
    ]
    if not joined:
        return []
    seen, enriched = zip(*joined, strict=True)
    states = dates.believed(ledger.scores.states([item.transient.object_id for item in seen]))
    return score_seen(seen, enriched, known_of(seen, states, ledger, verdicts), models, rules)


def parse_batch(records: Sequence[object], dates: Dates) -> tuple[list[Seen], list[Refusal]]:
    """Parse records, and name those that cannot be used."""
    seen, refusals = [], []
    for record in records:
        try:
            seen.append(as_seen(_parsed(record, dates), record))
        except RecordError as error:
            refusals.append(Refusal(dates.survey.object_id(record), str(error), as_text(record)))
    if dates.put_clock_in_doubt([item.transient for item in seen]):
        return parse_batch(records, dates)
    return seen, refusals


def _parsed(record: object, dates: Dates) -> Transient:
    """Read a record of an object that can be annotated; raise RecordError where its id could not be written."""
    transient = dates.parse(readable(record))
    if not OBJECT_ID.fullmatch(transient.object_id):
        raise RecordError(f"expected an object id of 1 to 19 letters and digits, found {transient.object_id[:40]!r}")
    return transient


def known_of(
    seen: Iterable[Seen], states: Mapping[str, ScoredState], ledger: Ledger, verdicts: Mapping[str, Verdict]
) -> dict[str, Known]:
    """Read what is known of objects beside their states, which were read before, by their ids."""
    object_ids = list(dict.fromkeys(item.transient.object_id for item in seen))
    last_sent, tns = ledger.outbox.last_sent(object_ids), ledger.tns.entries(object_ids)
    return {
        object_id: Known(
            state=states.get(object_id),
            last_sent=last_sent.get(object_id),
            tns_type=tns[object_id].type if object_id in tns else "",
            verdict=verdicts.get(object_id),
        )
        for object_id in object_ids
    }


def _enriched(seen: Sequence[Seen], enricher: Enricher) -> list[Enriched]:
    """Complete the last state of each object; what Lasair has now is not what an earlier one had."""
    last = {item.transient.object_id: number for number, item in enumerate(seen)}
    enriched = [Enriched(item.transient, waits=False) for item in seen]
    for number, item in zip(last.values(), enricher.changed([seen[n].transient for n in last.values()]), strict=True):
        enriched[number] = item
    return enriched


def score_seen(
    seen: Sequence[Seen], enriched: Sequence[Enriched], known: Mapping[str, Known], models: ModelSet, rules: Rules
) -> list[ScoredObject]:
    """Run the models on objects, in order, ask for the reasons of what is not normal, and decide."""
    scored = models.score([item.transient for item in enriched])
    cases = []
    for source, item, scores in zip(seen, enriched, scored, strict=True):
        classification = decide(item.transient, scores, rules.thresholds, rules.exotic_threshold)
        reasons = None if classification == Classification.NORMAL else reasons_of(item.transient, scores, models)
        cases.append(Case(source, item, scores, classification, reasons))
    return decide_batch(cases, known, rules)
