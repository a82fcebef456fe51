"""What a record of ZTF tells of an object's past: its name the year, its light curve all else, a packet two numbers."""

import re
from collections.abc import Mapping

from annotator.surveys.history import history
from annotator.surveys.values import JD_MINUS_MJD, JD_RANGE, number, within
from annotator.transient import History, LightCurve

_NAME = re.compile(r"ZTF(\d\d)[a-z]{7}")
FIRST_YEAR = 17
"""ZTF saw its first light in 2017: a name of an earlier year is none of its own."""
_MOST_DETECTIONS = 1e6


def history_of(
    record: Mapping[str, object], object_id: str, curve: LightCurve | None, last_mjd: float | None
) -> History:
    """Return what a record says of an object's past.

    ZTF names an object by the year of its first alert. A packet's candidate has ``ndethist``, detections at the place
    from the survey's beginning on, and ``jdstarthist``, the date of the first of them; a row may have them, too.
    """
    named = _NAME.fullmatch(object_id)
    own = _own_values(record)
    n_ever = within(number(own.get("ndethist")), 1.0, _MOST_DETECTIONS)
    first_jd = within(number(own.get("jdstarthist")), *JD_RANGE)
    is_dated = first_jd is not None and last_mjd is not None and first_jd - JD_MINUS_MJD <= last_mjd
    return history(
        curve,
        last_mjd,
        first_year=2000 + int(named[1]) if named and int(named[1]) >= FIRST_YEAR else None,
        first_mjd=first_jd - JD_MINUS_MJD if is_dated else None,
        n_detections=None if n_ever is None else int(n_ever),
        compared=curve,
    )


def nearest_source(record: Mapping[str, object], separation_arcsec: float | None) -> dict[str, float]:
    """Return how near the nearest Pan-STARRS1 source is, and how likely a star, 0 to 1; nothing of what is unknown."""
    score = within(number(_own_values(record).get("sgscore1")), 0.0, 1.0)
    found = {"nearest_arcsec": separation_arcsec, "nearest_star_score": score}
    return {name: value for name, value in found.items() if value is not None}


def _own_values(record: Mapping[str, object]) -> Mapping[str, object]:
    """Return what a packet says of its own detection, or a row of its object."""
    candidate = record.get("candidate")
    return candidate if isinstance(candidate, Mapping) else record
