"""`aha-train lightcurve --survey lsst`: from simulated and carried light curves to the served model of six bands."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.models.inputs import PREPARATIONS, sampling_of
from annotator.models.manifest import Calibrated, Manifest, Reference, Tensor
from annotator.models.observed import of_light_curve, of_score
from annotator.preprocess import PREPROCESS_VERSION
from annotator.preprocess.evolution import evolution
from annotator.preprocess.lightcurve import Detections
from annotator.preprocess.six_bands import CHANNELS, GRID_BANDS, KNOTS_DAYS, SHAPE, grid, usable_nights_of
from annotator.surveys import SURVEYS
from annotator.transient import LightCurve, Modality
from training.data.carried import carried, read_cadence
from training.data.classified_curves import ClassifiedCurve, at_random_epoch
from training.data.folds import fold_of
from training.data.rubin_sources import Sources, read_halves, read_simulated, read_ztf
from training.evolution.features import fit_evolution, numbers_of
from training.evolution.states import REAL_TABLES, measured_states, real_curves
from training.evolution.train import MEASURED_SEED, PROVISIONAL, SURVEY, VERSION
from training.evolution.train_features import CALIBRATING_EPOCHS, LEVELS, made_up_record
from training.export.graph import OUTPUT_NAMES, describe_graph, export_graph
from training.metrics.calibrate import calibrated
from training.metrics.distributions import distributions_of
from training.metrics.false_alarms import checked, counts_by_context, scores_of
from training.metrics.ranking import auc_with_interval
from training.recipe import check_writable, publish
from training.six_bands.card import six_band_card
from training.six_bands.evaluate import Scorer, measure_pairs
from training.six_bands.fit import (
    SixBandFit,
    SixBandSettings,
    enough,
    errors_of,
    fit_six_bands,
    states_of,
    varied_states,
)
from training.six_bands.network import N_LATENT, SixBandModel
from training.six_bands.pairs import COURSES, SKY_COURSES, make_pairs

log = logging.getLogger(__name__)

VALIDATION_FOLD, TEST_FOLD = 8, 9
"""Normals of the first choose the epoch and say what is typical; supernovae of the second are those of the pairs."""

PAIRS_SEED = 20_261
"""Of the pairs that are measured on; design was chosen on those of other supernovae, of bin 8, by another seed."""

OUTPUTS = (*OUTPUT_NAMES, "reconstruction")
N_REFERENCES = 10
ERROR, DISTANCE = "reconstruction error, the score", "distance in the quantities"


@dataclass(frozen=True, eq=False)
class Read:
    """What was read of the sources."""

    simulated: tuple[ClassifiedCurve, ...]
    """PLAsTiCC's training set."""
    normal: tuple[ClassifiedCurve, ...]
    """Its supernovae, and ZTF's as LSST would have seen them."""
    folds: NDArray[np.int64]
    """Of the normals."""
    calibrating: list[Detections]
    """States of half of the supernovae of PLAsTiCC's test set."""
    checking: list[Detections]
    """Of the other half, at one random epoch each."""
    file_names: tuple[str, ...]
    sha256: str

    def normals_of(self, folds: Sequence[int]) -> tuple[list[LightCurve], list[LightCurve]]:
        """Return light curves of normals of some bins, simulated and carried over."""
        chosen = np.isin(self.folds, folds)
        parts: tuple[list[LightCurve], list[LightCurve]] = ([], [])
        for curve, is_in in zip(self.normal, chosen, strict=True):
            if is_in:
                parts[curve.source == _CARRIED].append(curve.light_curve)
        return parts


_CARRIED = "ztf carried"


def read_sources(sources: Sources, seed: int) -> Read:
    """Read the light curves.

    Raises
    ------
    ConfigError
        If a file cannot be read or lacks a column.
    """
    simulated, halves, real = read_simulated(sources), read_halves(sources), read_ztf(sources)
    of_sky = [curve for curve in real.curves if _is_supernova(curve)]
    seeds = [(seed, number) for number in range(len(of_sky))]
    put = carried([curve.light_curve for curve in of_sky], read_cadence(sources.cadence), seeds)
    normal = [curve for curve in simulated.curves if _is_supernova(curve)]
    normal += [
        ClassifiedCurve(curve.object_id, curve.kind, _CARRIED, light_curve)
        for curve, light_curve in zip(of_sky, put, strict=True)
        if light_curve is not None
    ]
    epochs = [_measured(halves.calibrating, MEASURED_SEED + 1 + k) for k in range(CALIBRATING_EPOCHS)]
    test, cadence = halves.table, sources.cadence
    hashes = [simulated.sha256, test.sha256, real.sha256, hashlib.sha256(cadence.read_bytes()).hexdigest()]
    return Read(
        simulated=simulated.curves,
        normal=tuple(normal),
        folds=np.array([fold_of(curve.object_id) for curve in normal]),
        calibrating=[state for states in epochs for state in states],
        checking=_measured(halves.checking, MEASURED_SEED),
        file_names=(simulated.file_name, test.file_name, real.file_name, cadence.name),
        sha256=hashlib.sha256("".join(hashes).encode()).hexdigest(),
    )


