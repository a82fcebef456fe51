"""What a night of real objects comes to: flags by kind, who leads, and what hangs on Pan-STARRS1's columns."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from annotator.annotation import Classification
from annotator.decision.attention import attention_of, evidence_of, worth_of
from annotator.decision.classify import decide, exotic_threshold_of
from annotator.decision.config import DecisionConfig
from annotator.decision.sending import FLAGS
from annotator.decision.variable import standing
from annotator.models import ModelSet, Scores
from training.stream_night.objects import NO_NIGHT, StreamObject

NUCLEAR_ARCSEC = 1.0
"""Nearer to the nearest catalogued source than this is in it."""
LAST = (Classification.ARTEFACT, Classification.VARIABLE)
"""Whatever they score, they come after all others."""


@dataclass(frozen=True)
class Judged:
    """One object of the night, as it was decided on."""

    object: StreamObject
    scores: Scores
    classification: str
    by_scores: str
    """What it would be, were nothing known of its variability."""
    standing: str
    """What is known of its variability, in words."""
    worth: float
    """As the list is ordered, with nothing known of the object in TNS and none of the stream's own scale; 0 where the
    models have no order of attention."""

    @property
    def is_flag(self) -> bool:
        """Whether anybody would be told of it."""
        return self.classification in FLAGS

    @property
    def place(self) -> str:
        """Where it lies, in words: in a nucleus within :data:`NUCLEAR_ARCSEC`, beside a source, or without one."""
        numbers = self.scores.numbers
        near = [numbers[name] for name in ("host_separation", "ps1_separation") if name in numbers]
        if not near:
            return "no source near"
        return "in a nucleus, or on a star" if min(near) < NUCLEAR_ARCSEC else "beside a source"

    @property
    def age_days(self) -> float | None:
        """Since the first detection of the packet; None where nothing tells."""
        return self.scores.numbers.get("age")

    @property
    def leads_nowhere(self) -> bool:
        """Whether it is of a kind that may not lead a night."""
        return self.object.kind.startswith(NO_NIGHT)


ORDERS: Mapping[str, Callable[[Judged], float]] = MappingProxyType(
    {
        "worth": lambda item: item.worth,
        "score": lambda item: item.scores.score,
        "exotic": lambda item: item.scores.exotic or 0.0,
    }
)
"""By what a night can be ranked, that of the list first; artefacts and known variables come last in each."""


@dataclass(frozen=True)
class StreamNight:
    """The objects that the input filter lets through, and all that are hostless without Pan-STARRS1's columns."""

    judged: tuple[Judged, ...]
    n_objects: int
    """Before the filter."""
    hostless: tuple[Judged, ...]
    """Those without a Pan-STARRS1 source near, as they are."""
    hostless_hidden: tuple[Judged, ...]
    """The same without its columns."""

    def ranked(self, order: str) -> list[Judged]:
        """Return all in one of :data:`ORDERS`."""
        by = ORDERS[order]
        return sorted(
            self.judged, key=lambda item: (item.classification in LAST, -by(item), item.object.transient.object_id)
        )

    def flags(self, classification: str, by_scores: bool = False) -> list[Judged]:
        """Return those of a class; or that would be, were nothing known of their variability."""
        return [
            item for item in self.judged if (item.by_scores if by_scores else item.classification) == classification
        ]

    def kinds(self, of: Sequence[Judged]) -> Counter[str]:
        """Count objects by kind."""
        return Counter(item.object.kind for item in of)


def judge(
    objects: Sequence[StreamObject], scores: Sequence[Scores], models: ModelSet, decision: DecisionConfig
) -> tuple[Judged, ...]:
    """Decide on scored objects, as a pass does; those that nothing can be said of are left out."""
    threshold, blind = exotic_threshold_of(models, decision), msgspec.structs.replace(decision, variable=False)
    found = []
    for item, said in zip(objects, scores, strict=True):
        if not said.n_present:
            continue
        classification, chance = decide(item.transient, said, decision, threshold), 0.0
        if models.worth is not None:
            (attention,) = attention_of([evidence_of(said, {}, item.transient)], models.worth.as_weights())
            chance = attention.chance
        found.append(
            Judged(
                object=item,
                scores=said,
                classification=classification,
                by_scores=decide(item.transient, said, blind, threshold),
                standing=standing(item.transient, decision),
                worth=worth_of(chance, classification in LAST),
            )
        )
    return tuple(found)


def asked_of(objects: Sequence[StreamObject]) -> list[StreamObject]:
    """Return what has to be scored for a night: what the filter lets through, and the hostless, also without PS1."""
    hostless = [item for item in objects if item.is_hostless]
    return [*(item for item in objects if item.passes), *hostless, *(item.without_pan_starrs() for item in hostless)]


def stream_night(
    objects: Sequence[StreamObject],
    score: Callable[[Sequence[StreamObject]], list[Scores]],
    models: ModelSet,
    decision: DecisionConfig | None = None,
) -> StreamNight:
    """Score a night of objects and decide on them, by default with the thresholds that ship.

    Parameters
    ----------
    score
        Scores objects, in order.
    models
        Whose thresholds hold.
    """
    asked = asked_of(objects)
    n_hostless = sum(item.is_hostless for item in objects)
    n_passing = len(asked) - 2 * n_hostless
    judged, scored = decision or DecisionConfig(), score(asked)
    ends = (n_passing, n_passing + n_hostless, len(asked))
    parts = [
        judge(asked[start:end], scored[start:end], models, judged) for start, end in zip((0, *ends), ends, strict=False)
    ]
    return StreamNight(parts[0], len(objects), parts[1], parts[2])
