"""The triplet's network: autoencoders of the whole stamps in bins and of their middle in pixels.

Errors are weighed by the noise that the networks expect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from annotator.preprocess.triplet import CENTRE, CHANNELS, MAX_VALUE, SIDE
from training.export.rows import sum_of_rows

BINS_PIXELS = 3
"""Side of the bins in which the field is looked at: a star's image is two pixels wide, and away from the object it is
enough to know that something is there."""
CORE_SIDE = SIDE // BINS_PIXELS
"""Pixels of the middle, as many as the field has bins: both networks are alike."""
WIDTHS = (16, 48)
FIELD_LATENT, CORE_LATENT = 32, 12
"""Both bottlenecks together: 44 numbers for 11,907 pixels (AHA's has 8,192)."""

N_HIDDEN = 64
N_REWEIGHTS = 20
SOURCE_RADIUS_PIXELS = 3.0
HUBER_DELTA = 2.0
LOG_NOISE_RANGE = (-3.0, 3.0)
MAX_RESIDUAL = 30.0
"""Expected deviations; beyond it no pixel adds to an error."""
MAX_EXCESS = 8.0
"""Robust standard deviations; beyond it no term adds to an error."""

_CORE = slice(CENTRE - CORE_SIDE // 2, CENTRE + CORE_SIDE // 2 + 1)


@dataclass(frozen=True)
class Term:
    """One part of the error: fourth-power mean of one channel's noise-weighted residuals around the object."""

    network: str
    """``field`` or ``core``."""
    channel: str
    radius_pixels: float
    """Of the disc about the object."""

    @property
    def box_pixels(self) -> int:
        """Side of what it looks at one by one: what is faint in each pixel adds up in the field's bins."""
        return BINS_PIXELS if self.network == "field" else 1

    @property
    def name(self) -> str:
        """For a manifest."""
        return f"{self.network} {self.channel}, box {self.box_pixels}, radius {self.radius_pixels:g}"


TERMS = (
    Term("field", "difference", 15),
    Term("field", "difference", 45),
    Term("field", "science", 5),
    Term("core", "difference", 3),
    Term("core", "difference", 6),
    Term("core", "template", 6),
)
"""Of stamps that fill the input, as ZTF's do."""

SMALL_TERMS = (
    Term("core", "difference", 3),
    Term("core", "difference", 6),
    Term("core", "difference", 11),
    Term("core", "science", 6),
    Term("core", "template", 6),
)
"""Of stamps that reach no further than the middle, as Rubin's do (:mod:`annotator.preprocess.small_stamps`)."""


class ConvolutionalAutoencoder(nn.Module):
    """Strided convolutions down to a few numbers, and the mirror of it up to a mean and a log noise per pixel."""

    def __init__(self, n_latent: int) -> None:
        super().__init__()
        sides, channels = [CORE_SIDE], [2 * len(CHANNELS), *WIDTHS]
        for _ in WIDTHS:
            sides.append((sides[-1] + 1) // 2)
        n_flat = WIDTHS[-1] * sides[-1] ** 2
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for i, (n_in, n_out) in enumerate(zip(channels, WIDTHS, strict=False)):
            down += [nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.ReLU()]
            step = nn.ConvTranspose2d(n_out, n_in, 3, stride=2, padding=1, output_padding=1 - sides[i] % 2)
            up = [step] if not up else [step, nn.ReLU(), *up]
        self.encoder = nn.Sequential(
            *down, nn.Flatten(), nn.Linear(n_flat, N_HIDDEN), nn.ReLU(), nn.Linear(N_HIDDEN, n_latent)
        )
        self.decoder = nn.Sequential(
            nn.Linear(n_latent, N_HIDDEN),
            nn.ReLU(),
            nn.Linear(N_HIDDEN, n_flat),
            nn.ReLU(),
            nn.Unflatten(1, (WIDTHS[-1], sides[-1], sides[-1])),
            *up,
        )

    def forward(self, stamps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(n, 6, 21, 21)`` -> residual in expected deviations, log noise, mean, ``(n, 3, 21, 21)``, and latent."""
        latent = self.encoder(stamps)
        decoded = self.decoder(latent)
        mean, log_noise = decoded[:, :3], decoded[:, 3:].clamp(*LOG_NOISE_RANGE)
        return (stamps[:, :3] - mean) * torch.exp(-log_noise) * stamps[:, 3:], log_noise, mean, latent

    def loss(self, stamps: Tensor) -> Tensor:
        """Return the mean over pixels that are there of Huber's loss plus log noise: a robust likelihood."""
        residual, log_noise, *_ = self(stamps)
        size, present = residual.abs(), stamps[:, 3:]
        huber = torch.where(size < HUBER_DELTA, 0.5 * size * size, HUBER_DELTA * (size - 0.5 * HUBER_DELTA))
        return ((huber + log_noise) * present).sum() / present.sum()


class TripletModel(nn.Module):
    """The whole graph: the autoencoders that the error's terms ask for, the terms, and the error."""

    def __init__(self, terms: Sequence[Term] = TERMS) -> None:
        super().__init__()
        self.error_terms = tuple(terms)
        has_field = any(term.network == "field" for term in terms)
        self.field = ConvolutionalAutoencoder(FIELD_LATENT) if has_field else None
        self.core = ConvolutionalAutoencoder(CORE_LATENT)
        self.n_latent = CORE_LATENT + (FIELD_LATENT if has_field else 0)
        for number, term in enumerate(terms):
            self.register_buffer(f"disc_{number}", _disc(term))
        self.register_buffer("bright_disc", _disc(Term("core", "difference", SOURCE_RADIUS_PIXELS)))
        self.register_buffer("brightness_range", torch.tensor([0.0, MAX_VALUE]))
        self.register_buffer("coefficients", torch.zeros(3, len(terms)))
        self.register_buffer("scale", torch.ones(len(terms)))

    def loss(self, stamps: Tensor) -> Tensor:
        """Return the autoencoders' losses, which share no weight, as one number."""
        of_core = self.core.loss(_core_of(stamps))
        return of_core if self.field is None else self.field.loss(binned(stamps)) + of_core

    def powers(self, stamps: Tensor) -> Tensor:
        """``(n, 6, 63, 63)`` -> 1, b and b squared ``(n, 3)``; b is the source's brightness, scaled as its pixels are.

        A bright source is reconstructed less well, in noise levels, than a faint one: odd is what is worse than others
        as bright. Beyond the brightness of the normals it was fitted to nothing is extrapolated.
        """
        peak = (_core_of(stamps)[:, 2] * self.bright_disc).amax(dim=(1, 2))
        brightness = torch.minimum(torch.maximum(peak, self.brightness_range[0]), self.brightness_range[1])
        return torch.stack([torch.ones_like(brightness), brightness, brightness * brightness], dim=1)

    def terms(self, stamps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(n, 6, 63, 63)`` -> log of each term ``(n, 6)``, latent ``(n, 44)``, reconstruction and deviation.

        Reconstruction, in the input's scale, and deviation, the residual in expected deviations, are
        ``(n, 2, 3, 21, 21)``: the field's and the core's (:func:`annotator.preprocess.triplet.composed`); without a
        field's autoencoder nothing is expected there, and nothing deviates.
        """
        core = _core_of(stamps)
        core_residual, _, core_mean, core_latent = self.core(core)
        powers = {"core": (_fourth_power(core_residual), core)}
        if self.field is None:
            field_mean = field_residual = torch.zeros_like(core_mean)
            latent = core_latent
        else:
            field = binned(stamps)
            field_residual, _, field_mean, field_latent = self.field(field)
            powers["field"] = _fourth_power(field_residual), field
            latent = torch.cat([field_latent, core_latent], dim=1)
        logs = []
        for number, term in enumerate(self.error_terms):
            channel, (power, seen) = CHANNELS.index(term.channel), powers[term.network]
            weight = seen[:, len(CHANNELS) + channel] * getattr(self, f"disc_{number}")
            total = sum_of_rows((power[:, channel] * weight).flatten(1))
            mean = total / sum_of_rows(weight.flatten(1)).clamp(min=1.0)
            logs.append(0.25 * torch.log(mean.clamp(min=1e-6)))
        return (
            torch.stack(logs, dim=1),
            latent,
            torch.stack([field_mean, core_mean], dim=1),
            torch.stack([field_residual, core_residual], dim=1),
        )

    def forward(self, stamps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """``(n, 6, 63, 63)`` -> error ``(n,)``, terms in robust deviations ``(n, 6)``, and what :meth:`terms` adds."""
        logs, *others = self.terms(stamps)
        excess = ((logs - self.powers(stamps) @ self.coefficients) / self.scale).clamp(-MAX_EXCESS, MAX_EXCESS)
        return combined(excess), excess, *others


def combined(excess: Tensor) -> Tensor:
    """Return the fourth-power mean of log(1 + exp(excess)): ``(n, d)`` -> ``(n,)``, led by the largest term."""
    square = functional.softplus(excess).square()
    return (sum_of_rows(square * square) / excess.shape[1]).sqrt().sqrt()


def fit_terms(model: TripletModel, stamps: Tensor) -> None:
    """Set what each term normally is at a brightness, and its robust deviation, from normals that trained nothing."""
    with torch.no_grad():
        logs = torch.cat([model.terms(part)[0] for part in stamps.split(128)]).numpy().astype(np.float64)
        peak = model.powers(stamps)[:, 1]
        model.brightness_range.copy_(torch.quantile(peak, torch.tensor([0.02, 0.98])))
        powers = model.powers(stamps).numpy().astype(np.float64)
    weights = np.ones_like(logs)
    for _ in range(N_REWEIGHTS):  # least absolute deviations: the curve of the medians, which the oddest do not bend
        fits = [
            np.linalg.lstsq(powers * w[:, None], log * w, rcond=None)[0]
            for w, log in zip(weights.T, logs.T, strict=True)
        ]
        coefficients = np.stack(fits, axis=1)
        weights = 1 / np.sqrt(np.maximum(np.abs(logs - powers @ coefficients), 1e-2))
    left = logs - powers @ coefficients
    low, high = np.percentile(left, [15.8655, 84.1345], axis=0)
    model.coefficients.copy_(torch.from_numpy(coefficients))
    model.scale.copy_(torch.from_numpy(np.maximum((high - low) / 2, 1e-3)))


def binned(stamps: Tensor) -> Tensor:
    """``(n, 6, 63, 63)`` -> ``(n, 6, 21, 21)``: the mean of the pixels of each bin that are there, and their share."""
    n_bins = SIDE // BINS_PIXELS
    sums = stamps.reshape(-1, 2 * len(CHANNELS), n_bins, BINS_PIXELS, n_bins, BINS_PIXELS).sum(dim=(3, 5))
    values, n_present = sums[:, : len(CHANNELS)], sums[:, len(CHANNELS) :]
    return torch.cat([values / n_present.clamp(min=1.0), n_present / BINS_PIXELS**2], dim=1)


def _core_of(stamps: Tensor) -> Tensor:
    return stamps[:, :, _CORE, _CORE]


def _fourth_power(residual: Tensor) -> Tensor:
    bounded = residual.clamp(-MAX_RESIDUAL, MAX_RESIDUAL)
    square = bounded * bounded
    return square * square


def _disc(term: Term) -> Tensor:
    rows, columns = np.mgrid[:CORE_SIDE, :CORE_SIDE] - CORE_SIDE // 2
    return torch.from_numpy((term.box_pixels * np.hypot(rows, columns) <= term.radius_pixels).astype(np.float32))
