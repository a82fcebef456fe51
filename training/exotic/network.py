"""The head `exotic`: the probability of a kind that earned a night, from labels and from people's verdicts.

It learns from what the other models say and from the object's quantities
(:func:`annotator.models.model_set.head_numbers`). A forest of extremely randomised trees gives the odds; the stated
prior counts as so many known exotics beside it, so that it leads while few are known and steps back as they become
more.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.models.manifest import Column
from annotator.preprocess.quantities import QUANTITY_NAMES
from training.exotic.forest import Forest
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

SMALLEST_SHARE = 2e-3
"""Under the odds: no leaf of a forest knows better."""


class ExoticModel(nn.Module):
    """The whole graph: scaling, missing-indicators, forest, prior, and the calibration of the odds."""

    def __init__(self, columns: Sequence[Column], flagged: Sequence[int], forest: Forest, prior_weight: float) -> None:
        super().__init__()
        self.scaling = FeatureScaling(columns)
        self.register_buffer("flagged", torch.tensor(list(flagged), dtype=torch.int64))
        self.forest = forest
        self.prior_weight = prior_weight
        self.register_buffer("slope", torch.tensor(1.0))
        self.register_buffer("offset", torch.tensor(0.0))

    def inputs(self, numbers: Tensor) -> Tensor:
        """``(n, len(INPUTS))`` -> what the forest sees: scaled, 0 where missing; and which quantities are missing."""
        scaled, present = self.scaling(numbers)
        return torch.cat([scaled, 1 - present[:, self.flagged]], dim=1)

    def log_odds(self, numbers: Tensor) -> Tensor:
        """``(n, len(INPUTS))`` -> ``(n,)``, not yet calibrated."""
        inputs = self.inputs(numbers)
        share = self.forest(inputs).clamp(SMALLEST_SHARE, 1 - SMALLEST_SHARE)
        return torch.logit(share) + self.prior_weight * inputs[:, INPUTS.index(NEEDS)]

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
