"""The head `exotic`: the probability of a kind that earned a night, from labels and from people's verdicts.

It learns from what the other models say and from the object's quantities
(:func:`annotator.models.model_set.head_numbers`). Gradient-boosted trees give the odds; the stated prior counts as so
many known exotics beside them, so that it leads while few are known and steps back as they become more.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.models.manifest import Column
from annotator.preprocess.quantities import QUANTITY_NAMES, SHERLOCK_CLASSES
from training.export.rows import sum_of_rows
from training.features.network import FeatureScaling

N_LATENTS = 8
MODALITY_INPUTS: Mapping[str, tuple[str, ...]] = {
    "features": (
        "features_error",
        "features_oddity",
        "features_prior",
        *(f"features_latent_{i}" for i in range(N_LATENTS)),
    ),
    "lightcurve": ("lightcurve_error",),
    "triplet": ("triplet_error",),
}
"""What is learned from each modality. The latents of light curve and triplet are left out: a tenth and a fortieth of
the databank's objects have them, and which catalogue a light curve came from tells its class."""

INPUTS: tuple[str, ...] = (*QUANTITY_NAMES, *(name for names in MODALITY_INPUTS.values() for name in names))
NEEDS = "features_prior"

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Pan-STARRS1": ("ps1_separation", "host_g", "host_r", "host_colour", "contrast_g", "contrast_r"),
    "host": ("host_separation", "host_size", "relative_separation", "host_separation_kpc"),
    "distance": ("host_distance", "absolute_magnitude", "host_separation_kpc"),
    "rates": ("rate_g", "rate_r"),
    "colours": ("colour_now", "colour_peak", "colour_change", "colour_28", "colour_08"),
    **{modality: tuple(name for name in names if name != NEEDS) for modality, names in MODALITY_INPUTS.items()},
}
"""What an object lacks together. The prior stays: without it the head says nothing."""

GROUP_PLACES: Mapping[str, list[int]] = {
    name: [INPUTS.index(member) for member in members] for name, members in GROUPS.items()
}

SHERLOCK_PLACES = [INPUTS.index(f"sherlock_{name.lower()}") for name in SHERLOCK_CLASSES]
N_CLASSES = len(SHERLOCK_CLASSES) + 1
"""Sherlock's, and last none of them."""

SMALLEST_SHARE = 2e-3
"""Under the odds: nobody knows better from so few positives."""


class ExoticModel(nn.Module):
    """The whole graph: trees, prior, what is done for what is missing, and the calibration of the odds."""

    def __init__(self, prior: Column, forest: nn.Module, prior_weight: float, typical: NDArray[np.float32]) -> None:
        super().__init__()
        self.prior = FeatureScaling([prior])
        self.forest = forest
        self.prior_weight = prior_weight
        members = torch.zeros(len(GROUPS), len(INPUTS))
        for row, places in enumerate(GROUP_PLACES.values()):
            members[row, places] = 1.0
        self.register_buffer("members", members)
        self.register_buffer("typical", torch.from_numpy(typical))
        self.register_buffer("offsets", torch.zeros(len(GROUPS), N_CLASSES))
        self.register_buffer("pivot", torch.zeros(N_CLASSES))
        self.register_buffer("stretch", torch.zeros(len(GROUPS)))
        self.register_buffer("slope", torch.tensor(1.0))
        self.register_buffer("offset", torch.tensor(0.0))

    def filled(self, numbers: Tensor) -> Tensor:
        """``(n, len(INPUTS))`` -> what the trees see: of a missing modality what is typical."""
        return torch.where(torch.isnan(numbers), self.typical, numbers)

    def by_booster(self, numbers: Tensor) -> Tensor:
        """``(n, len(INPUTS))`` -> the log odds of each booster, ``(n, n_boosters)``."""
        return self.forest.by_booster(self.filled(numbers))

    def log_odds(self, numbers: Tensor) -> Tensor:
        """``(n, len(INPUTS))``, NaN where missing -> ``(n,)``, not yet calibrated."""
        needed = INPUTS.index(NEEDS)
        prior, _ = self.prior(numbers[:, needed : needed + 1])
        limit = float(np.log((1 - SMALLEST_SHARE) / SMALLEST_SHARE))
        odds = self.forest(self.filled(numbers)).clamp(-limit, limit) + self.prior_weight * prior[:, 0]
        return self.taken_back(numbers, odds)

    def taken_back(self, numbers: Tensor, odds: Tensor) -> Tensor:
        """Do what :class:`training.exotic.lack.TakenBack` says to log odds ``(n,)`` for the groups that are missing."""
        present = (~torch.isnan(numbers)).to(numbers.dtype)
        is_missing = (sum_of_rows(present.unsqueeze(1) * self.members) == 0).to(numbers.dtype)
        own = torch.nan_to_num(numbers[:, SHERLOCK_PLACES])
        classes = torch.cat([own, 1 - own.sum(dim=1, keepdim=True)], dim=1)
        odds = odds + sum_of_rows((is_missing.unsqueeze(2) * self.offsets * classes.unsqueeze(1)).flatten(1))
        beyond = (odds - sum_of_rows(classes * self.pivot)).clamp(min=0)
        return odds + beyond * sum_of_rows(is_missing * self.stretch)

    def forward(self, numbers: Tensor) -> Tensor:
        """``(n, len(INPUTS))``, NaN where missing -> probability ``(n,)``."""
        return torch.sigmoid(self.slope * self.log_odds(numbers) + self.offset)

    def calibrate(
        self, log_odds: NDArray[np.float64], is_positive: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> None:
        """Fit the odds to out-of-fold labels (Platt 1999)."""
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(C=np.inf).fit(log_odds[:, None], is_positive, weights)
        self.slope.fill_(float(fitted.coef_[0, 0]))
        self.offset.fill_(float(fitted.intercept_[0]))


def typical_numbers(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a missing number counts as, ``(len(INPUTS),)``.

    Of a modality the median, so that to have it says nothing; NaN of quantities, of which the trees themselves learn
    what to do without.
    """
    typical = np.full(len(INPUTS), np.nan, dtype=np.float32)
    for modality in MODALITY_INPUTS:
        for place in GROUP_PLACES[modality]:
            known = numbers[np.isfinite(numbers[:, place]), place]
            typical[place] = np.median(known) if len(known) else 0.0
    return typical


def class_places(numbers: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the number of each object's class by Sherlock, ``(n,)``, the last where it has none."""
    own = np.nan_to_num(numbers[:, SHERLOCK_PLACES])
    return np.where(own.any(axis=1), own.argmax(axis=1), len(SHERLOCK_CLASSES))
