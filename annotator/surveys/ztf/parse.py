"""Lasair-ZTF: rows of a query or a stream, object answers and alerts, as :class:`~annotator.transient.Transient`."""

import math
from collections.abc import Mapping

import msgspec
from msgspec.structs import asdict

from annotator.errors import MissingModalityError, RecordError, SolarSystemObjectError
from annotator.preprocess.features import physical_features
from annotator.surveys.detections import is_elsewhere
from annotator.surveys.json_values import JsonObject
from annotator.surveys.packet_stamps import STAMPS
from annotator.surveys.values import (
    JD_MINUS_MJD,
    JD_RANGE,
    count,
    is_absent,
    julian_date,
    nothing_but,
    number,
    physical_extras,
    shown,
    within,
)
from annotator.surveys.ztf.candidates import read_candidates
from annotator.surveys.ztf.columns import (
    FEATURE_NAMES,
    FEATURES,
    MISSING_TOGETHER,
    NOT_WHOLE,
    OF_ORDER,
    QUALITY_NAMES,
    is_whole,
)
from annotator.surveys.ztf.history import history_of, nearest_source
from annotator.surveys.ztf.items import Candidate
from annotator.surveys.ztf.views import columns as columns_of
from annotator.surveys.ztf.views import cutouts, light_curve, n_fading, real_bogus, triplet
from annotator.transient import Modality, Transient

SENTINEL = -999.0
"""What ZTF and AHA's databank write for "unknown"."""


PIXEL_ARCSEC = 1.012
"""Side of a pixel of the stamps (Masci et al. 2019)."""


def parse(record: object, latest_mjd: float = math.inf) -> Transient:
    """Read one Lasair-ZTF record.

    Parameters
    ----------
    record
        A flat row of ``query``, of a filter's stream or of a table (numbers may be text), or the answer of ``object``
        with its ``candidates``: they are the light curve, the columns are computed from them as Lasair computes them,
        and the stamps are those of the brightest positive one; an object of negative ones alone is read as its mirror,
        as if it had brightened by as much. ``cutouts`` names the stamps' files or URLs instead.
        Or a ZTF alert packet, whose ``candidate`` and ``prv_candidates`` are read in the same way, and whose own stamps
        are those of its ``candidate``.
    latest_mjd
        A later date counts as missing, and a candidate of such a date is left out; the transient says so.

    Raises
    ------
    RecordError
        If it is no mapping, or has no object id. Anything else that is wrong with a value makes that value missing;
        of a row that was computed of detections in another order than that of time
        (:func:`annotator.surveys.ztf.columns.is_whole`), all that depends on it.
    SolarSystemObjectError
        If all its detections are at known solar-system objects.
    """
    if not isinstance(record, Mapping):
        raise RecordError(f"expected a record with named values, found {_kind(record)}")
    given, record = record, _what_is_read(record) if isinstance(record, JsonObject) else record
    object_id = record.get("objectId")
    if not isinstance(object_id, str) or not (object_id := object_id.strip()):
        found = _kind(object_id) if object_id else nothing_but([name for name in given if name != "objectId"])
        raise RecordError(f"expected objectId to be a non-empty text, found {found}")
    wrong_parts = _wrong_parts(record)
    if isinstance(record.get("candidate"), Mapping):
        record = _as_object_answer(record)
    latest_jd = latest_mjd + JD_MINUS_MJD
    candidates = record.get("candidates")
    table = read_candidates(candidates, latest_jd) if isinstance(candidates, list) else None
    left_out, unphysical = ((), ()) if table is None else (table.left_out, table.unphysical)
    has_none = table is not None and not len(table.detections)
    if has_none and table.solar_system and len(left_out) == 1:
        raise SolarSystemObjectError(f"no detection is the object's own: {left_out[0]}")
    if table is not None and table.solar_system:  # in the record's own columns they are counted
        record = {name: value for name, value in record.items() if name not in _OF_ALL_DETECTIONS}
    computed = {} if table is None else columns_of(table)
    not_whole = ""
    if not is_whole(record, latest_jd):
        record = {name: value for name, value in record.items() if name not in OF_ORDER}
        not_whole = "" if computed else NOT_WHOLE
    columns = _columns(record, computed)
    values, wrong_kinds = _numbers(columns)
    dates_ahead = ("candidates",) if table is not None and table.has_later else ()
    for name in [name for name in _DATES if values.get(name, 0.0) > latest_jd]:
        del values[name]
        dates_ahead += (name,)
    # Lasair stores a count of 0 as NULL: no good detections, not an unknown number of them.
    n_good = values.get("ncandgp", 0.0 if "ncandgp" in columns and "ncand" in values else None)
    last_jd = within(values.get("jdmax"), *JD_RANGE)
    ra_deg, dec_deg = _position(record, computed)
    sherlock_class = columns.get("classification")
    features = physical_features(FEATURES, values)
    reference, stamps, why_missing = None, None, {}
    if (has_none or wrong_parts) and _OF_DETECTIONS.isdisjoint(features):
        # What surrounds an object of which nothing was seen, or could be read, is no view of it.
        why = "; ".join((*left_out, *unphysical, *wrong_parts)) or "the record has no detection"
        # A light curve that the record lacks may be there where it is asked for.
        without = (Modality.FEATURES,) if table is None else (Modality.FEATURES, Modality.LIGHTCURVE)
        features, why_missing = {}, dict.fromkeys(without, why)
    try:
        stamps = triplet(record, table)
        reference = None if stamps else cutouts(record, table)
    except MissingModalityError as reason:
        why_missing[Modality.TRIPLET] = str(reason)
    last_mjd, curve = None if last_jd is None else last_jd - JD_MINUS_MJD, None if table is None else light_curve(table)
    return Transient(
        object_id=object_id,
        survey="ztf",
        features=features,
        n_det=count(values.get("ncand")),
        n_det_good=count(n_good),
        n_det_fading=None if table is None else n_fading(table),
        fades=table is not None and table.fades,
        last_mjd=last_mjd,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        sherlock_class=sherlock_class if isinstance(sherlock_class, str) and sherlock_class else None,
        light_curve=curve,
        triplet=stamps,
        cutouts=reference,
        why_missing=why_missing,
        dates_ahead=dates_ahead,
        n_solar_system=0 if table is None else len(table.solar_system),
        left_out=(*left_out, *unphysical, *([not_whole] if not_whole else []), *wrong_kinds, *wrong_parts),
        not_whole=not_whole,
        extras=_extras(values)
        | ({} if table is None else real_bogus(record, table))
        | nearest_source(record, features.get("distpsnr1")),
        history=history_of(record, object_id, curve, last_mjd),
    )


