"""`aha-train triplet --survey lsst`: from rendered stamps to a model of Rubin's, served only if real ones bear it."""

import base64
import gzip
import hashlib
import logging
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.models.manifest import Manifest, Reference, Tensor
from annotator.models.observed import of_score, of_stamps
from annotator.preprocess import PREPROCESS_VERSION
from annotator.preprocess.small_stamps import in_bins
from annotator.preprocess.triplet import CHANNELS
from annotator.sandbox.sky.rubin.night import simulate_rubin_night
from annotator.sandbox.sky.stamps import to_fits
from annotator.surveys.lsst.tables import made_up_object
from annotator.transient import Modality, Triplet
from training.evolution.train import SURVEY, VERSION
from training.export.files import write_files
from training.export.graph import check_parity, describe_graph, export_graph, narrow
from training.metrics.calibrate import uniform_calibrated
from training.metrics.distributions import distributions_of
from training.recipe import check_writable, publish
from training.triplet.fit import TripletSettings, fit_triplets, outputs_of
from training.triplet.network import CORE_LATENT, CORE_SIDE, SMALL_TERMS, TripletModel
from training.triplet.rubin.card import triplet_card
from training.triplet.rubin.evaluate import fails_by, of_injections, of_real, of_rendered, scores_of
from training.triplet.rubin.real import RealStamps, read_real
from training.triplet.rubin.rendered import NIGHT_MJD, Rendered, rendered_nights, rendered_triplet, tensors_of
from training.triplet.train import INJECTION_SEED, OUTPUTS

log = logging.getLogger(__name__)

CARD = "TRIPLET_CARD.md"
EPOCHS = 25
N_REFERENCES, N_PARITY = 6, 100
REFERENCE_SEED = 2026
PARITY_ATOL = 1e-4
"""Of a deviation, which is divided by what may be a twentieth of the scale's unit: single precision has no more."""


@dataclass(frozen=True)
class Plan:
    """How many nights are rendered, and for what; each is another sky."""

    n_objects: int = 100
    """Of a night."""
    train: int = 8
    n_epochs: int = 4
    """Of an object, at random."""
    constants: int = 1
    """Nights that set what each term normally is."""
    calibrate: int = 4
    check: int = 3
    settings: TripletSettings = field(default_factory=lambda: TripletSettings(epochs=EPOCHS))

    @classmethod
    def of(cls, seed: int, epochs: int | None) -> "Plan":
        """Return the plan of a seed, of as many epochs as it has or somebody asks for."""
        return cls(settings=TripletSettings(epochs=epochs or EPOCHS, seed=seed))


@dataclass(frozen=True, eq=False)
class Parts:
    """Rendered stamps, by what they are for."""

    train: Rendered
    constants: Rendered
    calibrate: Rendered
    check: Rendered


def render_parts(plan: Plan, jobs: int) -> Parts:
    """Render what a plan asks for."""
    counts = {
        "train": (plan.train, plan.n_epochs),
        "constants": (plan.constants, plan.n_epochs),
        "calibrate": (plan.calibrate, 2),
        "check": (plan.check, 2),
    }
    parts, first = {}, 0
    for name, (n_nights, n_epochs) in counts.items():
        nights = range(first, first + n_nights)
        parts[name] = rendered_nights(nights, plan.n_objects, n_epochs, 1 + plan.settings.seed, jobs)
        first += n_nights
    return Parts(**parts)


def train_rendered(data: Path | None, out: Path, plan: Plan, jobs: int = 1) -> None:
    """Fit, measure and, if it is good enough, export the model: ``triplet.onnx``, its card, ``triplet.json``.

    Where it is not, the card alone is written, which says by how much it failed; a model that was there goes.

    Parameters
    ----------
    data
        Folder of Rubin's alerts, which nothing is learned from: the model is checked on them. None: it is not, and
        not exported either.

    Raises
    ------
    ConfigError
        If `out` cannot be written to, or the real stamps not read.
    ModelError
        If a gate of the export fails.
    """
    torch.set_num_threads(1)
    check_writable(out)
    real = read_real(data) if data else None
    log.info("rendering")
    parts = render_parts(plan, jobs)
    log.info(
        "%d rendered triplets train, %d calibrate, %d check", *map(len, (parts.train, parts.calibrate, parts.check))
    )
    model, loss = fit_triplets(
        parts.train.tensors, parts.constants.tensors, plan.settings, "stamps of Rubin", SMALL_TERMS
    )
    graph, manifest = made(model, parts, real, plan, loss)
    reasons = fails_by(manifest.metrics)
    card = triplet_card(manifest, reasons)
    if not reasons:
        publish(out, graph, manifest, (CARD, card))
        return
    for name in ("triplet.json", "triplet.onnx"):
        (out / name).unlink(missing_ok=True)
    write_files(out, [(CARD, card.encode())])
    log.info("not exported, since %s: wrote %s alone to %s", "; and ".join(reasons), CARD, out)


