"""Simulated nights, scored as a pass scores them, with the truth: for fitting and measuring the order of attention.

No model has seen any of it: all that is scored here is out of sample.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.decision.attention import evidence_of, known_as, parts_of
from annotator.decision.classify import decide, exotic_threshold_of, overridden
from annotator.decision.config import DecisionConfig
from annotator.models import ModelSet, load_models
from annotator.models.heads import HEADS
from annotator.models.rows import ROWS
from annotator.preprocess.triplet import CHANNELS
from annotator.sandbox.sky.night import SimulatedObject, simulate_night
from annotator.sandbox.sky.stamps import simulate
from annotator.surveys import SURVEYS
from annotator.transient import Transient, Triplet
from training.recipe import SURVEY

log = logging.getLogger(__name__)

EXOTIC_KINDS = ("SLSN", "TDE", "fast blue", "flare")
ODD_KINDS = ("far from host",)
GLAD_KINDS = (*EXOTIC_KINDS, *ODD_KINDS)
"""What a person who looks is glad to have looked at; the others are ordinary supernovae, known kinds and bogus."""

FIRST_SEED = 7000
N_OBJECTS = 300
NOW_JD = 2461369.2


@dataclass(frozen=True, eq=False)
class ScoredNights:
    """Objects of simulated nights, arrays of one length ``(n,)``."""

    night: NDArray[np.int64]
    """Of which night each is, from 0."""
    kind: NDArray[np.str_]
    parts: NDArray[np.float64]
    """``(n, len(PARTS))``."""
    score: NDArray[np.float64]
    is_flagged: NDArray[np.bool_]
    """Whether it is an anomaly or to be watched."""
    known: NDArray[np.str_]
    """As what it is known that night; empty where it is not."""

    @property
    def is_glad(self) -> NDArray[np.bool_]:
        """Whether a person who looks is glad."""
        return np.isin(self.kind, GLAD_KINDS)


def simulated_nights(models: Path | None, n_nights: int, n_objects: int = N_OBJECTS, jobs: int = 1) -> ScoredNights:
    """Simulate nights, each of a seed of its own, and score them.

    Parameters
    ----------
    models
        A folder of models; None: the shipped ones.
    jobs
        Processes.
    """
    tasks = [(models, number, n_objects) for number in range(n_nights)]
    if jobs > 1:
        with ProcessPoolExecutor(jobs) as pool:
            found = list(pool.map(_night, tasks))
    else:
        found = [_night(task) for task in tasks]
    return ScoredNights(*(np.concatenate([np.asarray(night[i]) for night in found]) for i in range(6)))


def _night(task: tuple[Path | None, int, int]) -> tuple[Sequence, ...]:
    folder, number, n_objects = task
    models, decision = load_models(folder, SURVEY, beside=HEADS), DecisionConfig()
    seed = FIRST_SEED + number
    simulated = simulate_night(seed, n_objects, NOW_JD).objects
    rows = []
    for item, transient, scores in _scored(simulated, models, seed):
        tns_type = str(item.tns["type"]) if item.tns else ""
        decided = decide(transient, scores, decision, exotic_threshold_of(models, decision))
        known = known_as(overridden(decided, None, tns_type, decision), tns_type, None)
        rows.append(
            (
                number,
                item.kind,
                parts_of(evidence_of(scores, {}, transient.history)),
                scores.score,
                decided in _FLAGS,
                known,
            )
        )
    log.info("night %d: %d objects", number + 1, len(rows))
    return tuple(zip(*rows, strict=True))


_FLAGS = ("anomaly", "watch")


def _scored(objects: Sequence[SimulatedObject], models: ModelSet, seed: int) -> Iterator[tuple]:
    for start in range(0, len(objects), ROWS):
        part = objects[start : start + ROWS]
        transients = [as_served(item, seed) for item in part]
        yield from zip(part, transients, models.score(transients), strict=True)


def as_served(item: SimulatedObject, seed: int) -> Transient:
    """Read a simulated object as a pass has it: its row, the light curve that Lasair answers with, its stamps."""
    row = {name: value for name, value in {**item.columns, **item.sherlock}.items() if value is not None}
    transient = SURVEYS[SURVEY].parse({**row, "candidates": [dict(vars(epoch)) for epoch in item.epochs]})
    if item.brightest is None:
        return transient
    stamps = simulate(item, item.brightest, seed)
    return replace(transient, triplet=Triplet(*(stamps[name.capitalize()] for name in CHANNELS)))
