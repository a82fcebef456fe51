"""What a shipped graph says of objects it was not trained on, measured afresh for the report.

The graph is the one the annotator loads, and the tensors are the annotator's own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.annotation import OBJECT_ID_KEY
from annotator.models import Model
from annotator.models.calibration import Sampling
from annotator.models.inputs import sampling_of
from annotator.preprocess.lightcurve import Detections, grid
from annotator.surveys import SURVEYS
from annotator.surveys.values import number
from annotator.surveys.ztf.columns import is_whole
from annotator.surveys.ztf.tables import DETECTION, OBJECT
from training.data.curves import CurveTable, read_curves
from training.data.partial_light_curves import no_partial_light_curves, partial_light_curves
from training.data.stamps import StampTable, read_stamps
from training.data.table import read_table
from training.lightcurve import evaluate as lightcurve_evaluate
from training.lightcurve.fit import truncated
from training.lightcurve.injection import single_numbers
from training.metrics.ranking import as_lists, auc, ranking
from training.recipe import REFERENCE_NIGHT
from training.report.statistics import dependence, held_out_scores, shares_above
from training.triplet import evaluate as triplet_evaluate
from training.triplet.train import INJECTION_SEED, SERVED

DATA_FILES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "features": ("object_features.csv",),
        "lightcurve": ("lightcurves.parquet", "lightcurve_labels.csv"),
        "triplet": ("cutouts.npz", "cutouts.csv"),
    }
)
"""By modality, what has to lie in the folder of the data."""

SHIPPED, FRESH, AHA = "shipped model, out-of-fold", "shipped model, held out", "AHA's recipe, out-of-fold"
"""Whose score it is: out-of-fold as recorded, measured here, and out-of-fold of the recipe compared with."""

STAMP_INJECTIONS = "stamps"

MIN_EXOTICS = 5
"""Fewer are not worth an interval."""

BATCH = 128


def curve_title(source: str, when: str) -> str:
    """Name the curves that are ranked together."""
    return f"Pooled over catalogues (confounded), {when}" if source == "pooled" else f"Within source {source}, {when}"


def target_kinds(kinds: Iterable[str]) -> list[str]:
    """Return the kinds of injected stamps that the target counts, of those that there are."""
    return [kind for kind in triplet_evaluate.TARGET_KINDS if kind in kinds]


def values_of(model: Model, *tensors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the number ``(n,)`` that the model scores by, of its inputs ``(n, ...)`` in order."""
    names = [tensor.name for tensor in model.manifest.inputs]
    parts = [
        model.run({name: values[start : start + BATCH] for name, values in zip(names, tensors, strict=True)})
        for start in range(0, len(tensors[0]), BATCH)
    ]
    return np.concatenate([part[model.scored_output] for part in parts]).astype(np.float64)


def features(model: Model, data: Path) -> dict:
    """Measure the object-feature model on the bin that neither trained nor stopped it."""
    curves = data / "lightcurves.parquet"
    table = read_table(data / "object_features.csv", "ztf", curves if curves.is_file() else None)
    test = np.flatnonzero(table.split(0).test)
    values, is_exotic = values_of(model, table.features[test], table.quantities[test]), table.is_exotic[test]
    rows = [table.rows[i] for i in test]
    peaks, ages = _table_numbers(rows)
    live = no_partial_light_curves()
    if curves.is_file():
        live = partial_light_curves(table, curves, "ztf", model.manifest.training["settings"]["seed"])
    chosen = np.isin(live.places, test)
    young = values_of(model, *(values[chosen] for values in live.tensors)) if chosen.any() else np.empty(0)
    result = _common(
        model,
        np.concatenate([values, young]),
        np.concatenate([is_exotic, table.is_exotic[live.places[chosen]]]),
        [table.samplings[i] for i in test] + [live.samplings[i] for i in np.flatnonzero(chosen)],
        table.sha256,
    )
    result["rankings"] = _held_out("All objects", values, is_exotic, result["missing"])
    is_normal = ~is_exotic
    result["dependence"] = dependence(
        result.pop("scores")[: int(is_normal.sum())],
        {
            "number of detections": _known([SURVEYS["ztf"].parse(row).n_det for row in rows])[is_normal],
            "values present, of 21": np.isfinite(table.features[test]).sum(axis=1).astype(float)[is_normal],
            "brightest magnitude": peaks[is_normal],
            "days from first detection to last colour": ages[is_normal],
        },
        result["missing"],
    )
    return result


