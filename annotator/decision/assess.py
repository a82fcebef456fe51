"""From records to assessments: what is news, what the models say of it, and whether Lasair should hear of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from annotator.annotation import Annotation
from annotator.config import Config
from annotator.decision.assessment import Assessment, Completed, ScoredState, Source
from annotator.decision.changes import state_digest
from annotator.decision.classify import classdict, decide, judged, learned
from annotator.decision.sending import FLAGS, is_weaker_without, must_send
from annotator.ledger import Ledger
from annotator.models import Missing, ModalityScore, ModelSet, Scores
from annotator.models.distribution import bins_of
from annotator.reasons.find import reasons_of
from annotator.reasons.sentence import explain, explain_verdict, state_class
from annotator.transient import Transient
from annotator.verdicts import Verdict


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
    known, held = ledger.scores.states(object_ids), ledger.outbox.last_sent(object_ids)
    tns_types = {object_id: entry.type for object_id, entry in ledger.tns.entries(object_ids).items()}
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
    model_scores = {name: found for name, found in scores.modalities.items() if isinstance(found, ModalityScore)}
    return Assessment(
        object_id=transient.object_id,
        state=state_digest(as_given),
        model_set=models.version,
        last_mjd=transient.last_mjd,
        n_det=transient.n_det,
        classification=classification,
        score=scores.score,
        modalities=_with_epoch(modality_summary(scores), transient) | learned(scores),
        numbers={name: float(f"{value:.6g}") for name, value in models.learned_from(scores).items()},
        first_flagged_mjd=first_mjd,
        outgoing=annotation
        if must_send(annotation, held, config.annotation.classes, config.annotation.resend_margin)
        and not (item.waits and held and is_weaker_without(annotation, held))
        else None,
        waiting_record=record if item.waits else None,
        bins={name: bins_of(models.distributions, found.observed) for name, found in model_scores.items()},
        explanation=explanation,
        reasons=reasons,
        transient=transient,
        model_scores=model_scores,
    )


def _with_what_people_say(explanation: str, classification: str, said: _Said) -> str:
    if said.asked_class is not None:
        return explain_verdict(said.verdict)
    return state_class(explanation, said.tns_type) if said.tns_type and classification in FLAGS else explanation


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
