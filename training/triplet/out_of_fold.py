"""What the triplet's models say of stamps that they were not trained on, for the artefact head."""

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ConfigError
from annotator.owned_folder import own_folder
from annotator.surveys.ztf.tables import DETECTION
from training import recipe
from training.data.stamps import StampTable
from training.export.files import OUT_OF_FOLD, write_files
from training.triplet.fit import outputs_of
from training.triplet.network import TERMS, TripletModel

TERM_NAMES = tuple(f"triplet_term_{number}" for number in range(len(TERMS)))


STAMPS = "stamps.csv"
"""In the folder of out-of-fold numbers: each stamp's error and terms, by the id of its candidate."""


def out_of_fold_terms(models: list[TripletModel], table: StampTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each triplet's error ``(n,)`` and terms ``(n, 6)`` by the model whose test part it is in."""

    def score(model: int, here: NDArray[np.bool_]) -> NDArray[np.float64]:
        errors, terms, _ = outputs_of(models[model], table.tensors[here])
        return np.column_stack([errors, terms])

    numbers = recipe.out_of_fold(table.model_of, score, (1 + len(TERMS),))
    return numbers[:, 0].copy(), numbers[:, 1:].copy()


def write_stamps(folder: Path, table: StampTable, errors: NDArray[np.float64], terms: NDArray[np.float64]) -> None:
    """Write each stamp's error and terms by the model that had not seen it."""
    own_folder(folder, OUT_OF_FOLD)
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow((DETECTION.candidate_id, "error", *TERM_NAMES))
    for candidate_id, error, row in zip(table.column(DETECTION.candidate_id), errors, terms, strict=True):
        writer.writerow((candidate_id, repr(float(error)), *(repr(float(value)) for value in row)))
    write_files(folder, [(STAMPS, file.getvalue().encode())])


def read_stamps_out_of_fold(folder: Path, table: StampTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read error ``(n,)`` and terms ``(n, 6)`` of a table's stamps.

    Raises
    ------
    ConfigError
        If the file is not there, or lacks a stamp.
    """
    path = folder / STAMPS
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = {row[DETECTION.candidate_id]: row for row in csv.DictReader(file)}
        found = [rows[candidate_id] for candidate_id in table.column(DETECTION.candidate_id)]
        errors = np.array([float(row["error"]) for row in found])
        return errors, np.array([[float(row[name]) for name in TERM_NAMES] for row in found])
    except (OSError, KeyError, ValueError) as failure:
        raise ConfigError(
            f"--out-of-fold {folder}: expected {STAMPS} with every stamp of the data, found {failure!r}; make it with "
            f"aha-train triplet --out-of-fold"
        ) from failure
