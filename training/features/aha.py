"""`aha-train features --recipe aha`: AHA's recipe, measured on its own split and on ours, for comparison.

Written from a description of arXiv 2602.12955 and its notebooks 03 and 04, with their quirks: the spectroscopic
redshift of TNS as an input, -999 as a number, oversampling before the split and in the units of the file, exotics in
training, scaling fitted to all rows. The annotator does not load what comes out.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.models import manifest as manifests
from annotator.models.manifest import Manifest, Reference
from annotator.sandbox.sky.night import simulate_night
from annotator.surveys.ztf.columns import FEATURE_NAMES
from annotator.surveys.ztf.parse import SENTINEL
from annotator.surveys.ztf.record import ZTF
from training import recipe
from training.data.folds import N_FOLDS
from training.data.table import Table, read_table
from training.export.comparison import read_comparison, refuse_served, write_comparison
from training.export.graph import describe_graph, export_graph
from training.features.aha_inputs import INPUT_NAMES, inputs, oversample
from training.features.fit import check_trainable
from training.features.network import Autoencoder, mean_huber
from training.metrics import ranking as evaluate
from training.metrics.calibrate import uniform_calibrated
from training.recipe import REFERENCE_NIGHT, SURVEY, check_writable, in_processes

log = logging.getLogger(__name__)

SPLIT_SEED = 42  # AHA's own
N_SEEDS = 5


@dataclass(frozen=True)
class AhaSettings:
    """AHA's training settings; an update is one batch."""

    epochs: int = 500
    batch_size: int = 32
    learning_rate: float = 1e-3
    decay_updates: int = 500
    """The cosine reaches its floor after two epochs: AHA gave its number of epochs where Keras counts updates."""
    floor: float = 0.1
    weight_decay: float = 1e-5
    gradient_norm: float = 5.0
    patience: int = 30
    min_delta: float = 1e-6


class AhaModel(nn.Module):
    """Min-max scaling, AHA's network with a sigmoid at its end, mean Huber loss over the 22 inputs."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        super().__init__()
        low, high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
        self.register_buffer("median", torch.from_numpy(np.nanmedian(rows, axis=0).astype(np.float32)))
        self.register_buffer("low", torch.from_numpy(low))
        self.register_buffer("span", torch.from_numpy(np.where(high > low, high - low, 1).astype(np.float32)))
        self.autoencoder = Autoencoder(rows.shape[1], rows.shape[1])
        for module in self.autoencoder.modules():  # as Keras makes them
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm1d):
                module.eps, module.momentum = 1e-3, 0.01

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(n, 22)``, -999 where unknown -> error ``(n,)``, residual ``(n, 22)``, latent ``(n, 8)``."""
        filled = torch.where(torch.isnan(features), self.median, features)
        scaled = (filled - self.low) / self.span
        reconstruction, latent = self.autoencoder(scaled)
        residual = scaled - torch.sigmoid(reconstruction)
        return mean_huber(residual, torch.ones_like(residual)), residual, latent


def within_cut(table: Table) -> Table:
    """Return the rows that pass AHA's quality cut."""
    return table.subset(table.is_within_aha_cut)


def fit(
    scale_rows: NDArray[np.float32],
    train: NDArray[np.float32],
    validation: NDArray[np.float32],
    settings: AhaSettings,
    seed: int,
    name: str,
) -> tuple[AhaModel, int]:
    """Fit AHA's network; return it at its best epoch, and the number of epochs run; the log calls it `name`."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = AhaModel(scale_rows)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, eps=1e-7
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _cosine(settings))
    train_rows, validation_rows = torch.from_numpy(train), torch.from_numpy(validation)

    def losses(batches: Sequence[Tensor]) -> Iterator[Tensor]:
        for rows in batches:
            if len(rows) > 1:  # batch normalisation has no variance of one row
                yield model(train_rows[rows])[0].mean()

    best = recipe.fit(
        name,
        model,
        len(train),
        settings.epochs,
        recipe.Descent(settings.batch_size, optimizer, schedule, settings.gradient_norm),
        losses,
        lambda model: model(validation_rows)[0].mean().item(),
        settings.patience,
        settings.min_delta,
    )
    return best.model, best.epochs_run


def _cosine(settings: AhaSettings) -> Callable[[int], float]:
    def factor(update: int) -> float:
        fraction = min(update, settings.decay_updates) / settings.decay_updates
        return settings.floor + (1 - settings.floor) * 0.5 * (1 + math.cos(math.pi * fraction))

    return factor


def errors_of(model: AhaModel, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the reconstruction errors ``(n,)`` of ``(n, 22)`` rows."""
    with torch.no_grad():
        return model(torch.from_numpy(rows))[0].numpy().astype(np.float64)


def reproduce(data: Path, out: Path, epochs: int | None, seed: int, jobs: int) -> None:
    """Train AHA's recipe, evaluate it on its own split and out-of-fold, and write ``aha.onnx`` and ``aha.json``.

    Raises
    ------
    ConfigError
        If the table cannot be trained on, or `out` holds the annotator's models, which these must not join.
    ModelError
        If a gate of the export fails.
    """
    refuse_served(out)
    check_writable(out)
    torch.set_num_threads(1)
    table = within_cut(read_table(data, SURVEY))
    check_trainable(table)
    settings = AhaSettings(**({"epochs": epochs} if epochs else {}))
    log.info("%d objects pass AHA's cut", len(table.rows))
    own = in_processes(partial(_own_split, table, settings, seed), N_SEEDS, jobs)
    found = in_processes(partial(_fold, table, settings, seed), N_FOLDS, jobs)
    errors = recipe.out_of_fold(table.model_of, lambda rotation, _: found[rotation])
    metrics = {
        "own_split": _own_metrics(table, [result.test_errors for result in own], own[0].test),
        "ranking": evaluate.evaluate({"reconstruction error": errors}, table) if table.is_exotic.any() else {},
    }
    graph = export_graph(own[0].model, {"features": inputs(table)})
    manifest = _manifest(table, graph, own, errors, metrics, seed)
    write_comparison(out, graph, manifest)


