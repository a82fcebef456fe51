"""A labelled table of objects, read and split."""

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError, MissingModalityError, RecordError
from annotator.models.calibration import Sampling
from annotator.preprocess.features import MIN_FEATURES, feature_row
from annotator.preprocess.quantities import quantity_row
from annotator.surveys import SURVEYS
from annotator.surveys.history import history
from annotator.surveys.values import JD_MINUS_MJD, julian_date, number
from annotator.surveys.ztf.columns import FEATURES, QUALITY_NAMES, Detection, is_whole, lasair_columns
from annotator.surveys.ztf.tables import DATABANK_TABLES, OBJECT, SURROUNDINGS
from annotator.tables.header import Columns
from annotator.transient import Transient
from training.data.detections import read_detections
from training.data.folds import Split, fold_of, rotated, rotation_of
from training.data.given import read_given

EXOTIC = "Exotic"
LABELS = ("SN Ia", "SN II", "SN Ib/c", EXOTIC)
"""AHA's four classes; the first three are normal."""

RECENT_JD = 2459580.5
"""1 January 2022. AHA's databank has rows in reversed order until then, nearly all of normals: what compares them with
later ones compares eras."""

REQUIRED_COLUMNS = (OBJECT_ID_KEY, "tns_name", "source_label")


@dataclass(frozen=True)
class Table:
    """The labelled objects that can be scored, one an entry."""

    file_name: str
    sha256: str
    rows: tuple[dict[str, str], ...]
    """As in the file, for what is not an input: labels, names, AHA's own columns."""
    transients: tuple[Transient, ...]
    """As the annotator reads them."""
    features: NDArray[np.float32]
    """``(n, n_features)``, NaN where missing."""
    n_unscorable: int
    """Rows left out because too few of their values are physical."""
    n_not_whole: int = 0
    """Rows left out because they were computed of detections in reversed order."""
    n_from_curves: int = 0
    """Rows of that kind that are in, their columns computed anew from their light curves."""

    @functools.cached_property
    def quantities(self) -> NDArray[np.float32]:
        """``(n, n_quantities)``, NaN where missing."""
        return np.array([quantity_row(SURVEYS[item.survey].features, item) for item in self.transients])

    @property
    def samplings(self) -> list[Sampling]:
        """How much was seen of each object."""
        return [Sampling(t.n_det, t.extras.get("age_days")) for t in self.transients]

    def subset(self, kept: NDArray) -> "Table":
        """Return some of the objects, by mask or index."""
        places = np.flatnonzero(kept) if kept.dtype == bool else kept
        rows, transients = (tuple(values[i] for i in places) for values in (self.rows, self.transients))
        return replace(self, rows=rows, transients=transients, features=self.features[places])

    def column(self, name: str) -> NDArray[np.str_]:
        """Return one column's text, ``(n,)``; empty where the file has no such column."""
        return np.array([row.get(name) or "" for row in self.rows], dtype=str)

    @property
    def object_ids(self) -> NDArray[np.str_]:
        """``(n,)``."""
        return self.column(OBJECT_ID_KEY)

    @property
    def tns_names(self) -> list[str]:
        """The transients' names, which several ids can share; the id where there is none."""
        return [row["tns_name"] or row[OBJECT_ID_KEY] for row in self.rows]

    @property
    def is_exotic(self) -> NDArray[np.bool_]:
        """``(n,)``."""
        return self.column("source_label") == EXOTIC

    @property
    def folds(self) -> NDArray[np.int64]:
        """``(n,)``, 0 to 9 by a hash of the transient's name, so that all ids of one transient are together."""
        return np.array([fold_of(name) for name in self.tns_names])

    @property
    def first_jd(self) -> NDArray[np.float64]:
        """``(n,)``, of each object's first detection as the file has it; NaN where it doesn't say."""
        return np.array([number(row.get(OBJECT.first_jd)) or np.nan for row in self.rows], dtype=np.float64)

    @property
    def is_recent(self) -> NDArray[np.bool_]:
        """``(n,)``: first seen from 2022 on, since when every row of Lasair's is whole."""
        return self.first_jd >= RECENT_JD

    @property
    def is_within_aha_cut(self) -> NDArray[np.bool_]:
        """``(n,)``: rate errors within 1 mag/day and exponential means within 0 to 30 mag (AHA's notebooks 03, 04)."""
        return np.array([_passes_aha_cut(row) for row in self.rows])

    @property
    def model_of(self) -> NDArray[np.int64]:
        """``(n,)``: number of the model that has not seen the object."""
        return rotation_of(self.folds)

    def split(self, rotation: int) -> Split:
        """Return the parts of one model (:func:`training.data.folds.rotated`)."""
        return rotated(self.folds, rotation)


