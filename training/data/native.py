"""Rubin's own objects, in flux and text: the tables that `aha-train fetch --survey lsst` writes, read.

The light curves that were shared with the project are laid out alike, so that this is the one reader of both.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotator.bands import BANDS
from annotator.errors import ConfigError
from annotator.surveys.lsst.tables import DETECTED, EPOCH_TAI, FLUX, FLUX_ERROR, LIGHT_CURVE_COLUMNS, OBJECT_ID
from annotator.surveys.survey import number_id
from annotator.surveys.values import TAI_MINUS_UTC_DAYS, number
from annotator.tables.header import Columns
from annotator.transient import LightCurve, Triplet
from training.data.classified_curves import ClassifiedCurve, ClassifiedCurves
from training.data.fetched_layouts import OFFSET, PIXELS, SIZE
from training.data.given import read_arrays, read_given

RUBIN = "rubin"
"""What the source of these curves is called."""

CURVES, LABELS, STAMPS = "lightcurves.parquet", "lightcurve_labels.csv", "cutouts.npz"
"""Names of the files in a folder of fetched objects; stamps may be absent."""

REMEDY = "make it with aha-train fetch, --survey lsst"


@dataclass(frozen=True, eq=False)
class NativeObjects:
    """Typed objects of Rubin."""

    typed: ClassifiedCurves
    """In the order of their ids as text."""
    triplets: Mapping[str, Triplet]
    """By object id, of some of them: of the brightest detection."""


def read_native(folder: Path) -> NativeObjects:
    """Read a folder of fetched objects; those without a type are left out.

    Parameters
    ----------
    folder
        With :data:`CURVES`, :data:`LABELS` and, where stamps were fetched, :data:`STAMPS` and the table beside them.

    Raises
    ------
    ConfigError
        If a file cannot be read, lacks a column, or has an id that is none.
    """
    path, labels_path = folder / CURVES, folder / LABELS
    curves = read_light_curves(path)
    _, labels = read_given("--data", labels_path, Columns((OBJECT_ID, "type")), REMEDY)
    kinds = {_id_of(row[OBJECT_ID], labels_path): row["type"].strip() for row in labels}
    typed = tuple(
        ClassifiedCurve(object_id, kinds[object_id], RUBIN, curve)
        for object_id, curve in curves.items()
        if kinds.get(object_id)
    )
    sha256 = hashlib.sha256(path.read_bytes() + labels_path.read_bytes()).hexdigest()
    stamps = folder / STAMPS
    return NativeObjects(ClassifiedCurves(path.name, sha256, typed), _read_triplets(stamps) if stamps.is_file() else {})


def read_light_curves(path: Path) -> dict[str, LightCurve]:
    """Read light curves of Rubin's objects, by id as text, in the order of the ids.

    Parameters
    ----------
    path
        Parquet, one row a measurement, with :data:`~annotator.surveys.lsst.tables.LIGHT_CURVE_COLUMNS`; fluxes in nJy.

    Raises
    ------
    ConfigError
        If it cannot be read, lacks a column, or its ids are neither text nor whole numbers.
    """
    import pyarrow
    import pyarrow.parquet  # only this needs it; through pandas a column of ids with one gap would become floats

    try:
        table = pyarrow.parquet.read_table(path)
    except Exception as failure:  # pyarrow's share no base below Exception with those of the disk
        raise ConfigError(f"--data {path}: expected light curves in Parquet, found {failure}; {REMEDY}") from failure
    absent = [name for name in LIGHT_CURVE_COLUMNS if name not in table.column_names]
    if absent:
        raise ConfigError(
            f"--data {path}: expected the columns {', '.join(LIGHT_CURVE_COLUMNS)}, found no {', '.join(absent)}; "
            f"{REMEDY}"
        )
    kind = table.schema.field(OBJECT_ID).type
    if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        raise ConfigError(
            f"--data {path}: expected {OBJECT_ID} as text or whole numbers, found {kind}, which holds no id of 64 "
            f"bits; {REMEDY}"
        )
    ids = np.array([_id_of(value, path) for value in table[OBJECT_ID].to_pylist()], dtype="<U19")
    texts = {name: np.array(table[name].to_pylist(), dtype=str) for name in ("band", "kind")}
    unknown = sorted(set(texts["band"].tolist()) - set(BANDS))
    if unknown:
        raise ConfigError(f"--data {path}: expected bands u, g, r, i, z or y, found {unknown[0]!r}; {REMEDY}")
    time, flux, error = (table[name].to_numpy().astype(np.float64) for name in ("mjd", FLUX, FLUX_ERROR))
    order = np.lexsort((time, ids))
    first = np.flatnonzero(np.append(True, ids[order][1:] != ids[order][:-1])) if len(ids) else []
    return {
        str(ids[rows[0]]): LightCurve(
            time_mjd=time[rows],
            band=texts["band"][rows],
            flux_njy=flux[rows],
            flux_error_njy=error[rows],
            is_forced=texts["kind"][rows] != DETECTED,
        )
        for rows in np.split(order, first[1:])
        if len(rows)
    }


def _id_of(value: object, path: Path) -> str:
    found = number_id(value)
    if not found:
        raise ConfigError(
            f"--data {path}: expected {OBJECT_ID} as whole numbers below 2^63, found {value!r}; {REMEDY}, and keep ids "
            "as text"
        )
    return found


def _read_triplets(path: Path) -> dict[str, Triplet]:
    beside = path.with_suffix(".csv")
    names = (OBJECT_ID, FLUX, EPOCH_TAI)
    _, rows = read_given("--data", beside, Columns(names), REMEDY)
    pixels, sizes, offsets, ids = read_arrays("--data", path, (PIXELS, SIZE, OFFSET, OBJECT_ID), REMEDY)
    try:
        triplets = [
            pixels[offset : offset + 3 * size**2].reshape(3, size, size)
            for size, offset in zip(sizes.tolist(), offsets.tolist(), strict=True)
        ]
    except (ValueError, TypeError) as failure:
        raise ConfigError(f"--data {path}: expected stamps, found {failure}; {REMEDY}") from failure
    if [row[OBJECT_ID] for row in rows] != ids.tolist():
        raise ConfigError(f"--data {path}: expected the objects of {beside.name} in its order; {REMEDY}")
    return {
        _id_of(row[OBJECT_ID], beside): Triplet(
            *stamps, _utc(row[EPOCH_TAI]), is_negative=(number(row[FLUX]) or 0.0) < 0
        )
        for row, stamps in zip(rows, triplets, strict=True)
    }


def _utc(mjd_tai: str) -> float | None:
    found = number(mjd_tai)
    return None if found is None else found - TAI_MINUS_UTC_DAYS
