"""What the order of attention is fitted to: simulated nights with truth, and classified objects beside them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.decision.attention import evidence_of, parts_of
from annotator.decision.config import DecisionConfig
from annotator.decision.variable import is_variable
from annotator.models import ModelSet, Scores
from annotator.sandbox.sky.night import MINORITY
from annotator.sandbox.sky.rubin.night import MINORITY as RUBIN_MINORITY
from annotator.transient import Transient
from training.data.folds import fold_of
from training.exotic.evaluate import recent_or_all
from training.exotic.examples import AGN
from training.stream_night.objects import stream_names
from training.stream_night.score import FoldScorer
from training.worth import evolutions
from training.worth.nights import ScoredNights

NIGHTS, DATABANK, EVOLUTIONS = "simulated nights", "databank", "evolutions"
GLAD_SHARE = 0.03
"""Of objects that a person is glad of, in either source: that of SLSN and TDE among what is classified (111 of 3,642
from 2022 on); simulated nights have more, and a live stream fewer."""
KNOWN_TO_THE_MODELS = ("artefact", "variable")
"""What is known without a person is none of what is fitted."""
N_FOLDS = 10


@dataclass(frozen=True, eq=False)
class Examples:
    """Objects that are fitted to, arrays of one length ``(n,)``."""

    parts: NDArray[np.float64]
    """``(n, n_parts)``."""
    is_glad: NDArray[np.bool_]
    folds: NDArray[np.int64]
    """From 0 to 9: weights for those of one are fitted to those of the others."""
    counts: NDArray[np.float64]
    """As how many each counts."""

    def where(self, kept: NDArray) -> "Examples":
        """Return some of them, by mask or index."""
        return Examples(self.parts[kept], self.is_glad[kept], self.folds[kept], self.counts[kept])

    @property
    def glad_share(self) -> float:
        """How many of them a person is glad of, as they count."""
        return float(self.counts @ self.is_glad / self.counts.sum())


def of_nights(nights: ScoredNights) -> Examples:
    """Return the objects of simulated nights that nothing but a person can tell for what they are."""
    kept = ~np.isin(nights.known, KNOWN_TO_THE_MODELS)
    counts = np.ones(np.count_nonzero(kept))
    return Examples(nights.parts[kept], nights.is_glad[kept], nights.night[kept] % N_FOLDS, counts)


def of_databank(models: ModelSet, data: Path, out_of_fold: Path) -> Examples:
    """Return the databank's objects from 2022 on, each with what models and heads that did not see it say.

    SLSN and TDE are what a person is glad of; supernovae and AGN are the others. A row has one view, its features:
    which catalogue a light curve came from would tell the class, and few rows have stamps. Final states and partial
    light curves are in, these weighed as the head weighs them; AGN are as frequent as in a simulated night. Who is of
    the real night of objects is left out, which is for measuring alone; so is what is known to vary.
    """
    scorer = FoldScorer(models, data, out_of_fold)
    databank, decision, of_stream = scorer.databank, DecisionConfig(), stream_names(data)
    table, places = databank.table, databank.places
    is_of_stream = np.isin(table.object_ids, list(of_stream))
    vary = np.array([is_variable(item, decision) for item in scorer.states])
    kept = np.flatnonzero(recent_or_all(table)[places] & ~is_of_stream[places] & ~vary)
    scored = scorer.score([scorer.states[number] for number in kept])
    known = [bool(said.n_present) for said in scored]
    parts = np.array(
        [_parts(scorer.states[number], said) for number, said, has in zip(kept, scored, known, strict=True) if has]
    )
    kept = kept[known]
    examples = databank.examples.where(kept)
    found = Examples(parts, examples.is_positive, examples.folds, examples.weights)
    is_agn = databank.kinds[places[kept]] == AGN
    return replace(found, counts=_with_share(found.counts, is_agn, MINORITY[AGN]))


def _parts(transient: Transient, said: Scores) -> list[float]:
    return parts_of(evidence_of(said, {}, transient))


def of_evolutions(models: ModelSet, data: Path) -> Examples:
    """Return classified objects of PLAsTiCC and of ZTF, put on Rubin's dates (:mod:`training.worth.evolutions`).

    AGN are as frequent as in a simulated night.
    """
    found = evolutions.parts_and_labels(models, data)
    counts = _with_share(np.ones(len(found.parts)), found.kinds == evolutions.AGN, RUBIN_MINORITY[AGN])
    return Examples(found.parts, found.is_glad, np.array([fold_of(name) for name in found.object_ids.tolist()]), counts)


def together(nights: Examples, databank: Examples | None) -> Examples:
    """Put nights and what is beside them together, each half of what counts.

    With :data:`GLAD_SHARE` of what a person is glad of.

    Nights alone count as they are.
    """
    if databank is None:
        return nights
    sources = [
        replace(item, counts=_with_share(item.counts, item.is_glad, GLAD_SHARE) / 2 * len(nights.folds))
        for item in (nights, databank)
    ]
    return Examples(*(np.concatenate([getattr(item, name) for item in sources]) for name in vars(nights)))


def _with_share(counts: NDArray[np.float64], chosen: NDArray[np.bool_], share: float) -> NDArray[np.float64]:
    """Let some objects be such a share of what counts, and all count 1 together."""
    return np.where(chosen, share * counts / counts[chosen].sum(), (1 - share) * counts / counts[~chosen].sum())


def at_share(chances: NDArray[np.float64], from_share: float, to_share: float) -> NDArray[np.float64]:
    """Return what chances are where glad ones are more, or less, frequent than where they were fitted."""
    log_odds = np.log(chances / (1 - chances)) + np.log(to_share / (1 - to_share) * (1 - from_share) / from_share)
    return 1.0 / (1.0 + np.exp(-log_odds))
