"""The card of the head `exotic`: what its manifest knows, in words and tables."""

from annotator.models.heads import HeadManifest
from training.exotic.fit import PRIOR_COUNTS_AS, VERDICT_WEIGHT
from training.exotic.network import MODALITY_INPUTS, NEEDS
from training.export.card_text import joined, percent, with_interval


def exotic_card(manifest: HeadManifest) -> str:
    """Write the card, in Markdown."""
    return joined(
        _what(manifest),
        _first(manifest),
        _training(manifest),
        _ranking(manifest),
        _lack(manifest),
        _comparisons(manifest),
        _calibration(manifest),
        _limits(manifest),
        SOURCES,
    )


def _what(manifest: HeadManifest) -> str:
    own = [name for names in MODALITY_INPUTS.values() for name in names]
    return f"""
# {manifest.version}, revision {manifest.revision}: probability of being exotic

Boosted trees that have learned from known superluminous supernovae (SLSN) and tidal disruption events (TDE), and from
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
| threshold | {manifest.threshold:.3f} and above: `anomaly`; in the databank {_at_threshold(manifest)}; in \
a stream far fewer: `aha-train stream-night` counts them |
| never an input | TNS redshift or class, any name, sky position, date (the age is a difference, capped) |
"""


def _at_threshold(manifest: HeadManifest) -> str:
    found = manifest.metrics["threshold"]
    return f"{percent(found)} of the known objects there are positive, out-of-fold"


def _first(manifest: HeadManifest) -> str:
    found = manifest.metrics["headline"]
    main = found.get("like") or found["all"]
    plain = found.get("recent") or found["all"]
    return f"""
SLSN and TDE against normals and AGN, out-of-fold, on rows from 2022 on, 95 % intervals by bootstrap over transients:
**AUC {with_interval(plain["auc"])}, AP {with_interval(plain["ap"])}**, where the year and what is missing alone give
{with_interval(plain["era"])}; against others of like years and missing values, where these two alone give
{with_interval(main["era"])}: **AUC {with_interval(main["auc"])}, AP {with_interval(main["ap"])}**. Nobody has measured
how many SLSN and TDE of a survey it finds: all positives were chosen by somebody for a spectrum. Every figure here is
of `aha-train exotic --comparisons`.
"""


def _training(manifest: HeadManifest) -> str:
    training, settings = manifest.training, manifest.training["settings"]
    types = ", ".join(f"{count} {kind}" for kind, count in sorted(training["types"].items()))
    verdicts = training["verdicts"]
    missing = f" Not known in this training: {'; '.join(training['missing'])}." if training["missing"] else ""
    return f"""
## Training

Table `{training["data"]}` (sha256 `{training["data_sha256"]}`), known exotics in it: {types}. Rows that Lasair computed
of detections in reversed order are not used: {training["n_not_whole"]} are left out, and the columns of
{training["n_from_curves"]} computed anew from their light curves. Verdicts: {verdicts["anomaly"]} anomaly,
{verdicts["regular"]} regular, each with the weight of {VERDICT_WEIGHT:g} objects; {verdicts["unused"]} that teach
nothing, {verdicts["not_known"]} of objects without numbers. Split {training["split"]}.{missing}

{settings["n_boosters"]} gradient boosters (XGBoost), of which the head says the mean, each of {settings["n_trees"]}
trees of depth {settings["max_depth"]}, learning rate {settings["learning_rate"]:g}, {settings["row_share"]:g} of the
rows and {settings["column_share"]:g} of the inputs for each tree, seed {settings["seed"]}, one thread. Depth,
rate and share are one of {len(training["choices"])} combinations, chosen anew for each of the ten fits by average
precision on an inner split of what it is fitted to, in {training["inner_parts"]} parts. How often groups of inputs are
hidden, and that several boosters are averaged, was settled while the ten folds of the figures below were in sight: they
flatter a little. To the log odds the stated prior is added with the weight {PRIOR_COUNTS_AS:g} / ({PRIOR_COUNTS_AS:g} +
number of known positives); the sum is calibrated on out-of-fold labels (Platt 1999).

Pan-STARRS1's columns, the host's, the distance, rates, colours and each modality are hidden at random in training, as
often in both classes, and in {100 * training["drop_probability"]:g} % of the rows that have them beyond that; what a
missing modality would say counts as the median. The AUC of the presence of modalities alone is
{manifest.metrics["presence_auc"]:.3f}.

A new head is served only if it gives what was fitted, if what is missing does not decide (below), and if its AUC on the
held-out bin is not below that of the head in service by more than 0.02 or clearly; else the old one stays.

Repeat it: `aha-train exotic --data {training["data"]} --out DIR --out-of-fold DIR`, with `--verdicts FILE` and
`--ledger FILE` for one's own.
"""


