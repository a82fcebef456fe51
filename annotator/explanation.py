"""Why: one sentence for a person on what carries the score."""

import dataclasses
import math

import numpy as np

from annotator.annotation import safe_text
from annotator.manifest import Column
from annotator.models import ModalityScore, Model, ModelSet, Scores
from annotator.preprocess.features import FEATURES
from annotator.transient import LightCurve, Transient

STRONGEST = 2
"""How many features are named."""

OUTSTANDING_MAG = 0.2
"""A detection that is closer to the line between its neighbours than this does not stand out."""

_MEANING = {feature.name: feature.meaning for feature in FEATURES}
_RARITY = {
    "features": "classified supernovae is as odd in object features",
    "lightcurve": "classified supernovae is as odd in its light curve",
    "triplet": "real detections is as odd in its stamps",  # too few classified supernovae have stamps
}


def explain(transient: Transient, scores: Scores, classification: str, model_set: ModelSet) -> str:
    """Say what was found in one sentence, in the characters that Lasair's SQL survives.

    The modality with the highest score has the word.

    Parameters
    ----------
    transient, scores, classification
        The object, what the models said of it, and what was decided.
    model_set
        The models; that of the object features is asked again without each feature in turn.
    """
    if classification == "artefact":
        return safe_text(_artefact_reason(transient, scores))
    present = {name: item for name, item in scores.modalities.items() if isinstance(item, ModalityScore)}
    if not present:
        return "Not scored: no modality has what it needs."
    name = max(present, key=lambda modality: present[modality].score)
    rarity = f"At most 1 in {10 ** present[name].score:.0f} {_RARITY[name]}"
    if classification == "normal":
        return f"Not unusual: {rarity[0].lower()}{rarity[1:]}."
    return safe_text(f"{rarity}: {_REASONS[name](transient, present[name], model_set.models[name])}.")


def _artefact_reason(transient: Transient, scores: Scores) -> str:
    if scores.artefact is None or (transient.n_det_good == 0 and transient.n_det > 1):
        return f"Artefact: none of {transient.n_det} detections is positive and passes real-bogus."
    has_stamps = isinstance(scores.modalities.get("triplet"), ModalityScore)
    seen = ["its stamps"] if has_stamps else []
    seen += [f"{name} {transient.extras[name]:.2f}" for name in ("rb", "drb") if name in transient.extras]
    return f"Artefact: bogus with a probability of {scores.artefact:.2f}, judged by {', '.join(seen)}."


def _feature_reasons(transient: Transient, scored: ModalityScore, model: Model) -> str:
    columns = {column.name: column for column in model.manifest.columns}
    names = strongest_features(transient, scored, model)[:STRONGEST]
    return "; ".join(_in_words(columns[name], transient.features[name]) for name in names)


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


def _light_curve_reasons(transient: Transient, scored: ModalityScore, model: Model) -> str:
    """Name the detection without which the curve is least odd, where it stands out from those beside it."""
    curve = transient.light_curve
    errors = [_error_without(transient, number, model) for number in range(len(curve.time_mjd))]
    number = int(np.argmin(errors))
    difference_mag = _difference_from_neighbours(curve, number)
    if errors[number] >= scored.error or abs(difference_mag) < OUTSTANDING_MAG:
        return "its course as a whole, no single detection"
    where = f"{curve.band[number]} {curve.magnitude[number]:.1f} mag on MJD {curve.time_mjd[number]:.1f}"
    direction = "fainter" if difference_mag > 0 else "brighter"
    return f"{where}, {abs(difference_mag):.1f} mag {direction} than those beside it"


def _error_without(transient: Transient, number: int, model: Model) -> float:
    """Return the error of the light curve without one detection; infinite where too little is left."""
    curve = transient.light_curve
    names = ("time_mjd", "band", "magnitude", "magnitude_error", "is_positive")
    rest = dataclasses.replace(curve, **{name: np.delete(getattr(curve, name), number) for name in names})
    scored = model.score(dataclasses.replace(transient, light_curve=rest))
    return scored.error if isinstance(scored, ModalityScore) else math.inf


def _difference_from_neighbours(curve: LightCurve, number: int) -> float:
    """Return by how many magnitudes a detection is fainter than the line between those beside it; 0 at an end."""
    others = curve.band == curve.band[number]
    others[number] = False
    mjd, times_mjd = curve.time_mjd[number], curve.time_mjd[others]
    if not ((times_mjd < mjd).any() and (times_mjd > mjd).any()):
        return 0.0
    return float(curve.magnitude[number] - np.interp(mjd, times_mjd, curve.magnitude[others]))


def _triplet_reasons(_transient: Transient, scored: ModalityScore, model: Model) -> str:
    """Name the stamp with the largest term of the error."""
    meaning = next(tensor.meaning for tensor in model.manifest.outputs if tensor.name == "residual")
    term = meaning.partition(": ")[2].split("; ")[int(np.argmax(scored.residual))]
    stamp = next(name for name in ("science", "template", "difference") if name in term)
    return f"the {stamp} stamp above all"


_REASONS = {"features": _feature_reasons, "lightcurve": _light_curve_reasons, "triplet": _triplet_reasons}
