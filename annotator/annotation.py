"""Annotations: what is written to Lasair, validated so that its SQL survives it.

Lasair builds its SQL from these strings without escaping. One apostrophe is an error for the sender on ZTF, and on
Rubin it stops the service that stores everybody's annotations. So nothing leaves here but a small safe set of
characters.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from annotator.config import CLASSIFICATIONS, DecisionConfig
from annotator.errors import AnnotationError
from annotator.models import ModalityScore, Scores
from annotator.transient import Transient

MAX_EXPLANATION = 250
"""Characters of one sentence that a person reads in a table; Lasair takes 1,024."""
MAX_CLASSDICT = 4096
_MAX_URL = 1024

VOUCHING_DETECTIONS = 2
"""One good detection can be a satellite or a ghost; two of one place are not."""
VOUCHING_DRB = 0.9
"""From which on training calls a detection clearly real (:mod:`training.artefact`)."""

_SAFE_TEXT = re.compile(r"[A-Za-z0-9 .,:;+\-_/()=<>]*")
_UNSAFE = re.compile(r"[^A-Za-z0-9 .,:;+\-_/()=<>]+")
OBJECT_ID = re.compile(r"[A-Za-z0-9]{1,16}")
_TOPIC = re.compile(r"[a-z][a-z0-9_]{0,15}")
VERSION = re.compile(r"[A-Za-z0-9._\-]{1,16}")
_URL = re.compile(r"https?://[A-Za-z0-9.:_\-]+(?:/[A-Za-z0-9.:_/=+\-]*)?")
_KEY = re.compile(r"[a-z][a-z0-9_]*")
# Lasair refuses a WHERE with these words in it, so that no filter could ask for such a key.
_KEYS_NO_FILTER_CAN_NAME = ("limit", "offset")


@dataclass(frozen=True)
class Annotation:
    """One annotation as Lasair wants it; see DESIGN's contract for the keys of `classdict`.

    Raises
    ------
    AnnotationError
        When made of anything that is outside the contract or the safe set of characters.
    """

    object_id: str
    topic: str
    classification: str
    version: str
    explanation: str = ""
    classdict: Mapping[str, float] = field(default_factory=dict)
    url: str = ""

    def __post_init__(self) -> None:
        _require(OBJECT_ID.fullmatch(self.object_id), "object_id", "1 to 16 letters and digits", self.object_id)
        _require(_TOPIC.fullmatch(self.topic), "topic", "a lower-case name of at most 16 characters", self.topic)
        _require(self.classification in CLASSIFICATIONS, "classification", "one of the four", self.classification)
        _require(VERSION.fullmatch(self.version), "version", "1 to 16 letters, digits, dots, dashes", self.version)
        _require(
            _SAFE_TEXT.fullmatch(self.explanation) and len(self.explanation) <= MAX_EXPLANATION,
            "explanation",
            f"at most {MAX_EXPLANATION} safe characters",
            self.explanation,
        )
        _require(
            not self.url or (_URL.fullmatch(self.url) and len(self.url) <= _MAX_URL), "url", "a plain URL", self.url
        )
        for key, value in self.classdict.items():
            usable = _KEY.fullmatch(key) and not any(word in key for word in _KEYS_NO_FILTER_CAN_NAME)
            _require(usable, "classdict key", "lower-case, without limit or offset", key)
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            _require(is_number, f"classdict[{key}]", "a finite number", value)
        length = len(json.dumps(dict(self.classdict)))
        _require(length <= MAX_CLASSDICT, "classdict", f"at most {MAX_CLASSDICT} characters as JSON", length)

    def to_json(self) -> str:
        """Return the annotation as one line of JSON, keys in the order of the class."""
        return json.dumps({**self.__dict__, "classdict": dict(self.classdict)})

    @classmethod
    def from_json(cls, text: str) -> "Annotation":
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))


def _require(condition: object, name: str, expected: str, found: object) -> None:
    if not condition:
        raise AnnotationError(f"{name} must be {expected}; found {str(found)[:80]!r}")


def safe_text(text: str, max_length: int = MAX_EXPLANATION) -> str:
    """Reduce any text to the characters that Lasair's SQL survives.

    Accented letters lose their accent; whatever else is outside the safe set becomes a single space; a text that is
    too long ends in three dots.

    Parameters
    ----------
    text
        Anything, lone surrogates included.
    max_length
        Most characters to return.
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    safe = " ".join(_UNSAFE.sub(" ", ascii_text).split())
    return safe if len(safe) <= max_length else safe[: max(0, max_length - 3)].rstrip() + "..."


