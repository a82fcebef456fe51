"""`aha-train features --recipe aha`: AHA's recipe, measured on its own split and on ours, for comparison."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.errors import ConfigError
from annotator.models.manifest import Manifest, Reference, Tensor, parse_manifest
from annotator.preprocess.features import FEATURE_NAMES
from annotator.sandbox.sky.night import simulate_night
from annotator.surveys.ztf.parse import SENTINEL
from training.data.table import N_BINS, Table, read_table
from training.export.files import write_files
from training.export.graph import describe_graph, export_graph, manifest_json
from training.features.aha import INPUT_NAMES, AhaModel, AhaSettings, errors_of, fit, inputs, oversample, within_cut
from training.metrics import ranking as evaluate
from training.metrics.calibrate import uniform_calibrated
from training.recipe import REFERENCE_NIGHT, check_trainable, check_writable, in_processes, progress

SPLIT_SEED = 42  # AHA's own
N_SEEDS = 5


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
    check_writable(out)
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
    graph = export_graph(own[0].model, {"features": inputs(table)})
    manifest = _manifest(table, graph, own, errors, metrics, seed)
    write_files(out, [("aha.onnx", graph), ("aha.json", manifest_json(manifest))])
    progress(f"wrote aha.onnx, aha.json to {out}: a comparison, which the annotator does not load")


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
        inputs=(Tensor("features", ("n", str(len(INPUT_NAMES))), f"float32: {', '.join(INPUT_NAMES)}"),),
        columns=(),
        outputs=(
            Tensor("error", ("n",), "float32, mean Huber loss (delta 1), min-max units"),
            Tensor("residual", ("n", str(len(INPUT_NAMES))), "float32, scaled input less reconstruction"),
            Tensor("latent", ("n", "8"), "float32, the bottleneck"),
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
    path = folder / "aha.json"
    try:
        manifest = parse_manifest(path.read_bytes(), str(path))
        same = manifest.training.get("data_sha256") == read_table(data, "ztf").sha256
    except OSError as failure:
        raise ConfigError(f"--beside: expected {path}, found {failure}; make it with --recipe aha") from failure
    if not same:
        raise ConfigError(f"--beside {folder}: expected a result on {data.name}, found one on another table; repeat it")
    return manifest


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
    return _OwnSplit(model, test, errors_of(model, real[test]), epochs_run)


def _fold(table: Table, settings: AhaSettings, seed: int, rotation: int) -> NDArray[np.float64]:
    """Score one bin by a model that saw the others, oversampled from them alone; exotics in training, as in AHA."""
    from sklearn.model_selection import train_test_split

    test = table.split(rotation).test
    rest = table.subset(~test)
    rows = np.vstack([inputs(rest), oversample(rest)])
    train, validation = train_test_split(np.arange(len(rows)), test_size=1 / 9, random_state=SPLIT_SEED)
    everything = np.vstack([rows, inputs(table)[test]])
    model, epochs_run = fit(everything, rows[train], rows[validation], settings, seed)
    progress(f"out-of-fold, bin {rotation + 1} of {N_BINS}: {epochs_run} epochs")
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
        references.append(
            Reference({"objectId": row["objectId"], **record}, error.item(), tuple(latent[0].tolist()), {})
        )
    return tuple(references)
