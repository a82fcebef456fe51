"""Fit the feature autoencoder to normal objects."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotator.models.manifest import Column
from annotator.preprocess.features import FEATURE_NAMES
from training.features.network import FeatureModel
from training.features.scaling import fit_columns

MASK_GROUPS: tuple[tuple[str, ...], ...] = (
    ("gmag", "g_minus_r", "dmdt_g", "mag_g02", "mag_g08", "mag_g28", "maggmax", "maggmean", "maggmin"),
    ("rmag", "g_minus_r", "dmdt_r", "mag_r02", "mag_r08", "mag_r28", "magrmax", "magrmin"),
    ("distpsnr1", "sgmag1", "srmag1"),
    ("separationArcsec", "major_axis_arcsec"),
)
"""What goes missing together in the stream: a band, the Pan-STARRS1 source, Sherlock's host. The databank, chosen by a
known g-r, has next to no object that lacks a band, so training makes them."""


@dataclass(frozen=True)
class Settings:
    """How a fit is made; chosen by the reconstruction of validation normals, never by the exotics."""

    epochs: int = 300
    batch_size: int = 256
    peak_learning_rate: float = 1e-2
    """Of a one-cycle schedule; AdamW."""
    weight_decay: float = 1e-5
    gradient_norm: float = 5.0
    mask_probability: float = 0.25
    """For each of :data:`MASK_GROUPS`, in half of the rows of each batch."""
    seed: int = 0


@dataclass(frozen=True)
class Fit:
    """A fitted model and where its training stopped."""

    model: FeatureModel
    columns: tuple[Column, ...]
    """The constants of its scaling."""
    epoch: int
    """The epoch kept, from 1."""
    validation_errors: tuple[float, ...]
    """Mean over validation normals: whole, then with each of :data:`MASK_GROUPS` hidden."""

    @property
    def validation_error(self) -> float:
        """What chooses the epoch: half the error of whole objects, half the mean with a group hidden."""
        return selection_error(self.validation_errors)


def fit_features(
    train: NDArray[np.float32],
    validation: NDArray[np.float32],
    settings: Settings,
    progress: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Fit constants and weights to `train`, keep the epoch that reconstructs `validation` best.

    Parameters
    ----------
    train, validation
        ``(n, 21)`` float32 physical values of normal objects, NaN where missing.
    """
    torch.manual_seed(settings.seed)
    columns = fit_columns(train)
    model = FeatureModel(columns)
    scaled, present = model.scaling(torch.from_numpy(train))
    validation_batches = _validation_batches(*model.scaling(torch.from_numpy(validation)))
    batch_size = min(settings.batch_size, len(train))
    steps_per_epoch = len(train) // batch_size
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.peak_learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.peak_learning_rate, total_steps=settings.epochs * steps_per_epoch + 1, pct_start=0.1
    )
    best = None
    for epoch in range(1, settings.epochs + 1):
        model.train()
        order = torch.randperm(len(train))
        for step in range(steps_per_epoch):
            rows = order[step * batch_size : (step + 1) * batch_size]
            kept = present[rows] * _random_mask(len(rows), settings.mask_probability)
            error, _, _ = model.compare(scaled[rows] * kept, kept)
            optimizer.zero_grad()
            error.mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_norm)
            optimizer.step()
            schedule.step()
        errors = _validate(model, validation_batches)
        if best is None or selection_error(errors) < best.validation_error:
            best = Fit(copy.deepcopy(model).eval(), columns, epoch, errors)
        if epoch % max(1, settings.epochs // 5) == 0:
            progress(
                f"epoch {epoch}/{settings.epochs}: validation error {selection_error(errors):.5f}, "
                f"best {best.validation_error:.5f}"
            )
    return best


def selection_error(errors: tuple[float, ...]) -> float:
    """Return half the first error and half the mean of the others."""
    whole, *hidden = errors
    return 0.5 * (whole + sum(hidden) / len(hidden))


def _group_masks() -> Tensor:
    """Return one row a group: 0 where a feature is in it, else 1; ``(4, 21)``."""
    return torch.tensor([[float(name not in group) for name in FEATURE_NAMES] for group in MASK_GROUPS])


def _random_mask(n: int, probability: float) -> Tensor:
    chosen = (torch.rand(n, len(MASK_GROUPS)) < probability) & (torch.rand(n, 1) < 0.5)
    hidden = chosen.float() @ (1 - _group_masks())
    # Never all of a row: with nothing left there is nothing to reconstruct.
    return torch.where(chosen.all(dim=1, keepdim=True), 1.0, (hidden == 0).float())


def _validation_batches(scaled: Tensor, present: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(scaled, present), *((scaled * mask, present * mask) for mask in _group_masks())]


def _validate(model: FeatureModel, batches: list[tuple[Tensor, Tensor]]) -> tuple[float, ...]:
    model.eval()
    with torch.no_grad():
        return tuple(model.compare(scaled, present)[0].mean().item() for scaled, present in batches)
