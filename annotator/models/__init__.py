"""The models: manifests, sessions, inputs, calibration, heads, known objects; scores."""

from annotator.models.load import load_models, load_to_stay
from annotator.models.model import Model
from annotator.models.model_set import ModelSet
from annotator.models.scores import Missing, ModalityScore, Scores

__all__ = ["Missing", "ModalityScore", "Model", "ModelSet", "Scores", "load_models", "load_to_stay"]
