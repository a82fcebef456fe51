"""The networks, and what they do to their inputs before the first layer."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from annotator.models.manifest import SMALLEST_LOG10_ARGUMENT, Column
from training.export.rows import sum_of_rows

WIDTHS = (88, 56, 27, 8)
"""AHA's encoder (arXiv 2602.12955); the decoder is its mirror."""

HUBER_DELTA = 1.0


def mean_huber(residual: Tensor, present: Tensor) -> Tensor:
    """Return the mean Huber loss (delta 1) over the values that are there: ``(n, d)``, ``(n, d)`` -> ``(n,)``."""
    size = residual.abs()
    loss = torch.where(size <= HUBER_DELTA, 0.5 * residual * residual, HUBER_DELTA * (size - 0.5 * HUBER_DELTA))
    return sum_of_rows(loss * present) / present.sum(dim=1).clamp(min=1)


class FeatureScaling(nn.Module):
    """Physical values, NaN where missing, to scaled values, 0 where missing, and a mask of what is there."""

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()

        def constant(values: list) -> Tensor:
            return torch.tensor(values, dtype=torch.float32)

        self.register_buffer("is_log10", torch.tensor([c.transform == "log10" for c in columns]))
        self.register_buffer("is_asinh", torch.tensor([c.transform == "asinh" for c in columns]))
        self.register_buffer("softening", constant([c.softening for c in columns]))
        self.register_buffer("centre", constant([c.centre for c in columns]))
        self.register_buffer("scale", constant([c.scale for c in columns]))
        self.register_buffer("clip_low", constant([c.clip_low for c in columns]))
        self.register_buffer("clip_high", constant([c.clip_high for c in columns]))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, d)`` float32 -> two of ``(n, d)`` float32."""
        is_present = ~torch.isnan(features)
        value = torch.where(is_present, features, torch.zeros_like(features))
        value = torch.where(self.is_log10, torch.log10(value.clamp(min=SMALLEST_LOG10_ARGUMENT)), value)
        value = torch.where(self.is_asinh, torch.asinh(value / self.softening), value)
        scaled = torch.minimum(torch.maximum((value - self.centre) / self.scale, self.clip_low), self.clip_high)
        return torch.where(is_present, scaled, torch.zeros_like(scaled)), is_present.to(features.dtype)


class Autoencoder(nn.Module):
    """AHA's dense autoencoder: GELU then batch normalisation, a linear bottleneck, and the mirror of it.

    As in AHA, the last hidden layer has no batch normalisation.
    """

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        *hidden, n_latent = WIDTHS
        self.encoder = nn.Sequential(*_dense_blocks([n_inputs, *hidden]), nn.Linear(hidden[-1], n_latent))
        mirrored = _dense_blocks([n_latent, *reversed(hidden)])
        self.decoder = nn.Sequential(*mirrored[:-1], nn.Linear(hidden[0], n_outputs))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, n_inputs)`` -> reconstruction ``(n, n_outputs)``, latent ``(n, 8)``."""
        latent = self.encoder(inputs)
        return self.decoder(latent), latent


def _dense_blocks(widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.GELU(), nn.BatchNorm1d(n_out)]
    return layers


class FeatureModel(nn.Module):
    """AHA's part of the graph: scaling, missing-indicator, autoencoder, distance."""

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.scaling = FeatureScaling(columns)
        self.autoencoder = Autoencoder(2 * len(columns), len(columns))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(n, d)`` physical values -> error ``(n,)``, residual ``(n, d)``, latent ``(n, 8)``."""
        return self.compare(*self.scaling(features))

    def compare(self, scaled: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruct scaled values and say how far they are, over the values that are there."""
        reconstruction, latent = self.autoencoder(torch.cat([scaled, 1 - present], dim=1))
        residual = (scaled - reconstruction) * present
        return mean_huber(residual, present), residual, latent
