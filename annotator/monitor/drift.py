"""Drift: whether a night's inputs and scores are distributed as they were in training.

Two measures of one binned distribution against another, the population stability index and Kolmogorov-Smirnov's D. What
has moved must have moved by a relevant amount, and by more than the two samples explain, by both measures.

By hand, and not from scipy: both are closed forms of binned counts, a few lines each, and the annotator
goes without scipy.
"""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from annotator.models.distribution import Distribution
from annotator.nights import start_of

FALSE_ALARM_RATE = 0.01
"""Share of nights like training, at most, on which anything at all is said to have moved."""

MIN_STABILITY_INDEX = 0.25
"""Of the population stability index, beyond what sampling gives on average: what credit scoring, where the index comes
from, calls a significant shift (Siddiqi 2006, Credit Risk Scorecards). Half a standard deviation in the mean gives it.
"""

MIN_OBJECTS = 30
"""In a night: with fewer, only what is off altogether could be told."""


@dataclass(frozen=True)
class Shift:
    """A number that has moved."""

    name: str
    stability_index: float
    ks: float


def population_stability(counts: Sequence[int], distribution: Distribution) -> float:
    """Return the population stability index: the sum over the bins of (p - q) ln(p / q).

    It is Jeffreys' divergence of the night's shares p and training's q (Jeffreys 1946; Kullback & Leibler 1951). An
    empty bin would make it infinite: half an object is added to each bin of training, and to the night as many objects
    as half its bins, spread as in training, which leaves a night like training as it is.

    Parameters
    ----------
    counts
        Objects of the night by bin, the missing last.
    """
    n, n_bins = sum(counts), len(counts)
    trained = [(share * distribution.n + 0.5) / (distribution.n + 0.5 * n_bins) for share in distribution.all_shares()]
    night = [(count + 0.5 * n_bins * share) / (n + 0.5 * n_bins) for count, share in zip(counts, trained, strict=True)]
    return math.fsum((p - q) * math.log(p / q) for p, q in zip(night, trained, strict=True))


def ks(counts: Sequence[int], distribution: Distribution) -> float:
    """Return Kolmogorov-Smirnov's D: the largest difference of the cumulative shares at the edges, the missing last."""
    n = sum(counts)
    cumulated = zip(accumulate(counts), accumulate(distribution.all_shares()), strict=True)
    return max(abs(count / n - share) for count, share in cumulated)


def stability_p_value(stability_index: float, n: int, distribution: Distribution) -> float:
    """Return how often a night of n objects like training has so high an index.

    The index is (1 / n + 1 / n of training) times a chi-squared variable of as many degrees of freedom as there are
    bins less one (Yurdakul 2018, Statistical Properties of Population Stability Index, Western Michigan University),
    whose tail is Wilson & Hilferty's (1931, PNAS 17, 684): its cube root is close to normal.
    """
    freedom = len(distribution.shares)
    reduced = stability_index / _sampling_index(n, distribution)
    spread = 2 / (9 * freedom)
    return 0.5 * math.erfc((reduced ** (1 / 3) - (1 - spread)) / math.sqrt(2 * spread))


def ks_p_value(d: float, n: int, distribution: Distribution) -> float:
    """Return a bound on how often a night of n objects like training has so large a D.

    Dvoretzky, Kiefer & Wolfowitz's inequality with Massart's constant for two samples (Wei & Dudley 2012, Statistics
    and Probability Letters 82, 636). Taken at the edges alone D can only be smaller, so that the bound holds for bins.
    """
    return min(1.0, 2 * math.exp(-2 * d**2 / (1 / n + 1 / distribution.n)))


def _sampling_index(n: int, distribution: Distribution) -> float:
    """Return the mean of the index of a night like training."""
    return len(distribution.shares) * (1 / n + 1 / distribution.n)


def shifts(
    counts: Mapping[str, Sequence[int]], distributions: Sequence[Distribution], n_watched: int | None = None
) -> list[Shift]:
    """Return what has moved in a night, the largest index first.

    The chance of any false alarm in a night is below :data:`FALSE_ALARM_RATE` by Bonferroni's bound, whatever the
    dependence between the numbers.

    Parameters
    ----------
    counts
        Of the night, by name: objects by bin. Numbers with fewer than :data:`MIN_OBJECTS` are not judged.
    distributions
        Those to look at.
    n_watched
        How many are watched in all, where these are not all of them.
    """
    level = FALSE_ALARM_RATE / (n_watched or len(distributions) or 1)
    moved = []
    for item in distributions:
        found = _in_its_bins(counts.get(item.name, ()), item)
        n = sum(found)
        if n < MIN_OBJECTS:
            continue
        shift = Shift(item.name, population_stability(found, item), ks(found, item))
        is_chance = max(stability_p_value(shift.stability_index, n, item), ks_p_value(shift.ks, n, item)) > level
        if not is_chance and shift.stability_index - _sampling_index(n, item) >= MIN_STABILITY_INDEX:
            moved.append(shift)
    return sorted(moved, key=lambda shift: -shift.stability_index)


def _in_its_bins(counts: Sequence[int], distribution: Distribution) -> list[int]:
    """Fill up the bins that had no object; what other models of that version counted, in more bins, is nothing."""
    n_bins = len(distribution.shares) + 1
    return [*counts, *[0] * (n_bins - len(counts))] if len(counts) <= n_bins else [0] * n_bins


def drift_text(nights: Mapping[int, Mapping[str, Sequence[int]]], distributions: Sequence[Distribution]) -> list[str]:
    """Say of each modality, in one sentence, whether its last night with enough objects was as in training.

    Parameters
    ----------
    nights
        By night, then by name: objects by bin.
    distributions
        Of the whole model set.
    """
    return [
        _modality_in_words(
            modality, nights, [item for item in distributions if item.modality == modality], distributions
        )
        for modality in dict.fromkeys(item.modality for item in distributions)
    ]


def _modality_in_words(
    modality: str,
    nights: Mapping[int, Mapping[str, Sequence[int]]],
    of_modality: Sequence[Distribution],
    distributions: Sequence[Distribution],
) -> str:
    sizes = {
        night: max(sum(_in_its_bins(counts.get(item.name, ()), item)) for item in of_modality)
        for night, counts in nights.items()
    }
    night = max((night for night, size in sizes.items() if size >= MIN_OBJECTS), default=None)
    if night is None:
        return f"{modality}: too few objects to tell, {MIN_OBJECTS} in a night are needed"
    evening = datetime.datetime.fromtimestamp(start_of(night), datetime.UTC)
    where = f"{sizes[night]} objects on the night of {evening:%Y-%m-%d}"
    moved = shifts(nights[night], of_modality, len(distributions))
    if not moved:
        return f"{modality}: as in training ({where})"
    most = moved[0]
    measures = f"PSI {most.stability_index:.2f}, KS {most.ks:.2f} of {where}"
    if len(moved) == 1:
        said = f"{most.name} has moved ({measures})"
    else:
        said = f"{', '.join(shift.name for shift in moved)} have moved ({most.name} most: {measures})"
    return f"{said}; scores of {modality} are not comparable with the card"
