"""`aha-train features`: from a labelled table to a served model, its manifest and its card."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.models.distribution import Distribution
from annotator.models.manifest import Calibrated, Manifest, Reference, Tensor
from annotator.preprocess import PREPROCESS_VERSION
from annotator.preprocess.features import FEATURE_NAMES, FEATURES, QUALITY_NAMES, feature_row
from annotator.preprocess.quantities import QUANTITIES, QUANTITY_NAMES, quantity_row
from annotator.sandbox.sky.night import simulate_night
from annotator.surveys import PARSERS
from training.data.live_states import LiveStates, live_states, no_live_states
from training.data.table import N_BINS, Table, read_table
from training.export.files import write_files
from training.export.gate import check_loads
from training.export.graph import OUTPUT_NAMES, describe_graph, export_graph, manifest_json
from training.features import evaluate as features_evaluate
from training.features.card import model_card
from training.features.fit import MASK_GROUPS, Fit, Settings, fit_features
from training.features.network import WIDTHS
from training.features.oddity import EXPECTED_SMALL, N_NEAREST, PHYSICAL, SHERLOCK, ObjectModel, fit_oddity, fit_prior
from training.metrics.distributions import percentiles_of
from training.recipe import REFERENCE_NIGHT, check_trainable, check_writable, in_processes, progress, write_out_of_fold

SURVEY = "ztf"
N_REFERENCES = 12
REFERENCE_COLUMNS = ("ncand", "jdmin", "jd_g_minus_r", "classification", "physical_separation_kpc", "distance")
OUTPUTS = (*OUTPUT_NAMES, "oddity", "prior")
SINGLE_NUMBERS = ("error", "oddity", "prior")
HIDDEN = ("whole", "without g", "without r", "without Pan-STARRS1", "without Sherlock's host")
"""Names of :attr:`training.fit.Fit.validation_errors`."""


def train(
    data: Path,
    out: Path,
    version: str,
    settings: Settings,
    jobs: int,
    beside: Manifest | None = None,
    curves: Path | None = None,
    out_of_fold_folder: Path | None = None,
) -> None:
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
    curves
        Light curves of some of the objects (Parquet), from which live states are made for the calibration; None:
        the calibration is on final states alone.
    out_of_fold_folder
        Gets each object's numbers by the model that did not see it, for :mod:`training.exotic`.

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
    live = live_states(table, curves, SURVEY, settings.seed) if curves else no_live_states()
    progress(f"{len(live.places)} live states of {len(set(live.places.tolist()))} objects with light curves")
    fits = in_processes(partial(_fit_rotation, table, settings), N_BINS, jobs)
    final = out_of_fold([fit.model for fit in fits], table.bins, table.features, table.quantities)
    young = out_of_fold([fit.model for fit in fits], table.bins[live.places], *live.tensors)
    progress("evaluating")
    metrics = {
        "validation_error": fits[0].autoencoder.validation_error,
        "validation_errors": dict(zip(HIDDEN, fits[0].autoencoder.validation_errors, strict=True)),
        "ranking": features_evaluate.ranking([fit.model for fit in fits], final, table),
        "false_alarms": features_evaluate.measured_alarms(final, young, table, live),
        "error_quantiles": features_evaluate.error_quantiles(final["error"], table),
    }
    progress("exporting")
    graph = export_graph(fits[0].model, {"features": table.features, "quantities": table.quantities}, OUTPUTS)
    measured = (final, young, table, live)
    calibration, watched = features_evaluate.calibrations(*measured), features_evaluate.distributions(*measured)
    manifest = _manifest(fits[0], graph, table, live, calibration, watched, version, settings, metrics)
    files = [
        ("features.onnx", graph),
        ("MODEL_CARD.md", model_card(manifest, beside).encode()),
        ("features.json", manifest_json(manifest)),
    ]
    check_loads(files, SURVEY)
    write_files(out, files)
    if out_of_fold_folder:
        write_out_of_fold(out_of_fold_folder, "features", table.column("objectId"), final)
    progress(f"wrote {', '.join(name for name, _ in files)} to {out}")


@dataclass(frozen=True)
class RotationFit:
    """What was fitted to one rotation's training part."""

    autoencoder: Fit
    model: ObjectModel


def _fit_rotation(table: Table, settings: Settings, rotation: int) -> RotationFit:
    torch.set_num_threads(1)
    split, is_normal = table.split(rotation), ~table.is_exotic
    fit = fit_features(
        table.features[split.train & is_normal],
        table.features[split.validation & is_normal],
        settings,
        lambda line: progress(f"model {rotation + 1} of {N_BINS}, {line}"),
    )
    quantities = table.quantities[split.train & is_normal]
    oddity = fit_oddity(quantities, settings.seed)
    return RotationFit(fit, ObjectModel(fit.model, oddity, fit_prior(quantities, oddity)).eval())


