"""The skies that nights are simulated of: what a person is glad of in each, and how a pass would have its objects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from annotator.preprocess.triplet import CHANNELS
from annotator.sandbox.lasair.lsst.records import records_of
from annotator.sandbox.lasair.lsst.stream import light_curve
from annotator.sandbox.sky.night import SimulatedObject, simulate_night
from annotator.sandbox.sky.rubin.night import RubinObject, simulate_rubin_night
from annotator.sandbox.sky.stamps import simulate
from annotator.surveys import SURVEYS
from annotator.transient import Transient, Triplet

EXOTIC_KINDS = ("SLSN", "TDE", "fast blue", "flare")

NOW_JD, NOW_MJD = 2461369.2, 61368.7


@dataclass(frozen=True)
class Sky:
    """A survey's simulated sky."""

    simulate: Callable[[int, int], Sequence[Any]]
    """Simulate the objects of a night, of a seed and a number."""
    as_served: Callable[[Any, int], Transient]
    """Read one, of a night of such a seed, as a pass has it."""
    exotic: tuple[str, ...]
    """Kinds that are hoped for in the first places."""
    glad: tuple[str, ...]
    """What a person who looks is glad to have looked at; the others are ordinary supernovae, known kinds and bogus."""
    first: tuple[int, ...]
    """Numbers of places that are looked at."""


def _ztf_as_served(item: SimulatedObject, seed: int) -> Transient:
    """Read a row, the light curve that Lasair answers with, and the stamps."""
    row = {name: value for name, value in {**item.columns, **item.sherlock}.items() if value is not None}
    transient = SURVEYS["ztf"].parse({**row, "candidates": [dict(vars(epoch)) for epoch in item.epochs]})
    if item.brightest is None:
        return transient
    stamps = simulate(item, item.brightest, seed)
    return replace(transient, triplet=Triplet(*(stamps[name.capitalize()] for name in CHANNELS)))


def _lsst_as_served(item: RubinObject, seed: int) -> Transient:
    """Read a message of a stream that carries the light curve."""
    row = {name: value for name, value in {**(item.sherlock or {}), **item.columns}.items() if value is not None}
    return SURVEYS["lsst"].parse({**row, "alert": light_curve(records_of(item), "lite")})


SKIES: Mapping[str, Sky] = MappingProxyType(
    {
        "ztf": Sky(
            simulate=lambda seed, n_objects: simulate_night(seed, n_objects, NOW_JD).objects,
            as_served=_ztf_as_served,
            exotic=EXOTIC_KINDS,
            glad=(*EXOTIC_KINDS, "far from host"),
            first=(10, 30),
        ),
        "lsst": Sky(
            simulate=lambda seed, n_objects: simulate_rubin_night(seed, n_objects, NOW_MJD).objects,
            as_served=_lsst_as_served,
            exotic=EXOTIC_KINDS[:3],
            glad=EXOTIC_KINDS[:3],
            first=(10, 30, 100),
        ),
    }
)
"""By the survey's name."""
