"""The small life of an annotator of Rubin's Lasair: its night, how states of objects are told, and what stands for one.

A stream tells of a state with the whole light curve or with a short one, and of some in a second copy without any,
whichever comes first. Numbers that were not measured are NaN there.
"""

import dataclasses
import functools
import random
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType

from annotator.sandbox import simulate_rubin_night
from annotator.sandbox.lasair.lsst.records import ObjectRecords, records_of
from annotator.sandbox.lasair.lsst.stream import light_curve
from annotator.sandbox.sky.rubin.night import RubinObject
from tests.faults.laboratory import Try, Verdict
from tests.faults.scenario import Row, Scenario

UNIX_EPOCH_MJD = 40587.0
BATCH_ANNOTATIONS = 8
"""So that what one pass sends is several batches."""
MAX_FULL_SOURCES = 100
"""Longer light curves come short: a full one would be larger than what the tests' broker takes."""
LISTS = ("diaSourcesList", "diaForcedSourcesList")


@functools.cache
def rubin_scenario(seed: int, now_s: float, n_objects: int = 20) -> Scenario:
    """Simulate the night before a moment; two thirds of its objects change an hour later, and a tenth is new then."""
    night = simulate_rubin_night(seed, n_objects, UNIX_EPOCH_MJD + now_s / 86400.0)
    states = [_state(item) for item in night.objects]
    n_new = n_objects // 10
    changes = {state["diaObjectId"] for state in states[n_new : n_new + 2 * n_objects // 3]}
    first = [earlier(state) if state["diaObjectId"] in changes else state for state in states[n_new:]]
    then = [state for state in states if state["diaObjectId"] in changes]
    configuration = MappingProxyType({"lasair__batch_annotations": BATCH_ANNOTATIONS})
    waves = tuple(first), (*states[:n_new], *then)
    return Scenario(seed, now_s, night, waves, "lsst", functools.partial(told, seed), configuration)


def on_rubin(run: Callable[[Try], Verdict]) -> Callable[[Try], Verdict]:
    """Let a fault befall an annotator of Rubin's Lasair."""

    def of_rubin(t: Try) -> Verdict:
        return run(dataclasses.replace(t, scenario=rubin_scenario(t.scenario.seed, t.scenario.now_s)))

    return of_rubin


def _state(item: RubinObject) -> Row:
    return dict(item.columns) | dict(item.sherlock or {}) | {"alert": light_curve(records_of(item), "full")}


def earlier(state: Row, n_sources: int = 1) -> Row:
    """Return an object as it was before its last sources; where it would have none left, as it is."""
    alert = state["alert"]
    sources = alert["diaSourcesList"][:-n_sources]
    if not sources:
        return state
    last_mjd = sources[-1]["midpointMjdTai"]
    forced = [record for record in alert["diaForcedSourcesList"] if record["midpointMjdTai"] <= last_mjd]
    lists = dict(zip(LISTS, (sources, forced), strict=True))
    return state | {"lastDiaSourceMjdTai": last_mjd, "nDiaSources": len(sources), "alert": alert | lists}


def told(seed: int, wave: Sequence[Row], without: float = 0.0) -> list[Row]:
    """Make the messages of states; a share of them has no light curve at all, which Lasair then has to be asked for."""
    messages = []
    for state in wave:
        draw = random.Random(f"{seed} {state['diaObjectId']} {state['nDiaSources']}")
        is_long = len(state["alert"]["diaSourcesList"]) > MAX_FULL_SOURCES
        output = "lite" if is_long else draw.choice(("lite", "full"))
        whole, bare = _message(state, output), bare_copy(state)
        is_bare = draw.random() < without
        copies = draw.sample([whole, bare], 2) if draw.random() < 0.3 else [whole]
        messages += [bare] if is_bare else copies
    return messages


def _message(state: Row, output: str) -> Row:
    alert = state["alert"]
    records = ObjectRecords(alert["diaObject"], *(tuple(alert[name]) for name in LISTS))
    return state | {"alert": light_curve(records, output)}


def bare_copy(state: Row) -> Row:
    """Return the message that tells of a state without a light curve."""
    return {name: value for name, value in state.items() if name != "alert"}


def bare_copies(states: Iterable[Row]) -> list[Row]:
    """Return the messages that tell of states without light curves."""
    return [bare_copy(state) for state in states]
