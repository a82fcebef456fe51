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

from annotator.errors import ModelError
from annotator.models import ModalityScore, load_models
from annotator.models.heads import HeadManifest, HeadReference
from annotator.models.load import BESIDE
from annotator.models.model_set import ModelSet, head_numbers
from annotator.sandbox.sky.night import simulate_night
from annotator.surveys import SURVEYS
from training.data.partial_light_curves import partial_light_curves, shared_curves
from training.data.table import read_table
from training.exotic import evaluate as exotic_evaluate
from training.exotic.card import exotic_card
from training.exotic.examples import HELD_OUT, Databank, Learned, ledger_numbers, read_databank, with_verdicts
from training.exotic.fit import CHOICES, N_INNER, BoostingSettings, CrossFit, Examples, cross_fit
from training.exotic.hiding import DROP_PROBABILITY
from training.exotic.lack import Asked, cross_taken_back, faults, measured
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


def train(sources: Sources, out: Path, settings: BoostingSettings, is_fresh: bool, with_comparisons: bool) -> None:
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
    models = load_models(out, SURVEY, beside=() if is_fresh else BESIDE)
    old = models.heads.get(NAME)
    table = read_table(sources.data, SURVEY, sources.curves)
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
    fitted = cross_fit(examples, settings, is_chosen=True, with_hidden=True)
    model, asked, is_normal = with_lack_taken_back(fitted, databank, examples)
    model.calibrate(asked.odds, examples.is_positive, examples.weights)
    slope, offset = float(model.slope), float(model.offset)
    probabilities = _sigmoid(slope * asked.odds + offset)
    n = len(table.rows)
    threshold = exotic_evaluate.half_precision_threshold(probabilities[:n], examples.is_positive[:n])
    held_out = examples.folds == HELD_OUT
    if old:
        refuse_if_worse(model, old, INPUTS, examples.numbers[held_out], examples.is_positive[held_out])
    lack = measured(asked.where(is_normal), (float(np.log(threshold / (1 - threshold))) - offset) / slope)
    if wrong := faults(lack):
        raise ModelError(
            f"expected a head that decides by what is there, found one that what is missing moves: {'; '.join(wrong)}; "
            f"nothing was written"
        )
    graph = export_head(model, examples.numbers, model.forest)
    metrics = _metrics(model, databank, asked.odds, probabilities, examples, settings, with_comparisons)
    manifest = HeadManifest(
        name=NAME,
        **head_identity(models, old, graph),
        inputs=INPUTS,
        needs=NEEDS,
        threshold=threshold,
        training=_training(databank, examples, learned, sources, fitted.settings),
        metrics={
            **metrics,
            "lack": lack,
            "threshold": exotic_evaluate.at_threshold(databank, probabilities, examples.is_positive, threshold),
        },
        references=_references(model, models),
    )
    write_head(out, graph, manifest, ("EXOTIC_CARD.md", exotic_card(manifest)))
    log_headlines(NAME, manifest.metrics, exotic_evaluate.headlines)


def with_lack_taken_back(
    fitted: CrossFit, databank: Databank, examples: Examples
) -> tuple[ExoticModel, Asked, NDArray[np.bool_]]:
    """Take back what missing groups do, by normals' final states of other bins; return also which these are.

    Parameters
    ----------
    fitted
        Asked with each group hidden.
    databank, examples
        The examples are the databank's states, and any others behind them.
    """
    table, n_states = databank.table, len(examples.folds)
    tns_names = table.tns_names
    names = [tns_names[place] for place in databank.places]  # and those of people's verdicts, which are no normals
    names += [""] * (n_states - len(names))
    is_normal, is_final = np.zeros(n_states, dtype=bool), np.arange(n_states) < len(table.rows)
    is_normal[is_final] = ~table.is_exotic & exotic_evaluate.recent_or_all(table)
    asked, found = cross_taken_back(
        Asked(examples.numbers, fitted.odds, fitted.odds_hidden, np.array(names)),
        is_normal,
        examples.is_positive,
        is_final,
        examples.folds,
    )
    model = fitted.model
    model.offsets.copy_(torch.from_numpy(found.offsets))
    model.pivot.copy_(torch.from_numpy(found.pivot))
    model.stretch.copy_(torch.from_numpy(found.stretch))
    return model, asked, is_normal


def _examples(databank: Databank, sources: Sources) -> tuple[Examples, Learned]:
    verdicts = verdicts_in(sources.verdicts)
    return with_verdicts(databank, verdicts, ledger_numbers(sources.ledger) if sources.ledger else {})


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-odds))


def _training(
    databank: Databank, examples: Examples, learned: Learned, sources: Sources, settings: BoostingSettings
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
        n_not_whole=table.n_not_whole,
        n_from_curves=table.n_from_curves,
        settings=asdict(settings),
        choices=[dict(choice) for choice in CHOICES],
        inner_parts=N_INNER,
        drop_probability=DROP_PROBABILITY,
    )


def _metrics(
    model: ExoticModel,
    databank: Databank,
    odds: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    examples: Examples,
    settings: BoostingSettings,
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
