"""How the numbers that are watched for drift are distributed over the training set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from annotator.drift import Distribution, bin_of

N_BINS = 10
"""Of about equal shares; fewer where values are tied."""


def distributions_of(modality: str, observed: Sequence[Mapping[str, float | None]]) -> tuple[Distribution, ...]:
    """Bin each watched number by its quantiles.

    Parameters
    ----------
    modality
        Whose numbers they are.
    observed
        One object each, as :mod:`annotator.observed` names its numbers, the same in all; scores and errors must be by
        models that did not see the object, since a night's are.

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
    return replace(unfilled, shares=tuple(shares.tolist()))


def _edges(present: Sequence[float]) -> tuple[float, ...]:
    quantiles = np.quantile(present, np.arange(1, N_BINS) / N_BINS, method="inverted_cdf")
    edges = sorted({float(f"{quantile:.4g}") for quantile in quantiles})
    # Nothing would be below an edge at the smallest value.
    return tuple(edge for edge in edges if min(present) < edge <= max(present))
