"""Fit the head `exotic` to labels and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from training.exotic.forest import Forest
from training.exotic.hiding import Told, groups_to_hide, hidden, one_hidden
from training.exotic.network import GROUPS, INPUTS, NEEDS, ExoticModel, typical_numbers
from training.features.scaling import robust_column
from training.metrics.ranking import average_precision

if TYPE_CHECKING:
    from xgboost import Booster

PRIOR_COUNTS_AS = 25.0
"""Known exotics. The prior's weight in the log odds is this over itself plus the number of known ones."""

VERDICT_WEIGHT = 3.0
"""A person who looked counts as so many objects of a databank."""

SCALED_CLIP = 20.0
"""Robust standard deviations."""


@dataclass(frozen=True)
class BoostingSettings:
    """How the trees are grown."""

    n_boosters: int = 5
    """Each with other groups hidden, of which the head says the mean."""
    n_trees: int = 200
    """Of each booster."""
    max_depth: int = 4
    learning_rate: float = 0.05
    min_child_weight: float = 2.0
    row_share: float = 0.7
    """Of the examples, for each tree."""
    column_share: float = 0.5
    """Of the inputs, for each tree."""
    l2: float = 5.0
    seed: int = 0
    hides_groups: bool = True
    """Whether groups of inputs are hidden at random; False only to see what that does."""


CHOICES: tuple[Mapping[str, float], ...] = (
    {"max_depth": 4, "learning_rate": 0.05},
    {"max_depth": 3, "learning_rate": 0.05},
    {"max_depth": 6, "learning_rate": 0.03, "min_child_weight": 4.0},
    {"max_depth": 4, "learning_rate": 0.05, "column_share": 0.25},
)
"""Among these each fit chooses by an inner split of what it is given (:func:`chosen`)."""

N_INNER = 3
"""Parts of the inner split."""
N_COPIES = 2
"""Of each example, with other groups hidden, in each booster."""


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
    told: Told | None = None
    """What the model of the object features says of each where groups are hidden; None: what it says of the whole."""

    def where(self, kept: NDArray) -> "Examples":
        """Return some of them, by mask or index."""
        told = None if self.told is None else self.told.where(kept)
        return Examples(self.numbers[kept], self.is_positive[kept], self.weights[kept], self.folds[kept], told)


def fit_exotic(examples: Examples, settings: BoostingSettings) -> ExoticModel:
    """Fit the head to examples; its odds are not yet calibrated, and nothing is added for what is missing.

    Each booster sees every example :data:`N_COPIES` times, with other groups hidden
    (:func:`training.exotic.hiding.groups_to_hide`).

    Raises
    ------
    ValueError
        If the examples are of one class alone.
    """
    if examples.is_positive.all() or not examples.is_positive.any():
        raise ValueError("expected examples of both classes, found one")
    typical = typical_numbers(examples.numbers)
    boosters = [_booster(examples, settings, number, typical) for number in range(settings.n_boosters)]
    prior = robust_column(
        NEEDS, "", "identity", 1.0, examples.numbers[:, INPUTS.index(NEEDS)].astype(np.float64), SCALED_CLIP
    )
    n_known = float(examples.is_positive.sum())
    weight = PRIOR_COUNTS_AS / (PRIOR_COUNTS_AS + n_known)
    return ExoticModel(prior, Forest(boosters), weight, typical).eval()


def _booster(examples: Examples, settings: BoostingSettings, number: int, typical: NDArray[np.float32]) -> "Booster":
    import xgboost

    rng = np.random.default_rng([settings.seed, number])
    copies = [_copy(examples, settings, rng) for _ in range(N_COPIES)]
    numbers = np.concatenate(copies)
    data = xgboost.DMatrix(
        np.where(np.isnan(numbers), typical, numbers),
        np.tile(examples.is_positive, N_COPIES),
        weight=np.tile(examples.weights, N_COPIES) / N_COPIES,
        nthread=1,
    )
    return xgboost.train(booster_parameters(settings, number), data, settings.n_trees)


