"""How odd the model of Rubin's stamps finds oddities that were put into rendered ones, and real stamps."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from annotator.models.calibration import Sampling
from annotator.models.manifest import Calibrated
from annotator.preprocess.small_stamps import in_bins
from training.metrics import false_alarms, ranking
from training.metrics.calibrate import share_of
from training.metrics.intervals import interval_of
from training.triplet import evaluate as triplet_evaluate
from training.triplet.injection import RUBIN
from training.triplet.rubin.real import RealStamps
from training.triplet.rubin.rendered import Rendered, tensors_of

MOST_REAL_AT_2 = 0.05
LEAST_AUC = 0.80
"""What the model must hold to be shipped: a share of real stamps at most, and a mean AUC of oddities at least."""

SENT_RELIABILITY = 0.5
"""Since February 2026 no alert of less is sent."""

Errors = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Tensors ``(n, 6, 63, 63)`` to the model's errors ``(n,)``."""


def scores_of(table: Calibrated, errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores ``(n,)`` of errors ``(n,)``: one level is for all."""
    return false_alarms.scores_of(table, errors, [Sampling()] * len(errors))


def of_injections(rendered: Rendered, errors_of: Errors, seed: int) -> dict:
    """Rank triplets with an oddity put into them above ordinary ones, and baselines beside; intervals by bootstrap."""
    pairs = triplet_evaluate.injected(rendered.triplets, seed, RUBIN, lambda triplet: tensors_of([triplet])[0])
    methods = {triplet_evaluate.METHOD: errors_of, **triplet_evaluate.BASELINES}
    one_fold = np.zeros(len(rendered), dtype=np.int64)
    scores = {name: triplet_evaluate.injection_scores(pairs, one_fold, {0: of}) for name, of in methods.items()}
    return {
        "seed": seed,
        "pairs": {kind: len(places) for kind, (places, _, _) in pairs.items()},
        "methods": {name: triplet_evaluate.by_kind(found) for name, found in scores.items()},
        "mean": {name: _mean_auc(found) for name, found in scores.items()},
    }


def _mean_auc(scores: Mapping[str, tuple[NDArray, NDArray]]) -> list[float]:
    """Return the mean over the kinds that count, with its interval: pairs are drawn again together."""
    found = triplet_evaluate.with_host_kind(scores)
    kinds = [found[kind] for kind in triplet_evaluate.TARGET_KINDS if kind in found]
    rng = np.random.default_rng(0)

    def mean_of(choose: Callable[[int], NDArray[np.int64]]) -> float:
        areas = []
        for odd, ordinary in kinds:
            here = choose(len(odd))
            both = np.concatenate([odd[here], ordinary[here]])
            areas.append(ranking.auc(both, np.arange(2 * len(here)) < len(here)))
        return float(np.mean(areas))

    low, high = interval_of([mean_of(lambda n: rng.integers(n, size=n)) for _ in range(ranking.N_BOOTSTRAP)])
    return [round(value, 4) for value in (mean_of(np.arange), float(low), float(high))]


def of_rendered(rendered: Rendered, scores: NDArray[np.float64]) -> dict:
    """Say how many normals that calibrated nothing are above each score, and what scores go with."""
    return {
        "shares": {
            f"{level:g}": {
                "all": share_of(scores >= level),
                **{
                    kind: share_of(scores[rendered.kinds == kind] >= level)
                    for kind in sorted(set(rendered.kinds.tolist()))
                },
            }
            for level in (1.0, 2.0)
        },
        "rank_correlation": {"signal to noise": _correlation(rendered.snr, scores)},
    }


def of_real(real: RealStamps, errors_of: Errors, table: Calibrated) -> dict:
    """Say how many real triplets are above each score: of all, of objects, and by what is known of them."""
    scores = scores_of(table, errors_of(tensors_of([in_bins(triplet) for triplet in real.triplets])))
    _, first = np.unique(real.object_ids, return_index=True)
    is_first = np.isin(np.arange(len(real)), first)
    side, sent = real.side_pixels, real.reliability >= SENT_RELIABILITY
    groups = {
        "each object's first": is_first,
        f"reliability of {SENT_RELIABILITY:g} or more, as alerts are sent now": sent,
        "less": ~sent,
        **{kind: real.contexts == kind for kind in sorted(set(real.contexts.tolist()))},
        "30 pixels a side": side == 30,
        "31 to 45": (side > 30) & (side <= 45),
        "46 or more": side > 45,
    }
    return {
        "shares": {
            f"{level:g}": {
                "all": share_of(scores >= level),
                **{name: share_of(scores[here] >= level) for name, here in groups.items() if here.any()},
            }
            for level in (1.0, 2.0)
        },
        "rank_correlation": {
            "side": _correlation(side, scores),
            "signal to noise": _correlation(real.snr, scores),
            "side, of those below a signal to noise of 10": _correlation(side[real.snr < 10], scores[real.snr < 10]),
        },
    }


def fails_by(metrics: Mapping) -> list[str]:
    """Say what keeps a model from being shipped; empty where nothing does."""
    found, mean = metrics["real"].get("shares", {}), metrics["injections"]["mean"][triplet_evaluate.METHOD]
    reasons = []
    if not found:
        reasons.append("no real stamps were there to check it on")
    elif found["2"]["all"]["share"][0] > MOST_REAL_AT_2:
        value, low, high = (100 * number for number in found["2"]["all"]["share"])
        reasons.append(
            f"{value:.1f} % [{low:.1f}, {high:.1f}] of the real triplets score 2 or more, {100 * MOST_REAL_AT_2:g} % "
            f"are allowed"
        )
    if mean[0] < LEAST_AUC:
        reasons.append(f"injections have a mean AUC of {mean[0]:.3f}, {LEAST_AUC:.2f} is asked for")
    return reasons


def _correlation(values: NDArray, scores: NDArray) -> list[float]:
    """Return Spearman's rank correlation and its p-value."""
    if len(values) < 3 or np.ptp(values) == 0:
        return [0.0, 1.0]
    result = stats.spearmanr(values, scores)
    return [round(float(result.statistic), 3), float(f"{result.pvalue:.2g}")]
