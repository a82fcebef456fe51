"""The models: what their manifests promise, checked at the door, and the scores they give.

A model is two files, ``<modality>.onnx`` and ``<modality>.json``. All constants of a model live inside its graph; the
manifest says what it is, and holds records with the scores it must give: a model that doesn't is refused.
"""

import base64
import dataclasses
import functools
import importlib.resources
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotator.calibration import Calibration, Sampling, combined_score
from annotator.config import DecisionConfig
from annotator.drift import Distribution
from annotator.errors import AhaError, MissingModalityError, ModelError
from annotator.fits_stamps import read_stamp
from annotator.heads import HEADS, Head, load_head
from annotator.manifest import Manifest, parse_manifest
from annotator.model_files import check_identity, only_asked, open_graph, read_file
from annotator.observed import of_features, of_light_curve, of_score, of_stamps
from annotator.preprocess import PREPROCESS_VERSION
from annotator.preprocess.features import FEATURES, feature_row
from annotator.preprocess.lightcurve import Detections, lightcurve_input
from annotator.preprocess.quantities import QUANTITIES, quantities, quantity_row
from annotator.preprocess.stamp_statistics import stamp_statistics
from annotator.preprocess.triplet import CHANNELS, stamp_tensor
from annotator.surveys import PARSERS
from annotator.transient import Transient, Triplet

if TYPE_CHECKING:
    import onnxruntime

REFERENCE_RTOL = 1e-3
"""How far a reference record's error and latent may be from the training framework's, relative to the largest."""

REAL_BOGUS = ("rb", "drb")
"""Names of the survey's own scores of how real a detection is."""

SHOWN = ("reconstruction", "deviation")
"""Outputs that are looked at and that no score is made of: what the bottleneck stands for, and the residual in units
of what is expected of it."""

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
    """AHA's reconstruction error."""
    residual: tuple[float, ...]
    """Input less reconstruction, in the graph's scaled units; 0 where the value is missing."""
    latent: tuple[float, ...]
    """The object's place in the bottleneck."""
    is_extrapolated: bool = False
    """Whether the score is beyond what the number of known normals can tell, and follows the fitted tail."""
    prior: float | None = None
    """-log10 of the tail probability of the physical prior, of a model that has one."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """All single numbers that the graph gives, by output, and those of the input that a head learns from."""
    observed: Mapping[str, float | None] = field(default_factory=dict, compare=False)
    """What is watched for drift (:mod:`annotator.observed`), None where a value is missing; of the input, so that like
    verdicts on unlike objects are equal."""


@dataclass(frozen=True)
class Scores:
    """What the model set says of one object."""

    score: float
    """All present modalities combined (:func:`annotator.calibration.combined_score`); 0 when there are none."""
    modalities: Mapping[str, ModalityScore | Missing]
    """By the model set's modalities, each of them present."""
    prior: float | None = None
    """-log10 of the tail probability of how blue, nuclear and slow it is: an openly stated prior, beside the score."""
    exotic: float | None = None
    """Probability of being of a kind that earned a night before, learned from known exotics and people's verdicts."""
    artefact: float | None = None
    """Probability that the detection is bogus, by its stamps and real-bogus scores; None without stamps."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """What the heads were given, by name (:func:`head_numbers`)."""


@dataclass(frozen=True)
class Prepared:
    """What a model is given of one object."""

    tensors: Mapping[str, NDArray[np.float32]]
    """The graph's inputs, a batch of one."""
    sampling: Sampling
    observed: Mapping[str, float | None]
    """What of the input is watched for drift."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Further numbers of the input that a head learns from."""


def _prepare_features(transient: Transient) -> Prepared:
    tensors = {"features": feature_row(transient.features), "quantities": quantity_row(transient)}
    sampling = Sampling(transient.n_det, transient.extras.get("age_days"))
    observed = of_features(tensors["features"])
    return Prepared({name: row[np.newaxis] for name, row in tensors.items()}, sampling, observed)


def sampling_of(detections: Detections) -> Sampling:
    """Return how much was seen of a light curve."""
    return Sampling(len(detections), float(detections.time_days[-1] - detections.time_days[0]))


def _prepare_lightcurve(transient: Transient) -> Prepared:
    tensor, detections = lightcurve_input(transient.light_curve)
    return Prepared({"lightcurve": tensor[np.newaxis]}, sampling_of(detections), of_light_curve(detections))


def _prepare_triplet(transient: Transient) -> Prepared:
    if transient.triplet is None:
        raise MissingModalityError("no cutouts")
    tensor = stamp_tensor(transient.triplet)
    statistics = {f"stamp_{name}": value for name, value in stamp_statistics(tensor).items()}
    return Prepared({"stamps": tensor[np.newaxis]}, Sampling(), of_stamps(tensor), statistics)


