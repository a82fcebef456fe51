"""Fit the head `exotic` to labels and verdicts."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from annotator.models.manifest import Column
from annotator.preprocess.quantities import QUANTITIES, QUANTITY_NAMES
from training.exotic.forest import Forest
from training.exotic.network import INPUTS, MODALITY_INPUTS, NEEDS, ExoticModel
from training.features.scaling import robust_column

DROP_PROBABILITY = 0.2
"""Of each modality in each row of training, beyond what makes its presence as common in both classes."""

PRIOR_COUNTS_AS = 25.0
"""Known exotics. The prior's weight in the log odds is this over itself plus the number of known ones."""

VERDICT_WEIGHT = 3.0
"""A person who looked counts as so many objects of a databank."""

SCALED_CLIP = 20.0
"""Robust standard deviations."""


@dataclass(frozen=True)
class ForestSettings:
    """How the forest is grown.

    Leaf and features are one of seven combinations: best or nearly so by AHA's definition, by ours, and with each type
    left out, on the very folds that it is measured on.
    """

    n_trees: int = 200
    min_leaf: int = 5
    max_depth: int = 16
    max_features: float = 0.25
    seed: int = 0


@dataclass(frozen=True)
class Examples:
    """What a head is trained on, or asked about."""

    numbers: NDArray[np.float32]
    """``(n, len(INPUTS))``, NaN where missing."""
    is_positive: NDArray[np.bool_]
    """``(n,)``."""
    weights: NDArray[np.float64]
    """``(n,)``."""
    folds: NDArray[np.int64]
    """``(n,)``, 0 to 9 by name; bin 9 is held out of what is served."""

    def where(self, kept: NDArray) -> "Examples":
        """Return some of them, by mask or index."""
        return Examples(self.numbers[kept], self.is_positive[kept], self.weights[kept], self.folds[kept])


def fit_exotic(examples: Examples, settings: ForestSettings) -> ExoticModel:
    """Fit the head to examples; its odds are not yet calibrated.

    Parameters
    ----------
    examples
        Positives may be absent: then the prior decides.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    rng = np.random.default_rng(settings.seed)
    numbers = with_modalities_dropped(examples.numbers, examples.is_positive, rng)
    columns = fit_columns(examples.numbers)
    missing = np.isnan(examples.numbers[:, : len(QUANTITY_NAMES)])
    flagged = [j for j in range(len(QUANTITY_NAMES)) if 0.01 <= missing[:, j].mean() <= 0.99]
    n_known = float(examples.is_positive.sum())
    scaler = ExoticModel(columns, flagged, nn.Identity(), PRIOR_COUNTS_AS / (PRIOR_COUNTS_AS + n_known))
    with torch.no_grad():
        design = scaler.inputs(torch.from_numpy(numbers)).numpy()
    trees = ExtraTreesClassifier(
        settings.n_trees,
        min_samples_leaf=settings.min_leaf,
        max_depth=settings.max_depth,
        max_features=settings.max_features,
        random_state=settings.seed,
        n_jobs=2,
    ).fit(design, _two_classes(examples.is_positive), examples.weights)
    scaler.forest = Forest(trees)
    return scaler.eval()


def _two_classes(is_positive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return labels of which both classes occur: with no positive at all, the forest has nothing to tell apart."""
    labels = is_positive.astype(np.int64)
    if labels.min() == labels.max():
        raise ValueError("expected examples of both classes, found one")
    return labels


def with_modalities_dropped(
    numbers: NDArray[np.float32], is_positive: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Hide modalities at random so that whether one is there says nothing of the class.

    In each class as large a share of the rows keeps a modality as in the other, less :data:`DROP_PROBABILITY`.
    """
    kept = numbers.copy()
    for names in MODALITY_INPUTS.values():
        places = [INPUTS.index(name) for name in names]
        # The prior stays: it is made of the quantities, which are always there.
        places = [place for place in places if INPUTS[place] != NEEDS]
        present = np.isfinite(numbers[:, places]).any(axis=1)
        shares = [present[rows].mean() for rows in (is_positive, ~is_positive) if rows.any()]
        wanted = min(shares) * (1 - DROP_PROBABILITY)
        for rows in (is_positive, ~is_positive):
            there = np.flatnonzero(rows & present)
            n_kept = round(wanted * np.count_nonzero(rows))
            hidden = rng.permutation(there)[n_kept:]
            kept[np.ix_(hidden, places)] = np.nan
    return kept


def fit_columns(numbers: NDArray[np.float32]) -> tuple[Column, ...]:
    """Fit the scaling of each input to ``(n, len(INPUTS))``: median, and half the middle 68 %."""
    transforms = {q.name: (q.unit, q.transform, q.softening) for q in QUANTITIES}
    return tuple(
        robust_column(name, *transforms.get(name, ("", "identity", 1.0)), numbers[:, j], SCALED_CLIP)
        for j, name in enumerate(INPUTS)
    )


def log_odds_of(model: ExoticModel, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the uncalibrated log odds ``(n,)``."""
    with torch.no_grad():
        return model.log_odds(torch.from_numpy(numbers)).numpy().astype(np.float64)


def cross_fit(
    examples: Examples, settings: ForestSettings, kept: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], ExoticModel]:
    """Return log odds ``(n,)`` of each example by a model that saw no example of its bin, and the last bin's model.

    Parameters
    ----------
    kept
        Which examples may train, by default all; those that may not are asked all the same.
    """
    odds = np.full(len(examples.folds), np.nan)
    for number in np.unique(examples.folds):
        here = examples.folds == number
        train = ~here if kept is None else ~here & kept
        model = fit_exotic(examples.where(train), replace(settings, seed=settings.seed + int(number)))
        odds[here] = log_odds_of(model, examples.numbers[here])
    return odds, model