class TreeSettings(Protocol):
    """What trees are grown by, of whichever head: :class:`BoostingSettings` has the meanings."""

    max_depth: int
    learning_rate: float
    min_child_weight: float
    row_share: float
    column_share: float
    l2: float
    seed: int


def booster_parameters(settings: TreeSettings, number: int) -> dict[str, object]:
    """Return what XGBoost grows the trees of one of the boosters by."""
    return {
        "objective": "binary:logistic",
        "base_score": 0.5,
        "tree_method": "hist",
        "max_bin": 64,
        "max_depth": settings.max_depth,
        "eta": settings.learning_rate,
        "min_child_weight": settings.min_child_weight,
        "subsample": settings.row_share,
        "colsample_bytree": settings.column_share,
        "lambda": settings.l2,
        "seed": settings.seed * 1000 + number,
        "nthread": 1,  # a sum over threads depends on how many there are
    }


def _copy(examples: Examples, settings: BoostingSettings, rng: np.random.Generator) -> NDArray[np.float32]:
    if not settings.hides_groups:
        return examples.numbers
    return hidden(examples.numbers, groups_to_hide(examples.numbers, examples.is_positive, rng), examples.told)


def chosen(examples: Examples, settings: BoostingSettings) -> BoostingSettings:
    """Return the settings of :data:`CHOICES` that rank best on an inner split of the examples, by average precision.

    Bins of names are put together to :data:`N_INNER` parts, each of which is asked of a fit to the others.
    """
    bins = np.unique(examples.folds)
    part = np.searchsorted(bins, examples.folds) % N_INNER
    found = []
    for choice in CHOICES:
        tried = replace(settings, **choice)
        odds = np.full(len(part), np.nan)
        for number in range(N_INNER):
            train, here = part != number, part == number
            if examples.is_positive[train].any() and here.any():
                odds[here] = log_odds_of(fit_exotic(examples.where(train), _light(tried)), examples.numbers[here])
        known = np.isfinite(odds)
        found.append((average_precision(odds[known], examples.is_positive[known]), tried))
    return max(found, key=lambda item: item[0])[1]


def _light(settings: BoostingSettings) -> BoostingSettings:
    return replace(settings, n_boosters=1)


def log_odds_of(model: ExoticModel, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the uncalibrated log odds ``(n,)``."""
    with torch.no_grad():
        return model.log_odds(torch.from_numpy(numbers)).numpy().astype(np.float64)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """What is said of examples by models that saw no example of their bin."""

    odds: NDArray[np.float64]
    """Log odds ``(n,)``."""
    odds_hidden: Mapping[str, NDArray[np.float64]]
    """The same with one group hidden, by the group's name; empty where it was not asked for."""
    model: ExoticModel
    """The last bin's: it has seen nothing of that bin."""
    settings: BoostingSettings
    """The last bin's."""


def cross_fit(
    examples: Examples,
    settings: BoostingSettings,
    kept: NDArray[np.bool_] | None = None,
    is_chosen: bool = False,
    with_hidden: bool = False,
) -> CrossFit:
    """Ask of each example a model that saw no example of its bin.

    Parameters
    ----------
    kept
        Which examples may train, by default all; those that may not are asked all the same.
    is_chosen
        Choose the settings of each fit among what it is trained on (:func:`chosen`).
    with_hidden
        Ask also with each group hidden.
    """
    odds = np.full(len(examples.folds), np.nan)
    odds_hidden = {name: np.full(len(odds), np.nan) for name in (GROUPS if with_hidden else ())}
    for number in np.unique(examples.folds):
        here = examples.folds == number
        train = examples.where(~here if kept is None else ~here & kept)
        own = replace(settings, seed=settings.seed + int(number))
        if is_chosen:
            own = chosen(train, own)
        model = fit_exotic(train, own)
        asked = examples.where(here)
        odds[here] = log_odds_of(model, asked.numbers)
        for name, values in odds_hidden.items():
            lacking = hidden(asked.numbers, one_hidden(len(asked.folds), name), asked.told)
            values[here] = log_odds_of(model, lacking)
    return CrossFit(odds, odds_hidden, model, own)
