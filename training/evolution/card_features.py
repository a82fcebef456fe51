"""The card of the model of an LSST object's quantities: what its manifest knows, in words and tables."""

from collections.abc import Mapping

from annotator.models.manifest import Manifest
from annotator.preprocess.evolution import EVOLUTION
from training.evolution.features import EXPECTED_LARGE, EXPECTED_SMALL
from training.export.card_text import calibration_words, joined, percent, with_interval

WORDS = {"oddity": "distance, the score", "prior": "stated prior"}
POPULATIONS = {
    "plasticc": "PLAsTiCC, SLSN and TDE against all others",
    "tde": "PLAsTiCC, TDE against supernovae",
    "ztf": "ZTF, within YSE and packets",
}
TARGETS = {("prior", "tde"): "0.85", ("prior", "ztf"): "0.70"}


def features_card(manifest: Manifest) -> str:
    """Write the card, in Markdown."""
    return joined(_what(manifest), _ranking(manifest), _false_alarms(manifest), _drift(manifest), NATIVE)


def _what(manifest: Manifest) -> str:
    training = manifest.training
    counts = ", ".join(f"{n} {kind}" for kind, n in training["normals"].items())
    rows = [f"| {quantity.name} | {quantity.unit} | {quantity.meaning} |" for quantity in EVOLUTION]
    return "\n".join(
        [
            f"""
# {manifest.version}: light-curve quantities of Rubin's objects, provisional

How far an object's evolution is from what supernovae gather about, and how far it goes in the directions of exotic
ones. **Provisional**: fitted to and calibrated on PLAsTiCC's simulations; no real object of Rubin was learned from.
**The distance alone is near chance** on known exotics (below): it says that something is unlike supernovae, and not
that it is one of the exotics that are known. What the light curve says is the whole input: no brightness, no number of
points, no span, no depth, no host, no position.

| | |
|---|---|
| files | `features.onnx` ({manifest.graph_bytes:,} bytes, opset {manifest.opset}, sha256 `{manifest.graph_sha256}`), \
`features.json` |
| normals | {counts}, one random epoch each |
| score | {calibration_words(manifest)} |
| prior | bluer and cooling less ({", ".join(EXPECTED_LARGE)}), slower ({", ".join(EXPECTED_SMALL)}): sum of the \
shares of normals gone beyond |
| graph | {GRAPH} |

| quantity | unit | what it is |
|---|---|---|""",
            *rows,
        ]
    )


GRAPH = (
    "scaling; a linear reconstruction by four directions (`error`, `residual`, `latent`); distance to centres of "
    "normals (`oddity`); `prior`"
)


def _ranking(manifest: Manifest) -> str:
    lines = [
        "## Ranking known exotics, without labels",
        "",
        "AUC with 95 % intervals by bootstrap over objects; PLAsTiCC's training set, of which the normals were fitted "
        "to, at one random epoch each, ZTF's objects at three. Which directions the prior has was chosen with these "
        "figures in sight: `late_fall` was one, and took from it.",
        "",
        "| | on | exotics, others (states) | AUC | target |",
        "|---|---|---|---|---|",
    ]
    for name, found in manifest.metrics["ranking"].items():
        for where, item in found.items():
            counts = f"{item['n_exotic']}, {item['n_other']:,}"
            target = TARGETS.get((name, where), "")
            lines.append(
                f"| {WORDS[name]} | {POPULATIONS[where]} | {counts} | {with_interval(item['auc'])} | {target} |"
            )
    return "\n".join(lines)


def _false_alarms(manifest: Manifest) -> str:
    found, training = manifest.metrics["checked"], manifest.training
    lines = [
        "## False alarms",
        "",
        f"Calibrated on {training['calibrating']:,} states of half of the supernovae of PLAsTiCC's test set "
        f"({training['calibrating_epochs']} random epochs each), which are as faint as a survey's are; measured on the "
        f"other half, {training['checking']:,} objects at one random epoch "
        "each. Exact intervals, of 95 % of all and of 99 % in each level.",
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


def _drift(manifest: Manifest) -> str:
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


NATIVE = """
## How to make a native one

Rubin's typed objects are within a token's reach: `aha-train fetch features`, then `fetch lightcurves`, with
`--survey lsst`. As soon as there are thirty, five of them SLSN or TDE, `aha-train evaluate --survey lsst --data DIR
--out DIR` measures this model on them alone, its false alarms among them. Calibrated on them it is not: a level takes
500 normals, and half of them have to check it.
"""
