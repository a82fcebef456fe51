"""How sure a number is: exact intervals of shares, and bootstrap over objects."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CENTRAL_95 = (2.5, 97.5)
"""Percentiles between which 95 % lie."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def rounded(self, digits: int = 4) -> list[float]:
        """Return value, low, high, as a manifest has them."""
        return [round(float(number), digits) for number in (self.value, self.low, self.high)]


def exact_share(part: int, whole: int) -> Estimate:
    """Return the share of a part in a whole of one or more, with its exact interval (Clopper-Pearson)."""
    interval = stats.binomtest(part, whole).proportion_ci(method="exact")
    return Estimate(part / whole, interval.low, interval.high)


def resamplings(n: int, n_draws: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Draw n of n objects with replacement, `n_draws` times; yield how often each was drawn, ``(n,)``."""
    for _ in range(n_draws):
        yield np.bincount(rng.integers(n, size=n), minlength=n)


def interval_of(draws: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return between what 95 % of the draws ``(n_draws, ...)`` lie, those left out that are NaN."""
    low, high = np.nanpercentile(draws, CENTRAL_95, axis=0)
    return low, high
