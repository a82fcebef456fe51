"""What the models say of one object."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from annotator.fences import Failure

NO_MODEL = "no model for this survey yet in this model set"
"""Why a modality is missing that a model set does not have, as people read it."""


@dataclass(frozen=True)
class Missing:
    """A modality that an object lacks, or that could not be scored."""

    why: str
    failure: Failure | None = None
    """What scoring it failed at; None where the object just lacks it."""


@dataclass(frozen=True)
class ModalityScore:
    """What one model says of one object."""

    score: float
    """-log10 of the tail probability among normal objects."""
    error: float
    """AHA's reconstruction error."""
    residual: tuple[float, ...]
    """Input less reconstruction, in the graph's scaled units; 0 where the value is missing."""
    latent: tuple[float, ...]
    """The object's place in the bottleneck."""
    sampling: str = ""
    """Name of the calibration's level: what of like sampling it is compared with."""
    is_extrapolated: bool = False
    """Whether the score is beyond what the number of known normals can tell, and follows the fitted tail."""
    prior: float | None = None
    """-log10 of the tail probability of the physical prior, of a model that has one."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """All single numbers that the graph gives, by output, and those of the input that a head learns from."""
    observed: Mapping[str, float | None] = field(default_factory=dict, compare=False)
    """What is watched for drift (:mod:`annotator.models.observed`), None where a value is missing; of the input, so
    that like verdicts on unlike objects are equal."""


def only_scored(modalities: Mapping[str, "ModalityScore | Missing"]) -> dict[str, ModalityScore]:
    """Return what was scored, by modality, without what is missing."""
    return {name: item for name, item in modalities.items() if isinstance(item, ModalityScore)}


@dataclass(frozen=True)
class Scores:
    """What the model set says of one object."""

    score: float
    """All present modalities combined (:func:`annotator.models.calibration.combined_score`); 0 when there are none,
    which is no score (:attr:`why_none`)."""
    modalities: Mapping[str, ModalityScore | Missing]
    """By the model set's modalities, each of them present."""
    prior: float | None = None
    """-log10 of the tail probability of how blue, nuclear and slow it is: an openly stated prior, beside the score."""
    exotic: float | None = None
    """Probability of being of a kind that earned a night before, learned from known exotics and people's verdicts."""
    artefact: float | None = None
    """Probability that the detection is bogus, by its stamps and real-bogus scores; None without stamps."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """What the heads were given, by name (:func:`head_numbers`)."""
    failures: Mapping[str, Failure] = field(default_factory=dict)
    """What could not be said of it, by modality or head, and why: faults, not what the object lacks."""

    @property
    def n_present(self) -> int:
        """How many modalities were scored."""
        return len(self.present)

    @functools.cached_property
    def present(self) -> Mapping[str, ModalityScore]:
        """Return what was scored, by modality."""
        return only_scored(self.modalities)

    @property
    def why_none(self) -> str:
        """Why no model could score anything of the object; empty where one could."""
        missing = {name: item.why for name, item in self.modalities.items() if isinstance(item, Missing)}
        if len(missing) < len(self.modalities):
            return ""
        return f"nothing of it can be scored ({'; '.join(f'{name}: {why}' for name, why in missing.items())})"
