"""The card of the head `exotic` on light-curve quantities: what its manifest knows, in words and tables."""

from collections.abc import Mapping

from annotator.models.heads import HeadManifest
from training.evolution.evaluate import BOTH
from training.evolution.exotic import QUANTITIES
from training.export.card_text import joined, percent, with_interval


def exotic_card(manifest: HeadManifest) -> str:
    """Write the card, in Markdown."""
    return joined(
        _what(manifest),
        _ranking(manifest),
        _left_out(manifest),
        _drift(manifest),
        _lack(manifest),
        _training(manifest),
        NATIVE,
        SOURCES,
    )


def _what(manifest: HeadManifest) -> str:
    said = manifest.metrics["threshold"]
    seen = (
        "no object of Rubin with a spectrum was seen in training, nor is any figure here of one. They are of "
        "PLAsTiCC's simulation and of ZTF's sky."
    )
    if native := manifest.training.get("native"):
        seen = f"only {sum(native.values())} typed objects of Rubin were seen in training, beside PLAsTiCC's and ZTF's."
    return f"""
# {manifest.version}, revision {manifest.revision}: probability of being exotic, provisional

Boosted trees that have learned which evolutions are those of superluminous supernovae (SLSN) and tidal disruption
events (TDE). **Provisional**: {seen} An active galactic nucleus (AGN) is no exotic: they flood a stream.

| | |
|---|---|
| model set | `{manifest.version}`, revision {manifest.revision} |
| files | `exotic.onnx` ({manifest.graph_bytes:,} bytes, opset {manifest.opset}, sha256 `{manifest.graph_sha256}`), \
`exotic.json` |
| inputs | {len(manifest.inputs)} quantities of `annotator/preprocess/evolution.py`, NaN where missing: \
{", ".join(QUANTITIES)} |
| says nothing without | {manifest.needs} |
| output | `probability` (n,): among objects like PLAsTiCC's training set, of which one in eight is exotic |
| threshold | {manifest.threshold:.3f} and above: `anomaly`; of PLAsTiCC's exotics {percent(said["exotic"])} are \
there, of its other objects {percent(said["other"])}, out-of-fold |
| never an input | brightness, number of points, span, depth, band names, position, redshift, any name or class |
"""


def _row(name: str, found: Mapping, target: str = "") -> str:
    counts = f"{found['n_exotic']}, {found['n_other']:,}"
    if found["auc"] is None:
        return f"| {name} | {counts} | | | {target} |"
    return f"| {name} | {counts} | {with_interval(found['auc'])} | {with_interval(found['ap'])} | {target} |"


_HEAD = ("| | exotics, others (states) | AUC | AP | target |", "|---|---|---|---|---|")


def _ranking(manifest: HeadManifest) -> str:
    simulated, real = manifest.metrics["simulated"], manifest.metrics["real"]
    lines = [
        "## Ranking",
        "",
        "Each state by a head that saw no state of its object; 95 % intervals by bootstrap over objects. PLAsTiCC's "
        f"training set at one random epoch each; ZTF's objects, as ZTF saw them, at {manifest.training['real_epochs']} "
        "each. PLAsTiCC and the sky are never pooled. Of the sky's catalogues YSE and alert packets alone do not tell "
        "the class: together they are one row, and each is a row of its own below.",
        "",
        *_HEAD,
        _row("PLAsTiCC", simulated["all"], "AUC 0.90, AP 0.70"),
        *(_row(f"PLAsTiCC, {kind}", found) for kind, found in simulated["by_kind"].items()),
        *(_row(f"PLAsTiCC, {points} points", found) for points, found in simulated["by_points"].items()),
        _row("ZTF, within YSE and packets", real[BOTH], "AUC 0.82"),
        *(_row(f"ZTF, {name}", found) for name, found in real.items() if name != BOTH),
        *(_row(f"Rubin's own, against {name}", found) for name, found in manifest.metrics.get("native", {}).items()),
        "",
        "A point is a night in a band. What is there and what is missing of an object's quantities, and nothing else, "
        f"ranks PLAsTiCC with an AUC of {manifest.metrics['presence_auc']:.3f}.",
    ]
    return "\n".join(lines)


def _left_out(manifest: HeadManifest) -> str:
    targets = {"the sky": "AUC 0.79", "the simulator, against supernovae": "AUC 0.84"}
    lines = [
        "## Leave the simulator out, and leave the sky out",
        "",
        "A head that was trained on the one source alone, asked about the other. The sky is ZTF within YSE and "
        "packets, by a head that knows PLAsTiCC only; the simulator is PLAsTiCC, by a head that knows ZTF's objects "
        "only, put on Rubin's dates: it has never seen an AGN or a kilonova, nor any band but g and r.",
        "",
        *_HEAD,
        *(_row(name, found, targets.get(name, "")) for name, found in manifest.metrics["left_out"].items()),
    ]
    return "\n".join(lines)


