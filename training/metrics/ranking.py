"""How well a score ranks known exotics above normals, with intervals.

Every object is scored once, by what was not fitted to it. The exotics serve to measure and choose nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from training.data.table import Split, Table

N_BOOTSTRAP = 1000
RIVAL_TREES = 200
"""Trees of the isolation forests that a model is measured against."""
TOP = 10


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def ranking(
    scores: NDArray, is_exotic: NDArray[np.bool_], bins: NDArray[np.int64], seed: int = 0
) -> dict[str, Estimate]:
    """Measure a ranking, with intervals by bootstrap over objects.

    Parameters
    ----------
    scores
        ``(n,)``, higher is more anomalous.
    is_exotic, bins
        ``(n,)``; hits are counted in the top ten of each bin, and averaged over bins.

    Returns
    -------
    dict
        ``auc``, ``ap`` (average precision) and ``hits``.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(-scores, kind="stable")
    labels, values, ordered_bins = is_exotic[order], scores[order], bins[order]
    last_of_ties = np.flatnonzero(np.append(np.diff(values) != 0, True))
    members = [np.flatnonzero(ordered_bins == number) for number in np.unique(bins)]

    def measure(weights: NDArray) -> tuple[float, float, float]:
        positive = np.cumsum(weights * labels)[last_of_ties]
        total = np.cumsum(weights)[last_of_ties]
        hits = np.mean([_hits(weights[m], labels[m]) for m in members])
        return _auc(positive, total), _average_precision(positive, total), hits

    ones = np.ones(len(scores))
    n = len(scores)
    draws = np.array([measure(np.bincount(rng.integers(n, size=n), minlength=n)) for _ in range(N_BOOTSTRAP)])
    low, high = np.nanpercentile(draws, [2.5, 97.5], axis=0)
    return {
        name: Estimate(float(value), float(low[i]), float(high[i]))
        for i, (name, value) in enumerate(zip(("auc", "ap", "hits"), measure(ones), strict=True))
    }


