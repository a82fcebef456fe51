"""What served models say of typed objects, each at one epoch, and how well that ranks and how seldom it alarms.

The models are asked as the annotator asks them, through the graphs that ship. Nothing here is fitted to the objects
but what the models are compared with: what is missing, how many points there are and over how many days.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.models import ModelSet
from annotator.models.scores import Scores
from annotator.preprocess.evolution import evolution
from annotator.surveys.detections import mostly_negative
from annotator.transient import LightCurve, Transient, Triplet
from training.data.classified_curves import ClassifiedCurve, at_random_epoch
from training.data.folds import fold_of
from training.data.native import NativeObjects
from training.metrics.calibrate import share_of
from training.metrics.ranking import as_lists, auc, ranking

RANDOM, LAST = "at one random epoch each", "at the last epoch"
"""When objects are looked at: stamps are of the brightest epoch, which only the last one is sure to have behind it."""

MIN_OF_A_KIND = 5
"""Exotics, and others, that a ranking needs: of fewer its interval is no interval."""

LEVELS = (1.0, 2.0)
"""Of scores: one in ten, and one in a hundred of the normals that a model knows."""

SUPERNOVA = "SN"
"""How the types of normals begin."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What models say of objects, arrays of length ``(n,)``."""

    kinds: NDArray[np.str_]
    is_exotic: NDArray[np.bool_]
    object_ids: NDArray[np.str_]
    numbers: Mapping[str, NDArray[np.float64]]
    """By name, NaN where an object has none."""
    alone: Mapping[str, NDArray[np.float64]]
    """What is known of an object without looking at what was measured."""


def ask(objects: NativeObjects, models: ModelSet, seed: int, left_out: Collection[str] = ()) -> dict[str, Asked]:
    """Ask models about objects, by when.

    Parameters
    ----------
    seed
        Of the random epochs: an object's own, whatever other objects there are.
    left_out
        Numbers that are not asked for, of models that such objects have taught.
    """
    curves = objects.typed.curves
    young = [at_random_epoch(curve.light_curve, _own_random(curve.object_id, seed)) for curve in curves]
    whole = [curve.light_curve for curve in curves]
    return {
        RANDOM: _asked(curves, young, {}, models, left_out),
        LAST: _asked(curves, whole, objects.triplets, models, left_out),
    }


def _own_random(object_id: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(object_id.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8])])


def _asked(
    curves: Sequence[ClassifiedCurve],
    light_curves: Sequence[LightCurve],
    triplets: Mapping[str, Triplet],
    models: ModelSet,
    left_out: Collection[str],
) -> Asked:
    scores = models.score(
        [
            _transient(curve.object_id, models.survey, seen, triplets.get(curve.object_id))
            for curve, seen in zip(curves, light_curves, strict=True)
        ]
    )
    is_exotic = np.array([curve.is_exotic for curve in curves], dtype=bool)
    folds = np.array([fold_of(curve.object_id) for curve in curves])
    return Asked(
        kinds=np.array([curve.kind for curve in curves], dtype=str),
        is_exotic=is_exotic,
        object_ids=np.array([curve.object_id for curve in curves], dtype=str),
        numbers={name: values for name, values in _numbers(scores, models).items() if name not in left_out},
        alone=_alone(light_curves, is_exotic, folds),
    )


def _transient(object_id: str, survey: str, seen: LightCurve, triplet: Triplet | None) -> Transient:
    """Return an object as it would have been decoded then."""
    detected = seen.detected()
    return Transient(
        object_id=object_id,
        survey=survey,
        n_det=len(detected),
        fades=mostly_negative(np.sign(detected.flux_njy).astype(np.int8)),
        last_mjd=float(detected.time_mjd[-1]) if len(detected) else None,
        light_curve=seen,
        triplet=triplet,
    )


