"""Partial light curves: what a live stream would have shown of a labelled object at a random, earlier epoch.

A databank holds final states, live objects are days old. For the objects whose light curve is at hand the columns are
computed again, as Lasair computes them, from what was seen up to one of their epochs; what surrounds them stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.models.calibration import Sampling
from annotator.preprocess.features import MIN_FEATURES, feature_row
from annotator.preprocess.quantities import QUANTITY_NAMES, quantity_row
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.columns import FEATURES, Detection, lasair_columns
from annotator.surveys.ztf.tables import SURROUNDINGS
from annotator.transient import Transient
from training.data.curves import shared_groups
from training.data.detections import read_detections
from training.data.table import Table

STATES_PER_OBJECT = 3


@dataclass(frozen=True, eq=False)
class PartialLightCurves:
    """Objects of a table, each at some of its epochs."""

    places: NDArray[np.int64]
    """Of each state's object in the table, ``(m,)``."""
    transients: tuple[Transient, ...]
    is_shared: NDArray[np.bool_]
    """Whether all that was seen is of catalogues that do not tell the class, ``(m,)``."""

    @property
    def samplings(self) -> list[Sampling]:
        """How much had been seen of each."""
        return [Sampling(t.n_det, t.extras.get("age_days")) for t in self.transients]

    @property
    def tensors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The model's inputs: features ``(m, n_features)`` and quantities ``(m, n_quantities)``."""
        if not self.transients:
            sizes = len(FEATURES), len(QUANTITY_NAMES)
            return tuple(np.empty((0, size), dtype=np.float32) for size in sizes)
        return (
            np.array([feature_row(FEATURES, item.features) for item in self.transients]),
            np.array([quantity_row(FEATURES, item) for item in self.transients]),
        )


def shared_curves(live: PartialLightCurves) -> PartialLightCurves:
    """Return the states from which a class may be learned."""
    kept = np.flatnonzero(live.is_shared)
    return PartialLightCurves(live.places[kept], tuple(live.transients[i] for i in kept), live.is_shared[kept])


def no_partial_light_curves() -> PartialLightCurves:
    """Return none, for a table without light curves."""
    return PartialLightCurves(np.empty(0, dtype=np.int64), (), np.empty(0, dtype=bool))


def partial_light_curves(table: Table, curves: Path, survey: str, seed: int) -> PartialLightCurves:
    """Compute what was known of objects at random epochs.

    Parameters
    ----------
    table
        Its objects' surroundings, and who they are.
    curves
        Light curves (Parquet), one row a detection (:func:`training.data.curves.read_curves`).
    seed
        Of the epochs: :data:`STATES_PER_OBJECT` an object, each as likely as any other in the logarithm of the number
        of detections up to it, so that the young are as well known as the old.

    Raises
    ------
    ConfigError
        If the light curves cannot be read.
    """
    object_ids = table.object_ids.tolist()
    place_of = {object_id: number for number, object_id in enumerate(object_ids)}
    seen = read_detections(curves, place_of)
    is_exotic = table.is_exotic
    shared = shared_groups((group for _, group in seen.groups), (is_exotic[place_of[name]] for name, _ in seen.groups))
    is_shared: dict[str, bool] = {}
    for object_id, group in seen.groups:
        is_shared[object_id] = is_shared.get(object_id, True) and group in shared
    rng = np.random.default_rng(seed)
    id_column = SURVEYS[survey].id_column
    places, transients = [], []
    for object_id in sorted(seen.detections):
        row = table.rows[place_of[object_id]]
        for _ in range(STATES_PER_OBJECT):
            so_far = _up_to_random_epoch(seen.detections[object_id], rng)
            record = {name: row.get(name) for name in SURROUNDINGS} | {id_column: object_id} | lasair_columns(so_far)
            transient = SURVEYS[survey].parse(record)
            if len(transient.features) >= MIN_FEATURES:
                places.append(place_of[object_id])
                transients.append(transient)
    kept = np.array([is_shared[object_ids[place]] for place in places], dtype=bool)
    return PartialLightCurves(np.array(places, dtype=np.int64), tuple(transients), kept)


def _up_to_random_epoch(detections: Sequence[Detection], rng: np.random.Generator) -> list[Detection]:
    in_order = sorted(detections, key=lambda detection: detection.jd)
    n_seen = int(np.exp(rng.uniform(0.0, np.log(len(in_order) + 1))))
    last_jd = in_order[min(max(n_seen, 1), len(in_order)) - 1].jd
    return [detection for detection in in_order if detection.jd <= last_jd]
