import dataclasses
import functools

import pytest

from annotator.sandbox import simulate_night
from annotator.sandbox.lasair.answers import candidate
from annotator.sandbox.sky.stamps import simulate
from annotator.surveys.ztf.parse import parse
from annotator.transient import Transient, Triplet

N_OBJECTS = 50


@functools.cache
def rows() -> list[dict]:
    """Records of a simulated night, which is made when they are asked for: every process of a run imports all tests."""
    return simulate_night(7, 60, now_jd=2461000.5).rows()


@pytest.fixture(scope="session")
def transients() -> list[Transient]:
    """Objects that have all three modalities."""
    night = simulate_night(3, 2 * N_OBJECTS)
    found = []
    for item, row in zip(night.objects, night.rows(), strict=True):
        positive = [epoch for epoch in item.epochs if epoch.isdiffpos == "t"]
        transient = parse(row | {"candidates": [candidate(epoch, "https://stamps.test") for epoch in item.epochs]})
        if len(positive) > 2:
            stamps = simulate(item, min(positive, key=lambda epoch: epoch.magpsf), 1)
            triplet = Triplet(**{kind.lower(): stamp for kind, stamp in stamps.items()})
            found.append(dataclasses.replace(transient, triplet=triplet))
    return found[:N_OBJECTS]
