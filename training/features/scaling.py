"""The constants of the feature model's scaling, fitted on the training part."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from annotator.models.manifest import SMALLEST_LOG10_ARGUMENT, Column
from annotator.surveys.ztf.columns import FEATURES

MAD_TO_SIGMA = 1.482602218505602
"""Standard deviation of a normal distribution over its median absolute deviation."""

TRANSFORMS: Mapping[str, str] = {"mag": "identity", "arcsec": "log10", "mag/day": "asinh"}
"""By unit: angles span decades; rates do in both signs."""


def fit_columns(features: NDArray[np.float32]) -> tuple[Column, ...]:
    """Fit transform, centre, scale and clip of each column.

    Parameters
    ----------
    features
        ``(n, 21)``, the training part's normals, NaN where missing.

    Raises
    ------
    ValueError
        If a column has no value at all.
    """
    columns = []
    for number, feature in enumerate(FEATURES):
        values = features[:, number].astype(np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            raise ValueError(f"expected values of {feature.name} in the training part, found none")
        transform = TRANSFORMS[feature.unit]
        softening = 1.0
        if transform == "log10":
            values = np.log10(np.maximum(values, SMALLEST_LOG10_ARGUMENT))
        elif transform == "asinh":
            softening = float(np.median(np.abs(values))) or 1.0
            values = np.arcsinh(values / softening)
        centre = float(np.median(values))
        # A column that hardly varies has a vanishing deviation; its own unit serves then.
        scale = MAD_TO_SIGMA * float(np.median(np.abs(values - centre))) or float(values.std()) or 1.0
        low, high = (values.min() - centre) / scale, (values.max() - centre) / scale
        columns.append(
            Column(
                feature.name, feature.unit, feature.low, feature.high, transform, softening, centre, scale, low, high
            )
        )
    return tuple(columns)


def robust_column(
    name: str, unit: str, transform: str, softening: float, values: NDArray[np.floating], clip: float
) -> Column:
    """Scale a number by its median and half the range of its middle 68 %, clipped at so many of these.

    Parameters
    ----------
    values
        ``(n,)``, not yet transformed, NaN where missing; of no value at all the scale is 1.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    if transform == "log10":
        known = np.log10(known)
    elif transform == "asinh":
        known = np.arcsinh(known / softening)
    low, centre, high = np.percentile(known, [15.8655, 50.0, 84.1345]) if len(known) else (-1.0, 0.0, 1.0)
    scale = (high - low) / 2 or (float(known.std()) if len(known) else 0.0) or 1.0
    return Column(name, unit, -UNLIMITED, UNLIMITED, transform, softening, float(centre), float(scale), -clip, clip)


UNLIMITED = 1e6
"""Of a physical range: the number was held to its own before."""
