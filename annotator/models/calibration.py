"""From the number that a model gives an object to its tail probability among normal objects of like sampling."""

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from annotator.typed import Typed

MIN_SPREAD = 0.2
"""Of a value's logarithm among normals as bright."""

MAX_EXTRAPOLATION = 100.0
"""Beyond the largest of the normals the fitted tail is followed down to this fraction of the rank's floor, and no
further: nobody has seen what lies there."""


@dataclass(frozen=True)
class Sampling:
    """How much has been seen of an object."""

    n_detections: int | None = None
    age_days: float | None = None
    """From the first detection to the last."""
    peak_mag: float | None = None
    """The brightest detection."""
    error_mag: float | None = None
    """The smallest error of a detection: how deeply it was seen."""
    n_bands: int | None = None


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
    up_to_bands: int = 0
    """And so does one that was seen in at most so many bands."""

    def holds(self, sampling: Sampling) -> bool:
        """Tell whether an object of this sampling belongs here."""
        n, age, n_bands = sampling.n_detections, sampling.age_days, sampling.n_bands
        return (
            (n is not None and n <= self.up_to_detections)
            or (age is not None and age <= self.up_to_age_days)
            or (n_bands is not None and n_bands <= self.up_to_bands)
        )

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


class Brightness(Typed):
    """What is typical of normals as bright and as deeply seen: bright ones show details that no model knows."""

    peak_knots_mag: Annotated[tuple[float, ...], Meta(min_length=2)]
    error_knots_mag: Annotated[tuple[Annotated[float, Meta(gt=0)], ...], Meta(min_length=2)]
    """Ascending; what lies beyond counts as the last."""
    typical: tuple[float, ...]
    """Of the logarithm of a value: one at each knot of the peak magnitude, and what each further knot of the error, but
    the first, adds."""
    spread: tuple[float, ...]
    """Likewise, the mean absolute deviation from it."""

    def __post_init__(self) -> None:
        n_terms = len(self.peak_knots_mag) + len(self.error_knots_mag) - 1
        for name in ("typical", "spread"):
            if len(getattr(self, name)) != n_terms:
                raise ValueError(f"{name} must be one number a knot but the first of error_knots_mag: {n_terms}")
        for name in ("peak_knots_mag", "error_knots_mag"):
            knots = getattr(self, name)
            if any(low >= high for low, high in pairwise(knots)):
                raise ValueError(f"{name} must be ascending")

    def terms(self, sampling: Sampling) -> list[float]:
        """Return what the numbers of `typical` and `spread` are multiplied with.

        Where brightness or depth are not known, the middle knot's is taken.
        """
        at_peak = _hats(sampling.peak_mag, self.peak_knots_mag)
        error = None if sampling.error_mag is None else math.log(max(sampling.error_mag, 1e-9))
        return at_peak + _hats(error, tuple(map(math.log, self.error_knots_mag)))[1:]

    def relative(self, value: float, sampling: Sampling) -> float:
        """Return a positive value over what is typical, to the power of 1 / the spread: larger stays larger."""
        terms = self.terms(sampling)
        typical, spread = (sum(map(operator.mul, terms, part)) for part in (self.typical, self.spread))
        return math.exp((math.log(max(value, 1e-300)) - typical) / max(spread, MIN_SPREAD))


def _hats(at: float | None, knots: Sequence[float]) -> list[float]:
    """Return by how much each of the knots counts in linear interpolation between them."""
    if at is None:
        at = knots[len(knots) // 2]
    place = min(max(bisect_right(knots, at) - 1, 0), len(knots) - 2)
    share = min(max((at - knots[place]) / (knots[place + 1] - knots[place]), 0.0), 1.0)
    return [1 - share if i == place else share if i == place + 1 else 0.0 for i in range(len(knots))]


@dataclass(frozen=True)
class Calibration:
    """What normal objects look like to a model, by how much was seen of them."""

    levels: tuple[Level, ...]
    """From the least seen to the most; the last takes every object that no other holds."""
    brightness: Brightness | None = None
    """What values are compared with before they are ranked; None where they are ranked as they are."""

    def relative(self, value: float, sampling: Sampling) -> float:
        """Return what is ranked of a value."""
        return value if self.brightness is None else self.brightness.relative(value, sampling)

    def level_of(self, sampling: Sampling) -> Level:
        """Return the level that an object is compared with."""
        return next((level for level in self.levels[:-1] if level.holds(sampling)), self.levels[-1])

    def score(self, value: float, sampling: Sampling) -> float:
        """Return -log10 of the tail probability: 2 is one normal object in a hundred, 3 one in a thousand."""
        probability = self.level_of(sampling).tail_probability(self.relative(value, sampling))
        return -math.log10(probability) + 0.0  # + 0.0: never "-0.0"


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
