"""The known objects: which classified ones a model puts nearest to an object, in its bottleneck.

The index is one file, ``known.npz``, beside the models whose latents it holds: of each modality the objects' names,
types and latents, and which graph they are of. ``aha-train known`` makes it.
"""

import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ModelError
from annotator.models.files import UNREADABLE, read_file, unpack
from annotator.models.load import place_of_models
from annotator.models.model_set import ModelSet

FILE_NAME = "known.npz"

ARRAYS = ("object_id", "type", "latent", "graph_sha256")
"""Of each modality in the file, named ``<modality>_<array>``; beside them ``version`` of the model set."""

ROBUST_PERCENTILES = (15.8655, 84.1345)
"""Of a normal distribution they are two standard deviations apart."""


@dataclass(frozen=True)
class KnownObject:
    """A classified object and how far away it is."""

    object_id: str
    type: str
    """From its spectrum, as the Transient Name Server writes it, the TDEs' subtypes as one."""
    distance: float
    """Euclidean, in robust standard deviations of the known objects."""


@dataclass(frozen=True, eq=False)
class KnownLatents:
    """The known objects of one modality."""

    graph_sha256: str
    """Of the graph whose latents they are."""
    object_ids: tuple[str, ...]
    types: tuple[str, ...]
    latents: NDArray[np.float32]
    """``(n, n_latent)``."""

    @functools.cached_property
    def scale(self) -> NDArray[np.float64]:
        """Each coordinate's robust standard deviation ``(n_latent,)``; 1 where most of them are alike."""
        low, high = np.percentile(self.latents.astype(np.float64), ROBUST_PERCENTILES, axis=0)
        spread = (high - low) / 2
        return np.where(spread > 0, spread, 1.0)

    def distances(self, latent: Sequence[float]) -> NDArray[np.float64]:
        """Return how far each known object is ``(n,)``."""
        apart = (self.latents - np.asarray(latent, dtype=np.float64)) / self.scale
        return np.sqrt(np.square(apart).sum(axis=1))


@dataclass(frozen=True)
class Known:
    """The classified objects that the models of one set have seen or could have seen."""

    version: str
    """Of the model set."""
    modalities: Mapping[str, KnownLatents]

    def nearest(
        self, modality: str, latent: Sequence[float], n: int = 5, leave_out: str | None = None
    ) -> tuple[KnownObject, ...]:
        """Return the known objects that a model puts nearest, nearest first.

        Parameters
        ----------
        latent
            As :attr:`annotator.models.ModalityScore.latent` gives it.
        n
            How many; fewer where fewer are known, none of a modality that the index lacks.
        leave_out
            Name of the object itself, which may be a known one.
        """
        known = self.modalities.get(modality)
        if known is None:
            return ()
        distances = known.distances(latent)
        order = [i for i in np.argsort(distances, kind="stable").tolist() if known.object_ids[i] != leave_out]
        return tuple(KnownObject(known.object_ids[i], known.types[i], float(distances[i])) for i in order[:n])


def load_known(folder: Path | None, survey: str, models: ModelSet) -> Known | None:
    """Load the index of known objects beside the models.

    Parameters
    ----------
    folder
        As :func:`annotator.models.load_models` takes it.
    models
        That were loaded from there.

    Returns
    -------
    Known or None
        None where the folder has no index.

    Raises
    ------
    ModelError
        If the index is damaged or belongs to other models.
    """
    path = place_of_models(folder, survey) / FILE_NAME
    if not path.is_file():
        return None
    known = read_known(read_file(path), str(path))
    graphs = {name: model.manifest.graph_sha256 for name, model in models.models.items()}
    versions = {model.manifest.version for model in models.models.values()}
    others = [
        name for name, index in known.modalities.items() if graphs.get(name, index.graph_sha256) != index.graph_sha256
    ]
    if others or known.version not in versions:
        raise ModelError(
            f"{path}: expected known objects of model set {', '.join(versions)} by the graphs beside it, found those "
            f"of {known.version}, by other graphs of {', '.join(others) or '(none)'}; make it again with aha-train "
            f"known, or remove it"
        )
    return known


def read_known(content: bytes, where: str) -> Known:
    """Read an index; `where` is the file's name, for messages.

    Raises
    ------
    ModelError
        If it is damaged, or unpacks to more than an index can be.
    """
    try:
        arrays = unpack(content)
    except UNREADABLE as failure:
        raise ModelError(
            f"{where}: expected an index of known objects, found what cannot be read: {failure}; copy it or make it "
            f"again with aha-train known"
        ) from failure
    suffix = f"_{ARRAYS[0]}"
    names = [name.removesuffix(suffix) for name in arrays if name.endswith(suffix)]
    expected = {"version", *(f"{name}_{array}" for name in names for array in ARRAYS)}
    if not names or set(arrays) != expected or not all(_is_sound(arrays, name) for name in names):
        raise ModelError(
            f"{where}: expected version, and of each modality {', '.join(ARRAYS)} of as many objects, each once, in "
            f"finite numbers, found {', '.join(f'{name} {a.shape} {a.dtype}' for name, a in sorted(arrays.items()))}; "
            f"copy it or make it again with aha-train known"
        )
    return Known(
        str(arrays["version"]),
        MappingProxyType(
            {
                name: KnownLatents(
                    str(arrays[f"{name}_graph_sha256"]),
                    tuple(arrays[f"{name}_object_id"].tolist()),
                    tuple(arrays[f"{name}_type"].tolist()),
                    arrays[f"{name}_latent"].astype(np.float32),
                )
                for name in names
            }
        ),
    )


def _is_sound(arrays: Mapping[str, NDArray], modality: str) -> bool:
    object_ids, types, latents, graph = (arrays[f"{modality}_{array}"] for array in ARRAYS)
    texts = (arrays["version"], graph, object_ids, types)
    return (
        all(text.dtype.kind == "U" for text in texts)
        and arrays["version"].ndim == graph.ndim == 0
        and object_ids.ndim == 1
        and object_ids.shape == types.shape == latents.shape[:1]
        and len(set(object_ids.tolist())) == len(object_ids) > 0
        and latents.ndim == 2
        and latents.dtype.kind == "f"
        and bool(np.isfinite(latents).all())
    )


def known_bytes(known: Known) -> bytes:
    """Write an index as :func:`read_known` reads it: latents in half precision, the same bytes each time."""
    arrays: dict[str, NDArray] = {"version": np.array(known.version)}
    for name, index in known.modalities.items():
        values = (np.array(index.object_ids), np.array(index.types), index.latents.astype(np.float16))
        arrays |= {f"{name}_{array}": value for array, value in zip(ARRAYS, values, strict=False)}
        arrays[f"{name}_graph_sha256"] = np.array(index.graph_sha256)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()
