"""What is flagged of young objects: shares with intervals, by bootstrap over transients, and what needs no model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.annotation import Classification
from annotator.decision.sending import FLAGS
from annotator.preprocess.lightcurve import UNKNOWN_ERROR_MAG
from annotator.preprocess.quantities import QUANTITY_NAMES, quantity_row
from annotator.surveys.ztf.columns import FEATURES
from training.data.folds import fold_of
from training.data.table import RECENT_JD
from training.metrics.era import MIN_LEAF, TELLING
from training.metrics.intervals import Estimate, exact_share, interval_of, resamplings
from training.metrics.ranking import N_BOOTSTRAP, ranking
from training.young.objects import YoungObject
from training.young.replay import AGES_DAYS, State

PER_NIGHT = 5000
"""Objects of a night at Lasair-ZTF, about."""
N_TREES = 100
FALSE_ALARMS = 0.05
"""At which recall is asked for, too: the target's."""


@dataclass(frozen=True, eq=False)
class Chain:
    """What the whole chain says of objects by each age of :data:`training.young.replay.AGES_DAYS`, ``(n, n_ages)``."""

    objects: tuple[YoungObject, ...]
    is_anomaly: NDArray[np.bool_]
    """Whether the object was an anomaly on any night so far."""
    is_flagged: NDArray[np.bool_]
    """The same of anomaly or watch."""
    is_flagged_now: NDArray[np.bool_]
    """Whether it was either on the last of these nights."""
    exotic: NDArray[np.float64]
    """The largest probability of being exotic so far; 0 where the head said nothing."""
    exotic_now: NDArray[np.float64]
    """And that of the last night."""
    last: NDArray[np.int64]
    """The number of the last night's state among all."""
    is_exotic: NDArray[np.bool_]
    """``(n,)``, as all below."""
    is_recent: NDArray[np.bool_]
    is_rising: NDArray[np.bool_]
    names: NDArray[np.str_]


def chain(
    objects: Sequence[YoungObject],
    states: Sequence[State],
    classifications: Sequence[str],
    exotic: Sequence[float | None],
) -> Chain:
    """Gather what was decided of states, in order, by object and age.

    Raises
    ------
    ValueError
        If an object has no state on its first night.
    """
    shape = len(objects), len(AGES_DAYS)
    anomaly, flagged, now = (np.zeros(shape, dtype=bool) for _ in range(3))
    largest, latest, last = np.zeros(shape), np.zeros(shape), np.full(shape, -1)
    for number, (state, said, chance) in enumerate(zip(states, classifications, exotic, strict=True)):
        so_far = np.flatnonzero(state.age_days <= np.array(AGES_DAYS))
        at = state.place, so_far
        anomaly[at] |= said == Classification.ANOMALY
        flagged[at] |= said in FLAGS
        now[at] = said in FLAGS
        largest[at] = np.maximum(largest[at], chance or 0.0)
        latest[at], last[at] = chance or 0.0, number
    if (last < 0).any():
        lacking = objects[int(np.argmax((last < 0).any(axis=1)))].object_id
        raise ValueError(f"expected a state of each object on its first night, found none of {lacking}")
    return Chain(
        objects=tuple(objects),
        is_anomaly=anomaly,
        is_flagged=flagged,
        is_flagged_now=now,
        exotic=largest,
        exotic_now=latest,
        last=last,
        is_exotic=np.array([item.is_exotic for item in objects], dtype=bool),
        is_recent=np.array([item.is_recent for item in objects], dtype=bool),
        is_rising=np.array([item.is_rising for item in objects], dtype=bool),
        names=np.array([item.name for item in objects], dtype=str),
    )


def share(
    is_so: NDArray[np.bool_], names: NDArray[np.str_], weights: NDArray[np.float64] | None = None
) -> Estimate | None:
    """Return the share of objects ``(n,)`` that are so, weighed, with its interval by bootstrap over transients.

    Where none or all are so, a bootstrap knows no interval: it is the exact one (Clopper-Pearson) of as many
    transients as the weighted ones are worth.
    """
    if not len(is_so):
        return None
    own = np.ones(len(is_so)) if weights is None else weights
    transient = np.unique(names, return_inverse=True)[1]
    value = float(own @ is_so / own.sum())
    if value in (0.0, 1.0):
        n = max(1, int(n_effective(own)))
        return exact_share(n if value else 0, n)
    draws = []
    for drawn in resamplings(int(transient.max()) + 1, N_BOOTSTRAP, np.random.default_rng(0)):
        counts = own * drawn[transient]
        draws.append(counts @ is_so / counts.sum() if counts.sum() else np.nan)
    low, high = interval_of(draws)
    return Estimate(value, float(low), float(high))


