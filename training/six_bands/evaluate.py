"""How well the light-curve model of six bands tells another evolution from a supernova's, where nothing else can."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.lightcurve import Detections
from annotator.preprocess.six_bands import usable_nights_of
from annotator.transient import LightCurve
from training.metrics.ranking import auc
from training.six_bands.fit import enough
from training.six_bands.pairs import Pair

N_DRAWS = 500
"""Of the bootstrap over supernovae."""

MODES = ("whole", "young")

Scorer = Callable[[Sequence[LightCurve]], NDArray[np.float64]]
"""Scores light curves ``(n,)``, each of which has enough."""


def measure_pairs(
    pairs: Mapping[str, Sequence[Pair]], scorers: Mapping[str, Scorer], seed: int
) -> dict[str, dict[str, dict]]:
    """Measure each scorer's AUC between the members of pairs: of each kind, and in the mean of the kinds.

    Returns
    -------
    dict
        Mode to kind to ``{"n", "points", "methods": {name: [value, low, high]}, "single": {name: auc}}``; 95 %
        intervals by bootstrap over supernovae, all of whose pairs are drawn together. A single number's AUC is taken in
        whichever direction is better. The mean is under ``mean``.
    """
    found: dict[str, dict[str, dict]] = {}
    for mode in MODES:
        found[mode], drawn = {}, []
        for kind, of_kind in pairs.items():
            rng = np.random.default_rng([seed, len(drawn)])
            chosen = list(of_kind) if mode == "whole" else [pair.young(rng) for pair in of_kind]
            chosen = _scorable(chosen)
            members = [pair.normal for pair in chosen] + [pair.injected for pair in chosen]
            is_injected = np.arange(len(members)) >= len(chosen)
            values = {name: scorer(members) for name, scorer in scorers.items()}
            owners = np.array([pair.object_id for pair in chosen])
            drawn.append((values, is_injected, owners))
            found[mode][kind] = {
                "n": len(chosen),
                "points": float(np.median([len(pair.normal) for pair in chosen])),
                "methods": {name: _with_interval([(v, is_injected, owners)], seed) for name, v in values.items()},
                "single": _single(members, is_injected),
            }
        found[mode]["mean"] = {
            "n": sum(item["n"] for item in found[mode].values()),
            "methods": {
                name: _with_interval([(values[name], of, owners) for values, of, owners in drawn], seed)
                for name in scorers
            },
        }
    return found


def _scorable(pairs: Sequence[Pair]) -> list[Pair]:
    sides = [[enough(nights) for nights in usable_nights_of(side)] for side in _sides(pairs)]
    return [pair for pair, *both in zip(pairs, *sides, strict=True) if all(both)]


def _sides(pairs: Sequence[Pair]) -> tuple[list[LightCurve], list[LightCurve]]:
    return [pair.normal for pair in pairs], [pair.injected for pair in pairs]


def _with_interval(
    parts: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.str_]]], seed: int
) -> list[float]:
    """Return the mean AUC over kinds with its interval."""
    rng = np.random.default_rng(seed)
    names = np.unique(np.concatenate([owners for _, _, owners in parts]))
    places = [np.searchsorted(names, np.concatenate([owners, owners])) for _, _, owners in parts]
    draws = [
        np.mean([auc(v, of, weights[place].astype(float)) for (v, of, _), place in zip(parts, places, strict=True)])
        for weights in (
            np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)) for _ in range(N_DRAWS)
        )
    ]
    value = np.mean([auc(values, of) for values, of, _ in parts])
    return [round(float(number), 4) for number in (value, *np.quantile(draws, (0.025, 0.975)))]


def _single(members: Sequence[LightCurve], is_injected: NDArray[np.bool_]) -> dict[str, float]:
    numbers = [_numbers(curve, nights) for curve, nights in zip(members, usable_nights_of(members), strict=True)]
    found = {}
    for name in numbers[0]:
        value = auc(np.array([item[name] for item in numbers]), is_injected)
        found[name] = round(max(value, 1 - value), 4)
    return found


def _numbers(curve: LightCurve, nights: Detections) -> dict[str, float]:
    """Return what a person would compute first: what no model is needed for."""
    means = [nights.magnitude[nights.band == band].mean() for band in np.unique(nights.band)]
    return {
        "number of points": float(len(nights)),
        "span": float(np.ptp(curve.time_mjd)),
        "depth": float(np.median(curve.flux_error_njy)),
        "range": float(np.ptp(nights.magnitude)),
        "spread of the bands' means": float(np.std(means)),
    }
