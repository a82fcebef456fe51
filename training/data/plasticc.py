"""Simulated light curves of PLAsTiCC (Kessler et al. 2019, PASP 131, 094501), in flux, with the classes they are of."""

import hashlib
from pathlib import Path

import numpy as np

from annotator.errors import ConfigError
from annotator.surveys.lsst.tables import FLUX, FLUX_ERROR
from annotator.tables.header import Columns
from annotator.transient import LightCurve
from training.data.classified_curves import ClassifiedCurve, ClassifiedCurves
from training.data.given import read_given

COLUMNS = ("object_id", "mjd", "band", FLUX, FLUX_ERROR, "detected")
LABEL_COLUMNS = ("object_id", "class")
REMEDY = "use what was shared with the project, as its README describes it"

PLASTICC = "plasticc"
"""What the source of these curves is called."""


def read_plasticc(path: Path, labels_path: Path) -> ClassifiedCurves:
    """Read simulated light curves and their classes; ids are text throughout.

    Parameters
    ----------
    path
        Parquet, one row a measurement, with :data:`COLUMNS`; fluxes in nJy.
    labels_path
        A table, one row an object, with :data:`LABEL_COLUMNS`.

    Raises
    ------
    ConfigError
        If a file cannot be read, lacks a column, or an object of the first is not in the second.
    """
    import pandas  # only training needs it

    try:
        rows = pandas.read_parquet(path)
    except Exception as failure:  # pandas and pyarrow share no base below Exception
        raise ConfigError(f"--data {path}: expected light curves in Parquet, found {failure}; {REMEDY}") from failure
    absent = [name for name in COLUMNS if name not in rows]
    if absent:
        raise ConfigError(
            f"--data {path}: expected the columns {', '.join(COLUMNS)}, found no {', '.join(absent)}; {REMEDY}"
        )
    if not pandas.api.types.is_integer_dtype(rows["object_id"]) and not isinstance(rows["object_id"].iloc[0], str):
        raise ConfigError(
            f"--data {path}: expected object_id as whole numbers or text, found {rows['object_id'].dtype}, which holds "
            f"no id of 64 bits; {REMEDY}"
        )
    _, labels = read_given("--data", labels_path, Columns(LABEL_COLUMNS), REMEDY)
    kinds = {row["object_id"]: row["class"] for row in labels}
    rows = rows.assign(object_id=rows["object_id"].astype(str), band=rows["band"].astype(str))
    rows = rows.sort_values(["object_id", "mjd"], kind="stable")
    unknown = sorted(set(rows["object_id"]) - set(kinds))
    if unknown:
        raise ConfigError(
            f"--data {labels_path}: expected a class of every object of {path.name}, found none of {unknown[0]} and "
            f"{len(unknown) - 1} more; {REMEDY}"
        )
    curves = tuple(
        ClassifiedCurve(object_id, kinds[object_id], PLASTICC, _light_curve(part))
        for object_id, part in rows.groupby("object_id", sort=True)
    )
    return ClassifiedCurves(path.name, hashlib.sha256(path.read_bytes() + labels_path.read_bytes()).hexdigest(), curves)


def _light_curve(part) -> LightCurve:
    return LightCurve(
        time_mjd=part["mjd"].to_numpy(np.float64),
        band=part["band"].to_numpy(dtype=str),
        flux_njy=part[FLUX].to_numpy(np.float64),
        flux_error_njy=part[FLUX_ERROR].to_numpy(np.float64),
        is_forced=~part["detected"].to_numpy(bool),
    )
