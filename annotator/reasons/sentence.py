"""Why: one sentence for a person on what carries the score."""

import datetime
import re
from collections.abc import Mapping, Sequence

from annotator.annotation import MAX_EXPLANATION, Classification, safe_text
from annotator.models import ModalityScore, Scores
from annotator.reasons.reason import Reason, Reasons
from annotator.surveys import SURVEYS, Survey
from annotator.transient import BEST_REAL_BOGUS, Modality, Transient
from annotator.verdicts import Verdict, VerdictKind

STRONGEST = 3
"""How many reasons of the modality with the highest score are named, where they fit."""

ORDINARY_PERCENTILES = (5.0, 95.0)
"""Of normals, between which a value by itself tells a person little, though its distance from the others counts."""

ALSO_ODD = 2.0
"""From this score on another modality's strongest reason is named, too."""

WORTH_SAYING = 0.1
"""From this probability of being exotic on it stands in the sentence."""

MAX_TNS_TYPE = 24
"""Characters of a class in TNS that are stated."""

_LAST_REASON = re.compile(r"(?P<before>.*: .*)(?:; |\. ).+")
"""What may go is behind the rarity's colon: a reason, or a sentence after the reasons."""

_JUDGED = "Judged"
_FOUND = {VerdictKind.REGULAR: "regular", VerdictKind.ARTEFACT: "an artefact"}
_STATED_CLASS = re.compile(rf"(?:.{{1,{MAX_TNS_TYPE}}} in TNS\. )?")

_WORTH_A_LOOK = "Below the thresholds, yet worth a look"
_FADING = "Fades below its template, scored as its mirror. "

_RARITY = {
    Modality.FEATURES: "{normals} is as odd in object features",
    Modality.LIGHTCURVE: "{normals} is as odd in its light curve",
    Modality.TRIPLET: "real detections is as odd in its stamps",  # too few classified supernovae have stamps
}
_OF_EVOLUTION = "{normals} evolves as oddly"
"""Where the features are those of the light curve."""
_AS_A_WHOLE = {
    Modality.FEATURES: "its features as a whole, none by itself",
    Modality.LIGHTCURVE: "its course as a whole, no single epochs",
    Modality.TRIPLET: "its stamps as a whole, no single place",
}
_ALSO = {Modality.FEATURES: "features", Modality.LIGHTCURVE: "light curve", Modality.TRIPLET: "stamps"}


def explain(
    transient: Transient,
    scores: Scores,
    classification: Classification,
    reasons: Reasons,
    known_as: str = "",
    worth_because: Sequence[str] = (),
) -> str:
    """Say what was found in one sentence, in the characters that Lasair's SQL survives.

    The highest-scoring modality leads. What does not fit is left out, never cut.

    Parameters
    ----------
    transient, scores, classification
        The object, what the models said of it, and what was decided.
    reasons
        What :func:`annotator.reasons.reasons_of` found; only :func:`named_modalities` need any.
    known_as
        What is known of its variability, in a few words; empty where nothing is.
    worth_because
        What makes it worth a look all the same, each in a few words; empty where it is worth none.
    """
    left_out = f" Left out: {'; '.join(transient.left_out)}." if transient.left_out else ""
    if classification == Classification.ARTEFACT:
        return _with_what_fits(_artefact_reason(transient, scores), left_out)
    present = scores.present
    if not present:
        return _with_what_fits("Not scored: no modality has what it needs.", left_out)
    ranked = _ranked(present)
    rarity = _rarity(present[ranked[0]], ranked[0], SURVEYS[transient.survey])
    fading = _FADING if transient.fades else ""
    if classification == Classification.VARIABLE:
        return _with_what_fits(f"{fading}Variable: {known_as}. {rarity}.", left_out)
    is_like_exotics = scores.exotic is not None and scores.exotic >= WORTH_SAYING
    exotic = f" Like known SLSN or TDE with probability {scores.exotic:.2f}." if is_like_exotics else ""
    if classification == Classification.NORMAL:
        if worth_because:
            because = ", ".join(worth_because)
            return _with_what_fits(f"{fading}{_WORTH_A_LOOK}: {because}. {rarity}.{exotic}", left_out)
        return _with_what_fits(f"{fading}Not unusual: {rarity[0].lower()}{rarity[1:]}.", left_out)
    named = [reason.words for reason in _to_name(reasons.get(ranked[0], ()))] or [_AS_A_WHOLE[ranked[0]]]
    others = [
        f" Also odd in its {_ALSO[name]}: {reasons[name][0].words}."
        for name in ranked[1:]
        if present[name].score >= ALSO_ODD and reasons.get(name)
    ]
    if exotic and present[ranked[0]].score < ALSO_ODD:
        # It is a flag for being like them, and not for being rare: that comes first.
        rarity, exotic = f"{exotic.strip()} {rarity}", ""
    if len(safe_text(left_out)) > MAX_EXPLANATION // 2:  # why it is odd comes first
        left_out = ""
    known = f" {known_as[0].upper()}{known_as[1:]}." if known_as else ""
    return safe_text(_fitted(f"{fading}{rarity}", named, others, f"{known}{exotic}{left_out}"))