def _lack(manifest: HeadManifest) -> str:
    found = manifest.metrics["lack"]
    classes = list(next(iter(found.values()), {}))
    rows = [f"| {group} | {' | '.join(_ratio(parts[name]) for name in classes)} |" for group, parts in found.items()]
    sizes = [f"{name} ({item['n']:,})" for name, item in next(iter(found.values()), {}).items()]
    return "\n".join(
        [
            "## What is missing does not decide",
            "",
            "Held-out normals from 2022 on, by Sherlock's class, as they are and with a group of columns hidden, the "
            "other models asked anew: how many times as many then exceed the value that a tenth of them exceed, and "
            "last, of all, the threshold; 95 % intervals by bootstrap over transients. What hiding does to the normals "
            "of other bins is taken back, by class. A head of which an interval is without 1, or a ratio 1.5 or more, "
            "is not written.",
            "",
            f"| hidden | {' | '.join(sizes)} |",
            f"|---|{'---|' * len(sizes)}",
            *rows,
        ]
    )


def _ratio(item: dict) -> str:
    return with_interval(item["ratio"], 2) if item["ratio"] else f"none of {item['n']} above"


POPULATIONS = {
    "like": "from 2022 on, others weighed so that years and missing values are as common as in positives",
    "recent": "from 2022 on",
    "within_aha_cut": "within AHA's cut",
    "all": "all rows",
}
"""The headline first."""


def _row(name: str, found: dict, beside: str = "") -> str:
    counts = f"{found['n_positive']}, {found['n_negative']:,}"
    return f"| {name} | {counts} | {with_interval(found['auc'])} | {with_interval(found['ap'])} |{beside}"


def _ranking(manifest: HeadManifest) -> str:
    found, live = manifest.metrics["headline"], manifest.metrics["live"]
    types = [f"| {kind} | {with_interval(auc)} |" for kind, auc in found["by_type"].items()]
    rare = [f"| {kind} | {item['n']} | {with_interval(item['auc'])} |" for kind, item in found["rare"].items()]
    lines = [
        "## Ranking SLSN and TDE above normals and AGN",
        "",
        "Out-of-fold, by the head that ships; 95 % intervals by bootstrap over transients. Targets on rows from 2022 "
        "on: AUC 0.93, AP 0.45. In the last column a forest that knows the year of the first detection and which "
        "values are missing, and nothing else; of live states the year alone.",
        "",
        "| population | positives, others | AUC | AP | era and missing values alone, AUC |",
        "|---|---|---|---|---|",
        *(
            _row(words, found[name], f" {with_interval(found[name]['era'])} |")
            for name, words in POPULATIONS.items()
            if name in found
        ),
        _row("from 2022 on, by AHA's definition: AGN are positives, too", found["as_aha"], " |"),
        *(
            _row(f"live states at random earlier epochs, {words}", live[name], f" {live[name]['year_auc']:.3f} |")
            for name, words in (("recent", "from 2022 on"), ("all", "all years"))
            if name in live
        ),
        "",
        "| type from 2022 on, against all that are not positive | AUC |",
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
        "Single boosters trained otherwise, nothing taken back for what is missing, out-of-fold, on rows from 2022 on.",
        "",
        "| trained on | positives, others | AUC | AP |",
        "|---|---|---|---|",
        _row("AHA's definition: AGN are positives, too (the boosters that ship, trained so)", found["aha_definition"]),
        *(_row(f"SLSN and TDE, {name}", item) for name, item in found["ablations"].items() if name != "live"),
        *(
            _row(f"SLSN and TDE, {name} live states in training, asked of live states", item["recent"])
            for name, item in found["ablations"]["live"].items()
            if "recent" in item
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

- Method: AHA, Anomaly Hunter for Alerts, arXiv 2602.12955 (please cite); the head is ours. Boosted trees: XGBoost,
  Chen and Guestrin 2016, KDD '16, 785.
- Labels: the AHA authors' databank of Lasair-ZTF objects with classes of the Transient Name Server. No row of it is in
  this model: graph and manifest hold thresholds of trees, what their leaves of several objects add, and simulated
  records.
- Lasair (Smith et al. 2019, RNAAS 3, 26; Williams et al. 2024, RASTI 3, 362; please cite), Sherlock, the Zwicky
  Transient Facility, Pan-STARRS1 and TNS each have their own terms of use and citation.
- Model, manifest and card: Apache-2.0, as the project.
"""
