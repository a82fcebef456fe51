"""How well a light-curve score finds what is not a normal supernova, where the catalogue cannot tell.

Within one source; by injection; pooled only beside what needs no model. Every curve is scored by a model
that did not see it, and so is every pair made from it. Labels of exotics choose nothing.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.lightcurve import MIN_DETECTIONS, Detections, within_grid
from training import recipe
from training.data.curves import CurveTable
from training.data.folds import rotation_of
from training.lightcurve.injection import EVOLUTIONS, Pair, make_pair, single_numbers, smooth_magnitudes
from training.metrics.calibrate import share_of
from training.metrics.ranking import as_lists, auc, auc_with_interval, ranking
from training.recipe import Headlines, within

Scorer = Callable[[int, Sequence[Detections]], NDArray[np.float64]]
"""(rotation, curves) -> scores ``(n,)`` by that rotation's model, NaN where it cannot."""

MIN_OF_A_SOURCE = 5
"""Normals and exotics each, for a source to be ranked within: a group of sources tells the class by the source."""

SAMPLINGS = ("20 or more", "5 to 10, whole", "5 to 10, young")
"""Numbers of detections of the pairs; young: the first of a longer curve."""

METHOD = "reconstruction error"
"""What the card and the report call the graph's error."""

SCORE = "score"
"""And what its calibration by sampling, brightness and depth makes of it, which is what ships."""

_SEED = 2026