def _is_supernova(curve: ClassifiedCurve) -> bool:
    return curve.kind.startswith("SN") and not curve.is_exotic


def _measured(curves: Sequence[ClassifiedCurve], seed: int) -> list[Detections]:
    """Return one state of each object, at a random epoch, of those that have enough."""
    rngs = (np.random.default_rng([seed, number]) for number in range(len(curves)))
    return states_of([at_random_epoch(curve.light_curve, rng) for curve, rng in zip(curves, rngs, strict=True)])


def train(sources: Sources, out: Path, settings: SixBandSettings) -> None:
    """Fit, measure and export the model: ``lightcurve.onnx``, ``LIGHTCURVE_CARD.md``, ``lightcurve.json``.

    Raises
    ------
    ConfigError
        If the light curves cannot be read, or `out` not written to.
    ModelError
        If a gate of the export fails.
    """
    torch.set_num_threads(1)
    check_writable(out)
    read = read_sources(sources, settings.seed)
    fit = fit_normals(read, settings)
    model = fit.model
    errors = errors_of(model, read.calibrating)
    samplings = [sampling_of(state) for state in read.calibrating]
    table = calibrated("error", errors, samplings, LEVELS)
    scores = scores_of(table, errors, samplings)
    log.info("measuring")
    metrics = _metrics(model, fit, table, read, sources.folder, settings.seed)
    graph = export_graph(model, {"lightcurve": grid(read.checking)}, OUTPUTS)
    watched = distributions_of(
        "lightcurve",
        [
            of_light_curve(state) | of_score("lightcurve", float(score), float(error))
            for state, score, error in zip(read.calibrating, scores, errors, strict=True)
        ],
    )
    sizes = tuple(map(str, SHAPE))
    manifest = Manifest(
        name=f"{SURVEY} light curve",
        version=VERSION,
        survey=SURVEY,
        modality=str(Modality.LIGHTCURVE),
        recipe="normals only",
        preprocess_version=PREPROCESS_VERSION,
        **describe_graph(graph),
        inputs=(
            Tensor(
                "lightcurve",
                ("n", str(len(CHANNELS)), *sizes),
                f"float32: {', '.join(CHANNELS)} (mag above peak, mag, 1 or 0, share of the cell); "
                f"{', '.join(GRID_BANDS)}; cells between the days from peak {', '.join(f'{d:g}' for d in KNOTS_DAYS)}",
            ),
        ),
        columns=(),
        outputs=(
            Tensor(
                "error",
                ("n",),
                "float32, mean pseudo-Huber loss over the points in units of the noise, over what is typical of "
                "normals with as many points, as deep, that vary as much in time and between bands, to the power "
                "1 / spread",
            ),
            Tensor(
                "residual", ("n", *sizes), "float32, brightness less reconstruction, mag, 0 where there is no point"
            ),
            Tensor("latent", ("n", str(N_LATENT)), "float32, the bottleneck"),
            Tensor(
                "reconstruction",
                ("n", sizes[0], str(len(KNOTS_DAYS))),
                "float32, brightness at the knots that the bottleneck stands for, mag above peak",
            ),
        ),
        training=_training(read, fit, settings),
        metrics=metrics,
        calibrated=(table,),
        references=_references(model),
        distributions=watched,
        provisional=PROVISIONAL,
    )
    publish(out, graph, manifest, ("LIGHTCURVE_CARD.md", six_band_card(manifest)))


def fit_normals(read: Read, settings: SixBandSettings) -> SixBandFit:
    """Fit the model to the normals of the training bins."""
    simulated, real = read.normals_of(range(VALIDATION_FOLD))
    training = _states(simulated, real, settings, seed=1)
    validation = _states(*read.normals_of([VALIDATION_FOLD]), settings, seed=2)
    log.info("%d states of %d normals to train on", len(training), len(simulated) + len(real))
    return fit_six_bands(training, validation, settings)


