"""What a model's manifest holds, read from JSON with nothing taken on trust."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from annotator.errors import ModelError
from annotator.models.calibration import Brightness, Level
from annotator.models.distribution import Distribution
from annotator.models.percentiles import PERCENTILES, Percentiles
from annotator.preprocess.evolution import EVOLUTION
from annotator.preprocess.quantities import QUANTITIES
from annotator.surveys import SURVEYS
from annotator.typed import Typed, decode

T = TypeVar("T")

Positive = Annotated[float, Meta(gt=0)]


class Column(Typed):
    """One column of a model's input: its unit, its physical range, and how the graph scales it.

    The graph computes clip((T(value) - centre) / scale), with T by `transform`: ``identity``; ``log10`` of the value;
    ``asinh`` of value / softening.
    """

    name: str
    unit: str
    low: float
    """Physical range; what is outside is a missing value."""
    high: float
    transform: Literal["identity", "log10", "asinh"]
    softening: Positive
    """Unit of the value; 1 and unused unless the transform is asinh."""
    centre: float
    """Median of T over the training part's normals."""
    scale: Positive
    """Robust standard deviation of T over the training part's normals."""
    clip_low: float
    """Scaled extremes of the training part: nothing beyond them can raise the error further."""
    clip_high: float

    def scaled(self, value: float) -> float:
        """Return a value in the graph's scaled units."""
        return min(max((self._forward(value) - self.centre) / self.scale, self.clip_low), self.clip_high)

    def unscaled(self, scaled: float) -> float:
        """Return the value, in the column's unit, that has these scaled units."""
        transformed = self.centre + self.scale * scaled
        if self.transform == "log10":
            return 10.0**transformed
        return self.softening * math.sinh(transformed) if self.transform == "asinh" else transformed

    def _forward(self, value: float) -> float:
        if self.transform == "log10":
            return math.log10(max(value, SMALLEST_LOG10_ARGUMENT))
        return math.asinh(value / self.softening) if self.transform == "asinh" else value


SMALLEST_LOG10_ARGUMENT = 1e-3
"""Floor under a logarithm: a milliarcsecond, where the logarithmic columns are angles."""


class Tensor(Typed):
    """One input or output of the graph."""

    name: str
    shape: tuple[str, ...]
    """Sizes as text; ``n`` is the batch."""
    meaning: str


class Calibrated(Typed):
    """What normal objects give for one output of the graph."""

    output: str
    """Its name; the larger, the less normal."""
    levels: Annotated[tuple[Level, ...], Meta(min_length=1)]
    """By how much was seen of an object; above each level's floor a score is an extrapolation."""
    brightness: Brightness | None = None
    """What the levels' values were compared with, where brightness and depth count."""


class Reference(Typed):
    """A simulated record and what the training framework itself made of it."""

    record: Mapping
    error: float
    latent: tuple[float, ...]
    others: Mapping
    """The graph's other single numbers, by name."""


class Manifest(Typed):
    """What a model is, what it was made from, and what it must answer."""

    name: str
    version: str
    """Of the model set."""
    survey: str
    modality: str
    """A :class:`~annotator.transient.Modality`; that of a model for comparison only begins with ``aha_``."""
    recipe: str
    preprocess_version: str
    graph_sha256: str
    graph_bytes: int
    opset: int
    inputs: tuple[Tensor, ...]
    columns: tuple[Column, ...]
    """Of the input, in order."""
    outputs: tuple[Tensor, ...]
    training: Mapping
    """Data file and its hash, counts, split, seed, settings."""
    metrics: Mapping
    calibrated: Annotated[
        tuple[Calibrated, ...], Meta(min_length=1, description="what normal objects give for one output or more")
    ]
    """The first is the one that the score of the modality is made of."""
    references: Annotated[
        tuple[Reference, ...], Meta(min_length=1, description="reference records, at least one to prove the model by")
    ]
    distributions: tuple[Distribution, ...] = ()
    """Of the numbers that are watched for drift, over the training set; empty where a recipe is for comparison only."""
    percentiles: tuple[Percentiles, ...] = ()
    """Of those features and quantities that enough normals have, each at its last state; empty where the model has
    other inputs."""
    provisional: str = ""
    """Why it is only to be relied on for now, in words that follow a colon; empty where it is meant to stay."""


