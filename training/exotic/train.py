"""`aha-train exotic`: from labels and verdicts to a served head, swapped in only where it is no worse."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.models import ModalityScore, load_models
from annotator.models.heads import HeadManifest, HeadReference
from annotator.models.model_set import ModelSet, head_numbers
from annotator.sandbox.sky.night import simulate_night
from annotator.surveys import SURVEYS
from training.data.partial_light_curves import partial_light_curves, shared_curves
from training.data.table import read_table
from training.exotic import evaluate as exotic_evaluate
from training.exotic.card import exotic_card
from training.exotic.examples import HELD_OUT, Databank, Learned, ledger_numbers, read_databank, with_verdicts
from training.exotic.fit import Examples, ForestSettings, cross_fit
from training.exotic.network import INPUTS, NEEDS, ExoticModel
from training.export.head import export_head, head_identity, head_reference, refuse_if_worse, verdicts_in, write_head
from training.recipe import REFERENCE_NIGHT, SURVEY, log_headlines, provenance

log = logging.getLogger(__name__)

NAME = "exotic"
N_REFERENCES = 8


@dataclass(frozen=True)
class Sources:
    """What to learn from."""

    data: Path
    """Labelled table (:func:`training.data.table.read_table`)."""
    out_of_fold: Path | None = None
    """Numbers by models that did not see the object; written by the trainings with the option of that name."""
    verdicts: Path | None = None
    """People's verdicts (:mod:`annotator.verdicts`)."""
    ledger: Path | None = None
    """The annotator's ledger, which knows the numbers of objects that the table doesn't."""
    curves: Path | None = None
    """Light curves of some of the objects (Parquet): what they looked like when they were young."""


def train(sources: Sources, out: Path, settings: ForestSettings, is_fresh: bool, with_comparisons: bool) -> None:
    """Fit the head, prove it, and swap it in.

    Parameters
    ----------
    out
        Folder of the model set; gets ``exotic.onnx``, ``EXOTIC_CARD.md`` and ``exotic.json``, untouched if anything
        fails.
    is_fresh
        Make the head that a new model set is released with: there is none before it to be compared with.
    with_comparisons
        Measure also what needs other heads; minutes instead of seconds.

    Raises
    ------
    ConfigError
        If the table, the verdicts or the ledger cannot be read.
    ModelError
        If a gate fails: the graph does not give what was fitted, or is worse than the head in service on what neither
        was trained on. The old head stays.
    """
    torch.set_num_threads(1)
    models = load_models(out, SURVEY, with_heads=not is_fresh)
    old = models.heads.get(NAME)
    table = read_table(sources.data, SURVEY)
    live = shared_curves(partial_light_curves(table, sources.curves, SURVEY, settings.seed)) if sources.curves else None
    databank = read_databank(table, models, sources.out_of_fold, live)
    for words in databank.missing:
        log.info("not known: %s", words)
    examples, learned = _examples(databank, sources)
    log.info(
        "%d positives and %d others; verdicts: %d anomaly, %d regular, %d that teach nothing, of %d objects there are "
        "no numbers",
        examples.is_positive.sum(),
        (~examples.is_positive).sum(),
        learned.anomaly,
        learned.regular,
        learned.unused,
        len(learned.not_known),
    )
    # The last bin's model is the one that is served: it has seen nothing of that bin.
    odds, model = cross_fit(examples, settings)
    model.calibrate(odds, examples.is_positive, examples.weights)
    probabilities = _sigmoid(float(model.slope) * odds + float(model.offset))
    held_out = examples.folds == HELD_OUT
    if old:
        refuse_if_worse(model, old, INPUTS, examples.numbers[held_out], examples.is_positive[held_out])
    graph = export_head(model, examples.numbers, model.forest)
    manifest = HeadManifest(
        name=NAME,
        **head_identity(models, old, graph),
        inputs=INPUTS,
        needs=NEEDS,
        threshold=exotic_evaluate.half_precision_threshold(
            probabilities[: len(table.rows)], examples.is_positive[: len(table.rows)]
        ),
        training=_training(databank, examples, learned, sources, settings),
        metrics=_metrics(model, databank, odds, probabilities, examples, settings, with_comparisons),
        references=_references(model, models),
    )
    write_head(out, graph, manifest, ("EXOTIC_CARD.md", exotic_card(manifest)))
    log_headlines(NAME, manifest.metrics, exotic_evaluate.headlines)


def _examples(databank: Databank, sources: Sources) -> tuple[Examples, Learned]:
    verdicts = verdicts_in(sources.verdicts)
    return with_verdicts(databank, verdicts, ledger_numbers(sources.ledger) if sources.ledger else {})


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-odds))


def _training(
    databank: Databank, examples: Examples, learned: Learned, sources: Sources, settings: ForestSettings
) -> Mapping:
    table = databank.table
    sha256 = hashlib.sha256(sources.verdicts.read_bytes()).hexdigest() if sources.verdicts else ""
    return provenance(
        table,
        verdicts_sha256=sha256,
        verdicts={
            "anomaly": learned.anomaly,
            "regular": learned.regular,
            "unused": learned.unused,
            "not_known": len(learned.not_known),
        },
        types=dict(Counter(databank.kinds[table.is_exotic].tolist())),
        positives=int(examples.is_positive.sum()),
        others=int((~examples.is_positive).sum()),
        missing=list(databank.missing),
        split="by sha256 of the TNS name, ten bins: 0 to 8 train, 9 is held out; ten rotations of it for all "
        "out-of-fold figures",
        threshold="the lowest probability such that half of the objects at or above it are positive, out-of-fold",
        settings=asdict(settings),
    )


def _metrics(
    model: ExoticModel,
    databank: Databank,
    odds: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    examples: Examples,
    settings: ForestSettings,
    with_comparisons: bool,
) -> Mapping:
    n, n_states = len(databank.table.rows), len(databank.places)
    states = {"final states": slice(0, n), "live states": slice(n, n_states)}
    metrics = {
        "headline": exotic_evaluate.headline(databank, odds),
        "live": exotic_evaluate.live_states(databank, odds[:n_states]),
        "calibration": {
            name: exotic_evaluate.calibration_table(probabilities[part], examples.is_positive[part])
            for name, part in states.items()
            if part.stop > part.start
        },
        "presence_auc": exotic_evaluate.presence_auc(model, databank),
        "comparisons": {},
    }
    if with_comparisons:
        log.info("comparing with other heads, which takes minutes")
        metrics["comparisons"] = exotic_evaluate.comparisons(databank, settings)
    return metrics


def _references(model: ExoticModel, models: ModelSet) -> tuple[HeadReference, ...]:
    """Ask torch about simulated records, every other one without what the autoencoder says of it."""
    references = []
    features = models.models["features"]
    for number, row in enumerate(simulate_night(**REFERENCE_NIGHT).rows()[:N_REFERENCES]):
        transient = SURVEYS[SURVEY].parse(row)
        scored = features.score(transient)
        if not isinstance(scored, ModalityScore):
            continue
        numbers = head_numbers(transient, {"features": scored})
        if number % 2:
            del numbers["features_error"]
        references.append(head_reference(model, INPUTS, numbers))
    return tuple(references)
