"""`aha-train lightcurve`: from labelled light curves to a served model, its manifest and its card."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.models.distribution import Distribution
from annotator.models.inputs import sampling_of
from annotator.models.manifest import Calibrated, Manifest, Reference, Tensor
from annotator.models.observed import of_light_curve, of_score
from annotator.preprocess.lightcurve import CHANNELS, SHAPE, Detections, grid, lightcurve_tensor
from annotator.sandbox.sky.night import SimulatedObject, simulate_night
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.tables import DETECTION, PHOTOMETRY
from training.data.curves import CurveTable, read_curves, shared_groups
from training.data.folds import N_FOLDS
from training.export.fold_models import write_fold_models
from training.export.graph import OUTPUT_NAMES, export_graph
from training.lightcurve import evaluate as lightcurve_evaluate
from training.lightcurve.card import lightcurve_card
from training.lightcurve.fit import (
    LightCurveFit,
    LightCurveSettings,
    errors_of,
    fit_lightcurves,
    make_versions,
    set_common_sampling,
    truncated,
)
from training.lightcurve.network import N_LATENT, LightCurveModel
from training.metrics.calibrate import calibrated, cross_scores, false_alarms
from training.metrics.distributions import distributions_of
from training.recipe import (
    REFERENCE_NIGHT,
    SURVEY,
    Task,
    check_folds,
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

N_REFERENCES = 10
MAX_REFERENCE_CANDIDATES = 40
OUTPUTS = (*OUTPUT_NAMES, "reconstruction")


def train(task: Task, labels: Path, settings: LightCurveSettings) -> None:
    """Fit, evaluate and export the light-curve model: ``lightcurve.onnx``, ``LIGHTCURVE_CARD.md``, ``lightcurve.json``.

    Parameters
    ----------
    task
        Its data are light curves (:func:`training.data.curves.read_curves`). Out-of-fold numbers are only written of
        groups that do not tell the class.
    labels
        Of the curves.

    Raises
    ------
    ConfigError
        If the curves cannot be trained on, or `task.out` not written to.
    ModelError
        If a gate of the export fails.
    """
    torch.set_num_threads(1)
    check_writable(task.out)
    table = read_curves(task.data, labels)
    check_folds(table, "curves")
    log.info("%d curves: %s", len(table.curves), dict(Counter(table.column("label").tolist())))
    fits = fit_rotations(table, settings)
    log.info("evaluating")
    errors, states = live_errors(fits, table)
    whole = lightcurve_evaluate.out_of_fold(scorer_of(fits), [c.detections for c in table.curves], table.folds)
    metrics = _metrics(fits, table, whole, errors, states)
    log.info("exporting")
    graph = export_graph(fits[0].model, {"lightcurve": grid([curve.detections for curve in table.curves])}, OUTPUTS)
    normal = np.flatnonzero(~table.is_exotic)
    samplings = [sampling_of(state) for state in states]
    calibration = calibrated("error", errors[normal], [samplings[i] for i in normal], by_brightness=True)
    scores = cross_scores(errors, samplings, table.folds, ~table.is_exotic, by_brightness=True)
    watched = distributions_of(
        "lightcurve",
        [
            of_light_curve(states[i]) | of_score("lightcurve", float(scores[i]), float(errors[i]))
            for i in normal.tolist()
        ],
    )
    manifest = _manifest(fits[0], graph, table, calibration, watched, task.version, settings, metrics)
    publish(task.out, graph, manifest, ("LIGHTCURVE_CARD.md", lightcurve_card(manifest, task.beside)))
    if task.out_of_fold:
        groups = table.column("group")
        shared = np.isin(groups, sorted(shared_groups(groups.tolist(), table.is_exotic.tolist())))
        write_out_of_fold(task.out_of_fold, "lightcurve", table.column("object_id")[shared], {"error": whole[shared]})
        write_fold_models(task.out_of_fold, "lightcurve", [fit.model for fit in fits])
    log_headlines("lightcurve", metrics, lightcurve_evaluate.headlines)


def fit_rotations(table: CurveTable, settings: LightCurveSettings) -> list[LightCurveFit]:
    """Fit one model a rotation of the folds, each to the normals of its training part."""
    normal = np.flatnonzero(~table.is_exotic)
    versions = make_versions([table.curves[i].detections for i in normal], settings)

    def fit(rotation: int) -> LightCurveFit:
        split = table.split(rotation)
        name = f"model {rotation + 1} of {N_FOLDS}"
        return fit_lightcurves(versions[split.train[normal]], versions[split.validation[normal]], settings, name)

    fits = in_processes(fit, N_FOLDS)
    set_common_sampling(fits)
    return fits


def live_errors(fits: Sequence[LightCurveFit], table: CurveTable) -> tuple[NDArray[np.float64], list[Detections]]:
    """Return out-of-fold errors ``(n,)`` of all curves, each at a random epoch as in a live stream, and those states.

    One epoch a curve, so that normals stay exchangeable with a new normal object and the calibration is exact.
    """
    rng = np.random.default_rng(REFERENCE_NIGHT["seed"])
    states = [truncated(curve.detections, rng) for curve in table.curves]
    return lightcurve_evaluate.out_of_fold(scorer_of(fits), states, table.folds), states


def scorer_of(fits: Sequence[LightCurveFit]) -> lightcurve_evaluate.Scorer:
    """Return what scores curves by a rotation's model."""
    return lambda rotation, curves: errors_of(fits[rotation].model, curves)


