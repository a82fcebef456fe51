"""Lasair-LSST: rows of a query or a stream, object answers and Rubin's alerts, as transients."""

import math
from collections.abc import Mapping

from annotator.errors import MissingModalityError, RecordError, SolarSystemObjectError
from annotator.preprocess.features import physical_features
from annotator.surveys.detections import is_elsewhere
from annotator.surveys.history import history
from annotator.surveys.lsst.columns import FEATURE_NAMES, FEATURES
from annotator.surveys.lsst.ranges import MJD_RANGE
from annotator.surveys.lsst.shapes import ID, Shape, named, shape_of
from annotator.surveys.lsst.sources import SourceTable, read_sources
from annotator.surveys.lsst.views import counts, cutouts, mean_position, reliability, triplet
from annotator.surveys.survey import number_id
from annotator.surveys.values import (
    JD_MINUS_MJD,
    TAI_MINUS_UTC_DAYS,
    count,
    is_absent,
    julian_date,
    nothing_but,
    number,
    physical_extras,
    shown,
    within,
)
from annotator.transient import History, Modality, Transient


def parse(record: object, latest_mjd: float = math.inf) -> Transient:
    """Read one record of Rubin's.

    Parameters
    ----------
    record
        A row of ``query`` or of a table, a message of a stream, which may carry light curve and alert under ``alert``,
        an answer of ``object`` in any of its four shapes, or an alert packet (:mod:`annotator.surveys.lsst.shapes`).
        Its detections, in any order, are the light curve; forced photometry stands for the visits without one. An
        object that is mostly negative is read as its mirror, as if it had brightened by as much.
    latest_mjd
        A later date (UTC) counts as missing, and a measurement of such a date is left out; the transient says so.

    Raises
    ------
    RecordError
        If it is no mapping, or has no object id between 0 and 2**63. Anything else that is wrong with a value makes
        that value missing.
    SolarSystemObjectError
        If its object id is 0 or null, as in an alert of a solar-system object, or all its detections are of such.
    """
    if not isinstance(record, Mapping):
        raise RecordError(f"expected a record with named values, found {_kind(record)}")
    shape = shape_of(named(record))
    object_id = _object_id(record, shape)
    table = None
    if shape.detected is not None:
        table = read_sources(shape.detected, shape.forced, latest_mjd, shape.nondetections)
    left_out, unphysical = ((), ()) if table is None else (table.left_out, table.unphysical)
    has_none = table is not None and not len(table.detections)
    if has_none and table.n_solar_system and len(left_out) == 1:
        raise SolarSystemObjectError(f"no detection is the object's own: {left_out[0]}")
    values, wrong_kinds = _numbers(shape.columns)
    dates_ahead = ("diaSources",) if table is not None and table.has_later else ()
    dates = {name: _utc(values.pop(name)) for name in _DATES if name in values}
    for name in [name for name in dates if dates[name] > latest_mjd]:
        del dates[name]
        dates_ahead += (name,)
    first_mjd, last_mjd = _span(table, dates)
    features = physical_features(FEATURES, values)
    reference, stamps, why_missing = None, None, {}
    if (has_none or shape.wrong_parts) and _OF_DETECTIONS.isdisjoint(features):
        # What surrounds an object of which nothing was seen, or could be read, is no view of it.
        why = "; ".join((*left_out, *unphysical, *shape.wrong_parts)) or "the record has no detection"
        # A light curve that the record lacks may be there where it is asked for.
        without = (Modality.FEATURES,) if table is None else (Modality.FEATURES, Modality.LIGHTCURVE)
        features, why_missing = {}, dict.fromkeys(without, why)
    try:
        reference = cutouts(shape, table)
        stamps = triplet(shape, table)
    except MissingModalityError as reason:
        why_missing[Modality.TRIPLET] = str(reason)
    ra_deg, dec_deg = _position(values, table)
    sherlock_class = shape.columns["classification"]
    counted = _counted(values) if table is None else counts(table)
    return Transient(
        object_id=object_id,
        survey="lsst",
        features=features,
        **counted,
        fades=table is not None and table.fades,
        last_mjd=last_mjd,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        sherlock_class=sherlock_class if isinstance(sherlock_class, str) and sherlock_class else None,
        light_curve=None if table is None else table.light_curve,
        triplet=stamps,
        cutouts=reference,
        why_missing=why_missing,
        dates_ahead=dates_ahead,
        n_solar_system=0 if table is None else table.n_solar_system,
        left_out=(*left_out, *unphysical, *wrong_kinds, *shape.wrong_parts),
        extras=_extras(values, table, first_mjd, last_mjd),
        history=_history(table, dates, last_mjd, values),
    )


