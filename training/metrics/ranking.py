"""How well a score ranks known exotics above normals, with intervals.

Every object is scored once, by what was not fitted to it. The exotics serve to measure and choose nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.folds import Split
from training.data.table import Table
from training.metrics.era import ERA, Population, era_and_missingness, like_weights
from training.metrics.intervals import Estimate, interval_of, resamplings

N_BOOTSTRAP = 1000
RIVAL_TREES = 200
"""Trees of the isolation forests that a model is measured against."""
TOP = 10


def ranking(
    scores: NDArray,
    is_exotic: NDArray[np.bool_],
    folds: NDArray[np.int64] | None = None,
    names: Sequence[str] | None = None,
    weights: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Measure a ranking, with intervals by bootstrap over transients.

    Parameters
    ----------
    scores
        ``(n,)``, higher is more anomalous.
    is_exotic, folds
        ``(n,)``; hits are counted in the top ten of each fold, and averaged over folds; by default all are one.
    names
        Of the transients ``(n,)``: what has one name is drawn together, by default each entry by itself.
    weights
        How much each entry counts, ``(n,)``; by default 1.

    Returns
    -------
    dict
        ``auc``, ``ap`` (average precision) and ``hits``.
    """
    n, rng = len(scores), np.random.default_rng(seed)
    ranked = _Ranked.of(scores, is_exotic)
    own = (np.ones(n) if weights is None else weights)[ranked.order]
    transient = np.arange(n) if names is None else np.unique(names, return_inverse=True)[1]
    n_transients, transient = int(transient.max()) + 1, transient[ranked.order]
    in_order = np.zeros(n, dtype=np.int64) if folds is None else folds[ranked.order]
    members = [np.flatnonzero(in_order == number) for number in np.unique(in_order)]

    def measure(weights: NDArray) -> tuple[float, float, float]:
        hits = np.mean([_hits(weights[m], ranked.labels[m]) for m in members])
        return ranked.auc(weights), ranked.average_precision(weights), hits

    low, high = interval_of([measure(own * drawn[transient]) for drawn in resamplings(n_transients, N_BOOTSTRAP, rng)])
    return {
        name: Estimate(float(value), float(low[i]), float(high[i]))
        for i, (name, value) in enumerate(zip(("auc", "ap", "hits"), measure(own), strict=True))
    }


def auc(scores: NDArray, is_positive: NDArray[np.bool_], weights: NDArray | None = None) -> float:
    """Return the area under the ROC curve, ties by half, of scores ``(n,)``; NaN unless of both kinds.

    Parameters
    ----------
    weights
        How often each object counts, ``(n,)``; by default once.
    """
    ranked = _Ranked.of(scores, is_positive)
    return ranked.auc(np.ones(len(scores)) if weights is None else weights[ranked.order])


def average_precision(scores: NDArray, is_positive: NDArray[np.bool_]) -> float:
    """Return the sum of precision times the step in recall, over the distinct scores ``(n,)``; NaN of no positive."""
    return _Ranked.of(scores, is_positive).average_precision(np.ones(len(scores)))


