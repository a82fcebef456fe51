"""`aha-train triplet`: from labelled stamps to a served model, its manifest and its card."""

import base64
import gzip
from collections import Counter
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.models.calibration import Sampling
from annotator.models.distribution import Distribution
from annotator.models.manifest import Manifest, Reference, Tensor
from annotator.models.observed import of_score, of_stamps
from annotator.preprocess import PREPROCESS_VERSION
from annotator.preprocess.triplet import CHANNELS, stamp_tensor
from annotator.sandbox.sky.night import simulate_night
from annotator.sandbox.sky.stamps import simulate, to_fits
from annotator.transient import Triplet
from training.data.stamps import N_FOLDS, StampTable, read_stamps
from training.export.files import write_files
from training.export.gate import check_loads
from training.export.graph import OUTPUT_NAMES, check_parity, describe_graph, export_graph, manifest_json, narrow
from training.metrics import ranking as evaluate
from training.metrics.calibrate import ONE_LEVEL, cross_scores, false_alarms, uniform_calibrated
from training.metrics.distributions import distributions_of
from training.recipe import REFERENCE_NIGHT, check_writable, in_processes, progress, write_out_of_fold
from training.triplet import evaluate as triplet_evaluate
from training.triplet.card import triplet_card
from training.triplet.fit import TripletSettings, fit_triplets, outputs_of
from training.triplet.network import CORE_LATENT, CORE_SIDE, FIELD_LATENT, TERMS, TripletModel
from training.triplet.out_of_fold import out_of_fold_terms, write_stamps

SURVEY = "ztf"
N_REFERENCES = 6
N_PARITY = 100
OUTPUTS = (*OUTPUT_NAMES, "reconstruction", "deviation")
INJECTION_SEED = 1
SERVED = N_FOLDS - 1
"""The fold whose model is served: it has not seen the last bin, the held-out part of :func:`evaluate.false_alarms`."""


def train(
    data: Path,
    out: Path,
    version: str,
    settings: TripletSettings,
    jobs: int,
    beside: Manifest | None = None,
    out_of_fold_folder: Path | None = None,
) -> None:
    """Fit, evaluate and export the triplet model.

    Parameters
    ----------
    data
        Stamps (:func:`training.triplet_data.read_stamps`).
    out
        Folder that gets ``triplet.onnx``, ``TRIPLET_CARD.md`` and ``triplet.json``; untouched if anything fails.
    jobs
        Processes that fit folds side by side; the result does not depend on it.
    beside
        AHA's own recipe on the same stamps, for the card.
    out_of_fold_folder
        Gets each object's error by the model that did not see it, for :mod:`training.exotic`.

    Raises
    ------
    ConfigError
        If the stamps cannot be trained on, or `out` not written to.
    ModelError
        If a gate of the export fails.
    """
    torch.set_num_threads(1)
    check_writable(out)
    table = read_stamps(data)
    progress(
        f"{len(table.rows)} triplets of {len(set(table.column('objectId')))} objects, {table.is_normal.sum()} of them "
        f"normal; {table.n_unscorable} cannot be scored"
    )
    fits = in_processes(partial(_fit_fold, table, settings), N_FOLDS, jobs)
    models, held_out_losses = [fit[0] for fit in fits], [fit[1] for fit in fits]
    picks = table.subset(table.is_pick)
    errors = out_of_fold(models, picks)
    progress("evaluating")
    metrics = {
        "held_out_loss": [round(loss, 4) for loss in held_out_losses],
        "labelled": _labelled(errors, picks),
        "injections": _injections(models, picks),
        "false_alarms": {"score": _false_alarms(errors, picks)},
        "dependence": _dependence(errors, picks),
    }
    progress("exporting")
    model = models[SERVED]
    examples = table.tensors[table.split(SERVED).test][:N_PARITY]
    graph = narrow(export_graph(model, {"stamps": examples}, OUTPUTS))
    check_parity(graph, model, {"stamps": examples}, OUTPUTS)
    manifest = _manifest(model, graph, table, picks, errors, version, settings, metrics)
    files = [
        ("triplet.onnx", graph),
        ("TRIPLET_CARD.md", triplet_card(manifest, beside).encode()),
        ("triplet.json", manifest_json(manifest)),
    ]
    check_loads(files[:1] + files[2:], SURVEY)
    write_files(out, files)
    if out_of_fold_folder:
        write_out_of_fold(out_of_fold_folder, "triplet", picks.column("objectId"), {"error": errors})
        write_stamps(out_of_fold_folder, table, *out_of_fold_terms(models, table))
    progress(f"wrote {', '.join(name for name, _ in files)} to {out}")