def parse_manifest(text: bytes, where: str) -> Manifest:
    """Read a manifest.

    Parameters
    ----------
    text
        JSON.
    where
        The file's name, for messages.

    Raises
    ------
    ModelError
        If it is not JSON, lacks a key, has another, or a value is of the wrong kind or not finite.
    """
    manifest = parse_as(Manifest, text, where)
    _check_calibrated(manifest, where)
    if manifest.survey not in SURVEYS:
        known = " or ".join(map(repr, SURVEYS))
        raise ModelError(f"{where}: expected survey {known}, found {manifest.survey!r}; upgrade")
    _check_distributions(manifest, where)
    _check_percentiles(manifest, where)
    return manifest


def parse_as(kind: type[T], text: bytes, where: str) -> T:
    """Read values of a declared type from JSON.

    Raises
    ------
    ModelError
        If it is not JSON, lacks a key, has another, or a value is of the wrong kind or not finite.
    """
    try:
        return decode(msgspec.json.decode(text), kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise ModelError(f"{where}: expected a manifest in JSON, found {failure}; copy or train it again") from failure
    except ValueError as failure:
        raise ModelError(f"{where}: {failure}; use the manifest that was written with this model") from failure


def _check_calibrated(manifest: Manifest, where: str) -> None:
    outputs = [tensor.name for tensor in manifest.outputs]
    for item in manifest.calibrated:
        if item.output not in outputs:
            raise ModelError(
                f"{where}: expected calibrated outputs among {', '.join(outputs)}, found {item.output!r}; train the "
                f"model again"
            )
        for level in item.levels:
            values = level.values
            if list(values) != sorted(values):
                raise ModelError(
                    f"{where}: level {level.name} of {item.output}: expected ascending values; train the model again"
                )
            if level.tail.threshold > values[-1]:
                raise ModelError(
                    f"{where}: level {level.name} of {item.output}: expected a tail that starts among the values, "
                    f"found one from {level.tail.threshold}; train the model again"
                )


def _check_distributions(manifest: Manifest, where: str) -> None:
    names = [item.name for item in manifest.distributions]
    if len(set(names)) < len(names):
        raise ModelError(f"{where}: expected one distribution of a name, found {', '.join(names)}; train it again")
    for item in manifest.distributions:
        is_sound = (
            item.modality == manifest.modality
            and all(low < high for low, high in pairwise(item.edges))
            and len(item.shares) == len(item.edges) + 1
            and math.isclose(sum(item.shares), 1, abs_tol=1e-4)
        )
        if not is_sound:
            raise ModelError(
                f"{where}: expected distributions of {manifest.modality} with ascending edges, one share more than "
                f"edges, in all 1, of at least one object, found {item}; train the model again"
            )


def _check_percentiles(manifest: Manifest, where: str) -> None:
    names = [item.name for item in manifest.percentiles]
    if len(set(names)) < len(names):
        raise ModelError(f"{where}: expected percentiles once of a name, found {', '.join(names)}; train it again")
    units = {item.name: item.unit for item in (*SURVEYS[manifest.survey].features, *QUANTITIES, *EVOLUTION)}
    for item in manifest.percentiles:
        if item.name not in units or item.unit != units[item.name]:
            raise ModelError(
                f"{where}: expected percentiles of this release's features and quantities in their units, found "
                f"{item.name!r} in {item.unit!r}; train the model again"
            )
        if len(item.values) != len(PERCENTILES) or any(low > high for low, high in pairwise(item.values)):
            raise ModelError(
                f"{where}: percentiles of {item.name}: expected {len(PERCENTILES)} ascending values, found "
                f"{list(item.values)}; train the model again"
            )
