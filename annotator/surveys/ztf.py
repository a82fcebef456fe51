"""Lasair-ZTF: rows of a query or a stream, and object answers, as :class:`~annotator.transient.Transient`."""

import math
from collections.abc import Iterable, Mapping

from annotator.errors import RecordError
from annotator.preprocess.features import FEATURE_NAMES, QUALITY_NAMES, physical_features
from annotator.surveys.ztf_columns import Detection, lasair_columns
from annotator.transient import Transient

JD_MINUS_MJD = 2400000.5

SENTINEL = -999.0
"""What ZTF and AHA's databank write for "unknown"."""

GOOD_REAL_BOGUS = 0.75
"""Lasair's own threshold on rb or drb for its count of good detections."""


def parse(record: object) -> Transient:
    """Read one Lasair-ZTF record.

    Parameters
    ----------
    record
        A flat row of ``query``, of a filter's stream or of a table (numbers may be text), or the answer of ``object``
        with its ``candidates``, from which the columns are computed as Lasair computes them.

    Raises
    ------
    RecordError
        If it is no mapping, or has no object id. Anything else that is wrong with a value makes that value missing.
    """
    if not isinstance(record, Mapping):
        raise RecordError(f"expected a record with named values, found {_kind(record)}")
    object_id = record.get("objectId")
    if not isinstance(object_id, str) or not object_id:
        found = "nothing" if object_id in (None, "") else _kind(object_id)
        raise RecordError(f"expected objectId to be a non-empty text, found {found}")
    columns = _columns(record)
    values = {name: value for name in _NUMBERS if (value := _known(columns.get(name))) is not None}
    # Lasair stores a count of 0 as NULL: no good detections, not an unknown number of them.
    n_good = values.get("ncandgp", 0.0 if "ncandgp" in columns and "ncand" in values else None)
    last_jd = _within(values.get("jdmax"), *_JD_RANGE)
    sherlock_class = columns.get("classification")
    return Transient(
        object_id=object_id,
        survey="ztf",
        features=physical_features(values),
        n_det=_count(values.get("ncand")),
        n_det_good=_count(n_good),
        last_mjd=None if last_jd is None else last_jd - JD_MINUS_MJD,
        ra_deg=_within(values.get("ramean"), 0.0, 360.0),
        dec_deg=_within(values.get("decmean"), -90.0, 90.0),
        sherlock_class=sherlock_class if isinstance(sherlock_class, str) and sherlock_class else None,
    )


def number(value: object) -> float | None:
    """Return a finite number, or None for anything that is not one; text that is a number counts."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


_NUMBERS = (*FEATURE_NAMES, *QUALITY_NAMES, "ncand", "ncandgp", "jdmax", "ramean", "decmean")
_SHERLOCK = ("classification", "separationArcsec", "major_axis_arcsec")
_JD_RANGE = (2447892.5, 2488069.5)  # 1990 to 2100: outside, it is no date of this survey


def _columns(record: Mapping[str, object]) -> dict[str, object]:
    """Return the record's own columns, and for what it lacks its Sherlock part's and those of its candidates."""
    columns = {name: record[name] for name in (*_NUMBERS, *_SHERLOCK) if record.get(name) is not None}
    sherlock, candidates = record.get("sherlock"), record.get("candidates")
    if isinstance(sherlock, Mapping):
        columns = {name: sherlock.get(name) for name in _SHERLOCK} | columns
    if isinstance(candidates, list):
        columns = lasair_columns(_detections(candidates)) | columns
    return {name: record[name] for name in _NUMBERS if name in record} | columns


def _known(value: object) -> float | None:
    """Return a number that is neither the sentinel nor exactly 0.

    0 stands for "unknown" in every column: Sherlock's for no host or a catalogue without sizes, and Lasair itself
    stores a 0 of its own as NULL.
    """
    result = number(value)
    return None if result in (None, SENTINEL, 0.0) else result


def _count(value: float | None) -> int | None:
    return int(value) if value is not None and 0 <= value < 1e9 else None


def _within(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and low <= value <= high else None


def _kind(value: object) -> str:
    return {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(
        type(value), "a number" if isinstance(value, int | float) else type(value).__name__
    )


def _detections(candidates: Iterable[object]) -> list[Detection]:
    """Take the detections out of an object answer's candidates; what lacks a candid is an upper limit."""
    detections = []
    for candidate in candidates:
        if not isinstance(candidate, Mapping) or candidate.get("candid") is None:
            continue
        jd, magnitude, error = (number(candidate.get(name)) for name in ("jd", "magpsf", "sigmapsf"))
        if jd is None or magnitude is None:
            continue
        real_bogus = [number(candidate.get(name)) for name in ("rb", "drb")]
        ra_deg, dec_deg = number(candidate.get("ra")), number(candidate.get("dec"))
        detections.append(
            Detection(
                jd=jd,
                is_g=number(candidate.get("fid")) == 1,
                magnitude=magnitude,
                magnitude_error=error,
                is_positive=str(candidate.get("isdiffpos")).lower() in ("t", "1", "true"),
                is_good=any(score is not None and score > GOOD_REAL_BOGUS for score in real_bogus),
                ra_deg=ra_deg,
                dec_deg=dec_deg,
            )
        )
    return detections
