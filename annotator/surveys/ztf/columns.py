"""The columns of Lasair-ZTF that AHA learns from, and those of light curves as Lasair computes them from detections.

Lasair works on one alert packet, which holds about thirty days of history. Behaviour as read in its ingestion of 2026
(pipeline/filter/features_ZTF), zeros and runaway cases included where they say something about the object.
"""

import math
from collections.abc import Mapping, Sequence
from math import exp
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

from annotator.preprocess.features import Feature
from annotator.surveys.detections import mean_direction
from annotator.surveys.values import JD_RANGE, is_absent, julian_date, number, within


def _magnitude(name: str, quantity: str, meaning: str, between: tuple[str, ...] = ()) -> Feature:
    # ZTF saturates near 12.5 mag and a difference image reaches 22; a wider range still excludes -999, 0 and the
    # runaway exponential means of 4.5e6 mag that Lasair serves.
    return Feature(name, quantity, "mag", 5.0, 26.0, meaning, between)


def _exponential_means(band: str) -> tuple[Feature, ...]:
    extremes = (f"mag{band}min", f"mag{band}max")
    return tuple(
        _magnitude(
            f"mag_{band}{days:02d}", f"mean_{days:02d}_{band}", f"{days}-day exponential mean of {band}", extremes
        )
        for days in (2, 8, 28)
    )


def _rate(band: str) -> Feature:
    meaning = f"{band} brightening rate over the last two detections"
    name = f"dmdt_{band}"
    return Feature(name, f"rate_{band}", "mag/day", -20.0, 20.0, meaning, error=f"{name}_err")


FEATURES: tuple[Feature, ...] = (
    _magnitude("gmag", "now_g", "latest g magnitude"),
    _magnitude("rmag", "now_r", "latest r magnitude"),
    Feature("g_minus_r", "colour_now", "mag", -5.0, 5.0, "g-r of the latest night with both bands"),
    _rate("g"),
    *_exponential_means("g"),
    _magnitude("maggmax", "faintest_g", "faintest g magnitude"),
    _magnitude("maggmean", "mean_g", "mean g magnitude"),
    _magnitude("maggmin", "peak_g", "brightest g magnitude"),
    *_exponential_means("r"),
    _rate("r"),
    _magnitude("magrmax", "faintest_r", "faintest r magnitude"),
    _magnitude("magrmin", "peak_r", "brightest r magnitude"),
    Feature("distpsnr1", "ps1_separation", "arcsec", 0.0, 30.0, "distance to the nearest Pan-STARRS1 source"),
    Feature("sgmag1", "host_g", "mag", 5.0, 30.0, "g magnitude of the nearest Pan-STARRS1 source"),
    Feature("srmag1", "host_r", "mag", 5.0, 30.0, "r magnitude of the nearest Pan-STARRS1 source"),
    Feature("separationArcsec", "host_separation", "arcsec", 0.0, 1800.0, "distance to the host that Sherlock found"),
    Feature("major_axis_arcsec", "host_size", "arcsec", 0.0, 12000.0, "major axis of the host that Sherlock found"),
)
"""The inputs of the model, in order: AHA's 22 without the TNS redshift, which no unclassified object has."""

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)

QUALITY_NAMES: tuple[str, ...] = tuple(feature.error for feature in FEATURES if feature.error)
"""Columns that say whether an input can be trusted; never inputs themselves."""

MISSING_TOGETHER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "g": ("gmag", "g_minus_r", "dmdt_g", "mag_g02", "mag_g08", "mag_g28", "maggmax", "maggmean", "maggmin"),
        "r": ("rmag", "g_minus_r", "dmdt_r", "mag_r02", "mag_r08", "mag_r28", "magrmax", "magrmin"),
        "Pan-STARRS1": ("distpsnr1", "sgmag1", "srmag1"),
        "Sherlock's host": ("separationArcsec", "major_axis_arcsec"),
    }
)
"""What an object of the stream lacks, and which inputs it lacks with it."""

PACKET_HISTORY_DAYS = 30.0

OF_ORDER: frozenset[str] = frozenset(
    (
        *("gmag", "rmag", "g_minus_r", "jd_g_minus_r", *QUALITY_NAMES),
        *(f"dmdt_{band}" for band in ("g", "r")),
        *(f"mag_{band}{days}" for band in ("g", "r") for days in ("02", "08", "28")),
        "jdmin",  # an age is the time since then of a date that depends on order
    )
)
"""Columns that are wrong where Lasair was given the detections in another order than that of time, and what is made of
dates with them. Extremes, plain means, counts and the last date are the same in any order."""

NOT_WHOLE = "latest magnitudes, means, rates, colour and age, which were computed of detections in reversed order"


def is_whole(columns: Mapping[str, object], latest_jd: float = math.inf) -> bool:
    """Tell whether a row's columns were computed of detections in the order of time.

    In a row of Lasair's that was computed newest first each step in time is negative, and with it each error of a
    rate; and its last colour is the earliest one: older than its last detection by more than a packet's history, where
    there is one that long and the row tells when its last detection was.

    Parameters
    ----------
    columns
        Lasair's, by name; what is absent says nothing.
    latest_jd
        A later date says nothing.
    """
    for name in QUALITY_NAMES:
        error = columns.get(name)
        if error is not None and not is_absent(error) and (number(error) or 0.0) < 0:
            return False
    last_jd, colour_jd = (
        within(julian_date(columns.get(name)), JD_RANGE[0], min(latest_jd, JD_RANGE[1]))
        for name in ("jdmax", "jd_g_minus_r")
    )
    return last_jd is None or colour_jd is None or last_jd - colour_jd <= PACKET_HISTORY_DAYS


