"""The model card: what the manifest knows, in words and tables."""

from annotator.models.manifest import Manifest
from annotator.models.percentiles import PERCENTILES
from annotator.surveys.ztf.columns import FEATURES
from training.export.card_text import calibration_words, false_alarms, joined, with_interval

POPULATIONS = {
    "like": "rows from 2022 on, normals weighed so that years and missing values are as common in them as in exotics",
    "recent": "rows from 2022 on",
    "within_aha_cut": "rows within AHA's quality cut",
    "all": "all rows",
}
"""The headline first."""


def model_card(manifest: Manifest, beside: Manifest | None) -> str:
    """Write the card of an object-feature model, in Markdown.

    Parameters
    ----------
    beside
        AHA's own recipe on the same table, to stand in the same tables; None where it was not run.
    """
    return joined(
        _what(manifest),
        _inputs(manifest),
        _training(manifest),
        _ranking(manifest, beside),
        false_alarms(manifest),
        _errors(manifest),
        _limits(manifest),
        SOURCES,
    )


def _what(manifest: Manifest) -> str:
    return f"""
# {manifest.version}: anomaly score of Lasair-ZTF objects from their features

Three numbers from the Lasair columns of an object, each fitted to spectroscopically classified SN Ia, SN II and SN Ib/c
alone. The *score*: how far it is from what they gather about, in colour, amplitude, fading, trend and place in the
host. The *prior*: how far it goes in the directions in which an astronomer expects an exotic transient, openly stated.
AHA's *error*: what an autoencoder reconstructs badly. They serve to choose which objects a person looks at; none is a
classifier, or a probability of being exotic.

| | |
|---|---|
| model set | `{manifest.version}` |
| files | `features.onnx` ({manifest.graph_bytes:,} bytes, opset {manifest.opset}, sha256 `{manifest.graph_sha256}`), \
`features.json` |
| inputs | `features` (n, {len(FEATURES)}) and `quantities` (n, {manifest.inputs[1].shape[1]}) float32, physical \
values, NaN where missing |
| outputs | `error` (n,): mean Huber loss over the columns present; `residual` (n, {len(FEATURES)}); `latent` (n, 8); \
`oddity` (n,): {manifest.outputs[3].meaning.removeprefix("float32, ")}; `prior` (n,): \
{manifest.outputs[4].meaning.removeprefix("float32, ")} |
| network | AHA's: 88-56-27-8 and its mirror, GELU and batch normalisation; beside each value an indicator that it is \
missing |
| preprocessing | version {manifest.preprocess_version}; all constants are inside the graph |
| score | {calibration_words(manifest)} |
| prior | the same of the output `prior` |
| thresholds | 3 and above: `anomaly` (one normal in a thousand); 2 and above: `watch` (one in a hundred) |
| percentiles | of each feature and quantity, in the manifest: {len(PERCENTILES)}, from {PERCENTILES[0]:g} to \
{PERCENTILES[-1]:g}, over the last states of the normals that have it |
"""


