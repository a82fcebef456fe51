"""How well the object features' scores rank known exotics, and how often they flag normal objects."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.models.calibration import Sampling
from annotator.models.distribution import Distribution
from annotator.models.manifest import Calibrated
from annotator.models.observed import of_features, of_score
from annotator.surveys.ztf.columns import FEATURE_NAMES, FEATURES
from training.data.folds import Split
from training.data.partial_light_curves import PartialLightCurves
from training.data.table import Table
from training.features.network import FeatureModel
from training.features.outlier_distance import PHYSICAL, ObjectModel, OutlierDistance
from training.metrics import ranking as evaluate
from training.metrics.calibrate import ONE_LEVEL, calibrated, cross_scores, false_alarms, share_of
from training.metrics.distributions import distributions_of
from training.metrics.era import ERA
from training.recipe import Headlines, within

SCORED, PRIOR = "score: distance to normals", "prior: blue, nuclear, slow and odd"
"""What the card and the report call them."""

DETECTION_GROUPS = (("1 or 2 detections", 1, 2), ("3 to 5", 3, 5), ("6 to 15", 6, 15), ("16 or more", 16, 10**9))
AGE_GROUPS = ((0, 3), (3, 7), (7, 14), (14, 61))


def ranking(models: Sequence[ObjectModel], numbers: Mapping[str, NDArray], table: Table) -> dict:
    """Measure how the score, the prior, the error and their rivals rank the exotics, on equal folds.

    Parameters
    ----------
    models
        One a rotation.
    numbers
        Out-of-fold, by output ``(n,)``.
    """
    if not table.is_exotic.any():
        return {}
    parts: dict[str, NDArray] = {}
    for rotation, model in enumerate(models):
        split = table.split(rotation)
        for name, values in _rivals(model, table, split).items():
            parts.setdefault(name, np.empty((len(table.rows), *values.shape[1:])))[split.test] = values
    column_name, column = evaluate.best_column(parts.pop("columns"), FEATURE_NAMES, table.is_exotic)
    scores = {
        SCORED: numbers["oddity"],
        PRIOR: numbers["prior"],
        "reconstruction error": numbers["error"],
        f"best single column: {column_name}": column,
        **parts,
    }
    return evaluate.evaluate(scores, table)


def _rivals(model: ObjectModel, table: Table, split: Split) -> dict[str, NDArray]:
    """Score test rows in other ways: on the columns, on the outlier distance's quantities, and in the autoencoder."""
    train = split.train & ~table.is_exotic
    with torch.no_grad():
        outputs = model.autoencoder(torch.from_numpy(table.features))
        _, residual, latent = (values.numpy().astype(np.float64) for values in outputs)
        everything = torch.from_numpy(table.quantities)
        near = model.oddity.scaling(everything[:, model.oddity.places])[0].numpy().astype(np.float64)
        no_class = OutlierDistance(
            model.oddity.scaling_columns[: len(PHYSICAL)], model.oddity.centres[:, : len(PHYSICAL)].numpy()
        )
        physical_alone = no_class(everything[torch.from_numpy(split.test)]).numpy()
    columns = evaluate.baselines(table, _scaled(model.autoencoder, table.features), split)
    quantities = evaluate.density_rivals(near[train], near[split.test])
    return {
        "columns": columns.pop("columns"),
        **{f"21 columns: {name}": values for name, values in columns.items()},
        "autoencoder: Mahalanobis distance of the residual": evaluate.mahalanobis(
            residual[train], residual[split.test]
        ),
        "autoencoder: Mahalanobis distance in the latent": evaluate.mahalanobis(latent[train], latent[split.test]),
        **{f"the score's quantities: {name}": values for name, values in quantities.items()},
        "the score without Sherlock's class": physical_alone,
    }


def _scaled(model: FeatureModel, features: NDArray[np.float32]) -> NDArray[np.float64]:
    with torch.no_grad():
        scaled, present = model.scaling(torch.from_numpy(features))
    return np.where(present.numpy() > 0, scaled.numpy(), np.nan)


def _pooled(
    final: dict, young: dict, table: Table, live: PartialLightCurves
) -> tuple[dict, list[Sampling], NDArray, NDArray]:
    """Put final states and partial light curves together: numbers by name, samplings, places, and which are partial."""
    numbers = {name: np.concatenate([final[name], young[name]]) for name in final}
    places = np.concatenate([np.arange(len(table.rows)), live.places])
    return numbers, table.samplings + live.samplings, places, np.arange(len(places)) >= len(table.rows)


