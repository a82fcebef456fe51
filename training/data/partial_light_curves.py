"""Partial light curves: what a live stream would have shown of a labelled object at a random, earlier epoch.

A databank holds final states, live objects are days old. For the objects whose light curve is at hand the columns are
computed again, as Lasair computes them, from what was seen up to one of their epochs; what surrounds them stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError
from annotator.models.calibration import Sampling
from annotator.preprocess.features import MIN_FEATURES, feature_row
from annotator.preprocess.quantities import QUANTITY_NAMES, quantity_row
from annotator.surveys import SURVEYS
from annotator.surveys.values import sign_of
from annotator.surveys.ztf.candidates import SPELLINGS
from annotator.surveys.ztf.columns import FEATURES, Detection, lasair_columns
from annotator.surveys.ztf.tables import DETECTION, LIGHT_CURVE_COLUMNS, SURROUNDINGS
from annotator.transient import Transient
from training.data.curves import OTHER_TELESCOPES, shared_groups
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
    detections, is_shared = _detections(curves, table, place_of)
    rng = np.random.default_rng(seed)
    id_column = SURVEYS[survey].id_column
    places, transients = [], []
    for object_id in sorted(detections):
        row = table.rows[place_of[object_id]]
        for _ in range(STATES_PER_OBJECT):
            seen = _up_to_random_epoch(detections[object_id], rng)
            record = {name: row.get(name) for name in SURROUNDINGS} | {id_column: object_id} | lasair_columns(seen)
            transient = SURVEYS[survey].parse(record)
            if len(transient.features) >= MIN_FEATURES:
                places.append(place_of[object_id])
                transients.append(transient)
    shared = np.array([is_shared[object_ids[place]] for place in places], dtype=bool)
    return PartialLightCurves(np.array(places, dtype=np.int64), tuple(transients), shared)


def _detections(
    curves: Path, table: Table, wanted: Mapping[str, int]
) -> tuple[dict[str, list[Detection]], dict[str, bool]]:
    import pandas  # only this command needs it

    try:
        rows = pandas.read_parquet(curves)
    except Exception as failure:  # pandas and pyarrow share no base below Exception
        raise ConfigError(f"--curves {curves}: expected light curves in Parquet, found {failure}") from failure
    absent = [name for name in LIGHT_CURVE_COLUMNS if name not in rows]
    if absent:
        expected = ", ".join(LIGHT_CURVE_COLUMNS)
        raise ConfigError(f"--curves {curves}: expected the columns {expected}, found no {absent}")
    if "source" in rows:
        rows = rows[~rows["source"].isin(OTHER_TELESCOPES)]
    rows = rows[rows[OBJECT_ID_KEY].isin(wanted) & (rows[DETECTION.magnitude] > 0)]
    if "group" not in rows:
        rows = rows.assign(group="all")
    curves_of = rows[[OBJECT_ID_KEY, "group"]].drop_duplicates()
    is_exotic = table.is_exotic
    labels = [bool(is_exotic[wanted[object_id]]) for object_id in curves_of[OBJECT_ID_KEY]]
    shared = shared_groups(curves_of["group"], labels)
    is_shared = curves_of["group"].isin(shared).groupby(curves_of[OBJECT_ID_KEY]).all().to_dict()
    found: dict[str, list[Detection]] = {}
    for object_id, jd, band_number, magnitude, error, sign in rows[[*LIGHT_CURVE_COLUMNS]].itertuples(index=False):
        band = SPELLINGS.letter(band_number)
        if band is None:
            continue
        found.setdefault(object_id, []).append(
            Detection(
                jd=jd,
                is_g=band == "g",
                magnitude=magnitude,
                magnitude_error=error if error > 0 else None,
                is_positive=sign_of(sign) is True,
            )
        )
    return found, is_shared


def _up_to_random_epoch(detections: Sequence[Detection], rng: np.random.Generator) -> list[Detection]:
    in_order = sorted(detections, key=lambda detection: detection.jd)
    n_seen = int(np.exp(rng.uniform(0.0, np.log(len(in_order) + 1))))
    last_jd = in_order[min(max(n_seen, 1), len(in_order)) - 1].jd
    return [detection for detection in in_order if detection.jd <= last_jd]
