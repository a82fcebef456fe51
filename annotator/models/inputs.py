"""From a transient to the tensors that each modality's graph takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.models.calibration import Sampling
from annotator.models.observed import of_evolution, of_features, of_light_curve, of_stamps
from annotator.preprocess.curve_layout import CurveLayout
from annotator.preprocess.evolution import EVOLUTION_NAMES, evolution
from annotator.preprocess.features import feature_row
from annotator.preprocess.lightcurve import Detections, Peak
from annotator.preprocess.quantities import quantity_row
from annotator.preprocess.stamp_statistics import statistics_of
from annotator.preprocess.triplet import Measured, composed, stamp_tensors
from annotator.preprocess.usable import MIN_POINTS
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
class _Rows:
    """One object's rows of numbers by the graph's inputs, and what is known beside them."""

    tensors: Mapping[str, NDArray[np.float32]]
    beside: Beside


def _take_features(transient: Transient) -> _Rows:
    survey = SURVEYS[transient.survey]
    if survey.features_are_of_light_curve:
        return _take_evolution(transient)
    features = feature_row(survey.features, transient.features)
    sampling = Sampling(transient.n_det, transient.extras.get("age_days"))
    tensors = {"features": features, "quantities": quantity_row(survey.features, transient)}
    return _Rows(tensors, Beside(sampling, of_features(survey.features, features)))


def _take_evolution(transient: Transient) -> _Rows:
    if transient.light_curve is None:
        why = transient.why_missing.get(Modality.LIGHTCURVE, "the record has no light curve")
        raise MissingModalityError(why)
    found = evolution([transient.light_curve])
    n_points = int(found.n_points[0])
    if n_points < MIN_POINTS:
        raise MissingModalityError(
            f"too few significant points of one sign, by night and band: {n_points} of the {MIN_POINTS} that are needed"
        )
    row = found.values[0].astype(np.float32)
    numbers = {name: value for name, value in zip(EVOLUTION_NAMES, row.tolist(), strict=True) if value == value}
    sampling = Sampling(n_points, float(found.days[0]), n_bands=int(found.n_bands[0]))
    return _Rows({"evolution": row}, Beside(sampling, of_evolution(EVOLUTION_NAMES, row, n_points), numbers))


def _lay_out_features(objects: Sequence[_Rows]) -> Prepared:
    tensors = {name: np.stack([item.tensors[name] for item in objects]) for name in objects[0].tensors}
    return Prepared(tensors, tuple(item.beside for item in objects))


def sampling_of(detections: Detections) -> Sampling:
    """Return how much was seen of a light curve."""
    return Sampling(
        len(detections),
        float(detections.time_days[-1] - detections.time_days[0]),
        float(detections.magnitude.min()),
        float(detections.error_mag.min()),
        len(set(detections.band.tolist())),
    )


@dataclass(frozen=True, eq=False)
class _Curve:
    """What is used of one object's light curve, about which peak, and how it is laid out."""

    detections: Detections
    about: Peak
    layout: CurveLayout


def _take_light_curve(transient: Transient) -> _Curve:
    layout = SURVEYS[transient.survey].curve_layout
    return _Curve(*layout.usable_curve(transient.light_curve), layout)


def _lay_out_light_curves(curves: Sequence[_Curve]) -> Prepared:
    tensors = curves[0].layout.grid([curve.detections for curve in curves], [curve.about for curve in curves])
    beside = (Beside(sampling_of(curve.detections), of_light_curve(curve.detections)) for curve in curves)
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
        Modality.LIGHTCURVE: Preparation(_take_light_curve, _lay_out_light_curves),
        Modality.TRIPLET: Preparation(_take_stamps, _lay_out_stamps, composed),
    }
)
"""How each modality's input is made."""
