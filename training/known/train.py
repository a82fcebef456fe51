"""`aha-train known`: the index of known objects beside the models, and whether nearness in it means anything."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError
from annotator.models import Model, ModelSet, load_models
from annotator.models.known import FILE_NAME, Known, KnownLatents, known_bytes, read_known
from annotator.preprocess.lightcurve import grid
from annotator.tables.header import Columns
from training.data.curves import LabelledCurve, read_curves
from training.data.given import read_given
from training.data.stamps import read_stamps
from training.data.table import EXOTIC, LABELS, read_table
from training.export.files import write_files
from training.known.card import known_card
from training.known.evaluate import measure
from training.recipe import SURVEY, check_writable

log = logging.getLogger(__name__)

TABLE, CURVES, CURVE_LABELS, STAMPS = (
    "object_features.csv",
    "lightcurves.parquet",
    "lightcurve_labels.csv",
    "cutouts.npz",
)
"""In the folder of the training data; a modality whose file is not there has no index."""
WEAK_LABELS = "AppleCiDEr"
"""How the `label_source` begins of classes that are not known to be from a spectrum."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """The objects of one modality that have a class from a spectrum, one an entry."""

    object_ids: tuple[str, ...]
    types: tuple[str, ...]
    classes: tuple[str, ...]
    """AHA's four, the exotic one by its kinds: SN Ia, SN II, SN Ib/c, SLSN, TDE, AGN."""
    strata: tuple[str, ...]
    """Which objects can be compared with one another: those of one catalogue where class follows catalogue."""
    tensors: Mapping[str, NDArray[np.float32]]
    """The graph's inputs, ``(n, ...)``."""

    def subset(self, kept: Sequence[bool]) -> "Labelled":
        """Return the entries of a mask."""
        texts = (self.object_ids, self.types, self.classes, self.strata)
        return Labelled(
            *(tuple(compress(values, kept)) for values in texts),
            {name: values[np.array(kept)] for name, values in self.tensors.items()},
        )


def make(data: Path, out: Path, models_folder: Path | None) -> None:
    """Write ``known.npz`` and ``KNOWN_CARD.md``, and print what the card says of the neighbours.

    Parameters
    ----------
    data
        Folder with :data:`TABLE`, :data:`CURVES`, :data:`CURVE_LABELS` and :data:`STAMPS`, or some of them.
    out
        Folder of the model set that the index belongs beside.
    models_folder
        Whose latents are kept; None: those in `out`.

    Raises
    ------
    ConfigError
        If no file can be used, or `out` not written to.
    ModelError
        If the models cannot be loaded.
    """
    check_writable(out)
    models = load_models(models_folder or out, SURVEY, beside=())
    labelled = read_labelled(data, models)
    modalities = {name: _latents(models.models[name], objects) for name, objects in labelled.items()}
    (version,) = {model.manifest.version for model in models.models.values()}
    content = known_bytes(Known(version, MappingProxyType(modalities)))
    # What is measured is what is served: latents as the file keeps them.
    known = read_known(content, FILE_NAME)
    measured = {
        name: measure(known.modalities[name], objects.classes, objects.strata) for name, objects in labelled.items()
    }
    counts = {name: len(objects.object_ids) for name, objects in labelled.items()}
    card = known_card(version, counts, measured, len(content))
    write_files(out, [("KNOWN_CARD.md", card.encode()), (FILE_NAME, content)])
    print(card, end="")
    log.info("wrote %s, KNOWN_CARD.md to %s", FILE_NAME, out)


