"""Object features: a survey's columns as one row of numbers, NaN where there is no physical value.

Which columns these are, and what each of them is, is the survey's to say: it hands in its table of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError


@dataclass(frozen=True)
class Feature:
    """One input of the object-feature model, with the range in which its value is physical."""

    name: str
    """The survey's own, of its column."""
    quantity: str
    """What it is, whatever a survey calls it: :mod:`annotator.preprocess.quantities` computes with these."""
    unit: str
    low: float
    high: float
    meaning: str
    between: tuple[str, ...] = ()
    """Of a mean the columns of the brightest and the faintest magnitude, between which it must lie."""
    error: str = ""
    """The column of its error, which says whether it can be trusted and is never an input itself."""


MIN_FEATURES = 3
"""The floor: with fewer physical values than this the modality is missing."""

MAX_RATE_ERROR_MAG_PER_DAY = 1.0
"""A brightening rate known worse than this is not a measurement (AHA's own cut); two detections minutes apart
give hundreds of magnitudes a day."""

MEAN_TOLERANCE_MAG = 0.01
"""By how much rounding may put a mean beyond the extremes."""


def physical_features(table: Sequence[Feature], values: Mapping[str, float]) -> dict[str, float]:
    """Keep the values that can be what their name says.

    A value goes when it is outside its physical range; when it is a mean outside the extremes of its own band, which a
    mean cannot be (Lasair's exponential means run away where packets arrive out of order); or when it is a rate whose
    error, where one is given, is not positive or above :data:`MAX_RATE_ERROR_MAG_PER_DAY`.

    Parameters
    ----------
    table
        The survey's features.
    values
        Their columns and those of their errors by name, without sentinels.

    Returns
    -------
    dict
        The features that remain, in the order of the table.
    """
    physical = {}
    for feature in table:
        value = values.get(feature.name)
        if value is not None and feature.low <= value <= feature.high:
            physical[feature.name] = float(value)
    untrue = [
        feature.name
        for feature in table
        if feature.name in physical
        and ((feature.between and _is_beyond(feature, physical)) or (feature.error and _is_unsure(feature, values)))
    ]
    for name in untrue:
        del physical[name]
    return physical


def _is_beyond(feature: Feature, physical: Mapping[str, float]) -> bool:
    brightest, faintest = map(physical.get, feature.between)
    if brightest is None or faintest is None:
        return False
    return not brightest - MEAN_TOLERANCE_MAG <= physical[feature.name] <= faintest + MEAN_TOLERANCE_MAG


def _is_unsure(feature: Feature, values: Mapping[str, float]) -> bool:
    error = values.get(feature.error)
    return error is not None and not 0 < error <= MAX_RATE_ERROR_MAG_PER_DAY


def feature_row(table: Sequence[Feature], features: Mapping[str, float]) -> NDArray[np.float32]:
    """Lay one object's features out as the model's input.

    Parameters
    ----------
    table
        The survey's features.
    features
        Physical features by name, as :func:`physical_features` leaves them.

    Returns
    -------
    NDArray
        ``(n_features,)`` float32 in the order of the table, NaN where there is no value; the graph itself turns NaN
        into a missing-indicator.

    Raises
    ------
    MissingModalityError
        If fewer than :data:`MIN_FEATURES` of the values are there.
    """
    row = np.array([features.get(feature.name, np.nan) for feature in table], dtype=np.float32)
    present = int(np.isfinite(row).sum())
    if present < MIN_FEATURES:
        raise MissingModalityError(
            f"{present} of {len(table)} object features have a physical value, {MIN_FEATURES} are needed"
        )
    return row