def out_of_fold(scorer: Scorer, curves: Sequence[Detections], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Score each curve by the model whose test part it is in: ``(n,)``."""

    def score(rotation: int, here: NDArray[np.bool_]) -> NDArray[np.float64]:
        return scorer(rotation, [curves[i] for i in np.flatnonzero(here)])

    return recipe.out_of_fold(rotation_of(folds), score)


def make_pairs(
    table: CurveTable, smooth: Mapping[int, NDArray[np.float64]], kind: str, sampling: str
) -> tuple[list[Pair], NDArray[np.int64]]:
    """Make one pair of each normal curve that leaves enough detections, and return them with their folds.

    `smooth` holds the smooth magnitudes of the normal curves, by their place in the table.
    """
    pairs, numbers = [], []
    for number, magnitudes in smooth.items():
        curve = table.curves[number].detections
        if len(curve) < (20 if sampling == "20 or more" else 5):
            continue
        rng = np.random.default_rng([_SEED, number, SAMPLINGS.index(sampling), list(EVOLUTIONS).index(kind)])
        pair = make_pair(curve, magnitudes, kind, rng)
        if sampling == "5 to 10, young":
            first = slice(0, int(rng.integers(5, 11)))
            pair = Pair(pair.normal.where(first), pair.injected.where(first))
        n = len(pair.normal)
        if (n >= 20 if sampling == "20 or more" else 5 <= n <= 10) and _both_scorable(pair):
            pairs.append(pair)
            numbers.append(number)
    return pairs, table.folds[numbers]


def _both_scorable(pair: Pair) -> bool:
    return all(within_grid(curve).sum() >= MIN_DETECTIONS for curve in (pair.normal, pair.injected))


def injections(table: CurveTable, scorers: Mapping[str, Scorer]) -> dict[str, dict]:
    """Measure each scorer's AUC between the members of fair pairs.

    Returns
    -------
    dict
        Sampling to kind to ``{"n", "methods": {name: {"n", "auc": [value, low, high]}}, "single": {number: auc}}``; a
        single number's AUC is taken in whichever direction is better.
    """
    smooth = {int(i): smooth_magnitudes(table.curves[i].detections) for i in np.flatnonzero(~table.is_exotic)}
    result: dict[str, dict] = {}
    for sampling in SAMPLINGS:
        result[sampling] = {}
        for kind in EVOLUTIONS:
            pairs, folds = make_pairs(table, smooth, kind, sampling)
            if len(pairs) < 10:
                continue
            normal, injected = [p.normal for p in pairs], [p.injected for p in pairs]
            methods = {
                name: _pair_auc(out_of_fold(scorer, normal, folds), out_of_fold(scorer, injected, folds))
                for name, scorer in scorers.items()
            }
            result[sampling][kind] = {"n": len(pairs), "methods": methods, "single": _single_aucs(normal, injected)}
    return result


def _pair_auc(normal: NDArray, injected: NDArray) -> dict:
    is_scored = np.isfinite(normal) & np.isfinite(injected)
    n = int(is_scored.sum())
    if n < 10:
        return {"n": n, "auc": None}
    scores = np.concatenate([normal[is_scored], injected[is_scored]])
    return {"n": n, "auc": auc_with_interval(scores, np.arange(2 * n) >= n)}


def _single_aucs(normal: Sequence[Detections], injected: Sequence[Detections]) -> dict[str, float]:
    below, above = ([single_numbers(curve) for curve in curves] for curves in (normal, injected))
    is_above = np.arange(len(below) + len(above)) >= len(below)
    return {name: _better_auc(np.array([numbers[name] for numbers in (*below, *above)]), is_above) for name in below[0]}


def _better_auc(values: NDArray, is_above: NDArray[np.bool_]) -> float:
    """Return the AUC of a number ``(n,)`` in whichever direction is better."""
    found = auc(values, is_above)
    return round(max(found, 1 - found), 4)


def sources_of(table: CurveTable) -> dict[str, NDArray[np.bool_]]:
    """Return the curves ``(n,)`` of each source that has both normals and exotics, by its name.

    A table without sources is one source for each of its groups.
    """
    names, is_exotic = table.column("source"), table.is_exotic
    names = np.where(names == "", table.column("group"), names)
    return {
        name: names == name
        for name in np.unique(names).tolist()
        if min(np.count_nonzero(is_exotic[names == name]), np.count_nonzero(~is_exotic[names == name]))
        >= MIN_OF_A_SOURCE
    }


def within_sources(table: CurveTable, scores: Mapping[str, NDArray]) -> dict[str, dict]:
    """Rank real exotics above normals within each source, and pooled, which the catalogues confound.

    Parameters
    ----------
    scores
        Out-of-fold scores ``(n,)`` of the whole curves, NaN where there is none; compared on the curves all have.
    """
    scorable = np.all([np.isfinite(values) for values in scores.values()], axis=0)
    is_exotic = table.is_exotic
    populations = {name: scorable & rows for name, rows in sources_of(table).items()} | {"pooled": scorable}
    result = {}
    for name, rows in populations.items():
        if not is_exotic[rows].any() or is_exotic[rows].all():
            continue
        members = [curve for curve, chosen in zip(table.curves, rows, strict=True) if chosen]
        numbers = [
            single_numbers(c.detections) | {"peak magnitude": float(c.detections.magnitude.min())} for c in members
        ]
        exotic = is_exotic[rows]
        result[name] = {
            "n_normal": int((~exotic).sum()),
            "n_exotic": int(exotic.sum()),
            "methods": {
                method: as_lists(ranking(values[rows], exotic, table.folds[rows])) for method, values in scores.items()
            },
            "single": {key: _better_auc(np.array([n[key] for n in numbers]), exotic) for key in numbers[0]},
        }
    return result


def dependence(scores: NDArray, curves: Sequence[Detections]) -> dict[str, list[dict]]:
    """Say how often normals, at random epochs, score at or above 1 and 2, by what they were sampled like.

    Each share is with its exact interval.

    Parameters
    ----------
    scores
        ``(n,)`` of normals, each calibrated on the other folds'.
    """
    numbers = {
        "detections": ([len(curve) for curve in curves], (2, 5, 11, 21, np.inf)),
        "peak magnitude": ([curve.magnitude.min() for curve in curves], (0, 16, 17, 18, 19, np.inf)),
        "smallest error": ([curve.error_mag.min() for curve in curves], (0, 0.03, 0.06, 0.1, np.inf)),
        "days since first detection": ([np.ptp(curve.time_days) for curve in curves], (0, 10, 30, 60, np.inf)),
    }
    result = {}
    for name, (values, edges) in numbers.items():
        place = np.digitize(values, edges[1:-1])
        result[name] = [
            {
                "from": float(edges[i]),
                "n": int((place == i).sum()),
                "at_least_1": share_of(scores[place == i] >= 1)["share"],
                "at_least_2": share_of(scores[place == i] >= 2)["share"],
            }
            for i in range(len(edges) - 1)
            if (place == i).any()
        ]
    return result


def mean_aucs(report: Mapping[str, dict], method: str) -> dict[str, float]:
    """Return the mean over kinds of a method's AUC for each sampling, where it scored every kind."""
    means = {}
    for sampling, kinds in report.items():
        values = [kind["methods"][method]["auc"] for kind in kinds.values()]
        if values and all(values):
            means[sampling] = float(np.mean([value[0] for value in values]))
    return means


def headlines(metrics: Mapping) -> Headlines:
    """Return what a light-curve model is worth in a few lines."""
    means = mean_aucs(metrics.get("injections", {}), METHOD)
    return {f"mean AUC of injections, {sampling} detections": means.get(sampling) for sampling in SAMPLINGS} | {
        "AUC of the score, pooled over sources, which tell the class": within(
            metrics, "random_epoch", "pooled", "methods", SCORE, "auc"
        ),
        "share of held-out normals at 2 or above": within(
            metrics, "false_alarms", "score", "shares", "2", "held_out", "share"
        ),
        "validation loss": metrics.get("validation_loss"),
    }
