"""A simulated night of Lasair for Rubin: NOT observations.

Every object was last detected in the night before `now_mjd`. Identifiers begin with 9: Rubin's own begin with 1 to 3,
so that nobody takes one for the other, and they need all of their 63 bits. An object's id is that of its first source.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.photometry import magnitude_of
from annotator.sandbox.lasair.lsst.schema import MJD_MINUS_JD
from annotator.sandbox.lasair.schema import UNIX_EPOCH_JD
from annotator.sandbox.sky import hosts
from annotator.sandbox.sky.coordinates import galactic_deg, htm_id
from annotator.sandbox.sky.hosts import Surroundings
from annotator.sandbox.sky.rubin.cadence import visits
from annotator.sandbox.sky.rubin.columns import objects_row, rounded
from annotator.sandbox.sky.rubin.evolutions import Evolution, draw
from annotator.sandbox.sky.rubin.observe import SENT_RELIABILITY, Observed, observe

NORMAL_KINDS = ("SN Ia", "SN II", "SN Ib/c")

MINORITY: Mapping[str, float] = MappingProxyType(
    {
        "SLSN": 0.03,
        "TDE": 0.03,
        "fast blue": 0.02,
        "AGN": 0.08,
        "variable star": 0.05,
        "asteroid": 0.03,
        "bogus": 0.03,
    }
)
"""Fractions of a night that are no ordinary supernovae; at least one of each."""

TAI_MINUS_UTC_S = 37.0
MIDNIGHT_UTC_HOUR = 4.7
"""Of Cerro Pachon, in the mean."""
_FIRST_ID = 9 * 10**18
_IDS_PER_OBJECT = 10**7
_FORCED_IDS = 5 * 10**6  # from here on, of an object's ids, those of forced photometry
_LOOKS = 4  # at one evolution, before another one is drawn
_CLASSIFIED = {"SN Ia": "SN Ia", "SN II": "SN II", "SN Ib/c": "SN Ic", "SLSN": "SLSN-I", "TDE": "TDE"}


@dataclass(frozen=True, eq=False)
class RubinObject:
    """One simulated object, with the truth about it."""

    object_id: int
    """diaObjectId; above 2^53, so that no float holds it."""
    kind: str
    """What it is: one of :data:`NORMAL_KINDS` or :data:`MINORITY`. No column of Lasair holds this."""
    redshift: float
    position_deg: tuple[float, float]
    observed: Observed
    source_ids: tuple[int, ...]
    forced_ids: tuple[int, ...]
    source_mjd_tai: NDArray[np.float64]
    forced_mjd_tai: NDArray[np.float64]
    columns: Mapping[str, object]
    """The row of Lasair's `objects`."""
    sherlock: Mapping[str, object] | None
    """The row of sherlock_classifications; None where Sherlock has not looked."""
    tns: Mapping[str, object] | None
    """The row of crossmatch_tns, for the few that somebody has reported and classified."""


@dataclass(frozen=True)
class RubinNight:
    """A simulated night of Rubin."""

    seed: int
    now_mjd: float
    objects: tuple[RubinObject, ...]


def simulate_rubin_night(
    seed: int, n_objects: int = 200, now_mjd: float | None = None, minority: Mapping[str, float] = MINORITY
) -> RubinNight:
    """Simulate a night.

    Parameters
    ----------
    seed
        Everything is drawn from it: the same seed gives the same night, moved to the nights before `now_mjd`.
    n_objects
        At least 20: the minority in its fractions; of the rest 3/5 SN Ia, 3/10 SN II, 1/10 SN Ib/c.
    now_mjd
        The present (UTC); the clock's when None.
    minority
        By kind, which of :data:`MINORITY` there are, and in which fractions.

    Raises
    ------
    ValueError
        If there are too few objects to have one of each kind.
    """
    if n_objects < 20:
        raise ValueError(f"expected at least 20 objects, to have one of every kind, found {n_objects}")
    counts = {kind: max(1, round(fraction * n_objects)) for kind, fraction in minority.items()}
    n_normal = n_objects - sum(counts.values())
    counts |= {"SN II": round(0.3 * n_normal), "SN Ib/c": max(1, round(0.1 * n_normal))}
    counts["SN Ia"] = n_objects - sum(counts.values())
    rng = np.random.default_rng(seed)
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    kinds = [kinds[i] for i in rng.permutation(n_objects)]
    if now_mjd is None:
        now_mjd = time.time() / 86400.0 + UNIX_EPOCH_JD + MJD_MINUS_JD
    # The last night that has been over for an hour: it ends some five hours after its midnight.
    midnight_mjd = math.floor(now_mjd - (MIDNIGHT_UTC_HOUR + 6.0) / 24) + MIDNIGHT_UTC_HOUR / 24
    full_moon_night = rng.uniform(0.0, 29.53)
    objects = tuple(_object(rng, kind, i, midnight_mjd, full_moon_night) for i, kind in enumerate(kinds))
    return RubinNight(seed, now_mjd, objects)


