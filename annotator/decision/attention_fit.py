"""Fitting the weights of the order of attention: to simulated nights when they are made, to people's verdicts later."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.decision.attention import Evidence, parts_of
from annotator.models.worth import MAX_LOG_ODDS, PARTS, SIGNS, Weights

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
    ordered = sorted((parts_of(item), bool(glad)) for item, glad in zip(evidence, was_glad, strict=True))
    rows = np.array([[1.0, *parts] for parts, _ in ordered])
    labels = np.array([glad for _, glad in ordered], dtype=np.float64)
    about = np.array([weights.intercept, *weights.of_parts])
    precision = np.array([INTERCEPT_SPREAD**-2.0, *[WEIGHT_SPREAD**-2.0] * len(PARTS)])
    found = fitted(rows, labels, np.ones(len(rows)), about, precision)
    return Weights(float(found[0]), found[1:])


def fitted(
    rows: NDArray[np.float64],
    labels: NDArray[np.float64],
    counts: NDArray[np.float64],
    about: NDArray[np.float64],
    precision: NDArray[np.float64],
    stated: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the most probable intercept and weights, each of its part's sign, ``(1 + len(PARTS),)``.

    Parameters
    ----------
    rows
        ``(n, 1 + len(PARTS))``: 1, then the parts.
    labels, counts
        ``(n,)``: 1 or 0, and as how many objects each counts.
    about, precision
        Mean and inverse variance of the normal prior of each.
    stated
        Log odds ``(n,)`` that are there already; none where it is left out.
    """
    given = np.zeros(len(rows)) if stated is None else stated
    steepest = 0.25 * np.linalg.eigvalsh(rows.T @ (rows * counts[:, None]))[-1] + precision.max()
    signs = np.array([0.0, *SIGNS])
    here = before = about.copy()
    for step in range(MAX_STEPS):
        ahead = here + step / (step + 3.0) * (here - before)  # Nesterov's
        log_odds = np.clip(given + rows @ ahead, -MAX_LOG_ODDS, MAX_LOG_ODDS)
        wrong = counts * (1.0 / (1.0 + np.exp(-log_odds)) - labels)
        moved = ahead - (rows.T @ wrong + precision * (ahead - about)) / steepest
        before, here = here, np.where(moved * signs < 0, 0.0, moved)
        if np.abs(here - before).max() < 1e-9:
            break
    return here
