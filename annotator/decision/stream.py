"""A stream's own scale: how many of its own objects scored as high of late, and thresholds for so many flags a night.

Classified supernovae, which scores are calibrated on, are not what a stream is made of. Both are made of the nights
before, so that neither depends on the hour, nor on which object came first.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from annotator.annotation import Classification
from annotator.decision.config import DecisionConfig
from annotator.models.scores import ModalityScore
from annotator.transient import Modality

NIGHTS = 30
"""Before this one, that a stream's scale is made of."""
LEAST_KNOWN = 500
"""Objects, each once a night, that have to be known before anything is said."""
LEAST_IN_BIN = 100
"""Of like sampling; bins with fewer are put together."""
COMBINED, EXOTIC = "score", "exotic"
VIEWS = (COMBINED, *Modality, EXOTIC)
"""What an object is compared by, each by itself."""
CANDIDATES = (Classification.ANOMALY, Classification.WATCH, Classification.NORMAL)
"""Classes that scores decide between."""
_STEP = 1e-4
"""Scores are told to so many decimals."""


@dataclass(frozen=True, eq=False)
class Recent:
    """What one model set said of a stream's objects in the nights before, each object once a night, ``(n,)``."""

    nights: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    samplings: Sequence[str] = ()
    """Names of bins of like sampling (:func:`sampling_of`)."""
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, len(VIEWS))))
    """``(n, len(VIEWS))``, NaN where an object lacks one."""
    is_candidate: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool))
    """Whether scores decided on its class: artefacts and known variables are none of a night's flags."""

    def __len__(self) -> int:
        return len(self.nights)


def sampling_of(model_scores: Mapping[str, ModalityScore]) -> str:
    """Return the bin of like sampling of a scored object: the calibration's, of the first modality that it has."""
    return next((f"{name}: {model_scores[name].sampling}" for name in Modality if name in model_scores), "")


def views_of(score: float, model_scores: Mapping[str, ModalityScore], exotic: float | None) -> dict[str, float | None]:
    """Return what an object is compared by, None where it lacks one."""
    of_modalities = {name: model_scores[name].score if name in model_scores else None for name in Modality}
    return {COMBINED: score, **of_modalities, EXOTIC: exotic}


class StreamScale:
    """How high scores are in this stream, by bin of like sampling.

    Parameters
    ----------
    recent
        What is known; of fewer than :data:`LEAST_KNOWN` objects nothing is said.
    """

    def __init__(self, recent: Recent) -> None:
        self.n_known = len(recent)
        names = np.array(recent.samplings, dtype=str)
        counted = zip(*np.unique(names, return_counts=True), strict=True) if len(names) else ()
        large = [str(name) for name, count in counted if count >= LEAST_IN_BIN]
        rest = ~np.isin(names, large)
        pooled = rest if np.count_nonzero(rest) >= LEAST_IN_BIN else np.ones(len(names), dtype=bool)
        self._pooled = _ascending(recent.values[pooled])
        self._bins = {name: _ascending(recent.values[names == name]) for name in large}

    def places(self, sampling: str, values: Mapping[str, float | None]) -> dict[str, float]:
        """Return how rare each of an object's numbers is here, by view; empty where too little is known.

        -log10 of (1 + number) / (n + 1), of n objects of like sampling, each once a night, of which so many had a
        number as high.
        """
        if self.n_known < LEAST_KNOWN:
            return {}
        known = self._bins.get(sampling, self._pooled)
        found = {}
        for view, value in values.items():
            if value is None or not len(known[view]):
                continue
            n_as_high = len(known[view]) - int(np.searchsorted(known[view], value - _STEP / 2))
            found[view] = round(-math.log10((1 + n_as_high) / (len(known[view]) + 1)) + 0.0, 4)
        return found


