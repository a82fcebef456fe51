"""AHA's own recipe, reproduced for comparison.

Written from a description of arXiv 2602.12955 and its notebooks 03 and 04, with their quirks: the spectroscopic
redshift of TNS as an input, -999 as a number, oversampling before the split and in the units of the file, exotics in
training, scaling fitted to all rows. The annotator does not load what comes out.
"""

import copy
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.errors import ConfigError
from annotator.preprocess.features import FEATURE_NAMES
from annotator.surveys.ztf.candidates import number
from annotator.surveys.ztf.parse import SENTINEL
from training.data.table import Table
from training.features.network import Autoencoder, mean_huber

INPUT_NAMES = (*FEATURE_NAMES, "z")
SMOTE_SEED = 42
SMOTE_NEIGHBOURS = 8
OVERSAMPLED = ("SN II", "SN Ib/c")  # up to the number of SN Ia
UNKNOWN_FLAG = 1e-6


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


def inputs(table: Table) -> NDArray[np.float32]:
    """Return AHA's 22 inputs ``(n, 22)``: sentinels as the numbers they are, NaN where the file has nothing."""
    return _numbers(table, INPUT_NAMES).astype(np.float32)


def oversample(table: Table) -> NDArray[np.float32]:
    """Return synthetic rows ``(m, 22)`` that bring SN II and SN Ib/c up to the number of SN Ia.

    SMOTE (Chawla et al. 2002) with 8 neighbours over all numeric columns of the file, positions and dates included, in
    their own units, each with a flag for "unknown"; a synthetic value is unknown where either parent's is.
    """
    from imblearn.over_sampling import SMOTE

    labels = table.column("source_label")
    counts = Counter(labels.tolist())
    targets = {label: counts["SN Ia"] for label in OVERSAMPLED if 0 < counts[label] < counts["SN Ia"]}
    if not targets:
        return np.empty((0, len(INPUT_NAMES)), dtype=np.float32)
    if min(counts[label] for label in targets) <= SMOTE_NEIGHBOURS:
        raise ConfigError(
            f"--data {table.file_name}: AHA's recipe needs more than {SMOTE_NEIGHBOURS} objects of a class to "
            f"oversample it, found {dict(counts)}; collect more objects"
        )
    names = _numeric_columns(table)
    values = _numbers(table, names)
    is_unknown = np.isnan(values) | (values == SENTINEL)
    medians = np.nan_to_num(np.nanmedian(np.where(is_unknown, np.nan, values), axis=0))
    design = np.hstack([np.where(is_unknown, medians, values), is_unknown.astype(float)])
    sampler = SMOTE(sampling_strategy=targets, k_neighbors=SMOTE_NEIGHBOURS, random_state=SMOTE_SEED)
    synthetic = sampler.fit_resample(design, labels)[0][len(labels) :]
    result = np.full((len(synthetic), len(INPUT_NAMES)), SENTINEL)
    for j, name in enumerate(INPUT_NAMES):
        if name in names:
            i = names.index(name)
            rounded = np.round(synthetic[:, i], _median_decimals(table, name))
            result[:, j] = np.where(synthetic[:, len(names) + i] > UNKNOWN_FLAG, SENTINEL, rounded)
    return result.astype(np.float32)


def fit(
    scale_rows: NDArray[np.float32],
    train: NDArray[np.float32],
    validation: NDArray[np.float32],
    settings: AhaSettings,
    seed: int,
) -> tuple[AhaModel, int]:
    """Fit AHA's network; return it at its best epoch, and the number of epochs run."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = AhaModel(scale_rows)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, eps=1e-7
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _cosine(settings))
    train_rows, validation_rows = torch.from_numpy(train), torch.from_numpy(validation)
    best, best_state, waited, epoch = math.inf, copy.deepcopy(model.state_dict()), 0, 0
    while epoch < settings.epochs and waited < settings.patience:
        epoch += 1
        model.train()
        for rows in torch.randperm(len(train)).split(settings.batch_size):
            if len(rows) < 2:  # batch normalisation has no variance of one row
                continue
            optimizer.zero_grad()
            model(train_rows[rows])[0].mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_norm)
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            error = model(validation_rows)[0].mean().item()
        if error < best - settings.min_delta:
            best, best_state, waited = error, copy.deepcopy(model.state_dict()), 0
        else:
            waited += 1
    model.load_state_dict(best_state)
    return model.eval(), epoch


def _cosine(settings: AhaSettings) -> Callable[[int], float]:
    def factor(update: int) -> float:
        fraction = min(update, settings.decay_updates) / settings.decay_updates
        return settings.floor + (1 - settings.floor) * 0.5 * (1 + math.cos(math.pi * fraction))

    return factor


def errors_of(model: AhaModel, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the reconstruction errors ``(n,)`` of ``(n, 22)`` rows."""
    with torch.no_grad():
        return model(torch.from_numpy(rows))[0].numpy().astype(np.float64)


def _numeric_columns(table: Table) -> list[str]:
    """Return the names of the columns in which every filled cell is a number."""
    names = []
    for name in table.rows[0]:
        cells = [text for row in table.rows if (text := row.get(name))]
        if cells and all(number(text) is not None for text in cells):
            names.append(name)
    return names


def _numbers(table: Table, names: tuple[str, ...] | list[str]) -> NDArray[np.float64]:
    cells = [[number(row.get(name)) for name in names] for row in table.rows]
    return np.array([[np.nan if value is None else value for value in row] for row in cells])


def _median_decimals(table: Table, name: str) -> int:
    return int(np.median([len(text.partition(".")[2]) for row in table.rows if (text := row.get(name))]))