def _position(record: Mapping[str, object], computed: Mapping[str, float | None]) -> tuple[float | None, float | None]:
    """Return the record's own position, or that of its detections where it has none, or one that is none of theirs.

    Lasair takes a mean of numbers, which is on the other side of the sky for an object on the meridian of 0 h.
    """
    ra_deg = within(number(record.get("ramean")) or None, 0.0, 360.0)  # 0 is Lasair's NULL
    dec_deg = within(number(record.get("decmean")) or None, -90.0, 90.0)
    if computed:
        theirs = (computed["ramean"], computed["decmean"])
        if ra_deg is None or dec_deg is None or (None not in theirs and is_elsewhere((ra_deg, dec_deg), theirs)):
            return theirs
    return ra_deg, dec_deg


def _numbers(columns: Mapping[str, object]) -> tuple[dict[str, float], list[str]]:
    """Return the columns that have a number, and name the values that are of another kind and count as missing.

    Neither the sentinel is one nor exactly 0, which stands for "unknown" in every column: Sherlock's for no host or a
    catalogue without sizes, and Lasair itself stores a 0 of its own as NULL.
    """
    numbers, wrong_kinds = {}, []
    for name in _NUMBERS:
        value = columns.get(name)
        if value is None:
            continue
        found = number(value)
        if name in _DATES and (found is None or 0.0 < found < JD_RANGE[0]) and not is_absent(value):
            found = julian_date(value)  # an MJD, or a date in words
            if found is None:
                wrong_kinds.append(f"{name} is no date but {shown(value)}")
                continue
        if found is None:
            if not is_absent(value):
                wrong_kinds.append(f"{name} is no number but {shown(value)}")
        elif found != 0.0 and found != SENTINEL:
            numbers[name] = found
    return numbers, wrong_kinds


