"""Why: one sentence for a person on what carries the score."""

import dataclasses
import datetime
import math
import re

import numpy as np

from annotator.annotation import safe_text
from annotator.manifest import Column
from annotator.models import ModalityScore, Model, ModelSet, Scores
from annotator.preprocess.features import FEATURES, feature_row
from annotator.preprocess.quantities import QUANTITIES, QUANTITY_NAMES, quantities, quantity_row
from annotator.transient import LightCurve, Transient
from annotator.verdicts import Verdict

STRONGEST = 2
"""How many features are named."""

WORTH_SAYING = 0.1
"""From this probability of being exotic on it stands in the sentence."""

OUTSTANDING_MAG = 0.2
"""A detection that is closer to the line between its neighbours than this does not stand out."""

MAX_TNS_TYPE = 24
"""Characters of a class in TNS that are stated."""

_STATED_CLASS = re.compile(rf"(?:.{{1,{MAX_TNS_TYPE}}} in TNS\. )?")

_MEANING = {quantity.name: quantity.meaning for quantity in QUANTITIES}
_SHERLOCK = "sherlock_"
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
        The models; each is asked again without each part of its input in turn.
    """
    if classification == "artefact":
        return safe_text(_artefact_reason(transient, scores))
    present = {name: item for name, item in scores.modalities.items() if isinstance(item, ModalityScore)}
    if not present:
        return "Not scored: no modality has what it needs."
    name = max(present, key=lambda modality: present[modality].score)
    rarity = _rarity(present[name], name)
    if classification == "normal":
        return f"Not unusual: {rarity[0].lower()}{rarity[1:]}."
    because = f"{rarity}: {_REASONS[name](transient, present[name], model_set.models[name])}."
    if scores.exotic is not None and scores.exotic >= WORTH_SAYING:
        because += f" Like known SLSN or TDE with probability {scores.exotic:.2f}."
    return safe_text(because)


def _rarity(scored: ModalityScore, name: str) -> str:
    """Say how rare it is; of an extrapolation two digits are more than enough."""
    one_in = 10**scored.score
    if scored.is_extrapolated:
        return f"By extrapolation 1 in {float(f'{one_in:.2g}'):.0f} {_RARITY[name]}"
    return f"At most 1 in {one_in:.0f} {_RARITY[name]}"


def explain_verdict(verdict: Verdict) -> str:
    """Say that a person has judged; who it was stays here."""
    found = {"regular": "regular", "artefact": "an artefact"}[verdict.verdict]
    return safe_text(f"Judged {found} by a person on {verdict.when.astimezone(datetime.UTC).date().isoformat()}.")


def state_class(explanation: str, tns_type: str) -> str:
    """Put an object's class in TNS before what is odd about it, in the place of one that was stated before."""
    rest = explanation[_STATED_CLASS.match(explanation).end() :]
    stated = safe_text(tns_type, MAX_TNS_TYPE) or "Classified"  # it may be in letters that Lasair does not survive
    return safe_text(f"{stated} in TNS. {rest}")


def _artefact_reason(transient: Transient, scores: Scores) -> str:
    if scores.artefact is None or (transient.n_det_good == 0 and transient.n_det > 1):
        return f"Artefact: none of {transient.n_det} detections is positive and passes real-bogus."
    has_stamps = isinstance(scores.modalities.get("triplet"), ModalityScore)
    seen = ["its stamps"] if has_stamps else []
    seen += [f"{name} {transient.extras[name]:.2f}" for name in ("rb", "drb") if name in transient.extras]
    return f"Artefact: bogus with a probability of {scores.artefact:.2f}, judged by {', '.join(seen)}."


def _feature_reasons(transient: Transient, _scored: ModalityScore, model: Model) -> str:
    columns = {column.name: column for column in model.manifest.columns}
    found = quantities(transient)
    names = strongest_quantities(transient, model)[:STRONGEST]
    return "; ".join(_in_words(columns[name], found[name]) for name in names)


def strongest_quantities(transient: Transient, model: Model) -> list[str]:
    """Order an object's quantities by how much nearer it would be to normal ones if the model did not see them.

    Sherlock's class is one quantity, named by the class that the object has.
    """
    groups: dict[str, list[int]] = {}
    for column in model.manifest.columns[len(FEATURES) :]:
        place = QUANTITY_NAMES.index(column.name)
        groups.setdefault(_SHERLOCK if column.name.startswith(_SHERLOCK) else column.name, []).append(place)
    row = quantity_row(transient)
    groups = {name: places for name, places in groups.items() if np.isfinite(row[places]).all()}
    if not groups:
        return []
    without = np.repeat(row[np.newaxis], len(groups), axis=0)
    for number, places in enumerate(groups.values()):
        without[number, places] = np.nan
    features = np.repeat(feature_row(transient.features)[np.newaxis], len(groups), axis=0)
    oddities = model.run({"features": features, "quantities": without})[model.scored_output]
    named = [QUANTITY_NAMES[max(places, key=lambda place: row[place])] for places in groups.values()]
    return [named[number] for number in np.argsort(oddities, kind="stable")]


def _in_words(column: Column, value: float) -> str:
    """State a value beside the middle two thirds of the normals that the model was trained on."""
    if column.name.startswith(_SHERLOCK):
        return _MEANING[column.name]
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
