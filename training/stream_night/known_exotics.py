"""Which known SLSN and TDE of the training data would be called variable, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from annotator.annotation import OBJECT_ID_KEY
from annotator.decision.config import DecisionConfig
from annotator.decision.variable import is_variable, known_to_vary, what_is_new
from annotator.surveys import SURVEYS
from annotator.surveys.history import joined
from annotator.surveys.ztf.tables import DETECTION, PHOTOMETRY
from annotator.transient import Transient
from training.data.detections import OTHER_TELESCOPES
from training.data.table import EXOTIC, read_table
from training.recipe import SURVEY
from training.stream_night.objects import CURVES

LABELS, DATABANK = "lightcurve_labels.csv", "object_features.csv"
NOT_EXOTIC = "AGN"
"""Among AHA's exotics, and meant to be variable."""


@dataclass(frozen=True)
class KnownExotic:
    """A known exotic, with all that the training data has of it, as Lasair would have it."""

    type: str
    is_variable: bool
    known_as: str
    """By what it is known to vary; empty where nothing tells."""
    new: str
    """What it does that it never did before."""


def known_exotics(data: Path) -> list[KnownExotic]:
    """Decide of each known exotic of databank and light curves whether it is variable.

    A databank row has its name and Sherlock's class; a light curve of all epochs, where there is one, the seasons.

    Raises
    ------
    ConfigError
        If the databank cannot be read.
    """
    table, decision = read_table(data / DATABANK, SURVEY), DecisionConfig()
    types = dict(zip(table.object_ids.tolist(), table.column("type").tolist(), strict=True))
    found: dict[str, Transient] = {
        item.object_id: item for item, is_exotic in zip(table.transients, table.is_exotic, strict=True) if is_exotic
    }
    labelled, curves = _labelled_curves(data)
    types = labelled | {name: types[name] for name in found}
    for object_id, candidates in curves.items():
        of_curve = SURVEYS[SURVEY].parse({OBJECT_ID_KEY: object_id, "candidates": candidates})
        row = found.get(object_id, of_curve)
        found[object_id] = replace(row, history=joined(row.history, of_curve.history))
    return [
        KnownExotic(
            type=types[object_id],
            is_variable=is_variable(item, decision),
            known_as=known_to_vary(item, decision),
            new=what_is_new(item.history),
        )
        for object_id, item in sorted(found.items())
        if types[object_id] != NOT_EXOTIC
    ]


def _labelled_curves(data: Path) -> tuple[dict[str, str], Mapping[str, Sequence[Mapping[str, object]]]]:
    """Return the types of the exotics that have light curves, and their detections by ZTF, each a candidate."""
    import pandas

    labels = pandas.read_csv(data / LABELS)
    labels = labels[labels["source_label"] == EXOTIC]
    rows = pandas.read_parquet(data / CURVES)
    rows = rows[rows[OBJECT_ID_KEY].isin(labels[OBJECT_ID_KEY]) & ~rows["source"].isin(OTHER_TELESCOPES)]
    curves = {}
    for object_id, part in rows.groupby(OBJECT_ID_KEY):
        items = part.sort_values(DETECTION.time_jd)[list(PHOTOMETRY)].to_dict("records")
        curves[object_id] = [{**item, DETECTION.candidate_id: place} for place, item in enumerate(items, 1)]
    types = dict(zip(labels[OBJECT_ID_KEY], labels["type"].astype(str), strict=True))
    return {name: types[name] for name in curves}, curves
