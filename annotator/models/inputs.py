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
from annotator.preprocess.features import feature_row
from annotator.preprocess.lightcurve import Detections, Peak, grid, usable_curve
from annotator.preprocess.quantities import quantity_row
from annotator.preprocess.stamp_statistics import statistics_of
from annotator.surveys import SURVEYS
from annotator.transient import Modality, Transient

T = TypeVar("T")


@dataclass(frozen=True)
class Prepared:
    """What a model is given of one object."""

    tensors: Mapping[str, NDArray[np.float32]]
    """The graph's inputs, a batch of one."""
    sampling: Sampling
    observed: Mapping[str, float | None]
    """What of the input is watched for drift."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Further numbers of the input that a head learns from."""


@dataclass(frozen=True)
class Preparation(Generic[T]):
    """How a modality's input is made, in two steps: of each object by itself, then of several at once."""

    take: Callable[[Transient], T]
    """Take from an object what its tensors are made of; raises MissingModalityError where it lacks it."""
    lay_out: Callable[[Sequence[T]], list[Prepared]]
    """Make tensors of what was taken of objects, in order; each is the same to the bit whatever the others are."""

    def __call__(self, transient: Transient) -> Prepared:
        """Prepare one object."""
        return self.lay_out([self.take(transient)])[0]


def _take_features(transient: Transient) -> Prepared:
    table = SURVEYS[transient.survey].features
    tensors = {"features": feature_row(table, transient.features), "quantities": quantity_row(table, transient)}
    sampling = Sampling(transient.n_det, transient.extras.get("age_days"))
    observed = of_features(table, tensors["features"])
    return Prepared({name: row[np.newaxis] for name, row in tensors.items()}, sampling, observed)


def sampling_of(detections: Detections) -> Sampling:
    """Return how much was seen of a light curve."""
    return Sampling(
        len(detections),
        float(detections.time_days[-1] - detections.time_days[0]),
        float(detections.magnitude.min()),
        float(detections.error_mag.min()),
    )


def _lay_out_light_curves(curves: Sequence[tuple[Detections, Peak]]) -> list[Prepared]:
    tensors = grid([detections for detections, _ in curves], [about for _, about in curves])
    return [
        Prepared({"lightcurve": tensor[np.newaxis]}, sampling_of(detections), of_light_curve(detections))
        for tensor, (detections, _) in zip(tensors, curves, strict=True)
    ]


def _take_stamps(transient: Transient) -> NDArray[np.float32]:
    if transient.triplet is None:
        raise MissingModalityError("no cutouts")
    return SURVEYS[transient.survey].stamp_tensor(transient.triplet.as_scored())


def _lay_out_stamps(tensors: Sequence[NDArray[np.float32]]) -> list[Prepared]:
    statistics = statistics_of(np.stack(tensors))
    return [
        Prepared(
            {"stamps": tensor[np.newaxis]},
            Sampling(),
            of_stamps(tensor),
            {f"stamp_{name}": value for name, value in numbers.items()},
        )
        for tensor, numbers in zip(tensors, statistics, strict=True)
    ]


PREPARATIONS: Mapping[str, Preparation] = MappingProxyType(
    {
        Modality.FEATURES: Preparation(_take_features, list),
        Modality.LIGHTCURVE: Preparation(lambda transient: usable_curve(transient.light_curve), _lay_out_light_curves),
        Modality.TRIPLET: Preparation(_take_stamps, _lay_out_stamps),
    }
)
"""How each modality's input is made."""
