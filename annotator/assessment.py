"""From records to assessments: what is news, what the models say of it, and whether Lasair should hear of it."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from annotator.annotation import OBJECT_ID, Annotation, classdict, decide, judged, learned
from annotator.completion import Completed
from annotator.config import Config, DecisionConfig
from annotator.drift import bins_of
from annotator.errors import RecordError
from annotator.explanation import explain, explain_verdict, is_verdict, state_class
from annotator.ledger import Assessment, Ledger, ScoredState
from annotator.models import Missing, ModalityScore, ModelSet, Scores
from annotator.reasons import reasons_of
from annotator.sources import Unreadable, readable
from annotator.surveys import PARSERS
from annotator.transient import Transient
from annotator.verdicts import Verdict

FLAGS = ("anomaly", "watch")

Source = tuple[Transient, object]
"""An object as the source gave it, and the record it was read from."""


def news_of(parsed: Sequence[Source], ledger: Ledger, model_set: str) -> list[Source]:
    """Leave out what was scored before, in this state or a later one.

    Without epochs the order of the records has to tell: where a batch comes again after a crash, the state that was
    scored last is in it, and those before it were scored with it.
    """
    seen = ledger.scored_states([transient.object_id for transient, _ in parsed])
    states = [ScoredState(state_digest(transient), model_set, transient.last_mjd, None) for transient, _ in parsed]
    scored_up_to = {
        transient.object_id: number
        for number, ((transient, _), state) in enumerate(zip(parsed, states, strict=True))
        if transient.last_mjd is None
        and transient.object_id in seen
        and not _is_other(state, seen[transient.object_id])
    }
    news = []
    for number, ((transient, record), state) in enumerate(zip(parsed, states, strict=True)):
        if number > scored_up_to.get(transient.object_id, -1) and _is_news(state, seen.get(transient.object_id)):
            seen[transient.object_id] = state
            news.append((transient, record))
    return news


def assess(
    sources: Sequence[Source],
    completed: Sequence[Completed],
    config: Config,
    ledger: Ledger,
    models: ModelSet,
    verdicts: Mapping[str, Verdict] = MappingProxyType({}),
) -> list[Assessment]:
    """Score objects as they are now complete, one state after the other; `sources` are they as the source gave them."""
    object_ids = [transient.object_id for transient, _ in sources]
    known, held = ledger.scored_states(object_ids), ledger.last_annotations(object_ids)
    tns_types = {object_id: entry.type for object_id, entry in ledger.tns(object_ids).items()}
    all_scores = models.score([item.transient for item in completed])
    assessments = []
    for source, item, scores in zip(sources, completed, all_scores, strict=True):
        object_id = item.transient.object_id
        said = _Said(verdicts.get(object_id), tns_types.get(object_id, ""))
        assessment = _assessment(source, item, scores, said, config, models, known.get(object_id), held.get(object_id))
        assessments.append(assessment)
        known[object_id] = ScoredState(
            assessment.state, models.version, assessment.last_mjd, assessment.first_flagged_mjd
        )
        if assessment.outgoing:
            held[object_id] = assessment.outgoing
    return assessments


def parse_annotatable(record: object, survey: str) -> Transient:
    """Read a record of an object that can be annotated; raise RecordError where its id could not be written."""
    transient = PARSERS[survey](readable(record))
    if not OBJECT_ID.fullmatch(transient.object_id):
        raise RecordError(f"expected an object id of 1 to 16 letters and digits, found {transient.object_id[:40]!r}")
    return transient


def is_older(mjd: float | None, than_mjd: float | None) -> bool:
    """Tell whether an epoch is known to be before another."""
    return mjd is not None and than_mjd is not None and mjd < than_mjd


def _is_news(state: ScoredState, known: ScoredState | None) -> bool:
    if known is None or known.model_set != state.model_set:
        return True
    return _is_other(state, known) and not is_older(state.last_mjd, known.last_mjd)


def _is_other(state: ScoredState, known: ScoredState) -> bool:
    return (state.state, state.model_set) != (known.state, known.model_set)


def state_digest(transient: Transient) -> str:
    """Digest of everything about an object that a score, a decision or an annotation depends on."""
    content = {name: value for name, value in transient.__dict__.items() if name != "features"}
    text = json.dumps([content, sorted(transient.features.items())], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: object) -> object:
    """Make JSON of a light curve, of stamps and where they are."""
    if isinstance(value, np.ndarray):
        return [value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    return dict(value) if isinstance(value, Mapping) else vars(value)


@dataclasses.dataclass(frozen=True)
class _Said:
    """What people say of an object; no score ever depends on it."""

    verdict: Verdict | None
    tns_type: str

    @property
    def asked_class(self) -> str | None:
        return self.verdict.asked_class if self.verdict else None


def _assessment(
    source: Source,
    item: Completed,
    scores: Scores,
    said: _Said,
    config: Config,
    models: ModelSet,
    known: ScoredState | None,
    held: Annotation | None,
) -> Assessment:
    as_given, record = source
    transient = item.transient
    decided = decide(transient, scores, config.decision, models.exotic_threshold(config.decision))
    classification = judged(decided, said.asked_class, said.tns_type, config.decision)
    first_mjd = known.first_flagged_mjd if known else None
    if first_mjd is None and classification in FLAGS:
        first_mjd = transient.last_mjd
    # Of a normal object nobody hears why; whoever looks at it later is told by what is kept of it.
    reasons = None if decided == "normal" else reasons_of(transient, scores, models)
    explanation = explain(transient, scores, decided, reasons or {})
    annotation = Annotation(
        object_id=transient.object_id,
        topic=config.annotation.topic,
        classification=classification,
        version=models.version,
        explanation=_with_what_people_say(explanation, classification, said),
        classdict=classdict(transient, scores, first_mjd),
    )
    return Assessment(
        object_id=transient.object_id,
        state=state_digest(as_given),
        model_set=models.version,
        last_mjd=transient.last_mjd,
        n_det=transient.n_det,
        classification=classification,
        score=scores.score,
        modalities=json.dumps(_with_epoch(modality_summary(scores), transient) | learned(scores)),
        numbers=json.dumps({name: float(f"{value:.6g}") for name, value in models.learned_from(scores).items()}),
        first_flagged_mjd=first_mjd,
        outgoing=annotation
        if must_send(annotation, held, config.annotation.classes, config.annotation.resend_margin)
        and not (item.waits and held and is_weaker_without(annotation, held))
        else None,
        waiting_record=as_text(record) if item.waits else None,
        bins={
            name: bins_of(models.distributions, found.observed)
            for name, found in scores.modalities.items()
            if isinstance(found, ModalityScore)
        },
        explanation=explanation,
        reasons=reasons,
        transient=transient,
    )


def _with_what_people_say(explanation: str, classification: str, said: _Said) -> str:
    if said.asked_class is not None:
        return explain_verdict(said.verdict)
    return state_class(explanation, said.tns_type) if said.tns_type and classification in FLAGS else explanation


def as_judged(held: Annotation, verdict: Verdict) -> Annotation | None:
    """Rewrite an annotation after a verdict; None where the verdict asks for nothing else than what is held."""
    if verdict.asked_class in (None, held.classification):
        return None
    return dataclasses.replace(held, classification=verdict.asked_class, explanation=explain_verdict(verdict))


def as_classified(flag: Annotation, tns_type: str, decision: DecisionConfig) -> Annotation:
    """Rewrite a flag after its object's class in TNS has become known, to what it would be had it been known."""
    classification = judged(flag.classification, None, tns_type, decision)
    explanation = state_class(flag.explanation, tns_type)
    return dataclasses.replace(flag, classification=classification, explanation=explanation)