def calibrations(final: dict, young: dict, table: Table, live: PartialLightCurves) -> tuple[Calibrated, ...]:
    """Make the tables of the score and of the prior from all normals' out-of-fold numbers, final and live."""
    numbers, samplings, places, _ = _pooled(final, young, table, live)
    normal = np.flatnonzero(~table.is_exotic[places])
    return tuple(
        calibrated(name, numbers[name][normal], [samplings[i] for i in normal]) for name in ("oddity", "prior")
    )


def distributions(final: dict, young: dict, table: Table, live: PartialLightCurves) -> tuple[Distribution, ...]:
    """Bin, over all normals' states, the inputs and what the model that did not see an object says of it."""
    numbers, samplings, places, _ = _pooled(final, young, table, live)
    rows = np.concatenate([table.features, live.tensors[0]])
    folds, is_normal = table.folds[places], ~table.is_exotic[places]
    scores, priors = (cross_scores(numbers[name], samplings, folds, is_normal) for name in ("oddity", "prior"))
    observed = [
        of_features(FEATURES, rows[i])
        | of_score("features", float(scores[i]), float(numbers["error"][i]), float(priors[i]))
        for i in np.flatnonzero(is_normal)
    ]
    return distributions_of("features", observed)


def measured_alarms(final: dict, young: dict, table: Table, live: PartialLightCurves) -> dict:
    """Measure how often normals are flagged, by what they are and how much was seen of them."""
    numbers, samplings, places, is_live = _pooled(final, young, table, live)
    ages = np.array([np.nan if s.age_days is None else s.age_days for s in samplings])
    n_det = np.array([np.nan if s.n_detections is None else s.n_detections for s in samplings])
    groups = {
        "final states of the databank": ~is_live,
        "live states": is_live,
        **{f"live states, {name}": is_live & (n_det >= low) & (n_det <= high) for name, low, high in DETECTION_GROUPS},
        **{f"{low} to {high} days old": (ages >= low) & (ages < high) for low, high in AGE_GROUPS},
    }
    alarms = {
        output: false_alarms(numbers[name], samplings, table.folds[places], ~table.is_exotic[places], groups=groups)
        for output, name in (("score", "oddity"), ("prior", "prior"))
    }
    if len(live.places):
        alarms["score"]["without_levels"] = _without_levels(numbers["oddity"], samplings, places, is_live, table)
    return alarms


def _without_levels(
    values: NDArray, samplings: Sequence[Sampling], places: NDArray, is_live: NDArray[np.bool_], table: Table
) -> dict:
    """Say how often live normals would be flagged if all were compared with the databank's final states."""
    is_normal, folds = ~table.is_exotic[places], table.folds[places]
    scores = cross_scores(values, samplings, folds, is_normal & ~is_live, ONE_LEVEL)
    n_det = np.array([np.nan if s.n_detections is None else s.n_detections for s in samplings])
    return {
        f"live states, {name}": share_of(scores[rows] >= 2.0)
        for name, low, high in DETECTION_GROUPS
        if (rows := is_normal & is_live & (n_det >= low) & (n_det <= high)).any()
    }


def error_quantiles(errors: NDArray[np.float64], table: Table) -> dict[str, list[float]]:
    """Return quantiles of the reconstruction error of normals and exotics."""
    levels = (0.5, 0.9, 0.99, 0.999)
    groups = {"normal": ~table.is_exotic, "exotic": table.is_exotic}
    return {"levels": list(levels)} | {
        name: [float(f"{q:.4g}") for q in np.quantile(errors[rows], levels)]
        for name, rows in groups.items()
        if rows.any()
    }


def headlines(metrics: Mapping) -> Headlines:
    """Return what a model of the object features is worth in a few lines."""
    return {
        "AUC of the score, from 2022 on": within(metrics, "ranking", "recent", "methods", SCORED, "auc"),
        "AP of the score, from 2022 on": within(metrics, "ranking", "recent", "methods", SCORED, "ap"),
        "the same, of like years and missing values": within(metrics, "ranking", "like", "methods", SCORED, "auc"),
        "there by era and missing values alone": within(metrics, "ranking", "like", "methods", ERA, "auc"),
        "AUC of the prior, from 2022 on": within(metrics, "ranking", "recent", "methods", PRIOR, "auc"),
        "share of held-out normals at 2 or above": within(
            metrics, "false_alarms", "score", "shares", "2", "held_out", "share"
        ),
        "validation error": metrics.get("validation_error"),
    }
