"""Fit the feature autoencoder to normal objects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotator.errors import ConfigError
from annotator.models.manifest import Column
from annotator.surveys.ztf.columns import FEATURE_NAMES, MISSING_TOGETHER
from training import recipe
from training.data.folds import N_FOLDS
from training.data.table import Table
from training.features.network import FeatureModel
from training.features.scaling import fit_columns

MASK_GROUPS: tuple[tuple[str, ...], ...] = tuple(MISSING_TOGETHER.values())
"""What goes missing together in the stream: a band, the Pan-STARRS1 source, Sherlock's host. The databank, chosen by a
known g-r, has next to no object that lacks a band, so training makes them."""

HIDDEN = ("whole", *(f"without {what}" for what in MISSING_TOGETHER))
"""Names of :attr:`Fit.validation_errors`."""


@dataclass(frozen=True)
class Settings(recipe.FitSettings):
    """How a fit is made; chosen by the reconstruction of validation normals, never by the exotics."""

    epochs: int = 300
    batch_size: int = 256
    peak_learning_rate: float = 1e-2
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


def check_trainable(table: Table) -> None:
    """Refuse a table whose split would leave a part without normal objects, or a column without values.

    Raises
    ------
    ConfigError
        Naming what is short.
    """
    recipe.check_folds(table, "objects")
    for rotation in range(N_FOLDS):
        part = table.features[table.split(rotation).train & ~table.is_exotic]
        empty = [FEATURE_NAMES[j] for j in np.flatnonzero(np.isnan(part).all(axis=0))]
        if empty:
            raise ConfigError(
                f"--data {table.file_name}: expected physical values in every feature column of the training part, "
                f"found none in {', '.join(empty)}; make the table with aha-train fetch features"
            )


def fit_features(
    train: NDArray[np.float32], validation: NDArray[np.float32], settings: Settings, name: str = "features"
) -> Fit:
    """Fit constants and weights to `train`, keep the epoch that reconstructs `validation` best.

    Parameters
    ----------
    train, validation
        ``(n, 21)`` float32 physical values of normal objects, NaN where missing.
    name
        What the log calls the fit.
    """
    torch.manual_seed(settings.seed)
    columns = fit_columns(train)
    model = FeatureModel(columns)
    scaled, present = model.scaling(torch.from_numpy(train))
    held_out = _validation_batches(*model.scaling(torch.from_numpy(validation)))

    def losses(batches: Sequence[Tensor]) -> Iterator[Tensor]:
        for rows in batches:
            kept = present[rows] * _random_mask(len(rows), settings.mask_probability)
            error, _, _ = model.compare(scaled[rows] * kept, kept)
            yield error.mean()

    def validate(model: FeatureModel) -> float:
        return selection_error(_errors(model, held_out))

    descent = recipe.one_cycle(model, len(train), settings)
    best = recipe.fit(name, model, len(train), settings.epochs, descent, losses, validate)
    return Fit(best.model, columns, best.epoch, _errors(best.model, held_out))


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


def _errors(model: FeatureModel, batches: list[tuple[Tensor, Tensor]]) -> tuple[float, ...]:
    with torch.no_grad():
        return tuple(model.compare(scaled, present)[0].mean().item() for scaled, present in batches)