def modality_summary(scores: Scores) -> dict[str, Mapping[str, object]]:
    """Each modality's score and error, or why it is missing, as `score` prints them."""
    return {
        name: {"missing": item.why}
        if isinstance(item, Missing)
        else {"score": round(item.score, 4), "error": float(f"{item.error:.7g}")}
        for name, item in scores.modalities.items()
    }


def _with_epoch(summary: dict[str, Mapping[str, object]], transient: Transient) -> dict[str, Mapping[str, object]]:
    """Add to a triplet's score which epoch it is of."""
    stamps, said = transient.triplet, summary.get("triplet", {})
    if stamps is None or stamps.time_mjd is None or "score" not in said:
        return summary
    return summary | {"triplet": {**said, "mjd": round(stamps.time_mjd, 5)}}


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
    if is_verdict(held.explanation) and not is_verdict(new.explanation):
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


def is_weaker_without(new: Annotation, held: Annotation) -> bool:
    """Tell whether a score is lower than the one held and lacks a modality that the held one has.

    While that modality waits to be fetched, a lower score is no news of the object.
    """
    is_lower = new.classdict["score"] < held.classdict.get("score", 0.0)
    return is_lower and new.version == held.version and not _modalities(held) <= _modalities(new)


def _modalities(annotation: Annotation) -> set[str]:
    return {key for key in annotation.classdict if key.endswith("_score")}


def as_text(record: object) -> str:
    """Return a record as it can be kept for inspection or for later."""
    return record.text if isinstance(record, Unreadable) else json.dumps(record, default=str)
