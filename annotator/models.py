"""The models: what their manifests promise, checked at the door, and the scores they give.

A model is two files, ``<modality>.onnx`` and ``<modality>.json``. All constants of a model live inside its graph; the
manifest says what it is, and holds records with the scores it must give: a model that doesn't is refused.
"""

import base64
import dataclasses
import hashlib
import importlib.resources
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotator.calibration import Calibration, combined_score
from annotator.errors import AhaError, MissingModalityError, ModelError
from annotator.fits_stamps import read_stamp
from annotator.manifest import Manifest, parse_manifest
from annotator.preprocess import PREPROCESS_VERSION
from annotator.preprocess.features import FEATURES, feature_row
from annotator.preprocess.lightcurve import lightcurve_tensor
from annotator.preprocess.triplet import CHANNELS, stamp_tensor
from annotator.surveys import PARSERS
from annotator.transient import Transient, Triplet

if TYPE_CHECKING:
    import onnxruntime

REFERENCE_RTOL = 1e-3
"""How far a reference record's error and latent may be from the training framework's, relative to the largest."""

OBJECTS_AT_A_TIME = 32
"""Of which a model makes the tensors before it runs its graph on them. What a step needs then stays in the processor's
cache: an object takes two thirds of the time that it takes where each goes through all models by itself."""


@dataclass(frozen=True)
class Missing:
    """A modality that an object lacks."""

    why: str


@dataclass(frozen=True)
class ModalityScore:
    """What one model says of one object."""

    score: float
    """-log10 of the tail probability among normal objects."""
    error: float
    """AHA's reconstruction error: mean Huber loss over the values that are there."""
    residual: tuple[float, ...]
    """Input less reconstruction, in the graph's scaled units; 0 where the value is missing."""
    latent: tuple[float, ...]
    """The object's place in the bottleneck."""


@dataclass(frozen=True)
class Scores:
    """What the model set says of one object."""

    score: float
    """All present modalities combined (:func:`annotator.calibration.combined_score`); 0 when there are none."""
    modalities: Mapping[str, ModalityScore | Missing]
    """By the model set's modalities, each of them present."""
    artefact: float | None = None
    """Probability that the detection is bogus, by its stamps and real-bogus scores; None without either."""


def _feature_tensors(transient: Transient) -> dict[str, NDArray[np.float32]]:
    return {"features": feature_row(transient.features)[np.newaxis]}


def _lightcurve_tensors(transient: Transient) -> dict[str, NDArray[np.float32]]:
    return {"lightcurve": lightcurve_tensor(transient.light_curve)[np.newaxis]}


def _triplet_tensors(transient: Transient) -> dict[str, NDArray[np.float32]]:
    if transient.triplet is None:
        raise MissingModalityError("no cutouts")
    return {"stamps": stamp_tensor(transient.triplet)[np.newaxis]}


TENSORS: Mapping[str, Callable[[Transient], dict[str, NDArray[np.float32]]]] = MappingProxyType(
    {"features": _feature_tensors, "lightcurve": _lightcurve_tensors, "triplet": _triplet_tensors}
)
"""How each modality's input tensors, a batch of one, are made; raises MissingModalityError where they can't be."""


