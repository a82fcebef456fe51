"""Simulated nights, scored as a pass scores them, with the truth: for fitting and measuring the order of attention.

No model has seen any of it: all that is scored here is out of sample.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.decision.attention import evidence_of, known_as, parts_of
from annotator.decision.classify import decide, exotic_threshold_of, overridden
from annotator.decision.config import DecisionConfig
from annotator.models import ModelSet, load_models
from annotator.models.heads import HEADS
from annotator.models.rows import ROWS
from annotator.models.worth import parts_of_survey
from training.worth.skies import SKIES, Sky

log = logging.getLogger(__name__)

FIRST_SEED = 7000
N_OBJECTS = 300


@dataclass(frozen=True, eq=False)
class ScoredNights:
    """Objects of simulated nights of one survey, arrays of one length ``(n,)``."""

    night: NDArray[np.int64]
    """Of which night each is, from 0."""
    kind: NDArray[np.str_]
    parts: NDArray[np.float64]
    """``(n, n_parts)``, those of the survey."""
    score: NDArray[np.float64]
    is_flagged: NDArray[np.bool_]
    """Whether it is an anomaly or to be watched."""
    known: NDArray[np.str_]
    """As what it is known that night; empty where it is not."""
    survey: str = "ztf"

    @property
    def sky(self) -> Sky:
        """What was simulated."""
        return SKIES[self.survey]

    @property
    def is_glad(self) -> NDArray[np.bool_]:
        """Whether a person who looks is glad."""
        return np.isin(self.kind, self.sky.glad)


def simulated_nights(
    models: Path | None, n_nights: int, n_objects: int = N_OBJECTS, jobs: int = 1, survey: str = "ztf"
) -> ScoredNights:
    """Simulate nights, each of a seed of its own, and score them; what no model can score is left out.

    Parameters
    ----------
    models
        A folder of models; None: the shipped ones.
    jobs
        Processes.
    survey
        Whose sky it is.
    """
    tasks = [(models, number, n_objects, survey) for number in range(n_nights)]
    if jobs > 1:
        with ProcessPoolExecutor(jobs) as pool:
            found = list(pool.map(_night, tasks))
    else:
        found = [_night(task) for task in tasks]
    return ScoredNights(*(np.concatenate([np.asarray(night[i]) for night in found]) for i in range(6)), survey)


def _night(task: tuple[Path | None, int, int, str]) -> tuple[Sequence, ...]:
    folder, number, n_objects, survey = task
    models, decision, parts = load_models(folder, survey, beside=HEADS), DecisionConfig(), parts_of_survey(survey)
    seed = FIRST_SEED + number
    rows = []
    for item, transient, scores in _scored(SKIES[survey], models, seed, n_objects):
        if scores.why_none:
            continue
        tns_type = str(item.tns["type"]) if item.tns else ""
        decided = decide(transient, scores, decision, exotic_threshold_of(models, decision))
        known = known_as(overridden(decided, None, tns_type, decision), tns_type, None)
        evidence = evidence_of(scores, {}, transient)
        rows.append((number, item.kind, parts_of(evidence, parts), scores.score, decided in _FLAGS, known))
    log.info("night %d: %d objects", number + 1, len(rows))
    return tuple(zip(*rows, strict=True))


_FLAGS = ("anomaly", "watch")


def _scored(sky: Sky, models: ModelSet, seed: int, n_objects: int) -> Iterator[tuple]:
    objects = sky.simulate(seed, n_objects)
    for start in range(0, len(objects), ROWS):
        part = objects[start : start + ROWS]
        transients = [sky.as_served(item, seed) for item in part]
        yield from zip(part, transients, models.score(transients), strict=True)