def _wrong_parts(record: Mapping[str, object]) -> list[str]:
    """Name the parts of a record that are of another kind than they have to be, and count as missing."""
    return [
        f"{name} is no {expected} but {shown(value)}"
        for name, kind, expected in _PARTS
        if not isinstance(value := record.get(name), kind) and not is_absent(value)
    ]


_PARTS = (
    ("candidates", list, "list"),
    ("prv_candidates", list, "list"),
    ("candidate", Mapping, "mapping"),
    ("sherlock", Mapping, "mapping"),
)


def _extras(values: Mapping[str, float]) -> dict[str, float]:
    first_jd = within(values.get("jdmin"), *JD_RANGE)
    last_jd = within(values.get("jd_g_minus_r", values.get("jdmax")), *JD_RANGE)
    return physical_extras(values, _EXTRAS, first_jd, last_jd)


_EXTRAS = (
    ("physical_separation_kpc", "physical_separation_kpc", 0.0, 1e4),
    ("distance_mpc", "distance", 0.1, 2e4),
)
"""Name, Lasair's column, and the range in which it is physical."""

_HOST_NUMBERS = ("separationArcsec", "major_axis_arcsec", "physical_separation_kpc", "distance")
_DATES = ("jdmin", "jdmax", "jd_g_minus_r")
_NUMBERS = (*FEATURE_NAMES, *QUALITY_NAMES, *_HOST_NUMBERS[2:], *_DATES, "ncand", "ncandgp", "ramean", "decmean")
_SHERLOCK = ("classification", *_HOST_NUMBERS)
_OF_DETECTIONS = frozenset((*MISSING_TOGETHER["g"], *MISSING_TOGETHER["r"]))
_PS1 = ("distpsnr1", "sgmag1", "srmag1")
_OF_ALL_DETECTIONS = frozenset(_NUMBERS) - {*_SHERLOCK, *_PS1}
"""Columns that Lasair computes of an object's detections, whosesoever they are."""

READ = ("objectId", *_NUMBERS, *_SHERLOCK, "candidate", "prv_candidates", "annotations", "sherlock")
READ += (*STAMPS, "cutouts", "image_urls", "candid", "xpos", "ypos", "isdiffpos", "sgscore1", "ndethist", "jdstarthist")
"""All that is looked at of a record, beside its candidates."""
_DECODER = msgspec.json.Decoder(
    msgspec.defstruct(
        "Answer",
        [
            ("candidates", list[Candidate] | None | msgspec.UnsetType, msgspec.UNSET),
            *((name, object, msgspec.UNSET) for name in dict.fromkeys(READ)),
        ],
    )
)


def _what_is_read(record: JsonObject) -> Mapping[str, object]:
    """Decode no more of a record than what is read of it, its candidates as what they are.

    Where something is of another kind than it has to be, or cannot be said in strict JSON, the record is read whole.
    """
    try:
        answer = _DECODER.decode(record.text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return record
    return {name: value for name, value in asdict(answer).items() if value is not msgspec.UNSET}


def _as_object_answer(packet: Mapping[str, object]) -> Mapping[str, object]:
    """Lay an alert packet out as Lasair answers for its object; Lasair adds Sherlock's part to the packet."""
    candidate, earlier, added = packet["candidate"], packet.get("prv_candidates"), packet.get("annotations")
    sherlock = added.get("sherlock") if isinstance(added, Mapping) else None
    return {
        **{name: candidate.get(name) for name in _PS1},
        **{name: packet.get(name) for name in STAMPS},
        "objectId": packet["objectId"],
        "candidate": candidate,
        "cutouts": packet.get("cutouts"),
        "candidates": [candidate, *(earlier if isinstance(earlier, list) else [])],
        "sherlock": sherlock[0] if isinstance(sherlock, list) and sherlock else None,
    }


def _columns(record: Mapping[str, object], computed: Mapping[str, object]) -> dict[str, object]:
    """Return the record's own columns, and for what it lacks its Sherlock part's and those of its candidates."""
    columns = {name: record[name] for name in (*_NUMBERS, *_SHERLOCK) if record.get(name) is not None}
    sherlock = record.get("sherlock")
    if isinstance(sherlock, Mapping):
        columns = {name: sherlock.get(name) for name in _SHERLOCK} | columns
    return {name: record[name] for name in _NUMBERS if name in record} | dict(computed) | columns


def _kind(value: object) -> str:
    return {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(
        type(value), "a number" if isinstance(value, int | float) else type(value).__name__
    )
