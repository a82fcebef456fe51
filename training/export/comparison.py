"""AHA's own recipe beside ours: written where the annotator looks for no models, and read back for a card."""

import logging
from collections.abc import Callable
from pathlib import Path

from annotator.errors import ConfigError
from annotator.models.manifest import Manifest, parse_manifest
from training.export.files import write_files
from training.export.graph import manifest_json

log = logging.getLogger(__name__)

SERVED = ("features.json", "lightcurve.json", "triplet.json")


def refuse_served(out: Path) -> None:
    """Refuse a folder that holds the annotator's models, which AHA's must not join.

    Raises
    ------
    ConfigError
        If one is there.
    """
    found = [name for name in SERVED if (out / name).exists()]
    if found:
        raise ConfigError(
            f"--out {out}: expected a folder without served models, found {', '.join(found)}; the annotator would "
            f"refuse AHA's model beside them: choose another folder"
        )


def write_comparison(out: Path, graph: bytes, manifest: Manifest) -> None:
    """Write graph and manifest of a reproduction of AHA's recipe.

    Raises
    ------
    ConfigError
        If the folder cannot be written to.
    """
    name = manifest.modality
    write_files(out, [(f"{name}.onnx", graph), (f"{name}.json", manifest_json(manifest))])
    log.info("wrote %s.onnx, %s.json to %s: a comparison, which the annotator does not load", name, name, out)


def read_comparison(folder: Path, name: str, data: Path, sha256: Callable[[], str]) -> Manifest:
    """Read the manifest of a reproduction, and check that it is about the same data.

    Parameters
    ----------
    name
        Of the reproduction, as its manifest's modality.
    data
        What is trained on.
    sha256
        Returns the hash of that, by which a manifest names it.

    Raises
    ------
    ConfigError
        If there is none, or it is about other data.
    """
    path = folder / f"{name}.json"
    try:
        manifest = parse_manifest(path.read_bytes(), str(path))
    except OSError as failure:
        raise ConfigError(f"--beside: expected {path}, found {failure}; make it with --recipe aha") from failure
    if manifest.training.get("data_sha256") != sha256():
        raise ConfigError(f"--beside {folder}: expected a result on {data.name}, found one on other data; repeat it")
    return manifest