def _numbers(scores: Sequence[Scores], models: ModelSet) -> dict[str, NDArray[np.float64]]:
    def of(value: float | None) -> float:
        return np.nan if value is None else value

    found = {
        f"{modality}_score": [item.present[modality].score if modality in item.present else np.nan for item in scores]
        for modality in models.models
    }
    found["score"] = [item.score if item.n_present else np.nan for item in scores]
    found["prior"] = [of(item.prior) for item in scores]
    if "exotic" in models.heads:
        found["exotic"] = [of(item.exotic) for item in scores]
    arrays = {name: np.array(values, dtype=np.float64) for name, values in found.items()}
    return {name: values for name, values in arrays.items() if np.isfinite(values).any()}


def _alone(
    light_curves: Sequence[LightCurve], is_exotic: NDArray[np.bool_], folds: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return what ranks objects without a look at any measured value, NaN of those with too few points."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = evolution(light_curves)
    n_points, days = found.n_points.astype(np.float64), found.days
    design = np.column_stack([np.isnan(found.values), np.log(n_points + 1), found.n_bands, np.log1p(days)])
    guessed = np.full(len(folds), np.nan)
    for number in np.unique(folds):
        here, others = found.is_known & (folds == number), found.is_known & (folds != number)
        if not here.any():
            continue
        if is_exotic[others].all() or not is_exotic[others].any():
            guessed[here] = 0.0
            continue
        # Not a forest: of some tens of objects it learns nothing.
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
        guessed[here] = model.fit(design[others], is_exotic[others]).decision_function(design[here])
    known = {"number of points": n_points, "days from first to last point": days}
    return {
        "what is missing, points, bands and days": guessed,
        **{name: _better_way(values, is_exotic, found.is_known) for name, values in known.items()},
    }


def _better_way(
    values: NDArray[np.float64], is_exotic: NDArray[np.bool_], is_known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return values or their negatives, whichever rank exotics higher among what is known; NaN of all else."""
    sign = 1.0 if auc(values[is_known], is_exotic[is_known]) >= 0.5 else -1.0
    return np.where(is_known, sign * values, np.nan)


def measure(asked: Asked, exotic_threshold: float | None) -> dict:
    """Return rankings and shares of false alarms, for the report and for machines.

    Returns
    -------
    dict
        ``ranking`` and ``alone``: by number, against ``all others`` and ``supernovae``; ``alarms``: by number, at or
        above each level, by class.
    """
    return {
        "ranking": {name: _rankings(asked, values) for name, values in asked.numbers.items()},
        "alone": {name: _rankings(asked, values) for name, values in asked.alone.items()},
        "alarms": {
            name: _alarms(asked, values, LEVELS if name != "exotic" else (exotic_threshold,))
            for name, values in asked.numbers.items()
        },
    }


def _rankings(asked: Asked, values: NDArray[np.float64]) -> dict[str, dict]:
    is_supernova = np.char.startswith(asked.kinds, SUPERNOVA)
    return {
        "all others": _ranking(asked, values, np.isfinite(values)),
        "supernovae": _ranking(asked, values, np.isfinite(values) & (asked.is_exotic | is_supernova)),
    }


def _ranking(asked: Asked, values: NDArray[np.float64], rows: NDArray[np.bool_]) -> dict:
    labels = asked.is_exotic[rows]
    found = {"n_exotic": int(labels.sum()), "n_other": int((~labels).sum())}
    if min(found.values()) < MIN_OF_A_KIND:
        return found | {"auc": None, "ap": None}
    measured = as_lists(ranking(values[rows], labels, names=asked.object_ids[rows]))
    return found | {name: measured[name] for name in ("auc", "ap")}


def _alarms(asked: Asked, values: NDArray[np.float64], levels: Sequence[float]) -> dict[str, dict]:
    is_known, is_supernova = np.isfinite(values), np.char.startswith(asked.kinds, SUPERNOVA)
    classes = {
        "supernovae": is_known & is_supernova,
        "exotics": is_known & asked.is_exotic,
        "others": is_known & ~is_supernova & ~asked.is_exotic,
    }
    return {
        f"{level:g}": {name: share_of(values[rows] >= level) for name, rows in classes.items() if rows.any()}
        for level in levels
    }