def made(model: TripletModel, parts: Parts, real: RealStamps | None, plan: Plan, loss: float) -> tuple[bytes, Manifest]:
    """Return the graph of a model, and the manifest with all that was measured of it."""

    def errors_of(tensors: NDArray[np.float32]) -> NDArray[np.float64]:
        return outputs_of(model, tensors)[0]

    calibrating = errors_of(parts.calibrate.tensors)
    table = uniform_calibrated("error", calibrating)
    examples = {"stamps": parts.check.tensors[:N_PARITY]}
    graph = narrow(export_graph(model, examples, OUTPUTS, PARITY_ATOL))
    check_parity(graph, model, examples, OUTPUTS, PARITY_ATOL)
    scores = scores_of(table, calibrating)
    watched = zip(of_stamps(parts.calibrate.tensors), scores, calibrating, strict=True)
    shown = ("n", "2", str(len(CHANNELS)), str(CORE_SIDE), str(CORE_SIDE))
    manifest = Manifest(
        name=f"{SURVEY} triplet",
        version=VERSION,
        survey=SURVEY,
        modality=str(Modality.TRIPLET),
        recipe="normals only",
        preprocess_version=PREPROCESS_VERSION,
        **describe_graph(graph),
        inputs=(
            Tensor(
                "stamps",
                ("n", "6", "63", "63"),
                "float32, science, template, difference in asinh(flux / 2 noise levels of the difference), their "
                "middle 30 pixels in bins of 2 x 2, 0 around them; then for each 1 where a bin is there",
            ),
        ),
        columns=(),
        outputs=(
            Tensor("error", ("n",), "float32, fourth-power mean over the terms of log(1 + exp(term))"),
            Tensor(
                "residual",
                ("n", str(len(SMALL_TERMS))),
                "float32, terms of the error in robust deviations of normals: "
                f"{'; '.join(term.name for term in SMALL_TERMS)}",
            ),
            Tensor("latent", ("n", str(CORE_LATENT)), "float32, the bottleneck"),
            Tensor("reconstruction", shown, "float32, nothing, then what the bottleneck stands for, in input units"),
            Tensor("deviation", shown, "float32, nothing, then bins less reconstruction in expected deviations"),
        ),
        training={
            "data": "stamps that the sandbox renders",
            "data_sha256": hashlib.sha256(parts.train.tensors.tobytes()).hexdigest(),
            "counts": {name: len(getattr(parts, name)) for name in ("train", "constants", "calibrate", "check")},
            "kinds": dict(sorted(Counter(parts.train.kinds.tolist()).items())),
            "settings": asdict(plan.settings),
            "torch": torch.__version__,
        },
        metrics={
            "held_out_loss": round(loss, 4),
            "rendered": of_rendered(parts.check, scores_of(table, errors_of(parts.check.tensors))),
            "injections": of_injections(parts.check, errors_of, INJECTION_SEED),
            "real": of_real(real, errors_of, table) if real else {},
        },
        calibrated=(table,),
        references=_references(model),
        distributions=distributions_of(
            "triplet",
            [observed | of_score("triplet", float(score), float(error)) for observed, score, error in watched],
        ),
    )
    return graph, manifest


def _references(model: TripletModel) -> tuple[Reference, ...]:
    """Ask torch about rendered stamps, whose pixels are rounded to whole nanojanskys, which pack small."""
    night = simulate_rubin_night(REFERENCE_SEED, 30, NIGHT_MJD)
    references = []
    for number, simulated in enumerate(night.objects[:N_REFERENCES]):
        stamps = rendered_triplet(simulated, 0, night.seed)
        rounded = {name: np.round(getattr(stamps, name)) for name in CHANNELS}
        packed = {
            name: base64.b64encode(gzip.compress(to_fits(stamp, name.capitalize()), mtime=0)).decode()
            for name, stamp in rounded.items()
        }
        with torch.no_grad():
            error, _, latent, *_ = model(torch.from_numpy(tensors_of([in_bins(Triplet(**rounded))])))
        seen = {"mjd_tai": NIGHT_MJD, "band": "i", "flux_njy": 1000.0, "flux_error_njy": 100.0}
        record = {**made_up_object(10**14 + number, [seen]), "stamps": packed}
        references.append(Reference(record, error.item(), tuple(latent[0].tolist()), {}))
    return tuple(references)
