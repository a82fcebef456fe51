"""Whether an annotation is worth a write, which triggers other people's filters."""

import dataclasses
from collections.abc import Mapping, Sequence

from annotator.annotation import Annotation, Classification
from annotator.decision.attention import once_known
from annotator.decision.changes import is_older
from annotator.decision.classify import overridden
from annotator.decision.config import DecisionConfig
from annotator.models.calibration import combined_score
from annotator.reasons.sentence import explain_verdict, is_verdict, state_class
from annotator.verdicts import Verdict

FLAGS = (Classification.ANOMALY, Classification.WATCH)


def with_verdict(last_sent: Annotation, verdict: Verdict) -> Annotation | None:
    """Rewrite an annotation after a verdict; None where the verdict asks for nothing else than what was sent."""
    if verdict.override in (None, last_sent.classification):
        return None
    return dataclasses.replace(
        last_sent,
        classification=verdict.override,
        explanation=explain_verdict(verdict),
        classdict=_now_known(last_sent.classdict),
    )


def with_tns_class(flag: Annotation, tns_type: str, decision: DecisionConfig) -> Annotation:
    """Rewrite a flag after its object's class in TNS has become known, to what it would be had it been known."""
    classification = overridden(flag.classification, None, tns_type, decision)
    explanation = state_class(flag.explanation, tns_type)
    return dataclasses.replace(
        flag, classification=classification, explanation=explanation, classdict=_now_known(flag.classdict)
    )


def taken_back(flag: Annotation, why: str) -> Annotation:
    """Rewrite a flag as normal, with a sentence that says why; of its numbers stays what was seen, and no score."""
    seen = {name: value for name, value in flag.classdict.items() if name in ("n_det", "mjd")}
    return dataclasses.replace(flag, classification=Classification.NORMAL, explanation=why, classdict=seen)


def _now_known(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return an annotation's numbers once its object is known."""
    return dict(numbers) | ({"worth": once_known(numbers["worth"])} if "worth" in numbers else {})


def must_send(
    new: Annotation, last_sent: Annotation | None, classes: Sequence[str], margin: float, waits: bool = False
) -> bool:
    """Decide whether an annotation is worth a write, which triggers other people's filters.

    Like is compared with like. The combined score of fewer views is higher by itself (log10 2 of one instead of two),
    so that views that come and go would be written each time; they are not. Of a model set's own annotations, news is
    that a view was gained, or that the same views say another class or a score that has moved by the margin.

    Where views are lacking that Lasair has a score of, it depends on why. While one of them waits to be fetched, what
    Lasair has stands. Where they are lost for good, what is left is compared with the same views as they were sent:
    news is that these have moved by the margin, or that they have moved at all and the class is another.

    A state before the one that was sent is no news, and what a person said always is.

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
    waits
        Whether a view of the object is still to be fetched.
    """
    if last_sent is None:
        return new.classification in classes
    is_other_class = new.classification != last_sent.classification
    is_written = is_other_class or new.classification in classes
    if is_verdict(last_sent.explanation) and not is_verdict(new.explanation):
        return True
    if is_verdict(new.explanation) and is_other_class:
        return True
    if new.topic != last_sent.topic:
        return is_written
    now, before = _views(new), _views(last_sent)
    lacks = not before.keys() <= now.keys()
    if lacks and waits:
        return False
    if new.version != last_sent.version:
        return is_written
    if is_older(new.classdict.get("mjd"), last_sent.classdict.get("mjd")):
        return False
    if not now.keys() <= before.keys():
        return is_written
    if lacks:
        left = {view: before[view] for view in now}
        return is_written and now != left and (is_other_class or _has_moved(now, left, margin))
    # Rounded, since 3.5 - 3.2 is a little less than 0.3 in binary.
    moved = round(abs(new.classdict["score"] - last_sent.classdict.get("score", 0.0)), 6)
    return is_other_class or (is_written and moved >= margin)


def _views(annotation: Annotation) -> dict[str, float]:
    return {key: value for key, value in annotation.classdict.items() if key.endswith("_score")}


def _has_moved(now: Mapping[str, float], before: Mapping[str, float], margin: float) -> bool:
    return round(abs(combined_score(now.values()) - combined_score(before.values())), 6) >= margin
