"""The report's part on what stands beside the scores: what each step brought, the head, and how fast it learns."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from annotator.models import ModelSet
from training.data.table import read_table
from training.exotic.ask import VERDICTS_A_NIGHT, simulate_year
from training.exotic.card import POPULATIONS as HEAD_POPULATIONS
from training.exotic.examples import read_databank
from training.features.card import POPULATIONS
from training.features.evaluate import PRIOR, SCORED
from training.metrics.era import ERA
from training.report import attention
from training.report.layout import Block, Figure, Grid, Heading, Paragraph

log = logging.getLogger(__name__)

TABLE = "object_features.csv"
SHOWN_NIGHTS = (0, 1, 3, 10, 30, 100, 200)
"""And the last one."""


def measure(models: ModelSet, data: Path) -> dict:
    """Return what the manifests recorded of each step, and a year of verdicts, simulated now where there are data."""
    features = models.models.get("features")
    ranking = features.manifest.metrics.get("ranking", {}) if features else {}
    found = {
        "steps": {
            population: {
                name: part["methods"][name] for name in (MAIN_ERROR, SCORED, PRIOR, ERA) if name in part["methods"]
            }
            for population, part in ranking.items()
            if population != "by_type"
        },
        "alarms": features.manifest.metrics.get("false_alarms", {}).get("score", {}) if features else {},
        **{
            name: dict(models.heads[name].manifest.metrics) if name in models.heads else {}
            for name in ("exotic", "artefact")
        },
        "worth": dict(models.worth.metrics) if models.worth else {},
        "year": {},
    }
    if features and (data / TABLE).is_file():
        log.info("simulating a year of verdicts")
        databank = read_databank(read_table(data / TABLE, models.survey), models, None)
        if databank.is_positive.any():
            found["year"] = simulate_year(databank)
    return found


MAIN_ERROR = "reconstruction error"


def blocks(found: Mapping, plots: Mapping[str, bytes]) -> list[Block]:
    """Say it."""
    document: list[Block] = []
    if found["steps"]:
        document += [Heading(2, "What each step brought, alone"), Paragraph(STEPS), *_steps(found)]
    if found["exotic"]:
        document += [Heading(2, "The head that learns"), Paragraph(HEAD), *_head(found["exotic"])]
    if found["artefact"]:
        document += [Heading(2, "Artefacts"), Paragraph(ARTEFACTS.format(**found["artefact"])), *_artefacts(found)]
    document += attention.blocks(found.get("worth", {}), plots)
    if found["year"]:
        document += [Heading(2, "A year of verdicts"), Paragraph(YEAR.format(**_year_words(found["year"])))]
        if YEAR_PLOT in plots:
            document.append(Figure(f"{YEAR_PLOT}.png", YEAR_CAPTION))
        document.append(_year(found["year"]))
    return document


STEPS = (
    "Known exotics by AHA's definition (AGN, TDE, SLSN) above normals, out-of-fold. The score and the prior know no "
    "label; the head does."
)
HEAD = (
    "As recorded by its training, out-of-fold (the card has more). SLSN and TDE are positives, AGN are not, unless it "
    "is said otherwise."
)
ARTEFACTS = (
    "Objects by their brightest positive detection, out-of-fold: {n_bogus} bogus and {n_real} real by clear real-bogus "
    "scores, {n_unknown} unclear; an artefact from a probability of {threshold:g} on. The labels come from the "
    "scores, so these are hidden here, and the stamps alone tell; classes are from spectra."
)
YEAR = (
    "{n_pool} objects of the databank, {n_positive} of them SLSN or TDE, are judged {a_night} a night, as their labels "
    "say, from no verdict at all; {n_test} others ({n_test_positive} positives) measure. Asked: those whose verdict "
    "teaches most (`aha-train ask`); at random: any. Mean of {n_years} years, and their range. Before the first "
    "positive is known the prior ranks."
)
YEAR_PLOT = "exotic_year"
YEAR_CAPTION = "Average precision on the objects that measure, and positives found; bands: lowest and highest year."


def _steps(found: Mapping) -> list[Block]:
    grids: list[Block] = []
    titles = {name: f"{words[0].upper()}{words[1:]}" for name, words in POPULATIONS.items()}
    for population, methods in found["steps"].items():
        rows = [(name, *(_interval(values[key]) for key in ("auc", "ap"))) for name, values in methods.items()]
        comparisons = found["exotic"].get("comparisons", {})
        if population == "recent" and comparisons:
            head = comparisons["aha_definition"]
            rows.append(("the head, trained by AHA's definition", *(_interval(head[key]) for key in ("auc", "ap"))))
        grids.append(Grid(titles[population], ("step", "AUC", "AP"), tuple(rows)))
    without, groups = found["alarms"].get("without_levels", {}), found["alarms"].get("groups", {})
    if without:
        rows = [(name, _percent(part), _percent(groups[name])) for name, part in without.items() if name in groups]
        header = ("normals", "compared with final states", "compared with like sampling")
        grids.append(Grid("Live states of normals at or above 2, 1 % promised", header, tuple(rows)))
    return grids


def _head(metrics: Mapping) -> list[Block]:
    headline, comparisons = metrics["headline"], metrics["comparisons"]
    rows = [
        *(
            _head_row(f"SLSN and TDE above normals and AGN, {words}", headline[name])
            for name, words in HEAD_POPULATIONS.items()
            if name in headline
        ),
        *(
            [_head_row("the same, live states at random epochs, from 2022 on", metrics["live"]["recent"])]
            if "recent" in metrics["live"]
            else []
        ),
    ]
    if comparisons:
        rows.append(_head_row("trained and asked by AHA's definition, from 2022 on", comparisons["aha_definition"]))
        rows += [_head_row(name, item) for name, item in comparisons["ablations"].items() if name != "live"]
    header = ("head", "positives, others", "AUC", "AP", "era and missing values alone, AUC")
    grids: list[Block] = [Grid("Ranking, out-of-fold", header, tuple(rows))]
    if comparisons:
        left_out = comparisons["left_out"]
        types = [(kind, str(item["n"]), _interval(item["auc"])) for kind, item in left_out["types"].items()]
        types.append(("mean", "", f"{left_out['mean']:.3f}"))
        grids.append(Grid("Novelty: each type left out of training", ("type", "objects", "AUC"), tuple(types)))
    rare = [(kind, str(item["n"]), _interval(item["auc"])) for kind, item in headline["rare"].items()]
    grids.append(Grid("Rare supernovae above common ones", ("kind", "objects", "AUC"), tuple(rare)))
    return grids


def _artefacts(found: Mapping) -> list[Block]:
    metrics = found["artefact"]
    hidden, shown = "scores hidden", "scores shown"
    rows = [
        (words, _interval(metrics[view][key]) if metrics[view][key] else "not measured")
        for words, key, view in (
            ("AUC", "auc", hidden),
            ("precision", "precision", hidden),
            ("recall", "recall", hidden),
            ("real ones called artefacts", "false_alarms", hidden),
            ("classified ones called artefacts", "classified", hidden),
            ("classified ones called artefacts, scores shown", "classified", shown),
        )
    ]
    top = [
        (
            row["list"],
            str(row["n"]),
            f"{row['bogus']}, share {_interval(row['share'])}",
            f"{row['real']}, {row['unknown']}",
        )
        for row in metrics["top"]
        if not row["list"].endswith(shown)
    ]
    return [
        Grid("How well bogus detections are told", ("measure", hidden), tuple(rows)),
        Grid("The highest triplet scores", ("list", "objects", "bogus", "real, unclear"), tuple(top)),
    ]


def _head_row(name: str, found: Mapping) -> tuple[str, ...]:
    counts = f"{found['n_positive']}, {found['n_negative']:,}"
    era = _interval(found["era"]) if "era" in found else ""
    return name, counts, _interval(found["auc"]), _interval(found["ap"]), era


def _year_words(year: Mapping) -> dict:
    return {
        "n_pool": f"{year['pool'][0]:,}",
        "n_positive": year["pool"][1],
        "n_test": f"{year['test'][0]:,}",
        "n_test_positive": year["test"][1],
        "a_night": VERDICTS_A_NIGHT,
        "n_years": year["n_years"],
    }


def _year(year: Mapping) -> Grid:
    nights = year["nights"]
    shown = [i for i, night in enumerate(nights) if night in SHOWN_NIGHTS or i == len(nights) - 1]
    strategies = year["strategies"]
    header = ("night", *(f"{what}, {name}" for name in strategies for what in ("found", "AUC", "AP")))
    rows = [
        (
            str(nights[i]),
            *(
                cell
                for found in strategies.values()
                for cell in (f"{found['found'][i][0]:.0f}", _range(found["auc"][i]), _range(found["ap"][i]))
            ),
        )
        for i in shown
    ]
    return Grid("How fast the head learns", header, tuple(rows))


def _interval(numbers: Sequence[float]) -> str:
    value, low, high = numbers
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _range(numbers: Sequence[float]) -> str:
    mean, low, high = numbers
    return f"{mean:.3f} ({low:.3f} to {high:.3f})"


def _percent(part: Mapping) -> str:
    value, low, high = (100 * number for number in part["share"])
    return f"{value:.1f} % [{low:.1f}, {high:.1f}] ({part['above']} of {part['n']})"
