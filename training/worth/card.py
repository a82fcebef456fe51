"""The card of the order of attention: what its manifest knows, in words and tables."""

from collections.abc import Mapping

from annotator.models.worth import WorthManifest
from training.export.card_text import joined, percent, with_interval
from training.worth.examples import DATABANK, EVOLUTIONS

_COMMANDS = {
    "ztf": "aha-train worth --data DIR --out DIR --out-of-fold DIR",
    "lsst": "aha-train worth --survey lsst --data DIR --out DIR --nights {nights}",
}

_HOPED_FOR = {
    "ztf": "SLSN, TDE, fast blue transients and flares in known sources",
    "lsst": "SLSN, TDE and fast blue transients",
}
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
    "exotic_clear": "the exotic probability itself, less the more of alternating, active_before and long_seen there is",
    "odd_exotic": "the combined score up to 4 times the part exotic: what is odd counts where the head supports it",
    "stochastic": "roughness about a smooth course from 0.5 to 2 (e-folds of the errors)",
    "alternating": "above and below its template in turn, in one band, from once to four times",
    "active_before": "flux 100 days or more before the peak, by its logarithm from 0.01 of the peak to all of it",
    "doubtful": "reliability of the brightest detection, from 1 to 0.5",
    "long_seen": "days from the first detection to the last, by their logarithm from 100 to 365",
}


def worth_card(manifest: WorthManifest) -> str:
    """Write the card, in Markdown."""
    parts = [_what(manifest), _first_places(manifest), _reliability(manifest)]
    if "real" in manifest.metrics:
        parts.append(_real(manifest.metrics["real"]))
    return joined(*parts, LIMITS[manifest.survey])


def _what(manifest: WorthManifest) -> str:
    training = manifest.training
    rows = [
        f"| {name} | {weight:.2f} | {_MEANINGS[name]} |"
        for name, weight in zip(manifest.parts, manifest.weights, strict=True)
    ]
    glad, others = ", ".join(training["glad"]), "ordinary supernovae, known kinds and bogus detections"
    provisional = [] if manifest.survey == "ztf" else [PROVISIONAL, ""]
    lines = [
        f"# {manifest.version}: the order of attention",
        "",
        *provisional,
        "`worth` is the chance, from 0 to 1, that a person who looks at an object is glad to have looked. It orders "
        "the list, the digest, announcements and reports, and is in every annotation. It is logistic in the parts "
        "below, each from 0 to 1 and 0 where it is not known; no weight has the wrong sign, so that it is monotone in "
        "each part. What is known already (a class in TNS, a verdict, a variable source, an artefact) gets a "
        "thousandth of it at most, and comes last.",
        "",
        f"Fitted on {training['nights']} simulated nights with truth ({training['n']:,} objects, "
        f"{training['n_glad']:,} of them {glad}; the others are {others}), seeds from {training['first_seed']}, which "
        f"no model has seen{_of_databank(training)}{_of_evolutions(training)}. What the models themselves know to be "
        "variable or an artefact is not fitted to. All figures are by weights fitted to the other nine of ten parts, "
        f"by night and by transient. `{_command(manifest)}` makes them again; from 30 verdicts on a pass refits them "
        "to what people said, shrunk to these. "
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


def _of_evolutions(training: Mapping) -> str:
    found = training["sources"].get(EVOLUTIONS)
    if not found:
        return ""
    return (
        f", and on {found['n']:,} evolutions, each at one random epoch ({found['n_glad']} of SLSN, TDE and kilonovae; "
        "the others are supernovae, and AGN as frequent as in a simulated night): PLAsTiCC's training set, and ZTF's "
        "objects on Rubin's dates and depths. The head's probability is that of heads that did not see the object, of "
        "a third of the trees and half of the epochs of the one that ships. Nights and evolutions count one half each, "
        f"in each of which {100 * training['glad_share']:.0f} % are what a person is glad of"
    )


def _command(manifest: WorthManifest) -> str:
    return _COMMANDS[manifest.survey].format(nights=manifest.training["nights"])


def _first_places(manifest: WorthManifest) -> str:
    orders = manifest.metrics["orders"]
    hoped, places = orders["worth"]["hoped for"], [name for name in orders["worth"] if name.isdigit()]
    lines = [
        "## What stands first",
        "",
        f"{_HOPED_FOR[manifest.survey]} that nobody has classified in the first places of a night, mean of "
        f"{orders['worth']['nights']} nights with a 95 % interval by bootstrap over nights; a night has {hoped:.1f} of "
        f"them. Command: `{_command(manifest)}`.",
        "",
        f"| order |{''.join(f' first {number} | nights without any |' for number in places)}",
        f"|---|{'---|---|' * len(places)}",
    ]
    for name, found in orders.items():
        cells = (
            f" {with_interval(of['exotic'], 2)} | {of['nights without exotic']} |" for of in map(found.get, places)
        )
        lines.append(f"| {name} |{''.join(cells)}")
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


def _real(real: Mapping[str, Mapping]) -> str:
    lines = [
        "## Real objects of Rubin: drift, and no success",
        "",
        "A Lasair filter's stream of January and February 2026, and alerts of deep fields, by what catalogues say of "
        "them; nobody has a spectrum of any, and nothing was fitted to them. Sherlock, whose word these records lack, "
        "knows catalogued AGN and stars, so that the input filter leaves them out of a live stream.",
        "",
        "| objects | catalogued as | all | not scored | anomaly | watch | variable | artefact |",
        "|---|---|---|---|---|---|---|---|",
    ]
    names = ("not scored", "anomaly", "watch", "variable", "artefact")
    for table, found in real.items():
        for context, classes in found["by_context"].items():
            cells = " | ".join(str(classes.get(name, 0)) for name in names)
            lines.append(f"| {table} | {context} | {sum(classes.values())} | {cells} |")
    lines += ["", "| objects | first ten by | catalogued as | decided as |", "|---|---|---|---|"]
    for table, found in real.items():
        for order in found["first"]:
            cells = (
                ", ".join(f"{n} {name}" for name, n in found[key][order].items())
                for key in ("first", "classes_of_first")
            )
            lines.append(f"| {table} | {order} | {' | '.join(cells)} |")
    return "\n".join(lines)


PROVISIONAL = (
    "**Provisional**: no object of Rubin with a spectrum was fitted to, nor is any figure here of one. A simulated "
    "night has the sandbox's own exotics, bogus and variables, and is kinder than the sky."
)

_LIMITS_OF_ZTF = """
## Limits

The nights are simulated, and their exotics easier than real ones; the databank is what people chose to classify, and
has no variable stars. A live stream has fewer exotics than either: the order is what is measured, and a chance is no
frequency of a stream until thirty verdicts say otherwise. A profile other than `balanced` changes the order, and its
chances are none.
"""

_LIMITS_OF_LSST = """
## Limits

The nights are simulated: how reliable bogus detections are is the sandbox's own assumption, and no place has more than
one season. What speaks against an object (variable, alternating, active before) was chosen with PLAsTiCC's classes and
real objects' contexts in sight. What is odd alone leads nowhere here: who hunts that asks for `unheard_of`. A chance is
no frequency of a stream until thirty verdicts say otherwise; a profile other than `balanced` changes the order, and its
chances are none.
"""

LIMITS = {"ztf": _LIMITS_OF_ZTF, "lsst": _LIMITS_OF_LSST}
