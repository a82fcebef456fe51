"""What the recipes share: progress, processes, and what a table must have."""

import csv
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ConfigError
from annotator.preprocess.features import FEATURE_NAMES
from training.data.table import N_BINS, Table

MIN_NORMALS_PER_BIN = 5

REFERENCE_NIGHT = {"seed": 2026, "n_objects": 30, "now_jd": 2461000.5}
"""The simulated night that reference records come from."""


def progress(line: str) -> None:
    """Say on standard error where the work is."""
    print(line, file=sys.stderr, flush=True)


def write_out_of_fold(
    folder: Path, modality: str, object_ids: NDArray[np.str_], numbers: Mapping[str, NDArray[np.float64]]
) -> None:
    """Write each object's numbers by the model that did not see it, as ``MODALITY.csv``: for training alone."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(numbers)
    with open(folder / f"{modality}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("objectId", *(f"{modality}_{name}" for name in names)))
        for number, object_id in enumerate(object_ids):
            writer.writerow((object_id, *(repr(float(numbers[name][number])) for name in names)))


def check_writable(out: Path) -> None:
    """Refuse, before the work and not after it, a place that is no folder.

    Raises
    ------
    ConfigError
        If `out` is there and is a file.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: expected a folder, found a file; name another place")


def check_trainable(table: Table) -> None:
    """Refuse a table whose split would leave a part without normal objects, or a column without values.

    Raises
    ------
    ConfigError
        Naming what is short.
    """
    normals = Counter(table.bins[~table.is_exotic].tolist())
    short = {number: normals[number] for number in range(N_BINS) if normals[number] < MIN_NORMALS_PER_BIN}
    if short:
        raise ConfigError(
            f"--data {table.file_name}: expected at least {MIN_NORMALS_PER_BIN} normal objects in each of {N_BINS} "
            f"bins of the names, found {sum(normals.values())} in all and bins with only "
            f"{', '.join(map(str, short.values()))}; collect more objects"
        )
    for rotation in range(N_BINS):
        part = table.features[table.split(rotation).train & ~table.is_exotic]
        empty = [FEATURE_NAMES[j] for j in np.flatnonzero(np.isnan(part).all(axis=0))]
        if empty:
            raise ConfigError(
                f"--data {table.file_name}: expected physical values in every feature column of the training part, "
                f"found none in {', '.join(empty)}; make the table with aha-train fetch features"
            )


def in_processes(task: Callable[[int], Any], n: int, jobs: int) -> list:
    """Run a task for 0 to n-1 and return what it gives, in order; the result does not depend on `jobs`."""
    if jobs == 1:
        return [task(number) for number in range(n)]
    # A fork would take torch's thread pool along in an undefined state.
    with ProcessPoolExecutor(min(jobs, n), mp_context=get_context("spawn")) as pool:
        return list(pool.map(task, range(n)))