def _drift(manifest: HeadManifest) -> str:
    if not manifest.metrics["drift"]:
        return ""
    rows = [
        f"| {name} | {context} | {percent(item)} |"
        for name, contexts in manifest.metrics["drift"].items()
        for context, item in contexts.items()
    ]
    lines = [
        "## Real objects of Rubin: drift, and no success",
        "",
        "A Lasair filter's stream of January and February 2026, and alerts of deep fields, by what catalogues say of "
        "them; nobody has a spectrum of any. They were never learned from. Of normals like PLAsTiCC's 1 % would be at "
        "the threshold or above: what is more than that says how unlike the simulation the sky is.",
        "",
        "| objects | catalogued as | at the threshold or above |",
        "|---|---|---|",
        *rows,
    ]
    return "\n".join(lines)


def _lack(manifest: HeadManifest) -> str:
    found = manifest.metrics["lack"]
    columns = list(next(iter(found.values())))
    rows = [f"| {group} | {' | '.join(_ratio(parts[name]) for name in columns)} |" for group, parts in found.items()]
    lines = [
        "## What is missing does not decide",
        "",
        f"Of PLAsTiCC's {next(iter(found.values()))['all']['n']:,} objects that are not exotic, as they are and with a "
        "group of quantities hidden: how many times as many then exceed the value that a tenth of them exceed, and the "
        "threshold; 95 % intervals by bootstrap over objects. What hiding does to the normals of other bins is taken "
        "back. A head of which an interval is without 1, or a ratio 1.5 or more, is not written.",
        "",
        f"| hidden | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *rows,
    ]
    return "\n".join(lines)


def _ratio(item: Mapping) -> str:
    return with_interval(item["ratio"], 2) if item["ratio"] else f"none of {item['n']} above"


def _training(manifest: HeadManifest) -> str:
    training, settings = manifest.training, manifest.training["settings"]
    simulated, real = (", ".join(f"{n} {kind}" for kind, n in training[name].items()) for name in ("simulated", "real"))
    native = ", ".join(f"{n} {kind}" for kind, n in training.get("native", {}).items())
    own = f" Real, of Rubin itself, as it saw them: {native}." if native else ""
    return f"""
## Training

Simulated: {simulated}. Real, of ZTF: {real}; each put on the dates and depths, in g and r, of a random position of the
survey simulation, at a random brightness and stretched in time as if it were farther away
(`training/data/carried.py`).{own} {settings["n_epochs"]} random epochs of each, {training["states"]:,} states in all,
of {100 * training["fewer_bands_probability"]:g} % only some bands and of {100 * training["shorter_probability"]:g} %
only a part of the history; groups of quantities hidden at random, as often in both classes, and
{100 * training["drop_probability"]:g} % beyond that. Split {training["split"]}.

{settings["n_boosters"]} gradient boosters (XGBoost), of which the head says the mean, each of {settings["n_trees"]}
trees of depth {settings["max_depth"]}, learning rate {settings["learning_rate"]:g}, exotics with
{settings["exotic_share"]:g} of the weight, seed {settings["seed"]}, one thread. The log odds are calibrated on
PLAsTiCC's out-of-fold labels (Platt 1999).

These settings, and when points count as telling a quantity, were found while the figures above were in sight: they
flatter a little. Tried before, and not shipped: a threshold above which half would be positive (0.16), where half of a
real stream's scored objects would stand; and two heads that the gate refused, until activity before the peak, known of
one object in twenty, was no input any more.

Repeat it: `aha-train exotic --survey lsst --data DIR --out DIR --fresh{" --native DIR" if native else ""}`, DIR with
{", ".join(training["data"][:3])}, the second one above it.
"""


NATIVE = """
## How to make a native one

Typed Rubin objects are within a token's reach: `aha-train fetch features`, then `fetch lightcurves`, with
`--survey lsst`. As soon as there are thirty, five of them SLSN or TDE, `aha-train evaluate --survey lsst --data DIR
--out DIR` measures this head on them alone: believe that figure and not these. `--native DIR` in the command above
learns from them, too; the card then has a row of them, each by a head that did not see it.
"""

SOURCES = """
## Sources

PLAsTiCC: the PLAsTiCC team 2018, arXiv:1810.00001; Kessler et al. 2019, PASP 131, 094501. Survey simulation: Rubin's
baseline v3.0. ZTF's light curves: the catalogues named in the card of the set `ztf`. XGBoost: Chen and Guestrin 2016,
doi:10.1145/2939672.2939785.
"""
