"""What a model's manifest holds, read from JSON with nothing taken on trust."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import TypeVar, get_args, get_origin

from annotator.errors import ModelError
from annotator.models.calibration import Level
from annotator.models.distribution import Distribution
from annotator.models.percentiles import PERCENTILES, Percentiles
from annotator.preprocess.quantities import QUANTITIES
from annotator.surveys import SURVEYS

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """One column of a model's input: its unit, its physical range, and how the graph scales it.

    The graph computes clip((T(value) - centre) / scale), with T by `transform`: ``identity``; ``log10`` of the value;
    ``asinh`` of value / softening.
    """

    name: str
    unit: str
    low: float
    """Physical range; what is outside is a missing value."""
    high: float
    transform: str
    softening: float
    """Unit of the value; 1 and unused unless the transform is asinh."""
    centre: float
    """Median of T over the training part's normals."""
    scale: float
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

TRANSFORMS = ("identity", "log10", "asinh")


@dataclass(frozen=True)
class Tensor:
    """One input or output of the graph."""

    name: str
    shape: tuple[str, ...]
    """Sizes as text; ``n`` is the batch."""
    meaning: str


@dataclass(frozen=True)
class Calibrated:
    """What normal objects give for one output of the graph."""

    output: str
    """Its name; the larger, the less normal."""
    levels: tuple[Level, ...]
    """By how much was seen of an object; above each level's floor a score is an extrapolation."""


@dataclass(frozen=True)
class Reference:
    """A simulated record and what the training framework itself made of it."""

    record: Mapping
    error: float
    latent: tuple[float, ...]
    others: Mapping
    """The graph's other single numbers, by name."""


@dataclass(frozen=True)
class Manifest:
    """What a model is, what it was made from, and what it must answer."""

    name: str
    version: str
    """Of the model set."""
    survey: str
    modality: str
    recipe: str
    preprocess_version: str
    graph_sha256: str
    graph_bytes: int
    opset: int
    inputs: tuple[Tensor, ...]
    columns: tuple[Column, ...] = field(repr=False)
    """Of the input, in order."""
    outputs: tuple[Tensor, ...]
    training: Mapping
    """Data file and its hash, counts, split, seed, settings."""
    metrics: Mapping = field(repr=False)
    calibrated: tuple[Calibrated, ...] = field(repr=False)
    """The first is the one that the score of the modality is made of."""
    references: tuple[Reference, ...] = field(repr=False)
    distributions: tuple[Distribution, ...] = field(default=(), repr=False)
    """Of the numbers that are watched for drift, over the training set; empty where a recipe is for comparison only."""
    percentiles: tuple[Percentiles, ...] = field(default=(), repr=False)
    """Of those features and quantities that enough normals have, each at its last state; empty where the model has
    other inputs."""


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
    if not manifest.references:
        raise ModelError(f"{where}: expected reference records, found none to prove the model by; train it again")
    for column in manifest.columns:
        if column.transform not in TRANSFORMS or column.scale <= 0 or column.softening <= 0:
            raise ModelError(
                f"{where}: column {column.name}: expected a transform of {', '.join(TRANSFORMS)} and a positive scale "
                f"and softening, found {column.transform!r}, {column.scale}, {column.softening}; train the model again"
            )
    if manifest.survey not in SURVEYS:
        known = " or ".join(map(repr, SURVEYS))
        raise ModelError(f"{where}: expected survey {known}, found {manifest.survey!r}; upgrade")
    _check_distributions(manifest, where)
    _check_percentiles(manifest, where)
    return manifest


def parse_as(kind: type[T], text: bytes, where: str) -> T:
    """Read a dataclass from JSON by its own field types.

    Raises
    ------
    ModelError
        If it is not JSON, lacks a key, has another, or a value is of the wrong kind or not finite.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as failure:
        raise ModelError(f"{where}: expected a manifest in JSON, found {failure}; copy or train it again") from failure
    return _build(kind, content, where)


def _check_calibrated(manifest: Manifest, where: str) -> None:
    outputs = [tensor.name for tensor in manifest.outputs]
    if not manifest.calibrated:
        raise ModelError(f"{where}: expected what normal objects give, found none in calibrated; train the model again")
    for item in manifest.calibrated:
        if item.output not in outputs or not item.levels:
            raise ModelError(
                f"{where}: expected calibrated outputs among {', '.join(outputs)} with at least one level, found "
                f"{item.output!r} with {len(item.levels)}; train the model again"
            )
        for level in item.levels:
            values = level.values
            if not values or list(values) != sorted(values):
                raise ModelError(
                    f"{where}: level {level.name} of {item.output}: expected ascending values, at least one; train the "
                    f"model again"
                )
            if level.tail.scale <= 0 or level.tail.threshold > values[-1]:
                raise ModelError(
                    f"{where}: level {level.name} of {item.output}: expected a tail of positive scale that starts "
                    f"among the values, found scale {level.tail.scale} from {level.tail.threshold}; train again"
                )


def _check_distributions(manifest: Manifest, where: str) -> None:
    names = [item.name for item in manifest.distributions]
    if len(set(names)) < len(names):
        raise ModelError(f"{where}: expected one distribution of a name, found {', '.join(names)}; train it again")
    for item in manifest.distributions:
        is_sound = (
            item.modality == manifest.modality
            and item.n > 0
            and all(low < high for low, high in pairwise(item.edges))
            and len(item.shares) == len(item.edges) + 1
            and all(0 <= share <= 1 for share in (*item.shares, item.missing_share))
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
    units = {item.name: item.unit for item in (*SURVEYS[manifest.survey].features, *QUANTITIES)}
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


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant}, which is not a finite number")


def _build(kind: type, content: object, where: str) -> object:
    """Build a dataclass from JSON by its own field types."""
    if not isinstance(content, Mapping):
        raise ModelError(f"{where}: expected an object, found {type(content).__name__}; copy or train it again")
    known = {field.name: field.type for field in fields(kind)}
    missing, extra = [k for k in known if k not in content], [k for k in content if k not in known]
    if missing or extra:
        raise ModelError(
            f"{where}: expected the keys {', '.join(known)}; missing: {', '.join(missing) or 'none'}; unknown: "
            f"{', '.join(map(str, extra)) or 'none'}; use the manifest that was written with this model"
        )
    return kind(**{name: _value(annotation, content[name], f"{where}: {name}") for name, annotation in known.items()})


def _value(kind: type, value: object, where: str) -> object:
    if get_origin(kind) is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ModelError(f"{where}: expected a list, found {type(value).__name__}; copy or train it again")
        return tuple(_value(get_args(kind)[0], item, f"{where}[{number}]") for number, item in enumerate(value))
    if hasattr(kind, "__dataclass_fields__"):
        return _build(kind, value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise ModelError(f"{where}: expected {kind.__name__}, found {value!r:.60}; copy or train it again")
    if isinstance(value, float) and not math.isfinite(value):
        raise ModelError(f"{where}: expected a finite number, found {value}; copy or train it again")
    return value
