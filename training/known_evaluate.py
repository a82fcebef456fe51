"""Whether the known objects that a model puts nearest are of the object's own class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.known import KnownLatents
from training.dataset import LABELS
from training.evaluate import N_BOOTSTRAP, Estimate
from training.lightcurve_data import shared_groups

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
    share: Estimate
    """Of the :data:`NEAREST` nearest, the object left out."""
    base: float
    """What it would be if the nearest were drawn at random."""
    lift: Estimate
    """Share over base."""
    any_of_kind: float
    """Share of the objects with one or more of their class among the nearest."""


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


def _shares(
    index: KnownLatents, kinds: NDArray[np.str_], stratum: NDArray[np.int64], kept: NDArray[np.bool_]
) -> list[ClassShare]:
    own, base = np.zeros(len(kinds)), np.zeros(len(kinds))
    for place in np.flatnonzero(kept).tolist():
        others = np.flatnonzero(kept & (stratum == stratum[place]) & (np.arange(len(kinds)) != place))
        if len(others):
            order = np.argsort(index.distances(index.latents[place])[others], kind="stable")
            own[place] = (kinds[others[order[:NEAREST]]] == kinds[place]).mean()
            base[place] = (kinds[others] == kinds[place]).mean()
    rng = np.random.default_rng(0)
    shares = []
    for kind in dict.fromkeys((*LABELS[:-1], *sorted(set(kinds.tolist())))):
        rows = np.flatnonzero((kinds == kind) & (base > 0))
        if len(rows) >= MIN_OF_CLASS:
            draws = rows[rng.integers(len(rows), size=(N_BOOTSTRAP, len(rows)))]
            drawn = own[draws].mean(axis=1)
            share, expected = own[rows].mean(), base[rows].mean()
            lift = _estimate(share / expected, drawn / base[draws].mean(axis=1))
            any_of_kind = float((own[rows] > 0).mean())
            shares.append(ClassShare(kind, len(rows), _estimate(share, drawn), float(expected), lift, any_of_kind))
    return shares


def _estimate(value: float, draws: NDArray[np.float64]) -> Estimate:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))
