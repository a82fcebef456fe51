"""Why: one sentence for a person on what carries the score."""

from annotator.annotation import MAX_EXPLANATION, safe_text
from annotator.models import ModalityScore, ModelSet, Scores
from annotator.preprocess.features import FEATURES
from annotator.transient import Transient

STRONGEST = 2
"""How many features are named."""

_MEANING = {feature.name: feature.meaning for feature in FEATURES}
_MODALITY_WORDS = {"features": "object features"}


def explain(transient: Transient, scores: Scores, classification: str, model_set: ModelSet) -> str:
    """Say what was found in one sentence, in the characters that Lasair's SQL survives.

    Parameters
    ----------
    transient, scores, classification
        The object, what the models said of it, and what was decided.
    model_set
        The models, whose manifests turn residuals back into units.
    """
    if classification == "artefact":
        return safe_text(f"Artefact: none of {transient.n_det} detections is positive and passes real-bogus.")
    present = {name: item for name, item in scores.modalities.items() if isinstance(item, ModalityScore)}
    if not present:
        return "Not scored: no modality has what it needs."
    name = max(present, key=lambda modality: present[modality].score)
    rarity = f"1 in {10 ** present[name].score:.0f} classified supernovae is as odd in {_MODALITY_WORDS[name]}"
    return safe_text(f"{rarity}: {_strongest_features(transient, present[name], model_set)}.", MAX_EXPLANATION)


def _strongest_features(transient: Transient, scored: ModalityScore, model_set: ModelSet) -> str:
    """Name the features with the largest residuals, their values and what the model expected."""
    columns = zip(model_set.models["features"].manifest.columns, scored.residual, strict=True)
    present = [(column, residual) for column, residual in columns if column.name in transient.features]
    present.sort(key=lambda item: -abs(item[1]))
    return "; ".join(
        f"{_MEANING[column.name]} {transient.features[column.name]:.3g} {column.unit}, expected "
        f"{column.expected(transient.features[column.name], residual):.3g}"
        for column, residual in present[:STRONGEST]
    )
