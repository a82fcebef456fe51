"""Sentences and numbers that all model cards share."""

import textwrap
from collections.abc import Sequence

from annotator.models.manifest import Manifest


def wrapped(block: str) -> str:
    """Break prose and lists at the project's line length; tables stay."""
    if block.startswith("|"):
        return block
    items = [" ".join(item.split()) for item in block.split("\n- ")]
    return "\n".join(
        textwrap.fill(
            item if i == 0 else f"- {item}",
            120,
            subsequent_indent="  " if block.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for i, item in enumerate(items)
    )


def joined(*sections: str) -> str:
    """Return a card of its sections, in Markdown; empty ones are left out."""
    blocks = "\n\n".join(section.strip() for section in sections if section).split("\n\n")
    return "\n\n".join(wrapped(block) for block in blocks) + "\n"


def with_interval(numbers: Sequence[float], digits: int = 3) -> str:
    """Write a value with its interval."""
    value, low, high = numbers
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def calibration_words(manifest: Manifest) -> str:
    """Say in one cell of a table what a score is made of."""
    item = manifest.calibrated[0]
    levels = "; ".join(
        f"{level.name}: {len(level.values):,}, extrapolated above {level.extrapolated_above:.2f} (Pareto shape "
        f"{level.tail.shape:.2f})"
        for level in item.levels
    )
    return (
        f"-log10 p of the output `{item.output}`: p = (1 + number of normals with a value as large) / (n + 1) among "
        f"normals of like sampling, each scored by a model that did not see it, and below that floor a generalised "
        f"Pareto tail, to a hundredth of it at most. Levels and their normals: {levels}"
    )


def false_alarms(manifest: Manifest) -> str:
    """Write the section on false alarms that every card has."""
    lines = [
        "## False alarms",
        "",
        "Share of normals at or above a score, each calibrated on the other bins' normals; exact (Clopper-Pearson) "
        "95 % intervals. Held out: bin 9, which this very model has not seen. The score is relative to classified "
        "supernovae and the like that the model was trained on, and says nothing of how many objects of a live stream "
        "are flagged: `aha-annotator status` counts them. It is also the chance of one scoring: an object that is "
        "scored thirty times has thirty chances, at most "
        f"{100 * (1 - 0.99**30):.0f} % to be at 2 once where its scorings are independent, which they are not.",
    ]
    for output, found in manifest.metrics["false_alarms"].items():
        rows = [
            f"| {level} | {100 * 10 ** -float(level):g} % | {percent(part['held_out'])} | {percent(part['all_bins'])} |"
            for level, part in found["shares"].items()
        ]
        lines += ["", f"| {output} | expected | held out | all bins |", "|---|---|---|---|", *rows]
        if found["groups"]:
            groups = [f"| {name} | {percent(part)} |" for name, part in found["groups"].items()]
            lines += ["", f"| {output} at or above 2, expected 1 % | share |", "|---|---|", *groups]
        if found.get("without_levels"):
            lines += ["", WITHOUT_LEVELS, ""]
            lines += [f"| {output} at or above 2, without levels | share |", "|---|---|"]
            lines += [f"| {name} | {percent(part)} |" for name, part in found["without_levels"].items()]
        tests = [
            f"{name}: largest distance {test['distance']:.3f} of {test['n'][0]} and {test['n'][1]:,}, p = "
            f"{test['p_corrected']:.3f}"
            for name, test in found["two_sample"].items()
        ]
        lines += [
            "",
            f"Could the held-out bin's values be drawn from the others' (Kolmogorov and Smirnov, corrected over levels "
            f"by Holm's method)? {'; '.join(tests)}.",
        ]
    return "\n".join(lines)


WITHOUT_LEVELS = (
    "What the levels bring: the same live states, had they been compared with the databank's final states of whatever "
    "sampling."
)


def percent(part: dict) -> str:
    """Write a share of :func:`training.metrics.calibrate.share_of`."""
    value, low, high = (100 * number for number in part["share"])
    return f"{value:.2f} % [{low:.2f}, {high:.2f}] ({part['above']} of {part['n']:,})"