def _with_what_fits(sentence: str, more: str) -> str:
    """Add a sentence where it fits."""
    whole = safe_text(f"{sentence}{more}", len(sentence) + len(more))
    return whole if len(whole) <= MAX_EXPLANATION else safe_text(sentence)


def named_modalities(scores: Scores, classification: Classification) -> list[str]:
    """Return the modalities whose reasons the sentence names, the one that leads first."""
    if classification in (Classification.ARTEFACT, Classification.VARIABLE, Classification.NORMAL):
        return []
    ranked = _ranked(scores.present)
    return [*ranked[:1], *(name for name in ranked[1:] if scores.present[name].score >= ALSO_ODD)]


def _ranked(present: Mapping[str, ModalityScore]) -> list[str]:
    return sorted(present, key=lambda modality: -present[modality].score)


def _to_name(reasons: Sequence[Reason]) -> list[Reason]:
    """Choose the strongest, and of the others rather those with a value that few normals have."""
    low, high = ORDINARY_PERCENTILES
    others = sorted(reasons[1:], key=lambda reason: low < reason.where.get("percentile", 100.0) < high)
    return [*reasons[:1], *others][:STRONGEST]


def _fitted(rarity: str, named: Sequence[str], others: Sequence[str], exotic: str) -> str:
    """Put together what fits: the strongest reason, then one of another modality, then the next ones, in this order."""
    kept, also = [named[0]], []

    def sentence(kept: Sequence[str], also: Sequence[str]) -> str:
        return f"{rarity}: {'; '.join(kept)}.{''.join(also)}{exotic}"

    for other in others:
        if len(sentence(kept, [*also, other])) <= MAX_EXPLANATION:
            also.append(other)
    for words in named[1:]:
        if len(sentence([*kept, words], also)) <= MAX_EXPLANATION:
            kept.append(words)
    if len(sentence(kept, also)) > MAX_EXPLANATION:  # what carries the score comes before what else is known
        exotic = ""
    return sentence(kept, also) if len(sentence(kept, also)) <= MAX_EXPLANATION else f"{rarity}."


def _rarity(scored: ModalityScore, name: str, survey: Survey) -> str:
    """Say how rare it is; of an extrapolation two digits are more than enough."""
    words = _OF_EVOLUTION if name == Modality.FEATURES and survey.features_are_of_light_curve else _RARITY[name]
    one_in, among = 10**scored.score, words.format(normals=survey.normals)
    if scored.is_extrapolated:
        return f"By extrapolation 1 in {float(f'{one_in:.2g}'):.0f} {among}"
    return f"At most 1 in {one_in:.0f} {among}"


def explain_verdict(verdict: Verdict) -> str:
    """Say that a person has judged; who it was stays here."""
    found = _FOUND[verdict.verdict]
    return safe_text(f"{_JUDGED} {found} by a person on {verdict.when.astimezone(datetime.UTC).date().isoformat()}.")


def is_verdict(explanation: str) -> bool:
    """Tell whether an explanation is what :func:`explain_verdict` says."""
    return explanation.startswith(f"{_JUDGED} ")


def verdict_in(object_id: str, explanation: str) -> Verdict | None:
    """Return the verdict that an explanation states, of whoever gave it; None where it states none."""
    for kind, found in _FOUND.items():
        said, _, date = explanation.partition(f"{_JUDGED} {found} by a person on ")
        if date and not said:
            when = datetime.datetime.fromisoformat(date.rstrip(".")).replace(tzinfo=datetime.UTC)
            return Verdict(object_id, kind, "a person", when)
    return None


def state_class(explanation: str, tns_type: str) -> str:
    """Put an object's class in TNS before what is odd about it, in the place of one that was stated before.

    Where that is too long, the last reasons go, whole.
    """
    rest = explanation[_STATED_CLASS.match(explanation).end() :]
    stated = safe_text(tns_type, MAX_TNS_TYPE) or "Classified"  # it may be in letters that Lasair does not survive
    sentence = f"{stated} in TNS. {rest}"
    while len(sentence) > MAX_EXPLANATION and (cut := _LAST_REASON.fullmatch(sentence)):
        sentence = f"{cut['before']}."
    return safe_text(sentence)


def _artefact_reason(transient: Transient, scores: Scores) -> str:
    real_bogus, best = SURVEYS[transient.survey].real_bogus, transient.extras.get(BEST_REAL_BOGUS)
    if scores.artefact is None and transient.n_good_either_sign and best is not None:
        return (
            f"Artefact: none of {transient.n_det} detections is clearly real, the best has {real_bogus[-1]} {best:.2f}."
        )
    if scores.artefact is None or (transient.n_good_either_sign == 0 and transient.n_det > 1):
        return f"Artefact: none of {transient.n_det} detections {SURVEYS[transient.survey].good_detection}."
    seen = ["its stamps"] if Modality.TRIPLET in scores.present else []
    seen += [f"{name} {transient.extras[name]:.2f}" for name in real_bogus if name in transient.extras]
    return f"Artefact: bogus with a probability of {scores.artefact:.2f}, judged by {', '.join(seen)}."