def read_labelled(data: Path, models: ModelSet) -> dict[str, Labelled]:
    """Read the objects of each modality that the models have, if they have a class from a spectrum.

    Raises
    ------
    ConfigError
        If the folder has none of the files.
    """
    files = {
        "features": ((data / TABLE,), _of_table),
        "lightcurve": ((data / CURVES, data / CURVE_LABELS), _of_curves),
        "triplet": ((data / STAMPS,), _of_stamps),
    }
    read = {
        name: reader(*paths)
        for name, (paths, reader) in files.items()
        if name in models.models and all(path.is_file() for path in paths)
    }
    weak = _weak_labels(data / CURVE_LABELS)
    kept = {
        name: objects.subset(
            [bool(kind) and key not in weak for key, kind in zip(objects.object_ids, objects.types, strict=True)]
        )
        for name, objects in read.items()
    }
    found = {name: objects for name, objects in kept.items() if objects.object_ids}
    if not found:
        raise ConfigError(
            f"--data {data}: expected {', '.join((TABLE, CURVES, STAMPS))} or some of them, with types, found none; "
            f"name the folder of the training data"
        )
    return found


def _weak_labels(path: Path) -> frozenset[str]:
    """Return the objects whose class may not be from a spectrum; none where labels do not say where they are from."""
    if not path.is_file():
        return frozenset()
    columns = Columns((OBJECT_ID_KEY,), optional=("label_source",))
    _, rows = read_given("--data", path, columns, "correct it")
    return frozenset(row[OBJECT_ID_KEY] for row in rows if row.get("label_source", "").startswith(WEAK_LABELS))


def _of_table(path: Path) -> Labelled:
    """Read the databank; of a transient with several names in the survey the first, lest it be its own neighbour.

    Rows in reversed order are made of the light curves beside it, where these are there.
    """
    curves = path.with_name(CURVES)
    table = read_table(path, SURVEY, curves if curves.is_file() else None)
    first_of = {name: i for i, name in reversed(list(enumerate(table.tns_names)))}
    first = table.subset(np.array(sorted(first_of.values())))
    return _labelled(
        first.object_ids.tolist(),
        first.column("type").tolist(),
        first.column("source_label").tolist(),
        ["within" if is_within else "outside" for is_within in first.is_within_aha_cut],
        {"features": first.features, "quantities": first.quantities},
    )


def _of_curves(path: Path, labels: Path) -> Labelled:
    """Read light curves; of an object that several groups of catalogues have, the curve with the most detections."""
    best: dict[str, LabelledCurve] = {}
    for curve in read_curves(path, labels).curves:
        other = best.get(curve.object_id)
        if other is None or len(curve.detections) > len(other.detections):
            best[curve.object_id] = curve
    curves = list(best.values())
    return _labelled(
        [curve.object_id for curve in curves],
        [curve.kind for curve in curves],
        [curve.label for curve in curves],
        [curve.source for curve in curves],
        {"lightcurve": grid([curve.detections for curve in curves])},
    )


def _of_stamps(path: Path) -> Labelled:
    """Read the stamps of the epoch that is scored, of the objects that have a class."""
    table = read_stamps(path)
    table = table.subset(table.is_pick & np.isin(table.column("source_label"), LABELS))
    return _labelled(
        table.object_ids.tolist(),
        table.column("type").tolist(),
        table.column("source_label").tolist(),
        table.column("source").tolist(),
        {"stamps": table.tensors},
    )


def _labelled(
    object_ids: Sequence[str],
    types: Sequence[str],
    labels: Sequence[str],
    strata: Sequence[str],
    tensors: Mapping[str, NDArray[np.float32]],
) -> Labelled:
    joined = ["TDE" if kind.startswith("TDE") else kind for kind in types]
    classes = [kind.partition("-")[0] if label == EXOTIC else label for kind, label in zip(joined, labels, strict=True)]
    return Labelled(tuple(object_ids), tuple(joined), tuple(classes), tuple(strata), tensors)


def _latents(model: Model, objects: Labelled) -> KnownLatents:
    """Run the graph on each object alone, as the annotator does."""
    latents = [
        model.run({name: values[i : i + 1] for name, values in objects.tensors.items()}, ["latent"])["latent"][0]
        for i in range(len(objects.object_ids))
    ]
    return KnownLatents(model.manifest.graph_sha256, objects.object_ids, objects.types, np.array(latents))
