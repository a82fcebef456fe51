"""Evolutions of classified objects that the order of attention of LSST is fitted to, beside simulated nights.

PLAsTiCC's training set, and ZTF's objects on Rubin's dates and depths (:mod:`training.data.carried`), each at one
random epoch. The head's probability is that of heads that did not see the object; the other models have learned from
PLAsTiCC's supernovae, which makes these a little more ordinary than a stranger's.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.decision.attention import evidence_of, parts_of
from annotator.decision.config import DecisionConfig
from annotator.decision.variable import is_variable
from annotator.models import ModelSet
from annotator.models.worth import parts_of_survey
from annotator.preprocess.quantities import MAX_AGE_DAYS
from annotator.surveys.history import history
from annotator.transient import LightCurve, Transient
from training.data.carried import carried, read_cadence
from training.data.classified_curves import ClassifiedCurve, at_random_epoch
from training.data.rubin_sources import Sources, read_simulated, read_ztf, sources_of
from training.evolution.evaluate import cross_asked
from training.evolution.exotic import Settings, given_to_head
from training.evolution.states import states_of
from training.evolution.train import SURVEY, read_sources

log = logging.getLogger(__name__)

EPOCH_SEED = 2_000_000
"""Of the random epochs; those of training and of its measurements are others."""

HEADS = Settings(n_boosters=1, n_epochs=4)
"""Of the heads that did not see an object: with a third of the trees and half of the epochs of the one that ships,
which ten folds make in minutes."""

KILONOVA = "KN"
AGN = "AGN"


def states_with_scores(models: ModelSet, data: Path) -> tuple[list[ClassifiedCurve], list[Transient], list]:
    """Return classified objects at one random epoch each, as a pass would have them, and what models say of them.

    Raises
    ------
    ConfigError
        If a file cannot be read.
    """
    sources = sources_of(data, None)
    simulated, sky = _curves(sources)
    seen = [
        [_cut(curve, source, number) for number, curve in enumerate(curves)]
        for source, curves in enumerate((simulated, sky))
    ]
    read = read_sources(sources, HEADS)
    states = [given_to_head(states_of(curves, [curve.light_curve for curve in curves])) for curves in seen]
    found = cross_asked(read.training, *states, HEADS)
    found.model.calibrate(found.simulated.odds, states[0].is_exotic)
    slope, offset = float(found.model.slope), float(found.model.offset)
    curves, probabilities = [], []
    for of_source, of_states, odds in zip(seen, states, (found.simulated.odds, found.real), strict=True):
        by_id = {curve.object_id: curve for curve in of_source}
        curves += [by_id[name] for name in of_states.object_ids.tolist()]
        probabilities += (1.0 / (1.0 + np.exp(-(slope * odds + offset)))).tolist()
    transients = [as_served(curve.object_id, curve.light_curve) for curve in curves]
    scores = [
        replace(said, exotic=probability)
        for said, probability in zip(models.score(transients), probabilities, strict=True)
    ]
    return curves, transients, scores


def _curves(sources: Sources) -> tuple[Sequence[ClassifiedCurve], Sequence[ClassifiedCurve]]:
    simulated, real = read_simulated(sources).curves, read_ztf(sources).curves
    put = carried(
        [curve.light_curve for curve in real],
        read_cadence(sources.cadence),
        [(EPOCH_SEED, number) for number in range(len(real))],
    )
    pairs = zip(real, put, strict=True)
    return simulated, [replace(curve, light_curve=seen) for curve, seen in pairs if seen is not None]


def _cut(curve: ClassifiedCurve, source: int, number: int) -> ClassifiedCurve:
    rng = np.random.default_rng([EPOCH_SEED, source, number])
    return replace(curve, light_curve=at_random_epoch(curve.light_curve, rng))


def as_served(object_id: str, curve: LightCurve) -> Transient:
    """Lay an object out as a pass has it, of a light curve alone: nothing is known of hosts, nor how real it is."""
    detected = curve.detected().time_mjd
    first_mjd, last_mjd = float(detected[0]), float(detected[-1])
    return Transient(
        object_id,
        SURVEY,
        n_det=len(detected),
        last_mjd=last_mjd,
        light_curve=curve,
        extras={"age_days": min(last_mjd - first_mjd, MAX_AGE_DAYS)},
        history=history(curve),
    )


@dataclass(frozen=True, eq=False)
class Evolutions:
    """Classified objects, arrays of one length ``(n,)``."""

    parts: NDArray[np.float64]
    """``(n, n_parts)``."""
    is_glad: NDArray[np.bool_]
    """Whether who looks is glad."""
    object_ids: NDArray[np.str_]
    kinds: NDArray[np.str_]


def parts_and_labels(models: ModelSet, data: Path) -> Evolutions:
    """Return the objects that are not known to vary.

    Kilonovae are what a person is glad of, too, though the head has not learned them as exotics.
    """
    curves, transients, scores = states_with_scores(models, data)
    decision, names = DecisionConfig(), parts_of_survey(SURVEY)
    kept = [
        number
        for number, (transient, said) in enumerate(zip(transients, scores, strict=True))
        if said.n_present and not is_variable(transient, decision, said.numbers)
    ]
    parts = np.array([parts_of(evidence_of(scores[i], {}, transients[i]), names) for i in kept])
    kinds = np.array([curves[i].kind for i in kept])
    is_glad = np.array([curves[i].is_exotic or curves[i].kind == KILONOVA for i in kept])
    log.info("%d evolutions, %d of them to be glad of", len(kept), is_glad.sum())
    return Evolutions(parts, is_glad, np.array([curves[i].object_id for i in kept]), kinds)
