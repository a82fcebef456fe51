"""The head `exotic` on light-curve quantities: boosted trees that know superluminous supernovae and tidal disruptions.

What is missing of an object's quantities must not decide: groups of them are hidden at random in training, as often in
both classes, and what hiding does to normals all the same is taken back (:mod:`training.evolution.lack`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.preprocess.evolution import EVOLUTION_NAMES
from training.evolution.states import States
from training.exotic.fit import booster_parameters
from training.exotic.forest import Forest
from training.export.rows import sum_of_rows

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "colour": ("colour", "colour_drift"),
        "curvature": ("colour_curvature",),
        "rise": ("rise", "early_rise"),
        "fall": ("fall", "late_fall", "tail"),
        "roughness": ("roughness",),
    }
)
"""Quantities that are missing together: of few bands, of a short history, of a young object."""

QUANTITIES: tuple[str, ...] = tuple(name for name in EVOLUTION_NAMES if name != "activity_before")
"""What the head is given. Activity before is known of one object in twenty: too few to learn what its lack means."""

INPUTS: tuple[str, ...] = tuple(f"features_{name}" for name in QUANTITIES)
"""The same by the names that numbers of the model of the object features have."""

NEEDS = "features_other_sign"
"""Which is there as soon as any quantity can be."""

GROUP_PLACES = MappingProxyType({name: [QUANTITIES.index(one) for one in members] for name, members in GROUPS.items()})

SMALLEST_SHARE = 2e-3
"""Under the odds: nobody knows better from so few exotics."""

DROP_PROBABILITY = 0.1
"""Of each group of each state in training, beyond what makes it as common in both classes."""


@dataclass(frozen=True)
class Settings:
    """How the trees are grown."""

    n_boosters: int = 3
    """Each with other groups hidden, of which the head says the mean."""
    n_trees: int = 250
    max_depth: int = 5
    learning_rate: float = 0.05
    min_child_weight: float = 0.5
    row_share: float = 0.6
    column_share: float = 0.5
    l2: float = 1.0
    exotic_share: float = 0.5
    """Of the weight of all examples: they are few, and fewer in the one source than in the other."""
    n_epochs: int = 8
    """Random epochs of each object that are trained on."""
    seed: int = 0


class EvolutionHead(nn.Module):
    """The whole graph: trees, what is done for what is missing, and the calibration of the odds."""

    def __init__(self, forest: Forest) -> None:
        super().__init__()
        self.forest = forest
        members = torch.zeros(len(GROUPS), len(INPUTS))
        for row, places in enumerate(GROUP_PLACES.values()):
            members[row, places] = 1.0
        self.register_buffer("members", members)
        self.register_buffer("offsets", torch.zeros(len(GROUPS)))
        self.register_buffer("pivot", torch.tensor(0.0))
        self.register_buffer("stretch", torch.zeros(len(GROUPS)))
        self.register_buffer("slope", torch.tensor(1.0))
        self.register_buffer("offset", torch.tensor(0.0))

    def log_odds(self, numbers: Tensor) -> Tensor:
        """``(n, len(INPUTS))``, NaN where missing -> ``(n,)``, not yet calibrated."""
        present = (~torch.isnan(numbers)).to(numbers.dtype)
        is_missing = (sum_of_rows(present.unsqueeze(1) * self.members) == 0).to(numbers.dtype)
        limit = float(np.log((1 - SMALLEST_SHARE) / SMALLEST_SHARE))
        odds = self.forest(numbers).clamp(-limit, limit) + sum_of_rows(is_missing * self.offsets)
        return odds + (odds - self.pivot).clamp(min=0) * sum_of_rows(is_missing * self.stretch)

    def take_back(self, offsets: NDArray[np.float64], pivot: float, stretch: NDArray[np.float64]) -> None:
        """Set what is done for what is missing (:class:`training.evolution.lack.TakenBack`)."""
        self.offsets.copy_(torch.from_numpy(offsets))
        self.pivot.fill_(pivot)
        self.stretch.copy_(torch.from_numpy(stretch))

    def calibrate(self, log_odds: NDArray[np.float64], is_exotic: NDArray[np.bool_]) -> None:
        """Fit the odds to out-of-fold labels (Platt 1999)."""
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(C=np.inf).fit(log_odds[:, None], is_exotic)
        self.slope.fill_(float(fitted.coef_[0, 0]))
        self.offset.fill_(float(fitted.intercept_[0]))

    def forward(self, numbers: Tensor) -> Tensor:
        """``(n, len(INPUTS))``, NaN where missing -> probability ``(n,)``."""
        return torch.sigmoid(self.slope * self.log_odds(numbers) + self.offset)


def given_to_head(states: States) -> States:
    """Return states with those quantities alone that the head is given."""
    places = [EVOLUTION_NAMES.index(name) for name in QUANTITIES]
    return replace(states, values=states.values[:, places])


def is_there(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which groups a state has any quantity of, ``(n, len(INPUTS))`` -> ``(n, n_groups)``."""
    return np.column_stack([np.isfinite(values[:, places]).any(axis=1) for places in GROUP_PLACES.values()])


