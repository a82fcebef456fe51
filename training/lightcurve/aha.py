"""`aha-train lightcurve --recipe aha`: AHA's light-curve recipe, measured on the same curves, for comparison.

Written from a description of arXiv 2602.12955 and its notebook 06, with its quirks: what one detection supports reaches
as far as its kernel does not underflow, a masked point is the median magnitude, apparent brightness is scored, exotics
are in training. It gets the same cleaned detections as ours (AHA's own let negative differences and other bands in).
The annotator does not load what comes out.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from annotator.errors import ConfigError
from annotator.models.manifest import Manifest, Reference, Tensor
from annotator.preprocess.lightcurve import (
    BANDWIDTH_FAR_DAYS,
    BANDWIDTH_NEAR_DAYS,
    GRID_BANDS,
    GRID_DAYS,
    NEAR_PEAK_DAYS,
    SHAPE,
    Detections,
    usable_detections,
)
from annotator.sandbox.sky.night import simulate_night
from annotator.surveys import SURVEYS
from training import recipe
from training.data.curves import CurveTable, read_curves
from training.data.folds import N_FOLDS, rotated
from training.export.comparison import read_comparison, refuse_served, write_comparison
from training.export.graph import describe_graph, export_graph
from training.lightcurve import evaluate as lightcurve_evaluate
from training.lightcurve.train import MAX_REFERENCE_CANDIDATES, reference_record
from training.metrics.calibrate import uniform_calibrated
from training.metrics.ranking import as_lists, ranking
from training.recipe import REFERENCE_NIGHT, check_writable, in_processes

log = logging.getLogger(__name__)

MIN_DETECTIONS, MIN_BASELINE_DAYS, MIN_IN_WINDOW, WINDOW_MARGIN_DAYS = 10, 40.0, 3, 6.0
PEAK_BOOST, PEAK_BOOST_DAYS = 3.0, 12.0
MIN_EFFECTIVE, FULL_EFFECTIVE = 1.0, 6.0
WIDTHS = (352, 256, 128, 64, 8)
SPLIT_SEED = 42  # AHA's own


@dataclass(frozen=True)
class AhaCurveSettings:
    """AHA's training settings."""

    epochs: int = 500
    batch_size: int = 128
    learning_rate: float = 1e-3


