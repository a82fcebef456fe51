"""The report's part on young objects: recall and false alarms by days since the first detection, as last measured."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from annotator.models.load import place_of_models
from training.recipe import SURVEY
from training.report.layout import Block, Grid, Heading, Paragraph

FILE = "young.csv"
"""Beside the models; `aha-train young` writes it."""

WORDS = (
    "What the whole chain flags at its shipped thresholds of objects that are days old, each asked of models of a fold "
    "that did not see it, as `aha-train young` last measured it (YOUNG_CARD.md has more): per cent with 95 % intervals "
    "by bootstrap over transients. Beside it the AUC of `exotic` on that day, and of year, catalogue and missing "
    "values alone."
)
POPULATIONS: Mapping[str, str] = {
    "recent": "Caught rising, from 2022 on",
    "eras": "Caught rising, normals of all years",
    "like": "Caught rising, normals of all years weighed like the exotics' catalogues",
    "simulated": "Caught rising, simulated",
    "any": "From 2022 on, caught rising or not",
}
FIGURES: Mapping[str, str] = {
    "flagged_exotics": "exotics flagged",
    "flagged_normals": "normals flagged",
    "recall_at": "exotics at 5 % of normals, by `exotic`",
    "auc": "AUC of `exotic`",
    "without_model": "AUC of year, catalogue, missing values",
}
_SHARES = ("flagged_exotics", "flagged_normals", "recall_at")


def read(models: Path | None) -> tuple[Mapping[str, str], ...]:
    """Return the rows of the table that lies beside the models, none where there is none."""
    file = place_of_models(models, SURVEY) / FILE
    return tuple(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) if file.is_file() else ()


def blocks(rows: Sequence[Mapping[str, str]]) -> list[Block]:
    """Say it; nothing of none."""
    if not rows:
        return []
    found: list[Block] = [Heading(2, "Young objects"), Paragraph(WORDS)]
    for name, words in POPULATIONS.items():
        own = [row for row in rows if row["population"] == name]
        if not own:
            continue
        days = list(dict.fromkeys(row["days"] for row in own))
        cells = {(row["figure"], row["days"]): _cell(row) for row in own}
        lines = tuple(
            (label, *(cells.get((figure, day), "") for day in days))
            for figure, label in FIGURES.items()
            if (figure, days[0]) in cells
        )
        counts = (
            f"{own[0]['exotics']} exotics, {own[0]['normals']} normals worth {float(own[0]['effective_normals']):.0f}"
        )
        header = ("days since the first detection", *days)
        found.append(Grid(f"{words}: {counts}", header, lines))
    return found


def _cell(row: Mapping[str, str]) -> str:
    numbers = [float(row[name]) for name in ("value", "low", "high")]
    if row["figure"] in _SHARES:
        value, low, high = (f"{100 * number:.0f}" for number in numbers)
    else:
        value, low, high = (f"{number:.2f}" for number in numbers)
    return f"{value} [{low}, {high}]"
