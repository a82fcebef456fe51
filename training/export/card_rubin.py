"""Sections that the cards of Rubin's models share."""

from collections.abc import Mapping

from annotator.models.manifest import Manifest
from training.export.card_text import percent


def false_alarms(manifest: Manifest) -> str:
    """Say how often supernovae that did not calibrate a model score high."""
    found, training = manifest.metrics["checked"], manifest.training
    lines = [
        "## False alarms",
        "",
        f"Calibrated on {training['calibrating']:,} states of half of the supernovae of PLAsTiCC's test set "
        f"({training['calibrating_epochs']} random epochs each), which are as faint as a survey's are; measured on the "
        f"other half, {training['checking']:,} objects at one random epoch each. Exact intervals, of 95 % of all and "
        "of 99 % in each level.",
        "",
        "| score | expected | level | share | 99 % |",
        "|---|---|---|---|---|",
    ]
    for score, levels in found.items():
        expected = f"{100 * 10 ** -float(score):g} %"
        lines += [
            f"| {score} | {expected} | {name} | {percent(item)} | {_wide(item)} |" for name, item in levels.items()
        ]
    return "\n".join(lines)


def _wide(item: Mapping) -> str:
    if "share_99" not in item:
        return ""
    low, high = (100 * number for number in item["share_99"])
    return f"[{low:.2f}, {high:.2f}]"


def drift(manifest: Manifest) -> str:
    """Say how many of Rubin's real objects score high, where any were at hand."""
    if not manifest.metrics["drift"]:
        return ""
    lines = [
        "## Real objects of Rubin: drift, and no success",
        "",
        "A Lasair filter's stream of January and February 2026, and alerts of deep fields, by what catalogues say of "
        "them. They were never learned from. Many above 1 or 2 say that the sky is unlike the simulation.",
        "",
        "| objects | catalogued as | scored | at 1 or more | at 2 or more |",
        "|---|---|---|---|---|",
    ]
    for name, contexts in manifest.metrics["drift"].items():
        lines += [
            f"| {name} | {context} | {item['n']} | {item['at_1']} | {item['at_2']} |"
            for context, item in contexts.items()
        ]
    return "\n".join(lines)
