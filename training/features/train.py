"""`aha-train features`: from a labelled table to a served model, its manifest and its card."""

import logging
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
from annotator.preprocess.features import feature_row
from annotator.preprocess.quantities import QUANTITIES, QUANTITY_NAMES, quantity_row
from annotator.sandbox.sky.night import simulate_night
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.columns import FEATURE_NAMES, FEATURES, QUALITY_NAMES
from annotator.surveys.ztf.tables import BESIDE_FEATURES
from training import recipe
from training.data.folds import N_FOLDS, rotation_of
from training.data.partial_light_curves import PartialLightCurves, no_partial_light_curves, partial_light_curves
from training.data.table import Table, read_table
from training.export.fold_models import write_fold_models
from training.export.graph import OUTPUT_NAMES, export_graph
from training.features import evaluate as features_evaluate
from training.features.card import model_card
from training.features.fit import HIDDEN, MASK_GROUPS, Fit, Settings, check_trainable, fit_features
from training.features.network import WIDTHS
from training.features.outlier_distance import (
    EXPECTED_SMALL,
    N_NEAREST,
    PHYSICAL,
    SHERLOCK,
    ObjectModel,
    fit_outlier_distance,
    fit_prior,
)
from training.metrics.distributions import percentiles_of
from training.recipe import (
    REFERENCE_NIGHT,
    SURVEY,
    Task,
    check_writable,
    identity,
    in_processes,
    log_headlines,
    part_counts,
    provenance,
    publish,
    write_out_of_fold,
)

log = logging.getLogger(__name__)

N_REFERENCES = 12
OUTPUTS = (*OUTPUT_NAMES, "oddity", "prior")
SINGLE_NUMBERS = ("error", "oddity", "prior")


def train(task: Task, settings: Settings, curves: Path | None = None) -> None:
    """Fit, evaluate and export the object-feature model: ``features.onnx``, ``MODEL_CARD.md``, ``features.json``.

    Parameters
    ----------
    task
        Its data are a labelled table (:func:`training.data.table.read_table`).
    curves
        Light curves of some of the objects (Parquet), from which partial light curves are made for the calibration, and
        the columns of rows that are not whole; None: the calibration is on final states alone.

    Raises
    ------
    ConfigError
        If the table cannot be trained on, or `task.out` not written to.
    ModelError
        If a gate of the export fails.
    """
    torch.set_num_threads(1)
    check_writable(task.out)
    table = read_table(task.data, SURVEY, curves)
    check_trainable(table)
    log.info("%s: %s; %d have too few values", task.data.name, _counts(table), table.n_unscorable)
    log.info("%d rows in reversed order left out, %d made of light curves", table.n_not_whole, table.n_from_curves)
    live = partial_light_curves(table, curves, SURVEY, settings.seed) if curves else no_partial_light_curves()
    log.info("%d partial light curves of %d objects", len(live.places), len(set(live.places.tolist())))
    fits = in_processes(partial(_fit_rotation, table, settings), N_FOLDS, task.jobs)
    models = [fit.model for fit in fits]
    final = out_of_fold(models, table.folds, table.features, table.quantities)
    young = out_of_fold(models, table.folds[live.places], *live.tensors)
    log.info("evaluating")
    measured = (final, young, table, live)
    metrics = {
        "validation_error": fits[0].autoencoder.validation_error,
        "validation_errors": dict(zip(HIDDEN, fits[0].autoencoder.validation_errors, strict=True)),
        "ranking": features_evaluate.ranking(models, final, table),
        "false_alarms": features_evaluate.measured_alarms(*measured),
        "error_quantiles": features_evaluate.error_quantiles(final["error"], table),
    }
    log.info("exporting")
    graph = export_graph(fits[0].model, {"features": table.features, "quantities": table.quantities}, OUTPUTS)
    calibration, watched = features_evaluate.calibrations(*measured), features_evaluate.distributions(*measured)
    manifest = _manifest(fits[0], graph, table, live, calibration, watched, task.version, settings, metrics)
    publish(task.out, graph, manifest, ("MODEL_CARD.md", model_card(manifest, task.beside)))
    if task.out_of_fold:
        write_out_of_fold(task.out_of_fold, "features", table.object_ids, final)
        write_fold_models(task.out_of_fold, "features", models)
    log_headlines("features", metrics, features_evaluate.headlines)


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
        f"model {rotation + 1} of {N_FOLDS}",
    )
    quantities = table.quantities[split.train & is_normal]
    distance = fit_outlier_distance(quantities, settings.seed)
    return RotationFit(fit, ObjectModel(fit.model, distance, fit_prior(quantities, distance)).eval())


