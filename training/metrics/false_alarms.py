"""How often a calibrated score is high: of what did not calibrate it, and of real objects that nobody knows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from annotator.models.calibration import Calibration, Sampling
from annotator.models.manifest import Calibrated
from training.metrics.calibrate import share_of

SCORES = (1.0, 2.0)


def scores_of(table: Calibrated, values: NDArray[np.float64], samplings: Sequence[Sampling]) -> NDArray[np.float64]:
    """Return what the annotator says of a graph's numbers ``(n,)``."""
    calibration = Calibration(table.levels, table.brightness)
    return np.array([calibration.score(float(v), sampling) for v, sampling in zip(values, samplings, strict=True)])


def checked(table: Calibrated, scores: NDArray[np.float64], samplings: Sequence[Sampling]) -> dict[str, dict]:
    """Return the shares of normals ``(n,)`` at each score or more: of all, and of each level with its 99 % interval."""
    calibration = Calibration(table.levels)
    levels = np.array([calibration.level_of(sampling).name for sampling in samplings])
    return {
        f"{score:g}": {
            "all": share_of(scores >= score),
            **{name: _with_99(scores[levels == name] >= score) for name in dict.fromkeys(levels.tolist())},
        }
        for score in SCORES
    }


def _with_99(is_above: NDArray[np.bool_]) -> dict:
    found = share_of(is_above)
    interval = stats.binomtest(found["above"], found["n"]).proportion_ci(0.99, method="exact")
    return found | {"share_99": [round(float(interval.low), 5), round(float(interval.high), 5)]}


def counts_by_context(scores: NDArray[np.float64], contexts: NDArray[np.str_]) -> dict[str, dict[str, int]]:
    """Count real objects ``(n,)`` at each score or more, by what catalogues say of them: drift, and no success."""
    return {
        context: {"n": int((contexts == context).sum())}
        | {f"at_{score:g}": int((scores[contexts == context] >= score).sum()) for score in SCORES}
        for context in sorted(set(contexts.tolist()))
    }