def _states(
    simulated: list[LightCurve], real: list[LightCurve], settings: SixBandSettings, seed: int
) -> NDArray[np.float32]:
    n = settings.versions
    parts = [
        varied_states(curves, how_many, settings, 10 * seed + place)
        for place, (curves, how_many) in enumerate(((simulated, n), (real, max(1, n // 2))))
        if curves
    ]
    return np.concatenate(parts)


def _metrics(model: SixBandModel, fit: SixBandFit, table: Calibrated, read: Read, folder: Path, seed: int) -> Mapping:
    errors, samplings = errors_of(model, read.checking), [sampling_of(state) for state in read.checking]
    supernovae = [
        curve
        for curve, fold in zip(read.normal, read.folds, strict=True)
        if fold == TEST_FOLD and curve.source != _CARRIED
    ]
    scorers = {ERROR: _scorer(model), DISTANCE: _distance(read, seed)}
    return {
        "validation_loss": fit.validation_error,
        "pairs": measure_pairs(make_pairs(supernovae, COURSES, PAIRS_SEED), scorers, seed),
        "sky_pairs": measure_pairs(make_pairs(supernovae, SKY_COURSES, PAIRS_SEED + 1), scorers, seed),
        "ranking": _ranking(model, read, supernovae),
        "checked": checked(table, scores_of(table, errors, samplings), samplings),
        "drift": _drift(model, table, folder),
    }


def _scorer(model: SixBandModel) -> Scorer:
    return lambda curves: errors_of(model, usable_nights_of(curves))


def _distance(read: Read, seed: int) -> Scorer:
    """Return what scores by the distance in the quantities, as the object features' model does."""
    normal = [curve for curve in read.normal if curve.source != _CARRIED]
    model = fit_evolution(measured_states(normal, MEASURED_SEED).values, seed)
    return lambda curves: numbers_of(model, evolution(curves).values.astype(np.float32))["oddity"]


def _ranking(model: SixBandModel, read: Read, supernovae: Sequence[ClassifiedCurve]) -> dict[str, dict]:
    """Rank PLAsTiCC's other kinds above supernovae that the model did not see, one random epoch each."""
    normal = errors_of(model, _measured(supernovae, MEASURED_SEED))
    found = {}
    for kind in sorted({curve.kind for curve in read.simulated if not _is_supernova(curve)}):
        of_kind = errors_of(model, _measured([c for c in read.simulated if c.kind == kind], MEASURED_SEED))
        values = np.concatenate([normal, of_kind])
        is_other = np.arange(len(values)) >= len(normal)
        found[kind] = {"n": len(of_kind), "n_normal": len(normal), "auc": auc_with_interval(values, is_other)}
    return found


def _drift(model: SixBandModel, table: Calibrated, folder: Path) -> dict:
    """Count real objects of Rubin above 1 and 2, by what catalogues say of them: drift, and no success."""
    found = {}
    for name, file_name in REAL_TABLES.items():
        if not (folder / file_name).is_file():
            continue
        curves, contexts = real_curves(folder / file_name, folder / "rubin_context.csv")
        seen = zip(curves, usable_nights_of([curve.light_curve for curve in curves]), strict=True)
        known = [(contexts[curve.object_id], nights) for curve, nights in seen if enough(nights)]
        states = [nights for _, nights in known]
        scores = scores_of(table, errors_of(model, states), [sampling_of(state) for state in states])
        found[name] = counts_by_context(scores, np.array([context for context, _ in known]))
    return found


def _training(read: Read, fit: SixBandFit, settings: SixBandSettings) -> Mapping:
    sources = {
        "simulated": [curve for curve in read.normal if curve.source != _CARRIED],
        "carried": [curve for curve in read.normal if curve.source == _CARRIED],
    }
    return {
        "data": list(read.file_names),
        "data_sha256": read.sha256,
        **{name: dict(sorted(Counter(c.kind for c in part).items())) for name, part in sources.items()},
        "split": "by sha256 of the object's id, ten bins: 0 to 7 train, 8 chooses the epoch and says what is typical, "
        "9 is measured on",
        "calibrating": len(read.calibrating),
        "calibrating_epochs": CALIBRATING_EPOCHS,
        "checking": len(read.checking),
        "settings": asdict(settings),
        "epoch": fit.epoch,
        "torch": torch.__version__,
    }


def _references(model: SixBandModel) -> tuple[Reference, ...]:
    """Ask torch about objects made up at random, every third one in a single band."""
    references = []
    for number in range(N_REFERENCES):
        record = made_up_record(np.random.default_rng(number), ("i",) if number % 3 == 0 else tuple("grizy"), number)
        prepared = PREPARATIONS[Modality.LIGHTCURVE](SURVEYS[SURVEY].parse(record))
        with torch.no_grad():
            error, _, latent, _ = model(torch.from_numpy(prepared.tensors["lightcurve"]))
        references.append(Reference(record, error.item(), tuple(latent[0].tolist()), {}))
    return tuple(references)
