"""One batch of a pass: read what is known of its objects once, score them, decide, write down.

Whatever one record, one modality or one object's reasons raise is refused by name, and the rest goes on. What fails at
a batch as a whole is found by halving it: the halves are written one after the other, and the one record that fails is
refused. Where nearly all of them fail alike the fault is not theirs: none is refused, and they come again.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from annotator.decision.changes import by_epoch, changed, is_older
from annotator.decision.classify import decide
from annotator.decision.decide import decide_batch
from annotator.decision.objects import Case, Enriched, Known, Refusal, ScoredObject, ScoredState, Seen
from annotator.errors import RecordError
from annotator.fences import Failure, failure_of, require_own_faults
from annotator.ledger import Ledger
from annotator.ledger.positions import Progress
from annotator.models import ModelSet, Scores
from annotator.passes.scoring.collector import collector_rests
from annotator.passes.scoring.enrich import Enricher
from annotator.passes.scoring.parsing import parse_batch, refusal_of
from annotator.passes.scoring.past import take_past
from annotator.passes.scoring.scoring import Scoring
from annotator.reasons.find import reasons_of
from annotator.reasons.reason import Reasons
from annotator.reasons.sentence import named_modalities
from annotator.sources.records import decoded
from annotator.transient import Modality, Transient

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken:
    """What became of records."""

    scored_objects: Sequence[ScoredObject] = ()
    refusals: Sequence[Refusal] = ()
    read: int = 0
    """Records."""
    unchanged: int = 0
    """Those of them that say nothing new of their object."""


Objects = Sequence[tuple[Seen, Enriched]]
"""As their source gave them, each with what could be fetched for it."""


@collector_rests()
def take_batch(
    records: Sequence[object], scoring: Scoring, enricher: Enricher, progress: Progress | None = None
) -> Taken:
    """Score the new and changed objects of one batch and write them down; what cannot be used is refused by name.

    States of one object are taken one after the other, by epoch, as if each had come in a batch of its own: what Lasair
    ends up holding must not depend on where a batch happened to end.

    Parameters
    ----------
    records
        As a source gives them.
    scoring
        What is done with them.
    enricher
        Fetches what they lack.
    progress
        How far the source was read, written with the results.

    Raises
    ------
    GeneralFaultError
        If nearly all records fail alike: what was written before is unchanged when they come again.
    """
    seen, refusals = parse_batch(records, scoring.dates)
    states = scoring.states(seen)
    states, not_scored = take_past(seen, states, scoring)
    fresh = changed(by_epoch(seen), states, scoring.models.version)
    objects, not_fetched = _enriched(fresh, enricher)
    taken = take_objects(objects, scoring, states, [*refusals, *not_scored, *not_fetched], progress)
    return replace(taken, read=len(records), unchanged=len(seen) - len(fresh))


def take_waiting(scoring: Scoring, enricher: Enricher) -> Taken:
    """Score the objects again for which a modality can be fetched now that could not before, and write them down.

    One that cannot be scored waits no longer: its record is among the refused.
    """
    drawn = scoring.ledger.kept.waiting_records(enricher.waiting_turns, enricher.night)
    seen, refusals = parse_batch([decoded(text) for text in drawn.values()], scoring.dates)
    fetched, not_fetched = _fetched([item.transient for item in seen], enricher.waiting)
    refusals += [refusal_of(seen[number], Modality.TRIPLET, failure) for number, failure in not_fetched.items()]
    asked = list(zip(seen, fetched, strict=True))
    refusals += _refused_by_answers(asked)
    joined = [(item, got) for item, got in asked if (not got.waits or got.gained) and got.refused is None]
    if not joined and not refusals:
        return Taken()
    states = scoring.states(item for item, _ in joined)
    taken = take_objects(joined, scoring, states, refusals)
    parsed = {item.transient.object_id for item in seen}
    lost = {name for name in drawn if name not in parsed} | {
        refusal.object_id for refusal in taken.refusals if refusal.part == "record"
    }
    scoring.ledger.kept.stop_waiting(sorted(lost))
    return taken


def take_objects(
    objects: Objects,
    scoring: Scoring,
    states: Mapping[str, ScoredState],
    refusals: Sequence[Refusal] = (),
    progress: Progress | None = None,
) -> Taken:
    """Score objects, in order, decide, and write them down, with what was refused and how far the source was read.

    Raises
    ------
    GeneralFaultError
        If nearly all fail alike.
    """
    try:
        scored, found = score_objects(objects, scoring, states)
        scoring.ledger.record(scored, [*refusals, *found], scoring.clock(), progress)
    except Exception as error:
        log.warning(
            "%d objects failed together, the halves are taken by themselves: %s", len(objects), failure_of(error)
        )
        parts = _Parts(scoring)
        parts.take(objects)
        require_own_faults(parts.failures, len(objects), "objects")
        scored, found = parts.scored_objects, parts.refusals
        scoring.ledger.record([], [*refusals, *found], scoring.clock(), progress)
    return Taken(scored, [*refusals, *found])


def take_refused(refusal: Refusal, scoring: Scoring, enricher: Enricher) -> Taken:
    """Score again what was refused, and write it down if nothing of it is refused any longer.

    Where its object was scored in a later state since, nothing is left to do. What is refused now is not kept again.
    """
    objects, refusals = _objects_again(refusal, scoring, enricher)
    if refusals:
        return Taken(refusals=refusals)
    seen = objects[0][0]
    try:
        states = scoring.states([seen])
        known = states.get(seen.transient.object_id)
        if known is not None and is_older(seen.transient.last_mjd, known.last_mjd):
            return Taken(unchanged=1)
        scored, refusals = score_objects(objects, scoring, states)
        if refusals:
            return Taken(refusals=refusals)
        scoring.ledger.record(scored, [], scoring.clock())
    except Exception as error:
        return Taken(refusals=[refusal_of(seen, "record", failure_of(error))])
    return Taken(scored)


def _objects_again(refusal: Refusal, scoring: Scoring, enricher: Enricher) -> tuple[Objects, list[Refusal]]:
    """Read the object of which something was refused: from its record, or from what was scored where none was kept."""
    if refusal.record:
        seen, refusals = parse_batch([decoded(refusal.record)], scoring.dates)
        objects, not_fetched = _enriched(seen, enricher)
        return objects, [*refusals, *not_fetched]
    objects, _ = kept_objects([refusal.object_id], scoring.ledger)
    return objects, [] if objects else [replace(refusal, reason="what was scored is no longer kept")]


def kept_objects(object_ids: Sequence[str], ledger: Ledger) -> tuple[Objects, Mapping[str, ScoredState]]:
    """Return objects as they were scored last, where that is kept, and their states.

    The digest stays that of the record it was scored by: only another record is of a changed object.
    """
    kept = ledger.kept.snapshots(object_ids)
    states = ledger.scores.states(list(kept))
    objects = [
        (Seen(transient, None, states[name].state), Enriched(transient, waits=False))
        for name, (_, transient) in kept.items()
    ]
    return objects, states


@dataclass
class _Parts:
    """What became of objects that failed together, taken in ever smaller parts."""

    scoring: Scoring
    scored_objects: list[ScoredObject] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def take(self, objects: Objects) -> None:
        """Score objects and write down what can be; refuse the one that fails by itself."""
        ledger = self.scoring.ledger
        try:
            states = self.scoring.states(item for item, _ in objects)
            scored, refusals = score_objects(objects, self.scoring, states)
            ledger.record(scored, [], self.scoring.clock())
        except Exception as error:
            failure = failure_of(error)
            if len(objects) > 1:
                middle = len(objects) // 2
                self.take(objects[:middle])
                self.take(objects[middle:])
            elif objects:
                self.failures.append(failure)
                self.refusals.append(refusal_of(objects[0][0], "record", failure))
            return
        self.scored_objects += scored
        self.refusals += refusals


def known_of(seen: Iterable[Seen], states: Mapping[str, ScoredState], scoring: Scoring) -> dict[str, Known]:
    """Read what is known of objects beside their states, which were read before, by their ids."""
    object_ids = list(dict.fromkeys(item.transient.object_id for item in seen))
    last_sent = scoring.dates.believed_of_sent(scoring.ledger.outbox.last_sent(object_ids))
    tns = scoring.ledger.tns.entries(object_ids)
    return {
        object_id: Known(
            state=states.get(object_id),
            last_sent=last_sent.get(object_id),
            tns_type=tns[object_id].type if object_id in tns else "",
            verdict=scoring.verdicts.get(object_id),
        )
        for object_id in object_ids
    }


def _enriched(seen: Sequence[Seen], enricher: Enricher) -> tuple[Objects, list[Refusal]]:
    """Complete the last state of each object; what Lasair has now is not what an earlier one had."""
    last = list({item.transient.object_id: number for number, item in enumerate(seen)}.values())
    enriched = [Enriched(item.transient, waits=False) for item in seen]
    fetched, failures = _fetched([seen[number].transient for number in last], enricher.changed)
    for number, item in zip(last, fetched, strict=True):
        enriched[number] = item
    refusals = [refusal_of(seen[last[place]], "views", failure) for place, failure in failures.items()]
    objects = list(zip(seen, enriched, strict=True))
    refused = {item.transient.object_id for item in enriched if item.refused is not None}
    kept = [(item, got) for item, got in objects if item.transient.object_id not in refused]
    return kept, [*refusals, *_refused_by_answers(objects)]


def _refused_by_answers(objects: Objects) -> list[Refusal]:
    """Refuse what Lasair's own answer says is nothing to score."""
    return [refusal_of(seen, "record", failure_of(item.refused)) for seen, item in objects if item.refused is not None]


