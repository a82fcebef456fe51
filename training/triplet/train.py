"""`aha-train triplet`: from labelled stamps to a served model, its manifest and its card."""

import base64
import gzip
import logging
from collections import Counter
from dataclasses import asdict
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.models.calibration import Sampling
from annotator.models.distribution import Distribution
from annotator.models.manifest import Manifest, Reference, Tensor
from annotator.models.observed import of_score, of_stamps
from annotator.preprocess.triplet import CHANNELS, stamp_tensor
from annotator.sandbox.sky.night import simulate_night
from annotator.sandbox.sky.stamps import simulate, to_fits
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.tables import DETECTION
from annotator.transient import Triplet
from training.data.stamps import N_MODELS, StampTable, read_stamps
from training.export.fold_models import write_fold_models
from training.export.graph import OUTPUT_NAMES, check_parity, export_graph, narrow
from training.metrics import ranking as evaluate
from training.metrics.calibrate import ONE_LEVEL, cross_scores, false_alarms, uniform_calibrated
from training.metrics.distributions import distributions_of
from training.recipe import (
    REFERENCE_NIGHT,
    SURVEY,
    Task,
    check_writable,
    identity,
    in_processes,
    log_headlines,
    provenance,
    publish,
    write_out_of_fold,
)
from training.triplet import evaluate as triplet_evaluate
from training.triplet.card import triplet_card
from training.triplet.fit import TripletSettings, fit_triplets, outputs_of
from training.triplet.network import BINS_PIXELS, CORE_LATENT, CORE_SIDE, FIELD_LATENT, TERMS, TripletModel
from training.triplet.out_of_fold import out_of_fold_terms, write_stamps

log = logging.getLogger(__name__)

N_REFERENCES = 6
N_PARITY = 100
OUTPUTS = (*OUTPUT_NAMES, "reconstruction", "deviation")
INJECTION_SEED = 1
SERVED = N_MODELS - 1
"""The fold whose model is served: it has not seen the last bin, the held-out part of :func:`evaluate.false_alarms`."""


def train(task: Task, settings: TripletSettings) -> None:
    """Fit, evaluate and export the triplet model: ``triplet.onnx``, ``TRIPLET_CARD.md`` and ``triplet.json``.

    Parameters
    ----------
    task
        Its data are stamps (:func:`training.data.stamps.read_stamps`).

    Raises
    ------
    ConfigError
        If the stamps cannot be trained on, or `task.out` not written to.
    ModelError
        If a gate of the export fails.
    """
    torch.set_num_threads(1)
    check_writable(task.out)
    table = read_stamps(task.data)
    n_objects = len(set(table.object_ids))
    log.info("%d triplets of %d objects, %d normal", len(table.rows), n_objects, table.is_normal.sum())
    fits = in_processes(partial(_fit_model, table, settings), N_MODELS, task.jobs)
    models, held_out_losses = [fit[0] for fit in fits], [fit[1] for fit in fits]
    picks = table.subset(table.is_pick)
    errors, _ = out_of_fold_terms(models, picks)
    log.info("evaluating")
    metrics = {
        "held_out_loss": [round(loss, 4) for loss in held_out_losses],
        "labelled": _labelled(errors, picks),
        "injections": _injections(models, picks),
        "false_alarms": {"score": _false_alarms(errors, picks)},
        "dependence": _dependence(errors, picks),
    }
    log.info("exporting")
    model = models[SERVED]
    examples = table.tensors[table.split(SERVED).test][:N_PARITY]
    graph = narrow(export_graph(model, {"stamps": examples}, OUTPUTS))
    check_parity(graph, model, {"stamps": examples}, OUTPUTS)
    manifest = _manifest(model, graph, table, picks, errors, task.version, settings, metrics)
    publish(task.out, graph, manifest, ("TRIPLET_CARD.md", triplet_card(manifest, task.beside)))
    if task.out_of_fold:
        write_out_of_fold(task.out_of_fold, "triplet", picks.object_ids, {"error": errors})
        write_stamps(task.out_of_fold, table, *out_of_fold_terms(models, table))
        write_fold_models(task.out_of_fold, "triplet", models)
    log_headlines("triplet", metrics, triplet_evaluate.headlines)


