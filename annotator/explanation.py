"""Why: one sentence for a person on what carries the score."""

import dataclasses

from annotator.annotation import MAX_EXPLANATION, safe_text
from annotator.manifest import Column
from annotator.models import ModalityScore, Model, ModelSet, Scores
from annotator.preprocess.features import FEATURES
from annotator.transient import Transient

STRONGEST = 2
"""How many features are named."""

_MEANING = {feature.name: feature.meaning for feature in FEATURES}


def explain(transient: Transient, scores: Scores, classification: str, model_set: ModelSet) -> str:
    """Say what was found in one sentence, in the characters that Lasair's SQL survives.

    Parameters
    ----------
    transient, scores, classification
        The object, what the models said of it, and what was decided.
    model_set
        The models, which are asked again without each feature in turn.
    """
    if classification == "artefact":
        return safe_text(f"Artefact: none of {transient.n_det} detections is positive and passes real-bogus.")
    scored = scores.modalities.get("features")
    if not isinstance(scored, ModalityScore):
        return "Not scored: no modality has what it needs."
    rarity = f"At most 1 in {10**scored.score:.0f} classified supernovae is as odd in object features"
    if classification == "normal":
        return f"Not unusual: {rarity[0].lower()}{rarity[1:]}."
    names = strongest_features(transient, scored, model_set.models["features"])
    columns = {column.name: column for column in model_set.models["features"].manifest.columns}
    reasons = "; ".join(_in_words(columns[name], transient.features[name]) for name in names[:STRONGEST])
    return safe_text(f"{rarity}: {reasons}.", MAX_EXPLANATION)


def strongest_features(transient: Transient, scored: ModalityScore, model: Model) -> list[str]:
    """Order an object's features by how much of its error goes when the model does not see them.

    The feature with the largest residual is often not the one that is odd: an autoencoder bends the others to fit.
    Without the odd one, what is left fits together again.
    """
    n_present = len(transient.features)
    carried = {}
    for name in transient.features:
        others = {other: value for other, value in transient.features.items() if other != name}
        without = model.score(dataclasses.replace(transient, features=others))
        if isinstance(without, ModalityScore):
            # The error is a mean over the features that are there.
            carried[name] = scored.error * n_present - without.error * (n_present - 1)
    return sorted(carried, key=lambda name: -carried[name])


def _in_words(column: Column, value: float) -> str:
    """State a value beside the middle two thirds of the normals that the model was trained on."""
    low, high = column.unscaled(-1.0), column.unscaled(1.0)
    return f"{_MEANING[column.name]} {value:.3g} {column.unit} (most have {low:.3g} to {high:.3g})"