def auc_with_interval(scores: NDArray, is_positive: NDArray[np.bool_]) -> list[float] | None:
    """Return AUC, low and high of scores ``(n,)``, for a manifest; None unless of both kinds."""
    if is_positive.all() or not is_positive.any():
        return None
    return ranking(scores, is_positive)["auc"].rounded()


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Labelled scores, best first, to be measured many times with other weights.

    scikit-learn's roc_auc_score and average_precision_score give the same numbers, but sort anew for each of a
    thousand draws, which takes fifteen times as long.
    """

    order: NDArray[np.int64]
    """Places of the scores ``(n,)``, best first; labels and weights below stand in this order."""
    labels: NDArray[np.bool_]
    last_of_ties: NDArray[np.int64]
    """Where each distinct score ends."""

    @classmethod
    def of(cls, scores: NDArray, is_positive: NDArray[np.bool_]) -> "_Ranked":
        order = np.argsort(-scores, kind="stable")
        return cls(order, is_positive[order], np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)))

    def _counts(self, weights: NDArray) -> tuple[NDArray, NDArray]:
        """Return how many positives and how many in all are at or above each distinct score."""
        return np.cumsum(weights * self.labels)[self.last_of_ties], np.cumsum(weights)[self.last_of_ties]

    def auc(self, weights: NDArray) -> float:
        """Return the area under the ROC curve, ties by the trapezium."""
        positive, total = self._counts(weights)
        negative = total - positive
        if positive[-1] == 0 or negative[-1] == 0:
            return np.nan
        true_rate, false_rate = np.append(0, positive / positive[-1]), np.append(0, negative / negative[-1])
        return float(np.trapezoid(true_rate, false_rate))

    def average_precision(self, weights: NDArray) -> float:
        """Return the sum of precision times the step in recall."""
        positive, total = self._counts(weights)
        if positive[-1] == 0:
            return np.nan
        precision = positive / np.maximum(total, np.finfo(float).tiny)
        return float(np.sum(np.diff(positive, prepend=0) * precision) / positive[-1])


def _hits(weights: NDArray, labels: NDArray[np.bool_]) -> float:
    """Exotics among the top ten of a resampled fold whose entries stand in order, best first."""
    before = np.cumsum(weights) - weights
    return float(np.sum(np.clip(TOP - before, 0, weights) * labels))


def populations(table: Table, is_positive: NDArray[np.bool_]) -> dict[str, "Population"]:
    """Return what a ranking is measured on, by name, the headline first; without those that lack one kind.

    Parameters
    ----------
    is_positive
        ``(n,)``.
    """
    recent, ones = table.is_recent, np.ones(len(table.rows))
    like = like_weights(table, is_positive, recent)
    found = {
        "like": Population(recent & (like > 0), like),
        "recent": Population(recent, ones),
        "within_aha_cut": Population(table.is_within_aha_cut, ones),
        "all": Population(np.ones(len(ones), dtype=bool), ones),
    }
    return {
        name: part for name, part in found.items() if is_positive[part.rows].any() and not is_positive[part.rows].all()
    }


def evaluate(scores: Mapping[str, NDArray], table: Table) -> dict[str, dict]:
    """Measure each score on each population, and what era and missing values alone give; the first two by type."""
    folds, is_exotic, names = table.folds, table.is_exotic, np.array(table.tns_names)
    # Two to four objects of a TDE subtype say nothing.
    types = np.array(["TDE" if kind.startswith("TDE") else kind for kind in table.column("type")])
    result: dict[str, dict] = {}
    for population, part in populations(table, is_exotic).items():
        rows, weights = part.rows, part.weights
        measured = dict(scores) | {ERA: era_and_missingness(table, is_exotic, part)}
        result[population] = {
            "n_normal": int((~is_exotic[rows]).sum()),
            "n_exotic": int(is_exotic[rows].sum()),
            "methods": {
                name: as_lists(ranking(values[rows], is_exotic[rows], folds[rows], names[rows], weights[rows]))
                for name, values in measured.items()
            },
        }
    by_type: dict[str, dict] = {}
    for kind in np.unique(types[is_exotic]):
        rows = (~is_exotic | (types == kind)) & (table.is_recent if "recent" in result else True)
        if not is_exotic[rows].any():
            continue
        by_type[str(kind)] = {"n": int((is_exotic & rows).sum())} | {
            name: ranking(scores[name][rows], is_exotic[rows], folds[rows], names[rows])["auc"].rounded()
            for name in list(scores)[:2]
        }
    return result | {"by_type": by_type}


def as_lists(estimates: Mapping[str, Estimate]) -> dict[str, list[float]]:
    """Return each estimate as value, low, high, for a manifest."""
    return {name: estimate.rounded() for name, estimate in estimates.items()}


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
    aucs = np.array([auc(column, is_exotic) for column in columns.T])
    best = int(np.argmax(np.abs(aucs - 0.5)))
    sign = 1.0 if aucs[best] > 0.5 else -1.0
    return f"{names[best]}, {'larger' if sign > 0 else 'smaller'} (chosen with the labels)", sign * columns[:, best]
