"""From the number that a model gives an object to its tail probability among normal objects of like sampling."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Annotated

from msgspec import Meta

from annotator.typed import Typed

MAX_EXTRAPOLATION = 100.0
"""Beyond the largest of the normals the fitted tail is followed down to this fraction of the rank's floor, and no
further: nobody has seen what lies there."""


@dataclass(frozen=True)
class Sampling:
    """How much has been seen of an object."""

    n_detections: int | None = None
    age_days: float | None = None
    """From the first detection to the last."""


class Tail(Typed):
    """A generalised Pareto distribution of what exceeds `threshold`, fitted to the largest values of normals."""

    threshold: float
    scale: Annotated[float, Meta(gt=0)]
    shape: float

    def survival(self, value: float) -> float:
        """Return the share of the exceedances that exceed a value.

        (1 + shape * excess / scale) ** (-1 / shape): Coles 2001, An Introduction to Statistical Modeling of Extreme
        Values, eq. 4.2.
        """
        excess = max(0.0, value - self.threshold) / self.scale
        if abs(self.shape) < 1e-9:
            return math.exp(-excess)
        return max(0.0, 1.0 + self.shape * excess) ** (-1.0 / self.shape)


class Level(Typed):
    """Normal objects of like sampling, each scored by a model that was not trained on it."""

    name: str
    up_to_detections: int
    """An object with at most so many detections belongs here,"""
    up_to_age_days: float
    """and so does one that is at most so old; what belongs to no earlier level belongs to the last."""
    values: Annotated[tuple[float, ...], Meta(min_length=1)]
    """Finite, in ascending order."""
    tail: Tail

    def holds(self, sampling: Sampling) -> bool:
        """Tell whether an object of this sampling belongs here."""
        n, age = sampling.n_detections, sampling.age_days
        return (n is not None and n <= self.up_to_detections) or (age is not None and age <= self.up_to_age_days)

    def tail_probability(self, value: float) -> float:
        """Conformal p-value of a value, continued below its floor by the fitted tail.

        The p-value is (1 + number of normals with a value at least as large) / (n + 1). The one added above and below
        counts the object itself, so a normal object has p <= a with a probability of at most a when it is exchangeable
        with the table's (Vovk et al. 2005, Algorithmic Learning in a Random World). Equal values count against the
        object. Beyond the largest normal, where every rank is 1 / (n + 1), that floor is multiplied with what the tail
        says of the value given that it exceeds the largest: an extrapolation.
        """
        at_least_as_large = len(self.values) - bisect_left(self.values, value)
        if at_least_as_large:
            return (1 + at_least_as_large) / (len(self.values) + 1)
        beyond = self.tail.survival(value) / max(self.tail.survival(self.values[-1]), 1e-300)
        return max(min(1.0, beyond), 1.0 / MAX_EXTRAPOLATION) / (len(self.values) + 1)

    @property
    def extrapolated_above(self) -> float:
        """The score from which on it is extrapolated: -log10 of the rank's floor."""
        return math.log10(len(self.values) + 1)


@dataclass(frozen=True)
class Calibration:
    """What normal objects look like to a model, by how much was seen of them."""

    levels: tuple[Level, ...]
    """From the least seen to the most; the last takes every object that no other holds."""

    def level_of(self, sampling: Sampling) -> Level:
        """Return the level that an object is compared with."""
        return next((level for level in self.levels[:-1] if level.holds(sampling)), self.levels[-1])

    def score(self, value: float, sampling: Sampling) -> float:
        """Return -log10 of the tail probability: 2 is one normal object in a hundred, 3 one in a thousand."""
        return -math.log10(self.level_of(sampling).tail_probability(value)) + 0.0  # + 0.0: never "-0.0"


def round_up(value: float, digits: int = 6) -> float:
    """Round a positive value up to `digits` significant digits, for a table that is short in text and never flatters.

    Rounding up can only move a normal object from below a value to above it, which makes p larger.
    """
    exact = Decimal(value)
    if not exact:
        return 0.0
    step = Decimal(1).scaleb(exact.adjusted() - digits + 1)
    return float(exact.quantize(step, rounding=ROUND_CEILING))


def combined_score(scores: Iterable[float]) -> float:
    """Combine the scores of k modalities: -log10 of min(1, k min p), Bonferroni's bound on the smallest p.

    It holds whatever the dependence between modalities; AHA's three hardly overlap in what they flag, so a mean would
    only dilute. No modality at all: 0.
    """
    present: Sequence[float] = tuple(scores)
    if not present:
        return 0.0
    return max(0.0, max(present) - math.log10(len(present)))
