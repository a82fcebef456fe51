"""From a transient to the tensors that each modality's graph takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.models.calibration import Sampling
from annotator.models.observed import of_features, of_light_curve, of_stamps
from annotator.preprocess.features import Feature, feature_row
from annotator.preprocess.lightcurve import Detections, Peak, grid, usable_curve
from annotator.preprocess.quantities import quantity_row
from annotator.preprocess.stamp_statistics import statistics_of
from annotator.preprocess.triplet import Measured, composed, stamp_tensors
from annotator.surveys import SURVEYS
from annotator.transient import Modality, Transient

T = TypeVar("T")


@dataclass(frozen=True)
class Beside:
    """What is known of an object beside its tensors."""

    sampling: Sampling
    observed: Mapping[str, float | None]
    """What of the input is watched for drift."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Further numbers of the input that a head learns from."""


@dataclass(frozen=True)
class Prepared:
    """What a model is given of objects."""

    tensors: Mapping[str, NDArray[np.float32]]
    """The graph's inputs, ``(n, ...)``."""
    beside: tuple[Beside, ...]
    """Of each object."""

    def __len__(self) -> int:
        return len(self.beside)


def _as_they_are(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values


@dataclass(frozen=True)
class Preparation(Generic[T]):
    """How a modality's input is made, in two steps: of each object by itself, then of several at once."""

    take: Callable[[Transient], T]
    """Take from an object what its tensors are made of; raises MissingModalityError where it lacks it."""
    lay_out: Callable[[Sequence[T]], Prepared]
    """Make tensors of what was taken of objects, in order; each is the same to the bit whatever the others are."""
    compose: Callable[[NDArray[np.float32]], NDArray[np.float32]] = _as_they_are
    """Lay out what the graph says of its input as the input is laid out, ``(n, ...)``."""

    def __call__(self, transient: Transient) -> Prepared:
        """Prepare one object."""
        return self.lay_out([self.take(transient)])


@dataclass(frozen=True)
class _Row:
    """One object's features and quantities, and how much was seen of it."""

    table: Sequence[Feature]
    features: NDArray[np.float32]
    quantities: NDArray[np.float32]
    sampling: Sampling


def _take_features(transient: Transient) -> _Row:
    table = SURVEYS[transient.survey].features
    sampling = Sampling(transient.n_det, transient.extras.get("age_days"))
    return _Row(table, feature_row(table, transient.features), quantity_row(table, transient), sampling)


def _lay_out_features(rows: Sequence[_Row]) -> Prepared:
    tensors = {name: np.stack([getattr(row, name) for row in rows]) for name in ("features", "quantities")}
    return Prepared(tensors, tuple(Beside(row.sampling, of_features(row.table, row.features)) for row in rows))


def sampling_of(detections: Detections) -> Sampling:
    """Return how much was seen of a light curve."""
    return Sampling(
        len(detections),
        float(detections.time_days[-1] - detections.time_days[0]),
        float(detections.magnitude.min()),
        float(detections.error_mag.min()),
    )


def _lay_out_light_curves(curves: Sequence[tuple[Detections, Peak]]) -> Prepared:
    tensors = grid([detections for detections, _ in curves], [about for _, about in curves])
    beside = (Beside(sampling_of(detections), of_light_curve(detections)) for detections, _ in curves)
    return Prepared({"lightcurve": tensors}, tuple(beside))


def _take_stamps(transient: Transient) -> Measured:
    if transient.triplet is None:
        raise MissingModalityError("no cutouts")
    return SURVEYS[transient.survey].measured(transient.triplet.as_scored())


def _lay_out_stamps(triplets: Sequence[Measured]) -> Prepared:
    tensors = stamp_tensors(triplets)
    beside = (
        Beside(Sampling(), observed, {f"stamp_{name}": value for name, value in numbers.items()})
        for observed, numbers in zip(of_stamps(tensors), statistics_of(tensors), strict=True)
    )
    return Prepared({"stamps": tensors}, tuple(beside))


PREPARATIONS: Mapping[str, Preparation] = MappingProxyType(
    {
        Modality.FEATURES: Preparation(_take_features, _lay_out_features),
        Modality.LIGHTCURVE: Preparation(lambda transient: usable_curve(transient.light_curve), _lay_out_light_curves),
        Modality.TRIPLET: Preparation(_take_stamps, _lay_out_stamps, composed),
    }
)
"""How each modality's input is made."""
