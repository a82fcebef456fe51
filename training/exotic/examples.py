"""What the head `exotic` learns from: a labelled databank, people's verdicts, and the ledger's objects."""

import csv
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError
from annotator.models import ModelSet
from annotator.preprocess.quantities import QUANTITY_NAMES
from annotator.surveys import SURVEYS
from training.data.folds import N_FOLDS, fold_of
from training.data.partial_light_curves import PartialLightCurves, no_partial_light_curves
from training.data.table import Table
from training.exotic.fit import VERDICT_WEIGHT, Examples
from training.exotic.hiding import TOLD_PLACES, Told, told_whatever_is_hidden
from training.exotic.network import INPUTS, MODALITY_INPUTS, NEEDS

AGN = "AGN"
HELD_OUT = N_FOLDS - 1
"""The bin that no served head is trained on."""


@dataclass(frozen=True, eq=False)
class Databank:
    """A labelled table with what the models say of its objects."""

    table: Table
    """Of n objects."""
    numbers: NDArray[np.float32]
    """``(n + m, len(INPUTS))``: of the final state of each object, then of m partial light curves."""
    places: NDArray[np.int64]
    """Whose states they are, ``(n + m,)``."""
    kinds: NDArray[np.str_]
    """Spectroscopic type, the TDE's few subtypes as one, ``(n,)``."""
    missing: tuple[str, ...]
    """What could not be had, in words."""
    told: Told | None = None
    """What the model of the object features says of each state whatever is hidden of it."""

    @property
    def is_positive(self) -> NDArray[np.bool_]:
        """``(n,)``: known exotics without the AGN, which flood a stream and earn no night."""
        return self.table.is_exotic & (self.kinds != AGN)

    @property
    def examples(self) -> Examples:
        """All states, as they are labelled by default."""
        return self.labelled(self.is_positive)

    def labelled(self, is_positive: NDArray[np.bool_]) -> Examples:
        """Return all states with other labels of their objects, ``(n,)``.

        An object's partial light curves count together as much as its final state. Exotics have light curves more
        often than normals do: their partial ones are weighed down, so that being young says nothing of the class.
        """
        is_live, labels = np.arange(len(self.places)) >= len(self.table.rows), is_positive[self.places]
        n_live = np.bincount(self.places[is_live], minlength=len(self.table.rows))[self.places]
        weights = np.where(is_live, 1.0 / np.maximum(n_live, 1), 1.0)
        live = [weights[is_live & (labels == label)].sum() for label in (True, False)]
        if min(live) > 0:
            odds = is_positive.sum() / np.count_nonzero(~is_positive)
            weights[is_live & labels] *= odds / (live[0] / live[1])
        return Examples(self.numbers, labels, weights, self.table.folds[self.places], self.told)


def read_databank(
    table: Table, models: ModelSet, out_of_fold: Path | None, live: PartialLightCurves | None = None
) -> Databank:
    """Gather the numbers of a table's objects.

    Parameters
    ----------
    models
        Whose latents are learned from.
    live
        Earlier states of some of the objects: what a stream shows of them.
    out_of_fold
        Folder that the trainings wrote each object's numbers to, by the model that did not see it. Without it an
        error is known of the objects alone that the served model has not seen.

    Raises
    ------
    ConfigError
        If a file in it cannot be read.
    """
    missing = []
    live = live or no_partial_light_curves()
    if not len(live.places):
        missing.append("how objects look when they are young (no light curves)")
    places = np.concatenate([np.arange(len(table.rows)), live.places])
    features, quantities = (
        np.concatenate(parts) for parts in zip((table.features, table.quantities), live.tensors, strict=True)
    )
    numbers = np.full((len(places), len(INPUTS)), np.nan, dtype=np.float32)
    numbers[:, : len(QUANTITY_NAMES)] = quantities
    outputs = models.models["features"].run({"features": features, "quantities": quantities})
    for name in ("oddity", "prior"):
        numbers[:, INPUTS.index(f"features_{name}")] = outputs[name]
    unseen = table.folds[places] == HELD_OUT
    numbers[unseen, INPUTS.index("features_error")] = outputs["error"][unseen]
    first = INPUTS.index("features_latent_0")
    numbers[:, first : first + outputs["latent"].shape[1]] = outputs["latent"]
    if out_of_fold is None:
        missing.append(
            "errors by models that did not see the object (no --out-of-fold): known of the held-out bin alone"
        )
    else:
        place_of = {object_id: number for number, object_id in enumerate(table.object_ids.tolist())}
        for modality in MODALITY_INPUTS:
            path = out_of_fold / f"{modality}.csv"
            if path.is_file():
                _fill(numbers, path, place_of)
            else:
                missing.append(f"the {modality}'s errors (no {path.name} in --out-of-fold)")
    kinds = np.array(["TDE" if kind.startswith("TDE") else kind for kind in table.column("type")])
    inputs = SURVEYS[models.survey].features, features, quantities
    told = told_whatever_is_hidden(models.models["features"], *inputs, numbers)
    return Databank(table, numbers, places, kinds, tuple(missing), told)


