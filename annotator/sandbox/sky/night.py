"""A simulated night of Lasair-ZTF: a few hundred objects with their light curves, columns and surroundings.

Nothing here is an observation. Transients follow the parametric forms of :mod:`annotator.sandbox.sky.light_curves`,
seen through a survey like ZTF's public one (:mod:`annotator.sandbox.sky.observe`). The columns are computed from the
detections by the same function as Lasair's. To the models that ship, its supernovae look as odd as real ones and its
exotics as hard; tests hold that. Identifiers are ZTF99 and seven letters: a year that never was.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from annotator.sandbox.lasair.schema import DOUBLE_COLUMNS, OBJECTS_COLUMNS, SHERLOCK_COLUMNS, UNIX_EPOCH_JD
from annotator.sandbox.sky import hosts, light_curves, variables
from annotator.sandbox.sky.coordinates import galactic_deg, htm_id
from annotator.sandbox.sky.hosts import Surroundings
from annotator.sandbox.sky.light_curves import Source
from annotator.sandbox.sky.observe import Epoch, Survey, observe, weather
from annotator.surveys.ztf.columns import Detection, lasair_columns

NORMAL_KINDS = ("SN Ia", "SN II", "SN Ib/c")

MINORITY: Mapping[str, float] = {
    "SLSN": 0.025,
    "TDE": 0.025,
    "AGN": 0.045,
    "CV": 0.03,
    "hostless": 0.012,
    "far from host": 0.01,
    "wrong host": 0.01,
    "fast blue": 0.012,
    "artefact": 0.02,
    "long-period variable": 0.015,
    "flare": 0.005,
}
"""Fractions of a night that are not ordinary supernovae; at least one of each."""
LATER_KINDS = ("long-period variable", "flare")
"""They take the places of a night's last SN Ia, so that all objects before them are what a seed made of them before."""

_GOOD_REAL_BOGUS = 0.75


@dataclass(frozen=True)
class SimulatedObject:
    """One simulated object, with the truth about it."""

    object_id: str
    kind: str
    """What it is: one of :data:`NORMAL_KINDS` or :data:`MINORITY`. No column of Lasair holds this."""
    redshift: float
    epochs: tuple[Epoch, ...]
    """In time order, back to long before the thirty days that the columns are computed from; of what varies, years."""
    columns: Mapping[str, object]
    """The row of Lasair's objects table, all 43 columns."""
    sherlock: Mapping[str, object]
    """The row of sherlock_classifications."""
    tns: Mapping[str, object] | None
    """The row of crossmatch_tns, for the few that somebody has reported and classified."""

    @property
    def detections(self) -> tuple[Epoch, ...]:
        """The epochs that are no upper limits."""
        return tuple(epoch for epoch in self.epochs if epoch.candid is not None)

    @property
    def brightest(self) -> Epoch | None:
        """The brightest positive detection, whose cutouts are scored; None where there is none."""
        positive = (epoch for epoch in self.epochs if epoch.isdiffpos == "t")
        return min(positive, key=lambda epoch: epoch.magpsf, default=None)


@dataclass(frozen=True)
class Night:
    """A simulated night: NOT observations. Every object was last detected in the night before `now_jd`."""

    seed: int
    now_jd: float
    objects: tuple[SimulatedObject, ...]

    def rows(self) -> list[dict[str, object]]:
        """Return one flat, JSON-ready row per object: the columns of objects and of sherlock_classifications."""
        return [{**o.columns, **o.sherlock} for o in self.objects]


def simulate_night(seed: int, n_objects: int = 300, now_jd: float | None = None) -> Night:
    """Simulate a night.

    Parameters
    ----------
    seed
        Everything is drawn from it: the same seed gives the same night, moved to the nights before `now_jd`.
    n_objects
        At least 30: :data:`MINORITY` in its fractions; of the rest 3/4 SN Ia, 1/5 SN II, 1/20 SN Ib/c.
    now_jd
        The present (Julian date, UTC); the clock's when None.

    Raises
    ------
    ValueError
        If there are too few objects to have one of each kind.
    """
    if n_objects < 30:
        raise ValueError(f"expected at least 30 objects, to have one of every kind, found {n_objects}")
    rng = np.random.default_rng(seed)
    return _night(rng, seed, _kinds(rng, n_objects), now_jd)