def _object_id(record: Mapping[str, object], shape: Shape) -> str:
    """Return the id of the first of its places that has one."""
    if found := next((found for value in shape.ids if (found := number_id(value))), ""):
        return found
    if shape.ids and all(is_absent(value) or number(value) == 0 for value in shape.ids):
        raise SolarSystemObjectError(f"{ID} is 0 or null, as in an alert of a solar-system object")
    found = _kind(shape.ids[0]) if shape.ids else nothing_but(list(record))
    raise RecordError(f"expected {ID} to be a whole number between 0 and 2**63, found {found}")


def _kind(value: object) -> str:
    return {dict: "a mapping", list: "a list", type(None): "null"}.get(type(value), shown(value))


def _numbers(columns: Mapping[str, object]) -> tuple[dict[str, float], list[str]]:
    """Return the columns that have a number, and name the values that are of another kind and count as missing."""
    numbers, wrong_kinds = {}, []
    for name in _NUMBERS:
        if (value := columns.get(name)) is None:
            continue
        found = number(value)
        if name in _DATES and within(found, *MJD_RANGE) is None:
            found = julian_date(value)  # a JD, or a date in words
            if found is None:
                wrong_kinds.append(f"{name} is no date but {shown(value)}")
                continue
            found -= JD_MINUS_MJD
        if found is None:
            wrong_kinds.append(f"{name} is no number but {shown(value)}")
        else:
            numbers[name] = found
    return numbers, wrong_kinds


_FIRST, _LAST, _COUNT, _GOOD = "firstDiaSourceMjdTai", "lastDiaSourceMjdTai", "nDiaSources", "nSourcesGood"
_DATES = (_FIRST, _LAST)
_EXTRAS = (
    ("physical_separation_kpc", "physical_separation_kpc", 1e-6, 1e4),
    ("distance_mpc", "distance", 0.1, 2e4),
)
"""Name, Lasair's column, and the range in which it is physical."""
_NUMBERS = (*FEATURE_NAMES, *(column for _, column, _, _ in _EXTRAS), *_DATES, _COUNT, _GOOD, "latestR", "ra", "decl")
_OF_DETECTIONS = frozenset(FEATURE_NAMES) - {"separationArcsec", "major_axis_arcsec"}


def _utc(mjd_tai: float) -> float:
    return mjd_tai - TAI_MINUS_UTC_DAYS


def _span(table: SourceTable | None, dates: Mapping[str, float]) -> tuple[float | None, float | None]:
    """Return when it was detected first and last (MJD, UTC): by its detections, or as its row says."""
    if table is not None and len(table.detections):
        times = table.detections.time_mjd
        return float(times[0]), float(times[-1])
    return dates.get(_FIRST), dates.get(_LAST)


def _counted(values: Mapping[str, float]) -> dict[str, int | None]:
    """Return what a row says of how many detections there are, and how many of them are good, whatever their sign."""
    return {"n_det": count(values.get(_COUNT)), "n_det_good": count(values.get(_GOOD))}


def _position(values: Mapping[str, float], table: SourceTable | None) -> tuple[float | None, float | None]:
    """Return the record's own position, or that of its detections where it has none, or one that is none of theirs."""
    ra_deg, dec_deg = within(values.get("ra"), 0.0, 360.0), within(values.get("decl"), -90.0, 90.0)
    theirs = None if table is None else mean_position(table)
    if theirs and (ra_deg is None or dec_deg is None or is_elsewhere((ra_deg, dec_deg), theirs)):
        return theirs
    return ra_deg, dec_deg


def _extras(
    values: Mapping[str, float], table: SourceTable | None, first_mjd: float | None, last_mjd: float | None
) -> dict[str, float]:
    extras = physical_extras(values, _EXTRAS, first_mjd, last_mjd)
    if table is not None:
        return extras | reliability(table)
    latest = within(values.get("latestR"), 0.0, 1.0)
    return extras if latest is None else extras | {"reliability": latest}


def _history(
    table: SourceTable | None, dates: Mapping[str, float], last_mjd: float | None, values: Mapping[str, float]
) -> History:
    """Return what the record says of the object's past: its detections, and how many Rubin counts, and since when.

    A template may hold any of an object's light, so that differences from it tell nothing of a brighter past: all light
    does, where the record has it.
    """
    first_mjd = dates.get(_FIRST)
    if last_mjd is None or (first_mjd is not None and first_mjd > last_mjd):
        first_mjd = None
    curve, compared = (None, None) if table is None else (table.light_curve, table.total_light)
    n_detections = count(values.get(_COUNT)) or None
    return history(curve, last_mjd, first_mjd=first_mjd, n_detections=n_detections, compared=compared)
