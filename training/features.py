"""`aha-train features`: from a labelled table to a served model, its manifest and its card."""

import tempfile
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.calibration import round_up
from annotator.errors import ModelError
from annotator.manifest import Manifest, Reference, Tensor
from annotator.models import load_models
from annotator.preprocess import PREPROCESS_VERSION
from annotator.preprocess.features import FEATURE_NAMES, FEATURES, QUALITY_NAMES, feature_row
from annotator.sandbox.simulation import simulate_night
from annotator.surveys import PARSERS
from training import evaluate
from training.card import model_card
from training.dataset import N_BINS, Table, read_table
from training.export import describe_graph, export_graph, manifest_json, write_files
from training.fit import MASK_GROUPS, Fit, Settings, errors_of, fit_features
from training.networks import WIDTHS, FeatureModel
from training.run import REFERENCE_NIGHT, check_trainable, check_writable, in_processes, progress

SURVEY = "ztf"
N_REFERENCES = 12
HIDDEN = ("whole", "without g", "without r", "without Pan-STARRS1", "without Sherlock's host")
"""Names of :attr:`training.fit.Fit.validation_errors`."""


def train(data: Path, out: Path, version: str, settings: Settings, jobs: int, beside: Manifest | None = None) -> None:
    """Fit, evaluate and export the object-feature model.

    Parameters
    ----------
    data
        Labelled table (:func:`training.dataset.read_table`).
    out
        Folder that gets ``features.onnx``, ``MODEL_CARD.md`` and ``features.json``; untouched if anything fails.
    jobs
        Processes that fit rotations side by side; the result does not depend on it.
    beside
        AHA's own recipe on the same table (:func:`training.comparison.read_result`), for the card.

    Raises
    ------
    ConfigError
        If the table cannot be trained on, or `out` not written to.
    ModelError
        If a gate of the export fails.
    """
    torch.set_num_threads(1)
    check_writable(out)
    table = read_table(data, SURVEY)
    check_trainable(table)
    progress(f"{len(table.rows)} objects of {data.name}: {_counts(table)}; {table.n_unscorable} have too few values")
    fits = in_processes(partial(_fit_rotation, table, settings), N_BINS, jobs)
    errors = out_of_fold(fits, table)
    progress("evaluating")
    metrics = {
        "validation_error": fits[0].validation_error,
        "validation_errors": dict(zip(HIDDEN, fits[0].validation_errors, strict=True)),
        "ranking": _ranking(fits, errors, table),
        "false_alarms": evaluate.false_alarms(errors, table),
        "error_quantiles": _error_quantiles(errors, table),
    }
    progress("exporting")
    graph = export_graph(fits[0].model, table.features, "features")
    manifest = _manifest(fits[0], graph, table, errors, version, settings, metrics)
    files = [
        ("features.onnx", graph),
        ("MODEL_CARD.md", model_card(manifest, beside).encode()),
        ("features.json", manifest_json(manifest)),
    ]
    check_loads(files, SURVEY)
    write_files(out, files)
    progress(f"wrote {', '.join(name for name, _ in files)} to {out}")


def _fit_rotation(table: Table, settings: Settings, rotation: int) -> Fit:
    torch.set_num_threads(1)
    split, is_normal = table.split(rotation), ~table.is_exotic
    return fit_features(
        table.features[split.train & is_normal],
        table.features[split.validation & is_normal],
        settings,
        lambda line: progress(f"model {rotation + 1} of {N_BINS}, {line}"),
    )


def out_of_fold(fits: list[Fit], table: Table) -> NDArray[np.float64]:
    """Return each object's error ``(n,)`` by the model whose test part it is in."""
    errors = np.full(len(table.rows), np.nan)
    for rotation, fit in enumerate(fits):
        test = table.split(rotation).test
        errors[test] = errors_of(fit.model, table.features[test])
    return errors


def _ranking(fits: list[Fit], errors: NDArray[np.float64], table: Table) -> dict:
    if not table.is_exotic.any():
        return {}
    parts: dict[str, NDArray] = {}
    for rotation, fit in enumerate(fits):
        split = table.split(rotation)
        for name, values in evaluate.baselines(table, _scaled(fit.model, table.features), split).items():
            parts.setdefault(name, np.empty((len(table.rows), *values.shape[1:])))[split.test] = values
    column_name, column = evaluate.best_column(parts.pop("columns"), FEATURE_NAMES, table.is_exotic)
    scores = {"reconstruction error": errors, f"best single column: {column_name}": column, **parts}
    return evaluate.evaluate(scores, table)


