"""`aha-train worth`: fit the weights of the order of attention, measure it, and write it beside the models."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.decision.attention import worth_of
from annotator.decision.attention_fit import fitted
from annotator.errors import ModelError
from annotator.models import load_models
from annotator.models.heads import HEADS
from annotator.models.worth import NAME, PARTS, Weights, WorthManifest, WorthReference, digest_of, load_worth
from annotator.preprocess import PREPROCESS_VERSION
from training.export.files import write_files
from training.export.graph import manifest_json
from training.recipe import SURVEY
from training.worth import evaluate
from training.worth.card import worth_card
from training.worth.nights import FIRST_SEED, GLAD_KINDS, N_OBJECTS, ScoredNights, simulated_nights

log = logging.getLogger(__name__)

WEIGHT_SPREAD, INTERCEPT_SPREAD = 3.0, 10.0
"""Standard deviations of the prior about 0: weak, so that the nights decide."""
N_FOLDS = 10
N_REFERENCES = 8
STATED = {"young": 0.5, "rising": 0.5}
"""Log odds that no truth of a night tells: what is young and rising can still be followed up. More is fitted on top."""
KNOWN_TO_THE_MODELS = ("artefact", "variable")


@dataclass(frozen=True)
class WorthSettings:
    """How much is simulated."""

    n_nights: int = 50
    n_objects: int = N_OBJECTS
    jobs: int = 1


def train(out: Path, settings: WorthSettings) -> None:
    """Simulate nights, fit the weights to their truth, and write them beside the models.

    Parameters
    ----------
    out
        Folder of the model set; gets ``worth.json`` and ``WORTH_CARD.md``.

    Raises
    ------
    ModelError
        If the annotator would refuse the weights; nothing is written.
    """
    models = load_models(out, SURVEY, beside=HEADS)
    nights = simulated_nights(out, settings.n_nights, settings.n_objects, settings.jobs)
    weights = fit(nights, np.ones(len(nights.night), dtype=bool))
    chances = out_of_fold(nights)
    manifest = WorthManifest(
        name=NAME,
        version=next(iter(models.models.values())).manifest.version,
        survey=SURVEY,
        preprocess_version=PREPROCESS_VERSION,
        parts=PARTS,
        intercept=weights.intercept,
        weights=tuple(weights.of_parts.tolist()),
        weights_sha256=digest_of(weights.intercept, tuple(weights.of_parts.tolist())),
        training={
            "nights": settings.n_nights,
            "objects": settings.n_objects,
            "first_seed": FIRST_SEED,
            "glad": list(GLAD_KINDS),
            "n_glad": int(nights.is_glad.sum()),
            "n": len(nights.night),
            "split": f"by night, {N_FOLDS} bins",
            "stated": STATED,
        },
        metrics=_metrics(nights, chances),
        references=_references(nights, weights),
    )
    _write(out, manifest)
    for places in evaluate.FIRST:
        found = {name: manifest.metrics["orders"][name][str(places)]["exotic"] for name in manifest.metrics["orders"]}
        log.info("exotics in the first %d: %s", places, found)


def fit(nights: ScoredNights, chosen: NDArray[np.bool_]) -> Weights:
    """Fit the weights to some of the objects: what is known without a person, artefacts above all, is none of them."""
    chosen = chosen & ~np.isin(nights.known, KNOWN_TO_THE_MODELS)
    parts, nothing = nights.parts[chosen], Weights(0.0, np.zeros(len(PARTS)))
    stated = np.array([STATED.get(name, 0.0) for name in PARTS])
    found = fitted(parts, nights.is_glad[chosen], nothing, WEIGHT_SPREAD, INTERCEPT_SPREAD, parts @ stated)
    return Weights(round(found.intercept, 6), np.round(found.of_parts + stated, 6))


def out_of_fold(nights: ScoredNights) -> NDArray[np.float64]:
    """Return each object's chance by weights that were fitted to other nights."""
    chances = np.empty(len(nights.night))
    for fold in range(N_FOLDS):
        here = nights.night % N_FOLDS == fold
        if here.any():
            chances[here] = fit(nights, ~here).chances(nights.parts[here])
    return chances


def _metrics(nights: ScoredNights, chances: NDArray[np.float64]) -> dict:
    is_known, is_fitted = nights.known != "", ~np.isin(nights.known, KNOWN_TO_THE_MODELS)
    worth = np.array([worth_of(chance, known) for chance, known in zip(chances, is_known, strict=True)])
    exotic = nights.parts[:, PARTS.index("exotic")]
    flags = np.where(nights.is_flagged, 100.0, 0.0) + nights.score
    orders = {"worth": worth, "score": nights.score, "class, then score": flags, "exotic": exotic}
    return {
        "orders": {name: evaluate.first_places(nights, order) for name, order in orders.items()},
        "reliability": evaluate.reliability(chances[is_fitted], nights.is_glad[is_fitted]),
        "by_kind": dict(evaluate.by_kind(nights, chances)),
        "n_known": int(is_known.sum()),
    }


def _references(nights: ScoredNights, weights: Weights) -> tuple[WorthReference, ...]:
    places = np.linspace(0, len(nights.night) - 1, N_REFERENCES).astype(int)
    chances = weights.chances(nights.parts[places]).tolist()
    return tuple(
        WorthReference(tuple(row), chance) for row, chance in zip(nights.parts[places].tolist(), chances, strict=True)
    )


def _write(out: Path, manifest: WorthManifest) -> None:
    files = [("WORTH_CARD.md", worth_card(manifest).encode()), (f"{NAME}.json", manifest_json(manifest))]
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files)
        try:
            load_worth(Path(folder), manifest.survey, manifest.version)
        except ModelError as failure:
            raise ModelError(f"the annotator would refuse these weights, nothing was written: {failure}") from failure
    place = out / manifest.survey if (out / manifest.survey).is_dir() else out
    write_files(place, files)
    log.info("wrote %s to %s", ", ".join(name for name, _ in files), place)
