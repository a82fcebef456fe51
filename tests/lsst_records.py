"""Simulated records of Rubin's, in every shape that Lasair and the alert stream have: pure functions of a seed.

Written for tests: some fields of many, the spelling of each place, NaN where a source lacks a value, and light curves
of a rise and a fall that nobody takes for a supernova's.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BANDS = "ugrizy"
FIRST_ID = 170_000_000_000_000_001


@dataclass(frozen=True)
class RubinObject:
    """One object, as the survey measured it."""

    object_id: int
    ra_deg: float
    dec_deg: float
    sources: list[dict[str, Any]]
    """In time order, with `dec` as packets have it."""
    forced: list[dict[str, Any]]
    sherlock: dict[str, Any]


def rubin_object(
    seed: int, n_nights: int | None = None, fades: bool = False, object_id: int | None = None
) -> RubinObject:
    """Simulate an object: visits in pairs, some bands, a forced measurement at most visits after the first."""
    draw = random.Random(seed)
    own_id = FIRST_ID + draw.randrange(10**15) if object_id is None else object_id
    ra_deg, dec_deg = draw.uniform(0, 360), draw.uniform(-70, 5)
    bands, start = draw.sample(BANDS, draw.choice((1, 1, 2, 3))), 61000 + draw.uniform(0, 300)
    sources, forced = [], []
    for night in range(draw.randint(1, 8) if n_nights is None else n_nights):
        for visit in range(draw.choice((1, 2))):
            band = draw.choice(bands)
            mjd = start + 3 * night + visit * 33 / 1440 + draw.uniform(0, 0.01)
            flux = 3000 * math.exp(-((night - 2) ** 2) / 8) * draw.uniform(0.9, 1.1) * (-1 if fades else 1)
            error = draw.uniform(100, 300)
            number = len(sources) + 1
            if abs(flux) > 5 * error:
                sources.append(
                    {
                        "diaSourceId": own_id + number if own_id + number < 2**63 else own_id - number,
                        "visit": 2026010100000 + number,
                        "diaObjectId": own_id,
                        "ssObjectId": draw.choice((None, 0)),
                        "midpointMjdTai": mjd,
                        "ra": (ra_deg + draw.gauss(0, 1e-5)) % 360.0,
                        "dec": dec_deg + draw.gauss(0, 1e-5),
                        "band": band,
                        "psfFlux": flux,
                        "psfFluxErr": error,
                        "snr": 7.1,
                        "reliability": draw.uniform(0.5, 1.0),
                        "trailFlux": math.nan,
                        "dipoleLength": math.nan,
                        "isNegative": flux < 0,
                        "timeWithdrawnMjdTai": math.nan,
                        "pixelFlags": False,
                    }
                )
            if draw.random() < 0.8:
                forced.append(
                    {
                        "diaForcedSourceId": own_id + number if own_id + number < 2**63 else own_id - number,
                        "diaObjectId": own_id,
                        "midpointMjdTai": mjd,
                        "ra": ra_deg,
                        "dec": dec_deg,
                        "band": band,
                        "psfFlux": flux * draw.uniform(0.95, 1.05),
                        "psfFluxErr": error,
                        "scienceFlux": math.nan,
                        "timeWithdrawnMjdTai": None,
                    }
                )
    if not sources:
        return rubin_object(seed + 10_000, n_nights, fades, own_id)
    sherlock = {
        "classification": draw.choice(("SN", "NT", "ORPHAN")),
        "separationArcsec": draw.choice((None, 0.7, 3.2)),
    }
    return RubinObject(own_id, ra_deg, dec_deg, sources, forced, sherlock)


def row(item: RubinObject, with_utc: bool = True) -> dict[str, Any]:
    """Return what a filter selects, as a message of its stream."""
    first, last = item.sources[0], item.sources[-1]
    columns = {
        "diaObjectId": item.object_id,
        "ra": item.ra_deg,
        "decl": item.dec_deg,
        "firstDiaSourceMjdTai": first["midpointMjdTai"],
        "lastDiaSourceMjdTai": last["midpointMjdTai"],
        "nDiaSources": len(item.sources),
        "nSourcesGood": len(item.sources),
        "latestR": last["reliability"],
        "jump1": 0.0,
        "BBBTemp": None,
        "tns_name": None,
        "sherlock_classifications": item.sherlock["classification"],
        "separationArcsec": item.sherlock["separationArcsec"],
    }
    return columns | ({"UTC": "2026-11-28 19:50:06"} if with_utc else {})


def lite(measurement: dict[str, Any], has_id: bool = False) -> dict[str, Any]:
    """Return the few fields that a lite list has of a measurement."""
    names = ("midpointMjdTai", "band", "psfFlux", "psfFluxErr", "reliability")
    return {name: measurement[name] for name in (*names, *(["diaSourceId"] if has_id else [])) if name in measurement}


def at_lasair(measurement: dict[str, Any]) -> dict[str, Any]:
    """Rename what SQL has a word for."""
    return {"decl" if name == "dec" else name: value for name, value in measurement.items()}


def dia_object(item: RubinObject, dec: str = "dec") -> dict[str, Any]:
    """Return Rubin's own summary."""
    means = {f"{band}_psfFluxMean": math.nan for band in BANDS}
    return {
        "diaObjectId": item.object_id,
        "ra": item.ra_deg,
        dec: item.dec_deg,
        "nDiaSources": len(item.sources),
        **means,
    }


