"""Fit the light-curve autoencoder to normal objects as they look at any age."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotator.preprocess.lightcurve import MIN_DETECTIONS, Detections, grid, within_grid
from training import recipe
from training.lightcurve.injection import MAX_ERROR_MAG
from training.lightcurve.network import LightCurveModel, mean_loss


@dataclass(frozen=True)
class LightCurveSettings(recipe.FitSettings):
    """How a fit is made."""

    epochs: int = 60
    batch_size: int = 128
    peak_learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    gradient_norm: float = 5.0
    versions: int = 24
    """States of each curve that training draws from, one an epoch; the first is the whole curve."""
    truncate_probability: float = 0.6
    """Only what was seen up to a random night."""
    thin_probability: float = 0.5
    """Only some of the detections, so that one catalogue's cadence is not learned."""
    fade_probability: float = 0.5
    """Fainter by up to `max_fade_mag`, as much noisier, epochs below the depth gone."""
    max_fade_mag: float = 1.5
    max_hidden: float = 0.2
    """Share of a curve's points that the encoder is not shown and must reconstruct all the same."""
    seed: int = 0


@dataclass(frozen=True)
class LightCurveFit:
    """A fitted model and where its training stopped."""

    model: LightCurveModel
    epoch: int
    """The epoch kept, from 1."""
    validation_error: float
    """Mean loss over the versions of validation normals."""
    held_out: tuple[Tensor, Tensor]
    """Each validation version's loss ``(m,)`` and support ``(m, 352)``."""


def truncated(curve: Detections, rng: np.random.Generator) -> Detections:
    """Return what was seen of a curve up to a random one of its epochs that leaves enough to score."""
    times = np.unique(curve.time_days)
    enough = [t for t in times if np.count_nonzero(curve.time_days <= t) >= MIN_DETECTIONS]
    return scorable(curve.where(curve.time_days <= rng.choice(enough)), curve)


def scorable(curve: Detections, otherwise: Detections) -> Detections:
    """Return a curve if it has what the model needs, else another."""
    is_enough = len(curve) >= MIN_DETECTIONS and within_grid(curve).sum() >= MIN_DETECTIONS
    return curve if is_enough else otherwise


def vary(curve: Detections, settings: LightCurveSettings, rng: np.random.Generator) -> Detections:
    """Return a curve as it could have been seen: younger, with fewer visits, farther away."""
    varied = curve
    if rng.random() < settings.truncate_probability:
        varied = truncated(varied, rng)
    if rng.random() < settings.thin_probability:
        varied = scorable(varied.where(rng.random(len(varied)) < rng.uniform(0.3, 1.0)), varied)
    if rng.random() < settings.fade_probability:
        fade_mag = rng.uniform(0.0, settings.max_fade_mag)
        error = varied.error_mag * 10 ** (0.4 * fade_mag)
        added = rng.normal(0.0, np.sqrt(error**2 - varied.error_mag**2))
        faded = Detections(varied.time_days, varied.band, varied.magnitude + added, error)
        varied = scorable(faded.where(error <= MAX_ERROR_MAG), varied)
    return varied


def make_versions(curves: Sequence[Detections], settings: LightCurveSettings) -> NDArray[np.float32]:
    """Return the states of each curve that training draws from: ``(n, versions, 3, 2, 176)``."""
    rng = np.random.default_rng(settings.seed)
    states = [curve if k == 0 else vary(curve, settings, rng) for curve in curves for k in range(settings.versions)]
    tensors = grid(states)
    return tensors.reshape(len(curves), settings.versions, *tensors.shape[1:])


def fit_lightcurves(
    train: NDArray[np.float32], validation: NDArray[np.float32], settings: LightCurveSettings, name: str = "lightcurve"
) -> LightCurveFit:
    """Fit weights to `train`, keep the epoch that reconstructs `validation` best.

    Parameters
    ----------
    train, validation
        ``(n, versions, 3, 2, 176)`` of normal objects.
    name
        What the log calls the fit.
    """
    torch.manual_seed(settings.seed)
    model = LightCurveModel()
    n, n_versions = train.shape[:2]
    pool, held_out = torch.from_numpy(train), _flat(torch.from_numpy(validation).flatten(0, 1))

    def losses(batches: Sequence[Tensor]) -> Iterator[Tensor]:
        version = torch.randint(n_versions, (n,))
        for rows in batches:
            brightness, uncertainty, support = _flat(pool[rows, version[rows]])
            hidden = torch.rand_like(support) < settings.max_hidden * torch.rand(len(rows), 1)
            residual, noise, *_ = model.compare(brightness, uncertainty, support, support * ~hidden)
            yield mean_loss(residual / noise, support).mean()

    def validate(model: LightCurveModel) -> float:
        return _losses(model, held_out).mean().item()

    descent = recipe.one_cycle(model, n, settings)
    best = recipe.fit(name, model, n, settings.epochs, descent, losses, validate)
    return LightCurveFit(best.model, best.epoch, best.error, (_losses(best.model, held_out), held_out[2]))


def set_common_sampling(fits: Sequence[LightCurveFit]) -> None:
    """Give all models the same sampling terms, from every normal as scored by the model it stopped, not trained."""
    losses, supports = (torch.cat([fit.held_out[part] for fit in fits]) for part in (0, 1))
    for fit in fits:
        fit.model.set_sampling(losses, supports)


def _flat(tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``(n, 3, 2, 176)`` -> brightness, uncertainty and support, each ``(n, 352)``."""
    return tuple(tensors[:, i].flatten(1) for i in range(3))


def _losses(model: LightCurveModel, parts: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    brightness, uncertainty, support = parts
    with torch.no_grad():
        residual, noise, *_ = model.compare(brightness, uncertainty, support, support)
        return mean_loss(residual / noise, support)


def errors_of(model: LightCurveModel, curves: Sequence[Detections]) -> NDArray[np.float64]:
    """Return the errors ``(n,)`` of curves that can be scored."""
    with torch.no_grad():
        return model(torch.from_numpy(grid(curves)))[0].numpy().astype(np.float64)
