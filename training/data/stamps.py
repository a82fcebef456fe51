"""Triplets of stamps with what is known of their objects, read and split by object."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError, MissingModalityError
from annotator.preprocess.triplet import CHANNELS, stamp_tensor
from annotator.surveys.values import number
from annotator.surveys.ztf.tables import CUTOUT_COLUMNS, DETECTION, FETCHED_WITH_CUTOUTS, FETCHED_WITH_CUTOUTS_TOO
from annotator.tables.header import Columns
from annotator.transient import Triplet
from training.data.folds import N_FOLDS, Split, fold_of
from training.data.given import read_arrays, read_given
from training.data.table import EXOTIC

MIN_RB, MIN_DRB = 0.65, 0.8
"""Either of ZTF's two real-bogus scores at least this high makes a stamp real (Duev et al. 2019 for the deep one)."""

N_MODELS = 5
FOLDS_A_MODEL = N_FOLDS // N_MODELS
"""Those that one model does not see, but is measured on."""
MIN_NORMALS_PER_FOLD = 8


@dataclass(frozen=True, eq=False)
class StampTable:
    """Triplets that can be scored, one an entry."""

    file_name: str
    sha256: str
    """Of the stamps, then of the table beside them."""
    rows: tuple[dict[str, str], ...]
    triplets: tuple[Triplet, ...]
    """In the survey's own flux units."""
    tensors: NDArray[np.float32]
    """``(n, 6, 63, 63)``, as they are scored."""
    n_unscorable: int

    def column(self, name: str) -> NDArray[np.str_]:
        """Return one column's text, ``(n,)``."""
        return np.array([row.get(name) or "" for row in self.rows], dtype=str)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return one column's numbers, ``(n,)``, NaN where there is none."""
        values = [number(row.get(name)) for row in self.rows]
        return np.array([np.nan if value is None else value for value in values])

    @property
    def object_ids(self) -> NDArray[np.str_]:
        """``(n,)``, several triplets of one object among them."""
        return self.column(OBJECT_ID_KEY)

    @property
    def is_exotic(self) -> NDArray[np.bool_]:
        """``(n,)``."""
        return self.column("source_label") == EXOTIC

    @property
    def is_normal(self) -> NDArray[np.bool_]:
        """``(n,)``: real by either real-bogus score, and not labelled exotic; most have no label at all."""
        forest, deep = self.numbers(DETECTION.real_bogus), self.numbers(DETECTION.deep_real_bogus)
        return ((forest >= MIN_RB) | (deep >= MIN_DRB)) & ~self.is_exotic

    @property
    def is_pick(self) -> NDArray[np.bool_]:
        """``(n,)``: the brightest positive detection of its object, the epoch that is scored."""
        return self.column("aha_pick") == "True"

    @property
    def folds(self) -> NDArray[np.int64]:
        """``(n,)``, 0 to 9 by a hash of the object's id, so that all its stamps are together."""
        return np.array([fold_of(object_id) for object_id in self.object_ids.tolist()])

    @property
    def model_of(self) -> NDArray[np.int64]:
        """``(n,)``: number of the model that has not seen the object."""
        return self.folds // FOLDS_A_MODEL

    def split(self, model: int) -> Split:
        """Return the parts of model k: folds 2k and 2k+1 test, the next sets the error's constants, seven train."""
        test, held_out = self.model_of == model, self.folds == (FOLDS_A_MODEL * (model + 1)) % N_FOLDS
        return Split(train=~test & ~held_out, validation=held_out, test=test)

    def subset(self, kept: NDArray[np.bool_]) -> "StampTable":
        """Return the entries where a mask ``(n,)`` is true."""
        places = np.flatnonzero(kept)
        rows, triplets = (tuple(values[i] for i in places) for values in (self.rows, self.triplets))
        return StampTable(self.file_name, self.sha256, rows, triplets, self.tensors[places], self.n_unscorable)


def read_stamps(path: Path) -> StampTable:
    """Read stamps and the table beside them.

    Parameters
    ----------
    path
        ``NAME.npz`` with `science`, `template` and `difference`, ``(n, rows, columns)``; beside it ``NAME.csv``, a
        table (:mod:`annotator.tables`) with one row a triplet in the same order and at least
        :data:`~annotator.surveys.ztf.tables.CUTOUT_COLUMNS`.

    Raises
    ------
    ConfigError
        If either cannot be read, they do not fit together, or too few are normal.
    """
    beside = path.with_suffix(".csv")
    remedy = f"make it, and the table {beside.name} beside it, with aha-train fetch cutouts"
    stamps = read_arrays("--data", path, CHANNELS, remedy)
    others = (*FETCHED_WITH_CUTOUTS, *FETCHED_WITH_CUTOUTS_TOO)
    columns = Columns(CUTOUT_COLUMNS, optional=others)
    _, rows = read_given("--data", beside, columns, "make it with aha-train fetch cutouts")
    if {len(part) for part in stamps} != {len(rows)}:
        raise ConfigError(
            f"--data {path}: expected one row of {beside.name} a triplet, found {len(rows)} rows and "
            f"{', '.join(str(len(part)) for part in stamps)} stamps"
        )
    table = _scorable(path.name, hashlib.sha256(path.read_bytes() + beside.read_bytes()).hexdigest(), rows, stamps)
    for model in range(N_MODELS):
        n = np.count_nonzero(table.is_normal & table.is_pick & table.split(model).validation)
        if n < MIN_NORMALS_PER_FOLD:
            raise ConfigError(
                f"--data {path}: expected at least {MIN_NORMALS_PER_FOLD} normal objects in each tenth of the names, "
                f"found {n}; collect more objects"
            )
    return table


def _scorable(file_name: str, sha256: str, rows: list[dict[str, str]], stamps: list[NDArray]) -> StampTable:
    kept, triplets, tensors = [], [], []
    for row, science, template, difference in zip(rows, *stamps, strict=True):
        triplet = Triplet(science, template, difference)
        try:
            tensors.append(stamp_tensor(triplet))
        except MissingModalityError:
            continue
        kept.append(row)
        triplets.append(triplet)
    if not kept:
        raise ConfigError(f"{file_name}: expected triplets that can be scored, found none")
    return StampTable(file_name, sha256, tuple(kept), tuple(triplets), np.array(tensors), len(rows) - len(kept))
