"""The card of the order of attention: what its manifest knows, in words and tables."""

from collections.abc import Mapping

from annotator.models.worth import WorthManifest
from training.export.card_text import joined, percent, with_interval
from training.worth.examples import DATABANK

COMMAND = "aha-train worth --data DIR --out DIR --out-of-fold DIR"

_MEANINGS = {
    "exotic": "the exotic probability, by its logarithm from 0.001 to 1",
    "exotic_new": "the same, less the longer its place is known, none after three earlier seasons (or, of a record "
    "that does not go back, three years since the first alert) unless it does what it never did before",
    "odd": "the combined score up to 4, in a stream's own measure where that is known",
    "odd_features": "the same of object features",
    "odd_lightcurve": "the same of the light curve",
    "odd_triplet": "the same of the stamps",
    "prior": "the stated directions up to 3",
    "young": "days since the first detection, by their logarithm from 60 to 1",
    "rising": "brighter than its 8-day mean, up to 0.5 mag, from the second night on",
    "nuclear": "nearer than 2 arcsec to a galaxy's centre",
    "bogus": "the probability that the detection is bogus",
}


def worth_card(manifest: WorthManifest) -> str:
    """Write the card, in Markdown."""
    return joined(_what(manifest), _first_places(manifest), _reliability(manifest), LIMITS)


def _what(manifest: WorthManifest) -> str:
    training = manifest.training
    rows = [
        f"| {name} | {weight:.2f} | {_MEANINGS[name]} |"
        for name, weight in zip(manifest.parts, manifest.weights, strict=True)
    ]
    glad, others = ", ".join(training["glad"]), "ordinary supernovae, known kinds and bogus detections"
    lines = [
        f"# {manifest.version}: the order of attention",
        "",
        "`worth` is the chance, from 0 to 1, that a person who looks at an object is glad to have looked. It orders "
        "the list, the digest, announcements and reports, and is in every annotation. It is logistic in the parts "
        "below, each from 0 to 1 and 0 where it is not known; no weight has the wrong sign, so that it is monotone in "
        "each part. What is known already (a class in TNS, a verdict, a variable source, an artefact) gets a "
        "thousandth of it at most, and comes last.",
        "",
        f"Fitted on {training['nights']} simulated nights with truth ({training['n']:,} objects, "
        f"{training['n_glad']:,} of them {glad}; the others are {others}), seeds from {training['first_seed']}, which "
        f"no model has seen{_of_databank(training)}. What the models themselves know to be variable or an artefact is "
        "not fitted to. All figures are by weights fitted to the other nine of ten parts, by night and by transient. "
        f"`{COMMAND}` makes them again; from 30 verdicts on a pass refits them to what people said, shrunk to these. "
        f"Weights of {' and '.join(f'{weight:g} for {name}' for name, weight in training['stated'].items())} are "
        "stated and no truth of a night: what is young and rising can still be followed up; more is fitted on top.",
        "",
        "| part | weight (log odds) | from 0 to 1 |",
        "|---|---|---|",
        f"| | {manifest.intercept:.2f} | intercept |",
        *rows,
        "",
        f"File: `worth.json`, sha256 of its weights `{manifest.weights_sha256}`.",
    ]
    return "\n".join(lines)


def _of_databank(training: Mapping) -> str:
    found = training["sources"].get(DATABANK)
    if not found:
        return ""
    return (
        f", and on {found['n']:,} states of the databank's objects from 2022 on ({found['n_glad']} of SLSN and TDE; "
        "the others are supernovae and AGN, these as frequent as in a simulated night), final ones and partial light "
        "curves, each scored by models and heads of a fold that did not see it. Of a databank's object the features "
        "alone are scored: which catalogue a light curve came from would tell its class. The objects of the real night "
        "(STREAM_CARD.md) are left out. Nights and databank count one half each, in each of which "
        f"{100 * training['glad_share']:.0f} % are what a person is glad of, as in the databank"
    )


def _first_places(manifest: WorthManifest) -> str:
    orders = manifest.metrics["orders"]
    hoped = orders["worth"]["hoped for"]
    lines = [
        "## What stands first",
        "",
        "SLSN, TDE, fast blue transients and flares in known sources that nobody has classified in the first places of "
        f"a night, mean of {orders['worth']['nights']} nights with a 95 % interval by bootstrap over nights; a night "
        f"has {hoped:.1f} of them. Command: `{COMMAND}`.",
        "",
        "| order | first 10 | nights without any | first 30 | nights without any |",
        "|---|---|---|---|---|",
    ]
    for name, found in orders.items():
        ten, thirty = found["10"], found["30"]
        lines.append(
            f"| {name} | {with_interval(ten['exotic'], 2)} | {ten['nights without exotic']} | "
            f"{with_interval(thirty['exotic'], 2)} | {thirty['nights without exotic']} |"
        )
    for name in ("worth", "score"):
        kinds = ", ".join(f"{count} {kind}" for kind, count in orders[name]["10"]["kinds"].items())
        lines += ["", f"All first tens by {name}: {kinds}."]
    return "\n".join(lines)


def _reliability(manifest: WorthManifest) -> str:
    kinds = [
        f"| {kind} | {median:.3f} | {low:.3f} to {high:.3f} |"
        for kind, (median, low, high) in manifest.metrics["by_kind"].items()
    ]
    lines = [
        "## Whether the chances are true",
        "",
        "Of what the models do not know themselves to be variable or an artefact. Each chance is moved to the share of "
        "glad ones in its own source, which is not that of what was fitted. `aha-train evaluate` draws them.",
    ]
    for source, bins in manifest.metrics["reliability"].items():
        lines += ["", f"| chance, {source} | mean | came true |", "|---|---|---|"]
        lines += [f"| {part['from']:g} to {part['to']:g} | {part['mean']:.3f} | {percent(part)} |" for part in bins]
    lines += ["", "| kind of a simulated night | median chance | middle half |", "|---|---|---|", *kinds]
    return "\n".join(lines)


LIMITS = """
## Limits

The nights are simulated, and their exotics easier than real ones; the databank is what people chose to classify, and
has no variable stars. A live stream has fewer exotics than either: the order is what is measured, and a chance is no
frequency of a stream until thirty verdicts say otherwise. A profile other than `balanced` changes the order, and its
chances are none.
"""
