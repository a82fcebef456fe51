"""The columns of Lasair-ZTF that AHA learns from, and those of light curves as Lasair computes them from detections.

Lasair works on one alert packet, which holds about thirty days of history. Behaviour as read in its ingestion of 2026
(pipeline/filter/features_ZTF), zeros and runaway cases included where they say something about the object.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from annotator.preprocess.features import Feature
from annotator.surveys.detections import mean_direction


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
    last_jd = max(d.jd for d in detections)
    packet = sorted((d for d in detections if d.jd >= last_jd - history_days), key=lambda d: d.jd)
    columns: dict[str, float | int | None] = {}
    for band, in_g in (("g", True), ("r", False)):
        columns |= _band_columns(band, [d for d in packet if d.is_g == in_g])
    columns |= _colour(packet)
    positive_good = [d for d in packet if d.is_positive and d.is_good]
    columns |= {
        "jdmin": packet[0].jd,
        "jdmax": last_jd,
        "ncand": len(packet),
        "ncandgp": len(positive_good),
        "ncandgp_7": sum(d.jd > last_jd - 7 for d in positive_good),
        "ncandgp_14": sum(d.jd > last_jd - 14 for d in positive_good),
    }
    known = [(d.ra_deg, d.dec_deg) for d in packet if d.ra_deg is not None and d.dec_deg is not None]
    columns = {name: None if value == 0 else value for name, value in columns.items()}  # Lasair stores 0 as NULL
    # A mean of numbers, as Lasair takes it, is on the other side of the sky for an object on the meridian of 0 h.
    columns["ramean"], columns["decmean"] = mean_direction(known) or (None, None)
    return columns


_OF_BAND = ("{}mag", "jd{}max", "mag{}min", "mag{}mean", "mag{}max", "mag_{}02", "mag_{}08", "mag_{}28")
_UNSEEN = {
    band: dict.fromkeys(name.format(band) for name in (*_OF_BAND, "dmdt_{}", "dmdt_{}_err")) for band in ("g", "r")
}


def _band_columns(band: str, detections: Sequence[Detection]) -> dict[str, float | None]:
    columns: dict[str, float | None] = dict(_UNSEEN[band])
    if not detections:
        return columns
    magnitudes = [d.magnitude for d in detections]
    columns[f"{band}mag"] = magnitudes[-1]
    columns[f"jd{band}max"] = detections[-1].jd
    columns[f"mag{band}min"] = min(magnitudes)
    columns[f"mag{band}mean"] = sum(magnitudes) / len(magnitudes)
    columns[f"mag{band}max"] = max(magnitudes)
    for days in (2, 8, 28):  # Lasair starts from 0 at t = 0, so that the first detection sets the mean
        mean, previous_jd = magnitudes[0], detections[0].jd
        for detection in detections[1:]:
            memory = math.exp(-(detection.jd - previous_jd) / days)
            mean = mean * memory + detection.magnitude * (1 - memory)
            previous_jd = detection.jd
        columns[f"mag_{band}{days:02d}"] = mean
    if len(detections) >= 2:
        before, last = detections[-2:]
        days_between = last.jd - before.jd
        if days_between > 0 and before.is_positive and last.is_positive:
            columns[f"dmdt_{band}"] = (before.magnitude - last.magnitude) / days_between
            if before.magnitude_error is not None and last.magnitude_error is not None:
                columns[f"dmdt_{band}_err"] = math.hypot(before.magnitude_error, last.magnitude_error) / days_between
    return columns


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