def _table_numbers(rows: Sequence[Mapping[str, str]]) -> tuple[NDArray, NDArray]:
    """Return brightest magnitude and days from the first detection to the last colour, NaN where not known."""
    peaks = np.array([_known([number(row.get(name)) for name in OBJECT.peak_magnitudes]) for row in rows])
    peaks[(peaks < 5) | (peaks > 26)] = np.nan
    peak = np.where(np.isnan(peaks).all(axis=1), np.nan, np.nan_to_num(peaks, nan=99).min(axis=1))
    last, first = (_known([number(row.get(name)) for row in rows]) for name in (OBJECT.colour_jd, OBJECT.first_jd))
    age, in_order = last - first, np.array([is_whole(row) for row in rows], dtype=bool)
    return peak, np.where((age >= 0) & (first > 0) & in_order, age, np.nan)


def lightcurve(model: Model, data: Path) -> dict:
    """Measure the light-curve model on the bin that neither trained nor stopped it, whole and as young as it was."""
    table = read_curves(data / "lightcurves.parquet", data / "lightcurve_labels.csv")
    test = table.split(0).test
    all_states = as_calibrated(table)
    states = [state for state, chosen in zip(all_states, test, strict=True) if chosen]
    held_out = replace(table, curves=tuple(c for c, chosen in zip(table.curves, test, strict=True) if chosen))
    is_exotic, populations = held_out.is_exotic, _populations(table)
    errors = values_of(model, grid(states))
    result = _common(model, errors, is_exotic, [sampling_of(state) for state in states], table.sha256)
    result["rankings"] = [
        *_curve_baselines(table, [curve.detections for curve in table.curves], "whole curves"),
        *_curve_baselines(table, all_states, "curves cut at a random epoch"),
    ]
    whole = values_of(model, grid([curve.detections for curve in held_out.curves]))
    for values, when in ((whole, "whole curves"), (errors, "curves cut at a random epoch")):
        for source, rows in populations.items():
            rows = rows[test]
            title = curve_title(source, when)
            result["rankings"] += _held_out(title, values[rows], is_exotic[rows], result["missing"])
    normal = [state for state, exotic in zip(states, is_exotic, strict=True) if not exotic]
    result["dependence"] = dependence(
        result.pop("scores"),
        {
            "number of detections": np.array([len(curve) for curve in normal], float),
            "brightest magnitude": np.array([curve.magnitude.min() for curve in normal]),
            "days since first detection": np.array([np.ptp(curve.time_days) for curve in normal]),
        },
        result["missing"],
    )
    scorer = {FRESH: lambda _, curves: values_of(model, grid(curves))}
    for sampling, kinds in lightcurve_evaluate.injections(held_out, scorer).items():
        aucs = {kind: found["methods"][FRESH]["auc"] for kind, found in kinds.items()}
        pairs = {kind: found["methods"][FRESH]["n"] for kind, found in kinds.items()}
        result["injections"].append({"title": sampling, "methods": {FRESH: aucs}, "pairs": {FRESH: pairs}})
    return result


def as_calibrated(table: CurveTable) -> list[Detections]:
    """Return each curve at the very epoch at which :func:`training.lightcurve.train.live_errors` calibrated it."""
    rng = np.random.default_rng(REFERENCE_NIGHT["seed"])
    return [truncated(curve.detections, rng) for curve in table.curves]


def _curve_baselines(table: CurveTable, curves: Sequence[Detections], when: str) -> list[dict]:
    """Rank curves by single numbers, each in whichever direction is better; they need no model, so no fold."""
    numbers = [single_numbers(curve) | {"peak magnitude": float(curve.magnitude.min())} for curve in curves]
    tables = []
    for source, rows in _populations(table).items():
        is_exotic, folds = table.is_exotic[rows], table.folds[rows]
        if not is_exotic.any() or is_exotic.all():
            continue
        methods = {}
        for name in numbers[0]:
            values = np.array([n[name] for n in numbers])[rows]
            sign, direction = (1, "larger") if auc(values, is_exotic) >= 0.5 else (-1, "smaller")
            counts = {"n_exotic": int(is_exotic.sum()), "n_normal": int((~is_exotic).sum())}
            methods[f"{name}, {direction}"] = as_lists(ranking(sign * values, is_exotic, folds)) | counts
        tables.append({"title": curve_title(source, when), "methods": methods})
    return tables


