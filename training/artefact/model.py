"""The artefact head: how likely a detection is bogus, by its stamps and the survey's own real-bogus scores.

What it learns from are ZTF's real-bogus scores, where they are clear, and people's verdicts. The scores are label and
input: so everything claimed is measured with the scores hidden, and a number with the scores shown is called circular.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.config import DecisionConfig
from annotator.decision.classify import VOUCHING_DRB
from annotator.errors import ConfigError
from annotator.preprocess.stamp_statistics import STATISTICS, stamp_statistics
from training.data.stamps import MIN_RB, StampTable
from training.triplet.out_of_fold import TERM_NAMES

REAL_BOGUS = ("rb", "drb")
STATISTIC_NAMES = tuple(f"triplet_stamp_{name}" for name in STATISTICS)
INPUTS = (*REAL_BOGUS, *TERM_NAMES, *STATISTIC_NAMES)
"""The head's numbers in order. The terms are robust deviations, one scale for all folds; latents of different folds'
autoencoders share no space, and added nothing to these (boosted trees: AUC 0.92 with them, 0.93 without)."""

MAX_BOGUS_DRB, MIN_REAL_DRB = 0.5, VOUCHING_DRB
"""drb has 2 % of either kind on the wrong side of 0.5 (Duev et al. 2019); real is called only what is clear."""
MAX_BOGUS_RB = 0.4
"""Where there is no drb. Between this and 0.65 as many lie on a known asteroid as anywhere: rb says nothing there."""
MAX_ASTEROID_ARCSEC = 5.0
VERDICT_WEIGHT = 5.0
"""Of a person's verdict on a stamp, beside 1 of a label that the real-bogus scores give."""
VERDICTS: Mapping[str, bool] = {"artefact": True, "regular": False, "anomaly": False}
"""What a verdict says: is it bogus?"""

N_KNOTS = 6
CLIP_QUANTILE = 0.005
REGULARISATION = 0.3
"""scikit-learn's C, of 0.01 to 0.3 the best out-of-fold; 0.1 is within 0.01 in AUC."""

THRESHOLD = DecisionConfig().artefact_probability
"""Probability from which on a detection is called an artefact. Of 0.4 to 0.8 in steps of 0.1 the lowest that calls no
classified object one, scores shown or hidden."""
TOP = 100


class ArtefactModel(nn.Module):
    """Logistic regression on piecewise linear functions of each number; what is missing adds nothing."""

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        n_functions = N_KNOTS + 1
        self.register_buffer("low", torch.zeros(n_inputs))
        self.register_buffer("high", torch.ones(n_inputs))
        self.register_buffer("knots", torch.zeros(N_KNOTS, n_inputs))
        self.register_buffer("centre", torch.zeros(n_functions, n_inputs))
        self.register_buffer("coefficients", torch.zeros(n_functions, n_inputs))
        self.register_buffer("intercept", torch.zeros(()))

    def functions(self, inputs: Tensor) -> Tensor:
        """``(n, d)``, NaN where missing -> ``(n, 7, d)`` centred functions of each number, 0 where it is missing."""
        is_present = ~torch.isnan(inputs)
        known = torch.where(is_present, inputs, torch.zeros_like(inputs))
        clipped = torch.minimum(torch.maximum(known, self.low), self.high)[:, None, :]
        hinges = torch.cat([clipped, (clipped - self.knots).clamp(min=0.0)], dim=1) - self.centre
        return hinges * is_present[:, None, :].to(inputs.dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(n, d)`` float32, NaN where missing -> probability of being bogus ``(n,)``."""
        return torch.sigmoid((self.functions(inputs) * self.coefficients).sum(dim=(1, 2)) + self.intercept)


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of stamps, each ``(n,)``."""

    is_bogus: NDArray[np.bool_]
    is_real: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """The rest, the unclear middle, neither trains nor measures."""
        return self.is_bogus | self.is_real


def artefact_labels(table: StampTable, verdicts: Mapping[str, str] | None = None) -> Labels:
    """Call stamps bogus or real where that is clear.

    Bogus: drb below 0.5, or, where there is no drb, rb below 0.4; and the object has no class, and no known asteroid
    is within 5 arcseconds. Real: drb of 0.9 or more, or without drb rb of 0.65 or more, or a class, or an asteroid,
    and not low by the rule above. A person's verdict on the object decides before all of them.

    Parameters
    ----------
    table
        Stamps with rb, drb, source_label and, where the table has it, ssdistnr.
    verdicts
        Object id to ``artefact``, ``regular`` or ``anomaly``.

    Raises
    ------
    ConfigError
        If a verdict is none of these.
    """
    verdicts = verdicts or {}
    if unknown := sorted(set(verdicts.values()) - set(VERDICTS)):
        raise ConfigError(f"expected verdicts among {', '.join(VERDICTS)}, found {', '.join(unknown)}; correct them")
    rb, drb, asteroid_arcsec = (table.numbers(name) for name in (*REAL_BOGUS, "ssdistnr"))
    has_drb = np.isfinite(drb)
    is_low = np.where(has_drb, drb < MAX_BOGUS_DRB, rb < MAX_BOGUS_RB)
    is_high = np.where(has_drb, drb >= MIN_REAL_DRB, rb >= MIN_RB)
    is_vouched = (table.column("source_label") != "") | (
        (asteroid_arcsec >= 0) & (asteroid_arcsec <= MAX_ASTEROID_ARCSEC)
    )
    is_bogus, is_real = is_low & ~is_vouched, (is_high | is_vouched) & ~is_low
    weights = np.ones(len(table.rows))
    for place, object_id in enumerate(table.column("objectId")):
        if object_id in verdicts and table.is_pick[place]:
            is_bogus[place] = VERDICTS[verdicts[object_id]]
            is_real[place] = not is_bogus[place]
            weights[place] = VERDICT_WEIGHT
    return Labels(is_bogus, is_real, weights)


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

    Every stamp is shown four times, a quarter of its weight each: as it is, without rb, without drb, without both. So
    the head works without them, and that they are there says nothing.

    Parameters
    ----------
    inputs
        ``(n, d)`` with rb and drb first, NaN where missing.
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
