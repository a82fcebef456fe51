"""Scores of real objects as `aha-annotator score` gives them, but each by the models of a fold that did not see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from annotator.models import ModalityScore, ModelSet, Scores
from annotator.models.calibration import combined_score
from annotator.models.model import Model
from annotator.models.model_set import head_numbers
from annotator.models.scores import Missing, only_scored
from annotator.surveys.ztf.tables import DETECTION
from annotator.transient import Modality, Transient
from training.artefact import fit as artefact_fit
from training.artefact.labels import artefact_labels
from training.data.folds import fold_of, rotation_of
from training.data.partial_light_curves import partial_light_curves
from training.data.stamps import FOLDS_A_MODEL, read_stamps
from training.data.table import read_table
from training.exotic.examples import read_databank, with_others
from training.exotic.fit import BoostingSettings, Examples, cross_fit
from training.exotic.network import INPUTS
from training.exotic.train import shared_curves, with_lack_taken_back
from training.export.fold_models import read_fold_models
from training.recipe import SURVEY
from training.stream_night.objects import CURVES, STAMPS
from training.triplet.out_of_fold import read_stamps_out_of_fold

DATABANK = "object_features.csv"


@dataclass(frozen=True)
class _TorchSession:
    """A network of torch, asked as a session is."""

    network: nn.Module
    outputs: tuple[str, ...]

    def run(
        self, names: Sequence[str], tensors: Mapping[str, NDArray[np.float32]], options: object = None
    ) -> list[NDArray[np.float32]]:
        """Return named outputs of a batch."""
        with torch.no_grad():
            found = self.network(*(torch.from_numpy(values) for values in tensors.values()))
        by_name = dict(zip(self.outputs, found, strict=True))
        return [by_name[name].numpy() for name in names]


class FoldScorer:
    """What the models of all folds say.

    Parameters
    ----------
    models
        Those that ship: of their fold, with the calibration that all folds share.
    data
        Folder of the training data.
    out_of_fold
        Folder that the trainings wrote to with the option of that name.

    Attributes
    ----------
    databank
        That the heads are trained on.
    states
        Its states, in its order, as the annotator reads them.
    """

    def __init__(self, models: ModelSet, data: Path, out_of_fold: Path) -> None:
        self._models = models
        self._folds = {name: _fold_models(model, name, out_of_fold) for name, model in models.models.items()}
        table = read_table(data / DATABANK, SURVEY, data / CURVES)
        self._fold_of = dict(zip(table.object_ids.tolist(), table.folds.tolist(), strict=True))
        seed = models.heads["exotic"].manifest.training["settings"]["seed"]
        live = shared_curves(partial_light_curves(table, data / CURVES, SURVEY, seed))
        self.databank = read_databank(table, models, out_of_fold, live)
        self.states = (*table.transients, *live.transients)
        self._artefact = _artefact_probabilities(data / STAMPS, out_of_fold)

    def score(self, transients: Sequence[Transient], candidate_ids: Sequence[str] | None = None) -> list[Scores]:
        """Score objects, in order.

        Parameters
        ----------
        candidate_ids
            Of the detection that each one's stamps are of, which the artefact head is asked about; None: of none.
        """
        by_modality = {name: self._scored(name, transients) for name in self._models.models}
        served = self._models.models[Modality.FEATURES].score_all(transients)
        modalities = [dict(zip(by_modality, row, strict=True)) for row in zip(*by_modality.values(), strict=True)]
        numbers = [_numbers(*row) for row in zip(transients, modalities, served, strict=True)]
        exotic = self._exotic(transients, numbers)
        bogus = [self._artefact.get(name) for name in candidate_ids or [""] * len(transients)]
        return [_scores(*row) for row in zip(modalities, exotic, numbers, bogus, strict=True)]

    def _scored(self, modality: str, transients: Sequence[Transient]) -> list[ModalityScore | Missing]:
        model_of = np.array([self._model_of(modality, item.object_id) for item in transients])
        found: list[ModalityScore | Missing] = [Missing("")] * len(transients)
        for number in np.unique(model_of).tolist():
            places = np.flatnonzero(model_of == number).tolist()
            scores = self._folds[modality][number].score_all([transients[place] for place in places])
            for place, score in zip(places, scores, strict=True):
                found[place] = score
        return found

    def _fold(self, object_id: str) -> int:
        """Return an object's fold: in the databank it is that of the transient's name, of any other that of its id."""
        return self._fold_of.get(object_id, fold_of(object_id))

    def _model_of(self, modality: str, object_id: str) -> int:
        if modality == Modality.TRIPLET:
            return fold_of(object_id) // FOLDS_A_MODEL
        fold = self._fold(object_id) if modality == Modality.FEATURES else fold_of(object_id)
        return int(rotation_of(np.array([fold]))[0])

    def _exotic(self, transients: Sequence[Transient], numbers: Sequence[Mapping[str, float]]) -> list[float | None]:
        """Ask heads that did not see the object; the others' labels count for nothing."""
        head = self._models.heads["exotic"].manifest
        all_rows, may_train = self.beside_databank(transients, numbers)
        fitted = cross_fit(all_rows, BoostingSettings(**head.training["settings"]), may_train, with_hidden=True)
        _, asked, _ = with_lack_taken_back(fitted, self.databank, all_rows)
        chances = calibrated_chances(asked.odds, all_rows, may_train)[~may_train]
        return [float(chance) if head.needs in item else None for chance, item in zip(chances, numbers, strict=True)]

    def beside_databank(
        self, transients: Sequence[Transient], numbers: Sequence[Mapping[str, float]]
    ) -> tuple[Examples, NDArray[np.bool_]]:
        """Put objects, with a head's numbers, behind the databank's; return also which examples may train a head."""
        known, n = self.databank.examples, len(transients)
        rows = np.array([[item.get(name, np.nan) for name in INPUTS] for item in numbers], dtype=np.float32)
        folds = np.array([self._fold(item.object_id) for item in transients])
        all_rows = with_others(known, rows, np.zeros(n, dtype=bool), np.ones(n), folds)
        return all_rows, np.arange(len(all_rows.folds)) < len(known.folds)