def _fit_model(table: StampTable, settings: TripletSettings, number: int) -> tuple[TripletModel, float]:
    torch.set_num_threads(1)
    split, is_normal = table.split(number), table.is_normal
    return fit_triplets(
        table.tensors[split.train & is_normal],
        table.tensors[split.validation & is_normal & table.is_pick],
        settings,
        f"model {number + 1} of {N_MODELS}",
    )


def _labelled(errors: NDArray[np.float64], picks: StampTable) -> dict:
    """Rank labelled exotics above labelled supernovae, brightest positive detection of each."""
    is_labelled = np.char.startswith(picks.column("source_label"), "SN") | picks.is_exotic
    table = picks.subset(is_labelled)
    if not table.is_exotic.any() or table.is_exotic.all():
        return {}
    scores = {
        "reconstruction error": errors[is_labelled],
        **{name: score(table.tensors) for name, score in triplet_evaluate.BASELINES.items()},
        "noise level": triplet_evaluate.noise_level(table),
    }
    return {
        "n_normal": int((~table.is_exotic).sum()),
        "n_exotic": int(table.is_exotic.sum()),
        "types": dict(Counter(table.column("type")[table.is_exotic].tolist())),
        "methods": {
            name: evaluate.as_lists(evaluate.ranking(values, table.is_exotic)) for name, values in scores.items()
        },
    }


def _injections(models: list[TripletModel], picks: StampTable) -> dict:
    table = picks.subset(picks.is_normal)
    pairs = triplet_evaluate.injected(table.triplets, INJECTION_SEED)
    folds = table.model_of
    scorers = {fold: partial(_errors, model) for fold, model in enumerate(models)}
    methods = {"reconstruction error": triplet_evaluate.injection_scores(pairs, folds, scorers)}
    for name, baseline in triplet_evaluate.BASELINES.items():
        methods[name] = triplet_evaluate.injection_scores(pairs, folds, dict.fromkeys(range(N_MODELS), baseline))
    aucs = {name: triplet_evaluate.by_kind(scores) for name, scores in methods.items()}
    is_bright = triplet_evaluate.signal_to_noise(table.tensors)
    is_bright = is_bright >= np.median(is_bright)
    main = methods["reconstruction error"]
    halves = {
        name: triplet_evaluate.by_kind(
            {kind: tuple(part[chosen[pairs[kind][0]]] for part in main[kind]) for kind in main}
        )
        for name, chosen in (("fainter half", ~is_bright), ("brighter half", is_bright))
    }
    return {
        "seed": INJECTION_SEED,
        "pairs": {kind: len(places) for kind, (places, _, _) in pairs.items()},
        "methods": aucs,
        "mean": {name: triplet_evaluate.mean_over_kinds(values) for name, values in aucs.items()},
        "halves": {name: triplet_evaluate.mean_over_kinds(values) for name, values in halves.items()},
    }


def _errors(model: TripletModel, tensors: NDArray[np.float32]) -> NDArray[np.float64]:
    return outputs_of(model, tensors)[0]


def _dependence(errors: NDArray[np.float64], picks: StampTable) -> dict:
    table, normal_errors = picks.subset(picks.is_normal), errors[picks.is_normal]
    magnitudes = table.numbers(DETECTION.magnitude)
    known = np.isfinite(magnitudes)
    return {
        "rank_correlation": triplet_evaluate.dependence(normal_errors, table),
        "oddest_tenth": {
            "magnitude": triplet_evaluate.by_thirds(normal_errors[known], magnitudes[known]),
            "signal to noise": triplet_evaluate.by_thirds(
                normal_errors, triplet_evaluate.signal_to_noise(table.tensors)
            ),
        },
    }


def _false_alarms(errors: NDArray[np.float64], picks: StampTable) -> dict:
    table, found = picks.subset(picks.is_normal), errors[picks.is_normal]
    counts = table.numbers(DETECTION.earlier_detections)
    edges = np.nanquantile(counts, [0, 1 / 3, 2 / 3, 1]) if np.isfinite(counts).any() else ()
    groups = {
        f"{low:.0f} to {high:.0f} earlier detections": (counts >= low) & (counts <= high)
        for low, high in pairwise(edges)
    }
    everything = np.ones(len(found), dtype=bool)
    return false_alarms(found, [Sampling()] * len(found), table.folds, everything, ONE_LEVEL, groups)


