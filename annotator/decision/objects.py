"""The nouns of a decision: what was known of an object, and what is decided now."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from annotator.annotation import Annotation
from annotator.errors import RecordError, SolarSystemObjectError
from annotator.models.scores import ModalityScore, Scores
from annotator.reasons.reason import Reasons
from annotator.transient import Transient
from annotator.verdicts import Verdict


@dataclass(frozen=True)
class Seen:
    """An object as its source gave it."""

    transient: Transient
    record: object
    """What it was read from."""
    digest: str
    """Of what it is given in (:func:`annotator.decision.changes.state_digest`)."""


@dataclass(frozen=True)
class Enriched:
    """An object with what could be fetched for it."""

    transient: Transient
    waits: bool
    """Whether a modality is still to be fetched, in a later pass."""
    gained: bool = False
    """Whether Lasair was asked and answered."""
    refused: RecordError | None = None
    """Why it is not to be scored, by what was fetched."""


@dataclass(frozen=True)
class Case:
    """All that a decision on an object is made of, but for what was known of it before."""

    seen: Seen
    enriched: Enriched
    scores: Scores
    classification: str
    """By the models alone, as :func:`annotator.decision.classify.decide` has it."""
    reasons: Reasons
    """What carries the scores that its sentence names."""
    are_all_reasons: bool = False
    """Whether these are of all its modalities; where they are not, a pass looks for all of them after delivery."""

    @property
    def object_id(self) -> str:
        """Name of the object."""
        return self.seen.transient.object_id

    @property
    def transient(self) -> Transient:
        """The object as it was scored."""
        return self.enriched.transient

    @property
    def waits(self) -> bool:
        """Whether a modality is still to be fetched."""
        return self.enriched.waits


@dataclass(frozen=True)
class ScoredState:
    """What the ledger knows of an object that was scored before."""

    state: str
    """Digest of the values it was scored on."""
    model_set: str
    last_mjd: float | None
    first_flagged_mjd: float | None


@dataclass(frozen=True)
class Known:
    """What was known of an object before; no score ever depends on it."""

    state: ScoredState | None = None
    """None where it was never scored."""
    last_sent: Annotation | None = None
    """What Lasair holds, or will hold once the outbox is empty."""
    tns_type: str = ""
    """Its spectroscopic class in TNS; empty where there is none."""
    verdict: Verdict | None = None
    """The one that holds."""

    @property
    def override(self) -> str | None:
        """The classification that the verdict asks for, None where it asks for nothing."""
        return self.verdict.override if self.verdict else None


@dataclass(frozen=True)
class ScoredObject:
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
    stream: Mapping[str, float] = field(default_factory=dict)
    """How rare it is in this stream, by view (:data:`annotator.decision.stream.VIEWS`); empty until enough is known."""
    transient: Transient | None = None
    """What was scored, to be kept."""
    worth: float | None = None
    """Its place in the order of attention (:mod:`annotator.decision.attention`); None where the models tell none."""
    model_scores: Mapping[str, ModalityScore] = field(default_factory=dict)
    """What each model that could score it said, to be kept with it: whoever asks later need not ask the models."""


@dataclass(frozen=True)
class Refusal:
    """A record that could not be used, or a part of it."""

    object_id: str
    """Empty where it has none."""
    reason: str
    record: str
    """As text."""
    part: str = "record"
    """What of it: all, a modality, a head, ``reasons``."""
    kind: str = "RecordError"
    """Class of the exception."""

    @property
    def is_solar_system(self) -> bool:
        """Whether the record is whole, and all that was detected a known solar-system object."""
        return self.kind == SolarSystemObjectError.__name__


@dataclass(frozen=True)
class TnsEntry:
    """What the Transient Name Server calls an object."""

    name: str
    type: str
    """The spectroscopic class; empty where it has none."""