def calibrated_chances(
    odds: NDArray[np.float64], examples: Examples, may_train: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the probabilities that log odds are, by the labels of the examples that may train (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    rows = odds[may_train, None], examples.is_positive[may_train], examples.weights[may_train]
    return LogisticRegression(C=np.inf).fit(*rows).predict_proba(odds[:, None])[:, 1]


def _fold_models(model: Model, modality: str, out_of_fold: Path) -> list[Model]:
    outputs = tuple(tensor.name for tensor in model.manifest.outputs)
    return [
        Model(model.manifest, _TorchSession(network.eval(), outputs))
        for network in read_fold_models(out_of_fold, modality)
    ]


def _artefact_probabilities(path: Path, out_of_fold: Path) -> dict[str, float]:
    """Return how probably each stamp is bogus, by its candidate, by heads that did not see it."""
    table = read_stamps(path)
    _, terms = read_stamps_out_of_fold(out_of_fold, table)
    inputs = artefact_fit.artefact_inputs(table, terms)
    _, shown = artefact_fit.out_of_fold(inputs, artefact_labels(table), table.model_of)
    return dict(zip(table.column(DETECTION.candidate_id).tolist(), shown.tolist(), strict=True))


def _numbers(
    transient: Transient, said: Mapping[str, ModalityScore | Missing], served: ModalityScore | Missing
) -> dict[str, float]:
    """Gather a head's numbers: the latents of the model that ships, which heads learn from, and the folds' errors."""
    scored = only_scored(said)
    if Modality.FEATURES in scored and isinstance(served, ModalityScore):
        error = {"error": scored[Modality.FEATURES].numbers["error"]}
        scored[Modality.FEATURES] = replace(served, numbers={**served.numbers, **error})
    return head_numbers(transient, scored)


def _scores(
    said: Mapping[str, ModalityScore | Missing],
    exotic: float | None,
    numbers: Mapping[str, float],
    artefact: float | None,
) -> Scores:
    scored = only_scored(said)
    return Scores(
        score=combined_score(item.score for item in scored.values()),
        modalities=said,
        prior=next((item.prior for item in scored.values() if item.prior is not None), None),
        exotic=exotic,
        artefact=artefact if Modality.TRIPLET in scored else None,
        numbers=numbers,
    )
