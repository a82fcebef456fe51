"""What carries a score: features, epochs, pixels, each with how much of the oddity goes away without it."""

from collections.abc import Collection

from annotator.models import ModelSet, Scores
from annotator.reasons import features as feature_reasons
from annotator.reasons import lightcurve as lightcurve_reasons
from annotator.reasons import triplet as triplet_reasons
from annotator.reasons.reason import MAX_REASONS, Reason
from annotator.transient import Modality, Transient

_REASONS_OF = {
    Modality.FEATURES: feature_reasons.find,
    Modality.LIGHTCURVE: lightcurve_reasons.find,
    Modality.TRIPLET: triplet_reasons.find,
}


def reasons_of(
    transient: Transient, scores: Scores, model_set: ModelSet, modalities: Collection[str] = tuple(Modality)
) -> dict[str, tuple[Reason, ...]]:
    """Say what carries an object's scores.

    Parameters
    ----------
    transient, scores
        The object and what these models said of it.
    model_set
        The models; each is asked again without parts of its input.
    modalities
        Of which reasons are wanted.

    Returns
    -------
    dict
        By modality that is present, strongest first, at most :data:`MAX_REASONS` each; none where no part stands out.
    """
    return {
        name: _REASONS_OF[name](transient, scored, model_set.models[name])[:MAX_REASONS]
        for name, scored in scores.present.items()
        if name in modalities
    }
