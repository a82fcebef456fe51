"""The models: what their manifests promise, checked at the door, and the scores they give.

A model is two files, ``<modality>.onnx`` and ``<modality>.json``. All constants of a model live inside its graph; the
manifest says what it is, and holds records with the scores it must give: a model that doesn't is refused.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from annotator.fences import Failure, failure_of, require_own_faults
from annotator.models.calibration import combined_score
from annotator.models.distribution import Distribution
from annotator.models.heads import Head
from annotator.models.model import Model
from annotator.models.scores import Missing, ModalityScore, Scores, only_scored
from annotator.models.worth import WorthManifest
from annotator.preprocess.quantities import quantities
from annotator.surveys import SURVEYS
from annotator.transient import Modality, Transient


@dataclass(frozen=True)
class ModelSet:
    """The models of one survey that belong together."""

    version: str
    """Names the set in every annotation, for example ``aha-ztf-1.0``."""
    survey: str
    models: Mapping[str, Model]
    """By modality."""
    heads: Mapping[str, Head] = field(default_factory=dict)
    """Models of what the modalities say, by name: ``exotic``, ``artefact``."""
    worth: WorthManifest | None = field(default=None, repr=False)
    """What the order of attention is made of, as released; None where the set has none."""
    distributions: tuple[Distribution, ...] = field(default=(), repr=False)
    """Over the training sets of all models, of what is watched for drift."""
    provisional: str = ""
    """Why these models are only to be relied on for now, in words that follow a colon; empty where none is so."""

    def score(self, transients: Sequence[Transient]) -> list[Scores]:
        """Score objects, in order; an object's scores are the same to the bit whatever the others are.

        What a model or a head fails at in one object is missing of that one alone (:attr:`Scores.failures`).

        Raises
        ------
        GeneralFaultError
            If one of them fails at nearly all objects alike.
        """
        by_model = zip(*(model.score_all(transients) for model in self.models.values()), strict=True)
        modalities = [dict(zip(self.models, scores, strict=True)) for scores in by_model]
        heads = self._heads_say(transients, modalities)
        combined = [_combined(*item) for item in zip(modalities, heads, strict=True)]
        for name in self.heads:
            failures = [scores.failures[name] for scores in combined if name in scores.failures]
            if failures:
                require_own_faults(failures, len(combined), f"objects that were to be judged by the head {name}")
        return combined

    @property
    def views(self) -> frozenset[str]:
        """What the models look at of an object: what they are of, and the light curve where features are of it."""
        needs_curve = Modality.FEATURES in self.models and SURVEYS[self.survey].features_are_of_light_curve
        return frozenset(self.models) | ({Modality.LIGHTCURVE} if needs_curve else set())

    @property
    def head_inputs(self) -> frozenset[str]:
        """Names of the numbers that a head asks for."""
        return frozenset(name for head in self.heads.values() for name in head.manifest.inputs)

    def _heads_say(
        self, transients: Sequence[Transient], modalities: Sequence[Mapping[str, ModalityScore | Missing]]
    ) -> list["_HeadsSay"]:
        """Ask all heads about objects, in order."""
        said = [_HeadsSay() for _ in transients]
        if not self.heads:
            return said
        for item, transient, scores in zip(said, transients, modalities, strict=True):
            try:
                item.numbers = head_numbers(transient, only_scored(scores))
            except Exception as error:
                item.failures = dict.fromkeys(self.heads, failure_of(error))
        askable = [item for item in said if not item.failures]
        for name, head in self.heads.items():
            _ask(name, head, askable)
        return said


@dataclass
class _HeadsSay:
    """What the heads were given of an object, and what they say."""

    numbers: dict[str, float] = field(default_factory=dict)
    judged: dict[str, float | None] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)


def _ask(name: str, head: Head, objects: Sequence[_HeadsSay]) -> None:
    """Ask a head about objects together, or about each by itself where that fails."""
    try:
        probabilities = head.probabilities([item.numbers for item in objects])
    except Exception as error:
        if len(objects) == 1:
            objects[0].failures[name] = failure_of(error)
            return
        for item in objects:
            _ask(name, head, [item])
        return
    for item, probability in zip(objects, probabilities, strict=True):
        item.judged[name] = probability


def _combined(modalities: Mapping[str, ModalityScore | Missing], heads: _HeadsSay) -> Scores:
    present = only_scored(modalities)
    failures = {name: item.failure for name, item in modalities.items() if isinstance(item, Missing) and item.failure}
    return Scores(
        score=combined_score(item.score for item in present.values()),
        modalities=MappingProxyType(modalities),
        prior=next((item.prior for item in present.values() if item.prior is not None), None),
        **heads.judged,
        numbers=heads.numbers,
        failures=failures | heads.failures,
    )


def head_numbers(transient: Transient, present: Mapping[str, ModalityScore]) -> dict[str, float]:
    """Gather, by name, all numbers that a head may learn from.

    Quantities, and of each modality that is present its single numbers, residual terms of the stamps, and latent. No
    name, position, date, redshift or spectroscopic class is among them: a head can ask for no other number.
    """
    survey, extras = SURVEYS[transient.survey], transient.extras
    numbers = quantities(survey.features, transient) | {
        name: extras[name] for name in survey.real_bogus if name in extras
    }
    for modality, item in present.items():
        numbers.update(zip(_named(modality, tuple(item.numbers)), item.numbers.values(), strict=True))
        numbers.update(zip(_counted(f"{modality}_latent", len(item.latent)), item.latent, strict=True))
    if Modality.TRIPLET in present:
        terms = present[Modality.TRIPLET].residual
        numbers.update(zip(_counted("triplet_term", len(terms)), terms, strict=True))
    return numbers


@functools.cache
def _named(modality: str, outputs: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{modality}_{output}" for output in outputs)


@functools.cache
def _counted(name: str, how_many: int) -> tuple[str, ...]:
    return tuple(f"{name}_{number}" for number in range(how_many))
