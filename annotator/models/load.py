"""A model set read from its folder and checked: a model that does not reproduce its reference records is refused."""

import base64
import dataclasses
import gc
import importlib.resources
import math
from collections.abc import Collection, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

import numpy as np

from annotator.errors import AhaError, ConfigError, ModelError
from annotator.models import worth as worth_weights
from annotator.models.files import check_identity, open_graph, read_file
from annotator.models.heads import HEADS, load_head
from annotator.models.inputs import PREPARATIONS
from annotator.models.manifest import Manifest, parse_manifest
from annotator.models.model import Model
from annotator.models.model_set import ModelSet
from annotator.models.scores import Missing
from annotator.preprocess import PREPROCESS_VERSION
from annotator.preprocess.evolution import EVOLUTION
from annotator.preprocess.fits import read_stamp
from annotator.preprocess.quantities import QUANTITIES
from annotator.preprocess.triplet import CHANNELS
from annotator.surveys import SURVEYS
from annotator.transient import Modality, Transient, Triplet

REFERENCE_RTOL = 1e-3
"""How far a reference record's error and latent may be from the training framework's, relative to the largest."""


BESIDE = (*HEADS, worth_weights.NAME)
"""What a model set has beside its models, made for them."""


def load_models(folder: Path | None, survey: str, beside: Collection[str] = BESIDE) -> ModelSet:
    """Load and check the models of a survey.

    Parameters
    ----------
    folder
        Where the models are, directly or in a subfolder named after the survey; None: those that this package ships.
    beside
        Which of :data:`BESIDE` are wanted, where they are there; those of an older set may lie there while a new one is
        made.

    Raises
    ------
    ConfigError
        If this package ships none for the survey.
    ModelError
        If there are none, or one is damaged, changed, of another survey, preprocessing or model set, or does not
        reproduce its reference records.
    """
    place = place_of_models(folder, survey)
    names = sorted({Path(entry.name).stem for entry in place.iterdir() if entry.name.endswith((".onnx", ".json"))})
    if not names:
        raise ModelError(
            f"expected models (features.onnx and features.json) in {place}, found none; "
            f"train them with aha-train, or name another folder"
        )
    models = {name: _load_model(place, name, survey) for name in names if name not in BESIDE}
    versions = {model.manifest.version for model in models.values()}
    if len(versions) != 1:
        raise ModelError(
            f"expected one model-set version in {place}, found {', '.join(sorted(versions)) or 'only heads'}; "
            f"keep models of one set together"
        )
    (version,) = versions
    heads = {name: load_head(place, name, survey, version) for name in HEADS if name in names and name in beside}
    has_worth = worth_weights.NAME in names and worth_weights.NAME in beside
    why = (item.manifest.provisional for item in (*models.values(), *heads.values()))
    revision = sum(head.manifest.revision for head in heads.values())
    return ModelSet(
        version=f"{version}.{revision}" if revision else version,
        survey=survey,
        models=MappingProxyType(models),
        heads=MappingProxyType(heads),
        worth=worth_weights.load_worth(place, survey, version) if has_worth else None,
        distributions=tuple(item for model in models.values() for item in model.manifest.distributions),
        provisional="; ".join(dict.fromkeys(filter(None, why))),
    )


def load_to_stay(folder: Path | None, survey: str) -> ModelSet:
    """Load the models of a survey, as :func:`load_models` does, for as long as this process lives.

    Python's collector of garbage is told to leave alone what is there now: it would look through all that the models
    hold again and again.
    """
    models = load_models(folder, survey)
    gc.collect()
    gc.freeze()
    return models


def place_of_models(folder: Path | None, survey: str) -> Traversable:
    """Return where the models of a survey are; None: those that this package ships.

    Raises
    ------
    ConfigError
        If this package ships none for the survey.
    ModelError
        If there is no such folder.
    """
    if folder is None:
        shipped = importlib.resources.files("annotator.onnx_models") / survey
        if not shipped.is_dir():
            raise ConfigError(f"no models for survey {survey} yet: this package ships none; name a folder of your own")
        return shipped
    if not folder.is_dir():
        raise ModelError(f"expected a folder of models at {folder}, found none; name the folder that holds them")
    return folder / survey if (folder / survey).is_dir() else folder


def _load_model(place: Traversable, name: str, survey: str) -> Model:
    if name not in PREPARATIONS:
        raise ModelError(
            f"{place}: expected models named {', '.join((*PREPARATIONS, *HEADS))}, found {name!r}; this version "
            f"doesn't know that modality: move the file away, or upgrade"
        )
    manifest_path, graph_path = place / f"{name}.json", place / f"{name}.onnx"
    manifest = parse_manifest(read_file(manifest_path), str(manifest_path))
    _check_identity(manifest, name, survey, str(manifest_path))
    model = Model(manifest, open_graph(graph_path, manifest.graph_sha256, manifest.graph_bytes))
    _check_references(model, str(manifest_path))
    return model


def _check_identity(manifest: Manifest, name: str, survey: str, where: str) -> None:
    expected = {"modality": name, "survey": survey, "preprocess_version": PREPROCESS_VERSION}
    check_identity(where, {key: (value, getattr(manifest, key)) for key, value in expected.items()})
    if name == Modality.FEATURES:
        of_light_curve = SURVEYS[survey].features_are_of_light_curve
        expected_columns = [] if of_light_curve else [(f.name, f.unit) for f in SURVEYS[survey].features]
        known_quantities = {(q.name, q.unit) for q in (EVOLUTION if of_light_curve else QUANTITIES)}
        found_columns = [(c.name, c.unit) for c in manifest.columns]
        first, others = found_columns[: len(expected_columns)], found_columns[len(expected_columns) :]
        if first != expected_columns or not known_quantities.issuperset(others):
            raise ModelError(
                f"{where}: expected the input columns {expected_columns} and quantities of this release, found "
                f"{found_columns}; train the model again"
            )


def _check_references(model: Model, where: str) -> None:
    for number, reference in enumerate(model.manifest.references):
        try:
            transient = reference_transient(reference.record, model.manifest.survey)
        except (AhaError, KeyError, TypeError, ValueError) as failure:
            raise ModelError(
                f"{where}: reference record {number} cannot be read: {failure!r}; train it again"
            ) from failure
        found = model.score(transient)
        if isinstance(found, Missing):
            raise ModelError(f"{where}: reference record {number} was scored in training, found {found.why}")
        expected = {"error": reference.error, **reference.others}
        differing = [
            f"{name} {value}, found {found.numbers.get(name)}"
            for name, value in expected.items()
            if not math.isclose(found.numbers.get(name, math.nan), value, rel_tol=REFERENCE_RTOL, abs_tol=1e-6)
        ]
        scale = max(1.0, *map(abs, reference.latent))
        if len(found.latent) != len(reference.latent) or not np.allclose(
            found.latent, reference.latent, rtol=0, atol=REFERENCE_RTOL * scale
        ):
            differing.append("its latent, found another")
        if differing:
            raise ModelError(
                f"{where}: expected for reference record {number}, as in training, {'; '.join(differing)}; the graph, "
                f"onnxruntime or the preprocessing changed: train the model again"
            )


def reference_transient(record: Mapping, survey: str) -> Transient:
    """Parse a reference record, which holds its stamps itself where it has any: FITS, gzipped, in base 64."""
    transient = SURVEYS[survey].parse(record)
    if "stamps" not in record:
        return transient
    stamps = [read_stamp(base64.b64decode(record["stamps"][name])) for name in CHANNELS]
    return dataclasses.replace(transient, triplet=Triplet(*stamps))
