"""From a transient to the tensors that each modality's graph takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.models.calibration import Sampling
from annotator.models.observed import of_features, of_light_curve, of_stamps
from annotator.preprocess.features import feature_row
from annotator.preprocess.lightcurve import Detections, lightcurve_input
from annotator.preprocess.quantities import quantity_row
from annotator.preprocess.stamp_statistics import stamp_statistics
from annotator.surveys import SURVEYS
from annotator.transient import Modality, Transient


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


def _prepare_features(transient: Transient) -> Prepared:
    table = SURVEYS[transient.survey].features
    tensors = {"features": feature_row(table, transient.features), "quantities": quantity_row(table, transient)}
    sampling = Sampling(transient.n_det, transient.extras.get("age_days"))
    observed = of_features(table, tensors["features"])
    return Prepared({name: row[np.newaxis] for name, row in tensors.items()}, sampling, observed)


def sampling_of(detections: Detections) -> Sampling:
    """Return how much was seen of a light curve."""
    return Sampling(len(detections), float(detections.time_days[-1] - detections.time_days[0]))


def _prepare_lightcurve(transient: Transient) -> Prepared:
    tensor, detections = lightcurve_input(transient.light_curve)
    return Prepared({"lightcurve": tensor[np.newaxis]}, sampling_of(detections), of_light_curve(detections))


def _prepare_triplet(transient: Transient) -> Prepared:
    if transient.triplet is None:
        raise MissingModalityError("no cutouts")
    tensor = SURVEYS[transient.survey].stamp_tensor(transient.triplet)
    statistics = {f"stamp_{name}": value for name, value in stamp_statistics(tensor).items()}
    return Prepared({"stamps": tensor[np.newaxis]}, Sampling(), of_stamps(tensor), statistics)


PREPARATIONS: Mapping[str, Callable[[Transient], Prepared]] = MappingProxyType(
    {
        Modality.FEATURES: _prepare_features,
        Modality.LIGHTCURVE: _prepare_lightcurve,
        Modality.TRIPLET: _prepare_triplet,
    }
)
"""How each modality's input is made; raises MissingModalityError where it can't be."""
