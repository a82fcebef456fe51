"""One modality's graph, ready to run."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError, ModelError
from annotator.fences import failure_of, require_own_faults
from annotator.models.calibration import Calibration
from annotator.models.files import only_asked
from annotator.models.inputs import PREPARATIONS, Prepared
from annotator.models.manifest import Manifest
from annotator.models.observed import of_score
from annotator.models.scores import Missing, ModalityScore
from annotator.transient import Transient

if TYPE_CHECKING:
    from annotator.models.runtime import onnxruntime


SHOWN = ("reconstruction", "deviation")
"""Outputs that are looked at and that no score is made of: what the bottleneck stands for, and the residual in units
of what is expected of it."""

OBJECTS_AT_A_TIME = 32
"""Of which a model makes the tensors before it runs its graph on them. What a step needs then stays in the processor's
cache: an object takes two thirds of the time that it takes where each goes through all models by itself."""


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

        An object that the model fails at, whatever it raises, is missing it, with the failure; the others go on.

        Raises
        ------
        GeneralFaultError
            If the model fails at nearly all of them alike.
        """
        scores: list[ModalityScore | Missing] = []
        for start in range(0, len(transients), OBJECTS_AT_A_TIME):
            part = transients[start : start + OBJECTS_AT_A_TIME]
            made = [self._prepared(transient) for transient in part]
            scores += [
                prepared if isinstance(prepared, Missing) else self._scored(prepared, transient.object_id)
                for transient, prepared in zip(part, made, strict=True)
            ]
        failures = [item.failure for item in scores if isinstance(item, Missing) and item.failure]
        if failures:
            n_tried = len(failures) + sum(isinstance(item, ModalityScore) for item in scores)
            require_own_faults(failures, n_tried, f"objects that have {self.manifest.modality}")
        return scores

    def _prepared(self, transient: Transient) -> Prepared | Missing:
        try:
            return PREPARATIONS[self.manifest.modality](transient)
        except MissingModalityError as reason:
            return Missing(transient.why_missing.get(self.manifest.modality, str(reason)))
        except Exception as error:
            return _not_scored(error)

    def _scored(self, prepared: Prepared, object_id: str) -> ModalityScore | Missing:
        try:
            return self.score_prepared(prepared, object_id)
        except Exception as error:
            return _not_scored(error)

    def score_prepared(self, prepared: Prepared, object_id: str) -> ModalityScore:
        """Score what was prepared of one object, named in case the graph fails.

        Raises
        ------
        ModelError
            If the graph fails or gives a number that is not finite.
        """
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


def _not_scored(error: Exception) -> Missing:
    failure = failure_of(error)
    return Missing(f"it could not be scored: {failure}", failure)
