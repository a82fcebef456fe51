"""How well the head on light-curve quantities ranks: in each source by itself, one state of each object.

Class follows source in the catalogues, so that nothing is ever pooled over sources; and a head is also asked about the
source that it was not trained on: a simulator's exotics are models, and the sky's were chosen by somebody.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.data.classified_curves import EXOTIC_KINDS, PACKETS
from training.data.native import RUBIN
from training.data.plasticc import PLASTICC
from training.evolution.exotic import EvolutionHead, Settings, fit_head, is_there, log_odds_of
from training.evolution.lack import Asked, ask, fit_taken_back
from training.evolution.states import States
from training.metrics.ranking import as_lists, ranking

POINTS = ((2, 2), (3, 6), (7, 12), (13, 10**9))
"""Nights and bands that are usable, from and to."""

HONEST_SOURCES = ("yse", PACKETS)
"""Of ZTF's those in which the catalogue does not tell the class."""

BOTH = "both"

NORMALS_ABOVE = 0.01
"""Share of PLAsTiCC's objects that are no exotics, above the threshold: in a stream nearly all are none."""


@dataclass(frozen=True, eq=False)
class CrossAsked:
    """Log odds of PLAsTiCC's and ZTF's states by heads that saw no object of their bin."""

    simulated: Asked
    real: NDArray[np.float64]
    model: EvolutionHead
    """The last bin's: it has seen nothing of that bin."""


def cross_asked(training: States, simulated: States, real: States, settings: Settings) -> CrossAsked:
    """Ask of each state a head that saw no object of its bin; what is missing is taken back by other bins' normals.

    Parameters
    ----------
    training
        What heads are fitted to, of both sources.
    simulated, real
        What is asked about: of PLAsTiCC, and of the sky.
    """
    there = is_there(simulated.values)
    odds, hidden = np.full(len(simulated), np.nan), np.full(there.shape, np.nan)
    of_real = np.full(len(real), np.nan)
    numbers = np.unique(simulated.folds).tolist()
    for number in numbers:
        model = fit_head(training.where(training.folds != number), replace(settings, seed=settings.seed + number))
        here = simulated.folds == number
        asked = ask(lambda values, own=model: log_odds_of(own, values), simulated.values[here], there[here])
        odds[here], hidden[here] = asked.odds, asked.hidden
        of_real[real.folds == number] = log_odds_of(model, real.values[real.folds == number])
    raw, real_there = Asked(there, odds.copy(), hidden.copy()), is_there(real.values)
    for number in numbers:
        here, own = simulated.folds == number, real.folds == number
        taken_back = fit_taken_back(raw.where(~here & ~simulated.is_exotic), NORMALS_ABOVE)
        found = taken_back.of(raw.where(here))
        odds[here], hidden[here] = found.odds, found.hidden
        of_real[own] = taken_back.of(Asked(real_there[own], of_real[own], np.zeros(real_there[own].shape))).odds
    model.take_back(taken_back.offsets, taken_back.pivot, taken_back.stretch)
    return CrossAsked(Asked(there, odds, hidden), of_real, model)


def left_out(training: States, simulated: States, real: States, settings: Settings) -> dict[str, dict]:
    """Rank each source by a head that was trained on the other alone."""
    is_simulated, is_native = training.sources == PLASTICC, training.sources == RUBIN
    by_simulator = log_odds_of(fit_head(training.where(is_simulated), settings), real.values)
    by_sky = log_odds_of(fit_head(training.where(~is_simulated & ~is_native), settings), simulated.values)
    supernovae = np.char.startswith(simulated.kinds, "SN") | simulated.is_exotic
    return {
        "the sky": of_real_sources(real, by_simulator)[BOTH],
        "the simulator, against supernovae": rank(simulated, by_sky, supernovae),
        "the simulator, against all others": rank(simulated, by_sky),
    }


def rank(states: States, scores: NDArray[np.float64], rows: NDArray[np.bool_] | None = None) -> dict:
    """Return AUC and average precision with intervals over objects, and how many objects and states there are."""
    kept = np.ones(len(states), dtype=bool) if rows is None else rows
    asked, labels, names = scores[kept], states.is_exotic[kept], states.object_ids[kept]
    found = {"n_exotic": int(labels.sum()), "n_other": int((~labels).sum()), "n_objects": len(np.unique(names))}
    if labels.all() or not labels.any():
        return found | {"auc": None, "ap": None}
    measured = as_lists(ranking(asked, labels, names=names))
    return found | {name: measured[name] for name in ("auc", "ap")}


def of_simulated(states: States, scores: NDArray[np.float64]) -> dict[str, dict]:
    """Rank PLAsTiCC's exotics: all, by kind, and by number of points."""
    kinds = sorted(set(states.kinds[states.is_exotic].tolist()))
    return {
        "all": rank(states, scores),
        "by_kind": {kind: rank(states, scores, ~states.is_exotic | (states.kinds == kind)) for kind in kinds},
        "by_points": {
            f"{low} to {high}" if high < 10**9 else f"{low} or more": rank(
                states, scores, (states.n_points >= low) & (states.n_points <= high)
            )
            for low, high in POINTS
        },
    }


def of_real_sources(states: States, scores: NDArray[np.float64]) -> dict[str, dict]:
    """Rank ZTF's exotics within each source in which the catalogue does not tell the class, and by kind."""
    within = np.isin(states.sources, HONEST_SOURCES)
    by_kind = {
        kind: rank(states, scores, within & (~states.is_exotic | np.char.startswith(states.kinds, kind)))
        for kind in EXOTIC_KINDS
    }
    sources = {source: rank(states, scores, states.sources == source) for source in HONEST_SOURCES}
    return {BOTH: rank(states, scores, within), **sources, **by_kind}


def of_native(states: States, scores: NDArray[np.float64]) -> dict[str, dict]:
    """Rank the exotics among the survey's own typed objects: against all others, and against supernovae."""
    is_own = states.sources == RUBIN
    supernovae = np.char.startswith(states.kinds, "SN") | states.is_exotic
    return {"all others": rank(states, scores, is_own), "supernovae": rank(states, scores, is_own & supernovae)}
