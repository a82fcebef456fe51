"""The triplet's network: autoencoders of the stamps and of their middle, errors weighed by expected noise."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from annotator.preprocess.triplet import CENTRE, CHANNELS, MAX_VALUE, SIDE
from training.export.rows import sum_of_rows

FIELD_WIDTHS = (8, 24, 64)
FIELD_LATENT = 32
CORE_SIDE = 21
CORE_WIDTHS = (24, 48)
CORE_LATENT = 12
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
    box_pixels: int
    """Side of the box over which residuals are averaged first: what is faint in each pixel adds up."""
    radius_pixels: float
    """Of the disc about the object."""

    @property
    def name(self) -> str:
        """For a manifest."""
        return f"{self.network} {self.channel}, box {self.box_pixels}, radius {self.radius_pixels:g}"


TERMS = (
    Term("field", "difference", 1, 5),
    Term("field", "difference", 3, 45),
    Term("field", "science", 1, 5),
    Term("core", "difference", 1, 6),
    Term("core", "difference", 3, 15),
    Term("core", "template", 1, 6),
)


class ConvolutionalAutoencoder(nn.Module):
    """Strided convolutions down to a few numbers, and the mirror of it up to a mean and a log noise per pixel."""

    def __init__(self, side: int, widths: tuple[int, ...], n_latent: int) -> None:
        super().__init__()
        sides, channels = [side], [2 * len(CHANNELS), *widths]
        for _ in widths:
            sides.append((sides[-1] + 1) // 2)
        n_flat = widths[-1] * sides[-1] ** 2
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for i, (n_in, n_out) in enumerate(zip(channels, widths, strict=False)):
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
            nn.Unflatten(1, (widths[-1], sides[-1], sides[-1])),
            *up,
        )

    def forward(self, stamps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(n, 6, s, s)`` -> residual in expected deviations, log noise and mean, ``(n, 3, s, s)``, and latent."""
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
    """The whole graph: both autoencoders, the error's terms, and the error."""

    def __init__(self) -> None:
        super().__init__()
        self.field = ConvolutionalAutoencoder(SIDE, FIELD_WIDTHS, FIELD_LATENT)
        self.core = ConvolutionalAutoencoder(CORE_SIDE, CORE_WIDTHS, CORE_LATENT)
        for number, term in enumerate(TERMS):
            self.register_buffer(f"disc_{number}", _disc(term))
        self.register_buffer("bright_disc", _disc(Term("field", "difference", 1, SOURCE_RADIUS_PIXELS)))
        self.register_buffer("brightness_range", torch.tensor([0.0, MAX_VALUE]))
        self.register_buffer("coefficients", torch.zeros(3, len(TERMS)))
        self.register_buffer("scale", torch.ones(len(TERMS)))

    def loss(self, stamps: Tensor) -> Tensor:
        """Return both autoencoders' losses, which share no weight, as one number."""
        return self.field.loss(stamps) + self.core.loss(stamps[:, :, _CORE, _CORE])

    def powers(self, stamps: Tensor) -> Tensor:
        """``(n, 6, 63, 63)`` -> 1, b and b squared ``(n, 3)``; b is the source's brightness, scaled as its pixels are.

        A bright source is reconstructed less well, in noise levels, than a faint one: odd is what is worse than others
        as bright. Beyond the brightness of the normals it was fitted to nothing is extrapolated.
        """
        peak = (stamps[:, 2] * self.bright_disc).amax(dim=(1, 2))
        brightness = torch.minimum(torch.maximum(peak, self.brightness_range[0]), self.brightness_range[1])
        return torch.stack([torch.ones_like(brightness), brightness, brightness * brightness], dim=1)

    def terms(self, stamps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(n, 6, 63, 63)`` -> log of each term ``(n, 6)``, latent ``(n, 44)``, reconstruction and deviation.

        Reconstruction, in the input's scale, and deviation, the residual in expected deviations, are
        ``(n, 3, 63, 63)``; their middle is the core's.
        """
        core = stamps[:, :, _CORE, _CORE]
        field_residual, _, field_mean, field_latent = self.field(stamps)
        core_residual, _, core_mean, core_latent = self.core(core)
        logs, boxed = [], {}
        for number, term in enumerate(TERMS):
            residual, present = (
                (field_residual, stamps[:, 3:]) if term.network == "field" else (core_residual, core[:, 3:])
            )
            channel = CHANNELS.index(term.channel)
            key = (term.network, channel, term.box_pixels)
            if key not in boxed:
                boxed[key] = _boxed(residual[:, channel : channel + 1], term.box_pixels)
            weight = present[:, channel : channel + 1] * getattr(self, f"disc_{number}")
            total = sum_of_rows((boxed[key] * weight).flatten(1))
            mean = total / weight.sum(dim=(1, 2, 3)).clamp(min=1.0)
            logs.append(0.25 * torch.log(mean.clamp(min=1e-6)))
        latent = torch.cat([field_latent, core_latent], dim=1)
        return (
            torch.stack(logs, dim=1),
            latent,
            _composed(field_mean, core_mean),
            _composed(field_residual, core_residual),
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


def _boxed(residual: Tensor, box_pixels: int) -> Tensor:
    """Average in boxes, in units of the average's own deviation if pixels were independent; to the fourth power."""
    if box_pixels > 1:
        # Along one axis after the other: a pool of both takes three times as long in the graph.
        for axis in (2, 3):
            residual = _summed(residual, box_pixels, axis)
        residual = residual / box_pixels
    square = residual.clamp(-MAX_RESIDUAL, MAX_RESIDUAL).square()
    return square * square


def _summed(values: Tensor, n_pixels: int, axis: int) -> Tensor:
    """Sum each pixel and its neighbours along an axis; beyond the edge there is nothing."""
    reach, side = n_pixels // 2, values.shape[axis]
    edges = (0, 0, reach, reach) if axis == 2 else (reach, reach)
    padded = functional.pad(values, edges)
    return sum(padded.narrow(axis, start, side) for start in range(1, n_pixels)) + padded.narrow(axis, 0, side)


def _composed(field: Tensor, core: Tensor) -> Tensor:
    """Put the core in the middle of the field: ``(n, 3, 63, 63)`` and ``(n, 3, 21, 21)`` -> ``(n, 3, 63, 63)``."""
    left, right = field[:, :, _CORE, : _CORE.start], field[:, :, _CORE, _CORE.stop :]
    middle = torch.cat([left, core, right], dim=3)
    return torch.cat([field[:, :, : _CORE.start], middle, field[:, :, _CORE.stop :]], dim=2)


def _disc(term: Term) -> Tensor:
    side = SIDE if term.network == "field" else CORE_SIDE
    rows, columns = np.mgrid[:side, :side] - side // 2
    return torch.from_numpy((np.hypot(rows, columns) <= term.radius_pixels).astype(np.float32))
