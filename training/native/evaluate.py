"""`aha-train evaluate --survey lsst`: the models on typed objects of Rubin that were fetched, and on nothing else.

What the models' cards say was measured on simulations and on another survey's sky. Here it stands beside what the
survey's own objects say, and is never put together with it.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from annotator.errors import TooFewError
from annotator.models import ModelSet, load_models
from annotator.owned_folder import own_folder, refuse_foreign
from training.data.classified_curves import ClassifiedCurves
from training.data.native import read_native
from training.export.files import write_files
from training.native.measure import MIN_OF_A_KIND, ask, measure
from training.native.report import counts_in_words, report

log = logging.getLogger(__name__)

SURVEY = "lsst"
KIND = "native-evaluation"
"""Of the marker of a report's folder."""

MIN_TYPED = 30
"""Objects that are to be typed before anything is measured on them."""

_IN_PARTS = frozenset({"by_kind", "by_points"})
"""Parts of a manifest's figures that are finer than what is measured here."""


def evaluate(data: Path, out: Path, models: Path | None, seed: int) -> None:
    """Measure, and write ``report.md`` and, for machines, ``report.json``.

    Parameters
    ----------
    data
        Folder of fetched objects (:mod:`training.data.native`).
    out
        Folder for the report; untouched if anything fails.
    models
        Folder of models; None: those that the package ships.
    seed
        Of the random epochs.

    Raises
    ------
    ConfigError
        If the objects cannot be read.
    TooFewError
        If there are fewer typed objects than :data:`MIN_TYPED`, or of exotics or of others fewer than
        :data:`~training.native.measure.MIN_OF_A_KIND`; they are counted by type on standard output, and that is all.
    ModelError
        If the annotator refuses the models.
    """
    refuse_foreign(out, KIND)
    objects = read_native(data)
    counts = Counter(curve.kind for curve in objects.typed.curves)
    if lacking := what_is_lacking(objects.typed):
        print(counts_in_words(counts))
        raise TooFewError(f"--data {data}: {lacking}; fetch more of them, and measure then")
    model_set = load_models(models, SURVEY)
    head = model_set.heads.get("exotic")
    threshold = head.manifest.threshold if head else None
    taught = ("exotic",) if head and "native" in head.manifest.training else ()
    found = {
        "model_set": model_set.version,
        "survey": SURVEY,
        "seed": seed,
        "sha256": objects.typed.sha256,
        "types": dict(sorted(counts.items())),
        "exotic_threshold": threshold,
        "taught": list(taught),
        "native": {when: measure(asked, threshold) for when, asked in ask(objects, model_set, seed, taught).items()},
        "provisional": provisional(model_set),
    }
    own_folder(out, KIND)
    written = json.dumps(found, indent=1, allow_nan=False) + "\n"
    write_files(out, [("report.json", written.encode()), ("report.md", report(found).encode())])
    log.info("wrote report.md and report.json to %s: %d typed objects", out, counts.total())


def what_is_lacking(typed: ClassifiedCurves) -> str:
    """Say what is lacking of the objects before anything can be measured on them; empty where nothing is."""
    n, n_exotic = len(typed.curves), sum(curve.is_exotic for curve in typed.curves)
    wanted = {"typed objects": (n, MIN_TYPED), "SLSN or TDE": (n_exotic, MIN_OF_A_KIND)}
    wanted["of other types"] = (n - n_exotic, MIN_OF_A_KIND)
    few = [f"{least} {what} are needed, there are {count}" for what, (count, least) in wanted.items() if count < least]
    return "; ".join(few)


def provisional(models: ModelSet) -> dict[str, dict]:
    """Return the rankings that the models' own manifests tell, as they were measured: by model, by what on."""
    manifests = {name: model.manifest for name, model in models.models.items()}
    manifests |= {name: head.manifest for name, head in models.heads.items()}
    return {name: dict(_rankings(manifest.metrics, ())) for name, manifest in manifests.items()}


def _rankings(found: object, path: tuple[str, ...]) -> Iterator[tuple[str, dict]]:
    """Yield each ranking within a manifest's figures, by its place in them."""
    if not isinstance(found, Mapping):
        return
    if isinstance(found.get("auc"), list | tuple):
        kept = ("n_exotic", "n_other", "auc", "ap")
        yield ", ".join(path), {name: found[name] for name in kept if name in found}
        return
    for name, part in found.items():
        if name not in _IN_PARTS:
            yield from _rankings(part, (*path, str(name)))
