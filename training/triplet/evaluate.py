"""How well a score of triplets finds known exotics, and oddities put into stamps that trained nothing."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from annotator.errors import MissingModalityError
from annotator.preprocess.triplet import CENTRE, SIDE, stamp_tensor
from annotator.surveys.ztf.tables import DETECTION
from annotator.transient import Triplet
from training.data.stamps import StampTable
from training.metrics import ranking as evaluate
from training.recipe import Headlines, within
from training.triplet.injection import INJECTIONS, ZTF, Scale, noise

TARGET_KINDS = ("host out of place or gone", "second source", "trail", "dipole", "saturation")
"""Over which the mean is taken; the two changes of the host are one kind, each half of it."""

HOST_KINDS = ("host out of place", "host gone")

METHOD = "reconstruction error"
"""What the card and the report call the score."""

Scorer = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Tensors ``(n, 6, 63, 63)`` to scores ``(n,)``, higher is odder."""

_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE] - CENTRE
_DISTANCE = np.hypot(_ROWS, _COLUMNS)


def peak_pixel(tensors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score by the brightest pixel of the difference."""
    return tensors[:, 2].max(axis=(1, 2)).astype(np.float64)


def faintest_pixel(tensors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score by the most negative pixel of the difference within 5 pixels of the source."""
    return -tensors[:, 2][:, _DISTANCE < 5].min(axis=1).astype(np.float64)


def asymmetry(tensors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score by how much the difference differs from itself turned by half a turn."""
    turned = tensors[:, 2, ::-1, ::-1]
    return ((tensors[:, 2] - turned) ** 2).mean(axis=(1, 2)).astype(np.float64)


def empty_template(tensors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score by how faint the template is within 3 pixels of the source."""
    return -tensors[:, 1][:, _DISTANCE < 3].max(axis=1).astype(np.float64)


BASELINES: Mapping[str, Scorer] = {
    "brightest pixel of the difference": peak_pixel,
    "most negative pixel at the source": faintest_pixel,
    "asymmetry of the difference": asymmetry,
    "nothing under the source": empty_template,
}


def noise_level(table: StampTable) -> NDArray[np.float64]:
    """Return the difference's noise in the survey's units, ``(n,)``: what a score must not be."""
    return np.array([noise(triplet.difference) for triplet in table.triplets])


def signal_to_noise(tensors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the source's peak in noise levels of a pixel, ``(n,)``."""
    return np.sinh(tensors[:, 2][:, _DISTANCE < 3].max(axis=1).astype(np.float64)) * 2.0


def injected(
    triplets: Sequence[Triplet],
    seed: int,
    scale: Scale = ZTF,
    tensor_of: Callable[[Triplet], NDArray[np.float32]] = stamp_tensor,
) -> dict[str, tuple[NDArray, NDArray, NDArray]]:
    """Make pairs from every triplet that lends itself.

    Parameters
    ----------
    triplets
        As injections change them.
    scale
        Of their survey.
    tensor_of
        Makes of a triplet the model's input; raises MissingModalityError.

    Returns
    -------
    dict
        Kind to places among the triplets ``(m,)``, odd tensors and ordinary ones ``(m, 6, 63, 63)``.
    """
    pairs = {}
    for order, (kind, inject) in enumerate(INJECTIONS.items()):
        rng = np.random.default_rng([seed, order])
        places, odd, ordinary = [], [], []
        for place, triplet in enumerate(triplets):
            pair = inject(triplet, rng, scale)
            if pair is None:
                continue
            try:
                tensors = tensor_of(pair[0]), tensor_of(pair[1])
            except MissingModalityError:
                continue
            places.append(place)
            odd.append(tensors[0])
            ordinary.append(tensors[1])
        if places:
            pairs[kind] = np.array(places), np.array(odd), np.array(ordinary)
    return pairs


def injection_scores(
    pairs: Mapping[str, tuple[NDArray, NDArray, NDArray]], folds: NDArray[np.int64], scorers: Mapping[int, Scorer]
) -> dict[str, tuple[NDArray, NDArray]]:
    """Score pairs, each by the scorer of the fold that did not train on it; ``(odd, ordinary)`` by kind."""
    scores = {}
    for kind, (places, odd, ordinary) in pairs.items():
        found = np.full((2, len(places)), np.nan)
        for fold, scorer in scorers.items():
            here = folds[places] == fold
            if here.any():
                found[:, here] = scorer(odd[here]), scorer(ordinary[here])
        scores[kind] = found[0], found[1]
    return scores


def by_kind(scores: Mapping[str, tuple[NDArray, NDArray]]) -> dict[str, list[float]]:
    """Return AUC with its 95 % interval by kind: odd members against all ordinary ones."""
    result = {}
    for kind, (odd, ordinary) in with_host_kind(scores).items():
        labels = np.arange(len(odd) + len(ordinary)) < len(odd)
        result[kind] = evaluate.auc_with_interval(np.concatenate([odd, ordinary]), labels)
    return result


def with_host_kind(scores: Mapping[str, tuple[NDArray, NDArray]]) -> dict[str, tuple[NDArray, NDArray]]:
    """Add the two changes of the host together as one kind."""
    hosts = [scores[kind] for kind in HOST_KINDS if kind in scores]
    joined = {TARGET_KINDS[0]: tuple(np.concatenate(part) for part in zip(*hosts, strict=True))} if hosts else {}
    return joined | dict(scores)


def mean_over_kinds(aucs: Mapping[str, list[float]]) -> float:
    """Return the mean AUC over :data:`TARGET_KINDS`, or those of them that there are."""
    return round(float(np.mean([aucs[kind][0] for kind in TARGET_KINDS if kind in aucs])), 4)


def dependence(errors: NDArray, table: StampTable) -> dict[str, float]:
    """Return Spearman's rank correlation of normals' errors with what an error should not measure."""
    measures = {
        "magnitude": table.numbers(DETECTION.magnitude),
        "signal to noise": signal_to_noise(table.tensors),
        "noise level": noise_level(table),
        "missing pixels": 1 - table.tensors[:, 3:].mean(axis=(1, 2, 3)),
    }
    result = {}
    for name, values in measures.items():
        known = np.isfinite(values) & np.isfinite(errors)
        if known.sum() > 2 and np.ptp(values[known]) > 0:
            result[name] = round(float(stats.spearmanr(values[known], errors[known]).statistic), 3)
    return result


def by_thirds(errors: NDArray, values: NDArray) -> list[dict[str, float]]:
    """Return the share of normals among the oddest tenth, in each third of a quantity."""
    edges = np.quantile(values, [0, 1 / 3, 2 / 3, 1])
    level = np.quantile(errors, 0.9)
    parts = []
    for number, (low, high) in enumerate(pairwise(edges)):
        inside = (values >= low) & ((values <= high) if number == 2 else (values < high))
        if inside.any():
            parts.append(
                {
                    "low": round(float(low), 3),
                    "high": round(float(high), 3),
                    "n": int(inside.sum()),
                    "share": round(float((errors[inside] > level).mean()), 3),
                }
            )
    return parts


def headlines(metrics: Mapping) -> Headlines:
    """Return what a triplet model is worth in a few lines."""
    return {
        "mean AUC of injections": within(metrics, "injections", "mean", METHOD),
        "AUC of labelled exotics": within(metrics, "labelled", "methods", METHOD, "auc"),
        "share of held-out normals at 2 or above": within(
            metrics, "false_alarms", "score", "shares", "2", "held_out", "share"
        ),
    }
