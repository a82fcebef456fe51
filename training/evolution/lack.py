"""What is missing must not decide: what hiding a group of quantities does to normals is taken back, and measured.

To the log odds is added, for each group that is missing, what brings as many normals above the value that a tenth of
them exceed as there are with the group. Beyond that value odds are stretched, for each group that is missing, so that
as many are above the threshold, too: as for the head of the object features (:mod:`training.exotic.lack`), of groups of
quantities instead of columns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evolution.exotic import GROUPS, one_hidden
from training.exotic.lack import (
    DAMPING,
    MAX_OFFSET,
    N_HALVINGS,
    N_ROUNDS,
    SHARE,
    STRETCH_RANGE,
    THRESHOLD,
    ratio,
)

MIN_WITH_GROUP = 100
"""Normals that have a group; of fewer nobody can tell what hiding it does."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Log odds of states, by heads that did not see the objects, as they are and with each group hidden."""

    there: NDArray[np.bool_]
    """``(n, n_groups)``: which groups they have."""
    odds: NDArray[np.float64]
    """``(n,)``."""
    hidden: NDArray[np.float64]
    """``(n, n_groups)``."""

    def where(self, kept: NDArray) -> "Asked":
        """Return some of them, by mask or index."""
        return Asked(self.there[kept], self.odds[kept], self.hidden[kept])

    def with_added(self, offsets: NDArray[np.float64]) -> "Asked":
        """Add ``(n_groups,)`` for the groups that are missing."""
        added = ~self.there @ offsets
        return Asked(self.there, self.odds + added, self.hidden + added[:, None] + np.where(self.there, offsets, 0.0))

    def stretched(self, pivot: float, stretch: NDArray[np.float64]) -> "Asked":
        """Stretch what is beyond the pivot by ``(n_groups,)`` for the groups that are missing."""
        by = ~self.there @ stretch
        more = by[:, None] + np.where(self.there, stretch, 0.0)
        odds = self.odds + np.maximum(self.odds - pivot, 0.0) * by
        return Asked(self.there, odds, self.hidden + np.maximum(self.hidden - pivot, 0.0) * more)


@dataclass(frozen=True, eq=False)
class TakenBack:
    """What is done to log odds for the groups that are missing."""

    offsets: NDArray[np.float64]
    """Added, ``(n_groups,)``."""
    pivot: float
    """Log odds from which on they are stretched, each by one and the sum of"""
    stretch: NDArray[np.float64]
    """``(n_groups,)``, over the groups that are missing."""

    def of(self, asked: Asked) -> Asked:
        """Do it."""
        return asked.with_added(self.offsets).stretched(self.pivot, self.stretch)


def ask(
    log_odds: Callable[[NDArray[np.float32]], NDArray], values: NDArray[np.float32], there: NDArray[np.bool_]
) -> Asked:
    """Ask for the log odds of states ``(n, len(INPUTS))`` as they are and with each group hidden."""
    hidden = [log_odds(one_hidden(values, name)) for name in GROUPS]
    return Asked(there, log_odds(values), np.column_stack(hidden))


def fit_offsets(normals: Asked) -> NDArray[np.float64]:
    """Return what is added to the log odds for each group that is missing, ``(n_groups,)``, fitted to normals."""
    own = np.zeros(len(GROUPS))
    for _ in range(N_ROUNDS):  # the value at which it is measured moves with what is added
        for group in np.flatnonzero(normals.there.sum(axis=0) >= MIN_WITH_GROUP):
            has, added = normals.there[:, group], ~normals.there @ own
            odds = normals.odds + added
            value = np.quantile(odds, 1 - SHARE)
            above = (odds[has] > value).mean()
            step = value - np.quantile(normals.hidden[has, group] + added[has], 1 - above) - own[group]
            own[group] = np.clip(own[group] + DAMPING * step, -MAX_OFFSET, MAX_OFFSET)
    return own


def fit_taken_back(normals: Asked, share: float) -> TakenBack:
    """Fit what is done for what is missing to normals, of which so large a share is above the threshold."""
    offsets = fit_offsets(normals)
    added = normals.with_added(offsets)
    pivot, stretch = float(np.quantile(added.odds, 1 - SHARE)), np.zeros(len(GROUPS))
    for _ in range(N_ROUNDS):  # those that lack a group are stretched, too
        as_is = added.stretched(pivot, stretch).odds
        threshold = np.quantile(as_is, 1 - share)
        above = np.count_nonzero(as_is >= threshold)
        for group in np.flatnonzero(normals.there.sum(axis=0) >= MIN_WITH_GROUP):
            trial, (low, high) = stretch.copy(), STRETCH_RANGE
            for _ in range(N_HALVINGS):
                trial[group] = (low + high) / 2
                is_few = np.count_nonzero(added.stretched(pivot, trial).hidden[:, group] >= threshold) < above
                low, high = (trial[group], high) if is_few else (low, trial[group])
            stretch[group] += DAMPING * ((low + high) / 2 - stretch[group])
    return TakenBack(offsets, pivot, stretch)


def measured(normals: Asked, names: NDArray[np.str_], threshold: float) -> Mapping[str, Mapping[str, Mapping]]:
    """Measure what hiding each group does to normals that no model saw (:func:`training.exotic.lack.measured`).

    Parameters
    ----------
    names
        Of the objects, ``(n,)``.
    threshold
        Log odds from which on the head decides.
    """
    return {
        name: {
            "all": ratio(normals.odds, normals.hidden[:, group], names, None),
            THRESHOLD: ratio(normals.odds, normals.hidden[:, group], names, threshold),
        }
        for group, name in enumerate(GROUPS)
    }
