"""`aha-train worth`: fit the weights of the order of attention, measure it, and write it beside the models.

It is fitted to simulated nights, of which the truth is known and in which everything is that a stream has, and to a
databank, whose exotics and AGN are real.
"""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.decision.attention import worth_of
from annotator.decision.attention_fit import fitted
from annotator.errors import ConfigError, ModelError
from annotator.models import load_models
from annotator.models.heads import HEADS
from annotator.models.worth import NAME, PARTS, Weights, WorthManifest, WorthReference, digest_of, load_worth
from annotator.preprocess import PREPROCESS_VERSION
from training.export.files import write_files
from training.export.graph import manifest_json
from training.recipe import SURVEY
from training.worth import evaluate
from training.worth.card import worth_card
from training.worth.examples import DATABANK, N_FOLDS, NIGHTS, Examples, at_share, of_databank, of_nights, together
from training.worth.nights import FIRST_SEED, GLAD_KINDS, N_OBJECTS, ScoredNights, simulated_nights

log = logging.getLogger(__name__)

WEIGHT_SPREAD, INTERCEPT_SPREAD = 3.0, 10.0
"""Standard deviations of the prior about 0: weak, so that the nights decide."""
N_REFERENCES = 8
STATED = {"young": 0.5, "rising": 0.5}
"""Log odds that no truth of a night tells: what is young and rising can still be followed up. More is fitted on top."""


@dataclass(frozen=True)
class WorthSettings:
    """How much is simulated, and what real objects are beside that."""

    n_nights: int = 50
    n_objects: int = N_OBJECTS
    jobs: int = 1
    data: Path | None = None
    """Folder of the training data; None: nights alone."""
    out_of_fold: Path | None = None
    """Folder that the trainings wrote to with the option of that name."""


def train(out: Path, settings: WorthSettings) -> None:
    """Simulate nights, fit the weights to their truth and to a databank's, and write them beside the models.

    Parameters
    ----------
    out
        Folder of the model set; gets ``worth.json`` and ``WORTH_CARD.md``.

    Raises
    ------
    ConfigError
        If there is one of data and out-of-fold numbers without the other, or one of them cannot be read.
    ModelError
        If the annotator would refuse the weights; nothing is written.
    """
    if (settings.data is None) != (settings.out_of_fold is None):
        raise ConfigError("--data and --out-of-fold: expected both, for a databank beside the nights, or none")
    models = load_models(out, SURVEY, beside=HEADS)
    nights = simulated_nights(out, settings.n_nights, settings.n_objects, settings.jobs)
    of_sources = {NIGHTS: of_nights(nights)}
    if settings.data is not None:
        of_sources[DATABANK] = of_databank(models, settings.data, settings.out_of_fold)
    both = together(of_sources[NIGHTS], of_sources.get(DATABANK))
    weights, alone, of_folds = fit(both), fit(of_sources[NIGHTS]), out_of_fold(both)
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
            "sources": {
                name: {"n": len(item.folds), "n_glad": int(item.is_glad.sum())} for name, item in of_sources.items()
            },
            "glad_share": round(both.glad_share, 4),
            "stated": STATED,
            "nights_alone": {"intercept": alone.intercept, "weights": alone.of_parts.tolist()},
        },
        metrics=_metrics(nights, of_sources, both.glad_share, of_folds),
        references=_references(nights, weights),
    )
    _write(out, manifest)
    for places in evaluate.FIRST:
        found = {name: manifest.metrics["orders"][name][str(places)]["exotic"] for name in manifest.metrics["orders"]}
        log.info("exotics in the first %d: %s", places, found)


def fit(examples: Examples) -> Weights:
    """Fit the weights to objects."""
    stated = np.array([STATED.get(name, 0.0) for name in PARTS])
    found = fitted(
        examples.parts,
        examples.is_glad,
        Weights(0.0, np.zeros(len(PARTS))),
        WEIGHT_SPREAD,
        INTERCEPT_SPREAD,
        examples.parts @ stated,
        examples.counts,
    )
    return Weights(round(found.intercept, 6), np.round(found.of_parts + stated, 6))


def out_of_fold(examples: Examples) -> list[Weights]:
    """Return the weights that were fitted to all folds but one, by its number."""
    return [fit(examples.where(examples.folds != number)) for number in range(N_FOLDS)]


def chances_of(
    of_folds: Sequence[Weights], parts: NDArray[np.float64], folds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return each object's chance by weights that were fitted to others."""
    chances = np.empty(len(folds))
    for number, weights in enumerate(of_folds):
        here = folds == number
        chances[here] = weights.chances(parts[here])
    return chances


def _metrics(
    nights: ScoredNights, of_sources: Mapping[str, Examples], glad_share: float, of_folds: Sequence[Weights]
) -> dict:
    chances = chances_of(of_folds, nights.parts, nights.night % N_FOLDS)
    is_known = nights.known != ""
    worth = np.array([worth_of(chance, known) for chance, known in zip(chances, is_known, strict=True)])
    exotic = nights.parts[:, PARTS.index("exotic")]
    flags = np.where(nights.is_flagged, 100.0, 0.0) + nights.score
    orders = {"worth": worth, "score": nights.score, "class, then score": flags, "exotic": exotic}
    reliability = {}
    for name, item in of_sources.items():
        own = at_share(chances_of(of_folds, item.parts, item.folds), glad_share, float(item.is_glad.mean()))
        reliability[name] = evaluate.reliability(own, item.is_glad)
    return {
        "orders": {name: evaluate.first_places(nights, order) for name, order in orders.items()},
        "reliability": reliability,
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