def _ascending(values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {view: np.sort(column[np.isfinite(column)]) for view, column in zip(VIEWS, values.T, strict=True)}


NOTHING_KNOWN = StreamScale(Recent())


@dataclass(frozen=True)
class NightThresholds:
    """What makes a flag in one night, fixed at its start."""

    anomaly_score: float
    watch_score: float
    exotic: float | None
    """None where nothing tells it."""
    n_objects: int
    """Of the nights before, each once a night, that they are made of."""
    n_nights: int

    def over(self, decision: DecisionConfig, exotic: float | None) -> tuple[DecisionConfig, float | None]:
        """Return the thresholds that hold: these, but none below the absolute ones."""
        anomaly = max(decision.anomaly_score, self.anomaly_score)
        watch = min(anomaly, max(decision.watch_score, self.watch_score))
        held = msgspec.structs.replace(decision, anomaly_score=anomaly, watch_score=watch)
        return held, exotic if exotic is None or self.exotic is None else max(exotic, self.exotic)

    def in_words(self) -> str:
        """Say what holds and what it is made of."""
        exotic = "" if self.exotic is None else f" or exotic from {self.exotic:.2f}"
        return f"anomaly from {self.anomaly_score:.2f}{exotic}, watch from {self.watch_score:.2f}: {self.made_of}"

    @property
    def made_of(self) -> str:
        """What they are made of, in words."""
        nights = "night" if self.n_nights == 1 else "nights"
        return f"a night's budget, by {self.n_objects} objects of {self.n_nights} {nights} before"


def night_thresholds(recent: Recent, decision: DecisionConfig, exotic: float | None) -> NightThresholds | None:
    """Return the thresholds of a night with a budget; None where there is no budget, or too little is known.

    Score and `exotic` get an equal part: an object is an anomaly that is among the so many highest by either, and so
    many is the largest number with which the nights before would have had `anomalies_per_night` on average, and of what
    is left, by score, `watch_per_night`.
    """
    if not decision.has_budget or len(recent) < LEAST_KNOWN:
        return None
    n_nights = len(np.unique(recent.nights))
    values = recent.values[recent.is_candidate]
    score, chance = values[:, VIEWS.index(COMBINED)], values[:, VIEWS.index(EXOTIC)]
    chance = np.where(np.isfinite(chance) & (exotic is not None), chance, -np.inf)
    absolute = (decision.anomaly_score, np.inf if exotic is None else exotic)
    anomaly = absolute
    if decision.anomalies_per_night is not None:
        anomaly = _within_budget((score, chance), absolute, decision.anomalies_per_night * n_nights)
    left = score[(score < anomaly[0]) & (chance < anomaly[1])]
    watch = decision.watch_score
    if decision.watch_per_night is not None:
        (watch,) = _within_budget((left,), (decision.watch_score,), decision.watch_per_night * n_nights)
    return NightThresholds(
        anomaly_score=anomaly[0],
        watch_score=min(watch, anomaly[0]),
        exotic=None if exotic is None else anomaly[1],
        n_objects=len(recent),
        n_nights=n_nights,
    )


def _within_budget(views: Sequence[NDArray[np.float64]], absolute: Sequence[float], most: int) -> tuple[float, ...]:
    """Return a threshold for each view, none below the absolute one, that at most so many objects reach in any.

    As many are allowed in each; as many as can be.
    """
    ordered = [np.sort(view)[::-1] for view in views]

    def thresholds(allowed: int) -> tuple[float, ...]:
        return tuple(
            max(least, _above(values[allowed])) if allowed < len(values) else least
            for values, least in zip(ordered, absolute, strict=True)
        )

    def n_reaching(allowed: int) -> int:
        reached = [view >= threshold for view, threshold in zip(views, thresholds(allowed), strict=True)]
        return int(np.count_nonzero(np.any(reached, axis=0)))

    low, high = 0, len(views[0])
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if n_reaching(middle) <= most else (low, middle - 1)
    return thresholds(low)


def _above(value: float) -> float:
    """Return the next number that is told as a higher one."""
    return round((math.floor(round(value / _STEP, 6)) + 1) * _STEP, 4) if math.isfinite(value) else value
