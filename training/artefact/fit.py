"""Fit the head `artefact`: how likely a detection is bogus, by its stamps and the survey's own real-bogus scores."""

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.errors import ConfigError
from annotator.preprocess.stamp_statistics import STATISTICS, stamp_statistics
from training.artefact.labels import REAL_BOGUS, Labels
from training.artefact.network import N_KNOTS, ArtefactModel
from training.data.stamps import StampTable
from training.triplet.out_of_fold import TERM_NAMES

STATISTIC_NAMES = tuple(f"triplet_stamp_{name}" for name in STATISTICS)
INPUTS = (*REAL_BOGUS, *TERM_NAMES, *STATISTIC_NAMES)
"""The head's numbers in order. The terms are robust deviations, one scale for all folds; latents of different folds'
autoencoders share no space, and added nothing to these (boosted trees: AUC 0.92 with them, 0.93 without)."""

CLIP_QUANTILE = 0.005
REGULARISATION = 0.3
"""scikit-learn's C, of 0.01 to 0.3 the best out-of-fold; 0.1 is within 0.01 in AUC."""


def artefact_inputs(table: StampTable, terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gather the head's numbers ``(n, 24)``, in the order of :data:`INPUTS`, NaN where missing.

    Parameters
    ----------
    table
        Stamps.
    terms
        ``(n, 6)``, each by the model that had not seen the stamps (:func:`out_of_fold_terms`), as the annotator's
        model has not seen a new object's.
    """
    statistics = np.array([list(stamp_statistics(tensor).values()) for tensor in table.tensors])
    return np.column_stack([*(table.numbers(name) for name in REAL_BOGUS), terms, statistics])


def hidden(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inputs ``(n, 24)`` as if there were no real-bogus scores."""
    result = inputs.copy()
    result[:, : len(REAL_BOGUS)] = np.nan
    return result


def fit_artefact(
    inputs: NDArray[np.float64], is_bogus: NDArray[np.bool_], weights: NDArray[np.float64]
) -> ArtefactModel:
    """Fit the head.

    Every stamp is shown four times, a quarter of its weight each: as it is, without the one score, without the other,
    without both. So the head works without them, and that they are there says nothing.

    Parameters
    ----------
    inputs
        ``(n, d)`` with :data:`REAL_BOGUS` first, NaN where missing.
    is_bogus, weights
        ``(n,)``.

    Returns
    -------
    ArtefactModel
        In evaluation mode.

    Raises
    ------
    ConfigError
        If all are bogus, or none is.
    """
    from sklearn.linear_model import LogisticRegression

    if is_bogus.all() or not is_bogus.any():
        raise ConfigError(
            f"expected bogus and real stamps to tell apart, found {int(is_bogus.sum())} bogus of {len(is_bogus)}; "
            "collect more objects"
        )
    model = ArtefactModel(inputs.shape[1]).eval()
    quantiles = np.linspace(0, 1, N_KNOTS + 2)[1:-1]
    for column, values in enumerate(inputs.T):
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        model.low[column], model.high[column] = np.quantile(known, [CLIP_QUANTILE, 1 - CLIP_QUANTILE])
        model.knots[:, column] = torch.from_numpy(np.quantile(known, quantiles))
    shown = np.concatenate([_without(inputs, columns) for columns in ((), (0,), (1,), (0, 1))])
    targets, shares = np.tile(is_bogus, 4), np.tile(weights, 4) / 4
    n_functions, n_inputs = model.coefficients.shape
    is_present = torch.from_numpy(np.isfinite(inputs))
    raw = model.functions(torch.from_numpy(inputs.astype(np.float32)))
    n_known = is_present.sum(dim=0).clamp(min=1)
    model.centre.copy_(raw.sum(dim=0) / n_known)
    centred = model.functions(torch.from_numpy(inputs.astype(np.float32)))
    spread = (centred.square().sum(dim=0) / n_known).sqrt().clamp(min=1e-6)
    functions = (model.functions(torch.from_numpy(shown.astype(np.float32))) / spread).flatten(1).numpy()
    regression = LogisticRegression(C=REGULARISATION, max_iter=3000).fit(functions, targets, sample_weight=shares)
    coefficients = torch.from_numpy(regression.coef_[0].reshape(n_functions, n_inputs))
    model.coefficients.copy_(coefficients / spread)
    model.intercept.copy_(torch.tensor(float(regression.intercept_[0])))
    return model


def _without(inputs: NDArray[np.float64], columns: tuple[int, ...]) -> NDArray[np.float64]:
    result = inputs.copy()
    result[:, list(columns)] = np.nan
    return result


def probabilities(model: ArtefactModel, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the head's probability ``(n,)`` of inputs ``(n, d)``."""
    with torch.no_grad():
        return model(torch.from_numpy(inputs.astype(np.float32))).numpy().astype(np.float64)


def out_of_fold(
    inputs: NDArray[np.float64], labels: Labels, folds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Judge each stamp by a head that knew no stamp of its fold.

    Returns
    -------
    NDArray
        ``(n,)`` probabilities with the real-bogus scores hidden: what may be claimed.
    NDArray
        ``(n,)`` probabilities with the scores shown: circular where they made the label.
    """
    blind, shown = np.full(len(inputs), np.nan), np.full(len(inputs), np.nan)
    for fold in np.unique(folds):
        train, test = labels.is_known & (folds != fold), folds == fold
        model = fit_artefact(inputs[train], labels.is_bogus[train], labels.weights[train])
        blind[test], shown[test] = probabilities(model, hidden(inputs[test])), probabilities(model, inputs[test])
    return blind, shown
