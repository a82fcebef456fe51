"""The card of the head `exotic`: what its manifest knows, in words and tables."""

from annotator.models.heads import HeadManifest
from training.exotic.fit import DROP_PROBABILITY, PRIOR_COUNTS_AS, VERDICT_WEIGHT
from training.exotic.network import MODALITY_INPUTS, NEEDS
from training.export.card_text import joined, percent, with_interval


def exotic_card(manifest: HeadManifest) -> str:
    """Write the card, in Markdown."""
    return joined(
        _what(manifest),
        _training(manifest),
        _ranking(manifest),
        _comparisons(manifest),
        _calibration(manifest),
        _limits(manifest),
        SOURCES,
    )


def _what(manifest: HeadManifest) -> str:
    own = [name for names in MODALITY_INPUTS.values() for name in names]
    return f"""
# {manifest.version}, revision {manifest.revision}: probability of being exotic

A forest that has learned from known superluminous supernovae (SLSN) and tidal disruption events (TDE), and from
people's verdicts where it was given any, which objects earned a night before. An active galactic nucleus (AGN) is no
positive: they flood a stream. The annotation's `exotic` is its probability among objects like those of the databank,
of which {manifest.training["positives"]} of {manifest.training["positives"] + manifest.training["others"]:,} are
positive; a stream holds fewer.

| | |
|---|---|
| model set | `{manifest.version}`, revision {manifest.revision} |
| files | `exotic.onnx` ({manifest.graph_bytes:,} bytes, opset {manifest.opset}, sha256 `{manifest.graph_sha256}`), \
`exotic.json` |
| inputs | {len(manifest.inputs)} numbers, NaN where missing: the {len(manifest.inputs) - len(own)} quantities of \
`annotator/preprocess/quantities.py`, and {", ".join(own)} |
| says nothing without | {NEEDS} |
| output | `probability` (n,) |
| threshold | {manifest.threshold:.3f} and above: `anomaly`; half of the known objects there are positive, out-of-fold |
| never an input | TNS redshift or class, any name, sky position, date (the age is a difference, capped) |
"""


def _training(manifest: HeadManifest) -> str:
    training, settings = manifest.training, manifest.training["settings"]
    types = ", ".join(f"{count} {kind}" for kind, count in sorted(training["types"].items()))
    verdicts = training["verdicts"]
    missing = f" Not known in this training: {'; '.join(training['missing'])}." if training["missing"] else ""
    return f"""
## Training

Table `{training["data"]}` (sha256 `{training["data_sha256"]}`), known exotics in it: {types}. Verdicts:
{verdicts["anomaly"]} anomaly, {verdicts["regular"]} regular, each with the weight of {VERDICT_WEIGHT:g} objects;
{verdicts["unused"]} that teach nothing, {verdicts["not_known"]} of objects without numbers. Split
{training["split"]}.{missing}

{settings["n_trees"]} extremely randomised trees, leaves of {settings["min_leaf"]} or more, depth
{settings["max_depth"]}, {settings["max_features"]:g} of the inputs at each split, seed {settings["seed"]}; leaf and
inputs are one of seven combinations that were compared on the very folds of the figures below.
To the forest's log odds the stated prior is added with the weight {PRIOR_COUNTS_AS:g} / ({PRIOR_COUNTS_AS:g} + number
of known positives); the sum is calibrated on out-of-fold labels (Platt 1999). A modality is hidden at random in
training, as often in both classes, and in {100 * DROP_PROBABILITY:g} % of the rows that have it beyond that, so that
its presence says nothing: the AUC of presence alone is {manifest.metrics["presence_auc"]:.3f}.

A new head is served only if it gives what was fitted, and if its AUC on the held-out bin is not below that of the head
in service by more than 0.02 or clearly; else the old one stays.

Repeat it: `aha-train exotic --data {training["data"]} --out DIR --out-of-fold DIR`, with `--verdicts FILE` and
`--ledger FILE` for one's own.
"""


def _row(name: str, found: dict) -> str:
    counts = f"{found['n_positive']}, {found['n_negative']:,}"
    return f"| {name} | {counts} | {with_interval(found['auc'])} | {with_interval(found['ap'])} |"


