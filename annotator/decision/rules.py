"""The rules of a pass: what all its objects are decided by."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from annotator.decision.config import DecisionConfig
from annotator.decision.stream import NOTHING_KNOWN, StreamScale
from annotator.models.distribution import Distribution
from annotator.models.worth import Weights


@dataclass(frozen=True)
class Rules:
    """What all objects of a pass are decided by."""

    thresholds: DecisionConfig
    exotic_threshold: float | None
    """The probability of being exotic from which on an object is an anomaly; None where nothing tells it."""
    topic: str
    """Of the annotations."""
    classes: tuple[str, ...]
    """Those that are written; any other only over one of these."""
    resend_margin: float
    """By how much the combined score has to move before an unchanged classification is written again."""
    model_set: str
    """Version of the models that scored."""
    head_inputs: frozenset[str]
    """Names of the numbers that are kept of an object for the heads to learn from."""
    distributions: tuple[Distribution, ...]
    """What is watched for drift."""
    stream: StreamScale = NOTHING_KNOWN
    """How high scores are in this stream."""
    worth: Weights | None = None
    """What the order of attention is made of, as people judged and want it; None where the models have none."""
    leaves_judged: bool = False
    """Whether an annotation that says what a person judged stands although no verdict of its object is known: the file
    of verdicts, or a line of it, cannot be read."""

    @functools.cached_property
    def distributions_of(self) -> Mapping[str, tuple[Distribution, ...]]:
        """What is watched for drift, by modality."""
        modalities = dict.fromkeys(item.modality for item in self.distributions)
        return {name: tuple(item for item in self.distributions if item.modality == name) for name in modalities}