class Detection(NamedTuple):  # frozen as a dataclass is, and made in a quarter of the time
    """One detection of a ZTF object on a difference image."""

    jd: float
    is_g: bool
    """Filter g; every other filter counts as r in Lasair's columns."""
    magnitude: float
    magnitude_error: float | None = None
    is_positive: bool = True
    is_good: bool = True
    """Real-bogus score above Lasair's threshold of 0.75."""
    ra_deg: float | None = None
    dec_deg: float | None = None

    @property
    def night(self) -> int:
        """Survey night: the UTC day; UTC midnight is mid-afternoon at Palomar."""
        return math.floor(self.jd - 0.5)


def lasair_columns(
    detections: Sequence[Detection], history_days: float = PACKET_HISTORY_DAYS
) -> dict[str, float | int | None]:
    """Compute Lasair's columns from an object's detections, in any order.

    Parameters
    ----------
    detections
        All of them; those older than `history_days` before the last are not in its packet and not used.

    Returns
    -------
    dict
        Column name to value, None where Lasair has NULL. Empty if there are no detections.
    """
    if not detections:
        return {}
    in_order = sorted(detections, key=attrgetter("jd"))
    last_jd = in_order[-1].jd
    packet = [d for d in in_order if d.jd >= last_jd - history_days]
    columns: dict[str, float | int | None] = {}
    for band, in_g in (("g", True), ("r", False)):
        columns |= _band_columns(band, [d for d in packet if d.is_g == in_g])
    columns |= _colour(packet)
    good_jd = [d.jd for d in packet if d.is_positive and d.is_good]
    columns |= {
        "jdmin": packet[0].jd,
        "jdmax": last_jd,
        "ncand": len(packet),
        "ncandgp": len(good_jd),
        "ncandgp_7": len([jd for jd in good_jd if jd > last_jd - 7]),
        "ncandgp_14": len([jd for jd in good_jd if jd > last_jd - 14]),
    }
    known = [(d.ra_deg, d.dec_deg) for d in packet if d.ra_deg is not None and d.dec_deg is not None]
    columns = {name: None if value == 0 else value for name, value in columns.items()}  # Lasair stores 0 as NULL
    # A mean of numbers, as Lasair takes it, is on the other side of the sky for an object on the meridian of 0 h.
    columns["ramean"], columns["decmean"] = mean_direction(known) or (None, None)
    return columns


_OF_BAND = ("{}mag", "jd{}max", "mag{}min", "mag{}mean", "mag{}max", "mag_{}02", "mag_{}08", "mag_{}28")
_OF_BAND += ("dmdt_{}", "dmdt_{}_err")
_NAMES = {band: tuple(name.format(band) for name in _OF_BAND) for band in ("g", "r")}


def _band_columns(band: str, detections: Sequence[Detection]) -> dict[str, float | None]:
    if not detections:
        return dict.fromkeys(_NAMES[band])
    magnitudes, last = [d.magnitude for d in detections], detections[-1]
    extremes = (min(magnitudes), sum(magnitudes) / len(magnitudes), max(magnitudes))
    values = (last.magnitude, last.jd, *extremes, *_exponential_means(detections), *_rate_of(detections))
    return dict(zip(_NAMES[band], values, strict=True))


def _exponential_means(detections: Sequence[Detection]) -> tuple[float, float, float]:
    """Return the means over 2, 8 and 28 days."""
    previous_jd, first = detections[0].jd, detections[0].magnitude
    mean_02 = mean_08 = mean_28 = first  # Lasair starts from 0 at t = 0, so that the first detection sets the mean
    for detection in detections[1:]:
        days, magnitude = detection.jd - previous_jd, detection.magnitude
        memory_02, memory_08, memory_28 = exp(-days / 2), exp(-days / 8), exp(-days / 28)
        mean_02 = mean_02 * memory_02 + magnitude * (1 - memory_02)
        mean_08 = mean_08 * memory_08 + magnitude * (1 - memory_08)
        mean_28 = mean_28 * memory_28 + magnitude * (1 - memory_28)
        previous_jd = detection.jd
    return mean_02, mean_08, mean_28


def _rate_of(detections: Sequence[Detection]) -> tuple[float | None, float | None]:
    """Return the brightening rate over the last two detections, and its error."""
    if len(detections) < 2:
        return None, None
    before, last = detections[-2:]
    days_between = last.jd - before.jd
    if not (days_between > 0 and before.is_positive and last.is_positive):
        return None, None
    rate = (before.magnitude - last.magnitude) / days_between
    if before.magnitude_error is None or last.magnitude_error is None:
        return rate, None
    return rate, math.hypot(before.magnitude_error, last.magnitude_error) / days_between


def _colour(packet: Sequence[Detection]) -> dict[str, float | None]:
    """Compute g-r on the last night that has positive detections in both bands."""
    night, last_of_night = None, {}
    for detection in reversed(packet):
        if not detection.is_positive:
            continue
        if detection.night != night:
            night, last_of_night = detection.night, {}
        last_of_night.setdefault(detection.is_g, detection)
        if len(last_of_night) == 2:
            g, r = last_of_night[True], last_of_night[False]
            return {"g_minus_r": g.magnitude - r.magnitude, "jd_g_minus_r": g.jd}
    return {"g_minus_r": None, "jd_g_minus_r": None}