def out_of_fold(
    models: Sequence[ObjectModel], folds: NDArray[np.int64], features: NDArray, quantities: NDArray
) -> dict[str, NDArray[np.float64]]:
    """Return each object's single numbers ``(n,)`` by the model whose test part its fold is."""

    def score(rotation: int, here: NDArray[np.bool_]) -> NDArray[np.float64]:
        with torch.no_grad():
            outputs = models[rotation](torch.from_numpy(features[here]), torch.from_numpy(quantities[here]))
        found = dict(zip(OUTPUTS, outputs, strict=True))
        return np.stack([found[name].numpy() for name in SINGLE_NUMBERS], axis=1).astype(np.float64)

    numbers = recipe.out_of_fold(rotation_of(folds), score, (len(SINGLE_NUMBERS),))
    return {name: numbers[:, i].copy() for i, name in enumerate(SINGLE_NUMBERS)}


def _manifest(
    fit: RotationFit,
    graph: bytes,
    table: Table,
    live: PartialLightCurves,
    calibration: tuple[Calibrated, ...],
    distributions: tuple[Distribution, ...],
    version: str,
    settings: Settings,
    metrics: dict,
) -> Manifest:
    n_columns, n_latent = str(len(FEATURES)), str(WIDTHS[-1])
    return Manifest(
        **identity("features", "object features", version, graph),
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
        training=provenance(
            table,
            counts=dict(Counter(table.column("source_label").tolist())),
            exotic_types=dict(Counter(table.column("type")[table.is_exotic].tolist())),
            n_unscorable=table.n_unscorable,
            n_not_whole=table.n_not_whole,
            n_from_curves=table.n_from_curves,
            split="by sha256 of the TNS name, ten bins: 0-7 train (normals only), 8 stops, 9 tests; nine rotations "
            "of it give every object its numbers by a model that did not see it",
            counts_by_part=part_counts(table.split(0), table.is_exotic),
            live_states={
                "states": len(live.places),
                "normal_states": int((~table.is_exotic[live.places]).sum()),
                "objects": len(set(live.places.tolist())),
            },
            settings=asdict(settings) | {"mask_groups": MASK_GROUPS},
            epoch=fit.autoencoder.epoch,
        ),
        metrics=metrics,
        calibrated=calibration,
        references=simulated_references(fit.model),
        distributions=distributions,
        percentiles=percentiles_of(
            (*FEATURES, *QUANTITIES), np.hstack([table.features, table.quantities])[~table.is_exotic]
        ),
    )


def _counts(table: Table) -> str:
    return ", ".join(
        f"{count} {label}" for label, count in Counter(table.column("source_label").tolist()).most_common()
    )


def simulated_references(model: ObjectModel) -> tuple[Reference, ...]:
    """Score simulated records with torch: as simulated, and without g, without r, without any host."""
    rows = simulate_night(**REFERENCE_NIGHT).rows()[:N_REFERENCES]
    hidden = [(), MASK_GROUPS[0], MASK_GROUPS[1], MASK_GROUPS[2] + MASK_GROUPS[3]]
    names = (SURVEYS[SURVEY].id_column, *FEATURE_NAMES, *QUALITY_NAMES, *BESIDE_FEATURES)
    references = []
    for number, row in enumerate(rows):
        record = {name: row[name] for name in names}
        record |= dict.fromkeys(hidden[number % len(hidden)])
        transient = SURVEYS[SURVEY].parse(record)
        features, quantities = feature_row(FEATURES, transient.features), quantity_row(FEATURES, transient)
        with torch.no_grad():
            outputs = model(torch.from_numpy(features[np.newaxis]), torch.from_numpy(quantities[np.newaxis]))
        found = dict(zip(OUTPUTS, outputs, strict=True))
        others = {name: found[name].item() for name in SINGLE_NUMBERS if name != "error"}
        references.append(Reference(record, found["error"].item(), tuple(found["latent"][0].tolist()), others))
    return tuple(references)
