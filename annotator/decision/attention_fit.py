"""Fitting the weights of the order of attention: to simulated nights when they are made, to people's verdicts later."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.decision.attention import Evidence, parts_of
from annotator.models.worth import MAX_LOG_ODDS, Weights, signs_of

MIN_VERDICTS = 30
"""From so many verdicts on the weights are refitted to them."""
WEIGHT_SPREAD, INTERCEPT_SPREAD = 1.0, 2.0
"""Standard deviations of the normal prior that a refit is shrunk to, about the weights as released."""
MAX_STEPS = 2000


def refitted(weights: Weights, evidence: Sequence[Evidence], was_glad: Sequence[bool]) -> Weights:
    """Refit the weights to what people judged, shrunk to the weights as they were released.

    The most probable weights under a normal prior about the released ones, each of its sign, by projected gradient
    steps: the same verdicts, in any order, give the same weights.

    Parameters
    ----------
    weights
        As released.
    evidence, was_glad
        Of each object that was judged, and whether it was an anomaly to the person; with fewer than
        :data:`MIN_VERDICTS` of them nothing changes.
    """
    if len(evidence) < MIN_VERDICTS:
        return weights
    rows = (parts_of(item, weights.parts) for item in evidence)
    ordered = sorted((row, bool(glad)) for row, glad in zip(rows, was_glad, strict=True))
    parts, labels = np.array([parts for parts, _ in ordered]), np.array([glad for _, glad in ordered])
    return fitted(parts, labels, weights, WEIGHT_SPREAD, INTERCEPT_SPREAD)


def fitted(
    parts: NDArray[np.float64],
    labels: NDArray[np.bool_],
    about: Weights,
    weight_spread: float,
    intercept_spread: float,
    stated: NDArray[np.float64] | float = 0.0,
    counts: NDArray[np.float64] | float = 1.0,
) -> Weights:
    """Return the most probable weights, each of its part's sign.

    Parameters
    ----------
    parts, labels
        ``(n, len(about.parts))`` and ``(n,)``, of each object.
    about, weight_spread, intercept_spread
        Mean and standard deviations of the normal prior.
    stated
        Log odds that are there already, ``(n,)`` or of all.
    counts
        As how many each object counts, ``(n,)`` or of all.
    """
    rows = np.hstack([np.ones((len(parts), 1)), parts])
    mean, signs = np.array([about.intercept, *about.of_parts]), np.array([0.0, *signs_of(about.parts)])
    precision = np.array([intercept_spread**-2.0, *[weight_spread**-2.0] * len(about.parts)])
    counted = rows.T * counts
    steepest = 0.25 * np.linalg.eigvalsh(counted @ rows)[-1] + precision.max()
    here = before = mean.copy()
    for step in range(MAX_STEPS):
        ahead = here + step / (step + 3.0) * (here - before)  # Nesterov's
        log_odds = np.clip(stated + rows @ ahead, -MAX_LOG_ODDS, MAX_LOG_ODDS)
        wrong = 1.0 / (1.0 + np.exp(-log_odds)) - labels
        moved = ahead - (counted @ wrong + precision * (ahead - mean)) / steepest
        before, here = here, np.where(moved * signs < 0, 0.0, moved)
        if np.abs(here - before).max() < 1e-9:
            break
    return Weights(float(here[0]), here[1:], about.parts)
