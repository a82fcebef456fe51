"""Object features: AHA's columns as one row of numbers, NaN where there is no physical value."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError


@dataclass(frozen=True)
class Feature:
    """One input of the object-feature model, with the range in which its value is physical."""

    name: str
    unit: str
    low: float
    high: float
    meaning: str


def _magnitude(name: str, meaning: str) -> Feature:
    # ZTF saturates near 12.5 mag and a difference image reaches 22; a wider range still excludes -999, 0 and the
    # runaway exponential means of 4.5e6 mag that Lasair serves.
    return Feature(name, "mag", 5.0, 26.0, meaning)


FEATURES: tuple[Feature, ...] = (
    _magnitude("gmag", "latest g magnitude"),
    _magnitude("rmag", "latest r magnitude"),
    Feature("g_minus_r", "mag", -5.0, 5.0, "g-r of the latest night with both bands"),
    Feature("dmdt_g", "mag/day", -20.0, 20.0, "g brightening rate over the last two detections"),
    _magnitude("mag_g02", "2-day exponential mean of g"),
    _magnitude("mag_g08", "8-day exponential mean of g"),
    _magnitude("mag_g28", "28-day exponential mean of g"),
    _magnitude("maggmax", "faintest g magnitude"),
    _magnitude("maggmean", "mean g magnitude"),
    _magnitude("maggmin", "brightest g magnitude"),
    _magnitude("mag_r02", "2-day exponential mean of r"),
    _magnitude("mag_r08", "8-day exponential mean of r"),
    _magnitude("mag_r28", "28-day exponential mean of r"),
    Feature("dmdt_r", "mag/day", -20.0, 20.0, "r brightening rate over the last two detections"),
    _magnitude("magrmax", "faintest r magnitude"),
    _magnitude("magrmin", "brightest r magnitude"),
    Feature("distpsnr1", "arcsec", 0.0, 30.0, "distance to the nearest Pan-STARRS1 source"),
    Feature("sgmag1", "mag", 5.0, 30.0, "g magnitude of the nearest Pan-STARRS1 source"),
    Feature("srmag1", "mag", 5.0, 30.0, "r magnitude of the nearest Pan-STARRS1 source"),
    Feature("separationArcsec", "arcsec", 0.0, 1800.0, "distance to the host that Sherlock found"),
    Feature("major_axis_arcsec", "arcsec", 0.0, 12000.0, "major axis of the host that Sherlock found"),
)
"""The inputs of the model, in order: AHA's 22 without the TNS redshift, which no unclassified object has."""

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)

QUALITY_NAMES: tuple[str, ...] = ("dmdt_g_err", "dmdt_r_err")
"""Columns that say whether an input can be trusted; never inputs themselves."""

MIN_FEATURES = 3
"""The floor: with fewer physical values than this the modality is missing."""

MAX_RATE_ERROR_MAG_PER_DAY = 1.0
"""A brightening rate known worse than this is not a measurement (AHA's own cut); two detections minutes apart
give hundreds of magnitudes a day."""

_EXPONENTIAL_MEANS = {
    "mag_g02": ("maggmin", "maggmax"),
    "mag_g08": ("maggmin", "maggmax"),
    "mag_g28": ("maggmin", "maggmax"),
    "mag_r02": ("magrmin", "magrmax"),
    "mag_r08": ("magrmin", "magrmax"),
    "mag_r28": ("magrmin", "magrmax"),
}
_EXPONENTIAL_MEAN_TOLERANCE_MAG = 0.01
_RATE_ERRORS = {"dmdt_g": "dmdt_g_err", "dmdt_r": "dmdt_r_err"}


def physical_features(values: Mapping[str, float]) -> dict[str, float]:
    """Keep the values that can be what their name says.

    A value goes when it is outside its physical range; when it is an exponential mean outside the extremes of its own
    band, which a mean cannot be (Lasair's means run away where packets arrive out of order); or when it is a rate
    whose error, where one is given, is not positive or above :data:`MAX_RATE_ERROR_MAG_PER_DAY`.

    Parameters
    ----------
    values
        Feature and quality columns by name, without sentinels.

    Returns
    -------
    dict
        The features that remain, in the order of :data:`FEATURES`.
    """
    physical = {}
    for feature in FEATURES:
        value = values.get(feature.name)
        if value is not None and feature.low <= value <= feature.high:
            physical[feature.name] = float(value)
    for name, (brightest, faintest) in _EXPONENTIAL_MEANS.items():
        if name in physical and brightest in physical and faintest in physical:
            low = physical[brightest] - _EXPONENTIAL_MEAN_TOLERANCE_MAG
            high = physical[faintest] + _EXPONENTIAL_MEAN_TOLERANCE_MAG
            if not low <= physical[name] <= high:
                del physical[name]
    for name, error_name in _RATE_ERRORS.items():
        error = values.get(error_name)
        if name in physical and error is not None and not 0 < error <= MAX_RATE_ERROR_MAG_PER_DAY:
            del physical[name]
    return physical


def feature_row(features: Mapping[str, float]) -> NDArray[np.float32]:
    """Lay one object's features out as the model's input.

    Parameters
    ----------
    features
        Physical features by name, as :func:`physical_features` leaves them.

    Returns
    -------
    NDArray
        ``(21,)`` float32 in the order of :data:`FEATURES`, NaN where there is no value; the graph itself turns NaN
        into a missing-indicator.

    Raises
    ------
    MissingModalityError
        If fewer than :data:`MIN_FEATURES` of the values are there.
    """
    row = np.array([features.get(name, np.nan) for name in FEATURE_NAMES], dtype=np.float32)
    present = int(np.isfinite(row).sum())
    if present < MIN_FEATURES:
        raise MissingModalityError(
            f"{present} of {len(FEATURES)} object features have a physical value, {MIN_FEATURES} are needed"
        )
    return row
