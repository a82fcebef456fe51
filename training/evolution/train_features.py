"""`aha-train features --survey lsst`: from simulated light curves to the served model of an LSST object."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from annotator.models.calibration import Sampling
from annotator.models.inputs import PREPARATIONS
from annotator.models.manifest import Calibrated, Manifest, Reference, Tensor
from annotator.models.observed import of_evolution, of_score
from annotator.preprocess import PREPROCESS_VERSION
from annotator.preprocess.evolution import EVOLUTION, EVOLUTION_NAMES
from annotator.surveys import SURVEYS
from annotator.surveys.lsst.tables import made_up_object
from annotator.transient import Modality
from training.data.rubin_sources import Sources, read_halves, read_simulated, read_ztf
from training.evolution import evaluate
from training.evolution.card_features import features_card
from training.evolution.features import DIRECTED, N_LATENTS, EvolutionModel, fit_evolution, numbers_of
from training.evolution.states import REAL_TABLES, States, measured_states, states_of_real, together
from training.evolution.train import MEASURED_SEED, N_REAL_EPOCHS, PROVISIONAL, SURVEY, VERSION
from training.export.graph import describe_graph, export_graph
from training.metrics.calibrate import ALWAYS, NEVER, LevelRule, calibrated
from training.metrics.distributions import distributions_of, percentiles_of
from training.metrics.false_alarms import checked, counts_by_context, scores_of
from training.recipe import check_writable, publish

log = logging.getLogger(__name__)

LEVELS = (
    LevelRule("one band", NEVER, float(NEVER), 1),
    LevelRule("3 points or fewer", 3, float(NEVER)),
    LevelRule("6 points or fewer", 6, float(NEVER)),
    LevelRule("more points", ALWAYS, float(ALWAYS)),
)
"""By nights and bands that are usable."""

CALIBRATING_EPOCHS = 4
"""Random epochs of each of them: with one, fewer than half a thousand were seen in one band."""

OUTPUTS = ("error", "residual", "latent", "oddity", "prior")
SCORED = ("oddity", "prior")
N_REFERENCES = 10


@dataclass(frozen=True, eq=False)
class Read:
    """What was read of the sources."""

    simulated: States
    """Of PLAsTiCC's training set."""
    calibrating: States
    """Of half of the supernovae of PLAsTiCC's test set."""
    checking: States
    """Of the other half: one random epoch each."""
    real: States
    """Of ZTF."""
    sha256: str


def read_sources(sources: Sources) -> Read:
    """Read the light curves and make states of them.

    Raises
    ------
    ConfigError
        If a file cannot be read or lacks a column.
    """
    simulated, halves, real = read_simulated(sources), read_halves(sources), read_ztf(sources)
    return Read(
        simulated=measured_states(simulated.curves, MEASURED_SEED),
        calibrating=together(
            [measured_states(halves.calibrating, MEASURED_SEED + 1 + k) for k in range(CALIBRATING_EPOCHS)]
        ),
        checking=measured_states(halves.checking, MEASURED_SEED),
        real=together([measured_states(real.curves, MEASURED_SEED + k) for k in range(N_REAL_EPOCHS)]),
        sha256=hashlib.sha256((simulated.sha256 + halves.table.sha256 + real.sha256).encode()).hexdigest(),
    )


def train(sources: Sources, out: Path, seed: int) -> None:
    """Fit, measure and export the model: ``features.onnx``, ``MODEL_CARD.md``, ``features.json``.

    Raises
    ------
    ConfigError
        If the light curves cannot be read, or `out` not written to.
    ModelError
        If a gate of the export fails.
    """
    torch.set_num_threads(1)
    check_writable(out)
    read = read_sources(sources)
    normals = read.simulated.where(np.char.startswith(read.simulated.kinds, "SN"))
    log.info(
        "%d states of normals; %d that calibrate, %d that check", *map(len, (normals, read.calibrating, read.checking))
    )
    model = fit_evolution(normals.values, seed)
    found = numbers_of(model, read.calibrating.values)
    samplings = samplings_of(read.calibrating)
    tables = tuple(calibrated(name, found[name], samplings, LEVELS) for name in SCORED)
    graph = export_graph(model, {"evolution": read.checking.values}, OUTPUTS)
    scores = scores_of(tables[0], found["oddity"], samplings)
    watched = distributions_of(
        "features",
        [
            of_evolution(EVOLUTION_NAMES, values, int(n))
            | of_score("features", float(score), float(error), float(prior))
            for values, n, score, error, prior in zip(
                read.calibrating.values,
                read.calibrating.n_points,
                scores,
                found["error"],
                scores_of(tables[1], found["prior"], samplings),
                strict=True,
            )
        ],
    )
    manifest = Manifest(
        name=f"{SURVEY} light-curve quantities",
        version=VERSION,
        survey=SURVEY,
        modality=str(Modality.FEATURES),
        recipe="normals only",
        preprocess_version=PREPROCESS_VERSION,
        **describe_graph(graph),
        inputs=(
            Tensor("evolution", ("n", str(len(EVOLUTION))), f"float32, NaN = missing: {', '.join(EVOLUTION_NAMES)}"),
        ),
        columns=model.columns,
        outputs=(
            Tensor("error", ("n",), "float32, mean Huber loss (delta 1) over the quantities that are there, scaled"),
            Tensor("residual", ("n", str(len(EVOLUTION))), "float32, scaled less reconstruction, 0 where missing"),
            Tensor("latent", ("n", str(N_LATENTS)), "float32, along the directions in which normals differ most"),
            Tensor(
                "oddity", ("n",), f"float32, mean distance to the nearest of {len(model.centres)} centres of normals"
            ),
            Tensor("prior", ("n",), f"float32, sum of the shares of normals gone beyond in {', '.join(DIRECTED)}"),
        ),
        training={
            "data": ["plasticc_train", "plasticc_test_sn"],
            "data_sha256": read.sha256,
            "normals": dict(sorted(Counter(normals.kinds.tolist()).items())),
            "calibrating": len(read.calibrating),
            "calibrating_epochs": CALIBRATING_EPOCHS,
            "checking": len(read.checking),
            "seed": seed,
            "torch": torch.__version__,
        },
        metrics=_metrics(model, read, tables, sources.folder),
        calibrated=tables,
        references=_references(model),
        distributions=watched,
        percentiles=percentiles_of(EVOLUTION, read.calibrating.values),
        provisional=PROVISIONAL,
    )
    publish(out, graph, manifest, ("MODEL_CARD.md", features_card(manifest)))


