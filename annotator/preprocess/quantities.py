"""Quantities: what the object's columns say of it as an astronomer would put it, one row of physical numbers.

Colours, amplitudes, fades and host distances: what Lasair has at alert time, made of the features and a few further
columns. No date, no position, no name, no redshift and no class from a spectrum is among them, nor can be made of them:
the age is a difference of dates, and capped. How often and how deep a survey looked is none, either: which catalogue
an object's light curve came from would be told by it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.features import Feature
from annotator.transient import Transient

SHERLOCK_CLASSES = ("SN", "NT", "AGN", "CV", "BS", "VS", "ORPHAN", "UNCLEAR")
"""What Sherlock calls an object by the catalogued source it lies on."""

MAX_AGE_DAYS = 60.0
"""An age beyond this counts as this: a survey's history is no property of the object."""

MIN_SEPARATION_ARCSEC = 0.03
"""ZTF's astrometry tells nothing below."""

MIN_SEPARATION_KPC = 0.01

MIN_SIZE_ARCSEC = 0.1
"""No catalogue resolves less."""

MIN_AGE_DAYS = 1.0
"""ZTF comes back to a field after a night at the earliest."""


@dataclass(frozen=True)
class Quantity:
    """One number, and the scale on which its differences mean the same everywhere."""

    name: str
    unit: str
    """Empty where it is a ratio, or 1 and 0 for yes and no."""
    transform: str
    """``identity``, ``log10``, or ``asinh`` of value / softening: :class:`annotator.models.manifest.Column`."""
    softening: float
    meaning: str


def _both_bands(name: str, unit: str, transform: str, softening: float, meaning: str) -> tuple[Quantity, Quantity]:
    return tuple(
        Quantity(f"{name}_{band}", unit, transform, softening, meaning.format(band=band)) for band in ("g", "r")
    )


# An amplitude and a trend are known to a few hundredths of a magnitude, a rate to as much a day: below, linear.
QUANTITIES: tuple[Quantity, ...] = (
    Quantity("colour_now", "mag", "identity", 1.0, "g-r of the latest night with both bands"),
    Quantity("colour_peak", "mag", "identity", 1.0, "g-r of the brightest magnitudes"),
    Quantity("colour_change", "mag", "identity", 1.0, "change of g-r since the peak"),
    Quantity("colour_28", "mag", "identity", 1.0, "g-r of the 28-day means"),
    Quantity("colour_08", "mag", "identity", 1.0, "g-r of the 8-day means"),
    *_both_bands("amplitude", "mag", "asinh", 0.05, "range of {band}"),
    *_both_bands("fade", "mag", "asinh", 0.05, "fading of {band} since its peak"),
    *_both_bands("trend_02", "mag", "asinh", 0.1, "{band} now less its 2-day mean"),
    *_both_bands("trend_08", "mag", "asinh", 0.1, "{band} now less its 8-day mean"),
    *_both_bands("trend_28", "mag", "asinh", 0.1, "{band} now less its 28-day mean"),
    *_both_bands("rate", "mag/day", "asinh", 0.02, "brightening rate of {band}"),
    *_both_bands("peak", "mag", "identity", 1.0, "brightest {band}"),
    *_both_bands("now", "mag", "identity", 1.0, "latest {band}"),
    Quantity("mean_less_peak_g", "mag", "asinh", 0.05, "mean of g less its brightest"),
    *_both_bands("host", "mag", "identity", 1.0, "{band} of the nearest Pan-STARRS1 source"),
    Quantity("host_colour", "mag", "identity", 1.0, "g-r of the nearest Pan-STARRS1 source"),
    *_both_bands("contrast", "mag", "identity", 1.0, "brightest {band} less that of the nearest Pan-STARRS1 source"),
    Quantity("ps1_separation", "arcsec", "log10", 1.0, "distance to the nearest Pan-STARRS1 source"),
    Quantity("host_separation", "arcsec", "log10", 1.0, "distance to the host that Sherlock found"),
    Quantity("host_separation_kpc", "kpc", "log10", 1.0, "projected distance to the host that Sherlock found"),
    Quantity("host_distance", "Mpc", "log10", 1.0, "how far away the host is that Sherlock found"),
    Quantity("host_size", "arcsec", "log10", 1.0, "major axis of the host that Sherlock found"),
    Quantity("relative_separation", "", "log10", 1.0, "distance to the host over its major axis"),
    Quantity("absolute_magnitude", "mag", "identity", 1.0, "brightest magnitude at the distance of the host"),
    Quantity("age", "day", "log10", 1.0, "days from the first detection to the last colour"),
    *(
        Quantity(f"sherlock_{name.lower()}", "", "identity", 1.0, f"class {name} by Sherlock")
        for name in SHERLOCK_CLASSES
    ),
)
"""In the order of the row."""

