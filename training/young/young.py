"""What the whole chain flags of young objects, by models that did not see them."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.decision.classify import decide, exotic_threshold_of
from annotator.decision.config import DecisionConfig
from annotator.models import ModelSet, Scores
from training.young.ablations import Tried
from training.young.measure import Chain, by_age, chain, like_sources, n_effective, ranked, without_model
from training.young.objects import YoungObject
from training.young.replay import State, replayed

log = logging.getLogger(__name__)

Score = Callable[[Sequence[State]], list[Scores]]


@dataclass(frozen=True, eq=False)
class Population:
    """Some objects, what normals among them count, and what is flagged of them at each age."""

    words: str
    n_exotic: int
    n_normal: int
    n_effective: float
    """How many equally weighed normals are worth as much."""
    n_normal_states: int
    rows: Sequence[Mapping[str, object]]
    """Of :func:`training.young.measure.by_age`, and ``auc`` and ``without_model`` where a ranking is fair."""


@dataclass(frozen=True, eq=False)
class Young:
    """All that is measured."""

    populations: Mapping[str, Population]
    types: Mapping[str, int]
    """Of the exotics of the headline."""
    sources: Mapping[str, Counter]
    """Catalogues of exotics, of normals from 2022 on, and of all normals."""
    by_type: Mapping[str, tuple[int, ...]]
    """Exotics of the headline that are flagged by each age, by type."""
    tried: Sequence[Tried] = ()
    """What other heads give; empty where it was not measured."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Objects, replayed, scored and decided on."""

    chain: Chain
    states: Sequence[State]
    scores: Sequence[Scores]
    """Of the states."""


def judged(objects: Sequence[YoungObject], score: Score, models: ModelSet) -> Judged:
    """Replay objects, score each night's state, and decide on it as a pass does, with the thresholds that ship."""
    states, decision = replayed(objects), DecisionConfig()
    log.info("%d objects, %d nights", len(objects), len(states))
    scores, threshold = score(states), exotic_threshold_of(models, decision)
    said = [
        decide(state.transient, found, decision, threshold) if found.n_present else ""
        for state, found in zip(states, scores, strict=True)
    ]
    return Judged(chain(objects, states, said, [found.exotic for found in scores]), states, scores)


def young(real: Judged, simulated: Judged, tried: Sequence[Tried] = ()) -> Young:
    """Measure what was decided of real and of simulated objects; what was tried is handed on."""
    found, states, sky, of_sky = real.chain, real.states, simulated.chain, simulated.states
    exotic, recent, rising = found.is_exotic, found.is_recent, found.is_rising
    headline, ones = recent & rising, np.ones(len(exotic))
    all_eras = rising & (recent | ~exotic)
    like = like_sources(found, states, all_eras)
    populations = {
        "recent": _population(WORDS["recent"], found, states, headline, ones, True),
        "eras": _population(WORDS["eras"], found, states, all_eras, ones),
        "like": _population(WORDS["like"], found, states, all_eras, like),
        "simulated": _population(WORDS["simulated"], sky, of_sky, sky.is_rising, np.ones(len(sky.is_rising))),
        "any": _population(WORDS["any"], found, states, recent, ones, True),
    }
    kinds = np.array([item.type for item in found.objects])
    sources = np.array([item.source for item in found.objects])
    types = Counter(kinds[headline & exotic].tolist())
    return Young(
        populations=populations,
        types=types,
        sources={
            "exotics": Counter(sources[headline & exotic].tolist()),
            "normals from 2022 on": Counter(sources[headline & ~exotic].tolist()),
            "normals of all years": Counter(sources[all_eras & ~exotic].tolist()),
        },
        by_type={
            kind: tuple(found.is_flagged[headline & exotic & (kinds == kind)].sum(axis=0).tolist()) for kind in types
        },
        tried=tried,
    )


WORDS: Mapping[str, str] = {
    "recent": "from 2022 on, caught rising",
    "eras": "normals of all years, caught rising, each as one",
    "like": "the same, weighed like the exotics' catalogues",
    "simulated": "simulated, caught rising",
    "any": "from 2022 on, caught rising or not",
}


def _population(
    words: str,
    found: Chain,
    states: Sequence[State],
    rows: NDArray[np.bool_],
    weights: NDArray[np.float64],
    is_fair: bool = False,
) -> Population:
    measured = by_age(found, rows, weights)
    if is_fair:
        for place, row in enumerate(measured):
            row["auc"] = ranked(found.exotic_now[:, place], found, rows)
            row["without_model"] = ranked(without_model(found, states, rows, place), found, rows)
    normal = rows & ~found.is_exotic
    of_normals = set(np.flatnonzero(normal).tolist())
    return Population(
        words=words,
        n_exotic=int((rows & found.is_exotic).sum()),
        n_normal=int(normal.sum()),
        n_effective=n_effective(weights[normal]),
        n_normal_states=sum(state.place in of_normals for state in states),
        rows=measured,
    )