def auc(scores: NDArray, is_positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve, ties by half, of scores ``(n,)`` of which some are positive, some not."""
    n = int(is_positive.sum())
    return float((stats.rankdata(scores)[is_positive].mean() - (n + 1) / 2) / (len(scores) - n))


def average_precision(scores: NDArray, is_positive: NDArray[np.bool_]) -> float:
    """Return the sum of precision times the step in recall, over the distinct scores ``(n,)``."""
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return _average_precision(np.cumsum(is_positive[order])[last_of_ties], last_of_ties + 1.0)


def _auc(positive: NDArray, total: NDArray) -> float:
    """Area under the ROC curve from cumulative counts at each threshold, ties by the trapezium."""
    negative = total - positive
    if positive[-1] == 0 or negative[-1] == 0:
        return np.nan
    true_rate, false_rate = np.append(0, positive / positive[-1]), np.append(0, negative / negative[-1])
    return float(np.trapezoid(true_rate, false_rate))


def _average_precision(positive: NDArray, total: NDArray) -> float:
    """Sum of precision times the step in recall, over thresholds."""
    if positive[-1] == 0:
        return np.nan
    precision = positive / np.maximum(total, 1)
    return float(np.sum(np.diff(positive, prepend=0) * precision) / positive[-1])


def _hits(weights: NDArray, labels: NDArray[np.bool_]) -> float:
    """Exotics among the top ten of a resampled bin whose entries stand in order, best first."""
    before = np.cumsum(weights) - weights
    return float(np.sum(np.clip(TOP - before, 0, weights) * labels))


def evaluate(scores: Mapping[str, NDArray], table: Table) -> dict[str, dict]:
    """Measure each score on the rows within AHA's cut and on all rows, and the first two by exotic type on all."""
    bins, is_exotic = table.bins, table.is_exotic
    # Two to four objects of a TDE subtype say nothing.
    types = np.array(["TDE" if kind.startswith("TDE") else kind for kind in table.column("type")])
    result: dict[str, dict] = {}
    for population, rows in (("within_aha_cut", table.is_within_aha_cut), ("all", np.ones(len(bins), bool))):
        if not is_exotic[rows].any() or is_exotic[rows].all():
            continue
        result[population] = {
            "n_normal": int((~is_exotic[rows]).sum()),
            "n_exotic": int(is_exotic[rows].sum()),
            "methods": {
                name: as_lists(ranking(values[rows], is_exotic[rows], bins[rows])) for name, values in scores.items()
            },
        }
    by_type: dict[str, dict] = {}
    for kind in np.unique(types[is_exotic]):
        rows = ~is_exotic | (types == kind)
        by_type[str(kind)] = {"n": int((is_exotic & (types == kind)).sum())} | {
            name: _as_list(ranking(scores[name][rows], is_exotic[rows], bins[rows])["auc"]) for name in list(scores)[:2]
        }
    return result | {"by_type": by_type}


def _as_list(estimate: Estimate) -> list[float]:
    return [round(number, 4) for number in (estimate.value, estimate.low, estimate.high)]


def as_lists(estimates: Mapping[str, Estimate]) -> dict[str, list[float]]:
    """Return each estimate as value, low, high, for a manifest."""
    return {name: _as_list(estimate) for name, estimate in estimates.items()}


def baselines(table: Table, scaled: NDArray, split: Split) -> dict[str, NDArray]:
    """Score test rows without any network.

    Parameters
    ----------
    scaled
        ``(n, 21)`` in units of the training part's robust deviation about its median, NaN where missing.
    split
        Only the normals of its training part are used.

    Returns
    -------
    dict
        Name to ``(n_test,)`` scores, except ``columns``: ``(n_test, 21)``, for the best single column.
    """
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import NearestNeighbors

    normal = np.nan_to_num(scaled[split.train & ~table.is_exotic])
    filled, is_missing = np.nan_to_num(scaled[split.test]), np.isnan(scaled[split.test])
    forest = IsolationForest(n_estimators=RIVAL_TREES, random_state=0).fit(normal)
    distances, _ = NearestNeighbors(n_neighbors=20).fit(normal).kneighbors(filled)
    sorted_normal = np.sort(normal, axis=0)
    ranks = np.stack([np.searchsorted(sorted_normal[:, j], filled[:, j]) for j in range(filled.shape[1])], axis=1)
    # A missing value gets the mean of what a normal's values get.
    two_sided = np.where(is_missing, 0.25, np.abs(ranks / len(normal) - 0.5))
    return {
        "largest robust deviation of any column": np.abs(filled).max(axis=1),
        "sum of two-sided ranks": two_sided.sum(axis=1),
        "isolation forest": -forest.score_samples(filled),
        "mean distance to 20 neighbours": distances.mean(axis=1),
        "columns": filled,
    }


def density_rivals(normal: NDArray[np.float64], test: NDArray[np.float64]) -> dict[str, NDArray]:
    """Score by other ways to say how far an object is from normal ones, on the very same numbers.

    Parameters
    ----------
    normal, test
        ``(n, d)``, ``(m, d)`` in comparable units, nothing missing.

    Returns
    -------
    dict
        Name to ``(m,)``.
    """
    from sklearn.ensemble import IsolationForest
    from sklearn.mixture import GaussianMixture
    from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=20).fit(normal).kneighbors(test)
    mixture = GaussianMixture(8, reg_covar=1e-2, random_state=0).fit(normal)
    return {
        "mean distance to 20 neighbours": distances.mean(axis=1),
        "local outlier factor, 100 neighbours": -LocalOutlierFactor(n_neighbors=100, novelty=True)
        .fit(normal)
        .score_samples(test),
        "Mahalanobis distance": mahalanobis(normal, test),
        "isolation forest": -IsolationForest(n_estimators=RIVAL_TREES, random_state=0).fit(normal).score_samples(test),
        "Gaussian mixture of 8": -mixture.score_samples(test),
    }


def mahalanobis(normal: NDArray[np.float64], test: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared Mahalanobis distance of ``(m, d)`` from ``(n, d)``, a little regularised; ``(m,)``."""
    centred = test - normal.mean(axis=0)
    covariance = np.cov(normal.T) + 1e-2 * np.eye(normal.shape[1])
    return np.einsum("ij,ij->i", centred @ np.linalg.inv(covariance), centred)


def best_column(columns: NDArray, names: tuple[str, ...], is_exotic: NDArray[np.bool_]) -> tuple[str, NDArray]:
    """Return the column that ranks the exotics best, and its sign: chosen with the labels, so an upper bound."""
    ranks = stats.rankdata(columns, axis=0)
    n_exotic, n_normal = int(is_exotic.sum()), int((~is_exotic).sum())
    auc = (ranks[is_exotic].sum(axis=0) - n_exotic * (n_exotic + 1) / 2) / (n_exotic * n_normal)
    best = int(np.argmax(np.abs(auc - 0.5)))
    sign = 1.0 if auc[best] > 0.5 else -1.0
    return f"{names[best]}, {'larger' if sign > 0 else 'smaller'} (chosen with the labels)", sign * columns[:, best]