def _fit_fold(table: StampTable, settings: TripletSettings, fold: int) -> tuple[TripletModel, float]:
    torch.set_num_threads(1)
    split, is_normal = table.split(fold), table.is_normal
    return fit_triplets(
        table.tensors[split.train & is_normal],
        table.tensors[split.validation & is_normal & table.is_pick],
        settings,
        lambda line: progress(f"model {fold + 1} of {N_FOLDS}, {line}"),
    )


def out_of_fold(models: list[TripletModel], table: StampTable) -> NDArray[np.float64]:
    """Return each triplet's error ``(n,)`` by the model whose test part it is in."""
    errors = np.full(len(table.rows), np.nan)
    for fold, model in enumerate(models):
        test = table.split(fold).test
        if test.any():
            errors[test] = outputs_of(model, table.tensors[test])[0]
    return errors


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
    pairs = triplet_evaluate.injected(table, INJECTION_SEED)
    folds = table.bins // 2
    scorers = {fold: partial(_errors, model) for fold, model in enumerate(models)}
    methods = {"reconstruction error": triplet_evaluate.injection_scores(pairs, folds, scorers)}
    for name, baseline in triplet_evaluate.BASELINES.items():
        methods[name] = triplet_evaluate.injection_scores(pairs, folds, dict.fromkeys(range(N_FOLDS), baseline))
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
    magnitudes = table.numbers("magpsf")
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
    counts = table.numbers("ndethist")
    edges = np.nanquantile(counts, [0, 1 / 3, 2 / 3, 1]) if np.isfinite(counts).any() else ()
    groups = {
        f"{low:.0f} to {high:.0f} earlier detections": (counts >= low) & (counts <= high)
        for low, high in pairwise(edges)
    }
    everything = np.ones(len(found), dtype=bool)
    return false_alarms(found, [Sampling()] * len(found), table.bins, everything, ONE_LEVEL, groups)


def _distributions(errors: NDArray[np.float64], picks: StampTable) -> tuple[Distribution, ...]:
    table, found = picks.subset(picks.is_normal), errors[picks.is_normal]
    everything = np.ones(len(found), dtype=bool)
    scores = cross_scores(found, [Sampling()] * len(found), table.bins, everything, ONE_LEVEL)
    return distributions_of(
        "triplet",
        [
            of_stamps(tensor) | of_score("triplet", float(score), float(error))
            for tensor, score, error in zip(table.tensors, scores, found, strict=True)
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
    return Manifest(
        name=f"{SURVEY} triplet",
        version=version,
        survey=SURVEY,
        modality="triplet",
        recipe="normals only",
        preprocess_version=PREPROCESS_VERSION,
        **describe_graph(graph),
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
                ("n", "3", "63", "63"),
                f"float32, what the bottlenecks stand for, in the input's scale: the field's, and in the middle "
                f"{CORE_SIDE} x {CORE_SIDE} pixels the middle's",
            ),
            Tensor(
                "deviation",
                ("n", "3", "63", "63"),
                "float32, pixels less reconstruction in expected deviations, composed likewise, 0 where missing: what "
                "the terms are made of",
            ),
        ),
        training={
            "data": table.file_name,
            "data_sha256": table.sha256,
            "counts": {
                "triplets": len(table.rows),
                "objects": len(set(table.column("objectId").tolist())),
                "normal_triplets": int(is_normal.sum()),
                "normal_objects": int((picks.is_normal).sum()),
                "exotic_triplets": int(table.is_exotic.sum()),
                "exotic_objects": int(picks.is_exotic.sum()),
            },
            "n_unscorable": table.n_unscorable,
            "split": "by sha256 of the object's id, ten bins in five folds: two test, one sets what each term normally "
            "is, seven train (normals only)",
            "counts_by_part": {
                "train_triplets": int((split.train & is_normal).sum()),
                "held_out_objects": int((split.validation & is_normal & table.is_pick).sum()),
                "test_objects": int((split.test & is_normal & table.is_pick).sum()),
            },
            "settings": asdict(settings),
            "torch": torch.__version__,
        },
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
        detections = [epoch for epoch in simulated.epochs if epoch.isdiffpos == "t"]
        if not detections or len(references) == N_REFERENCES:
            continue
        stamps = simulate(simulated, min(detections, key=lambda epoch: epoch.magpsf), REFERENCE_NIGHT["seed"])
        rounded = {name: np.round(stamps[name.capitalize()]) for name in CHANNELS}
        packed = {
            name: base64.b64encode(gzip.compress(to_fits(stamp, name.capitalize()), mtime=0)).decode()
            for name, stamp in rounded.items()
        }
        tensor = torch.from_numpy(stamp_tensor(Triplet(**rounded))[np.newaxis])
        with torch.no_grad():
            error, _, latent, *_ = model(tensor)
        record = {"objectId": simulated.object_id, "stamps": packed}
        references.append(Reference(record, error.item(), tuple(latent[0].tolist()), {}))
    return tuple(references)
