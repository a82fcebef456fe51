"""Labelled light curves, read and split."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError
from annotator.preprocess.lightcurve import MIN_DETECTIONS, Detections, usable_detections, within_grid
from annotator.surveys.values import JD_MINUS_MJD, JD_RANGE, floats, physical, sign_of
from annotator.surveys.ztf.candidates import MAGNITUDE_RANGE, SPELLINGS
from annotator.surveys.ztf.tables import DETECTION, LIGHT_CURVE_COLUMNS
from annotator.tables import contents
from annotator.tables.header import Columns
from annotator.transient import LightCurve
from training.data.detections import OTHER_TELESCOPES
from training.data.folds import Split, fold_of, rotated, rotation_of
from training.data.given import read_given
from training.data.table import EXOTIC, LABELS

if TYPE_CHECKING:
    from pandas import DataFrame

LABEL_COLUMNS = (OBJECT_ID_KEY, "type", "source_label")


@dataclass(frozen=True, eq=False)
class LabelledCurve:
    """One object as one group of sources saw it."""

    object_id: str
    kind: str
    """Spectroscopic type."""
    label: str
    """One of AHA's four."""
    group: str
    """Catalogues of like making: yse, alerts, slsne, manytde. Class follows group, so ranks compare within one."""
    detections: Detections
    source: str = ""
    """The catalogue within the group that most of its detections are from, where the file says so."""


@dataclass(frozen=True, eq=False)
class CurveTable:
    """The labelled light curves that can be scored."""

    file_name: str
    sha256: str
    """Of the light curves, then of the labels."""
    curves: tuple[LabelledCurve, ...]
    n_unscorable: int

    def column(self, name: str) -> NDArray[np.str_]:
        """Return one attribute of the curves, ``(n,)``."""
        return np.array([getattr(curve, name) for curve in self.curves], dtype=str)

    @property
    def is_exotic(self) -> NDArray[np.bool_]:
        """``(n,)``."""
        return self.column("label") == EXOTIC

    @property
    def folds(self) -> NDArray[np.int64]:
        """``(n,)``, 0 to 9 by a hash of the object's id; every curve of an object is in one."""
        return np.array([fold_of(curve.object_id) for curve in self.curves])

    @property
    def model_of(self) -> NDArray[np.int64]:
        """``(n,)``: number of the model that has not seen the object."""
        return rotation_of(self.folds)

    def split(self, rotation: int) -> Split:
        """Return the parts of one model (:func:`training.data.folds.rotated`)."""
        return rotated(self.folds, rotation)


def shared_groups(groups: Iterable[str], is_exotic: Iterable[bool]) -> frozenset[str]:
    """Return the groups of curves, one curve an entry, in which normals outnumber exotics.

    A catalogue of one class tells the class by its making, its depth and its cadence: whoever learns a class from
    curves must leave its curves out.
    """
    exotics: Counter[str] = Counter()
    for group, exotic in zip(groups, is_exotic, strict=True):
        exotics[group] += 1 if exotic else -1
    return frozenset(group for group, excess in exotics.items() if excess < 0)


def read_curves(path: Path, labels_path: Path) -> CurveTable:
    """Read labelled light curves.

    Parameters
    ----------
    path
        Parquet or another table (:mod:`annotator.tables`), one row a detection, with
        :data:`~annotator.surveys.ztf.tables.LIGHT_CURVE_COLUMNS`; where there are `source` and `group`, photometry of
        other telescopes is left out and each group's is a curve of its own.
    labels_path
        A table, one row an object, with :data:`LABEL_COLUMNS`. Labels that are not AHA's four are left out.

    Raises
    ------
    ConfigError
        If a file cannot be read, lacks a column, or no curve of a normal object can be scored.
    """
    rows, labels = _detections(path), _labels(labels_path)
    sha256 = hashlib.sha256(path.read_bytes() + labels_path.read_bytes()).hexdigest()
    if "source" in rows:
        rows = rows[~rows["source"].isin(OTHER_TELESCOPES)]
    labelled = labels[labels["source_label"].isin(LABELS)].set_index(OBJECT_ID_KEY)
    rows = rows[rows[OBJECT_ID_KEY].isin(labelled.index)]
    groups = rows["group"] if "group" in rows else rows[OBJECT_ID_KEY].map(lambda _: "all")
    curves, n_unscorable = [], 0
    for (object_id, group), part in rows.groupby([OBJECT_ID_KEY, groups], sort=True):
        detections = usable_detections(_light_curve(part))
        if len(detections) < MIN_DETECTIONS or within_grid(detections).sum() < MIN_DETECTIONS:
            n_unscorable += 1
            continue
        label = labelled.loc[object_id]
        source = str(part["source"].mode()[0]) if "source" in part else ""
        curves.append(
            LabelledCurve(object_id, str(label["type"]), label["source_label"], str(group), detections, source)
        )
    if all(curve.label == EXOTIC for curve in curves):
        raise ConfigError(f"--data {path}: expected normal objects (SN Ia, SN II, SN Ib/c) to train on, found none")
    return CurveTable(path.name, sha256, tuple(curves), n_unscorable)


def _detections(path: Path) -> "DataFrame":
    """Read Parquet with the types that it has, since a table of detections is long; any other table as text."""
    import pandas  # only this command needs it

    columns = Columns(LIGHT_CURVE_COLUMNS, optional=("source", "group"))
    try:
        with open(path, "rb", contents.HEAD_BYTES) as file:
            stream = contents.unpacked(file)
            is_parquet = contents.kind_of(str(path), contents.head_of(stream)) is contents.Kind.PARQUET
            frame = pandas.read_parquet(io.BytesIO(stream.read())) if is_parquet else None
    except Exception as failure:  # pandas and pyarrow share no base below Exception
        raise ConfigError(f"--data {path}: expected a table of light curves, found {failure}") from failure
    if frame is None:
        names, rows = read_given("--data", path, columns, "make it with aha-train fetch lightcurves")
        frame = pandas.DataFrame(rows, columns=list(names))
    absent = [name for name in LIGHT_CURVE_COLUMNS if name not in frame]
    if absent:
        raise ConfigError(
            f"--data {path}: expected the columns {', '.join(LIGHT_CURVE_COLUMNS)}, found no {', '.join(absent)}"
        )
    return frame


def _labels(path: Path) -> "DataFrame":
    import pandas

    names, rows = read_given("--data", path, Columns(LABEL_COLUMNS), "make it with aha-train fetch lightcurves")
    return pandas.DataFrame(rows, columns=list(names)).replace("", np.nan)


def _light_curve(part) -> LightCurve:
    columns = (DETECTION.time_jd, DETECTION.magnitude, DETECTION.magnitude_error)
    time_jd, magnitude, magnitude_error = (floats(part[name].tolist()) for name in columns)
    return LightCurve.of_magnitudes(
        time_mjd=physical(time_jd, *JD_RANGE) - JD_MINUS_MJD,
        band=np.array([SPELLINGS.name(value) or "" for value in part[DETECTION.band_number].tolist()], dtype=str),
        magnitude=physical(magnitude, *MAGNITUDE_RANGE),
        magnitude_error=magnitude_error,
        sign=np.array([1 if sign_of(value) is True else -1 for value in part[DETECTION.sign].tolist()]),
    )