def n_effective(weights: NDArray[np.float64]) -> float:
    """Return how many equally weighed ones are worth as much (Kish 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def like_sources(found: Chain, states: Sequence[State], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weigh the normals among some objects so that how they were observed is as common as in the exotics.

    By the odds of a logistic regression on what a catalogue makes of an object's first twenty days, and nothing that
    is the object's own: nights and detections, the median of the stated errors, whether a colour is known, and whether
    distance, host and Pan-STARRS1 source are. The year is none of it: no weight makes years alike of which one class
    has none.

    Returns
    -------
    NDArray
        ``(n,)``: 1 for exotics, 0 for what is not among the rows.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    design = StandardScaler().fit_transform(_observed(found, states))
    weights, normals = np.zeros(len(rows)), rows & ~found.is_exotic
    odds = LogisticRegression(C=1.0, max_iter=2000).fit(design[rows], found.is_exotic[rows]).decision_function(design)
    weights[normals] = np.exp(odds[normals])
    weights[normals] *= normals.sum() / weights[normals].sum()
    weights[rows & found.is_exotic] = 1.0
    return weights


_NAMES = {item.quantity: item.name for item in FEATURES}
_TOLD = tuple(_NAMES[quantity] for quantity in ("colour_now", "host_separation", "host_g"))
"""Columns of which it counts whether they are there."""


def _observed(found: Chain, states: Sequence[State]) -> NDArray[np.float64]:
    n_nights = np.bincount([state.place for state in states], minlength=len(found.objects))
    rows = []
    for last, nights in zip(found.last[:, -1], n_nights, strict=True):
        seen = states[last].transient
        errors = seen.light_curve.magnitude_error
        error = float(np.nanmedian(errors)) if np.isfinite(errors).any() else UNKNOWN_ERROR_MAG
        known = [name in seen.features for name in _TOLD]
        known.append("distance_mpc" in seen.extras)
        rows.append((np.log(nights), np.log(len(errors)), np.log(error), *known))
    return np.array(rows, dtype=np.float64)


def without_model(found: Chain, states: Sequence[State], rows: NDArray[np.bool_], age: int) -> NDArray[np.float64]:
    """Return how probably each object is exotic by year, catalogue and missing values alone, at one age, ``(n,)``.

    By a forest that did not see the object; NaN of what is not among the rows.

    Parameters
    ----------
    age
        Place among the ages.
    """
    from sklearn.ensemble import RandomForestClassifier

    missing = np.array(
        [np.isnan(quantity_row(FEATURES, states[last].transient)) for last in found.last[:, age]]
    ).reshape(-1, len(QUANTITY_NAMES))
    shares = missing[rows].mean(axis=0)
    telling = missing[:, (shares >= TELLING[0]) & (shares <= TELLING[1])]
    years = np.array([np.floor((item.first_jd - RECENT_JD) / 365.25) for item in found.objects])
    sources = np.array([item.source for item in found.objects])
    one_hot = sources[:, None] == np.unique(sources)
    design = np.column_stack([years, one_hot, telling]).astype(np.float64)
    folds, chances = np.array([fold_of(name) for name in found.names]), np.full(len(rows), np.nan)
    for number in np.unique(folds[rows]):
        here, others = rows & (folds == number), rows & (folds != number)
        forest = RandomForestClassifier(N_TREES, min_samples_leaf=MIN_LEAF, random_state=0)
        forest.fit(design[others], found.is_exotic[others])
        chances[here] = forest.predict_proba(design[here])[:, -1]
    return chances


def ranked(chances: NDArray[np.float64], found: Chain, rows: NDArray[np.bool_]) -> Estimate:
    """Return the AUC of chances ``(n,)`` on some objects, with its interval by bootstrap over transients."""
    return ranking(chances[rows], found.is_exotic[rows], names=found.names[rows])["auc"]


def recall_at(
    chances: NDArray[np.float64],
    found: Chain,
    rows: NDArray[np.bool_],
    weights: NDArray[np.float64],
    share_of_normals: float = FALSE_ALARMS,
) -> Estimate | None:
    """Return the share of exotics above the value that so large a share of the normals exceed, drawn anew each time."""
    exotic, normal = rows & found.is_exotic, rows & ~found.is_exotic
    if not exotic.any() or not normal.any():
        return None
    transient = np.unique(found.names, return_inverse=True)[1]

    def recall(counts: NDArray[np.float64]) -> float:
        order = normal.nonzero()[0][np.argsort(-chances[normal], kind="stable")]
        above = np.cumsum(counts[order]) / counts[order].sum()
        place = min(int(np.searchsorted(above, share_of_normals, side="right")), len(order) - 1)
        total = counts[exotic].sum()
        return float(counts[exotic] @ (chances[exotic] > chances[order[place]]) / total) if total else np.nan

    rng = np.random.default_rng(0)
    draws = [recall(weights * drawn[transient]) for drawn in resamplings(int(transient.max()) + 1, N_BOOTSTRAP, rng)]
    low, high = interval_of(draws)
    return Estimate(recall(weights), float(low), float(high))


def by_age(found: Chain, rows: NDArray[np.bool_], weights: NDArray[np.float64]) -> list[dict[str, object]]:
    """Measure what is flagged of some objects at each age: exotics as they are, normals weighed, ``(n,)``."""
    result = []
    for place, days in enumerate(AGES_DAYS):
        row: dict[str, object] = {"days": days}
        for name, flags in (("anomaly", found.is_anomaly), ("flagged", found.is_flagged)):
            for kind, part in (("exotics", rows & found.is_exotic), ("normals", rows & ~found.is_exotic)):
                row[f"{name}_{kind}"] = share(flags[part, place], found.names[part], weights[part])
        normal = rows & ~found.is_exotic
        row["now_normals"] = share(found.is_flagged_now[normal, place], found.names[normal], weights[normal])
        row["recall_at"] = recall_at(found.exotic[:, place], found, rows, weights)
        result.append(row)
    return result