def _object(
    rng: np.random.Generator, kind: str, number: int, midnight_mjd: float, full_moon_night: float
) -> RubinObject:
    evolution, observed = _reported(rng, kind, full_moon_night)
    ra_deg, dec_deg = _position(rng)
    sources = observed.sources
    source_mjd, forced_mjd = (
        midnight_mjd + days + TAI_MINUS_UTC_S / 86400 for days in (sources.days, observed.forced.days)
    )
    first_id = _FIRST_ID + (number + 1) * _IDS_PER_OBJECT
    source_ids = tuple(first_id + 7 * i + 1 for i in range(len(sources)))
    surroundings = _surroundings(rng, kind, evolution)
    sherlock = _sherlock(surroundings, source_ids[0], (ra_deg, dec_deg)) if surroundings else None
    redshift = sherlock["z"] if sherlock else None
    columns = objects_row(sources, source_mjd, (ra_deg, dec_deg), redshift)
    return RubinObject(
        object_id=source_ids[0],
        kind=kind,
        redshift=evolution.redshift,
        position_deg=(ra_deg, dec_deg),
        observed=observed,
        source_ids=source_ids,
        forced_ids=tuple(first_id + _FORCED_IDS + 3 * i for i in range(len(observed.forced))),
        source_mjd_tai=source_mjd,
        forced_mjd_tai=forced_mjd,
        columns=columns | {"diaObjectId": source_ids[0], "timestamp": _timestamp(source_mjd[-1] + 0.003)},
        sherlock=sherlock,
        tns=_tns(rng, kind, number, evolution.redshift, observed, source_mjd, (ra_deg, dec_deg)),
    )


def _reported(rng: np.random.Generator, kind: str, full_moon_night: float) -> tuple[Evolution, Observed]:
    """Draw until a filter's stream would tell of it: a trusted source last night, and another one before."""
    while True:
        evolution = draw(rng, kind)
        for _ in range(_LOOKS):
            observed = observe(rng, visits(rng, full_moon_night), evolution, kind)
            sources = observed.sources
            is_last_night = len(sources) and round(float(sources.days[-1])) == 0
            if (
                is_last_night
                and sources.reliability[-1] >= SENT_RELIABILITY
                and (kind == "asteroid" or len(sources) >= 2)
            ):
                return evolution, observed


def _position(rng: np.random.Generator) -> tuple[float, float]:
    """Draw a place in Rubin's sky, outside the plane of the Galaxy."""
    while True:
        ra_deg = rng.uniform(0.0, 360.0)
        dec_deg = math.degrees(math.asin(rng.uniform(math.sin(math.radians(-72.0)), math.sin(math.radians(12.0)))))
        if abs(galactic_deg(ra_deg, dec_deg)[1]) > 15.0:
            return ra_deg, dec_deg


def _surroundings(rng: np.random.Generator, kind: str, evolution: Evolution) -> Surroundings | None:
    """Draw what Sherlock says; one in ten objects it has not looked at yet."""
    if rng.random() < 0.1:
        return None
    if kind in ("asteroid", "bogus") or (kind not in ("AGN", "variable star") and rng.random() < 0.35):
        return hosts.orphan_surroundings(rng)
    if kind == "variable star":
        return hosts.star_surroundings(rng, "VS")
    return hosts.galaxy_surroundings(rng, kind, evolution.redshift, nuclear=kind in ("TDE", "AGN"))


def _sherlock(surroundings: Surroundings, object_id: int, position_deg: tuple[float, float]) -> dict[str, object]:
    """Write a row as Lasair for Rubin does: null where Lasair-ZTF has 0."""
    row = {
        name: None if value in (0.0, "0") and name != "separationArcsec" else value
        for name, value in surroundings.sherlock.items()
    }
    if row["classification"] == "ORPHAN":
        row = dict.fromkeys(row) | {"classification": "ORPHAN", "classificationReliability": 0}
        row |= {"annotator": "simulated", "description": "SIMULATED. Nothing is catalogued here."}
        return rounded(row | {"diaObjectId": object_id, "raDeg": None, "decDeg": None})
    north, east = (float(surroundings.sherlock[f"{side}SeparationArcsec"]) for side in ("north", "east"))
    ra_deg = position_deg[0] - east / 3600 / math.cos(math.radians(position_deg[1]))
    return rounded(row | {"diaObjectId": object_id, "raDeg": ra_deg, "decDeg": position_deg[1] - north / 3600})


def _tns(
    rng: np.random.Generator,
    kind: str,
    number: int,
    redshift: float,
    observed: Observed,
    source_mjd: NDArray[np.float64],
    position_deg: tuple[float, float],
) -> dict[str, object] | None:
    if kind not in _CLASSIFIED or rng.random() > 0.2:
        return None
    is_classified = rng.random() < 0.5
    return {
        "ra": position_deg[0],
        "decl": position_deg[1],
        "tns_name": f"2099r{number:05d}",
        "tns_prefix": "SN" if is_classified else "AT",
        "disc_mag": round(float(magnitude_of(observed.sources.flux_njy[0])), 3),
        "disc_mag_filter": f"{observed.sources.band[0]}-LSST",
        "type": _CLASSIFIED[kind] if is_classified else "",
        "z": round(redshift, 4) if is_classified else None,
        "hostz": None,
        "host_name": "SIMULATED",
        "ext_catalogs": "",
        "disc_int_name": f"LSST-SIM-{number}",
        "disc_date": _timestamp(float(source_mjd[0])),
        "lastmodified_date": None,
        "sender": "simulated",
        "reporters": "simulated",
        "source_group": "simulated",
        "htm16": htm_id(*position_deg),
    }


def _timestamp(mjd: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime((mjd - MJD_MINUS_JD - UNIX_EPOCH_JD) * 86400))
