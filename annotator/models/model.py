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
from annotator.models.inputs import PREPARATIONS, Beside, Prepared
from annotator.models.manifest import Manifest
from annotator.models.observed import of_score
from annotator.models.rows import ROWS, filled_up
from annotator.models.scores import Missing, ModalityScore
from annotator.transient import Transient

if TYPE_CHECKING:
    from annotator.models.runtime import onnxruntime


SHOWN = ("reconstruction", "deviation")
"""Outputs that are looked at and that no score is made of: what the bottleneck stands for, and the residual in units
of what is expected of it."""


@dataclass(frozen=True)
class Model:
    """One modality's graph, ready to run."""

    manifest: Manifest
    session: "onnxruntime.InferenceSession"

    @functools.cached_property
    def calibrations(self) -> Mapping[str, Calibration]:
        """What normal objects give, by output; the first is the one that is scored."""
        return MappingProxyType(
            {item.output: Calibration(item.levels, item.brightness) for item in self.manifest.calibrated}
        )

    @property
    def scored_output(self) -> str:
        """The output that the score is the tail probability of."""
        return self.manifest.calibrated[0].output

    def score(self, transient: Transient) -> ModalityScore | Missing:
        """Score one object, as :meth:`score_all` does."""
        return self.score_all([transient])[0]

    def score_all(self, transients: Sequence[Transient]) -> list[ModalityScore | Missing]:
        """Score objects, in order, each the same to the bit whatever the others are (:mod:`annotator.models.rows`).

        An object that the model fails at, whatever it raises, is missing it, with the failure; the others go on.

        Raises
        ------
        GeneralFaultError
            If the model fails at nearly all of them alike.
        """
        scores: dict[int, ModalityScore | Missing] = {}
        waiting: dict[int, object] = {}
        for number, transient in enumerate(transients):
            taken = self._taken(transient)
            if isinstance(taken, Missing):
                scores[number] = taken
            else:
                waiting[number] = taken
            # Run as soon as a batch is full: its tensors are still in the processor's cache.
            if len(waiting) == ROWS or (waiting and number == len(transients) - 1):
                names = [transients[place].object_id for place in waiting]
                scores |= zip(waiting, self._scored(list(waiting.values()), names), strict=True)
                waiting = {}
        failures = [item.failure for item in scores.values() if isinstance(item, Missing) and item.failure]
        if failures:
            n_tried = len(failures) + sum(isinstance(item, ModalityScore) for item in scores.values())
            require_own_faults(failures, n_tried, f"objects that have {self.manifest.modality}")
        return [scores[number] for number in range(len(transients))]

    def _taken(self, transient: Transient) -> object:
        """Take what tensors are made of; Missing where the object lacks it."""
        try:
            return PREPARATIONS[self.manifest.modality].take(transient)
        except MissingModalityError as reason:
            return Missing(transient.why_missing.get(self.manifest.modality, str(reason)))
        except Exception as error:
            return _not_scored(error)

    def _scored(self, taken: Sequence[object], object_ids: Sequence[str]) -> list[ModalityScore | Missing]:
        """Score a batch of what was taken of objects, or each by itself where that fails."""
        try:
            return self.score_prepared(PREPARATIONS[self.manifest.modality].lay_out(taken), object_ids)
        except Exception as error:
            if len(taken) == 1:
                return [_not_scored(error)]
        alone = (self._scored([item], [name]) for item, name in zip(taken, object_ids, strict=True))
        return [score for (score,) in alone]

    def score_prepared(self, prepared: Prepared, object_ids: Sequence[str]) -> list[ModalityScore]:
        """Score what was prepared of one to :data:`ROWS` objects, named in case the graph fails.

        Raises
        ------
        ModelError
            If the graph fails or gives a number that is not finite.
        """
        batch = {name: filled_up(rows) for name, rows in prepared.tensors.items()}
        outputs = {name: values[: len(prepared)] for name, values in self.run(batch, self._scored_outputs).items()}
        for values in outputs.values():
            if not np.isfinite(values).all():
                number = int(np.argmin(np.isfinite(values).reshape(len(prepared), -1).all(axis=1)))
                raise ModelError(
                    f"model {self.manifest.name}: expected finite numbers for {object_ids[number]!r}, found error "
                    f"{float(outputs['error'][number])}; the graph is faulty, train or install another"
                )
        columns = {name: values.reshape(len(prepared), -1).tolist() for name, values in outputs.items()}
        single = [name for name, values in outputs.items() if values.ndim == 1]
        return [
            self._score(
                item,
                {name: columns[name][number][0] for name in single},
                tuple(columns["residual"][number]),
                tuple(columns["latent"][number]),
            )
            for number, item in enumerate(prepared.beside)
        ]

    def _score(
        self, beside: Beside, numbers: Mapping[str, float], residual: tuple[float, ...], latent: tuple[float, ...]
    ) -> ModalityScore:
        """Calibrate what the graph gave of an object."""
        scores = {
            output: calibration.score(numbers[output], beside.sampling)
            for output, calibration in self.calibrations.items()
        }
        score, prior = scores[self.scored_output], scores.get("prior")
        level = self.calibrations[self.scored_output].level_of(beside.sampling)
        return ModalityScore(
            score=score,
            sampling=level.name,
            is_extrapolated=score > level.extrapolated_above,
            error=numbers["error"],
            residual=residual,
            latent=latent,
            prior=prior,
            numbers={**numbers, **beside.numbers},
            observed={**beside.observed, **of_score(self.manifest.modality, score, numbers["error"], prior)},
        )

    def reconstruct(self, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Return what the model would have expected of a batch of any size, by :data:`SHOWN` output.

        Each is ``(n, ...)`` float32, laid out as the input is. A model without such outputs gives none: that of the
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
        compose = PREPARATIONS[self.manifest.modality].compose
        return {name: compose(values) for name, values in shown.items()}

    def run(
        self, tensors: Mapping[str, NDArray[np.float32]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Run the graph on its inputs, a batch of any size; return the named outputs, or all, by name.

        All of the graph is computed, whatever is asked for.
        """
        names = [tensor.name for tensor in self.manifest.outputs] if outputs is None else list(outputs)
        try:
            return dict(zip(names, self.session.run(names, dict(tensors)), strict=True))
        except Exception as failure:  # onnxruntime's exceptions share no base below Exception
            raise ModelError(f"model {self.manifest.name}: the graph does not run: {failure}") from failure

    @functools.cached_property
    def _scored_outputs(self) -> tuple[str, ...]:
        return tuple(tensor.name for tensor in self.manifest.outputs if tensor.name not in SHOWN)


def _not_scored(error: Exception) -> Missing:
    failure = failure_of(error)
    return Missing(f"it could not be scored: {failure}", failure)
