"""Fit the triplet's autoencoders to normal stamps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training import recipe
from training.triplet.network import TERMS, Term, TripletModel, fit_terms


@dataclass(frozen=True)
class TripletSettings(recipe.FitSettings):
    """How a fit is made; chosen by the likelihood of held-out normals and by injections, never by labelled exotics."""

    epochs: int = 45
    batch_size: int = 32
    peak_learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    gradient_norm: float = 1.0
    seed: int = 0


def fit_triplets(
    train: NDArray[np.float32],
    held_out: NDArray[np.float32],
    settings: TripletSettings,
    name: str = "triplet",
    terms: Sequence[Term] = TERMS,
) -> tuple[TripletModel, float]:
    """Fit weights to `train`, and what each term of the error normally is to `held_out`.

    Parameters
    ----------
    train, held_out
        ``(n, 6, 63, 63)`` float32 tensors of normal objects.
    name
        What the log calls the fit.
    terms
        Of the error.

    Returns
    -------
    TripletModel
        In evaluation mode.
    float
        Its loss on `held_out`.
    """
    torch.manual_seed(settings.seed)
    model, stamps = TripletModel(terms), torch.from_numpy(train)

    def losses(batches: Sequence[Tensor]) -> Iterator[Tensor]:
        for rows in batches:
            yield model.loss(turned(stamps[rows]))

    descent = recipe.one_cycle(model, len(train), settings)
    recipe.fit(name, model, len(train), settings.epochs, descent, losses)
    round_weights(model)
    others = torch.from_numpy(held_out)
    fit_terms(model, others)
    with torch.no_grad():
        return model, model.loss(others).item()


def round_weights(model: TripletModel) -> None:
    """Round weights to half precision, as they are kept (:func:`training.export.graph.narrow`)."""
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(weights.half())


def turned(stamps: Tensor) -> Tensor:
    """Turn and mirror a batch by one of the eight symmetries of the square: the sky has no up."""
    symmetry = int(torch.randint(8, ()))
    stamps = torch.rot90(stamps, symmetry % 4, (2, 3))
    return stamps.flip(3) if symmetry >= 4 else stamps


def outputs_of(model: TripletModel, stamps: NDArray[np.float32]) -> tuple[NDArray, NDArray, NDArray]:
    """Return error ``(n,)``, terms ``(n, 6)`` and latent ``(n, 44)`` of tensors ``(n, 6, 63, 63)``."""
    with torch.no_grad():
        parts = [model(part)[:3] for part in torch.from_numpy(stamps).split(128)]
    return tuple(torch.cat(output).numpy().astype(np.float64) for output in zip(*parts, strict=True))
