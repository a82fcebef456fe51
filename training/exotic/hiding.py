"""Hide what an object may lack, as a record without it would: so that a head learns to do without, and is seen to.

Without its columns an object has fewer quantities, and what the model of the object features says of it is another
thing, too: both are what the annotator would have.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.models.model import Model
from annotator.preprocess.features import Feature
from annotator.preprocess.quantities import QUANTITY_NAMES
from training.exotic.network import GROUP_PLACES, GROUPS, INPUTS, MODALITY_INPUTS, N_LATENTS

DROP_PROBABILITY = 0.1
"""Of each group in each row of training, beyond what makes it as common in both classes."""

TOLD = MODALITY_INPUTS["features"]
"""What the model of the object features says."""

TOLD_PLACES = [INPUTS.index(name) for name in TOLD]
_COLUMN_GROUPS = tuple(name for name in GROUPS if name not in MODALITY_INPUTS)


@dataclass(frozen=True, eq=False)
class Told:
    """What the model of the object features says of states, whichever of the groups of columns are hidden."""

    values: NDArray[np.float32]
    """``(n, 2 ** n_groups, len(TOLD))``: by state and by which groups are hidden, the first group the lowest bit."""

    def where(self, kept: NDArray) -> "Told":
        """Return some of the states, by mask or index."""
        return Told(self.values[kept])

    def of(self, is_hidden: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return what is said where the groups ``(n, n_groups)`` are hidden, ``(n, len(TOLD))``."""
        return self.values[np.arange(len(self.values)), _combination(is_hidden)]


def _combination(is_hidden: NDArray[np.bool_]) -> NDArray[np.int64]:
    places = [list(GROUPS).index(name) for name in _COLUMN_GROUPS]
    return is_hidden[:, places] @ (1 << np.arange(len(places)))


def told_whatever_is_hidden(
    model: Model,
    table: tuple[Feature, ...],
    features: NDArray[np.float32],
    quantities: NDArray[np.float32],
    numbers: NDArray[np.float32],
) -> Told:
    """Ask the model of the object features about states with each combination of groups hidden.

    Parameters
    ----------
    table
        The survey's features, which say what each of them is.
    features, quantities
        The model's inputs, ``(n, n_features)`` and ``(n, n_quantities)``.
    numbers
        ``(n, len(INPUTS))``: what is said with nothing hidden. An error by a model that did not see the object is
        changed by as much as that of the served model is.
    """
    before = _said(model, features, quantities)
    values = np.empty((len(numbers), 1 << len(_COLUMN_GROUPS), len(TOLD)), dtype=np.float32)
    for number, chosen in enumerate(itertools.product((False, True), repeat=len(_COLUMN_GROUPS))):
        hidden = {
            name for name, is_in in zip(reversed(_COLUMN_GROUPS), chosen, strict=True) if is_in for name in GROUPS[name]
        }
        fewer, less = features.copy(), quantities.copy()
        fewer[:, [place for place, feature in enumerate(table) if feature.quantity in hidden]] = np.nan
        less[:, [place for place, name in enumerate(QUANTITY_NAMES) if name in hidden]] = np.nan
        said = _said(model, fewer, less)
        values[:, number] = np.where(np.array(TOLD) == "features_error", numbers[:, TOLD_PLACES] + said - before, said)
    return Told(values)


def _said(model: Model, features: NDArray[np.float32], quantities: NDArray[np.float32]) -> NDArray[np.float32]:
    outputs = model.run({"features": features, "quantities": quantities})
    latents = outputs["latent"][:, :N_LATENTS]
    return np.column_stack([*(outputs[name] for name in ("error", "oddity", "prior")), latents]).astype(np.float32)


def is_there(numbers: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which groups an object has any number of, ``(n, len(INPUTS))`` -> ``(n, n_groups)``."""
    return np.column_stack([np.isfinite(numbers[:, places]).any(axis=1) for places in GROUP_PLACES.values()])


def hidden(numbers: NDArray[np.float32], is_hidden: NDArray[np.bool_], told: Told | None = None) -> NDArray[np.float32]:
    """Return what is left of numbers ``(n, len(INPUTS))`` where groups ``(n, n_groups)`` are hidden.

    Parameters
    ----------
    told
        What the model of the object features says then; None: it says what it said.
    """
    kept = numbers.copy()
    if told is not None:
        kept[:, TOLD_PLACES] = told.of(is_hidden)
    for places, rows in zip(GROUP_PLACES.values(), is_hidden.T, strict=True):
        kept[np.ix_(rows, places)] = np.nan
    return kept


def groups_to_hide(
    numbers: NDArray[np.float32], is_positive: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose at random which groups to hide of each row, so that whether one is there says nothing of the class.

    In each class as large a share of the rows keeps a group as in the other, less :data:`DROP_PROBABILITY`.

    Returns
    -------
    NDArray
        ``(n, n_groups)``.
    """
    there = is_there(numbers)
    chosen = np.zeros_like(there)
    classes = [rows for rows in (is_positive, ~is_positive) if rows.any()]
    for group, has in enumerate(there.T):
        wanted = min(has[rows].mean() for rows in classes) * (1 - DROP_PROBABILITY)
        for rows in classes:
            n_kept = round(wanted * np.count_nonzero(rows))
            chosen[rng.permutation(np.flatnonzero(rows & has))[n_kept:], group] = True
    return chosen


def one_hidden(n: int, name: str) -> NDArray[np.bool_]:
    """Return a choice that hides one group of each of n rows, ``(n, n_groups)``."""
    chosen = np.zeros((n, len(GROUPS)), dtype=bool)
    chosen[:, list(GROUPS).index(name)] = True
    return chosen
