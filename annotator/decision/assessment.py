"""The nouns of a decision: what was known of an object, and what is decided now."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from annotator.annotation import Annotation
from annotator.models import ModalityScore
from annotator.reasons.reason import Reasons
from annotator.transient import Transient

Source = tuple[Transient, object]
"""An object as the source gave it, and the record it was read from."""


@dataclass(frozen=True)
class Completed:
    """An object with what could be fetched for it."""

    transient: Transient
    waits: bool
    """Whether a modality is still to be fetched, in a later pass."""
    gained: bool = False
    """Whether Lasair was asked and answered."""


@dataclass(frozen=True)
class ScoredState:
    """What the ledger knows of an object that was scored before."""

    state: str
    """Digest of the values it was scored on."""
    model_set: str
    last_mjd: float | None
    first_flagged_mjd: float | None


@dataclass(frozen=True)
class Assessment:
    """One object's result in this pass, ready to be written down."""

    object_id: str
    state: str
    model_set: str
    last_mjd: float | None
    n_det: int | None
    classification: str
    score: float
    modalities: Mapping[str, object]
    """Each modality's score and error, or why it is missing; and what stands beside the scores."""
    first_flagged_mjd: float | None
    outgoing: Annotation | None
    """The annotation to send, None where Lasair need not hear of it."""
    waiting_record: object = None
    """The record, where a modality is still to be fetched."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """What the heads learn from: kept of an object's last state, for whoever judges it later."""
    bins: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By modality that is present, then by name: the bin of what is watched for drift."""
    explanation: str = ""
    """What the models say of it in one sentence, whatever people or TNS say."""
    reasons: Reasons | None = None
    """What carries the scores; None where nobody was told of them yet."""
    transient: Transient | None = None
    """What was scored, to be kept."""
    model_scores: Mapping[str, ModalityScore] = field(default_factory=dict)
    """What each model that could score it said, to be kept with it: whoever asks later need not ask the models."""


@dataclass(frozen=True)
class Refusal:
    """A record that could not be used."""

    object_id: str
    """Empty where it has none."""
    reason: str
    record: str


@dataclass(frozen=True)
class TnsEntry:
    """What the Transient Name Server calls an object."""

    name: str
    type: str
    """The spectroscopic class; empty where it has none."""