def shapes(item: RubinObject) -> dict[str, dict[str, Any]]:
    """Return one object in every shape there is, by the shape's name."""
    full = [at_lasair(source) for source in item.sources]
    forced = [at_lasair(measurement) for measurement in item.forced]
    text_id = str(item.object_id)
    brief = [lite(source) for source in item.sources]
    added = {
        "lasairData": {**row(item, with_utc=False), "sherlock": item.sherlock, "TNS": {}, "annotations": []},
        "diaObject": {"ra": item.ra_deg, "decl": item.dec_deg},
    }
    alert = {"diaObject": dia_object(item, "decl"), "diaSourcesList": full, "diaForcedSourcesList": forced}
    return {
        "row": row(item),
        "row without UTC": row(item, with_utc=False),
        "lite": row(item) | {"alert": {"diaSourcesList": brief, "diaForcedSourcesList": list(map(lite, item.forced))}},
        "full": row(item) | {"alert": alert | {"diaNondetectionLimitsList": [], "ebv": 0.01}},
        "small letters": {name.lower(): value for name, value in row(item, with_utc=False).items()},
        "object": {
            "diaObjectId": text_id,
            "diaSourcesList": [lite(source, has_id=True) for source in item.sources],
            "diaForcedSourcesList": list(map(lite, item.forced)),
        },
        "object, full": {
            "diaObjectId": text_id,
            "diaObject": dia_object(item, "decl"),
            "diaSourcesList": full,
            "diaForcedSourcesList": forced,
        },
        "object, added": {
            "diaObjectId": text_id,
            **added,
            "diaSourcesList": [lite(source, has_id=True) for source in reversed(item.sources)],
            "diaForcedSourcesList": list(map(lite, reversed(item.forced))),
        },
        "object of 2025": {"diaObjectId": text_id, **added, "diaSources": full[::-1], "diaForcedSources": forced[::-1]},
        "packet": {
            "diaSourceId": item.sources[-1]["diaSourceId"],
            "diaSource": item.sources[-1],
            "prvDiaSources": item.sources[:-1] or None,
            "prvDiaForcedSources": item.forced or None,
            "diaObject": dia_object(item),
            "ssSource": None,
        },
    }


def records(n_objects: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield so many objects, each in every shape; every fifth is below its template."""
    for number in range(n_objects):
        yield from shapes(rubin_object(1000 * seed + number, fades=number % 5 == 4)).values()
