"""The card of the model of an LSST object's quantities: what its manifest knows, in words and tables."""

from annotator.models.manifest import Manifest
from annotator.preprocess.evolution import EVOLUTION
from training.evolution.features import EXPECTED_LARGE, EXPECTED_SMALL
from training.export.card_rubin import drift, false_alarms
from training.export.card_text import calibration_words, joined, with_interval

WORDS = {"oddity": "distance, the score", "prior": "stated prior"}
POPULATIONS = {
    "plasticc": "PLAsTiCC, SLSN and TDE against all others",
    "tde": "PLAsTiCC, TDE against supernovae",
    "ztf": "ZTF, within YSE and packets",
}
TARGETS = {("prior", "tde"): "0.85", ("prior", "ztf"): "0.70"}


def features_card(manifest: Manifest) -> str:
    """Write the card, in Markdown."""
    return joined(_what(manifest), _ranking(manifest), false_alarms(manifest), drift(manifest), NATIVE)


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


NATIVE = """
## How to make a native one

Rubin's typed objects are within a token's reach: `aha-train fetch features`, then `fetch lightcurves`, with
`--survey lsst`. As soon as there are thirty, five of them SLSN or TDE, `aha-train evaluate --survey lsst --data DIR
--out DIR` measures this model on them alone, its false alarms among them. Calibrated on them it is not: a level takes
500 normals, and half of them have to check it.
"""