def _manifest(
    table: Table, graph: bytes, own: list["_OwnSplit"], errors: NDArray[np.float64], metrics: dict, seed: int
) -> Manifest:
    return Manifest(
        name="ztf object features, AHA's recipe",
        version="aha-reproduction",
        survey="ztf",
        modality="aha",
        recipe="aha",
        preprocess_version="aha",
        **describe_graph(graph),
        inputs=(manifests.Tensor("features", ("n", str(len(INPUT_NAMES))), f"float32: {', '.join(INPUT_NAMES)}"),),
        columns=(),
        outputs=(
            manifests.Tensor("error", ("n",), "float32, mean Huber loss (delta 1), min-max units"),
            manifests.Tensor("residual", ("n", str(len(INPUT_NAMES))), "float32, scaled input less reconstruction"),
            manifests.Tensor("latent", ("n", "8"), "float32, the bottleneck"),
        ),
        training={
            "data": table.file_name,
            "data_sha256": table.sha256,
            "counts": dict(Counter(table.column("source_label").tolist())),
            "split": f"AHA's: ceil of a tenth of the augmented number, from real rows; seed {SPLIT_SEED}",
            "seeds": [seed + i for i in range(N_SEEDS)],
            "epochs_run": [result.epochs_run for result in own],
        },
        metrics=metrics,
        calibrated=(uniform_calibrated("error", errors[~table.is_exotic]),),
        references=_references(own[0].model),
    )


def read_result(folder: Path, data: Path) -> Manifest:
    """Read what :func:`reproduce` wrote, and check that it is about the same table.

    Raises
    ------
    ConfigError
        If there is none, or it is about another table.
    """
    return read_comparison(folder, "aha", data, lambda: read_table(data, SURVEY).sha256)


@dataclass(frozen=True)
class _OwnSplit:
    model: AhaModel
    test: NDArray[np.int64]
    test_errors: NDArray[np.float64]
    epochs_run: int


def _own_split(table: Table, settings: AhaSettings, seed: int, number: int) -> _OwnSplit:
    """Fit one seed on AHA's split: the test part from real rows, a ninth of the rest to stop."""
    from sklearn.model_selection import train_test_split

    real = inputs(table)
    rows = np.vstack([real, oversample(table)])
    others, test = train_test_split(
        np.arange(len(real)), test_size=min(math.ceil(0.1 * len(rows)), len(real) // 2), random_state=SPLIT_SEED
    )
    rest = np.concatenate([others, np.arange(len(real), len(rows))])
    train, validation = train_test_split(rest, test_size=1 / 9, random_state=SPLIT_SEED)
    name = f"AHA's split, seed {seed + number}"
    model, epochs_run = fit(rows, rows[train], rows[validation], settings, seed + number, name)
    return _OwnSplit(model, test, errors_of(model, real[test]), epochs_run)


def _fold(table: Table, settings: AhaSettings, seed: int, rotation: int) -> NDArray[np.float64]:
    """Score one bin by a model that saw the others, oversampled from them alone; exotics in training, as in AHA."""
    from sklearn.model_selection import train_test_split

    test = table.split(rotation).test
    rest = table.subset(~test)
    rows = np.vstack([inputs(rest), oversample(rest)])
    train, validation = train_test_split(np.arange(len(rows)), test_size=1 / 9, random_state=SPLIT_SEED)
    everything = np.vstack([rows, inputs(table)[test]])
    name = f"out-of-fold, model {rotation + 1} of {N_FOLDS}"
    model, _ = fit(everything, rows[train], rows[validation], settings, seed, name)
    return errors_of(model, inputs(table)[test])


def _own_metrics(table: Table, errors: list[NDArray[np.float64]], test: NDArray[np.int64]) -> dict:
    is_exotic = table.is_exotic[test]
    if not is_exotic.any():
        return {}
    seeds = [evaluate.as_lists(evaluate.ranking(e, is_exotic)) for e in errors]
    values = {name: [seed[name][0] for seed in seeds] for name in ("auc", "ap", "hits")}
    return {
        "n_normal": int((~is_exotic).sum()),
        "n_exotic": int(is_exotic.sum()),
        "seeds": seeds,
        "mean_and_sd": {name: [float(np.mean(v)), float(np.std(v, ddof=1))] for name, v in values.items()},
    }


def _references(model: AhaModel) -> tuple[Reference, ...]:
    references = []
    for row in simulate_night(**REFERENCE_NIGHT).rows()[:5]:
        record = {name: SENTINEL if row.get(name) is None else row[name] for name in FEATURE_NAMES} | {"z": SENTINEL}
        with torch.no_grad():
            error, _, latent = model(torch.tensor([[record[name] for name in INPUT_NAMES]], dtype=torch.float32))
        identified = {ZTF.id_column: row[ZTF.id_column], **record}
        references.append(Reference(identified, error.item(), tuple(latent[0].tolist()), {}))
    return tuple(references)
