"""What the report says of a list of scores: how many are high, and what they go with."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from annotator.models.calibration import Calibration, Level, Sampling
from training.metrics.calibrate import REPORTED_SCORES, share_of

MIN_PER_BIN, MAX_BINS = 25, 5


def held_out_scores(
    calibration: Calibration, values: NDArray[np.float64], samplings: Sequence[Sampling], is_in_table: bool
) -> NDArray[np.float64]:
    """Score held-out normals ``(n,)``; where they are in the calibration's own table, by the table without them."""
    levels = calibration.levels
    if is_in_table:
        relative = np.array(
            [calibration.relative(float(v), sampling) for v, sampling in zip(values, samplings, strict=True)]
        )
        names = [calibration.level_of(sampling).name for sampling in samplings]
        levels = tuple(
            without(level, relative[[name == level.name for name in names]]) if level.name in names else level
            for level in levels
        )
    left = Calibration(levels, calibration.brightness)
    return np.array([left.score(float(value), sampling) for value, sampling in zip(values, samplings, strict=True)])


def without(level: Level, values: NDArray[np.float64]) -> Level:
    """Return a level without the entries nearest to these values, so that no object is judged by its own."""
    left = np.array(level.values)
    for value in values:
        if len(left) > 1:
            left = np.delete(left, np.argmin(np.abs(left - value)))
    return msgspec.structs.replace(level, values=tuple(left.tolist()))


def shares_above(scores: NDArray[np.float64]) -> dict[str, dict]:
    """Return the share of normals at or above each level, with exact (Clopper-Pearson) intervals."""
    return {f"{level:g}": share_of(scores >= level) for level in REPORTED_SCORES} if len(scores) else {}


def dependence(
    scores: NDArray[np.float64], quantities: Mapping[str, NDArray[np.float64]], missing: list[str]
) -> dict[str, dict]:
    """Return the scores' median and 90 % band in bins of each quantity, and their rank correlation.

    Parameters
    ----------
    scores
        ``(n,)``.
    quantities
        By name ``(n,)``, NaN where not known.
    missing
        A list that is told of each quantity that is known of too few objects, or the same for all.

    Returns
    -------
    dict
        Name to ``{"rank_correlation", "n", "bins": [{"low", "high", "n", "score": [median, 5 %, 95 %]}]}``.
    """
    result = {}
    for name, values in quantities.items():
        known = np.isfinite(values)
        n_bins = min(MAX_BINS, int(known.sum()) // MIN_PER_BIN)
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, n_bins + 1))) if n_bins else np.empty(0)
        if len(edges) < 3:
            missing.append(f"Dependence on {name}: known of {known.sum()} of {len(values)} held-out normals, too few.")
            continue
        place = np.clip(np.searchsorted(edges, values[known], side="right") - 1, 0, len(edges) - 2)
        result[name] = {
            "rank_correlation": round(float(stats.spearmanr(values[known], scores[known]).statistic), 3),
            "n": int(known.sum()),
            "bins": [
                _bin(values[known][place == i], scores[known][place == i])
                for i in range(len(edges) - 1)
                if (place == i).any()
            ],
        }
    return result


def _bin(values: NDArray, scores: NDArray) -> dict:
    low, median, high = np.quantile(scores, [0.05, 0.5, 0.95])
    return {
        "low": round(float(values.min()), 2),
        "high": round(float(values.max()), 2),
        "n": len(values),
        "score": [round(float(v), 3) for v in (median, low, high)],
    }
