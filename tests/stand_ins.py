"""Models that stand in for those of the light curve and the triplet: what they say follows from what was fetched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from annotator.models import Missing, ModalityScore, ModelSet
from annotator.models.manifest import Tensor
from annotator.preprocess.lightcurve import SHAPE
from annotator.preprocess.triplet import CHANNELS, SIDE
from annotator.transient import Transient


@dataclass(frozen=True)
class StandIn:
    modality: str
    error: Callable[[Transient], float | None]
    """None where the object lacks what it needs."""
    lacks: str
    scored_output: str = "error"

    @property
    def manifest(self) -> SimpleNamespace:
        """Say of the residual what a reason is read from."""
        return SimpleNamespace(outputs=(Tensor("residual", ("n", "1"), "terms: core difference, box 1, radius 6"),))

    def run(
        self, tensors: Mapping[str, NDArray[np.float32]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Reconstruct nothing, without an error."""
        n = len(next(iter(tensors.values())))
        shape = SHAPE if self.modality == "lightcurve" else (len(CHANNELS), SIDE, SIDE)
        nothing = np.zeros((n, *shape), dtype=np.float32)
        return {"error": np.zeros(n, dtype=np.float32), "reconstruction": nothing, "deviation": nothing}

    def reconstruct(self, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        return self.run(tensors)

    def score(self, transient: Transient) -> ModalityScore | Missing:
        error = self.error(transient)
        if error is None:
            return Missing(transient.why_missing.get(self.modality, self.lacks))
        return ModalityScore(score=1.0, error=error, residual=(0.0,), latent=(0.0,), numbers={"error": error})

    def score_all(self, transients: Sequence[Transient]) -> list[ModalityScore | Missing]:
        return [self.score(transient) for transient in transients]


def _detections(transient: Transient) -> float | None:
    return None if transient.light_curve is None else float(len(transient.light_curve.time_mjd))


def _light(transient: Transient) -> float | None:
    stamps = transient.triplet
    if stamps is None:
        return None
    of_all = (stamps.science, stamps.template, stamps.difference)
    return float(sum(stamp[stamp.shape[0] // 2, stamp.shape[1] // 2] for stamp in of_all))


STAND_INS = {
    "lightcurve": StandIn("lightcurve", _detections, "the record has no light curve"),
    "triplet": StandIn("triplet", _light, "the record has no cutouts"),
}


def with_stand_ins(models: ModelSet, *modalities: str) -> ModelSet:
    """Keep the object features' model of a set, and add stand-ins for these modalities."""
    kept = {"features": models.models["features"]} | {name: STAND_INS[name] for name in modalities}
    return ModelSet(models.version, models.survey, MappingProxyType(kept))
