"""The numbers whose distribution is watched for drift, of each modality, by name; training takes them from here too."""

import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.features import Feature
from annotator.preprocess.lightcurve import Detections
from annotator.preprocess.triplet import CENTRE, CHANNELS, CORE

_CORE = slice(CENTRE - CORE, CENTRE + CORE + 1)
_DIFFERENCE = CHANNELS.index("difference")


def of_features(table: Sequence[Feature], row: NDArray[np.float32]) -> dict[str, float | None]:
    """Take each of a survey's features from the model's input ``(n_features,)``, None where it is NaN."""
    values = zip(table, row.tolist(), strict=True)
    return {feature.name: value if value == value else None for feature, value in values}  # NaN alone is not itself


def of_evolution(names: Sequence[str], row: NDArray[np.float32], n_points: int) -> dict[str, float | None]:
    """Take each quantity of a light curve from the model's input ``(n,)``, None where it is NaN; and of how many."""
    values = zip(names, row.tolist(), strict=True)
    return {name: value if value == value else None for name, value in values} | {"n_points": float(n_points)}


def of_light_curve(detections: Detections) -> dict[str, float | None]:
    """Sum up the detections that are used, at least one: how many, over how long, how bright, how well measured."""
    return {
        "lightcurve_detections": float(len(detections)),
        "lightcurve_days": float(detections.time_days[-1] - detections.time_days[0]),
        "lightcurve_peak_mag": float(detections.magnitude.min()),
        "lightcurve_error_mag": statistics.median(detections.error_mag.tolist()),
    }


def of_stamps(tensors: NDArray[np.float32]) -> list[dict[str, float | None]]:
    """Sum up inputs ``(n, 6, 63, 63)``: of each the difference's peak on the object, scaled, and what is missing."""
    peaks = tensors[:, _DIFFERENCE, _CORE, _CORE].max(axis=(1, 2)).tolist()
    is_there = tensors[:, len(CHANNELS) :].reshape(len(tensors), -1)
    shares = (1 - is_there.sum(axis=1, dtype=np.float64) / is_there.shape[1]).tolist()
    return [{"triplet_peak": peak, "triplet_missing_share": share} for peak, share in zip(peaks, shares, strict=True)]


def of_score(modality: str, score: float, error: float, prior: float | None = None) -> dict[str, float | None]:
    """Name what a model says of an object; the prior of one that has any."""
    said = {f"{modality}_score": score, f"{modality}_error": error}
    return said if prior is None else said | {f"{modality}_prior": prior}
