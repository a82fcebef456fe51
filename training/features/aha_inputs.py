"""What AHA's recipe is trained on: its 22 inputs as they stand in the file, and the rows it makes up beside them."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ConfigError
from annotator.surveys.values import number
from annotator.surveys.ztf.columns import FEATURE_NAMES
from annotator.surveys.ztf.parse import SENTINEL
from training.data.table import Table

INPUT_NAMES = (*FEATURE_NAMES, "z")
SMOTE_SEED = 42
SMOTE_NEIGHBOURS = 8
OVERSAMPLED = ("SN II", "SN Ib/c")  # up to the number of SN Ia
UNKNOWN_FLAG = 1e-6


def inputs(table: Table) -> NDArray[np.float32]:
    """Return AHA's 22 inputs ``(n, 22)``: sentinels as the numbers they are, NaN where the file has nothing."""
    return _numbers(table, INPUT_NAMES).astype(np.float32)


def oversample(table: Table) -> NDArray[np.float32]:
    """Return synthetic rows ``(m, 22)`` that bring SN II and SN Ib/c up to the number of SN Ia.

    SMOTE (Chawla et al. 2002) with 8 neighbours over all numeric columns of the file, positions and dates included, in
    their own units, each with a flag for "unknown"; a synthetic value is unknown where either parent's is.
    """
    from imblearn.over_sampling import SMOTE

    labels = table.column("source_label")
    counts = Counter(labels.tolist())
    targets = {label: counts["SN Ia"] for label in OVERSAMPLED if 0 < counts[label] < counts["SN Ia"]}
    if not targets:
        return np.empty((0, len(INPUT_NAMES)), dtype=np.float32)
    if min(counts[label] for label in targets) <= SMOTE_NEIGHBOURS:
        raise ConfigError(
            f"--data {table.file_name}: AHA's recipe needs more than {SMOTE_NEIGHBOURS} objects of a class to "
            f"oversample it, found {dict(counts)}; collect more objects"
        )
    names = _numeric_columns(table)
    values = _numbers(table, names)
    is_unknown = np.isnan(values) | (values == SENTINEL)
    medians = np.nan_to_num(np.nanmedian(np.where(is_unknown, np.nan, values), axis=0))
    design = np.hstack([np.where(is_unknown, medians, values), is_unknown.astype(float)])
    sampler = SMOTE(sampling_strategy=targets, k_neighbors=SMOTE_NEIGHBOURS, random_state=SMOTE_SEED)
    synthetic = sampler.fit_resample(design, labels)[0][len(labels) :]
    result = np.full((len(synthetic), len(INPUT_NAMES)), SENTINEL)
    for j, name in enumerate(INPUT_NAMES):
        if name in names:
            i = names.index(name)
            rounded = np.round(synthetic[:, i], _median_decimals(table, name))
            result[:, j] = np.where(synthetic[:, len(names) + i] > UNKNOWN_FLAG, SENTINEL, rounded)
    return result.astype(np.float32)


def _numeric_columns(table: Table) -> list[str]:
    """Return the names of the columns in which every filled cell is a number."""
    names = []
    for name in table.rows[0]:
        cells = [text for row in table.rows if (text := row.get(name))]
        if cells and all(number(text) is not None for text in cells):
            names.append(name)
    return names


def _numbers(table: Table, names: tuple[str, ...] | list[str]) -> NDArray[np.float64]:
    cells = [[number(row.get(name)) for name in names] for row in table.rows]
    return np.array([[np.nan if value is None else value for value in row] for row in cells])


def _median_decimals(table: Table, name: str) -> int:
    return int(np.median([len(text.partition(".")[2]) for row in table.rows if (text := row.get(name))]))
