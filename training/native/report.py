"""The report on typed objects of a survey: what was measured, in words and tables."""

from collections.abc import Iterator, Mapping

from training.data.classified_curves import EXOTIC_KINDS
from training.export.card_text import joined, percent, with_interval

NUMBERS = {
    "score": "combined score",
    "features_score": "object features, score",
    "lightcurve_score": "light curve, score",
    "triplet_score": "triplet, score",
    "prior": "stated prior",
    "exotic": "exotic probability",
}


def report(found: Mapping) -> str:
    """Write the report, in Markdown, of what :func:`training.native.evaluate.evaluate` has found."""
    return joined(
        _what(found),
        *(_measured(when, part) for when, part in found["native"].items()),
        _provisional(found["provisional"]),
    )


def counts_in_words(counts: Mapping[str, int]) -> str:
    """Say how many typed objects there are, a line a type."""
    exotics = sum(count for kind, count in counts.items() if kind.startswith(EXOTIC_KINDS))
    lines = [f"{count:6d}  {kind}" for kind, count in sorted(counts.items())]
    total = f"{sum(counts.values()):6d}  typed objects, {exotics} of them SLSN or TDE"
    return "\n".join([*lines, total])


def _what(found: Mapping) -> str:
    counts = found["types"]
    types = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    taught = ", ".join(f"`{name}`" for name in found["taught"])
    said = f"Such objects have taught {taught}, which is left out: its card has figures out of fold." if taught else ""
    return f"""
# {found["model_set"]} on typed objects of the survey itself

{sum(counts.values())} objects that have a type in TNS: {types}. SLSN and TDE are exotic here, and an active galactic
nucleus never is. Nothing that is measured here was fitted to them. {said} Somebody chose what to take a spectrum of,
mostly what is bright and what looked odd: the survey's own mixture is another one.

Intervals are of 95 %, of rankings by bootstrap over objects, of shares exact (Clopper-Pearson). Random epochs are drawn
by seed {found["seed"]}, from the second night with a detection on. The objects have sha256 `{found["sha256"]}`.

Beside each ranking stands what ranks objects without a look at anything that was measured of them: what of the
quantities is missing, how many points in how many bands over how many days there are, by a regression on the other
objects; and two of these by themselves, whichever way ranks better among all. Where that is as good, the model has
shown nothing. A row is of the objects that have its number.
"""


def _measured(when: str, part: Mapping) -> str:
    lines = [
        f"## {when.capitalize()}",
        "",
        "| ranked by | against | exotics, others | AUC | AP |",
        "|---|---|---|---|---|",
        *_rows({NUMBERS.get(name, name): item for name, item in part["ranking"].items()}),
        *_rows({f"*{name} alone*": item for name, item in part["alone"].items()}),
        "",
        "| number | at or above | expected of normals | supernovae | SLSN and TDE | others |",
        "|---|---|---|---|---|---|",
    ]
    for name, levels in part["alarms"].items():
        for level, classes in levels.items():
            expected = "" if name == "exotic" else f"{100 * 10 ** -float(level):g} %"
            shares = (percent(classes[kind]) if kind in classes else "" for kind in ("supernovae", "exotics", "others"))
            lines.append(f"| {NUMBERS.get(name, name)} | {float(level):.3g} | {expected} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _rows(rankings: Mapping[str, Mapping]) -> Iterator[str]:
    for name, against in rankings.items():
        for whom, item in against.items():
            counts = f"{item['n_exotic']}, {item['n_other']}"
            yield f"| {name} | {whom} | {counts} | {_told(item['auc'])} | {_told(item['ap'])} |"


def _told(estimate: list[float] | None) -> str:
    return "too few" if estimate is None else with_interval(estimate)


def _provisional(models: Mapping[str, Mapping]) -> str:
    lines = [
        "## What the cards say, provisionally",
        "",
        "From the models' manifests: of simulations, and of another survey's sky, each by itself. None of it was "
        "measured on the objects above, and none of it is put together with them.",
        "",
        "| model | measured on | exotics, others (states) | AUC | AP |",
        "|---|---|---|---|---|",
    ]
    for model, rankings in models.items():
        for where, item in rankings.items():
            counts = ", ".join(f"{item[name]:,}" for name in ("n_exotic", "n_other") if name in item)
            ap = with_interval(item["ap"]) if item.get("ap") else ""
            lines.append(f"| {model} | {where} | {counts} | {with_interval(item['auc'])} | {ap} |")
    return "\n".join(lines)
