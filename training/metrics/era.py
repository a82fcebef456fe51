"""What a ranking would give that knows only when an object was seen, and which of its values are missing.

Classes of a databank differ in both: who was followed up changes from year to year, and a distant host is in no
catalogue. A figure is the head's own where these two alone tell nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.table import RECENT_JD, Table

ERA = "era and missing values alone"
MAX_ERA_AUC = 0.60
"""Of era and missing values alone, on the population of a headline."""

N_TREES = 300
MIN_LEAF = 5
TELLING = (0.01, 0.99)
"""A value that is missing more seldom, or nearly always, tells nothing."""


@dataclass(frozen=True, eq=False)
class Population:
    """What a ranking is measured on."""

    rows: NDArray[np.bool_]
    """Which objects, ``(n,)``."""
    weights: NDArray[np.float64]
    """How much each counts, ``(n,)``."""


def era_design(table: Table, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the year of each object's first detection, and 1 for each quantity that is missing, ``(n, d)``."""
    missing = np.isnan(table.quantities)
    shares = missing[rows].mean(axis=0) if rows.any() else np.zeros(missing.shape[1])
    telling = np.unique(missing[:, (shares >= TELLING[0]) & (shares <= TELLING[1])], axis=1)
    return np.column_stack([_years(table), telling.astype(np.float64)])


def _years(table: Table) -> NDArray[np.float64]:
    return np.floor(np.nan_to_num((table.first_jd - RECENT_JD) / 365.25, nan=-100.0))


def era_and_missingness(table: Table, is_positive: NDArray[np.bool_], population: Population) -> NDArray[np.float64]:
    """Return how probably each object is a positive by year and missing values alone, ``(n,)``.

    By a forest that did not see the object; NaN of objects that are not in the population.
    """
    from sklearn.ensemble import RandomForestClassifier

    design, folds = era_design(table, population.rows), table.folds
    found = np.full(len(folds), np.nan)
    for number in np.unique(folds):
        here, others = (population.rows & (folds == number)), population.rows & (folds != number)
        if not here.any():
            continue
        if not is_positive[others].any() or is_positive[others].all():
            found[here] = 0.0
            continue
        forest = RandomForestClassifier(N_TREES, min_samples_leaf=MIN_LEAF, random_state=0)
        forest.fit(design[others], is_positive[others], population.weights[others])
        found[here] = forest.predict_proba(design[here])[:, 1]
    return found


def like_weights(table: Table, is_positive: NDArray[np.bool_], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weigh the others among some rows so that years and missing values are as common in them as in the positives.

    By the odds of a logistic regression on both (Rosenbaum and Rubin 1983, Biometrika 70, 41); together the others
    count as much as before, and a positive 1. Rows that are none of these weigh 0.
    """
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros(len(is_positive))
    others = rows & ~is_positive
    if not others.any() or not (rows & is_positive).any():
        return weights
    design = era_design(table, rows)
    years, missing = design[:, 0], design[:, 1:]
    in_year = [(years == year).astype(np.float64) for year in np.unique(years[rows])]
    terms = np.column_stack([*in_year, missing])
    odds = LogisticRegression(max_iter=2000).fit(terms[rows], is_positive[rows]).decision_function(terms)
    weights[others] = np.exp(odds[others])
    weights[others] *= others.sum() / weights[others].sum()
    weights[rows & is_positive] = 1.0
    return weights
