"""The report's plots: dark on light, in colours that the colour-blind tell apart, with a marker for each as well."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.report import attention
from training.report.heads import YEAR_PLOT
from training.report.measure import AHA, FRESH, SHIPPED
from training.report.page import TARGET_BY_TABLE

BLUE, VERMILION, SKY = "#0072B2", "#D55E00", "#56B4E9"
"""Okabe & Ito (2008), as the ones below: distinct with any kind of colour vision."""

NAMED: Mapping[str, Mapping] = {
    SHIPPED: {"color": BLUE, "marker": "o"},
    FRESH: {"color": BLUE, "marker": "o", "markerfacecolor": "white"},
    AHA: {"color": VERMILION, "marker": "s"},
}

OTHERS: Sequence[Mapping] = tuple(
    {"color": color, "marker": marker}
    for color, marker in zip(("#555555", "#009E73", "#CC79A7", SKY, "#E69F00", "#000000"), "D^vP*X", strict=True)
)
"""For what needs no model."""

DPI = 110
BY_CHANCE = (0.301, 0.022, 1.301)
"""Median and 5 % and 95 % points of -log10 p, with p uniform."""


def draw(report: Mapping) -> dict[str, bytes]:
    """Draw what a report holds.

    Returns
    -------
    dict
        PNG by name: modality, then ranking, injections, false_alarms or dependence; and the year of verdicts.
    """
    plots = {}
    for name, modality in report["modalities"].items():
        alarms = {where: levels for where, levels in modality["false_alarms"].items() if levels}
        for what, content, drawer in (
            ("ranking", modality["rankings"], _rankings),
            ("injections", modality["injections"], _injections),
            ("false_alarms", alarms, _false_alarms),
            ("dependence", modality["dependence"], _dependence),
        ):
            if content:
                plots[f"{name}_{what}"] = _png(drawer(content))
    beside = report.get("beside_the_scores", {})
    if worth := beside.get("worth"):
        plots[attention.PLOT] = _png(_reliability(worth["reliability"]))
    if year := beside.get("year"):
        plots[YEAR_PLOT] = _png(_year(year))
    return plots


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _whiskers(values: Sequence[float]) -> list[list[float]] | None:
    """Return what matplotlib wants of an interval, None where there is none."""
    if len(values) < 3:
        return None
    value, low, high = values
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _rankings(tables: Sequence[Mapping]) -> Figure:
    """One row a score, one panel a population."""
    heights = [len(table["methods"]) + 1.6 for table in tables]
    figure = Figure(figsize=(9, 0.24 * sum(heights) + 0.6), layout="constrained")
    panels = figure.subplots(len(tables), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, table in zip(panels, tables, strict=True):
        for row, (name, values) in enumerate(table["methods"].items()):
            style = NAMED.get(name, {"color": "#555555", "marker": "D"})
            axes.errorbar(
                values["auc"][0], row, xerr=_whiskers(values["auc"]), capsize=2.5, linewidth=1.4, linestyle="", **style
            )
        axes.axvline(0.5, color="#888888", linestyle="--", linewidth=0.8)
        names = [name.split(" (")[0] for name in table["methods"]]
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_title(table["title"], fontsize=9, loc="left")
        _tidy(axes)
    panels[-1].set_xlabel("AUC")
    return figure


def _injections(tables: Sequence[Mapping]) -> Figure:
    kinds = list(dict.fromkeys(kind for table in tables for values in table["methods"].values() for kind in values))
    methods = list(dict.fromkeys(name for table in tables for name in table["methods"]))
    others = iter(OTHERS)
    styles = {name: NAMED.get(name) or next(others) for name in methods}
    height = 0.17 * len(kinds) * max(3, len(methods)) + 1.6
    figure = Figure(figsize=(max(8, 3.3 * len(tables)), height), layout="constrained")
    panels = figure.subplots(1, len(tables), sharey=True, sharex=True, squeeze=False)[0]
    for axes, table in zip(panels, tables, strict=True):
        for order, name in enumerate(methods):
            offset = 0.85 * ((order + 0.5) / len(methods) - 0.5)
            _method(axes, table["methods"].get(name, {}), kinds, offset, {"label": name} | styles[name])
        axes.axvline(0.5, color="#888888", linestyle="--", linewidth=0.8)
        if table["title"] in TARGET_BY_TABLE:
            axes.axvline(TARGET_BY_TABLE[table["title"]], color="black", linestyle=":", linewidth=1.2)
        for edge in range(1, len(kinds)):
            axes.axhline(edge - 0.5, color="#dddddd", linewidth=0.8)
        axes.set_title(table["title"], fontsize=10)
        axes.set_xlabel("AUC")
        axes.set_yticks(range(len(kinds)), kinds)
        axes.set_ylim(len(kinds) - 0.5, -0.5)
        _tidy(axes)
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=3,
        fontsize=8,
        frameon=False,
    )
    return figure


def _method(axes: Axes, aucs: Mapping, kinds: Sequence[str], offset: float, style: Mapping) -> None:
    for row, kind in enumerate(kinds):
        if values := aucs.get(kind):
            axes.errorbar(
                values[0],
                row + offset,
                xerr=_whiskers(values),
                markersize=4.5,
                capsize=2,
                linewidth=1.2,
                linestyle="",
                **style,
            )


def _false_alarms(alarms: Mapping[str, Mapping]) -> Figure:
    figure = Figure(figsize=(6.5, 3.2), layout="constrained")
    axes = figure.subplots()
    levels = [float(level) for level in next(iter(alarms.values()))]
    axes.plot(levels, [10**-level for level in levels], color="black", linestyle="--", linewidth=1, label="promised")
    lowest = 1.0
    for order, ((where, found), name) in enumerate(zip(alarms.items(), (SHIPPED, FRESH), strict=False)):
        style = NAMED[name] | {"capsize": 3, "linestyle": ""}
        for level, part in found.items():
            value, low, high = part["share"]
            place = float(level) + 0.04 * (2 * order - 1)
            if value > 0:
                axes.errorbar(place, value, yerr=_whiskers(part["share"]), **style)
            else:  # a logarithm shows no zero
                axes.errorbar(place, high, **style | {"marker": "v"})
            lowest = min(lowest, 10 ** -float(level), high, *(bound for bound in (low,) if bound > 0))
        axes.errorbar([], [], **style, label=where)
    axes.set_yscale("log")
    axes.set_ylim(lowest / 2, 1)
    axes.set_xticks(levels)
    axes.set_xlabel("score")
    axes.set_ylabel("share of normals at or above")
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e5e5", linewidth=0.6)
    return figure


def _dependence(dependence: Mapping[str, Mapping]) -> Figure:
    figure = Figure(figsize=(max(4.0, 3.1 * len(dependence)), 3.2), layout="constrained")
    panels = figure.subplots(1, len(dependence), sharey=True, squeeze=False)[0]
    for axes, (name, found) in zip(panels, dependence.items(), strict=True):
        places = range(len(found["bins"]))
        median, low, high = zip(*(part["score"] for part in found["bins"]), strict=True)
        axes.fill_between(places, low, high, color=SKY, alpha=0.35, linewidth=0, label="90 % band")
        axes.plot(places, median, color=BLUE, marker="o", label="median")
        for height in BY_CHANCE:
            axes.axhline(height, color="#666666", linestyle="--", linewidth=0.8)
        labels = [f"{_short(part['low'])} to\n{_short(part['high'])}\nn={part['n']}" for part in found["bins"]]
        axes.set_xticks(places, labels, fontsize=7)
        axes.set_xlabel(name, fontsize=9)
        axes.set_title(f"rank correlation {found['rank_correlation']:+.2f}", fontsize=9)
        axes.set_xlim(-0.4, len(places) - 0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("score of held-out normals")
    panels[0].set_ylim(0, None)
    panels[0].legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def _year(year: Mapping) -> Figure:
    """Draw what verdicts that were asked for bring, beside verdicts at random: mean of the years, and their range."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    styles = {"asked": (BLUE, "-"), "at random": (VERMILION, "--")}
    for axes, key, label in zip(panels, ("ap", "found"), ("average precision", "positives found"), strict=True):
        for name, found in year["strategies"].items():
            color, line = styles[name]
            mean, low, high = zip(*found[key], strict=True)
            axes.plot(year["nights"], mean, line, color=color, label=name)
            axes.fill_between(year["nights"], low, high, color=color, alpha=0.2, linewidth=0)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlabel("night")
        axes.set_ylabel(label)
        _tidy(axes)
    panels[0].legend(frameon=False)
    return figure


def _reliability(sources: Mapping[str, Sequence[Mapping]]) -> Figure:
    """Draw how often chances came true, beside what they said, both by their logarithm: most are small."""
    figure = Figure(figsize=(4.2 * len(sources), 4.2), layout="constrained")
    least = 1e-3
    for axes, (name, bins) in zip(figure.subplots(1, len(sources), squeeze=False)[0], sources.items(), strict=True):
        said = [max(part["mean"], least) for part in bins]
        shares = [[max(value, least) for value in part["share"]] for part in bins]
        axes.plot((least, 1), (least, 1), color="#999999", linewidth=1)
        axes.vlines(said, [low for _, low, _ in shares], [high for *_, high in shares], color=BLUE)
        axes.plot(said, [value for value, *_ in shares], "o", color=BLUE)
        axes.set_title(name, fontsize=9)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(least, 1)
        axes.set_ylim(least, 1)
        axes.set_xlabel("mean chance")
        axes.set_ylabel("share that came true")
        _tidy(axes)
    return figure


def _short(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 100 or number == int(number) else f"{number:.1f}"