def read_table(path: Path, survey: str, curves: Path | None = None) -> Table:
    """Read a labelled table.

    A row that was computed of detections in reversed order (:func:`annotator.surveys.ztf.columns.is_whole`) is left
    out, or its columns are computed anew where its light curve is at hand.

    Parameters
    ----------
    path
        A table (:mod:`annotator.tables`) in the layout of AHA's databank: Lasair's columns by name, `tns_name`, and
        `source_label`, one of :data:`LABELS`. Feature columns may be absent: they are missing values.
    curves
        Light curves (Parquet) of some of its objects, one row a detection.

    Raises
    ------
    ConfigError
        If a file cannot be read, lacks a column, has an unknown label, or no normal object.
    """
    names = tuple(feature.name for feature in SURVEYS[survey].features)
    others = (*(name for columns in DATABANK_TABLES.values() for name in columns), *SURVEYS[survey].other_columns)
    columns = Columns(REQUIRED_COLUMNS, names, MIN_FEATURES, (*SURVEYS[survey].needed_columns, *others))
    _, rows = read_given("--data", path, columns, "make the table with aha-train fetch features")
    unknown = Counter(row["source_label"] for row in rows if row["source_label"] not in LABELS)
    if unknown:
        raise ConfigError(
            f"--data {path}: expected source_label to be one of {', '.join(LABELS)}, found "
            f"{', '.join(f'{label!r} ({count} rows)' for label, count in unknown.most_common(5))}; correct the table"
        )
    if all(row["source_label"] == EXOTIC for row in rows):
        raise ConfigError(f"--data {path}: expected normal objects (SN Ia, SN II, SN Ib/c) to train on, found none")
    not_whole = {row[OBJECT_ID_KEY] for row in rows if not is_whole(row)}
    seen = read_detections(curves, not_whole).detections if curves and not_whole else {}
    used = [
        (place, row, _from_detections(row, seen[row[OBJECT_ID_KEY]]) if row[OBJECT_ID_KEY] in seen else row)
        for place, row in enumerate(rows, start=1)
        if row[OBJECT_ID_KEY] not in not_whole or row[OBJECT_ID_KEY] in seen
    ]
    kept, transients, features = _scorable(used, survey, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Table(
        path.name,
        sha256,
        kept,
        transients,
        features,
        n_unscorable=len(used) - len(kept),
        n_not_whole=len(rows) - len(used),
        n_from_curves=sum(row[OBJECT_ID_KEY] in seen for row in kept),
    )


def _from_detections(row: Mapping[str, str], detections: Sequence[Detection]) -> dict[str, object]:
    """Return a row with what surrounds its object, and all else as its detections give it."""
    around = {name: row.get(name) for name in SURROUNDINGS}
    return {OBJECT_ID_KEY: row[OBJECT_ID_KEY]} | around | lasair_columns(detections)


def _scorable(
    used: Sequence[tuple[int, dict[str, str], Mapping[str, object]]], survey: str, path: Path
) -> tuple[tuple[dict[str, str], ...], tuple[Transient, ...], NDArray[np.float32]]:
    kept, transients, features = [], [], []
    for place, row, record in used:
        try:
            transient = SURVEYS[survey].parse(record)
            features.append(feature_row(SURVEYS[survey].features, transient.features))
        except MissingModalityError:
            continue
        except RecordError as failure:
            raise ConfigError(f"--data {path}, record {place}: {failure}; correct the table") from failure
        kept.append(row)
        transients.append(_with_years(transient, row))
    if not kept:
        raise ConfigError(f"--data {path}: expected physical values in the feature columns, found none in any row")
    return tuple(kept), tuple(transients), np.array(features)


def _with_years(transient: Transient, row: Mapping[str, str]) -> Transient:
    """Add for how long an object had been known to one whose row has no date but the first of its thirty days."""
    first_jd = julian_date(row.get(OBJECT.first_jd))
    if transient.last_mjd is not None or first_jd is None:
        return transient
    return replace(transient, history=history(None, first_jd - JD_MINUS_MJD, transient.history.first_year))


def _passes_aha_cut(row: dict[str, str]) -> bool:
    rate_errors = [number(row.get(name)) for name in QUALITY_NAMES]
    means = [number(row.get(feature.name)) for feature in FEATURES if feature.between]
    return all(e is not None and -1 <= e <= 1 for e in rate_errors) and all(
        m is not None and 0 <= m <= 30 for m in means
    )
