"""AHA's own recipe, reproduced for comparison: `aha-train features --recipe aha`.

Written from a description of arXiv 2602.12955 and its notebooks 03 and 04, with their quirks: the spectroscopic
redshift of TNS as an input, -999 as a number, oversampling before the split and in the units of the file, exotics in
training, scaling fitted to all rows. The annotator does not load what comes out.
"""

import copy
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.calibration import round_up
from annotator.errors import ConfigError
from annotator.manifest import Manifest, Reference, parse_manifest
from annotator.manifest import Tensor as TensorDescription
from annotator.preprocess.features import FEATURE_NAMES
from annotator.sandbox.simulation import simulate_night
from annotator.surveys.ztf import SENTINEL, number
from training import evaluate
from training.dataset import N_BINS, Table, read_table
from training.export import describe_graph, export_graph, manifest_json, write_files
from training.networks import Autoencoder, mean_huber
from training.run import REFERENCE_NIGHT, check_trainable, in_processes, progress

INPUT_NAMES = (*FEATURE_NAMES, "z")
SPLIT_SEED = SMOTE_SEED = 42
N_SEEDS = 5
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


def reproduce(data: Path, out: Path, epochs: int | None, seed: int, jobs: int) -> None:
    """Train AHA's recipe, evaluate it on its own split and out-of-fold, and write ``aha.onnx`` and ``aha.json``.

    Raises
    ------
    ConfigError
        If the table cannot be trained on, or `out` holds the annotator's models, which these must not join.
    ModelError
        If a gate of the export fails.
    """
    if (out / "features.json").exists():
        raise ConfigError(
            f"--out {out}: expected a folder without served models, found features.json; the annotator would refuse "
            f"AHA's model beside it: choose another folder"
        )
    torch.set_num_threads(1)
    table = within_cut(read_table(data, "ztf"))
    check_trainable(table)
    settings = AhaSettings(**({"epochs": epochs} if epochs else {}))
    progress(f"{len(table.rows)} objects pass AHA's cut: {dict(Counter(table.column('source_label').tolist()))}")
    own = in_processes(partial(_own_split, table, settings, seed), N_SEEDS, jobs)
    errors = np.full(len(table.rows), np.nan)
    for rotation, fold in enumerate(in_processes(partial(_fold, table, settings, seed), N_BINS, jobs)):
        errors[table.split(rotation).test] = fold
    metrics = {
        "own_split": _own_metrics(table, [result.test_errors for result in own], own[0].test),
        "ranking": evaluate.evaluate({"reconstruction error": errors}, table) if table.is_exotic.any() else {},
    }
    graph = export_graph(own[0].model, inputs(table), "features")
    manifest = Manifest(
        name="ztf object features, AHA's recipe",
        version="aha-reproduction",
        survey="ztf",
        modality="aha",
        recipe="aha",
        preprocess_version="aha",
        **describe_graph(graph),
        inputs=(TensorDescription("features", ("n", str(len(INPUT_NAMES))), f"float32: {', '.join(INPUT_NAMES)}"),),
        columns=(),
        outputs=(
            TensorDescription("error", ("n",), "float32, mean Huber loss (delta 1), min-max units"),
            TensorDescription("residual", ("n", str(len(INPUT_NAMES))), "float32, scaled input less reconstruction"),
            TensorDescription("latent", ("n", "8"), "float32, the bottleneck"),
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
        calibration_errors=tuple(sorted(round_up(e) for e in errors[~table.is_exotic].tolist())),
        references=_references(own[0].model),
    )
    write_files(out, [("aha.onnx", graph), ("aha.json", manifest_json(manifest))])
    progress(f"wrote aha.onnx, aha.json to {out}: a comparison, which the annotator does not load")


def read_result(folder: Path, data: Path) -> Manifest:
    """Read what :func:`reproduce` wrote, and check that it is about the same table.

    Raises
    ------
    ConfigError
        If there is none, or it is about another table.
    """
    path = folder / "aha.json"
    try:
        manifest = parse_manifest(path.read_bytes(), str(path))
        same = manifest.training.get("data_sha256") == read_table(data, "ztf").sha256
    except OSError as failure:
        raise ConfigError(f"--beside: expected {path}, found {failure}; make it with --recipe aha") from failure
    if not same:
        raise ConfigError(f"--beside {folder}: expected a result on {data.name}, found one on another table; repeat it")
    return manifest


def within_cut(table: Table) -> Table:
    """Return the rows that pass AHA's quality cut."""
    kept = np.flatnonzero(table.is_within_aha_cut)
    rows = tuple(table.rows[i] for i in kept)
    return Table(table.file_name, table.sha256, rows, table.features[kept], table.n_unscorable)


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
    model, epochs_run = fit(rows, rows[train], rows[validation], settings, seed + number)
    progress(f"AHA's split, seed {seed + number}: {epochs_run} epochs")
    return _OwnSplit(model, test, _errors(model, real[test]), epochs_run)


def _fold(table: Table, settings: AhaSettings, seed: int, rotation: int) -> NDArray[np.float64]:
    """Score one bin by a model that saw the others, oversampled from them alone; exotics in training, as in AHA."""
    from sklearn.model_selection import train_test_split

    test = table.split(rotation).test
    others = np.flatnonzero(~test)
    rest = Table(table.file_name, table.sha256, tuple(table.rows[i] for i in others), table.features[others], 0)
    rows = np.vstack([inputs(rest), oversample(rest)])
    train, validation = train_test_split(np.arange(len(rows)), test_size=1 / 9, random_state=SPLIT_SEED)
    everything = np.vstack([rows, inputs(table)[test]])
    model, epochs_run = fit(everything, rows[train], rows[validation], settings, seed)
    progress(f"out-of-fold, bin {rotation + 1} of {N_BINS}: {epochs_run} epochs")
    return _errors(model, inputs(table)[test])


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


def _errors(model: AhaModel, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    with torch.no_grad():
        return model(torch.from_numpy(rows))[0].numpy().astype(np.float64)


def _own_metrics(table: Table, errors: list[NDArray[np.float64]], test: NDArray[np.int64]) -> dict:
    is_exotic = table.is_exotic[test]
    if not is_exotic.any():
        return {}
    one_list = np.zeros(len(test), dtype=int)
    seeds = [evaluate.as_lists(evaluate.ranking(e, is_exotic, one_list)) for e in errors]
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
        references.append(Reference({"objectId": row["objectId"], **record}, error.item(), tuple(latent[0].tolist())))
    return tuple(references)


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