PREPARATIONS: Mapping[str, Callable[[Transient], Prepared]] = MappingProxyType(
    {"features": _prepare_features, "lightcurve": _prepare_lightcurve, "triplet": _prepare_triplet}
)
"""How each modality's input is made; raises MissingModalityError where it can't be."""


@dataclass(frozen=True)
class Model:
    """One modality's graph, ready to run."""

    manifest: Manifest
    session: "onnxruntime.InferenceSession"

    @functools.cached_property
    def calibrations(self) -> Mapping[str, Calibration]:
        """What normal objects give, by output; the first is the one that is scored."""
        return MappingProxyType({item.output: Calibration(item.levels) for item in self.manifest.calibrated})

    @property
    def scored_output(self) -> str:
        """The output that the score is the tail probability of."""
        return self.manifest.calibrated[0].output

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
            made = [self._prepared(transient) for transient in part]
            scores += [
                prepared if isinstance(prepared, Missing) else self.score_prepared(prepared, transient.object_id)
                for transient, prepared in zip(part, made, strict=True)
            ]
        return scores

    def _prepared(self, transient: Transient) -> Prepared | Missing:
        try:
            return PREPARATIONS[self.manifest.modality](transient)
        except MissingModalityError as reason:
            return Missing(transient.why_missing.get(self.manifest.modality, str(reason)))

    def score_prepared(self, prepared: Prepared, object_id: str) -> ModalityScore:
        """Score what was prepared of one object, named in case the graph fails."""
        outputs = self.run(prepared.tensors, self._scored_outputs)
        if not all(np.isfinite(values).all() for values in outputs.values()):
            raise ModelError(
                f"model {self.manifest.name}: expected finite numbers for {object_id!r}, found error "
                f"{float(outputs['error'][0])}; the graph is faulty, train or install another"
            )
        numbers = {name: float(values[0]) for name, values in outputs.items() if values.ndim == 1}
        scores = {
            output: calibration.score(numbers[output], prepared.sampling)
            for output, calibration in self.calibrations.items()
        }
        level = self.calibrations[self.scored_output].level_of(prepared.sampling)
        return ModalityScore(
            score=scores[self.scored_output],
            is_extrapolated=scores[self.scored_output] > level.extrapolated_above,
            error=numbers["error"],
            residual=tuple(outputs["residual"][0].ravel().tolist()),
            latent=tuple(outputs["latent"][0].ravel().tolist()),
            prior=scores.get("prior"),
            numbers=numbers | dict(prepared.numbers),
            observed=dict(prepared.observed)
            | of_score(self.manifest.modality, scores[self.scored_output], numbers["error"], scores.get("prior")),
        )

    def reconstruct(self, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Return what the model would have expected of a batch of any size, by :data:`SHOWN` output.

        Each is ``(n, ...)`` float32, as the manifest describes it. A model without such outputs gives none: that of the
        object features, where the reconstruction is the scaled input less the residual.

        Raises
        ------
        ModelError
            If the graph fails or gives a number that is not finite.
        """
        names = [tensor.name for tensor in self.manifest.outputs if tensor.name in SHOWN]
        shown = self.run(tensors, names) if names else {}
        if not all(np.isfinite(values).all() for values in shown.values()):
            raise ModelError(
                f"model {self.manifest.name}: expected a reconstruction in finite numbers, found others; the graph is "
                f"faulty, train or install another"
            )
        return shown

    def run(
        self, tensors: Mapping[str, NDArray[np.float32]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Run the graph on its inputs, a batch of any size; return the named outputs, or all, by name.

        What only other outputs need is not computed.
        """
        names = [tensor.name for tensor in self.manifest.outputs] if outputs is None else list(outputs)
        try:
            return dict(zip(names, self.session.run(names, dict(tensors), only_asked()), strict=True))
        except Exception as failure:  # onnxruntime's exceptions share no base below Exception
            raise ModelError(f"model {self.manifest.name}: the graph does not run: {failure}") from failure

    @functools.cached_property
    def _scored_outputs(self) -> tuple[str, ...]:
        return tuple(tensor.name for tensor in self.manifest.outputs if tensor.name not in SHOWN)


@dataclass(frozen=True)
class ModelSet:
    """The models of one survey that belong together."""

    version: str
    """Names the set in every annotation, for example ``aha-ztf-1.0``."""
    survey: str
    models: Mapping[str, Model]
    """By modality."""
    heads: Mapping[str, Head] = field(default_factory=dict)
    """Models of what the modalities say, by name: ``exotic``, ``artefact``."""
    distributions: tuple[Distribution, ...] = field(default=(), repr=False)
    """Over the training sets of all models, of what is watched for drift."""

    def score(self, transients: Sequence[Transient]) -> list[Scores]:
        """Score objects, in order; an object's scores are the same to the bit whatever the others are."""
        by_model = zip(*(model.score_all(transients) for model in self.models.values()), strict=True)
        return [
            self._combined(transient, dict(zip(self.models, scores, strict=True)))
            for transient, scores in zip(transients, by_model, strict=True)
        ]

    def exotic_threshold(self, decision: DecisionConfig) -> float | None:
        """Return the probability of being exotic that makes an anomaly: the configured one, or the head's own."""
        if "exotic" not in self.heads:
            return None
        return decision.exotic_probability or self.heads["exotic"].manifest.threshold

    def learned_from(self, scores: Scores) -> dict[str, float]:
        """Return those numbers of an object that a head asks for."""
        wanted = {name for head in self.heads.values() for name in head.manifest.inputs}
        return {name: value for name, value in scores.numbers.items() if name in wanted}

    def _combined(self, transient: Transient, modalities: dict[str, ModalityScore | Missing]) -> Scores:
        present = {name: item for name, item in modalities.items() if isinstance(item, ModalityScore)}
        said = head_numbers(transient, present) if self.heads else {}
        return Scores(
            score=combined_score(item.score for item in present.values()),
            modalities=MappingProxyType(modalities),
            prior=next((item.prior for item in present.values() if item.prior is not None), None),
            **{name: head.probability(said) for name, head in self.heads.items()},
            numbers=said,
        )


def head_numbers(transient: Transient, present: Mapping[str, ModalityScore]) -> dict[str, float]:
    """Gather, by name, all numbers that a head may learn from.

    Quantities, and of each modality that is present its single numbers, residual terms of the stamps, and latent. No
    name, position, date, redshift or spectroscopic class is among them: a head can ask for no other number.
    """
    numbers = quantities(transient) | {name: transient.extras[name] for name in REAL_BOGUS if name in transient.extras}
    for modality, item in present.items():
        numbers |= {f"{modality}_{output}": value for output, value in item.numbers.items()}
        numbers |= {f"{modality}_latent_{i}": value for i, value in enumerate(item.latent)}
    if "triplet" in present:
        numbers |= {f"triplet_term_{i}": value for i, value in enumerate(present["triplet"].residual)}
    return numbers


def load_models(folder: Path | None, survey: str, with_heads: bool = True) -> ModelSet:
    """Load and check the models of a survey.

    Parameters
    ----------
    folder
        Where the models are, directly or in a subfolder named after the survey; None: those that this package ships.
    with_heads
        Whether the heads are wanted, too; those of an older set may lie there while a new one is made.

    Raises
    ------
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
    models = {name: _load_model(place, name, survey) for name in names if name not in HEADS}
    versions = {model.manifest.version for model in models.values()}
    if len(versions) != 1:
        raise ModelError(
            f"expected one model-set version in {place}, found {', '.join(sorted(versions)) or 'only heads'}; "
            f"keep models of one set together"
        )
    (version,) = versions
    heads = {name: load_head(place, name, survey, version) for name in names if with_heads and name in HEADS}
    revision = sum(head.manifest.revision for head in heads.values())
    return ModelSet(
        version=f"{version}.{revision}" if revision else version,
        survey=survey,
        models=MappingProxyType(models),
        heads=MappingProxyType(heads),
        distributions=tuple(item for model in models.values() for item in model.manifest.distributions),
    )


def place_of_models(folder: Path | None, survey: str) -> Traversable:
    """Return where the models of a survey are; None: those that this package ships.

    Raises
    ------
    ModelError
        If there is no such folder, or this package ships none for the survey.
    """
    if folder is None:
        shipped = importlib.resources.files("annotator.onnx_models") / survey
        if not shipped.is_dir():
            raise ModelError(f"expected models for survey {survey!r}, this package ships none; name a folder of models")
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
    if name == "features":
        expected_columns = [(f.name, f.unit) for f in FEATURES]
        known_quantities = {(q.name, q.unit) for q in QUANTITIES}
        found_columns = [(c.name, c.unit) for c in manifest.columns]
        first, others = found_columns[: len(FEATURES)], found_columns[len(FEATURES) :]
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
    transient = PARSERS[survey](record)
    if "stamps" not in record:
        return transient
    stamps = [read_stamp(base64.b64decode(record["stamps"][name])) for name in CHANNELS]
    return dataclasses.replace(transient, triplet=Triplet(*stamps))