def with_hidden(values: NDArray[np.float32], is_hidden: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return what is left of values where groups ``(n, n_groups)`` are hidden."""
    kept = values.copy()
    for places, rows in zip(GROUP_PLACES.values(), is_hidden.T, strict=True):
        kept[np.ix_(rows, places)] = np.nan
    return kept


def one_hidden(values: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Return what is left of values where one group is hidden."""
    kept = values.copy()
    kept[:, GROUP_PLACES[name]] = np.nan
    return kept


def groups_to_hide(states: States, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose at random which groups to hide of each state ``(n, n_groups)``, so that presence says nothing of class.

    In each class of each source as large a share keeps a group as in the other, less :data:`DROP_PROBABILITY`.
    """
    there = is_there(states.values)
    chosen = np.zeros_like(there)
    for source in np.unique(states.sources):
        own = states.sources == source
        classes = [rows for rows in (own & states.is_exotic, own & ~states.is_exotic) if rows.any()]
        for group, has in enumerate(there.T):
            wanted = min(has[rows].mean() for rows in classes) * (1 - DROP_PROBABILITY)
            for rows in classes:
                n_kept = round(wanted * np.count_nonzero(rows))
                chosen[rng.permutation(np.flatnonzero(rows & has))[n_kept:], group] = True
    return chosen


def fit_head(states: States, settings: Settings) -> EvolutionHead:
    """Fit the head to states; its odds are not yet calibrated, and nothing is done yet for what is missing.

    Exotics together count as :attr:`Settings.exotic_share` of all, whatever their number.

    Raises
    ------
    ValueError
        If the states are of one class alone.
    """
    if states.is_exotic.all() or not states.is_exotic.any():
        raise ValueError("expected states of both classes, found one")
    return EvolutionHead(Forest([_booster(states, settings, number) for number in range(settings.n_boosters)])).eval()


def _booster(states: States, settings: Settings, number: int):
    import xgboost

    hidden = groups_to_hide(states, np.random.default_rng([settings.seed, number]))
    shares = np.where(states.is_exotic, settings.exotic_share, 1 - settings.exotic_share)
    sizes = np.where(states.is_exotic, states.is_exotic.sum(), (~states.is_exotic).sum())
    weights = shares / sizes * len(states) / settings.n_epochs  # of all states of an object together 1 on average
    data = xgboost.DMatrix(with_hidden(states.values, hidden), states.is_exotic, weight=weights, nthread=1)
    return xgboost.train(booster_parameters(settings, number), data, settings.n_trees)


def log_odds_of(model: EvolutionHead, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the uncalibrated log odds ``(n,)``."""
    with torch.no_grad():
        return model.log_odds(torch.from_numpy(values)).numpy().astype(np.float64)
