"""What is missing must not decide: what a hidden group does to normals is taken back, else a head is refused.

A head that is asked without a group of columns says something else, and on average more or less than with it. To its
odds is added, for each group that is missing and each class by Sherlock, what brings as many normals above the value
that a tenth of them exceed as there are with the group. Beyond that value odds are stretched, for each group that is
missing, so that as many normals are above the threshold, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.quantities import SHERLOCK_CLASSES
from training.exotic.evaluate import half_precision_threshold
from training.exotic.hiding import is_there
from training.exotic.network import GROUPS, N_CLASSES, class_places
from training.metrics.intervals import interval_of, resamplings

SHARE = 0.1
"""Of normals, above the value at which it is measured."""
MIN_IN_CLASS = 100
"""Normals of a class by Sherlock; those of smaller ones are put together."""
MIN_SHARE_WITH_GROUP = 0.1
"""Of normals that have a group; with fewer nothing is added for it, since to lack it is the rule."""
STRETCH_RANGE = (-0.5, 1.5)
N_HALVINGS, N_THRESHOLDS = 8, 2
DAMPING, MAX_OFFSET = 0.7, 2.0
"""Of each step, and of all that is added, in log odds: few normals make a group's quantile jump."""
MAX_RATIO = 1.5
N_BOOTSTRAP = 1000
N_ROUNDS = 12

THRESHOLD = "all, at the threshold"


@dataclass(frozen=True, eq=False)
class TakenBack:
    """What is done to log odds for the groups that are missing."""

    offsets: NDArray[np.float32]
    """Added, ``(n_groups, N_CLASSES)``."""
    pivot: NDArray[np.float32]
    """Log odds from which on they are stretched, ``(N_CLASSES,)``,"""
    stretch: NDArray[np.float32]
    """each by one and the sum of these over the groups that are missing, ``(n_groups,)``."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Objects with their log odds, by models that did not see them, as they are and with each group hidden."""

    numbers: NDArray[np.float32]
    """``(n, len(INPUTS))``."""
    odds: NDArray[np.float64]
    """``(n,)``."""
    odds_hidden: Mapping[str, NDArray[np.float64]]
    """By group, ``(n,)``."""
    names: NDArray[np.str_]
    """Of the transients, ``(n,)``."""

    def where(self, kept: NDArray) -> "Asked":
        """Return some of them, by mask or index."""
        hidden = {name: values[kept] for name, values in self.odds_hidden.items()}
        return Asked(self.numbers[kept], self.odds[kept], hidden, self.names[kept])


def class_groups(numbers: NDArray[np.float32]) -> dict[str, NDArray[np.int64]]:
    """Return the numbers of Sherlock's classes of at least :data:`MIN_IN_CLASS` objects by name, and of the rest."""
    counts = np.bincount(class_places(numbers), minlength=N_CLASSES)
    names = (*SHERLOCK_CLASSES, "no class")
    found = {names[place]: np.array([place]) for place in np.flatnonzero(counts >= MIN_IN_CLASS)}
    rest = np.flatnonzero(counts < MIN_IN_CLASS)
    return found | ({"all other classes": rest} if len(rest) else {})


def fit_offsets(normals: Asked) -> NDArray[np.float32]:
    """Return what is added to the log odds where a group is missing, ``(n_groups, N_CLASSES)``.

    Fitted to all normals together first, and then to each class in which enough have a group.
    """
    places = class_places(normals.numbers)
    own = _fit(normals, np.zeros(len(GROUPS)), 1)
    offsets = np.repeat(own[:, None], N_CLASSES, axis=1)
    for members in class_groups(normals.numbers).values():
        if len(members) == 1:
            offsets[:, members] = _fit(normals.where(np.isin(places, members)), own, MIN_IN_CLASS)[:, None]
    return offsets.astype(np.float32)


def _fit(normals: Asked, first: NDArray[np.float64], n_needed: int) -> NDArray[np.float64]:
    """Fit what is added for each group that so many normals have, and a tenth of them; for others nothing changes."""
    has, own = is_there(normals.numbers), first.copy()
    enough = (has.sum(axis=0) >= n_needed) & (has.mean(axis=0) >= MIN_SHARE_WITH_GROUP)
    for _ in range(N_ROUNDS):  # the value at which it is measured moves with what is added
        for group, name in enumerate(GROUPS):
            if not enough[group]:
                continue
            with_group, added = has[:, group], ~has @ own
            odds = normals.odds + added
            value = np.quantile(odds, 1 - SHARE)
            above = (odds[with_group] > value).mean()
            lacking = normals.odds_hidden[name][with_group] + added[with_group]
            step = value - np.quantile(lacking, 1 - above) - own[group]
            own[group] = np.clip(own[group] + DAMPING * step, -MAX_OFFSET, MAX_OFFSET)
    return own


