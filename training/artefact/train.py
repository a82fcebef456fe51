"""`aha-train artefact`: from stamps with real-bogus scores, and people's verdicts, to a served head."""

import logging
from pathlib import Path

import numpy as np
import torch

from annotator.errors import ConfigError
from annotator.models import ModalityScore
from annotator.models.heads import HeadManifest, HeadReference
from annotator.models.load import BESIDE, load_models, reference_transient
from annotator.models.model_set import ModelSet, head_numbers
from training.artefact.card import artefact_card
from training.artefact.evaluate import THRESHOLD, headlines, measure
from training.artefact.fit import INPUTS, artefact_inputs, fit_artefact, hidden
from training.artefact.labels import DRB, RB, VERDICTS, artefact_labels
from training.artefact.network import ArtefactModel
from training.data.stamps import read_stamps
from training.export.head import export_head, head_identity, head_reference, refuse_if_worse, verdicts_in, write_head
from training.recipe import SURVEY, log_headlines, provenance
from training.triplet.out_of_fold import TERM_NAMES, read_stamps_out_of_fold
from training.triplet.train import SERVED

log = logging.getLogger(__name__)

NAME = "artefact"
MADE_UP = {RB: 0.5, DRB: 0.7}


def train(data: Path, out: Path, out_of_fold: Path, verdicts_path: Path | None, is_fresh: bool) -> None:
    """Fit the head, measure it, prove it, and swap it in.

    Parameters
    ----------
    data
        Stamps (:func:`training.data.stamps.read_stamps`).
    out
        Folder of the model set; gets ``artefact.onnx``, ``ARTEFACT_CARD.md`` and ``artefact.json``, untouched if
        anything fails.
    out_of_fold
        Folder that ``aha-train triplet`` wrote to with the option of that name.
    verdicts_path
        People's verdicts (:mod:`annotator.verdicts`): ``artefact``, and what is none.
    is_fresh
        Make the head that a new model set is released with: there is none before it to be compared with.

    Raises
    ------
    ConfigError
        If something cannot be read.
    ModelError
        If a gate fails; the old head stays.
    """
    torch.set_num_threads(1)
    models = load_models(out, SURVEY, beside=() if is_fresh else BESIDE)
    if "triplet" not in models.models:
        raise ConfigError(f"--out {out}: expected the triplet model there, whose terms are learned from, found none")
    old = models.heads.get(NAME)
    table = read_stamps(data)
    errors, terms = read_stamps_out_of_fold(out_of_fold, table)
    verdicts = {name: said for name, said in verdicts_in(verdicts_path).items() if said in VERDICTS}
    labels = artefact_labels(table, verdicts)
    log.info("%d bogus and %d real of %d stamps", labels.is_bogus.sum(), labels.is_real.sum(), len(table.rows))
    inputs = artefact_inputs(table, terms)
    test = table.split(SERVED).test
    rows = labels.is_known & ~test
    model = fit_artefact(inputs[rows], labels.is_bogus[rows], labels.weights[rows])
    held_out = labels.is_known & test
    if old:
        blind = hidden(inputs[held_out]).astype(np.float32)
        refuse_if_worse(model, old, INPUTS, blind, labels.is_bogus[held_out])
    log.info("evaluating")
    graph = export_head(model, inputs.astype(np.float32))
    manifest = HeadManifest(
        name=NAME,
        **head_identity(models, old, graph),
        inputs=INPUTS,
        needs=TERM_NAMES[0],
        threshold=THRESHOLD,
        training=provenance(
            table,
            stamps=len(table.rows),
            bogus=int(labels.is_bogus.sum()),
            real=int(labels.is_real.sum()),
            verdicts=len(verdicts),
            split="the triplet's five folds; the served head has not seen the last, as the served triplet model",
        ),
        metrics=measure(table, errors, terms, verdicts),
        references=_references(model, models),
    )
    write_head(out, graph, manifest, ("ARTEFACT_CARD.md", artefact_card(manifest)))
    log_headlines(NAME, manifest.metrics, headlines)


def _references(model: ArtefactModel, models: ModelSet) -> tuple[HeadReference, ...]:
    """Ask torch about the triplet's simulated stamps, with and without real-bogus scores made up for them."""
    references, triplet = [], models.models["triplet"]
    for number, reference in enumerate(triplet.manifest.references):
        transient = reference_transient(reference.record, models.survey)
        scored = triplet.score(transient)
        if not isinstance(scored, ModalityScore):
            continue
        numbers = head_numbers(transient, {"triplet": scored}) | (MADE_UP if number % 2 else {})
        references.append(head_reference(model, INPUTS, numbers))
    return tuple(references)
