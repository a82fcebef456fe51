"""The autoencoder of six bands: the whole graph that the annotator runs.

Few points leave little to be reconstructed badly, and a light curve that hardly changes is reconstructed well, whatever
it is: what is left is compared with what is typical of normals that were as often and as deeply seen, and that varied
as much in time and between bands.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from annotator.preprocess.curve_layout import SIX_BANDS
from annotator.preprocess.six_bands import CHANNELS, GRID_BANDS, KNOTS_DAYS, SHAPE
from training.export.rows import sum_of_rows

N_CELLS = SHAPE[0] * SHAPE[1]
HIDDEN_WIDTHS = (160, 64)
N_LATENT = 4

HUBER_DELTA = 2.0
"""In standard deviations: beyond, a point counts linearly."""

TRUST_ERROR_MAG = 0.2
"""At this error the encoder gives a point half its weight."""

LOSS_FLOOR, VARIATION_FLOOR_MAG = 0.02, 0.05
"""Under the logarithms: two points can be reconstructed exactly, and may be equally bright."""

TYPICAL_ERROR_MAG = 0.1
"""Of which the logarithm counts as 0."""

MIN_SPREAD, MAX_DEVIATION = 0.1, 10.0
MAX_POINTS = 150

N_TERMS = 12


def mean_loss(deviation: Tensor, support: Tensor) -> Tensor:
    """Return the mean pseudo-Huber loss over the cells with a point: two of ``(n, 132)`` -> ``(n,)``."""
    loss = HUBER_DELTA**2 * (torch.sqrt(1 + (deviation / HUBER_DELTA) ** 2) - 1)
    return sum_of_rows(loss * support) / sum_of_rows(support).clamp(min=1)


def like_terms(lightcurve: Tensor) -> Tensor:
    """Return what a loss is typical of, ``(n, 4, 6, 22)`` -> ``(n, 12)``.

    The logarithms of how many points there are, of their mean error, and of how much they vary in time within a band
    and between bands in the mean; products of these; and whether there is but one band.
    """
    brightness, uncertainty, support = (lightcurve[:, i] for i in range(3))
    n_points = sum_of_rows(support.flatten(1)).clamp(min=1)
    count = torch.log(n_points.clamp(max=MAX_POINTS))
    error = torch.log(sum_of_rows((uncertainty * support).flatten(1)) / n_points / TYPICAL_ERROR_MAG + 1e-3)
    weight = support / (uncertainty**2 + SIX_BANDS.model_error_mag**2)
    of_band = sum_of_rows(weight)
    whole = sum_of_rows(of_band).clamp(min=1e-3)
    mean = sum_of_rows(weight * brightness) / of_band.clamp(min=1e-3)
    overall = sum_of_rows(of_band * mean) / whole
    in_time = sum_of_rows((weight * (brightness - mean[:, :, None]) ** 2).flatten(1)) / whole
    in_colour = sum_of_rows(of_band * (mean - overall[:, None]) ** 2) / whole
    time, colour = (
        torch.log(torch.sqrt(part.clamp(min=0) + 1e-12) + VARIATION_FLOOR_MAG) for part in (in_time, in_colour)
    )
    is_one_band = (sum_of_rows((of_band > 0).to(brightness.dtype)) < 1.5).to(brightness.dtype)
    terms = [torch.ones_like(count), count, count * count, error, time, time * time, colour, colour * colour]
    return torch.stack([*terms, time * colour, time * count, colour * count, is_one_band], dim=1)


class SixBandModel(nn.Module):
    """Weighting, autoencoder, distance in units of the noise, and its comparison with like curves of normals."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _dense((2 * N_CELLS, *HIDDEN_WIDTHS, N_LATENT))
        self.decoder = _dense((N_LATENT, *reversed(HIDDEN_WIDTHS), len(GRID_BANDS) * len(KNOTS_DAYS)))
        self.register_buffer("typical", torch.zeros(N_TERMS))
        self.register_buffer("spread", torch.tensor([1.0] + [0.0] * (N_TERMS - 1)))

    def forward(self, lightcurve: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(n, 4, 6, 22)`` -> error ``(n,)``, residual ``(n, 6, 22)``, latent ``(n, 4)``, and the reconstruction.

        The reconstruction, ``(n, 6, 23)`` mag above the peak, is at all knots, whether there are points or not.
        """
        support = lightcurve[:, CHANNELS.index("support")].flatten(1)
        deviation, residual, latent, reconstruction = self.compare(lightcurve, support)
        terms = like_terms(lightcurve)
        spread = sum_of_rows(terms * self.spread).clamp(min=MIN_SPREAD)
        beyond = torch.log(mean_loss(deviation, support) + LOSS_FLOOR) - sum_of_rows(terms * self.typical)
        error = torch.exp((beyond / spread).clamp(-MAX_DEVIATION, MAX_DEVIATION))
        return error, residual, latent, reconstruction

    def compare(self, lightcurve: Tensor, shown: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Reconstruct from the cells `shown` ``(n, 132)``.

        Returns
        -------
        tuple
            What is left of all cells with a point, in units of its noise ``(n, 132)`` and in mag ``(n, 6, 22)``;
            latent, and reconstruction.
        """
        brightness, uncertainty, support, place = (lightcurve[:, i] for i in range(len(CHANNELS)))
        weight = shown / (1 + (uncertainty.flatten(1) / TRUST_ERROR_MAG) ** 2)
        latent = self.encoder(torch.cat([brightness.flatten(1) * weight, weight], dim=1))
        knots = self.decoder(latent).unflatten(1, (len(GRID_BANDS), len(KNOTS_DAYS)))
        expected = knots[:, :, :-1] * (1 - place) + knots[:, :, 1:] * place
        residual = (brightness - expected) * support
        noise = torch.sqrt(uncertainty**2 + SIX_BANDS.model_error_mag**2)
        return (residual / noise).flatten(1), residual, latent, knots

    def set_typical(self, loss: Tensor, lightcurve: Tensor) -> None:
        """Fit what is typical, and its mean absolute deviation, to normals that no weights were fitted to."""
        # Double precision: the same bits whatever the machine's linear algebra does with its threads.
        terms = like_terms(lightcurve).double().numpy()
        log_loss = torch.log(loss + LOSS_FLOOR).double().numpy()
        typical = np.linalg.lstsq(terms, log_loss)[0]
        self.typical = torch.from_numpy(typical).float()
        self.spread = torch.from_numpy(np.linalg.lstsq(terms, np.abs(log_loss - terms @ typical))[0]).float()


def _dense(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.GELU()]
    return nn.Sequential(*layers[:-1])
