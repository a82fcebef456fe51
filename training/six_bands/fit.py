"""Fit the autoencoder of six bands to normal objects as a survey sees them: at any age, some bands, near and far."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotator.preprocess.lightcurve import Detections
from annotator.preprocess.nightly import NIGHT_GAP_DAYS
from annotator.preprocess.six_bands import CHANNELS, grid, usable_nights_of, within_grid
from annotator.preprocess.usable import MIN_POINTS
from annotator.transient import LightCurve
from training import recipe
from training.data.carried import DETECTED
from training.data.classified_curves import at_random_epoch, measured_where
from training.six_bands.network import SixBandModel, mean_loss

_SUPPORT = CHANNELS.index("support")


@dataclass(frozen=True)
class SixBandSettings(recipe.FitSettings):
    """How a fit is made."""

    epochs: int = 40
    batch_size: int = 256
    peak_learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    gradient_norm: float = 5.0
    versions: int = 10
    """States of each simulated curve; of a real one that was carried over half as many."""
    fade_probability: float = 0.6
    max_fade_mag: float = 2.0
    """Farther away by up to so much: those that are learned from are brighter than a survey's are."""
    random_epoch_probability: float = 0.35
    """Only what was seen up to a random night with a detection."""
    young_probability: float = 0.45
    """Up to one that is as likely in the logarithm of how many there are: the young are as well known as the old."""
    fewer_bands_probability: float = 0.15
    thin_probability: float = 0.3
    max_hidden: float = 0.3
    """Share of a curve's cells that the encoder is not shown and must reconstruct all the same."""
    seed: int = 0


@dataclass(frozen=True)
class SixBandFit:
    """A fitted model and where its training stopped."""

    model: SixBandModel
    epoch: int
    """The epoch kept, from 1."""
    validation_error: float
    """Mean loss over the states of validation normals."""


def vary(curve: LightCurve, settings: SixBandSettings, rng: np.random.Generator) -> LightCurve:
    """Return a curve as it could have been seen: farther away, younger, in fewer bands, on fewer nights."""
    varied = curve
    if rng.random() < settings.fade_probability:
        varied = _faded(varied, settings.max_fade_mag, rng)
    chosen = rng.random()
    if chosen < settings.random_epoch_probability:
        varied = at_random_epoch(varied, rng)
    elif chosen < settings.random_epoch_probability + settings.young_probability:
        varied = _young(varied, rng)
    if rng.random() < settings.fewer_bands_probability:
        bands = np.unique(varied.band)
        kept = rng.permutation(bands)[: rng.integers(1, len(bands) + 1)]
        varied = measured_where(varied, np.isin(varied.band, kept))
    if rng.random() < settings.thin_probability:
        varied = measured_where(varied, rng.random(len(varied)) < rng.uniform(0.3, 1.0))
    return varied


def _faded(curve: LightCurve, max_fade_mag: float, rng: np.random.Generator) -> LightCurve:
    """Return a curve of a source farther away, under the same sky."""
    share, error = 10 ** (-0.4 * rng.uniform(0.0, max_fade_mag)), curve.flux_error_njy
    flux = share * curve.flux_njy + rng.normal(0.0, error * np.sqrt(1 - share**2))
    is_forced = flux < DETECTED * error
    if np.count_nonzero(~is_forced) < MIN_POINTS:
        return curve
    return dataclasses.replace(curve, flux_njy=flux, is_forced=is_forced)


def _young(curve: LightCurve, rng: np.random.Generator) -> LightCurve:
    """Return what was seen up to one of the nights with a detection, the first ones as likely as the many later."""
    detected = np.sort(curve.time_mjd[~curve.is_forced])
    if not len(detected):
        return curve
    ends = detected[np.append(np.diff(detected) > NIGHT_GAP_DAYS, True)]
    n = int(np.exp(rng.uniform(np.log(2), np.log(len(ends) + 1)))) if len(ends) > 1 else 1
    return measured_where(curve, curve.time_mjd <= ends[min(n, len(ends)) - 1])


def enough(nights: Detections) -> bool:
    """Tell whether there is what the model needs."""
    return len(nights) >= MIN_POINTS and np.count_nonzero(within_grid(nights)) >= MIN_POINTS


def states_of(curves: Sequence[LightCurve]) -> list[Detections]:
    """Return what counts of those light curves that have enough."""
    return [nights for nights in usable_nights_of(curves) if enough(nights)]


def varied_states(
    curves: Sequence[LightCurve], n_versions: int, settings: SixBandSettings, seed: int
) -> NDArray[np.float32]:
    """Return inputs ``(m, 4, 6, 22)`` of so many states of each curve."""
    parts = []
    for version in range(n_versions):
        rngs = (np.random.default_rng([settings.seed, seed, version, number]) for number in range(len(curves)))
        parts.append(grid(states_of([vary(c, settings, rng) for c, rng in zip(curves, rngs, strict=True)])))
    return np.concatenate(parts)


def fit_six_bands(train: NDArray[np.float32], validation: NDArray[np.float32], settings: SixBandSettings) -> SixBandFit:
    """Fit weights to `train`, keep the epoch that reconstructs `validation` best, and take from that what is typical.

    Parameters
    ----------
    train, validation
        States of normal objects ``(m, 4, 6, 22)``, of other objects each.
    """
    torch.manual_seed(settings.seed)
    model = SixBandModel()
    pool, held_out = torch.from_numpy(train), torch.from_numpy(validation)

    def losses(batches: Sequence[Tensor]) -> Iterator[Tensor]:
        for rows in batches:
            given = pool[rows]
            support = given[:, _SUPPORT].flatten(1)
            hidden = torch.rand_like(support) < settings.max_hidden * torch.rand(len(rows), 1)
            deviation, _, latent, _ = model.compare(given, support * ~hidden)
            yield mean_loss(deviation, support).mean() + 1e-3 * latent.square().sum(dim=1).mean()

    descent = recipe.one_cycle(model, len(pool), settings)
    best = recipe.fit(
        "six bands", model, len(pool), settings.epochs, descent, losses, lambda m: _losses(m, held_out).mean().item()
    )
    best.model.set_typical(_losses(best.model, held_out), held_out)
    return SixBandFit(best.model, best.epoch, best.error)


def _losses(model: SixBandModel, given: Tensor) -> Tensor:
    support = given[:, _SUPPORT].flatten(1)
    with torch.no_grad():
        return mean_loss(model.compare(given, support)[0], support)


def errors_of(model: SixBandModel, states: Sequence[Detections]) -> NDArray[np.float64]:
    """Return the errors ``(n,)`` of states that have enough."""
    with torch.no_grad():
        return model(torch.from_numpy(grid(states)))[0].numpy().astype(np.float64)
