"""From a fitted head to its files, swapped in only where it is proved, and no worse than the one in service."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from annotator.errors import ModelError
from annotator.models import ModelSet
from annotator.models.heads import Head, HeadManifest, HeadReference, load_head
from annotator.preprocess import PREPROCESS_VERSION
from annotator.verdicts import latest, read_verdicts, refused_in_words
from training.export.files import write_files
from training.export.graph import check_parity, describe_graph, export_graph, manifest_json, narrow
from training.export.trees import with_tree_operator
from training.metrics.intervals import interval_of, resamplings
from training.metrics.ranking import auc

log = logging.getLogger(__name__)

N_PARITY = 200
N_BOOTSTRAP = 500

MAX_LOSS = 0.02
"""By how much the held-out AUC may be lower than that of the head in service, within its own uncertainty."""


def export_head(model: nn.Module, numbers: NDArray[np.float32], forest: nn.Module | None = None) -> bytes:
    """Export a head that turns ``(n, d)`` numbers, NaN where missing, into probabilities ``(n,)``.

    Parameters
    ----------
    model
        The head.
    numbers
        On which the graph is compared with it.
    forest
        The part of it that is one, where it has one.

    Raises
    ------
    ModelError
        If the graph is not valid, or does not give what the model gives.
    """
    examples = {"inputs": numbers[:N_PARITY].astype(np.float32)}
    graph = export_graph(model, examples, ("probability",))
    graph = narrow(with_tree_operator(graph, forest) if forest else graph)
    check_parity(graph, model, examples, ("probability",))
    return graph


def verdicts_in(path: Path | None) -> dict[str, str]:
    """Return the newest verdict of each object in a file, by object id; none where there is no file.

    Lines of it that are no verdicts are named in the log.
    """
    if path is None:
        return {}
    read = read_verdicts(path)
    for words in refused_in_words(read.refused):
        log.warning("%s", words)
    return {item.object_id: item.verdict for item in latest(read.verdicts).values()}


def head_reference(model: nn.Module, names: Sequence[str], numbers: Mapping[str, float]) -> HeadReference:
    """Ask a head of torch about an object's numbers, those of its inputs that are there."""
    known = {name: numbers[name] for name in names if name in numbers}
    asked = torch.tensor([[known.get(name, np.nan) for name in names]], dtype=torch.float32)
    with torch.no_grad():
        return HeadReference(known, model(asked).item())


def head_identity(models: ModelSet, old: Head | None, graph: bytes) -> dict[str, object]:
    """Return what a head's manifest says of the set that it belongs to, of its place in line, and of its graph."""
    return {
        "version": next(iter(models.models.values())).manifest.version,
        "revision": old.manifest.revision + 1 if old else 0,
        "survey": models.survey,
        "preprocess_version": PREPROCESS_VERSION,
        **describe_graph(graph),
    }


def refuse_if_worse(
    model: nn.Module, old: Head, names: Sequence[str], numbers: NDArray[np.float32], labels: NDArray[np.bool_]
) -> None:
    """Compare with the head in service on objects that neither has seen; the uncertainty by bootstrap over them.

    Parameters
    ----------
    names
        Of the numbers ``(n, d)``; the old head takes those that it knows.
    labels
        ``(n,)``.

    Raises
    ------
    ModelError
        If the new head's AUC is lower by more than :data:`MAX_LOSS`, or clearly lower; or nothing can be compared.
    """
    if not labels.any() or labels.all():
        raise ModelError(
            "expected held-out objects of both kinds to compare the new head with the old by, found one kind; the old "
            "head stays"
        )
    with torch.no_grad():
        new = model(torch.from_numpy(numbers.astype(np.float32))).numpy()
    before = np.array([found or 0.0 for found in old.probabilities([_known(names, row) for row in numbers])])
    rng = np.random.default_rng(0)
    low, high = interval_of(
        [auc(new, labels, w) - auc(before, labels, w) for w in resamplings(len(labels), N_BOOTSTRAP, rng)]
    )
    difference = auc(new, labels) - auc(before, labels)
    words = (
        f"held-out AUC {auc(new, labels):.3f}, of the head in service {auc(before, labels):.3f}; difference "
        f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"
    )
    log.info(words)
    if difference < -MAX_LOSS or high < 0:
        raise ModelError(f"expected a head no worse than the one in service, found {words}; the old head stays")


def _known(names: Sequence[str], row: NDArray[np.float32]) -> Mapping[str, float]:
    return {name: float(value) for name, value in zip(names, row, strict=True) if np.isfinite(value)}


def write_head(out: Path, graph: bytes, manifest: HeadManifest, card: tuple[str, str]) -> None:
    """Write graph, card and manifest beside the models, once the annotator has loaded them from another place.

    Parameters
    ----------
    out
        Folder of the model set, or the one above it.
    card
        File name and text.

    Raises
    ------
    ModelError
        If the annotator would refuse the head; nothing is written.
    """
    files = [
        (f"{manifest.name}.onnx", graph),
        (card[0], card[1].encode()),
        (f"{manifest.name}.json", manifest_json(manifest)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files)
        try:
            load_head(Path(folder), manifest.name, manifest.survey, manifest.version)
        except ModelError as failure:
            raise ModelError(f"the annotator would refuse this head, so nothing was written: {failure}") from failure
    place = out / manifest.survey if (out / manifest.survey).is_dir() else out
    write_files(place, files)
    log.info("wrote %s to %s, revision %d", ", ".join(name for name, _ in files), place, manifest.revision)
