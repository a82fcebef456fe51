"""The light-curve autoencoder: the whole graph that the annotator runs."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from annotator.preprocess.lightcurve import CHANNELS, SHAPE

N_POINTS = SHAPE[0] * SHAPE[1]
HIDDEN_WIDTHS = (192, 64)
N_LATENT = 4
"""Time scale, colour, shape of the decline, and one more: with 8 or 16 the injected classes stand out no better."""

MODEL_ERROR_MAG = 0.05
"""Added in quadrature to the measured error: no autoencoder of 4 numbers knows a supernova better."""

HUBER_DELTA = 2.0
"""In standard deviations: beyond, a point counts linearly."""

TRUST_ERROR_MAG = 0.2
"""At this error the encoder gives a point half its weight."""

LOSS_FLOOR = 0.02
"""Under the logarithm: a curve of two points can be reconstructed exactly."""

MIN_SPREAD, MAX_DEVIATION = 0.2, 10.0


def mean_loss(deviation: Tensor, support: Tensor) -> Tensor:
    """Return the mean pseudo-Huber loss over the supported points: two of ``(n, 352)`` -> ``(n,)``.

    Deviations are in units of the noise. The loss is
    delta^2 (sqrt(1 + (x / delta)^2) - 1): x^2 / 2 near 0, linear far away (Charbonnier et al. 1997).
    """
    loss = HUBER_DELTA**2 * (torch.sqrt(1 + (deviation / HUBER_DELTA) ** 2) - 1)
    return (loss * support).sum(dim=1) / support.sum(dim=1).clamp(min=1)


def sampling_terms(support: Tensor) -> Tensor:
    """Return 1, l and l^2 of l = log(number of supported points): ``(n, 352)`` -> ``(n, 3)``."""
    log_count = torch.log(support.sum(dim=1).clamp(min=1, max=150))
    return torch.stack([torch.ones_like(log_count), log_count, log_count * log_count], dim=1)


class LightCurveModel(nn.Module):
    """Weighting, autoencoder, distance in units of the noise, and its comparison with curves of like sampling."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2 * N_POINTS, *HIDDEN_WIDTHS, N_LATENT)
        self.encoder = _dense(widths)
        self.decoder = _dense((N_LATENT, *reversed(HIDDEN_WIDTHS), N_POINTS))
        self.register_buffer("typical", torch.zeros(3))
        self.register_buffer("spread", torch.tensor([1.0, 0.0, 0.0]))

    def forward(self, lightcurve: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(n, 3, 2, 176)`` -> error ``(n,)``, residual ``(n, 2, 176)``, latent ``(n, 4)``, and the reconstruction.

        The reconstruction, ``(n, 2, 176)`` mag above peak, is of the whole grid, supported or not.
        """
        brightness, uncertainty, support = (lightcurve[:, i].flatten(1) for i in range(len(CHANNELS)))
        residual, noise, latent, reconstruction = self.compare(brightness, uncertainty, support, support)
        deviation = self.deviation(mean_loss(residual / noise, support), support)
        return torch.exp(deviation), residual.unflatten(1, SHAPE), latent, reconstruction.unflatten(1, SHAPE)

    def compare(
        self, brightness: Tensor, uncertainty: Tensor, support: Tensor, shown: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Reconstruct from the points `shown`; return what is left (mag), its noise (mag), latent, reconstruction.

        Each argument is ``(n, 352)``.
        """
        weight = shown / (1 + (uncertainty / TRUST_ERROR_MAG) ** 2)
        latent = self.encoder(torch.cat([brightness * weight, weight], dim=1))
        noise = torch.sqrt(uncertainty**2 + MODEL_ERROR_MAG**2)
        reconstruction = self.decoder(latent)
        return (brightness - reconstruction) * support, noise, latent, reconstruction

    def deviation(self, loss: Tensor, support: Tensor) -> Tensor:
        """Return how far log loss is above what is typical of as many supported points, in units of its spread."""
        terms = sampling_terms(support)
        spread = (terms @ self.spread).clamp(min=MIN_SPREAD)
        deviation = (torch.log(loss + LOSS_FLOOR) - terms @ self.typical) / spread
        return deviation.clamp(-MAX_DEVIATION, MAX_DEVIATION)

    def set_sampling(self, loss: Tensor, support: Tensor) -> None:
        """Fit what is typical, and its mean absolute deviation, to normals that no weights in play were fitted to."""
        # Double precision: the same bits whatever the machine's linear algebra does with its threads.
        terms = sampling_terms(support).double().numpy()
        log_loss = torch.log(loss + LOSS_FLOOR).double().numpy()
        typical = np.linalg.lstsq(terms, log_loss)[0]
        spread = np.linalg.lstsq(terms, np.abs(log_loss - terms @ typical))[0]
        self.typical = torch.from_numpy(typical).float()
        self.spread = torch.from_numpy(spread).float()


def _dense(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.GELU()]
    return nn.Sequential(*layers[:-1])
