"""Whether an annotation is worth a write, which triggers other people's filters."""

import dataclasses
from collections.abc import Sequence

from annotator.annotation import Annotation, Classification
from annotator.decision.classify import overridden
from annotator.decision.config import DecisionConfig
from annotator.reasons.sentence import explain_verdict, is_verdict, state_class
from annotator.verdicts import Verdict

FLAGS = (Classification.ANOMALY, Classification.WATCH)


def with_verdict(last_sent: Annotation, verdict: Verdict) -> Annotation | None:
    """Rewrite an annotation after a verdict; None where the verdict asks for nothing else than what was sent."""
    if verdict.override in (None, last_sent.classification):
        return None
    return dataclasses.replace(last_sent, classification=verdict.override, explanation=explain_verdict(verdict))


def with_tns_class(flag: Annotation, tns_type: str, decision: DecisionConfig) -> Annotation:
    """Rewrite a flag after its object's class in TNS has become known, to what it would be had it been known."""
    classification = overridden(flag.classification, None, tns_type, decision)
    explanation = state_class(flag.explanation, tns_type)
    return dataclasses.replace(flag, classification=classification, explanation=explanation)


def must_send(new: Annotation, last_sent: Annotation | None, classes: Sequence[str], margin: float) -> bool:
    """Decide whether an annotation is worth a write, which triggers other people's filters.

    Parameters
    ----------
    new
        What would be written.
    last_sent
        What Lasair holds, or will hold once the outbox is empty.
    classes
        Classes that are written; any other is only written over one of these.
    margin
        By how much the combined score has to move while all else is the same.
    """
    if last_sent is None:
        return new.classification in classes
    if new.classification != last_sent.classification:
        return True
    if is_verdict(last_sent.explanation) and not is_verdict(new.explanation):
        return True
    if new.classification not in classes:
        return False
    return (
        new.version != last_sent.version
        or new.topic != last_sent.topic
        or not _modalities(new) <= _modalities(last_sent)
        # Rounded, since 3.5 - 3.2 is a little less than 0.3 in binary.
        or round(abs(new.classdict["score"] - last_sent.classdict.get("score", 0.0)), 6) >= margin
    )


def is_weaker_without(new: Annotation, last_sent: Annotation) -> bool:
    """Tell whether a score is lower than the one sent last and lacks a modality that this one had.

    While that modality waits to be fetched, a lower score says nothing new of the object.
    """
    is_lower = new.classdict["score"] < last_sent.classdict.get("score", 0.0)
    return is_lower and new.version == last_sent.version and not _modalities(last_sent) <= _modalities(new)


def _modalities(annotation: Annotation) -> set[str]:
    return {key for key in annotation.classdict if key.endswith("_score")}
