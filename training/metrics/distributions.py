"""How numbers are distributed over the training set: those watched for drift, and those that normals are known by."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from annotator.models.distribution import Distribution, bin_of
from annotator.models.percentiles import PERCENTILES, Percentiles
from annotator.preprocess.features import Feature
from annotator.preprocess.quantities import Quantity

N_BINS = 10
"""Of about equal shares; fewer where values are tied."""

MIN_PRESENT = 500
"""Normals that must have a value: with fewer the outermost percentiles would be those of one object."""


def distributions_of(modality: str, observed: Sequence[Mapping[str, float | None]]) -> tuple[Distribution, ...]:
    """Bin each watched number by its quantiles.

    Parameters
    ----------
    modality
        Whose numbers they are.
    observed
        One object each, as :mod:`annotator.models.observed` names its numbers, the same in all; scores and errors must
        be by models that did not see the object, since a night's are.

    Returns
    -------
    tuple
        A distribution of each number, its edges rounded to four digits, so that none is a row of the data.
    """
    return tuple(_distribution(name, modality, [item[name] for item in observed]) for name in observed[0])


def _distribution(name: str, modality: str, values: Sequence[float | None]) -> Distribution:
    present = [value for value in values if value is not None]
    edges = _edges(present) if present else ()
    unfilled = Distribution(
        name, modality, edges, (0.0,) * (len(edges) + 1), 1 - len(present) / len(values), len(values)
    )
    counts = np.bincount([bin_of(unfilled, value) for value in present], minlength=len(edges) + 1)
    shares = counts / len(present) if present else np.ones(1)
    return msgspec.structs.replace(unfilled, shares=tuple(shares.tolist()))


def _edges(present: Sequence[float]) -> tuple[float, ...]:
    quantiles = np.quantile(present, np.arange(1, N_BINS) / N_BINS, method="inverted_cdf")
    edges = sorted({float(f"{quantile:.4g}") for quantile in quantiles})
    # Nothing would be below an edge at the smallest value.
    return tuple(edge for edge in edges if min(present) < edge <= max(present))


def percentiles_of(inputs: Sequence[Feature | Quantity], values: NDArray[np.float32]) -> tuple[Percentiles, ...]:
    """Return the percentiles of each input that at least :data:`MIN_PRESENT` normals have.

    Parameters
    ----------
    inputs
        What they are, in order.
    values
        ``(n, len(inputs))`` of normals, NaN where missing.

    Returns
    -------
    tuple
        Rounded to four digits, so that none is a row of the data.
    """
    found = []
    for item, column in zip(inputs, values.T.astype(np.float64), strict=True):
        present = column[np.isfinite(column)]
        if len(present) >= MIN_PRESENT:
            knots = np.percentile(present, PERCENTILES)
            found.append(Percentiles(item.name, item.unit, tuple(float(f"{knot:.4g}") for knot in knots)))
    return tuple(found)