def _metrics(
    fits: list[LightCurveFit],
    table: CurveTable,
    whole: NDArray[np.float64],
    errors: NDArray[np.float64],
    states: Sequence[Detections],
) -> dict:
    scorer = scorer_of(fits)
    normal, samplings = np.flatnonzero(~table.is_exotic), [sampling_of(state) for state in states]
    is_normal = ~table.is_exotic
    scores = cross_scores(errors, samplings, table.folds, is_normal, by_brightness=True)
    of_whole = [sampling_of(curve.detections) for curve in table.curves]
    whole_scores = cross_scores(whole, of_whole, table.folds, is_normal, by_brightness=True)
    groups = {
        f"{column} {name}": table.column(column) == name
        for column in ("group", "label")
        for name in np.unique(table.column(column)[is_normal]).tolist()
    }
    error, score = lightcurve_evaluate.METHOD, lightcurve_evaluate.SCORE
    return {
        "validation_loss": fits[0].validation_error,
        "whole": lightcurve_evaluate.within_sources(table, {error: whole, score: whole_scores}),
        "random_epoch": lightcurve_evaluate.within_sources(table, {error: errors, score: scores}),
        "injections": lightcurve_evaluate.injections(table, {"reconstruction error": scorer}),
        "dependence": lightcurve_evaluate.dependence(scores[normal], [states[i] for i in normal]),
        "false_alarms": {
            "score": false_alarms(errors, samplings, table.folds, is_normal, groups=groups, by_brightness=True)
        },
    }


def _manifest(
    fit: LightCurveFit,
    graph: bytes,
    table: CurveTable,
    calibration: Calibrated,
    distributions: tuple[Distribution, ...],
    version: str,
    settings: LightCurveSettings,
    metrics: dict,
) -> Manifest:
    sizes = tuple(map(str, SHAPE))
    return Manifest(
        **identity("lightcurve", "light curve", version, graph),
        inputs=(
            Tensor(
                "lightcurve",
                ("n", str(len(CHANNELS)), *sizes),
                f"float32: {', '.join(CHANNELS)} (mag above peak, mag, 1 or 0); g, r; -50 to 300 days from peak by 2",
            ),
        ),
        columns=(),
        outputs=(
            Tensor(
                "error",
                ("n",),
                "float32, mean pseudo-Huber loss over the supported points in units of the noise, over what is typical "
                "of as many points, to the power 1 / spread",
            ),
            Tensor("residual", ("n", *sizes), "float32, brightness less reconstruction, mag, 0 where not supported"),
            Tensor("latent", ("n", str(N_LATENT)), "float32, the bottleneck"),
            Tensor(
                "reconstruction",
                ("n", *sizes),
                "float32, brightness that the bottleneck stands for, mag above peak, supported or not",
            ),
        ),
        training=provenance(
            table,
            counts=dict(Counter(table.column("label").tolist())),
            counts_by_group=dict(Counter(table.column("group").tolist())),
            n_unscorable=table.n_unscorable,
            split="by sha256 of the object's id, ten bins: 0-7 train (normals only), 8 stops, 9 tests; nine "
            "rotations of it give every curve an error by a model that did not see it",
            counts_by_part=part_counts(table.split(0), table.is_exotic),
            settings=asdict(settings),
            epoch=fit.epoch,
        ),
        metrics=metrics,
        calibrated=(calibration,),
        references=simulated_references(fit.model),
        distributions=distributions,
    )


def reference_record(simulated: SimulatedObject, n: int) -> dict[str, object]:
    """Lay a simulated object's first n detections out as Lasair's `object` answers."""
    names = (DETECTION.candidate_id, *PHOTOMETRY)
    candidates = [{name: getattr(epoch, name) for name in names} for epoch in simulated.detections[:n]]
    return {SURVEYS[SURVEY].id_column: simulated.object_id, "candidates": candidates}


def simulated_references(model: LightCurveModel) -> tuple[Reference, ...]:
    """Score simulated records with torch, every other one as young as it was ten detections after the first."""
    references = []
    for number, simulated in enumerate(simulate_night(**REFERENCE_NIGHT).objects):
        record = reference_record(simulated, 10 if number % 2 else MAX_REFERENCE_CANDIDATES)
        try:
            tensor = lightcurve_tensor(SURVEYS[SURVEY].parse(record).light_curve)
        except MissingModalityError:
            continue
        with torch.no_grad():
            error, _, latent, _ = model(torch.from_numpy(tensor[np.newaxis]))
        references.append(Reference(record, error.item(), tuple(latent[0].tolist()), {}))
        if len(references) == N_REFERENCES:
            break
    return tuple(references)