QUANTITY_NAMES: tuple[str, ...] = tuple(quantity.name for quantity in QUANTITIES)


def quantities(table: Sequence[Feature], transient: Transient) -> dict[str, float]:
    """Compute the quantities of one object by name; what cannot be computed is absent.

    A difference of which one part is missing is missing. Differences that cannot be negative, of a latest or a mean
    magnitude to the brightest, are 0 where rounding makes them so.

    Parameters
    ----------
    table
        The survey's features, which say what each of them is.
    transient
        The object.
    """
    features = transient.features
    have = {item.quantity: features[item.name] for item in table if item.name in features} | dict(transient.extras)
    found: dict[str, float] = {}

    def put(name: str, value: float | None) -> None:
        if value is not None:
            found[name] = value

    def less(name: str, other: str) -> float | None:
        return have[name] - have[other] if name in have and other in have else None

    def rise(name: str, brightest: str) -> float | None:
        difference = less(name, brightest)
        return None if difference is None else max(0.0, difference)

    put("colour_now", have.get("colour_now"))
    put("colour_peak", less("peak_g", "peak_r"))
    if "colour_now" in found and "colour_peak" in found:
        found["colour_change"] = found["colour_now"] - found["colour_peak"]
    put("colour_28", less("mean_28_g", "mean_28_r"))
    put("colour_08", less("mean_08_g", "mean_08_r"))
    for band in ("g", "r"):
        now, brightest = f"now_{band}", f"peak_{band}"
        put(f"amplitude_{band}", rise(f"faintest_{band}", brightest))
        put(f"fade_{band}", rise(now, brightest))
        for days in ("02", "08", "28"):
            put(f"trend_{days}_{band}", less(now, f"mean_{days}_{band}"))
        put(f"rate_{band}", have.get(f"rate_{band}"))
        put(f"peak_{band}", have.get(brightest))
        put(f"now_{band}", have.get(now))
        put(f"host_{band}", have.get(f"host_{band}"))
        put(f"contrast_{band}", less(brightest, f"host_{band}"))
    put("mean_less_peak_g", rise("mean_g", "peak_g"))
    put("host_colour", less("host_g", "host_r"))
    _put_host(put, have)
    put("age", max(have["age_days"], MIN_AGE_DAYS) if "age_days" in have else None)
    if transient.sherlock_class in SHERLOCK_CLASSES:
        for name in SHERLOCK_CLASSES:
            found[f"sherlock_{name.lower()}"] = float(transient.sherlock_class == name)
    return found


def _put_host(put: Callable[[str, float | None], None], have: Mapping[str, float]) -> None:
    separation = have.get("host_separation")
    size = max(have["host_size"], MIN_SIZE_ARCSEC) if "host_size" in have else None
    near = None if separation is None else max(separation, MIN_SEPARATION_ARCSEC)
    put("ps1_separation", max(have["ps1_separation"], MIN_SEPARATION_ARCSEC) if "ps1_separation" in have else None)
    put("host_separation", near)
    put("host_size", size)
    if near is not None and size:
        put("relative_separation", near / size)
    if "physical_separation_kpc" in have:
        put("host_separation_kpc", max(have["physical_separation_kpc"], MIN_SEPARATION_KPC))
    distance_mpc = have.get("distance_mpc")
    put("host_distance", distance_mpc)
    brightest = [have[name] for name in ("peak_g", "peak_r") if name in have]
    if distance_mpc is not None and brightest:
        put("absolute_magnitude", min(brightest) - 5 * math.log10(distance_mpc * 1e5))


def quantity_row(table: Sequence[Feature], transient: Transient) -> NDArray[np.float32]:
    """Lay one object's quantities out in the order of :data:`QUANTITIES`.

    Returns
    -------
    NDArray
        ``(n_quantities,)`` float32, NaN where there is no value.
    """
    found = quantities(table, transient)
    return np.array([found.get(name, np.nan) for name in QUANTITY_NAMES], dtype=np.float32)
