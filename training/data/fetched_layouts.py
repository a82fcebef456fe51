"""How what is fetched of an object lies in the tables that models are trained on, survey by survey."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.triplet import CHANNELS
from annotator.surveys.lsst import tables as lsst
from annotator.surveys.values import JD_MINUS_MJD
from annotator.surveys.ztf.candidates import FILTERS
from annotator.surveys.ztf.tables import (
    DETECTION,
    FETCHED_WITH_CUTOUTS,
    FETCHED_WITH_CUTOUTS_TOO,
    LIGHT_CURVE_COLUMNS,
)
from annotator.transient import LightCurve, Triplet

SIDE = 63
"""Pixels of the side of a stamp of ZTF's in the set; those at a detector's edge are smaller and left out."""

PIXELS, SIZE, OFFSET = "pixels", "size", "offset"
"""Arrays of stamps whose sides differ: all pixels one after the other, and of each triplet its side and where it
begins: ``pixels[offset:offset + 3 * size**2].reshape(3, size, size)``, science, template, difference."""


@dataclass(frozen=True)
class Layout:
    """The tables of one survey."""

    source: str
    """What they call where they are from."""
    answers: str
    """Name of the file in which answers are kept, beside what is made of them."""
    measurements: str
    """What an answer of `object` has to have, a list."""
    what_is_read: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    """Take out of an answer what is ever read of it."""
    curve_types: Mapping[str, str]
    """Columns of the light curves, the object's id first, and pyarrow's names of their types."""
    curve_rows: Callable[[str, LightCurve], Iterable[tuple[object, ...]]]
    """Lay out an object's light curve, a row a measurement."""
    letters: str
    """Of the bands whose detections are counted beside the labels."""
    of_stamps: tuple[str, ...]
    of_stamps_too: tuple[str, ...]
    """What is kept of the detection that stamps are of, before and after what is known of its object."""
    shown: Callable[[Mapping[str, Any], str], Mapping[str, Any]]
    """Find in an answer the detection whose science stamp is at an address."""
    why_not: Callable[[Triplet], str | None]
    """Say why stamps are not in the set; None where they are."""
    arrays: Callable[[Sequence[Triplet], Sequence[Mapping[str, Any]], Sequence[str]], Mapping[str, NDArray]]
    """Lay out stamps, by the detections that they are of and the objects' ids."""


def _ztf_curve_rows(object_id: str, curve: LightCurve) -> Iterable[tuple[object, ...]]:
    band_number = {band.name: number for number, band in FILTERS.items()}
    for time_mjd, band, magnitude, error, is_positive in zip(
        curve.time_mjd, curve.band, curve.magnitude, curve.magnitude_error, curve.is_positive, strict=True
    ):
        sign = "t" if is_positive else "f"
        yield object_id, time_mjd + JD_MINUS_MJD, band_number[band], magnitude, error, sign, _ZTF, "lasair", ""


def _ztf_shown(answer: Mapping[str, Any], science_url: str) -> Mapping[str, Any]:
    return next(
        item
        for item in answer["candidates"]
        if isinstance(item, Mapping)
        and isinstance(item.get("image_urls"), Mapping)
        and item["image_urls"].get("Science") == science_url
    )


def _shapes(triplet: Triplet) -> set[tuple[int, ...]]:
    return {getattr(triplet, kind).shape for kind in CHANNELS}


def _in_words(shapes: Iterable[tuple[int, ...]]) -> str:
    return ", ".join(f"{rows}x{columns}" for rows, columns in sorted(shapes))


def _ztf_why_not(triplet: Triplet) -> str | None:
    shapes = _shapes(triplet)
    return None if shapes == {(SIDE, SIDE)} else f"its stamps are not {SIDE}x{SIDE}: {_in_words(shapes)}"


def _ztf_arrays(
    triplets: Sequence[Triplet], shown: Sequence[Mapping[str, Any]], object_ids: Sequence[str]
) -> Mapping[str, NDArray]:
    arrays = {
        kind: np.array([getattr(triplet, kind) for triplet in triplets], dtype=np.float32).reshape(-1, SIDE, SIDE)
        for kind in CHANNELS
    }
    ids = [int(item.get(DETECTION.candidate_id) or 0) for item in shown]
    return arrays | {DETECTION.candidate_id: np.array(ids, dtype=np.int64)}


def _lsst_curve_rows(object_id: str, curve: LightCurve) -> Iterable[tuple[object, ...]]:
    for time_mjd, band, flux, error, is_forced in zip(
        curve.time_mjd, curve.band, curve.flux_njy, curve.flux_error_njy, curve.is_forced, strict=True
    ):
        kind = lsst.FORCED if is_forced else lsst.DETECTED
        yield object_id, time_mjd, band, flux, error, kind, _LSST, "lasair", ""


def _lsst_why_not(triplet: Triplet) -> str | None:
    shapes = _shapes(triplet)
    if len(shapes) == 1 and all(rows == columns for rows, columns in shapes):
        return None
    return f"its stamps are no squares of one size: {_in_words(shapes)}"


def _lsst_arrays(
    triplets: Sequence[Triplet], shown: Sequence[Mapping[str, Any]], object_ids: Sequence[str]
) -> Mapping[str, NDArray]:
    sizes = np.array([len(triplet.science) for triplet in triplets], dtype=np.int64)
    pixels = [np.ravel(getattr(triplet, kind)) for triplet in triplets for kind in CHANNELS]
    return {
        PIXELS: np.concatenate([*pixels, np.empty(0)]).astype(np.float32),
        SIZE: sizes,
        OFFSET: np.cumsum(3 * sizes**2) - 3 * sizes**2,
        # As text: whatever makes a float of an id loses its last digits.
        lsst.OBJECT_ID: np.array(object_ids, dtype="<U19"),
        lsst.SOURCE_ID: np.array([str(item.get(lsst.SOURCE_ID) or "") for item in shown], dtype="<U19"),
    }


_ZTF, _LSST = "Lasair-ZTF", "Lasair-LSST"
_TEXT = {"source": "string", "group": "string", "repo_licence": "string"}

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "ztf": Layout(
            source=_ZTF,
            answers="object-answers.jsonl",
            measurements="candidates",
            what_is_read=lambda answer: {"candidates": answer.get("candidates")},
            curve_types=dict.fromkeys(LIGHT_CURVE_COLUMNS, "string")
            | {DETECTION.time_jd: "float64", DETECTION.band_number: "int8"}
            | {DETECTION.magnitude: "float32", DETECTION.magnitude_error: "float32"}
            | _TEXT,
            curve_rows=_ztf_curve_rows,
            letters="gr",
            of_stamps=FETCHED_WITH_CUTOUTS,
            of_stamps_too=FETCHED_WITH_CUTOUTS_TOO,
            shown=_ztf_shown,
            why_not=_ztf_why_not,
            arrays=_ztf_arrays,
        ),
        "lsst": Layout(
            source=_LSST,
            answers="object-answers.lsst.jsonl",
            measurements=lsst.ANSWER_LISTS[0],
            what_is_read=lsst.what_is_read_of,
            curve_types=dict.fromkeys(lsst.LIGHT_CURVE_COLUMNS, "string")
            | {"mjd": "float64", lsst.FLUX: "float64", lsst.FLUX_ERROR: "float64"}
            | _TEXT,
            curve_rows=_lsst_curve_rows,
            letters="ugrizy",
            of_stamps=lsst.CUTOUT_COLUMNS,
            of_stamps_too=(),
            shown=lsst.detection_of_stamps,
            why_not=_lsst_why_not,
            arrays=_lsst_arrays,
        ),
    }
)
"""By survey."""
