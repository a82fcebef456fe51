"""From what the models say of objects to what is written down of them, and what Lasair is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from annotator.annotation import Annotation
from annotator.decision.attention import (
    STREAM,
    WORTH_A_LOOK,
    Attention,
    Evidence,
    attention_of,
    evidence_of,
    known_as,
    worth_of,
)
from annotator.decision.classify import classdict, learned, modality_summary, overridden
from annotator.decision.objects import Case, Known, ScoredObject, ScoredState
from annotator.decision.rules import Rules
from annotator.decision.sending import FLAGS, must_send
from annotator.decision.stream import COMBINED, sampling_of, views_of
from annotator.decision.variable import standing
from annotator.models.distribution import bins_of
from annotator.models.scores import Scores
from annotator.reasons.sentence import explain, explain_verdict, is_verdict, state_class
from annotator.transient import Modality, Transient

UNKNOWN = Known()
DATES_AHEAD = "dates_ahead"
"""Beside the modalities of a scoring: names of the dates that counted as missing."""
LEFT_OUT = "left_out"
"""The same of what else no view has, and why."""
WORTH, BECAUSE = "worth", "worth_because"
"""The same of how much it is worth, were nothing known of it, and why."""


def decide_batch(cases: Sequence[Case], known: Mapping[str, Known], rules: Rules) -> list[ScoredObject]:
    """Decide on objects one after the other.

    Parameters
    ----------
    cases
        The objects, as they are now complete. Of several states of one object each is decided on as if the one before
        had been written down.
    known
        What was known of each object before, by its id; an object that is not there is new.
    rules
        What they are decided by.
    """
    so_far = dict(known)
    decided = []
    streams = [_places(case.scores, rules) for case in cases]
    for case, stream, attention in zip(cases, streams, _attentions(cases, streams, rules), strict=True):
        before = so_far.get(case.object_id, UNKNOWN)
        result = _decided(case, before, rules, stream, attention)
        decided.append(result)
        so_far[case.object_id] = replace(
            before,
            state=ScoredState(result.state, result.model_set, result.last_mjd, result.first_flagged_mjd),
            last_sent=result.outgoing or before.last_sent,
        )
    return decided


@dataclass(frozen=True)
class _Attention:
    """What an object is worth, and what is kept of that."""

    attention: Attention
    evidence: Evidence

    @property
    def kept(self) -> dict[str, object]:
        """What the ledger keeps beside the scores: with them, all that the worth is made of."""
        return {WORTH: self.attention.chance, BECAUSE: self.attention.because} | self.evidence.kept


def _places(scores: Scores, rules: Rules) -> dict[str, float]:
    """Return how rare an object's numbers are in this stream."""
    return rules.stream.places(sampling_of(scores.present), views_of(scores.score, scores.present, scores.exotic))


def _attentions(cases: Sequence[Case], streams: Sequence[Mapping[str, float]], rules: Rules) -> list[_Attention | None]:
    if rules.worth is None:
        return [None] * len(cases)
    evidence = [evidence_of(case.scores, stream, case.transient) for case, stream in zip(cases, streams, strict=True)]
    return [_Attention(*item) for item in zip(attention_of(evidence, rules.worth), evidence, strict=True)]


def _decided(
    case: Case, known: Known, rules: Rules, stream: Mapping[str, float], attention: _Attention | None
) -> ScoredObject:
    transient, scores = case.transient, case.scores
    classification = overridden(case.classification, known.override, known.tns_type, rules.thresholds)
    worth, because = None, ()
    if attention is not None and not scores.why_none:
        is_known = known_as(classification, known.tns_type, known.verdict) != ""
        worth = worth_of(attention.attention.chance, is_known)
        because = attention.attention.because if worth >= WORTH_A_LOOK else ()
    first_mjd = known.state.first_flagged_mjd if known.state else None
    if known.state is None and known.last_sent is not None:  # the ledger was made anew of what Lasair holds
        first_mjd = known.last_sent.classdict.get("first_mjd")
    if classification in FLAGS:
        first_mjd = min((mjd for mjd in (first_mjd, transient.last_mjd) if mjd is not None), default=None)
    known_source = standing(transient, rules.thresholds, scores.numbers)
    explanation = explain(transient, scores, case.classification, case.reasons, known_source, because)
    return ScoredObject(
        object_id=transient.object_id,
        state=case.seen.digest,
        model_set=rules.model_set,
        last_mjd=transient.last_mjd,
        n_det=transient.n_det,
        classification=classification,
        score=scores.score,
        modalities=_with_dates(modality_summary(scores), transient)
        | learned(scores)
        | _in_stream(stream)
        | (attention.kept if worth is not None else {}),
        stream=stream,
        numbers=_rounded({name: value for name, value in scores.numbers.items() if name in rules.head_inputs}),
        first_flagged_mjd=first_mjd,
        outgoing=_outgoing(case, known, rules, classification, explanation, first_mjd, stream.get(COMBINED), worth),
        waiting_record=case.seen.record if case.waits else None,
        bins={
            name: bins_of(rules.distributions_of.get(name, ()), found.observed)
            for name, found in scores.present.items()
        },
        explanation=explanation,
        reasons=case.reasons if case.are_all_reasons else None,
        transient=transient,
        worth=worth,
        model_scores=scores.present,
    )


def _outgoing(
    case: Case,
    known: Known,
    rules: Rules,
    classification: str,
    explanation: str,
    first_mjd: float | None,
    stream: float | None,
    worth: float | None,
) -> Annotation | None:
    """Write the annotation, where Lasair has to hear of the object."""
    last_sent = known.last_sent
    if case.scores.why_none and known.override is None:  # its 0 is no score
        return None
    if last_sent is None and classification not in rules.classes:
        return None
    if rules.leaves_judged and known.override is None and last_sent is not None and is_verdict(last_sent.explanation):
        return None
    new = Annotation(
        object_id=case.object_id,
        topic=rules.topic,
        classification=classification,
        version=rules.model_set,
        explanation=_with_what_people_say(explanation, classification, known),
        classdict=classdict(case.transient, case.scores, first_mjd, stream, worth),
    )
    return new if must_send(new, last_sent, rules.classes, rules.resend_margin, case.waits) else None


def _with_what_people_say(explanation: str, classification: str, known: Known) -> str:
    if known.override is not None:
        return explain_verdict(known.verdict)
    return state_class(explanation, known.tns_type) if known.tns_type and classification in FLAGS else explanation


def _in_stream(stream: Mapping[str, float]) -> dict[str, float]:
    """Keep how rare an object is in its stream beside what the heads say of it."""
    return {STREAM: stream[COMBINED]} if COMBINED in stream else {}


def _rounded(numbers: Mapping[str, float]) -> dict[str, float]:
    """Round numbers to six digits, all in one text: one by one takes twice as long."""
    text = " ".join(["%.6g"] * len(numbers)) % tuple(numbers.values())
    return dict(zip(numbers, map(float, text.split()), strict=True))


def _with_dates(summary: dict[str, object], transient: Transient) -> dict[str, object]:
    """Add to a triplet's score which epoch it is of, and to all which dates were no dates."""
    if transient.dates_ahead:
        summary = summary | {DATES_AHEAD: transient.dates_ahead}
    if transient.left_out:
        summary = summary | {LEFT_OUT: transient.left_out}
    stamps, said = transient.triplet, summary.get(Modality.TRIPLET, {})
    if stamps is None or stamps.time_mjd is None or "score" not in said:
        return summary
    return summary | {Modality.TRIPLET: {**said, "mjd": round(stamps.time_mjd, 5)}}
