"""`aha-train exotic --survey lsst`: from simulated and real light curves to the head on light-curve quantities."""

import dataclasses
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
from annotator.models.heads import HeadManifest, HeadReference, load_head
from annotator.preprocess import PREPROCESS_VERSION
from annotator.preprocess.evolution import EVOLUTION
from training.data.carried import carried, read_cadence
from training.data.classified_curves import ClassifiedCurve
from training.data.native import read_native
from training.data.rubin_sources import Sources, read_simulated, read_ztf
from training.evolution import evaluate
from training.evolution.card import exotic_card
from training.evolution.exotic import (
    DROP_PROBABILITY,
    INPUTS,
    NEEDS,
    QUANTITIES,
    EvolutionHead,
    Settings,
    given_to_head,
)
from training.evolution.lack import measured
from training.evolution.states import (
    FEWER_BANDS_PROBABILITY,
    REAL_TABLES,
    SHORTER_PROBABILITY,
    States,
    measured_states,
    states_of_real,
    together,
    training_states,
)
from training.exotic.evaluate import calibration_table
from training.exotic.lack import faults
from training.export.graph import describe_graph
from training.export.head import export_head, head_reference, refuse_if_worse, write_head
from training.metrics.calibrate import share_of
from training.metrics.ranking import auc

log = logging.getLogger(__name__)

SURVEY = "lsst"
VERSION = "aha-lsst-0.1"
PROVISIONAL = "of light curves alone, fitted to simulations and to those of ZTF; no object of Rubin was learned from"
"""Why models of this survey are only to be relied on for now."""
"""Of the model set: below 1, since no object of the survey itself was seen in training."""

NAME = "exotic"
N_REFERENCES = 8

MEASURED_SEED = 1_000_000
"""Of the states that are measured by; those of training are drawn by other seeds."""

N_REAL_EPOCHS = 3
"""Random epochs of each real object that are measured by: few of them are exotic."""


@dataclass(frozen=True, eq=False)
class Read:
    """What was read of the sources."""

    training: States
    """Of all sources, ZTF's as LSST would have seen them."""
    simulated: States
    """Of PLAsTiCC, to measure by: one random epoch each."""
    real: States
    """Of ZTF as ZTF saw them, likewise."""
    file_names: tuple[str, ...]
    sha256: str
    """Of all files, in order."""
    native: States | None = None
    """Of typed objects of the survey itself, one random epoch each; None where none are learned from."""


def read_sources(sources: Sources, settings: Settings) -> Read:
    """Read the light curves and make states of them.

    Raises
    ------
    ConfigError
        If a file cannot be read or lacks a column.
    """
    simulated, real, cadence = read_simulated(sources), read_ztf(sources), read_cadence(sources.cadence)
    log.info("%d simulated and %d real light curves", len(simulated.curves), len(real.curves))
    seed = settings.seed
    seen = []
    for epoch in range(settings.n_epochs):
        seeds = [(seed, epoch, number) for number in range(len(real.curves))]
        put = carried([curve.light_curve for curve in real.curves], cadence, seeds)
        seen.append(training_states(_as_carried(real.curves, put), 1, seed + epoch))
    hashes = [simulated.sha256, real.sha256, hashlib.sha256(sources.cadence.read_bytes()).hexdigest()]
    file_names = (simulated.file_name, real.file_name, sources.cadence.name)
    native = None
    if sources.native is not None:
        typed = read_native(sources.native).typed
        log.info("%d typed objects of the survey itself", len(typed.curves))
        seen.append(training_states(typed.curves, settings.n_epochs, seed))
        native = given_to_head(measured_states(typed.curves, MEASURED_SEED))
        hashes.append(typed.sha256)
        file_names += (f"typed objects of Rubin ({typed.file_name})",)
    return Read(
        training=given_to_head(together([training_states(simulated.curves, settings.n_epochs, seed), *seen])),
        simulated=given_to_head(measured_states(simulated.curves, MEASURED_SEED)),
        real=given_to_head(together([measured_states(real.curves, MEASURED_SEED + k) for k in range(N_REAL_EPOCHS)])),
        file_names=file_names,
        sha256=hashlib.sha256("".join(hashes).encode()).hexdigest(),
        native=native,
    )


def _as_carried(curves: tuple[ClassifiedCurve, ...], put: list) -> list[ClassifiedCurve]:
    return [
        dataclasses.replace(curve, light_curve=light_curve)
        for curve, light_curve in zip(curves, put, strict=True)
        if light_curve is not None
    ]