def _inputs(manifest: Manifest) -> str:
    rows = [
        f"| {c.name} | {c.unit} | {c.low:g} to {c.high:g} | {_transform(c.transform, c.softening)} | "
        f"{c.clip_low:.1f} to {c.clip_high:.1f} |"
        for c in manifest.columns
    ]
    return "\n".join(
        [
            "## Inputs",
            "",
            "A value outside its physical range is missing; one beyond the training part's extremes counts as the "
            "extreme (clip, in robust standard deviations from the median), so that no single number can raise an "
            "error or a distance without bound. The first 21 are the autoencoder's, the others the quantities of the "
            "score (`annotator/preprocess/quantities.py`). The TNS redshift, AHA's 22nd input, is left out: an "
            "unclassified object has none.",
            "",
            "| column | unit | physical range | transform | clip |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def _transform(transform: str, softening: float) -> str:
    return f"asinh(x / {softening:.3g})" if transform == "asinh" else transform


def _training(manifest: Manifest) -> str:
    training, parts = manifest.training, manifest.training["counts_by_part"]
    settings = training["settings"]
    counts = ", ".join(f"{count:,} {label}" for label, count in sorted(training["counts"].items()))
    return f"""
## Training

Table `{training["data"]}` (sha256 `{training["data_sha256"]}`): {counts}; {training["n_unscorable"]} rows with too few
values. Rows that Lasair computed of detections in reversed order (their rate errors are negative) are not used:
{training["n_not_whole"]} are left out, and the columns of {training["n_from_curves"]} computed anew from their light
curves. Labels serve only to keep the exotics out of training. Split {training["split"]}. This model:
{parts["train"]:,} normals train, {parts["validation"]:,} stop the training, {parts["test_normal"]:,} normals and
{parts["test_exotic"]:,} exotics test.

AdamW, one cycle to {settings["peak_learning_rate"]:g}, batches of {settings["batch_size"]}, {settings["epochs"]}
epochs, epoch {training["epoch"]} kept: it reconstructs the validation normals best, half whole, half with a band, the
Pan-STARRS1 source or Sherlock's host hidden (mean error {manifest.metrics["validation_error"]:.4f}). Groups are hidden
at random in training (p = {settings["mask_probability"]:g} each, in half of the rows), so that an object without one is
scored too. No setting was chosen by how exotics rank. Seed {settings["seed"]}, torch {training["torch"]}.

Repeat it: `aha-train features --data {training["data"]} --out DIR --version {manifest.version} --epochs \
{settings["epochs"]} --seed {settings["seed"]}`
"""


def _ranking(manifest: Manifest, beside: Manifest | None) -> str:
    ranking = manifest.metrics["ranking"]
    if not ranking:
        return "## Ranking known exotics\n\nThe table had no exotics: not measured."
    lines = [
        "## Ranking known exotics",
        "",
        "Out-of-fold: every object is scored once, by what was fitted to other bins. 95 % intervals by bootstrap over "
        "transients. AP is average precision; hits are exotics among the ten highest of a bin, mean of ten bins. The "
        "baselines use the same columns, scaled the same way, and no network. The last line of each table is a forest "
        "that knows the year of an object's first detection and which of its values are missing, and nothing else: "
        "who was followed up changes with the years, and a distant host is in no catalogue. Where it ranks as well as "
        "that, the rest of a table is no better than its population; the first table is of one where it tells nothing. "
        "How many of a real night's flags are worth a look nobody measures here: `aha-train stream-night`.",
    ]
    for key, title in POPULATIONS.items():
        if key in ranking:
            lines += ["", *_ranking_table(title, ranking[key], beside if key == "within_aha_cut" else None)]
    types = ranking["by_type"]
    headline = next(iter(ranking))
    first, second = list(ranking[headline]["methods"])[:2]
    lines += [
        "",
        _verdict(ranking[headline]["methods"]),
        "",
        CHOICE,
        "",
        f"| AUC by type, {'rows from 2022 on' if 'recent' in ranking else 'all rows'} | objects | {first} | {second} |",
        "|---|---|---|---|",
        *(
            f"| {kind} | {t['n']} | {with_interval(t[first])} | {with_interval(t[second])} |"
            for kind, t in types.items()
        ),
    ]
    if beside:
        lines += ["", _own_split(beside)]
    return "\n".join(lines)


def _ranking_table(title: str, part: dict, beside: Manifest | None) -> list[str]:
    n_normal, n_exotic = part["n_normal"], part["n_exotic"]
    base_rate = n_exotic / (n_normal + n_exotic)
    methods = dict(part["methods"])
    if beside:
        methods["AHA's recipe, reproduced, same bins"] = beside.metrics["ranking"]["within_aha_cut"]["methods"][
            "reconstruction error"
        ]
    return [
        f"{title[0].upper()}{title[1:]}: {n_normal:,} normals, {n_exotic} exotics.",
        "",
        "| score | AUC | AP | hits in the top 10 |",
        "|---|---|---|---|",
        f"| chance | 0.500 | {base_rate:.3f} | {10 * base_rate:.1f} |",
        *(
            f"| {name} | {with_interval(m['auc'])} | {with_interval(m['ap'])} | {with_interval(m['hits'], 1)} |"
            for name, m in methods.items()
        ),
    ]


def _verdict(methods: dict) -> str:
    value, low, high = methods["reconstruction error"]["auc"]
    if low <= 0.5 <= high:
        found = "ranks known exotics (AGN, TDE, SLSN) no better than chance"
    elif high < 0.5:
        found = "ranks known exotics (AGN, TDE, SLSN) below chance"
    else:
        found = f"ranks known exotics (AGN, TDE, SLSN) above chance (AUC {value:.2f})"
    return (
        f"**AHA's reconstruction error {found}.** It finds combinations of columns that do not fit together (an odd "
        f"host, a contradictory light curve), which is another thing than a rare class whose columns agree. It stands "
        f"in the annotation beside the score, and is no part of it."
    )


CHOICE = (
    "How the score was chosen, labels aside: its quantities are those that do not depend on how far away an object is, "
    "in both bands; its form, a distance to centres, is the one that a graph can hold without holding anybody's rows. "
    "Six sets of quantities, of 6 to 39, were looked at on these same folds before; their AUC by the distance to 20 "
    "neighbours was 0.77 to 0.84 within the cut, so that a part of the figure may be luck. The prior's directions are "
    "stated, not fitted: bluer now and at the peak, closer to the host's centre by two catalogues, slower in amplitude "
    "and fading in both bands, and odd at all, each with the same weight."
)


def _own_split(beside: Manifest) -> str:
    own = beside.metrics["own_split"]
    mean = {name: f"{value:.3f} +- {sd:.3f}" for name, (value, sd) in own["mean_and_sd"].items()}
    first = own["seeds"][0]
    return (
        f"AHA's recipe on its own random split (exotics in training, TNS redshift as an input, {own['n_normal']} "
        f"normals and {own['n_exotic']} exotics in its test part), mean and standard deviation over "
        f"{len(own['seeds'])} seeds: "
        f"AUC {mean['auc']}, AP {mean['ap']}, hits in the top 10 {mean['hits']}; with bootstrap intervals, first seed: "
        f"AUC {with_interval(first['auc'])}, AP {with_interval(first['ap'])}, hits {with_interval(first['hits'], 1)}. "
        f"Repeat it: `aha-train features --recipe aha --data {beside.training['data']} --out OTHER`, then "
        f"`--beside OTHER` for this card."
    )


def _errors(manifest: Manifest) -> str:
    quantiles = manifest.metrics["error_quantiles"]
    errors = "; ".join(
        f"{name}s " + ", ".join(f"{q:g}" for q in quantiles[name]) for name in ("normal", "exotic") if name in quantiles
    )
    return f"Reconstruction error at quantiles {', '.join(map(str, quantiles['levels']))}, out-of-fold: {errors}."


def _limits(manifest: Manifest) -> str:
    hidden = ", ".join(f"{name} {error:.4f}" for name, error in manifest.metrics["validation_errors"].items())
    return f"""
## What it cannot see

- Anything that is not in these columns: the shape of the light curve beyond a few means and extremes, the images, the
  spectrum, the past beyond the thirty days of a ZTF alert packet.
- Calibration is relative to classified supernovae: the state Lasair last had of each, and for
  {manifest.training["live_states"]["objects"]} with light curves {manifest.training["live_states"]["states"]} states at
  random earlier epochs, which alone make the level of the youngest. A live stream holds other kinds, too (AGN, variable
  stars, artefacts): more than one in a hundred will score above 2.
- An object that lacks a band or a host is compared with normals that mostly have both, and less is asked of it. Mean
  error of the validation normals: {hidden}.
- Rare supernovae (Ia-CSM, Ibn, IIn, Ic-BL, Iax ...) are among the "normals" it was trained on.
- {manifest.training["counts_by_part"]["train"]:,} objects train it, all chosen by astronomers for a spectrum, all with
  a g-r colour.
- Beyond the most extreme normal of its level a score is an extrapolation.
"""


SOURCES = """
## Sources, licences, citation

- Method: AHA, Anomaly Hunter for Alerts, arXiv 2602.12955 (please cite). Written anew from its description; none of its
  code is here.
- Training table: the AHA authors' databank of Lasair-ZTF objects with classes of the Transient Name Server, published
  with AHA (doi 10.5281/zenodo.18430441; its repository has no licence file). No row of it is in
  this model: graph and manifest hold weights, errors, quantities and percentiles over thousands of objects, and
  simulated records. The index of known objects (`KNOWN_CARD.md`) is another file.
- From licensed data alone nothing of it can be trained again: the databank carries no licence. Whoever has a Lasair
  token makes the same table with `aha-train fetch features`.
- Lasair (Smith et al. 2019, RNAAS 3, 26; Williams et al. 2024, RASTI 3, 362; please cite), Sherlock, the Zwicky
  Transient Facility, Pan-STARRS1 and TNS each have their own terms of use and citation.
- Model, manifest and card: Apache-2.0, as the project.
"""