def decide(
    transient: Transient, scores: Scores, decision: DecisionConfig, exotic_threshold: float | None = None
) -> str:
    """Classify one scored object: `artefact`, `anomaly`, `watch` or `normal`.

    An artefact is an object with enough detections of which none is positive and passes real-bogus, where the record
    counts them; or one whose detection is bogus by its stamps and real-bogus scores, unless it is vouched for by
    :data:`VOUCHING_DETECTIONS` good detections and a drb of :data:`VOUCHING_DRB`.

    Parameters
    ----------
    exotic_threshold
        The probability of being exotic from which on an object is an anomaly, whatever its score; None: no such.
    """
    n_det, n_good = transient.n_det, transient.n_det_good
    if n_det is not None and n_good == 0 and n_det >= decision.artefact_detections:
        return "artefact"
    is_vouched = (n_good or 0) >= VOUCHING_DETECTIONS and transient.extras.get("drb", 0.0) >= VOUCHING_DRB
    if scores.artefact is not None and scores.artefact >= decision.artefact_probability and not is_vouched:
        return "artefact"
    is_exotic = exotic_threshold is not None and scores.exotic is not None and scores.exotic >= exotic_threshold
    if scores.score >= decision.anomaly_score or is_exotic:
        return "anomaly"
    return "watch" if scores.score >= decision.watch_score else "normal"


def judged(classification: str, asked_class: str | None, tns_type: str, decision: DecisionConfig) -> str:
    """Let people have the last word on a classification.

    Parameters
    ----------
    classification
        What :func:`decide` said.
    asked_class
        What a person's verdict asks for, None where it asks for nothing.
    tns_type
        The spectroscopic class in TNS, empty where there is none.
    decision
        Whether a class in TNS makes `watch` of `anomaly`.
    """
    if asked_class is not None:
        return asked_class
    is_demoted = classification == "anomaly" and tns_type and decision.classified == "demote"
    return "watch" if is_demoted else classification


def classdict(transient: Transient, scores: Scores, first_mjd: float | None) -> dict[str, float]:
    """Gather the numbers that the community filters on, absent rather than null.

    Parameters
    ----------
    transient, scores
        The object and what the models said of it.
    first_mjd
        Epoch (MJD) at which it was first flagged, None if it never was.
    """
    numbers: dict[str, float] = {"score": round(scores.score, 4)}
    for name, modality in scores.modalities.items():
        if isinstance(modality, ModalityScore):
            numbers[f"{name}_score"] = round(modality.score, 4)
            numbers[f"{name}_error"] = float(f"{modality.error:.6g}")
    for name, value in learned(scores).items():
        numbers[name] = value
    if transient.n_det is not None:
        numbers["n_det"] = transient.n_det
    if transient.last_mjd is not None:
        numbers["mjd"] = round(transient.last_mjd, 5)
    if first_mjd is not None:
        numbers["first_mjd"] = round(first_mjd, 5)
    return numbers


def learned(scores: Scores) -> dict[str, float]:
    """Return what stands beside the scores, `exotic` and `prior`, as it is written; absent where there is none."""
    return {
        name: round(value, 4)
        for name, value in (("exotic", scores.exotic), ("prior", scores.prior))
        if value is not None
    }