def fit_pivots(normals: Asked) -> NDArray[np.float32]:
    """Return the value that a tenth of the normals of a class exceed, ``(N_CLASSES,)``, of small classes together."""
    places = class_places(normals.numbers)
    pivot = np.full(N_CLASSES, np.quantile(normals.odds, 1 - SHARE))
    for members in class_groups(normals.numbers).values():
        if (part := normals.odds[np.isin(places, members)]).size:
            pivot[members] = np.quantile(part, 1 - SHARE)
    return pivot.astype(np.float32)


def fit_stretch(normals: Asked, pivot: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Return by how much more the log odds beyond the pivots count for each group that is missing, ``(n_groups,)``.

    Parameters
    ----------
    normals
        With what is added for what is missing.
    threshold
        Log odds from which on the head decides.
    """
    has, stretch = is_there(normals.numbers), np.zeros(len(GROUPS))
    odds_of = stretching(normals, pivot)
    for _ in range(N_ROUNDS):  # those that lack a group are stretched, too
        above = np.count_nonzero(odds_of(stretch.astype(np.float32)) >= threshold)
        for group in np.flatnonzero(has.mean(axis=0) >= MIN_SHARE_WITH_GROUP):
            trial, (low, high) = stretch.copy(), STRETCH_RANGE
            name = list(GROUPS)[group]
            for _ in range(N_HALVINGS):
                trial[group] = (low + high) / 2
                found = odds_of(trial.astype(np.float32), name)
                low, high = (
                    (trial[group], high) if np.count_nonzero(found >= threshold) < above else (low, trial[group])
                )
            stretch[group] += DAMPING * ((low + high) / 2 - stretch[group])
    return stretch.astype(np.float32)


def with_offsets(asked: Asked, offsets: NDArray[np.float32]) -> Asked:
    """Add what is added for what is missing."""
    missing, own = ~is_there(asked.numbers), offsets.T[class_places(asked.numbers)].astype(np.float64)
    added = (missing * own).sum(axis=1)
    hidden = {
        name: values + added + np.where(missing[:, group], 0.0, own[:, group])
        for group, (name, values) in enumerate(asked.odds_hidden.items())
    }
    return Asked(asked.numbers, asked.odds + added, hidden, asked.names)


def stretching(asked: Asked, pivot: NDArray[np.float32]) -> Callable[..., NDArray[np.float64]]:
    """Return a function that stretches the log odds beyond the pivots by what is missing.

    It takes the stretch of each group, and the name of the group that is hidden, if one is.
    """
    missing, own = ~is_there(asked.numbers), pivot[class_places(asked.numbers)]

    def odds_of(stretch: NDArray[np.float32], name: str | None = None) -> NDArray[np.float64]:
        odds, by = asked.odds, missing @ stretch.astype(np.float64)
        if name is not None:
            group = list(GROUPS).index(name)
            odds, by = asked.odds_hidden[name], by + np.where(missing[:, group], 0.0, stretch[group])
        return odds + np.maximum(odds - own, 0.0) * by

    return odds_of


def stretched(asked: Asked, pivot: NDArray[np.float32], stretch: NDArray[np.float32]) -> Asked:
    """Stretch what is beyond the pivots by what is missing."""
    odds_of = stretching(asked, pivot)
    hidden = {name: odds_of(stretch, name) for name in asked.odds_hidden}
    return Asked(asked.numbers, odds_of(stretch), hidden, asked.names)


def take_back(asked: Asked, found: TakenBack) -> Asked:
    """Do to log odds what was fitted."""
    return stretched(with_offsets(asked, found.offsets), found.pivot, found.stretch)


def fit_taken_back(asked: Asked, is_normal: NDArray[np.bool_], is_positive: NDArray[np.bool_]) -> TakenBack:
    """Fit what is done for what is missing to normals, and the threshold to all objects.

    Parameters
    ----------
    is_normal, is_positive
        ``(n,)``.
    """
    offsets = fit_offsets(asked.where(is_normal))
    added = with_offsets(asked, offsets)
    normals = added.where(is_normal)
    pivot, stretch = fit_pivots(normals), np.zeros(len(GROUPS), dtype=np.float32)
    for _ in range(N_THRESHOLDS):  # the threshold moves with what is stretched
        threshold = half_precision_threshold(stretched(added, pivot, stretch).odds, is_positive)
        stretch = fit_stretch(normals, pivot, threshold)
    return TakenBack(offsets, pivot, stretch)


def cross_taken_back(
    asked: Asked,
    is_normal: NDArray[np.bool_],
    is_positive: NDArray[np.bool_],
    is_final: NDArray[np.bool_],
    folds: NDArray[np.int64],
) -> tuple[Asked, TakenBack]:
    """Do to each object what was fitted to those of other bins; return it, and what was fitted for the last bin.

    Parameters
    ----------
    is_normal, is_positive, is_final, folds
        ``(n,)``: by which normals it is fitted; which objects are positive, and final states, for the threshold; and
        the bin of each.
    """
    odds, hidden = asked.odds.copy(), {name: values.copy() for name, values in asked.odds_hidden.items()}
    fitted = None
    for number in np.unique(folds):
        here, others = folds == number, (folds != number) & is_final
        fitted = fit_taken_back(asked.where(others), is_normal[others], is_positive[others])
        found = take_back(asked.where(here), fitted)
        odds[here] = found.odds
        for name, values in found.odds_hidden.items():
            hidden[name][here] = values
    return Asked(asked.numbers, odds, hidden, asked.names), fitted


def measured(normals: Asked, threshold: float) -> dict[str, dict[str, dict]]:
    """Measure what hiding a group does to held-out normals: by group, then by class and at the head's threshold.

    Parameters
    ----------
    threshold
        Log odds from which on the head decides.

    Returns
    -------
    dict
        By group and class ``n``, ``above`` and ``above_hidden``: how many exceed the value that a tenth exceed as they
        are, and with the group hidden; ``ratio`` of the two with its interval by bootstrap over transients, None where
        none is above as they are.
    """
    places = class_places(normals.numbers)
    parts = {
        words: np.isin(places, members)
        for words, members in class_groups(normals.numbers).items()
        if np.isin(places, members).any()
    }
    found: dict[str, dict[str, dict]] = {}
    for name, values in normals.odds_hidden.items():
        found[name] = {
            words: ratio(normals.odds[rows], values[rows], normals.names[rows], None) for words, rows in parts.items()
        }
        found[name][THRESHOLD] = ratio(normals.odds, values, normals.names, threshold)
    return found


def ratio(
    odds: NDArray[np.float64], hidden: NDArray[np.float64], names: NDArray[np.str_], threshold: float | None
) -> dict:
    """Compare the shares at one value; where none is given, at that which a tenth exceed, in each draw anew."""
    transient = np.unique(names, return_inverse=True)[1]
    order = np.argsort(odds, kind="stable")

    def shares(weights: NDArray) -> tuple[float, float]:
        value = threshold if threshold is not None else _quantile(odds[order], weights[order])
        return float(weights @ (odds > value)), float(weights @ (hidden > value))

    above, above_hidden = shares(np.ones(len(odds)))
    rng = np.random.default_rng(0)
    draws = [shares(drawn[transient]) for drawn in resamplings(int(transient.max()) + 1, N_BOOTSTRAP, rng)]
    ratios = [without / with_group for with_group, without in draws if with_group]
    found = None
    if above and ratios:
        low, high = interval_of(ratios)
        found = [round(float(number), 3) for number in (above_hidden / above, low, high)]
    return {"n": len(odds), "above": int(above), "above_hidden": int(above_hidden), "ratio": found}


def _quantile(ascending: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the value that a share of :data:`SHARE` of the weights exceed."""
    place = np.searchsorted(np.cumsum(weights), (1 - SHARE) * weights.sum(), side="left")
    return float(ascending[min(place, len(ascending) - 1)])


def faults(found: Mapping[str, Mapping[str, Mapping]]) -> list[str]:
    """Say where what is missing decides: an interval without 1, or a ratio of :data:`MAX_RATIO` or more."""
    return [
        f"without {name}, {words}: {item['above_hidden']} of {item['n']} normals where {item['above']} are with it, "
        f"ratio {item['ratio'][0]:.2f} [{item['ratio'][1]:.2f}, {item['ratio'][2]:.2f}]"
        for name, parts in found.items()
        for words, item in parts.items()
        if item["ratio"] and (not item["ratio"][1] <= 1 <= item["ratio"][2] or item["ratio"][0] >= MAX_RATIO)
    ]
