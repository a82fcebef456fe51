"""How good an order of attention is: what stands in the first places of a night, and whether its chances are true."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.metrics.calibrate import share_of
from training.metrics.intervals import interval_of, resamplings
from training.worth.nights import ScoredNights

N_BOOTSTRAP = 500
EDGES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 1.0)
"""Of the bins of a reliability table: most chances are small."""


def first_places(nights: ScoredNights, order: NDArray[np.float64]) -> dict:
    """Count what stands in the first places of each night, highest first.

    Returns
    -------
    dict
        By number of places: objects a night that nobody has classified and a person is glad of, and those of them that
        are exotic, as mean with a 95 % interval by bootstrap over nights; and how many of each kind there are in all;
        ``hoped for``: how many such exotics there are a night.
    """
    nights_of = np.unique(nights.night)
    is_exotic, is_glad = (
        np.isin(nights.kind, kinds) & (nights.known == "") for kinds in (nights.sky.exotic, nights.sky.glad)
    )
    found: dict = {
        "nights": len(nights_of),
        "hoped for": round(float(is_exotic.sum() / len(nights_of)), 2),
    }
    ranks = _ranks(nights.night, order)
    rng = np.random.default_rng(0)
    draws = list(resamplings(len(nights_of), N_BOOTSTRAP, rng))
    for places in nights.sky.first:
        is_first = ranks < places
        kinds, counts = np.unique(nights.kind[is_first], return_counts=True)
        part: dict = {
            "kinds": {str(k): int(c) for k, c in sorted(zip(kinds, counts, strict=True), key=lambda p: -p[1])}
        }
        for name, chosen in (("exotic", is_exotic), ("glad", is_glad)):
            a_night = np.array([(is_first & chosen & (nights.night == number)).sum() for number in nights_of])
            low, high = interval_of([float(np.average(a_night, weights=weights)) for weights in draws])
            part[name] = [round(float(value), 2) for value in (a_night.mean(), low, high)]
            part[f"nights without {name}"] = int((a_night == 0).sum())
        found[str(places)] = part
    return found


def _ranks(night: NDArray[np.int64], order: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return each object's place in its night, from 0, highest first."""
    ranks = np.empty(len(night), dtype=np.int64)
    for number in np.unique(night):
        members = np.flatnonzero(night == number)
        ranks[members[np.argsort(-order[members], kind="stable")]] = np.arange(len(members))
    return ranks


def reliability(chances: NDArray[np.float64], is_glad: NDArray[np.bool_]) -> list[dict]:
    """Compare chances with how often they came true, in bins, with exact intervals; empty bins are left out."""
    place = np.clip(np.searchsorted(EDGES, chances, side="right") - 1, 0, len(EDGES) - 2)
    return [
        {"from": EDGES[i], "to": EDGES[i + 1], "mean": round(float(chances[place == i].mean()), 4)}
        | share_of(is_glad[place == i])
        for i in range(len(EDGES) - 1)
        if (place == i).any()
    ]


def by_kind(nights: ScoredNights, chances: NDArray[np.float64]) -> Mapping[str, list[float]]:
    """Return the median chance of each kind and the range of its middle half."""
    return {
        kind: [round(float(q), 4) for q in np.percentile(chances[nights.kind == kind], (50, 25, 75))]
        for kind in (*nights.sky.glad, *sorted(set(nights.kind.tolist()) - set(nights.sky.glad)))
        if (nights.kind == kind).any()
    }