def train(sources: Sources, out: Path, settings: Settings, is_fresh: bool) -> None:
    """Fit the head, prove it, and swap it in: ``exotic.onnx``, ``EXOTIC_CARD.md`` and ``exotic.json``.

    Parameters
    ----------
    out
        Folder of the model set; untouched if anything fails.
    is_fresh
        Make the head that a new model set is released with: there is none before it to be compared with.

    Raises
    ------
    ConfigError
        If the light curves cannot be read.
    ModelError
        If a gate fails: the graph does not give what was fitted, what is missing decides, or the head in service is
        better on what neither was trained on. The old head stays.
    """
    torch.set_num_threads(1)
    place = out / SURVEY if (out / SURVEY).is_dir() else out
    has_old = not is_fresh and (place / f"{NAME}.json").is_file()
    old = load_head(place, NAME, SURVEY, VERSION) if has_old else None
    read = read_sources(sources, settings)
    simulated = read.simulated
    log.info("%d states to train on; %d of them of exotics", len(read.training), read.training.is_exotic.sum())
    sky = read.real if read.native is None else together([read.real, read.native])
    found = evaluate.cross_asked(read.training, simulated, sky, settings)
    model = found.model
    model.calibrate(found.simulated.odds, simulated.is_exotic)
    slope, offset = float(model.slope), float(model.offset)
    probabilities = 1.0 / (1.0 + np.exp(-(slope * found.simulated.odds + offset)))
    is_normal = ~simulated.is_exotic
    threshold = float(np.quantile(probabilities[is_normal], 1 - evaluate.NORMALS_ABOVE))
    limit = (float(np.log(threshold / (1 - threshold))) - offset) / slope
    lack = measured(found.simulated.where(is_normal), simulated.object_ids[is_normal], limit)
    if wrong := faults(lack):
        raise ModelError(
            f"expected a head that decides by what is there, found one that what is missing moves: {'; '.join(wrong)}; "
            f"nothing was written"
        )
    held_out = simulated.folds == simulated.folds.max()
    if old:
        refuse_if_worse(model, old, INPUTS, simulated.values[held_out], simulated.is_exotic[held_out])
    graph = export_head(model, simulated.values, model.forest)
    manifest = HeadManifest(
        name=NAME,
        version=VERSION,
        revision=old.manifest.revision + 1 if old else 0,
        survey=SURVEY,
        preprocess_version=PREPROCESS_VERSION,
        **describe_graph(graph),
        inputs=INPUTS,
        needs=NEEDS,
        threshold=threshold,
        training=_training(read, settings),
        metrics={
            "simulated": evaluate.of_simulated(simulated, found.simulated.odds),
            "real": evaluate.of_real_sources(sky, found.real),
            **({} if read.native is None else {"native": evaluate.of_native(sky, found.real)}),
            "left_out": evaluate.left_out(read.training, simulated, read.real, settings),
            "presence_auc": _presence_auc(model, simulated),
            "lack": lack,
            "calibration": calibration_table(probabilities, simulated.is_exotic),
            "threshold": {
                "exotic": share_of(probabilities[~is_normal] >= threshold),
                "other": share_of(probabilities[is_normal] >= threshold),
            },
            "drift": _drift(model, threshold, sources.folder),
        },
        references=_references(model),
        provisional=PROVISIONAL,
    )
    write_head(out, graph, manifest, ("EXOTIC_CARD.md", exotic_card(manifest)))


def _drift(model: EvolutionHead, threshold: float, folder: Path) -> dict:
    """Count real objects of Rubin at or above the threshold, by what catalogues say of them: drift, and no success."""
    found = {}
    for name, file_name in REAL_TABLES.items():
        if (folder / file_name).is_file():
            states, contexts = states_of_real(folder / file_name, folder / "rubin_context.csv")
            with torch.no_grad():
                is_above = model(torch.from_numpy(given_to_head(states).values)).numpy() >= threshold
            found[name] = {one: share_of(is_above[contexts == one]) for one in sorted(set(contexts.tolist()))}
    return found


def _presence_auc(model: EvolutionHead, states: States) -> float:
    """Return how well what is there tells the class: a head asked about medians where a state has a quantity."""
    typical = np.nanmedian(states.values, axis=0)
    known = np.where(np.isfinite(states.values), typical, np.nan).astype(np.float32)
    with torch.no_grad():
        return round(auc(model.log_odds(torch.from_numpy(known)).numpy(), states.is_exotic), 4)


def _training(read: Read, settings: Settings) -> Mapping:
    def counts(states: States) -> dict[str, int]:
        _, first = np.unique(states.object_ids, return_index=True)
        return dict(sorted(Counter(states.kinds[first].tolist()).items()))

    return {
        "data": list(read.file_names),
        "data_sha256": read.sha256,
        "simulated": counts(read.simulated),
        "real": counts(read.real),
        **({} if read.native is None else {"native": counts(read.native)}),
        "states": len(read.training),
        "split": "by sha256 of the object's id, ten bins: 0 to 8 train, 9 is held out; ten rotations of it for all "
        "out-of-fold figures",
        "threshold": "the probability that one in a hundred of PLAsTiCC's objects that are no exotics exceed, "
        "out-of-fold",
        "settings": asdict(settings),
        "drop_probability": DROP_PROBABILITY,
        "fewer_bands_probability": FEWER_BANDS_PROBABILITY,
        "shorter_probability": SHORTER_PROBABILITY,
        "real_epochs": N_REAL_EPOCHS,
        "torch": torch.__version__,
    }


def _references(model: EvolutionHead) -> tuple[HeadReference, ...]:
    """Ask torch about numbers drawn at random, of which every other object lacks a group."""
    rng = np.random.default_rng(0)
    references = []
    for number in range(N_REFERENCES):
        drawn = dict(zip(INPUTS, _drawn(rng).tolist(), strict=True))
        numbers = {name: drawn[name] for name in INPUTS if number % 2 or name == NEEDS or rng.random() < 0.7}
        references.append(head_reference(model, INPUTS, numbers))
    return tuple(references)


def _drawn(rng: np.random.Generator) -> NDArray[np.float64]:
    spread = {"mag": 1.0, "mag/day": 0.05, "": 0.5}
    return np.array([rng.normal(0.0, spread[quantity.unit]) for quantity in EVOLUTION if quantity.name in QUANTITIES])