def _distributions(errors: NDArray[np.float64], picks: StampTable) -> tuple[Distribution, ...]:
    table, found = picks.subset(picks.is_normal), errors[picks.is_normal]
    everything = np.ones(len(found), dtype=bool)
    scores = cross_scores(found, [Sampling()] * len(found), table.folds, everything, ONE_LEVEL)
    return distributions_of(
        "triplet",
        [
            observed | of_score("triplet", float(score), float(error))
            for observed, score, error in zip(of_stamps(table.tensors), scores, found, strict=True)
        ],
    )


def _manifest(
    model: TripletModel,
    graph: bytes,
    table: StampTable,
    picks: StampTable,
    errors: NDArray[np.float64],
    version: str,
    settings: TripletSettings,
    metrics: dict,
) -> Manifest:
    split, is_normal = table.split(SERVED), table.is_normal
    n_terms, n_latent = str(len(TERMS)), str(FIELD_LATENT + CORE_LATENT)
    shown = ("n", "2", str(len(CHANNELS)), str(CORE_SIDE), str(CORE_SIDE))
    return Manifest(
        **identity("triplet", "triplet", version, graph),
        inputs=(
            Tensor(
                "stamps",
                ("n", "6", "63", "63"),
                "float32, science, template, difference in asinh(flux / 2 noise levels of the difference), 0 where "
                "missing; then for each 1 where a pixel is there",
            ),
        ),
        columns=(),
        outputs=(
            Tensor("error", ("n",), "float32, fourth-power mean over the terms of log(1 + exp(term))"),
            Tensor(
                "residual",
                ("n", n_terms),
                f"float32, terms of the error in robust deviations of normals: {'; '.join(t.name for t in TERMS)}",
            ),
            Tensor("latent", ("n", n_latent), "float32, the bottlenecks of the field and of its middle"),
            Tensor(
                "reconstruction",
                shown,
                f"float32, what the bottlenecks stand for, in the input's scale: of the whole stamps in bins of "
                f"{BINS_PIXELS} x {BINS_PIXELS} pixels, then of their middle {CORE_SIDE} x {CORE_SIDE} pixels",
            ),
            Tensor(
                "deviation",
                shown,
                "float32, bins and pixels less reconstruction in expected deviations, 0 where missing: what the terms "
                "are made of",
            ),
        ),
        training=provenance(
            table,
            counts={
                "triplets": len(table.rows),
                "objects": len(set(table.object_ids.tolist())),
                "normal_triplets": int(is_normal.sum()),
                "normal_objects": int((picks.is_normal).sum()),
                "exotic_triplets": int(table.is_exotic.sum()),
                "exotic_objects": int(picks.is_exotic.sum()),
            },
            n_unscorable=table.n_unscorable,
            split="by sha256 of the object's id, ten bins in five folds: two test, one sets what each term normally "
            "is, seven train (normals only)",
            counts_by_part={
                "train_triplets": int((split.train & is_normal).sum()),
                "held_out_objects": int((split.validation & is_normal & table.is_pick).sum()),
                "test_objects": int((split.test & is_normal & table.is_pick).sum()),
            },
            settings=asdict(settings),
        ),
        metrics=metrics,
        calibrated=(uniform_calibrated("error", errors[picks.is_normal]),),
        references=simulated_references(model),
        distributions=_distributions(errors, picks),
    )


def simulated_references(model: TripletModel) -> tuple[Reference, ...]:
    """Score simulated stamps with torch; their pixels are rounded to whole data numbers, which pack small."""
    night = simulate_night(**REFERENCE_NIGHT)
    references = []
    for simulated in night.objects:
        brightest = simulated.brightest
        if brightest is None or len(references) == N_REFERENCES:
            continue
        stamps = simulate(simulated, brightest, REFERENCE_NIGHT["seed"])
        rounded = {name: np.round(stamps[name.capitalize()]) for name in CHANNELS}
        packed = {
            name: base64.b64encode(gzip.compress(to_fits(stamp, name.capitalize()), mtime=0)).decode()
            for name, stamp in rounded.items()
        }
        tensor = torch.from_numpy(stamp_tensor(Triplet(**rounded))[np.newaxis])
        with torch.no_grad():
            error, _, latent, *_ = model(tensor)
        record = {SURVEYS[SURVEY].id_column: simulated.object_id, "stamps": packed}
        references.append(Reference(record, error.item(), tuple(latent[0].tolist()), {}))
    return tuple(references)
