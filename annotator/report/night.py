"""One night as people look at it: its objects, ranked, each with all that is known of it, and how the night went."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from annotator.reasons.reason import Reasons
from annotator.transient import Transient


@dataclass(frozen=True)
class ModalityResult:
    """What one modality said of one object."""

    score: float | None
    """None where the modality is missing."""
    error: float | None
    missing: str
    """Why it is missing; empty where it is not."""
    mjd: float | None = None
    """Epoch of the stamps, where it is a triplet's."""


@dataclass(frozen=True)
class PastScore:
    """One of the object's scorings, this night's last among them."""

    scored_at: float
    """Seconds since 1970."""
    mjd: float | None
    n_det: int | None
    model_set: str
    classification: str
    score: float
    modality_scores: Mapping[str, float]


@dataclass(frozen=True)
class Judgement:
    """What a person said of an object, as the page shows it."""

    verdict: str
    person: str
    when: str
    """ISO 8601, UTC."""
    note: str


@dataclass(frozen=True)
class Candidate:
    """One object of the night, as it was scored last in it."""

    rank: int
    """In the order of attention, from 1."""
    object_id: str
    classification: str
    score: float
    modalities: Mapping[str, ModalityResult]
    prior: float | None
    exotic: float | None
    explanation: str
    reasons: Reasons
    """Empty where nobody has found them yet (:attr:`has_reasons`)."""
    n_det: int | None
    mjd: float | None
    """Epoch of the last detection."""
    first_flagged_mjd: float | None
    is_new: bool
    """Not scored in any night before."""
    is_newly_flagged: bool
    """Flagged in this night for the first time."""
    tns_name: str
    """Empty where TNS has none."""
    tns_type: str
    judgement: Judgement | None
    transient: Transient | None
    """None where the ledger no longer keeps what was scored."""
    history: tuple[PastScore, ...]
    """Oldest first."""
    latents: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Its place in each model's bottleneck, by modality; of what is no longer kept, none."""
    stream: float | None = None
    """How rare its combined score was among this stream's objects of the nights before; None where too few were
    known."""
    worth: float | None = None
    """Its place in the order of attention, by what is known of it now; None where it was scored without one."""
    worth_if_unknown: float | None = None
    """What that were, if nothing was known of it."""
    worth_in_words: str = ""
    has_reasons: bool = True
    """Whether a pass has looked for what carries the scores; it may have found nothing."""

    @property
    def sherlock_class(self) -> str:
        """Sherlock's class; empty where it is unknown."""
        return (self.transient.sherlock_class if self.transient else None) or ""


@dataclass(frozen=True)
class NightSummary:
    """How the night went."""

    objects: int
    """Scored at least once."""
    scorings: int
    by_modality: Mapping[str, int]
    """Objects whose modality was scored."""
    classes: Mapping[str, int]
    """Objects by their last classification."""
    new_objects: int
    newly_flagged: int
    refused: int
    """Records."""
    passes: int
    drift: tuple[str, ...]
    """In words; one line says that there is none. Empty where other models are installed than scored the night."""
    reads_left: int
    writes_left: int
    """Calls of the hour."""
    outbox_waiting: int
    outbox_failed: int
    incomplete: int
    """Objects that wait for their light curve or cutouts."""
    attention: tuple[str, ...]
    """What a person must look at."""


@dataclass(frozen=True)
class Night:
    """A night and its objects."""

    number: int
    """As :func:`annotator.nights.night_of` numbers it."""
    date: str
    """Of the evening it begins on, UTC: 2026-11-23."""
    survey: str
    model_set: str
    made_at: str
    """ISO 8601, UTC."""
    anomaly_score: float
    watch_score: float
    """What held in that night: the configured thresholds, or those of a nightly budget."""
    exotic_threshold: float | None
    summary: NightSummary
    candidates: tuple[Candidate, ...]
    """In the order of attention."""
    n_left_out: int
    """Objects of the night that are worth less, and not listed."""
    budget: str = ""
    """What the thresholds of a nightly budget were made of, in words; empty where there was none."""
    other_models: str = ""
    """The model set that is installed, where another scored the night: nothing is shown of what it would expect."""
    provisional: str = ""
    """Why its models are only to be relied on for now; empty where they are meant to stay, or no longer installed."""
