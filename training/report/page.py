"""The report's words and tables, from its numbers."""

from collections.abc import Mapping, Sequence

from annotator.preprocess import PREPROCESS_VERSION
from training.features.aha import AhaSettings
from training.lightcurve.aha import AhaCurveSettings
from training.lightcurve.card import TARGETS
from training.metrics import ranking as evaluate
from training.report import heads as report_heads
from training.report import young as report_young
from training.report.layout import Block, Bullets, Figure, Grid, Heading, Paragraph
from training.report.measure import STAMP_INJECTIONS
from training.triplet import aha as triplet_aha
from training.triplet.card import TARGET_AUC

TITLES: Mapping[str, str] = {"features": "Object features", "lightcurve": "Light curve", "triplet": "Triplet of stamps"}

TARGET_BY_TABLE: Mapping[str, float] = {**TARGETS, STAMP_INJECTIONS: TARGET_AUC}
"""Of the mean AUC over kinds, by the injections' title."""


def document(report: Mapping, plots: Mapping[str, bytes]) -> list[Block]:
    """Say what the report's numbers are.

    Parameters
    ----------
    report
        What :func:`training.report.measure` returns.
    plots
        By name, without the file's ending.
    """
    blocks: list[Block] = [
        Heading(1, f"{report['model_set']}: how well the models rank, and what their scores depend on"),
        Paragraph(INTRODUCTION.format(n_draws=evaluate.N_BOOTSTRAP)),
        _summary(report),
    ]
    for name, modality in report["modalities"].items():
        blocks += _modality(name, modality, plots)
    blocks += report_heads.blocks(report["beside_the_scores"], plots)
    return blocks + report_young.blocks(report.get("young", ()))


INTRODUCTION = (
    "Two kinds of numbers stand here. Out-of-fold figures give each object the error of a model that did not see "
    "it; they need the models of all rotations, which are not shipped, so they are those that training recorded in "
    "the manifests (and, for AHA's recipe, in its own result). What is called held out is measured now, with the "
    "shipped graph as the annotator loads it, on the objects that neither trained nor stopped it. Baselines without "
    "a network are as training recorded them, and for light curves measured now, on all objects; a single number's "
    "direction is chosen with the labels, which flatters it. Square brackets: 95 % intervals, by {n_draws} "
    "bootstrap draws over objects, and exact (Clopper-Pearson) for shares. AP: average precision. Hits at 10: known "
    "exotics among the ten highest of one bin of the names, averaged over bins, or of the held-out part. Labels of "
    "exotics measure; they train nothing of ours."
)


def _summary(report: Mapping) -> Grid:
    rows = []
    for name, modality in report["modalities"].items():
        model = modality["model"]
        rows.append(
            (
                TITLES[name],
                f"{model['recipe']}, graph sha256 {model['graph_sha256'][:12]}" if model else "absent",
                f"{model['n_calibration']:,}" if model else "",
                "; ".join(
                    f"{table['title']} {_value(mean)}" for table in modality["injections"] if (mean := _mean(table))
                ),
            )
        )
    header = (
        "modality",
        "model",
        "normals in its calibration",
        "mean AUC over injected kinds, out-of-fold, by number of detections",
    )
    return Grid(f"The model set (preprocessing version {PREPROCESS_VERSION})", header, tuple(rows))


def _mean(table: Mapping) -> float | None:
    return mean_auc(next(iter(table["methods"].values())), table["mean_over"]) if table["methods"] else None


def mean_auc(aucs: Mapping[str, Sequence[float] | None], kinds: Sequence[str]) -> float | None:
    """Return the mean AUC over kinds, None where one of them was not measured."""
    values = [aucs.get(kind) for kind in kinds]
    return sum(value[0] for value in values) / len(values) if values and all(values) else None


def _modality(name: str, modality: Mapping, plots: Mapping[str, bytes]) -> list[Block]:
    blocks: list[Block] = [Heading(2, TITLES[name])]
    if modality["model"] and name in CAVEATS:
        blocks.append(Paragraph(CAVEATS[name]))
    if modality["missing"]:
        blocks += [Paragraph("Not here:"), Bullets(tuple(modality["missing"]))]
    if modality["model"] and (epochs := modality["model"]["aha_epochs"]):
        span = f"{min(epochs)} to {max(epochs)}" if min(epochs) < max(epochs) else f"{max(epochs)}"
        blocks.append(
            Paragraph(f"The result of AHA's recipe beside it names fits of {span} epochs; AHA has {AHA_EPOCHS[name]}.")
        )
    if modality["rankings"]:
        blocks += [Heading(3, "Ranking known exotics above normals"), *_figure(plots, name, "ranking")]
        blocks += [_ranking(table) for table in modality["rankings"]]
    elif modality["model"]:
        blocks.append(Paragraph("Ranking of known exotics: neither recorded by training nor measurable here."))
    if modality["injections"]:
        blocks += [Heading(3, "Oddities put into real objects"), Paragraph(INJECTIONS[name])]
        blocks += [*_figure(plots, name, "injections"), *map(_injections, modality["injections"])]
    alarms = {where: levels for where, levels in modality["false_alarms"].items() if levels}
    if alarms:
        blocks += [Heading(3, "False alarms"), *_figure(plots, name, "false_alarms"), _alarms(alarms)]
    if modality["dependence"]:
        blocks += [Heading(3, "What the score depends on"), Paragraph(DEPENDENCE)]
        blocks += [*_figure(plots, name, "dependence"), _dependence(modality["dependence"])]
    return blocks


