"""Whether the known objects that a model puts nearest are of the object's own class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.models.known import KnownLatents
from training.data.curves import shared_groups
from training.data.table import LABELS
from training.metrics.intervals import Estimate, interval_of, resamplings
from training.metrics.ranking import N_BOOTSTRAP

NEAREST = 5
MIN_OF_CLASS = 5
"""Objects of a class, with another of it in reach, from which on its share is worth an interval."""

ALL, WITHIN = "all", "within catalogues"
"""Names of what is measured: all objects together, and each among those of its own stratum."""


@dataclass(frozen=True)
class ClassShare:
    """How many of the known objects nearest to those of a class are of it, too."""

    kind: str
    n: int
    """Objects of the class that have another of it in reach."""
    share: float
    """Of the :data:`NEAREST` nearest, the object left out."""
    chance: Estimate
    """What it is if the nearest are drawn at random; its range is that of 95 % of shufflings of the classes."""
    lift: Estimate
    """Share over chance."""
    any_of_kind: float
    """Share of the objects with one or more of their class among the nearest."""

    @property
    def against_chance(self) -> int:
        """1 where the share is above what 95 % of shufflings give, -1 where it is below, else 0."""
        return int(self.share > self.chance.high) - int(self.share < self.chance.low)


def measure(index: KnownLatents, classes: Sequence[str], strata: Sequence[str]) -> dict[str, list[ClassShare]]:
    """Measure, by class, how many of the nearest known objects are of the object's own class.

    Parameters
    ----------
    classes, strata
        Of each known object of the index, in order: its class, and with which it can be compared.

    Returns
    -------
    dict
        Over all objects; and, where there are several strata, over those that have exotics and more normals, an object
        compared with those of its own stratum alone.
    """
    kinds, stratum = np.array(classes), np.unique(strata, return_inverse=True)[1]
    found = {ALL: _shares(index, kinds, np.zeros_like(stratum), np.ones(len(kinds), dtype=bool))}
    if len(set(strata)) > 1:
        is_exotic = ~np.isin(kinds, LABELS)
        has_more_normals = np.isin(strata, sorted(shared_groups(strata, is_exotic.tolist())))
        found[WITHIN] = _shares(index, kinds, stratum, has_more_normals & np.isin(stratum, stratum[is_exotic]))
    return found


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """Who is near whom among n objects."""

    stratum: NDArray[np.int64]
    """``(n,)``."""
    nearest: NDArray[np.int64]
    """``(n, NEAREST)`` places of the nearest others of the same stratum."""
    is_there: NDArray[np.bool_]
    """``(n, NEAREST)``, false where the stratum has no more."""

    def shares(self, kinds: NDArray[np.int64], weights: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
        """Return each kind's share among the nearest of its objects, and by chance, ``(n_kinds,)``; NaN of none.

        Each object counts `weights` times, as one whose nearest are counted and as one that is near.
        """
        there = weights[self.nearest] * self.is_there
        alike = there * (kinds[self.nearest] == kinds[:, np.newaxis])
        n_kinds = kinds.max() + 1
        cells = self.stratum * n_kinds + kinds
        per_cell = np.bincount(cells, weights)
        others_alike = per_cell[cells] - weights
        others = np.bincount(self.stratum, weights)[self.stratum] - weights
        counted = weights * (others_alike > 0)
        with np.errstate(invalid="ignore"):  # 0 / 0 of a kind that is not there
            found = np.bincount(kinds, counted * alike.sum(axis=1)) / np.bincount(kinds, counted * there.sum(axis=1))
            chance = np.bincount(kinds, counted * others_alike / np.maximum(others, 1)) / np.bincount(kinds, counted)
        return found, chance

    def shuffled(self, kinds: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Deal the kinds out anew within each stratum."""
        dealt = np.empty_like(kinds)
        dealt[np.argsort(self.stratum, kind="stable")] = kinds[np.lexsort((rng.random(len(kinds)), self.stratum))]
        return dealt


def _shares(
    index: KnownLatents, names: NDArray[np.str_], stratum: NDArray[np.int64], kept: NDArray[np.bool_]
) -> list[ClassShare]:
    places = np.flatnonzero(kept)
    if not len(places):
        return []
    neighbours = _neighbours(index, places, stratum[places])
    kind_names, kinds = np.unique(names[places], return_inverse=True)
    ones, rng, n = np.ones(len(places)), np.random.default_rng(0), len(places)
    share, chance = neighbours.shares(kinds, ones)
    shuffled = [neighbours.shares(neighbours.shuffled(kinds, rng), ones)[0] for _ in range(N_BOOTSTRAP)]
    # An object that is drawn again is drawn as a neighbour, too: objects that are near one another are not independent.
    draws = [neighbours.shares(kinds, weights.astype(float)) for weights in resamplings(n, N_BOOTSTRAP, rng)]
    lifts = np.array([found / expected for found, expected in draws])
    alike = (kinds[neighbours.nearest] == kinds[:, np.newaxis]) & neighbours.is_there
    cells = neighbours.stratum * len(kind_names) + kinds
    in_reach = np.bincount(cells)[cells] > 1
    order = [name for name in LABELS if name in kind_names] + [name for name in kind_names if name not in LABELS]
    shares = []
    for name in order:
        kind = int(np.flatnonzero(kind_names == name)[0])
        rows = (kinds == kind) & in_reach
        if rows.sum() >= MIN_OF_CLASS:
            shares.append(
                ClassShare(
                    str(name),
                    int(rows.sum()),
                    float(share[kind]),
                    _estimate(chance[kind], np.array(shuffled)[:, kind]),
                    _estimate(share[kind] / chance[kind], lifts[:, kind]),
                    float(alike[rows].any(axis=1).mean()),
                )
            )
    return shares


def _neighbours(index: KnownLatents, places: NDArray[np.int64], stratum: NDArray[np.int64]) -> _Neighbours:
    stratum = np.unique(stratum, return_inverse=True)[1]
    nearest = np.zeros((len(places), NEAREST), dtype=np.int64)
    is_there = np.zeros((len(places), NEAREST), dtype=bool)
    for number, place in enumerate(places.tolist()):
        distances = index.distances(index.latents[place])[places]
        others = np.flatnonzero((stratum == stratum[number]) & (np.arange(len(places)) != number))
        found = others[np.argsort(distances[others], kind="stable")[:NEAREST]]
        nearest[number, : len(found)], is_there[number, : len(found)] = found, True
    return _Neighbours(stratum, nearest, is_there)


def _estimate(value: float, draws: NDArray[np.float64]) -> Estimate:
    low, high = interval_of(draws)
    return Estimate(float(value), float(low), float(high))
