"""`aha-train worth`: fit the weights of the order of attention, measure it, and write it beside the models.

It is fitted to simulated nights, of which the truth is known and in which everything is that a stream has, and to a
databank, whose exotics and AGN are real; of LSST to evolutions of PLAsTiCC and of ZTF instead.
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
from annotator.models.worth import (
    NAME,
    PARTS,
    Weights,
    WorthManifest,
    WorthReference,
    digest_of,
    load_worth,
    parts_of_survey,
)
from annotator.preprocess import PREPROCESS_VERSION
from annotator.surveys import SURVEYS
from training.export.files import write_files
from training.export.graph import manifest_json
from training.worth import evaluate, real
from training.worth.card import worth_card
from training.worth.examples import (
    DATABANK,
    EVOLUTIONS,
    N_FOLDS,
    NIGHTS,
    Examples,
    at_share,
    of_databank,
    of_evolutions,
    of_nights,
    together,
)
from training.worth.nights import FIRST_SEED, N_OBJECTS, ScoredNights, simulated_nights

log = logging.getLogger(__name__)

WEIGHT_SPREAD, INTERCEPT_SPREAD = 3.0, 10.0
"""Standard deviations of the prior about 0: weak, so that the nights decide."""
N_REFERENCES = 8
STATED = {"young": 0.5, "rising": 0.5}
"""Log odds that no truth of a night tells: what is young and rising can still be followed up. More is fitted on top."""


@dataclass(frozen=True)
class WorthSettings:
    """How much is simulated, and what real objects are beside that."""

    survey: str = "ztf"
    n_nights: int = 50
    n_objects: int = N_OBJECTS
    jobs: int = 1
    data: Path | None = None
    """Folder of the training data; None: nights alone."""
    out_of_fold: Path | None = None
    """Folder that the trainings wrote to with the option of that name; of LSST heads are made anew."""


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
    survey, parts = settings.survey, parts_of_survey(settings.survey)
    of_light_curve = SURVEYS[survey].features_are_of_light_curve
    if of_light_curve and settings.out_of_fold is not None:
        raise ConfigError(f"--out-of-fold: the order of {survey} is made of light curves alone; leave it out")
    if not of_light_curve and (settings.data is None) != (settings.out_of_fold is None):
        raise ConfigError("--data and --out-of-fold: expected both, for a databank beside the nights, or none")
    models = load_models(out, survey, beside=HEADS)
    nights = simulated_nights(out, settings.n_nights, settings.n_objects, settings.jobs, survey)
    of_sources, beside = {NIGHTS: of_nights(nights)}, None
    if settings.data is not None:
        name = EVOLUTIONS if of_light_curve else DATABANK
        beside = (
            of_evolutions(models, settings.data)
            if of_light_curve
            else of_databank(models, settings.data, settings.out_of_fold)
        )
        of_sources[name] = beside
    both = together(of_sources[NIGHTS], beside)
    weights, alone, of_folds = fit(both, parts), fit(of_sources[NIGHTS], parts), out_of_fold(both, parts)
    manifest = WorthManifest(
        name=NAME,
        version=next(iter(models.models.values())).manifest.version,
        survey=survey,
        preprocess_version=PREPROCESS_VERSION,
        parts=parts,
        intercept=weights.intercept,
        weights=tuple(weights.of_parts.tolist()),
        weights_sha256=digest_of(weights.intercept, tuple(weights.of_parts.tolist())),
        training={
            "nights": settings.n_nights,
            "objects": settings.n_objects,
            "first_seed": FIRST_SEED,
            "glad": list(nights.sky.glad),
            "n_glad": int(nights.is_glad.sum()),
            "n": len(nights.night),
            "sources": {
                name: {"n": len(item.folds), "n_glad": int(item.is_glad.sum())} for name, item in of_sources.items()
            },
            "glad_share": round(both.glad_share, 4),
            "stated": STATED,
            "nights_alone": {"intercept": alone.intercept, "weights": alone.of_parts.tolist()},
        },
        metrics=_metrics(nights, of_sources, both.glad_share, of_folds)
        | ({"real": real.measured(models, weights, settings.data)} if of_light_curve and settings.data else {}),
        references=_references(nights, weights),
    )
    _write(out, manifest)
    for places in nights.sky.first:
        found = {name: manifest.metrics["orders"][name][str(places)]["exotic"] for name in manifest.metrics["orders"]}
        log.info("exotics in the first %d: %s", places, found)


UNSUPPORTED = ("odd", "odd_features", "odd_lightcurve", "odd_triplet")
"""What counts for nothing by itself in the order of LSST, but for who asks for it: how far an evolution is from those
of supernovae ranks exotics next to chance (MODEL_CARD.md), and what is farthest are variable sources and bogus."""


def fit(examples: Examples, parts: tuple[str, ...] = PARTS) -> Weights:
    """Fit the weights of parts to objects."""
    stated = np.array([STATED.get(name, 0.0) for name in parts])
    is_used = np.array([parts == PARTS or name not in UNSUPPORTED for name in parts])
    found = fitted(
        examples.parts * is_used,
        examples.is_glad,
        Weights(0.0, np.zeros(len(parts)), parts),
        WEIGHT_SPREAD,
        INTERCEPT_SPREAD,
        examples.parts @ stated,
        examples.counts,
    )
    return Weights(round(found.intercept, 6), np.round(found.of_parts + stated, 6), parts)


def out_of_fold(examples: Examples, parts: tuple[str, ...] = PARTS) -> list[Weights]:
    """Return the weights that were fitted to all folds but one, by its number."""
    return [fit(examples.where(examples.folds != number), parts) for number in range(N_FOLDS)]


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