def simulate_kinds(seed: int, counts: Mapping[str, int], now_jd: float | None = None) -> Night:
    """Simulate a night of so many objects of each kind, in this order; otherwise as :func:`simulate_night`."""
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    return _night(np.random.default_rng(seed), seed, kinds, now_jd)


def _night(rng: np.random.Generator, seed: int, kinds: list[str], now_jd: float | None) -> Night:
    if now_jd is None:
        now_jd = UNIX_EPOCH_JD + time.time() / 86400.0
    # Palomar observes from 3 to 12.5 h UTC; the last night that has been over for two hours, so that what is dated a
    # little later than its last detection is not dated ahead, whatever the time of day.
    survey = weather(rng, math.floor(now_jd - 0.5 - 0.6) + 0.5)
    objects = tuple(_object(rng, survey, kind, number) for number, kind in enumerate(kinds))
    return Night(seed, now_jd, objects)


def _kinds(rng: np.random.Generator, n_objects: int) -> list[str]:
    counts = {kind: max(1, round(fraction * n_objects)) for kind, fraction in MINORITY.items()}
    later = [kind for kind in LATER_KINDS for _ in range(counts.pop(kind))]
    n_normal = n_objects - sum(counts.values())
    counts |= {"SN II": round(0.2 * n_normal), "SN Ib/c": max(1, round(0.05 * n_normal))}
    counts["SN Ia"] = n_objects - sum(counts.values())
    in_order = [kind for kind, count in counts.items() for _ in range(count)]
    kinds = [in_order[i] for i in rng.permutation(n_objects)]
    places = [place for place, kind in enumerate(kinds) if kind == "SN Ia"][-len(later) :]
    for place, kind in zip(places, later, strict=True):
        kinds[place] = kind
    return kinds


def _object(rng: np.random.Generator, survey: Survey, kind: str, number: int) -> SimulatedObject:
    object_id = _object_id(number)
    while True:
        source = _source(rng, kind)
        position = _position(rng)
        epochs = observe(rng, survey, source, kind, position, number)
        columns = _columns(epochs)
        if _is_reported(columns, survey, kind):
            break
    columns |= _place(columns["ramean"], columns["decmean"])
    surroundings = _surroundings(rng, kind, source.redshift)
    columns |= surroundings.ps1
    columns |= {"objectId": object_id, "ssnamenr": None, "dmdt_g_2": None, "dmdt_r_2": None}
    sherlock = dict(surroundings.sherlock) | {"objectId": object_id}
    found = sherlock["classification"] != "ORPHAN"
    north, east = float(sherlock["northSeparationArcsec"]), float(sherlock["eastSeparationArcsec"])
    sherlock["raDeg"] = position[0] - east / 3600 / math.cos(math.radians(position[1])) if found else 0.0
    sherlock["decDeg"] = position[1] - north / 3600 if found else 0.0
    return SimulatedObject(
        object_id=object_id,
        kind=kind,
        redshift=source.redshift,
        epochs=epochs,
        columns={name: _as_float_column(name, columns.get(name)) for name in OBJECTS_COLUMNS},
        sherlock={name: _as_float_column(name, sherlock.get(name)) for name in SHERLOCK_COLUMNS},
        tns=_tns(rng, object_id, kind, source.redshift, epochs, position),
    )


def _object_id(number: int) -> str:
    letters = []
    for _ in range(7):
        number, letter = divmod(number, 26)
        letters.append(chr(ord("a") + letter))
    return "ZTF99" + "".join(reversed(letters))


def _source(rng: np.random.Generator, kind: str) -> Source:
    if kind in ("hostless", "far from host", "wrong host", "artefact"):
        kind = "SN Ia"
    match kind:
        case "AGN":
            return variables.active_nucleus(rng)
        case "CV":
            return variables.dwarf_nova(rng)
        case "long-period variable":
            return variables.long_period_variable(rng)
        case "flare":
            return variables.flare_in_nucleus(rng)
        case _:
            return light_curves.supernova(rng, kind)