def samplings_of(states: States) -> list[Sampling]:
    """Return how much was seen of states, as the annotator says it."""
    numbers = zip(states.n_points.tolist(), states.days.tolist(), states.n_bands.tolist(), strict=True)
    return [Sampling(n, days, n_bands=n_bands) for n, days, n_bands in numbers]


def _metrics(model: EvolutionModel, read: Read, tables: tuple[Calibrated, ...], folder: Path) -> Mapping:
    asked = {name: numbers_of(model, getattr(read, name).values) for name in ("simulated", "real", "checking")}
    samplings, table = samplings_of(read.checking), tables[0]
    scores = scores_of(table, asked["checking"]["oddity"], samplings)
    supernovae = np.char.startswith(read.simulated.kinds, "SN")
    return {
        "validation_error": float(asked["checking"]["error"].mean()),
        "ranking": {
            name: {
                "plasticc": evaluate.of_simulated(read.simulated, asked["simulated"][name])["all"],
                "tde": evaluate.rank(
                    read.simulated, asked["simulated"][name], supernovae | (read.simulated.kinds == "TDE")
                ),
                "ztf": evaluate.of_real_sources(read.real, asked["real"][name])[evaluate.BOTH],
            }
            for name in SCORED
        },
        "checked": checked(table, scores, samplings),
        "drift": _drift(model, table, folder),
    }


def _drift(model: EvolutionModel, table: Calibrated, folder: Path) -> dict:
    """Count real objects of Rubin above 1 and 2, by what catalogues say of them: drift, and no success."""
    found = {}
    for name, file_name in REAL_TABLES.items():
        if (folder / file_name).is_file():
            states, contexts = states_of_real(folder / file_name, folder / "rubin_context.csv")
            scores = scores_of(table, numbers_of(model, states.values)["oddity"], samplings_of(states))
            found[name] = counts_by_context(scores, contexts)
    return found


def _references(model: EvolutionModel) -> tuple[Reference, ...]:
    """Ask torch about objects made up at random, every third one in a single band."""
    references = []
    for number in range(N_REFERENCES):
        record = made_up_record(np.random.default_rng(number), ("i",) if number % 3 == 0 else tuple("grizy"), number)
        row = PREPARATIONS[Modality.FEATURES](SURVEYS[SURVEY].parse(record)).tensors["evolution"]
        with torch.no_grad():
            error, _, latent, oddity, prior = model(torch.from_numpy(row))
        others = {"oddity": oddity.item(), "prior": prior.item()}
        references.append(Reference(record, error.item(), tuple(latent[0].tolist()), others))
    return tuple(references)


def made_up_record(rng: np.random.Generator, bands: tuple[str, ...], number: int) -> Mapping:
    """Make up an object as Lasair's `object` answers: it rises for a few days, and fades for some weeks."""
    n, rise, fall = 14, rng.uniform(3, 20), rng.uniform(10, 60)
    days = np.sort(rng.uniform(-10, 60, n)).round(3)
    flux = rng.uniform(3e3, 3e4) * np.exp(np.where(days < 0, days / rise, -days / fall)) * rng.uniform(0.9, 1.1, n)
    measurements = [
        {
            "mjd_tai": 61000.25 + float(day),
            "band": str(rng.choice(bands)),
            "flux_njy": round(float(value), 2),
            "flux_error_njy": 150.0,
        }
        for day, value in zip(days, flux, strict=True)
    ]
    return made_up_object(10**14 + number, measurements)