def _populations(table: CurveTable) -> dict[str, NDArray[np.bool_]]:
    return {**lightcurve_evaluate.sources_of(table), "pooled": np.ones(len(table.curves), bool)}


def triplet(model: Model, data: Path) -> dict:
    """Measure the triplet model on the fold that it was not trained on."""
    table = read_stamps(data / "cutouts.npz")
    picks = table.subset(table.is_pick)
    fold = picks.subset(picks.split(SERVED).test)
    errors = values_of(model, fold.tensors)
    is_labelled = np.char.startswith(fold.column("source_label"), "SN") | fold.is_exotic
    kept = fold.is_normal | fold.is_exotic
    result = _common(model, errors[kept], fold.is_exotic[kept], [Sampling()] * int(kept.sum()), table.sha256)
    result["rankings"] = _held_out(
        "Labelled stamps", errors[is_labelled], fold.is_exotic[is_labelled], result["missing"]
    )
    normals = fold.subset(fold.is_normal)
    result["dependence"] = dependence(
        result.pop("scores"),
        {
            "number of detections": normals.numbers(DETECTION.earlier_detections),
            "magnitude": normals.numbers(DETECTION.magnitude),
            "days since the earliest detection at hand": _ages(normals, data / "lightcurves.parquet"),
        },
        result["missing"],
    )
    pairs = triplet_evaluate.injected(normals.triplets, INJECTION_SEED)
    scores = {kind: (values_of(model, odd), values_of(model, ordinary)) for kind, (_, odd, ordinary) in pairs.items()}
    result["injections"] = [
        {
            "title": STAMP_INJECTIONS,
            "methods": {FRESH: triplet_evaluate.by_kind(scores)},
            "pairs": {FRESH: {kind: len(places) for kind, (places, _, _) in pairs.items()}},
        }
    ]
    return result


def _ages(table: StampTable, curves: Path) -> NDArray[np.float64]:
    """Return days from an object's first detection in the light curves to its stamps, NaN where there is none."""
    if not curves.is_file():
        return np.full(len(table.rows), np.nan)
    import pandas  # only this command needs it

    epochs = pandas.read_parquet(curves, columns=[OBJECT_ID_KEY, DETECTION.time_jd])
    first = epochs.groupby(OBJECT_ID_KEY)[DETECTION.time_jd].min()
    ages = table.numbers(DETECTION.time_jd) - first.reindex(table.object_ids).to_numpy(float)
    return np.where(ages >= 0, ages, np.nan)


MEASURES: Mapping[str, Callable[[Model, Path], dict]] = MappingProxyType(
    {"features": features, "lightcurve": lightcurve, "triplet": triplet}
)


def _common(
    model: Model, values: NDArray, is_exotic: NDArray[np.bool_], samplings: Sequence[Sampling], sha256: str
) -> dict:
    """Measure what every modality has; ``scores`` are those of the normals, in order."""
    is_same = model.manifest.training.get("data_sha256") == sha256
    missing = []
    if not is_same:
        missing.append(
            "The data are not those the model was trained on: what was recorded is about other objects than what is "
            "measured here."
        )
    normal = np.flatnonzero(~is_exotic)
    calibration = model.calibrations[model.scored_output]
    scores = held_out_scores(calibration, values[normal], [samplings[i] for i in normal], is_same)
    return {
        "missing": missing,
        "rankings": [],
        "injections": [],
        "false_alarms": {"held out, measured here": shares_above(scores)},
        "scores": scores,
    }


def _held_out(title: str, errors: NDArray, is_exotic: NDArray[np.bool_], missing: list[str]) -> list[dict]:
    n_exotic = int(is_exotic.sum())
    if n_exotic < MIN_EXOTICS or is_exotic.all():
        missing.append(
            f"{title}, held out: {n_exotic} exotics and {len(is_exotic) - n_exotic} normals; an interval needs at "
            f"least {MIN_EXOTICS} exotics."
        )
        return []
    found = as_lists(ranking(errors, is_exotic))
    counts = {"n_exotic": n_exotic, "n_normal": len(is_exotic) - n_exotic}
    return [{"title": title, "methods": {FRESH: found | counts}}]


def _known(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