class AhaCurveModel(nn.Module):
    """Scaling by median and MAD of each band, AHA's network, weighted mean square error."""

    def __init__(self, train: NDArray[np.float32]) -> None:
        super().__init__()
        magnitude, weight = train[:, 0], train[:, 1]
        values = [magnitude[:, band][weight[:, band] > 0] for band in range(len(GRID_BANDS))]
        median = [float(np.median(v)) for v in values]
        mad = [float(np.median(np.abs(v - m))) or 1.0 for v, m in zip(values, median, strict=True)]
        self.register_buffer("median", torch.tensor(median).reshape(1, -1, 1))
        self.register_buffer("mad", torch.tensor(mad).reshape(1, -1, 1))
        self.encoder, self.decoder = _dense(WIDTHS), _dense(tuple(reversed(WIDTHS)))

    def forward(self, lightcurve: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``(n, 2, 2, 176)`` -> error ``(n,)``, residual ``(n, 2, 176)``, latent ``(n, 8)``."""
        magnitude, weight = lightcurve[:, 0], lightcurve[:, 1]
        scaled = torch.where(weight > 0, (magnitude - self.median) / self.mad, torch.zeros_like(magnitude))
        latent = self.encoder(scaled.flatten(1))
        residual = (scaled - self.decoder(latent).unflatten(1, SHAPE)) * (weight > 0)
        total = weight.sum(dim=(1, 2)).clamp(min=1e-6)
        return (weight * residual * residual).sum(dim=(1, 2)) / total, residual, latent


def _dense(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def aha_tensor(curve: Detections) -> NDArray[np.float32] | None:
    """Return AHA's ``(2, 2, 176)``, magnitude and loss weight, or None where its cuts refuse the curve."""
    phase = curve.time_days - curve.time_days[np.argmin(curve.magnitude)]
    in_window = (phase >= GRID_DAYS[0] - WINDOW_MARGIN_DAYS) & (phase <= GRID_DAYS[-1] + WINDOW_MARGIN_DAYS)
    if (
        len(curve) < MIN_DETECTIONS
        or np.ptp(phase) < MIN_BASELINE_DAYS
        or in_window.sum() < MIN_IN_WINDOW
        or not (phase < 0).any()
        or not (phase > 0).any()
    ):
        return None
    bandwidth = np.where(np.abs(GRID_DAYS) <= NEAR_PEAK_DAYS, BANDWIDTH_NEAR_DAYS, BANDWIDTH_FAR_DAYS)
    result = np.zeros((2, *SHAPE), dtype=np.float32)
    for number in range(len(GRID_BANDS)):
        chosen = in_window & (curve.band == number)
        if not chosen.any():
            continue
        days = phase[chosen]
        boost = 1 + PEAK_BOOST * np.exp(-0.5 * (days / PEAK_BOOST_DAYS) ** 2)
        kernel = np.exp(-0.5 * ((GRID_DAYS[:, None] - days) / bandwidth[:, None]) ** 2)
        weight = kernel * boost / curve.error_mag[chosen] ** 2
        total, square = weight.sum(axis=1), (weight**2).sum(axis=1)
        is_there = square > 0
        effective = np.where(is_there, total**2 / np.where(is_there, square, 1.0), 0.0)
        is_there &= effective >= MIN_EFFECTIVE * (1 - 1e-9)  # rounding alone must not mask
        mean = (weight @ curve.magnitude[chosen]) / np.where(is_there, total, 1.0)
        result[0, number] = np.where(is_there, mean, 0.0)
        result[1, number] = np.where(is_there, np.clip(effective / FULL_EFFECTIVE, 0.0, 1.0), 0.0)
    return result if np.count_nonzero(result[1]) >= MIN_IN_WINDOW else None


def fit(
    train: NDArray[np.float32], validation: NDArray[np.float32], settings: AhaCurveSettings, seed: int, name: str
) -> AhaCurveModel:
    """Fit AHA's network and return it at its best epoch; the log calls it `name`."""
    torch.manual_seed(seed)
    model = AhaCurveModel(train)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    rows, held_out = torch.from_numpy(train), torch.from_numpy(validation)

    def losses(batches: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        for batch in batches:
            _, residual, _ = model(rows[batch])
            weight = rows[batch, 1]
            yield (weight * residual * residual).sum() / weight.sum().clamp(min=1e-6)

    return recipe.fit(
        name,
        model,
        len(train),
        settings.epochs,
        recipe.Descent(settings.batch_size, optimizer),
        losses,
        lambda model: model(held_out)[0].mean().item(),
    ).model


def errors_of(model: AhaCurveModel, curves: Sequence[Detections]) -> NDArray[np.float64]:
    """Return AHA's errors ``(n,)``, NaN where its cuts refuse the curve."""
    errors = np.full(len(curves), np.nan)
    tensors = [(i, tensor) for i, curve in enumerate(curves) if (tensor := aha_tensor(curve)) is not None]
    if tensors:
        with torch.no_grad():
            found = model(torch.from_numpy(np.stack([tensor for _, tensor in tensors])))[0]
        errors[[i for i, _ in tensors]] = found.numpy()
    return errors


def reproduce(data: Path, labels: Path, out: Path, epochs: int | None, seed: int) -> None:
    """Train AHA's recipe, evaluate it, and write ``aha_lightcurve.onnx`` and ``aha_lightcurve.json``.

    Raises
    ------
    ConfigError
        If the curves cannot be trained on, or `out` holds the annotator's models, which these must not join.
    ModelError
        If a gate of the export fails.
    """
    refuse_served(out)
    check_writable(out)
    torch.set_num_threads(1)
    table = read_curves(data, labels)
    found = [aha_tensor(curve.detections) for curve in table.curves]
    kept = np.array([i for i, tensor in enumerate(found) if tensor is not None])
    if len(np.unique(table.folds[kept])) < N_FOLDS:
        raise ConfigError(
            f"--data {data}: expected curves within AHA's cuts in each of {N_FOLDS} bins of the names, found "
            f"{len(kept)} in all; collect more objects"
        )
    tensors = np.stack([found[i] for i in kept])
    log.info("%d of %d curves pass AHA's cuts", len(kept), len(table.curves))
    settings = AhaCurveSettings(**({"epochs": epochs} if epochs else {}))
    own_model, own_split = _own_split(tensors, table.is_exotic[kept], settings, seed)
    models = _fit_rotations(tensors, table.folds[kept], settings, seed)

    def scorer(rotation: int, curves: Sequence[Detections]) -> NDArray[np.float64]:
        return errors_of(models[rotation], curves)

    whole = lightcurve_evaluate.out_of_fold(scorer, [curve.detections for curve in table.curves], table.folds)
    metrics = {
        "own_split": own_split,
        "whole": lightcurve_evaluate.within_sources(table, {lightcurve_evaluate.METHOD: whole}),
        "injections": lightcurve_evaluate.injections(table, {"reconstruction error": scorer}),
    }
    graph = export_graph(own_model, {"lightcurve": tensors})
    normal_errors = whole[~table.is_exotic & np.isfinite(whole)]
    manifest = _manifest(table, len(kept), graph, own_model, normal_errors, metrics, settings, seed)
    write_comparison(out, graph, manifest)


def _fit_rotations(
    tensors: NDArray[np.float32], folds: NDArray[np.int64], settings: AhaCurveSettings, seed: int
) -> list[AhaCurveModel]:
    """Fit one model a rotation, exotics in training, as AHA does."""

    def fit_one(rotation: int) -> AhaCurveModel:
        split, name = rotated(folds, rotation), f"AHA's recipe, model {rotation + 1} of {N_FOLDS}"
        return fit(tensors[split.train], tensors[split.validation], settings, seed, name)

    return in_processes(fit_one, N_FOLDS)


def _own_split(
    tensors: NDArray[np.float32], is_exotic: NDArray[np.bool_], settings: AhaCurveSettings, seed: int
) -> tuple[AhaCurveModel, dict]:
    """Fit on AHA's own random split, 80/10/10, and measure on its test part, which the catalogues confound."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(tensors))
    train, validation, test = np.split(order, [int(0.8 * len(order)), int(0.9 * len(order))])
    model = fit(tensors[train], tensors[validation], settings, seed, "AHA's split")
    with torch.no_grad():
        errors = model(torch.from_numpy(tensors[test]))[0].numpy()
    exotic = is_exotic[test]
    if not exotic.any() or exotic.all():
        return model, {}
    metrics = as_lists(ranking(errors, exotic))
    return model, {"n_normal": int((~exotic).sum()), "n_exotic": int(exotic.sum())} | metrics


def _manifest(
    table: CurveTable,
    n_kept: int,
    graph: bytes,
    model: AhaCurveModel,
    normal_errors: NDArray[np.float64],
    metrics: dict,
    settings: AhaCurveSettings,
    seed: int,
) -> Manifest:
    sizes = tuple(map(str, SHAPE))
    return Manifest(
        name="ztf light curve, AHA's recipe",
        version="aha-reproduction",
        survey="ztf",
        modality="aha_lightcurve",
        recipe="aha",
        preprocess_version="aha",
        **describe_graph(graph),
        inputs=(Tensor("lightcurve", ("n", "2", *sizes), "float32: magnitude, loss weight; g, r; -50 to 300 days"),),
        columns=(),
        outputs=(
            Tensor("error", ("n",), "float32, weighted mean square error in units of the bands' MAD"),
            Tensor("residual", ("n", *sizes), "float32, scaled input less reconstruction"),
            Tensor("latent", ("n", str(WIDTHS[-1])), "float32, the bottleneck"),
        ),
        training={
            "data": table.file_name,
            "data_sha256": table.sha256,
            "counts": dict(Counter(table.column("label").tolist())),
            "n_within_cuts": n_kept,
            "split": f"AHA's: a random permutation, 80/10/10, seed {SPLIT_SEED}",
            "epochs": settings.epochs,
            "seed": seed,
        },
        metrics=metrics,
        calibrated=(uniform_calibrated("error", normal_errors),),
        references=_references(model),
    )


def _references(model: AhaCurveModel) -> tuple[Reference, ...]:
    references = []
    for simulated in simulate_night(**REFERENCE_NIGHT).objects:
        record = reference_record(simulated, MAX_REFERENCE_CANDIDATES)
        tensor = aha_tensor(usable_detections(SURVEYS["ztf"].parse(record).light_curve))
        if tensor is not None and len(references) < 3:
            with torch.no_grad():
                error, _, latent = model(torch.from_numpy(tensor[np.newaxis]))
            references.append(Reference(record, error.item(), tuple(latent[0].tolist()), {}))
    return tuple(references)


def read_result(folder: Path, data: Path, labels: Path) -> Manifest:
    """Read what :func:`reproduce` wrote, and check that it is about the same curves.

    Raises
    ------
    ConfigError
        If there is none, or it is about others.
    """
    return read_comparison(folder, "aha_lightcurve", data, lambda: read_curves(data, labels).sha256)