def _ranking(manifest: HeadManifest) -> str:
    found, live = manifest.metrics["headline"], manifest.metrics["live"]
    types = [f"| {kind} | {with_interval(auc)} |" for kind, auc in found["by_type"].items()]
    rare = [f"| {kind} | {item['n']} | {with_interval(item['auc'])} |" for kind, item in found["rare"].items()]
    lines = [
        "## Ranking SLSN and TDE above normals and AGN",
        "",
        "Out-of-fold; 95 % intervals by bootstrap over objects. Set as a target: AUC 0.92 on all rows.",
        "",
        "| population | positives, others | AUC | AP |",
        "|---|---|---|---|",
        _row("all rows", found["all"]),
        _row("within AHA's cut", found["within_aha_cut"]),
        *([_row("live states, at random earlier epochs", live)] if live else []),
        "",
        "| type, against all that are not positive | AUC |",
        "|---|---|",
        *types,
        "",
        "Rare supernovae, which were negatives in training, against common SN Ia, II, Ib/c: a supernova astronomer "
        "wants them, and the head does not know it.",
        "",
        "| kind | objects | AUC |",
        "|---|---|---|",
        *rare,
    ]
    return "\n".join(lines)


def _comparisons(manifest: HeadManifest) -> str:
    found = manifest.metrics["comparisons"]
    if not found:
        return "## Compared with other heads\n\nNot measured in this training (`--comparisons`)."
    few, left_out = found["few_known"], found["left_out"]
    lines = [
        "## Compared with other heads",
        "",
        "The same head trained otherwise, all rows, out-of-fold.",
        "",
        "| trained on | positives, others | AUC | AP |",
        "|---|---|---|---|",
        _row("AHA's definition: AGN are positives, too (target 0.945, 0.55)", found["aha_definition"]),
        *(_row(f"SLSN and TDE, {name}", item) for name, item in found["ablations"].items() if name != "live"),
        *(
            _row(f"SLSN and TDE, {name} live states in training, asked of live states", item)
            for name, item in found["ablations"]["live"].items()
            if item
        ),
        "",
        f"With {few['n_known']} known exotics (AHA's definition), {few['n_draws']} draws of them: AUC "
        f"{few['auc']['mean']:.3f} ({few['auc']['range'][0]:.3f} to {few['auc']['range'][1]:.3f}; first draw "
        f"{with_interval(few['auc']['interval_of_first'])}), AP {few['ap']['mean']:.3f} "
        f"({few['ap']['range'][0]:.3f} to {few['ap']['range'][1]:.3f}); targets 0.85 and 0.30.",
        "",
        f"Novelty: each type left out of training in turn, then ranked above normals. Mean AUC {left_out['mean']:.3f} "
        f"(target 0.90), lowest {left_out['lowest']:.3f} (target 0.80).",
        "",
        "| type left out | objects | AUC | AP |",
        "|---|---|---|---|",
        *(
            f"| {kind} | {item['n']} | {with_interval(item['auc'])} | {with_interval(item['ap'])} |"
            for kind, item in left_out["types"].items()
        ),
    ]
    return "\n".join(lines)


def _calibration(manifest: HeadManifest) -> str:
    rows = [
        f"| {states} | {item['from']:g} to {item['to']:g} | {item['mean']:.3f} | {percent(item)} |"
        for states, items in manifest.metrics["calibration"].items()
        for item in items
    ]
    return "\n".join(
        [
            "## Is it a probability?",
            "",
            "Out-of-fold, of the objects it was trained on: how many of those given a probability are positive.",
            "",
            "| states | given | mean | found |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _limits(manifest: HeadManifest) -> str:
    return f"""
## What it cannot see

- Positives are {manifest.training["positives"]}, all chosen for a spectrum, in their final state; in a stream the share
  of SLSN and TDE is lower, and so is the probability that one of a given value is one.
- A SLSN-I that is faint, far from a known host, and seen for a few days looks like any young supernova.
- Light curves of catalogues that hold more exotics than normals are left out, whose making would tell the class.
- The latents of light curve and stamps are no inputs: few of the databank's objects have them, and which catalogue a
  light curve came from tells its class (AUC 0.93), which a head would learn.
- From licensed data alone it cannot be trained again: the databank carries no licence. Whoever has a Lasair token makes
  the same table with `aha-train fetch features`.
"""


SOURCES = """
## Sources, licences, citation

- Method: AHA, Anomaly Hunter for Alerts, arXiv 2602.12955 (please cite); the head is ours. Extremely randomised trees:
  Geurts, Ernst and Wehenkel 2006, Machine Learning 63, 3.
- Labels: the AHA authors' databank of Lasair-ZTF objects with classes of the Transient Name Server. No row of it is in
  this model: graph and manifest hold randomly drawn thresholds, shares of leaves of several objects, and simulated
  records.
- Lasair (Smith et al. 2019, RNAAS 3, 26; Williams et al. 2024, RASTI 3, 362; please cite), Sherlock, the Zwicky
  Transient Facility, Pan-STARRS1 and TNS each have their own terms of use and citation.
- Model, manifest and card: Apache-2.0, as the project.
"""
