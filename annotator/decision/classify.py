"""From scores to a classification, and to the numbers that stand beside it."""

from collections.abc import Mapping

from annotator.annotation import Classification
from annotator.decision.config import DecisionConfig
from annotator.decision.variable import is_variable
from annotator.models import Missing, ModelSet, Scores
from annotator.surveys import SURVEYS
from annotator.transient import BEST_REAL_BOGUS, Transient

VOUCHING_DETECTIONS = 2
"""One good detection can be a satellite or a ghost; two of one place are not."""
VOUCHING_DRB = 0.9
"""From which on training calls a detection clearly real (:mod:`training.artefact`)."""


def decide(
    transient: Transient, scores: Scores, decision: DecisionConfig, exotic_threshold: float | None = None
) -> str:
    """Classify one scored object: `artefact`, `variable`, `anomaly`, `watch` or `normal`, the first that holds.

    An artefact is an object with enough detections of which none is a good one (of ZTF: positive, and passes
    real-bogus; of Rubin: passes), where the record counts them; one with some more of which none is clearly real, where
    the survey's record says so of each; or one whose detection is bogus by its stamps and real-bogus scores, unless it
    is vouched for by :data:`VOUCHING_DETECTIONS` good detections and a real-bogus score of :data:`VOUCHING_DRB`. A
    negative difference that is clearly real is a good detection in this, the source fades; and where the stamps are of
    one, which no head has learned from, that score vouches by itself.
    What is variable says :mod:`annotator.decision.variable`.

    Parameters
    ----------
    exotic_threshold
        The probability of being exotic from which on an object is an anomaly, whatever its score; None: no such.
    """
    n_det, n_good = transient.n_det, transient.n_good_either_sign
    if n_det is not None and n_good == 0 and n_det >= decision.artefact_detections:
        return Classification.ARTEFACT
    best = transient.extras.get(BEST_REAL_BOGUS)
    is_doubtful = best is not None and best < decision.artefact_reliability
    if is_doubtful and n_det is not None and n_det >= decision.artefact_doubtful_detections:
        return Classification.ARTEFACT
    real_bogus = transient.extras.get(SURVEYS[transient.survey].real_bogus[-1], 0.0)
    is_negative = transient.triplet is not None and transient.triplet.is_negative
    is_vouched = real_bogus >= VOUCHING_DRB and (is_negative or (n_good or 0) >= VOUCHING_DETECTIONS)
    if scores.artefact is not None and scores.artefact >= decision.artefact_probability and not is_vouched:
        return Classification.ARTEFACT
    if is_variable(transient, decision, scores.numbers):
        return Classification.VARIABLE
    is_exotic = exotic_threshold is not None and scores.exotic is not None and scores.exotic >= exotic_threshold
    if scores.score >= decision.anomaly_score or is_exotic:
        return Classification.ANOMALY
    return Classification.WATCH if scores.score >= decision.watch_score else Classification.NORMAL


def exotic_threshold_of(models: ModelSet, decision: DecisionConfig) -> float | None:
    """Return the probability of being exotic that makes an anomaly: the configured one, or the head's own."""
    if "exotic" not in models.heads:
        return None
    return decision.exotic_probability or models.heads["exotic"].manifest.threshold


def overridden(classification: str, override: str | None, tns_type: str, decision: DecisionConfig) -> str:
    """Apply what people and TNS say to a classification.

    Parameters
    ----------
    classification
        What :func:`decide` said.
    override
        What a person's verdict asks for, None where it asks for nothing.
    tns_type
        The spectroscopic class in TNS, empty where there is none.
    decision
        Whether a class in TNS makes `watch` of `anomaly`.
    """
    if override is not None:
        return override
    is_demoted = classification == Classification.ANOMALY and tns_type and decision.classified == "demote"
    return Classification.WATCH if is_demoted else classification


def classdict(
    transient: Transient,
    scores: Scores,
    first_mjd: float | None,
    stream: float | None = None,
    worth: float | None = None,
) -> dict[str, float]:
    """Gather the numbers that the community filters on, absent rather than null.

    Parameters
    ----------
    transient, scores
        The object and what the models said of it.
    first_mjd
        Epoch (MJD) at which it was first flagged, None if it never was.
    stream
        How rare its combined score is in this stream (:mod:`annotator.decision.stream`), None where it is not known.
    worth
        Its place in the order of attention, None where there is none.
    """
    numbers: dict[str, float] = {"score": round(scores.score, 4)}
    for name, modality in scores.present.items():
        numbers[f"{name}_score"] = round(modality.score, 4)
        numbers[f"{name}_error"] = float(f"{modality.error:.6g}")
    for name, value in learned(scores).items():
        numbers[name] = value
    if stream is not None:
        numbers["stream"] = stream
    if worth is not None:
        numbers["worth"] = worth
    if transient.n_det is not None:
        numbers["n_det"] = transient.n_det
    if transient.last_mjd is not None:
        numbers["mjd"] = round(transient.last_mjd, 5)
    if first_mjd is not None:
        numbers["first_mjd"] = round(first_mjd, 5)
    if transient.history.years is not None:
        numbers["years"] = round(transient.history.years, 2)
    return numbers


def learned(scores: Scores) -> dict[str, float]:
    """Return what stands beside the scores, `exotic` and `prior`, as it is written; absent where there is none."""
    return {
        name: round(value, 4)
        for name, value in (("exotic", scores.exotic), ("prior", scores.prior))
        if value is not None
    }


def modality_summary(scores: Scores) -> dict[str, Mapping[str, object]]:
    """Each modality's score and error, or why it is missing, as `score` prints them."""
    return {
        name: {"missing": item.why}
        if isinstance(item, Missing)
        else {"score": round(item.score, 4), "error": float(f"{item.error:.7g}")}
        for name, item in scores.modalities.items()
    }