def _fill(numbers: NDArray[np.float32], path: Path, place_of: Mapping[str, int]) -> None:
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = [name for name in reader.fieldnames or () if name in INPUTS]
        if not names:
            raise ConfigError(f"--out-of-fold: {path} has none of the columns that are learned from; train it again")
        for row in reader:
            place = place_of.get(row[OBJECT_ID_KEY])
            if place is not None:
                for name in names:
                    numbers[place, INPUTS.index(name)] = float(row[name])


def ledger_numbers(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read what a ledger keeps of its objects for learning: numbers ``(len(INPUTS),)`` by object id.

    Raises
    ------
    ConfigError
        If it is no ledger of this release.
    """
    found = {}
    for object_id, text in _rows(path, "SELECT object_id, numbers FROM objects WHERE numbers IS NOT NULL"):
        numbers = json.loads(text)
        if NEEDS in numbers:
            found[object_id] = np.array([numbers.get(name, np.nan) for name in INPUTS], dtype=np.float32)
    return found


def ledger_worths(path: Path) -> dict[str, float]:
    """Read how much a ledger's objects are worth a look, were nothing known of them, as they were scored last.

    Raises
    ------
    ConfigError
        As :func:`ledger_numbers` does.
    """
    last = "SELECT MAX(score_id) FROM scores GROUP BY object_id"
    rows = _rows(path, f"SELECT object_id, modalities FROM scores WHERE score_id IN ({last})")
    found = {object_id: json.loads(text).get("worth") for object_id, text in rows}
    return {object_id: float(worth) for object_id, worth in found.items() if isinstance(worth, int | float)}


def _rows(path: Path, query: str) -> list[tuple[str, str]]:
    if not path.is_file():
        raise ConfigError(f"--ledger {path}: expected the annotator's ledger, found no file")
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as ledger:
            return ledger.execute(query).fetchall()
    except sqlite3.Error as failure:
        raise ConfigError(f"--ledger {path}: expected the annotator's ledger, found {failure}") from failure


def with_others(
    examples: Examples,
    numbers: NDArray[np.float32],
    is_positive: NDArray[np.bool_],
    weights: NDArray[np.float64],
    folds: NDArray[np.int64],
) -> Examples:
    """Put other examples behind, of which nobody knows what the models would say of them without a group.

    Parameters
    ----------
    numbers, is_positive, weights, folds
        ``(m, len(INPUTS))`` and ``(m,)``.
    """
    told = examples.told
    if told is not None:
        said = np.repeat(numbers[:, None, TOLD_PLACES], told.values.shape[1], axis=1)
        told = Told(np.concatenate([told.values, said]))
    return Examples(
        np.concatenate([examples.numbers, numbers]),
        np.concatenate([examples.is_positive, is_positive]),
        np.concatenate([examples.weights, weights]),
        np.concatenate([examples.folds, folds]),
        told,
    )


@dataclass(frozen=True)
class Learned:
    """How many verdicts went into a head, and which could not."""

    anomaly: int
    regular: int
    unused: int
    """`artefact` and `unknown`, which teach this head nothing."""
    not_known: tuple[str, ...]
    """Objects of which there are no numbers, in neither databank nor ledger."""


def with_verdicts(
    databank: Databank, verdicts: Mapping[str, str], known: Mapping[str, NDArray[np.float32]]
) -> tuple[Examples, Learned]:
    """Join people's verdicts with the databank: over its label for an object that is in it, else as a new example.

    Parameters
    ----------
    verdicts
        ``anomaly``, ``regular``, ``artefact`` or ``unknown`` by object id.
    known
        Numbers of further objects, by id (:func:`ledger_numbers`).
    """
    is_positive, judged = databank.is_positive.copy(), np.ones(len(databank.table.rows))
    place_of = {object_id: number for number, object_id in enumerate(databank.table.object_ids.tolist())}
    new: list[tuple[NDArray[np.float32], bool, int]] = []
    not_known, counts = [], {"anomaly": 0, "regular": 0}
    for object_id, verdict in sorted(verdicts.items()):
        if verdict not in counts:
            continue
        if object_id in place_of:
            place = place_of[object_id]
            is_positive[place], judged[place] = verdict == "anomaly", VERDICT_WEIGHT
        elif object_id in known:
            new.append((known[object_id], verdict == "anomaly", fold_of(object_id)))
        else:
            not_known.append(object_id)
            continue
        counts[verdict] += 1
    examples = databank.labelled(is_positive)
    weighted = replace(examples, weights=examples.weights * judged[databank.places])
    joined = with_others(
        weighted,
        np.array([row for row, _, _ in new], dtype=np.float32).reshape(-1, len(INPUTS)),
        np.array([label for _, label, _ in new], dtype=bool),
        np.full(len(new), VERDICT_WEIGHT),
        np.array([number for _, _, number in new], dtype=np.int64),
    )
    unused = sum(verdict not in counts for verdict in verdicts.values())
    return joined, Learned(counts["anomaly"], counts["regular"], unused, tuple(not_known))