def out_of_fold(
    models: Sequence[ObjectModel], bins: NDArray[np.int64], features: NDArray, quantities: NDArray
) -> dict[str, NDArray[np.float64]]:
    """Return each object's single numbers ``(n,)`` by the model whose test part its bin is."""
    numbers = {name: np.full(len(bins), np.nan) for name in SINGLE_NUMBERS}
    for rotation, model in enumerate(models):
        test = bins == (N_BINS - 1 + rotation) % N_BINS
        if test.any():
            with torch.no_grad():
                outputs = model(torch.from_numpy(features[test]), torch.from_numpy(quantities[test]))
            for name, values in zip(OUTPUTS, outputs, strict=True):
                if name in numbers:
                    numbers[name][test] = values.numpy()
    return numbers


def _manifest(
    fit: RotationFit,
    graph: bytes,
    table: Table,
    live: LiveStates,
    calibration: tuple[Calibrated, ...],
    distributions: tuple[Distribution, ...],
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
        inputs=(
            Tensor("features", ("n", n_columns), "float32, physical values in the columns' units, NaN = missing"),
            Tensor(
                "quantities",
                ("n", str(len(QUANTITY_NAMES))),
                f"float32, physical values, NaN = missing: {', '.join(QUANTITY_NAMES)}",
            ),
        ),
        columns=fit.autoencoder.columns + fit.model.oddity.scaling_columns,
        outputs=(
            Tensor("error", ("n",), "float32, mean Huber loss (delta 1) over the present columns, scaled units"),
            Tensor("residual", ("n", n_columns), "float32, scaled input less reconstruction, 0 where missing"),
            Tensor("latent", ("n", n_latent), "float32, the bottleneck"),
            Tensor(
                "oddity",
                ("n",),
                f"float32, mean distance to the {N_NEAREST} nearest of {len(fit.model.oddity.centres)} centres of "
                f"normals, robust standard deviations of {', '.join((*PHYSICAL, *SHERLOCK))}",
            ),
            Tensor(
                "prior",
                ("n",),
                f"float32, sum of the shares of normals that are less odd or larger in {', '.join(EXPECTED_SMALL)}",
            ),
        ),
        training={
            "data": table.file_name,
            "data_sha256": table.sha256,
            "counts": dict(Counter(table.column("source_label").tolist())),
            "exotic_types": dict(Counter(table.column("type")[table.is_exotic].tolist())),
            "n_unscorable": table.n_unscorable,
            "split": "by sha256 of the TNS name, ten bins: 0-7 train (normals only), 8 stops, 9 tests; nine rotations "
            "of it give every object its numbers by a model that did not see it",
            "counts_by_part": _part_counts(table),
            "live_states": {
                "states": len(live.places),
                "normal_states": int((~table.is_exotic[live.places]).sum()),
                "objects": len(set(live.places.tolist())),
            },
            "settings": asdict(settings) | {"mask_groups": MASK_GROUPS},
            "epoch": fit.autoencoder.epoch,
            "torch": torch.__version__,
        },
        metrics=metrics,
        calibrated=calibration,
        references=simulated_references(fit.model),
        distributions=distributions,
        percentiles=percentiles_of(
            (*FEATURES, *QUANTITIES), np.hstack([table.features, table.quantities])[~table.is_exotic]
        ),
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


def simulated_references(model: ObjectModel) -> tuple[Reference, ...]:
    """Score simulated records with torch: as simulated, and without g, without r, without any host."""
    rows = simulate_night(**REFERENCE_NIGHT).rows()[:N_REFERENCES]
    hidden = [(), MASK_GROUPS[0], MASK_GROUPS[1], MASK_GROUPS[2] + MASK_GROUPS[3]]
    references = []
    for number, row in enumerate(rows):
        record = {name: row[name] for name in ("objectId", *FEATURE_NAMES, *QUALITY_NAMES, *REFERENCE_COLUMNS)}
        record |= dict.fromkeys(hidden[number % len(hidden)])
        transient = PARSERS[SURVEY](record)
        features, quantities = feature_row(transient.features), quantity_row(transient)
        with torch.no_grad():
            outputs = model(torch.from_numpy(features[np.newaxis]), torch.from_numpy(quantities[np.newaxis]))
        found = dict(zip(OUTPUTS, outputs, strict=True))
        others = {name: found[name].item() for name in SINGLE_NUMBERS if name != "error"}
        references.append(Reference(record, found["error"].item(), tuple(found["latent"][0].tolist()), others))
    return tuple(references)