def _scaled(model: FeatureModel, features: NDArray[np.float32]) -> NDArray[np.float64]:
    with torch.no_grad():
        scaled, present = model.scaling(torch.from_numpy(features))
    return np.where(present.numpy() > 0, scaled.numpy(), np.nan)


def _error_quantiles(errors: NDArray[np.float64], table: Table) -> dict[str, list[float]]:
    levels = (0.5, 0.9, 0.99, 0.999)
    groups = {"normal": ~table.is_exotic, "exotic": table.is_exotic}
    return {"levels": list(levels)} | {
        name: [float(f"{q:.4g}") for q in np.quantile(errors[rows], levels)]
        for name, rows in groups.items()
        if rows.any()
    }


def _manifest(
    fit: Fit,
    graph: bytes,
    table: Table,
    errors: NDArray[np.float64],
    version: str,
    settings: Settings,
    metrics: dict,
) -> Manifest:
    n_columns, n_latent = str(len(FEATURES)), str(WIDTHS[-1])
    return Manifest(
        name=f"{SURVEY} object features",
        version=version,
        survey=SURVEY,
        modality="features",
        recipe="normals only",
        preprocess_version=PREPROCESS_VERSION,
        **describe_graph(graph),
        inputs=(Tensor("features", ("n", n_columns), "float32, physical values in the columns' units, NaN = missing"),),
        columns=fit.columns,
        outputs=(
            Tensor("error", ("n",), "float32, mean Huber loss (delta 1) over the present columns, scaled units"),
            Tensor("residual", ("n", n_columns), "float32, scaled input less reconstruction, 0 where missing"),
            Tensor("latent", ("n", n_latent), "float32, the bottleneck"),
        ),
        training={
            "data": table.file_name,
            "data_sha256": table.sha256,
            "counts": dict(Counter(table.column("source_label").tolist())),
            "exotic_types": dict(Counter(table.column("type")[table.is_exotic].tolist())),
            "n_unscorable": table.n_unscorable,
            "split": "by sha256 of the TNS name, ten bins: 0-7 train (normals only), 8 stops, 9 tests; nine rotations "
            "of it give every object an error by a model that did not see it",
            "counts_by_part": _part_counts(table),
            "settings": asdict(settings) | {"mask_groups": MASK_GROUPS},
            "epoch": fit.epoch,
            "torch": torch.__version__,
        },
        metrics=metrics,
        calibration_errors=tuple(sorted(round_up(e) for e in errors[~table.is_exotic].tolist())),
        references=simulated_references(fit.model),
    )


def _part_counts(table: Table) -> dict[str, int]:
    split, is_normal = table.split(0), ~table.is_exotic
    return {
        "train": int((split.train & is_normal).sum()),
        "validation": int((split.validation & is_normal).sum()),
        "test_normal": int((split.test & is_normal).sum()),
        "test_exotic": int((split.test & ~is_normal).sum()),
    }


def _counts(table: Table) -> str:
    return ", ".join(
        f"{count} {label}" for label, count in Counter(table.column("source_label").tolist()).most_common()
    )


def simulated_references(model: FeatureModel) -> tuple[Reference, ...]:
    """Score simulated records with torch: as simulated, and without g, without r, without any host."""
    rows = simulate_night(**REFERENCE_NIGHT).rows()[:N_REFERENCES]
    hidden = [(), MASK_GROUPS[0], MASK_GROUPS[1], MASK_GROUPS[2] + MASK_GROUPS[3]]
    references = []
    for number, row in enumerate(rows):
        record = {name: row[name] for name in ("objectId", *FEATURE_NAMES, *QUALITY_NAMES)}
        record |= dict.fromkeys(hidden[number % len(hidden)])
        features = torch.from_numpy(feature_row(PARSERS[SURVEY](record).features)[np.newaxis])
        with torch.no_grad():
            error, _, latent = model(features)
        references.append(Reference(record, error.item(), tuple(latent[0].tolist())))
    return tuple(references)


def check_loads(files: list[tuple[str, bytes]], survey: str) -> None:
    """Load the files as the annotator will, references recomputed.

    Raises
    ------
    ModelError
        If the annotator would refuse them.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files)
        try:
            load_models(Path(folder), survey)
        except ModelError as failure:
            raise ModelError(f"the annotator would refuse this model, so nothing was written: {failure}") from failure