def _fetched(
    transients: Sequence[Transient], fetch: Callable[[Sequence[Transient]], list[Enriched]]
) -> tuple[list[Enriched], dict[int, Failure]]:
    """Fetch what objects lack; one at which that fails, by its place, goes without."""
    try:
        return fetch(transients), {}
    except Exception as error:
        failure_of(error)
    enriched, failures = [], {}
    for place, transient in enumerate(transients):
        try:
            enriched += fetch([transient])
        except Exception as error:
            failures[place] = failure_of(error)
            enriched.append(_without_views(transient, failures[place]))
    require_own_faults(failures.values(), len(transients), "objects whose views were to be fetched")
    return enriched, failures


def _without_views(transient: Transient, failure: Failure) -> Enriched:
    absent = {
        modality: f"it could not be fetched: {failure}"
        for modality, part in ((Modality.LIGHTCURVE, transient.light_curve), (Modality.TRIPLET, transient.triplet))
        if part is None
    }
    return Enriched(replace(transient, why_missing=absent | dict(transient.why_missing)), waits=False)


def score_objects(
    objects: Objects, scoring: Scoring, states: Mapping[str, ScoredState]
) -> tuple[list[ScoredObject], list[Refusal]]:
    """Run the models on objects, in order, ask for the reasons that are told, and decide; nothing is written.

    What a model, a head or finding the reasons fails at in one object is missing of that one, and refused; so is an
    object of which nothing can be scored and that waits for nothing.
    """
    if not objects:
        return [], []
    models, rules = scoring.models, scoring.rules
    scored = models.score([item.transient for _, item in objects])
    cases, refusals, failures, n_asked = [], [], [], 0
    for (seen, item), scores in zip(objects, scored, strict=True):
        if scores.why_none and not item.waits and not scores.failures:
            refusals.append(refusal_of(seen, "record", Failure(RecordError.__name__, scores.why_none)))
            continue
        classification = decide(item.transient, scores, rules.thresholds, rules.exotic_threshold)
        named, failure = named_modalities(scores, classification), None
        reasons: Reasons = {}
        if named:
            n_asked += 1
            reasons, failure = find_reasons(item.transient, scores, models, named)
        if failure:
            failures.append(failure)
            refusals.append(refusal_of(seen, "reasons", failure))
        refusals += [refusal_of(seen, part, failure) for part, failure in scores.failures.items()]
        are_all = bool(failure) or (bool(named) and len(named) == scores.n_present)
        cases.append(Case(seen, item, scores, classification, reasons, are_all))
    require_own_faults(failures, n_asked, "objects whose reasons were looked for")
    known = known_of([seen for seen, _ in objects], states, scoring)
    return decide_batch(cases, known, rules), refusals


def find_reasons(
    transient: Transient, scores: Scores, models: ModelSet, modalities: Collection[str]
) -> tuple[Reasons, Failure | None]:
    """Say what carries an object's scores in some modalities; none, and why, where finding it failed."""
    try:
        return reasons_of(transient, scores, models, modalities), None
    except Exception as error:
        return {}, failure_of(error)