@dataclass(frozen=True)
class Model:
    """One modality's graph, ready to run."""

    manifest: Manifest
    calibration: Calibration
    session: "onnxruntime.InferenceSession"

    def score(self, transient: Transient) -> ModalityScore | Missing:
        """Score one object, as :meth:`score_all` does."""
        return self.score_all([transient])[0]

    def score_all(self, transients: Sequence[Transient]) -> list[ModalityScore | Missing]:
        """Score objects, in order, each alone.

        The graph runs on a batch of one although it takes any: a matrix product groups its rows by the size of the
        batch, so that the last bits of an object's score would depend on its company. It costs tens of microseconds.

        Raises
        ------
        ModelError
            If the graph fails or gives a number that is not finite.
        """
        scores: list[ModalityScore | Missing] = []
        for start in range(0, len(transients), OBJECTS_AT_A_TIME):
            part = transients[start : start + OBJECTS_AT_A_TIME]
            made = [self._tensors(transient) for transient in part]
            scores += [
                tensors if isinstance(tensors, Missing) else self._scored(transient, tensors)
                for transient, tensors in zip(part, made, strict=True)
            ]
        return scores

    def _tensors(self, transient: Transient) -> dict[str, NDArray[np.float32]] | Missing:
        try:
            return TENSORS[self.manifest.modality](transient)
        except MissingModalityError as reason:
            return Missing(transient.why_missing.get(self.manifest.modality, str(reason)))

    def _scored(self, transient: Transient, tensors: dict[str, NDArray[np.float32]]) -> ModalityScore:
        error, residual, latent = self._run(tensors)
        if not (np.isfinite(error).all() and np.isfinite(residual).all() and np.isfinite(latent).all()):
            raise ModelError(
                f"model {self.manifest.name}: expected finite numbers for {transient.object_id!r}, found error "
                f"{float(error[0])}; the graph is faulty, train or install another"
            )
        return ModalityScore(
            score=self.calibration.score(float(error[0])),
            error=float(error[0]),
            residual=tuple(residual[0].ravel().tolist()),
            latent=tuple(latent[0].ravel().tolist()),
        )

    def _run(self, tensors: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        try:
            return self.session.run(["error", "residual", "latent"], tensors)
        except Exception as failure:  # onnxruntime's exceptions share no base below Exception
            raise ModelError(f"model {self.manifest.name}: the graph does not run: {failure}") from failure


@dataclass(frozen=True)
class ModelSet:
    """The models of one survey that belong together."""

    version: str
    """Names the set in every annotation, for example ``aha-ztf-1.0``."""
    survey: str
    models: Mapping[str, Model]
    """By modality."""

    def score(self, transients: Sequence[Transient]) -> list[Scores]:
        """Score objects, in order; an object's scores are the same to the bit whatever the others are."""
        by_model = zip(*(model.score_all(transients) for model in self.models.values()), strict=True)
        return [_combined(dict(zip(self.models, scores, strict=True))) for scores in by_model]


def _combined(modalities: dict[str, ModalityScore | Missing]) -> Scores:
    present = [m.score for m in modalities.values() if isinstance(m, ModalityScore)]
    return Scores(score=combined_score(present), modalities=MappingProxyType(modalities))


def load_models(folder: Path | None, survey: str) -> ModelSet:
    """Load and check the models of a survey.

    Parameters
    ----------
    folder
        Where the models are, directly or in a subfolder named after the survey; None: those that this package ships.

    Raises
    ------
    ModelError
        If there are none, or one is damaged, changed, of another survey, preprocessing or model set, or does not
        reproduce its reference records.
    """
    place = _place(folder, survey)
    names = sorted({Path(entry.name).stem for entry in place.iterdir() if entry.name.endswith((".onnx", ".json"))})
    if not names:
        raise ModelError(
            f"expected models (features.onnx and features.json) in {place}, found none; "
            f"train them with aha-train, or name another folder"
        )
    models = {name: _load_model(place, name, survey) for name in names}
    versions = {model.manifest.version for model in models.values()}
    if len(versions) > 1:
        raise ModelError(
            f"expected one model-set version in {place}, found {', '.join(sorted(versions))}; "
            f"keep models of one set together"
        )
    return ModelSet(version=versions.pop(), survey=survey, models=MappingProxyType(models))


def _place(folder: Path | None, survey: str) -> Traversable:
    if folder is None:
        shipped = importlib.resources.files("annotator.onnx_models") / survey
        if not shipped.is_dir():
            raise ModelError(f"expected models for survey {survey!r}, this package ships none; name a folder of models")
        return shipped
    if not folder.is_dir():
        raise ModelError(f"expected a folder of models at {folder}, found none; name the folder that holds them")
    return folder / survey if (folder / survey).is_dir() else folder


def _load_model(place: Traversable, name: str, survey: str) -> Model:
    if name not in TENSORS:
        raise ModelError(
            f"{place}: expected models named {', '.join(TENSORS)}, found {name!r}; this version doesn't know that "
            f"modality: move the file away, or upgrade"
        )
    manifest_path, graph_path = place / f"{name}.json", place / f"{name}.onnx"
    manifest = parse_manifest(_read(manifest_path), str(manifest_path))
    _check_identity(manifest, name, survey, str(manifest_path))
    graph = _read(graph_path)
    found_sha256 = hashlib.sha256(graph).hexdigest()
    if found_sha256 != manifest.graph_sha256:
        kind = "truncated" if len(graph) < manifest.graph_bytes else "changed, or of another manifest"
        raise ModelError(
            f"{graph_path}: expected {manifest.graph_bytes} bytes with sha256 {manifest.graph_sha256}, found "
            f"{len(graph)} bytes with {found_sha256}; the file is {kind}: copy or train the model again"
        )
    model = Model(manifest, Calibration(manifest.calibration_errors), _session(graph, graph_path))
    _check_references(model, str(manifest_path))
    return model


def _read(path: Traversable) -> bytes:
    if not path.is_file():
        raise ModelError(f"expected a model file {path}, found none; copy it there or train the model again")
    try:
        content = path.read_bytes()
    except OSError as failure:
        raise ModelError(f"{path} cannot be read: {failure}; check its permissions") from failure
    if content.startswith(b"version https://git-lfs"):
        raise ModelError(f"expected a model at {path}, found a Git-LFS pointer; fetch the file with: git lfs pull")
    return content


def _check_identity(manifest: Manifest, name: str, survey: str, where: str) -> None:
    for what, expected, found in (
        ("modality", name, manifest.modality),
        ("survey", survey, manifest.survey),
        ("preprocessing version", PREPROCESS_VERSION, manifest.preprocess_version),
    ):
        if found != expected:
            raise ModelError(f"{where}: expected {what} {expected!r}, found {found!r}; use a model made for it")
    if name == "features":
        expected_columns = [(f.name, f.unit) for f in FEATURES]
        found_columns = [(c.name, c.unit) for c in manifest.columns]
        if found_columns != expected_columns:
            raise ModelError(
                f"{where}: expected the input columns {expected_columns}, found {found_columns}; train the model again"
            )


def _session(graph: bytes, path: Traversable) -> "onnxruntime.InferenceSession":
    import onnxruntime  # commands that do not score start without it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as failure:  # onnxruntime's exceptions share no base below Exception
        raise ModelError(f"{path}: expected an ONNX graph, found what cannot be loaded: {failure}") from failure


def _check_references(model: Model, where: str) -> None:
    for number, reference in enumerate(model.manifest.references):
        try:
            transient = _reference_transient(reference.record, model.manifest.survey)
        except (AhaError, KeyError, TypeError, ValueError) as failure:
            raise ModelError(
                f"{where}: reference record {number} cannot be read: {failure!r}; train it again"
            ) from failure
        found = model.score(transient)
        if isinstance(found, Missing):
            raise ModelError(f"{where}: reference record {number} was scored in training, found {found.why}")
        same_error = math.isclose(found.error, reference.error, rel_tol=REFERENCE_RTOL, abs_tol=1e-6)
        scale = max(1.0, *map(abs, reference.latent))
        same_latent = len(found.latent) == len(reference.latent) and np.allclose(
            found.latent, reference.latent, rtol=0, atol=REFERENCE_RTOL * scale
        )
        if not (same_error and same_latent):
            raise ModelError(
                f"{where}: expected error {reference.error} for reference record {number}, as in training, found "
                f"{found.error}{'' if same_latent else ' and another latent'}; the graph, onnxruntime or the "
                f"preprocessing changed: train the model again"
            )


def _reference_transient(record: Mapping, survey: str) -> Transient:
    """Parse a reference record, which holds its stamps itself where it has any: FITS, gzipped, in base 64."""
    transient = PARSERS[survey](record)
    if "stamps" not in record:
        return transient
    stamps = [read_stamp(base64.b64decode(record["stamps"][name])) for name in CHANNELS]
    return dataclasses.replace(transient, triplet=Triplet(*stamps))