def _surroundings(rng: np.random.Generator, kind: str, redshift: float) -> Surroundings:
    match kind:
        case "hostless":
            return hosts.orphan_surroundings(rng)
        case "far from host":
            return hosts.far_host_surroundings(rng, redshift)
        case "wrong host":
            return hosts.wrong_host_surroundings(rng)
        case "CV":
            return hosts.star_surroundings(rng, "CV")
        case "artefact":
            return hosts.star_surroundings(rng, "BS")
        case "long-period variable":
            return hosts.unsure_surroundings(rng)
        case "flare":
            return hosts.galaxy_surroundings(rng, "AGN", redshift, nuclear=True)
        case _:
            return hosts.galaxy_surroundings(rng, kind, redshift, nuclear=kind in ("TDE", "AGN"))


def _position(rng: np.random.Generator) -> tuple[float, float]:
    """Draw a place in ZTF's sky, outside the plane of the Galaxy."""
    while True:
        ra_deg = rng.uniform(0.0, 360.0)
        dec_deg = math.degrees(math.asin(rng.uniform(math.sin(math.radians(-28.0)), 1.0)))
        if dec_deg < 85.0 and abs(galactic_deg(ra_deg, dec_deg)[1]) > 10.0:
            return ra_deg, dec_deg


def _columns(epochs: tuple[Epoch, ...]) -> dict[str, object]:
    seen = [epoch for epoch in epochs if epoch.candid is not None]
    detections = [
        Detection(
            jd=e.jd,
            is_g=e.fid == 1,
            magnitude=e.magpsf,
            magnitude_error=e.sigmapsf,
            is_positive=e.isdiffpos == "t",
            is_good=max(e.rb, e.drb) > _GOOD_REAL_BOGUS,
            ra_deg=e.ra,
            dec_deg=e.dec,
        )
        for e in seen
    ]
    columns: dict[str, object] = dict(lasair_columns(detections))
    if not seen:
        return columns
    packet = [e for e in seen if e.jd >= columns["jdmin"]]
    columns["rastd"] = 3600 * float(np.std([e.ra for e in packet]))
    columns["decstd"] = 3600 * float(np.std([e.dec for e in packet]))
    return columns


def _place(ra_deg: float, dec_deg: float) -> dict[str, float | int]:
    longitude_deg, latitude_deg = galactic_deg(ra_deg, dec_deg)
    return {"glonmean": longitude_deg, "glatmean": latitude_deg, "htm16": htm_id(ra_deg, dec_deg)}


def _is_reported(columns: Mapping[str, object], survey: Survey, kind: str) -> bool:
    """Say whether a night would hold the object: two detections, one of them last night, g and r together once.

    Supernovae without a colour exist; a table of classified ones, to which people compare, was chosen to have it.
    """
    if not columns or columns["ncand"] < 2 or columns["jdmax"] < survey.last_midnight_jd:
        return False
    return kind == "artefact" or columns["g_minus_r"] is not None


def _tns(
    rng: np.random.Generator,
    object_id: str,
    kind: str,
    redshift: float,
    epochs: tuple[Epoch, ...],
    position: tuple[float, float],
) -> dict[str, object] | None:
    first = next(e for e in epochs if e.candid is not None)
    if kind in ("artefact", "AGN", "CV", *LATER_KINDS) or rng.random() > 0.25:
        return None
    classified = kind in (*NORMAL_KINDS, "SLSN", "TDE") and rng.random() < 0.5
    return {
        "ra": position[0],
        "decl": position[1],
        "tns_name": "2099" + object_id[-4:],
        "tns_prefix": "SN" if classified else "AT",
        "disc_mag": first.magpsf,
        "disc_mag_filter": "g-ZTF" if first.fid == 1 else "r-ZTF",
        "type": {"SN Ib/c": "SN Ic", "SLSN": "SLSN-I"}.get(kind, kind) if classified else "",
        "z": round(redshift, 4) if classified else None,
        "hostz": None,
        "host_name": "SIMULATED",
        "ext_catalogs": "",
        "disc_int_name": object_id,
        "disc_date": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime((first.jd - UNIX_EPOCH_JD) * 86400)),
        "lastmodified_date": None,
        "sender": "simulated",
        "reporters": "simulated",
        "source_group": "simulated",
        "htm16": htm_id(*position),
    }


def _as_float_column(name: str, value: object) -> object:
    """Round what MariaDB keeps in a FLOAT to the six digits that come back from one."""
    return float(f"{value:.6g}") if isinstance(value, float) and name not in DOUBLE_COLUMNS else value