CAVEATS: Mapping[str, str] = {
    "lightcurve": "The error is compared with what is typical of a normal with as many points. These constants come "
    "from all normals, the held-out ones among them, each scored by a model that it stopped and did not train: neither "
    "the out-of-fold nor the held-out figures are wholly free of them.",
}

AHA_EPOCHS: Mapping[str, int] = {
    "features": AhaSettings().epochs,
    "lightcurve": AhaCurveSettings().epochs,
    "triplet": triplet_aha.EPOCHS,
}

INJECTIONS: Mapping[str, str] = {
    "lightcurve": "AUC between the two members of fair pairs: another class's evolution, and the supernova's own, both "
    "made alike on a real supernova's dates, bands and errors, so that cadence, depth and catalogue cannot tell. "
    "Whole: of all its detections; young: of the first of a longer curve. A single number's direction is chosen with "
    "the answers.",
    "triplet": "AUC of odd stamps against ordinary ones, both members of a pair made alike but for the oddity.",
}

DEPENDENCE = (
    "Median and 90 % band of the shipped model's score of held-out normals, none judged by its own error, in bins of "
    "about equal numbers. A score that depends on nothing but how odd an object is has the median 0.30 and the band "
    "0.02 to 1.30 everywhere."
)


def _figure(plots: Mapping[str, bytes], name: str, what: str) -> list[Block]:
    return [Figure(f"{name}_{what}.png", CAPTIONS[what])] if f"{name}_{what}" in plots else []


CAPTIONS: Mapping[str, str] = {
    "ranking": "Area under the ROC curve with 95 % intervals; open: held out, the same scale in all panels.",
    "injections": "Area under the ROC curve by kind of oddity with 95 % intervals; dotted: the target of the mean.",
    "false_alarms": "Share of normals at or above a score, with exact 95 % intervals (triangle: none found, its upper "
    "end); dashed: what the score promises.",
    "dependence": "Score of held-out normals: median (line) and 90 % band; dashed: where they would be by chance "
    "alone.",
}


def _ranking(table: Mapping) -> Grid:
    rows = [
        (
            name,
            f"{values['n_exotic']}, {values['n_normal']}",
            *(_interval(values.get(key), digits) for key, digits in (("auc", 3), ("ap", 3), ("hits", 1))),
        )
        for name, values in table["methods"].items()
    ]
    return Grid(table["title"], ("score", "exotics, normals", "AUC", "AP", "hits at 10"), tuple(rows))


def _injections(table: Mapping) -> Grid:
    methods = table["methods"]
    kinds = list(dict.fromkeys(kind for values in methods.values() for kind in values))
    rows = []
    for kind in kinds:
        cells = [_injection(table, name, kind) for name in methods]
        pairs = next(iter(table["pairs"].values()), {}).get(kind)
        named = f"{kind} ({pairs} pairs)" if pairs else kind
        rows.append((f"{named}{' *' if kind in table['mean_over'] else ''}", *cells))
    rows.append(("mean over *", *(_value(mean_auc(values, table["mean_over"])) for values in methods.values())))
    target = TARGET_BY_TABLE.get(table["title"])
    verdict = ""
    if target is not None and (mean := _mean(table)) is not None:
        verdict = f"; mean {_value(mean)}, target {target:.2f} {'reached' if mean >= target else 'not reached'}"
    return Grid(f"Injections, {table['title']}: AUC{verdict}", ("kind", *methods), tuple(rows))


def _injection(table: Mapping, method: str, kind: str) -> str:
    """Write one AUC, with which number it is, or how many pairs, where that is not what stands in the row's name."""
    aucs, all_pairs = table["methods"][method], next(iter(table["pairs"].values()), {})
    text = _interval(aucs.get(kind))
    if kind in aucs and len(aucs[kind] or ()) == 1 and kind in table["best"]:
        return f"{text} ({table['best'][kind]})"
    pairs = table["pairs"].get(method, {}).get(kind)
    return f"{text}, {pairs} pairs" if pairs and pairs != all_pairs.get(kind) else text


def _alarms(alarms: Mapping[str, Mapping]) -> Grid:
    rows = []
    for where, levels in alarms.items():
        for level, found in levels.items():
            value, low, high = (f"{100 * share:.2f}" for share in found["share"])
            expected = f"{100 * 10 ** -float(level):g} %"
            rows.append((level, expected, where, f"{value} % [{low}, {high}]", f"{found['above']} of {found['n']}"))
    return Grid("Normals at or above a score", ("score", "promised", "normals", "found", "number"), tuple(rows))


def _dependence(dependence: Mapping) -> Grid:
    rows = []
    for name, found in dependence.items():
        for number, part in enumerate(found["bins"]):
            median, low, high = (f"{value:.2f}" for value in part["score"])
            span = f"{part['low']:g} to {part['high']:g}"
            first = f"{name} (rank correlation {found['rank_correlation']:+.2f})" if number == 0 else ""
            rows.append((first, span, str(part["n"]), median, f"{low} to {high}"))
    return Grid("Score of held-out normals", ("by", "from, to", "normals", "median", "90 % band"), tuple(rows))


def _interval(numbers: Sequence[float] | None, digits: int = 3) -> str:
    if not numbers:
        return "not measured"
    value, *bounds = (f"{number:.{digits}f}" for number in numbers)
    return f"{value} [{', '.join(bounds)}]" if bounds else value


def _value(number: float | None) -> str:
    return "" if number is None else f"{number:.3f}"
