"""Light curves as they look at random epochs, in quantities: what is trained on, and one state each to measure by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.evolution import evolution
from annotator.surveys.lsst.tables import OBJECT_ID
from annotator.transient import LightCurve
from training.data.classified_curves import ClassifiedCurve, at_random_epoch, measured_where
from training.data.folds import fold_of
from training.data.native import RUBIN, read_light_curves

FEWER_BANDS_PROBABILITY = 0.3
"""Of a state in training: only some of its bands, at least one, whatever the survey saw it in."""

SHORTER_PROBABILITY = 0.3
"""Of a state in training: nothing before a random one of its detections, as if its history were not known."""


REAL_TABLES = {"stream": "rubin_lvra_lightcurves.parquet", "alerts": "rubin_lightcurves.parquet"}
"""Real objects of Rubin, to look at and never to learn from."""

AGN_TYPES = ("QSO", "Sy1", "AGN", "LIN")
"""Of SIMBAD; a star's type has an asterisk."""


@dataclass(frozen=True, eq=False)
class States:
    """Quantities of objects of known class, arrays of length ``(n,)`` but the first."""

    values: NDArray[np.float32]
    """``(n, len(EVOLUTION))``, NaN where missing."""
    n_points: NDArray[np.int64]
    n_bands: NDArray[np.int64]
    days: NDArray[np.float64]
    object_ids: NDArray[np.str_]
    kinds: NDArray[np.str_]
    sources: NDArray[np.str_]
    is_exotic: NDArray[np.bool_]
    folds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.folds)

    def where(self, kept: NDArray) -> "States":
        """Return some of them, by mask or index."""
        return States(*(getattr(self, field.name)[kept] for field in fields(self)))


def together(parts: Sequence[States]) -> States:
    """Put states one after another."""
    return States(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(States)))


def states_of(curves: Sequence[ClassifiedCurve], light_curves: Sequence[LightCurve]) -> States:
    """Compute the quantities of some states of objects; those of too few points are left out.

    Parameters
    ----------
    curves
        Who they are.
    light_curves
        What was seen of each.
    """
    found = evolution(light_curves)
    whole = States(
        values=found.values.astype(np.float32),
        n_points=found.n_points,
        n_bands=found.n_bands,
        days=found.days,
        object_ids=np.array([curve.object_id for curve in curves], dtype=str),
        kinds=np.array([curve.kind for curve in curves], dtype=str),
        sources=np.array([curve.source for curve in curves], dtype=str),
        is_exotic=np.array([curve.is_exotic for curve in curves], dtype=bool),
        folds=np.array([fold_of(curve.object_id) for curve in curves], dtype=np.int64),
    )
    return whole.where(found.is_known)


def measured_states(curves: Sequence[ClassifiedCurve], seed: int) -> States:
    """Return one state of each object, at a random epoch: whatever is measured, is measured on these."""
    return states_of(
        curves,
        [at_random_epoch(curve.light_curve, np.random.default_rng([seed, i])) for i, curve in enumerate(curves)],
    )


def training_states(curves: Sequence[ClassifiedCurve], n_epochs: int, seed: int) -> States:
    """Return so many states of each object, bands and history drawn at random."""
    return together(
        [
            states_of(
                curves, [_varied(c.light_curve, np.random.default_rng([seed, 1 + k, i])) for i, c in enumerate(curves)]
            )
            for k in range(n_epochs)
        ]
    )


def _varied(curve: LightCurve, rng: np.random.Generator) -> LightCurve:
    varied = at_random_epoch(curve, rng)
    if rng.random() < FEWER_BANDS_PROBABILITY:
        bands = np.unique(varied.band)
        kept = rng.permutation(bands)[: rng.integers(1, len(bands) + 1)]
        varied = measured_where(varied, np.isin(varied.band, kept))
    detected = varied.time_mjd[~varied.is_forced]
    if rng.random() < SHORTER_PROBABILITY and len(detected):
        varied = measured_where(varied, varied.time_mjd >= rng.choice(detected))
    return varied


def states_of_real(path: Path, context_path: Path) -> tuple[States, NDArray[np.str_]]:
    """Return states of real objects of Rubin as they are, and what catalogues say of each (:func:`real_curves`)."""
    curves, contexts = real_curves(path, context_path)
    states = states_of(curves, [curve.light_curve for curve in curves])
    return states, np.array([contexts[object_id] for object_id in states.object_ids])


def real_curves(path: Path, context_path: Path) -> tuple[list[ClassifiedCurve], dict[str, str]]:
    """Return real objects of Rubin, and what catalogues say of each, by its id: AGN, star or other.

    Parameters
    ----------
    path
        Parquet, one row a measurement, ids as text.
    context_path
        A table of alerts with SIMBAD's types and Gaia's parallaxes; objects that it lacks are "not looked up".
    """
    context = context_of(context_path)
    curves, contexts = [], {}
    for object_id, light_curve in read_light_curves(path).items():
        curves.append(ClassifiedCurve(object_id, "", RUBIN, light_curve))
        contexts[object_id] = context(object_id)
    return curves, contexts


def context_of(path: Path) -> Callable[[str], str]:
    """Return what tells what a table of catalogue matches says of an object: AGN, star or other, or not looked up."""
    import pandas  # only training needs it

    kinds = pandas.read_csv(path, dtype=str).drop_duplicates(OBJECT_ID).set_index(OBJECT_ID)["xm_simbad_otype"]

    def context(object_id: str) -> str:
        if object_id not in kinds.index:
            return "not looked up"
        kind = str(kinds[object_id])
        return "AGN" if kind in AGN_TYPES else "star" if "*" in kind else "other"

    return context
