"""The triplet model's card: what its manifest knows, in words and tables."""

from annotator.models.manifest import Manifest
from annotator.surveys.ztf.tables import DETECTION
from training.data.stamps import MIN_DRB, MIN_RB
from training.export.card_text import calibration_words, false_alarms, joined
from training.triplet.evaluate import TARGET_KINDS
from training.triplet.network import TERMS

TARGET_AUC = 0.85
AHA = "AHA's recipe, reproduced, same folds and pairs"


def triplet_card(manifest: Manifest, beside: Manifest | None) -> str:
    """Write the card in Markdown.

    Parameters
    ----------
    beside
        AHA's own recipe on the same stamps, to stand in the same tables; None where it was not run.
    """
    return joined(
        _what(manifest),
        _training(manifest),
        _injections(manifest, beside),
        _labelled(manifest, beside),
        false_alarms(manifest),
        _dependence(manifest),
        LIMITS,
        SOURCES,
    )


def _what(manifest: Manifest) -> str:
    return f"""
# {manifest.version}: anomaly score of Lasair-ZTF objects from their stamps

Two convolutional autoencoders, one of the whole stamps in bins of 3x3 pixels and one of their middle 21x21 pixels, have
learned to reconstruct the science, template and difference stamps of real ZTF detections. What they reconstruct badly,
by the deviation that they themselves expect of each bin or pixel, is unlike them. It serves to choose which objects a
person looks at; it is no classifier.

| | |
|---|---|
| model set | `{manifest.version}` |
| files | `triplet.onnx` ({manifest.graph_bytes:,} bytes, opset {manifest.opset}, sha256 `{manifest.graph_sha256}`), \
`triplet.json` |
| input | `stamps` (n, 6, 63, 63) float32: {manifest.inputs[0].meaning.removeprefix("float32, ")} |
| outputs | `error` (n,): {manifest.outputs[0].meaning.removeprefix("float32, ")}; `residual` (n, {len(TERMS)}): the \
terms; `latent` ({", ".join(manifest.outputs[2].shape)}); to look at, `reconstruction` and `deviation` \
({", ".join(manifest.outputs[3].shape)}): what was expected of bins and of the middle's pixels, and how far they are \
from it in the deviations expected of them |
| bottleneck | {manifest.outputs[2].shape[1]} numbers for 11,907 pixels (AHA's: 8,192 for 12,288) |
| preprocessing | version {manifest.preprocess_version}: sky taken off each stamp, one noise level for all three, \
asinh; edges padded with missing pixels, never stretched |
| epoch | the brightest positive detection, in training, calibration and serving alike |
| score | {calibration_words(manifest)} |

A term of the error is the fourth-power mean of one channel's noise-weighted residuals (of the field's bins, boxes of 3
pixels, or of the middle's pixels, in a disc about the object), as a logarithm in robust deviations from the median of
normals of the same brightness that trained nothing:

{chr(10).join(f"- {term.name}" for term in TERMS)}
"""


def _training(manifest: Manifest) -> str:
    training, counts, parts = manifest.training, manifest.training["counts"], manifest.training["counts_by_part"]
    settings = training["settings"]
    return f"""
## Training

Stamps `{training["data"]}` (with their table: sha256 `{training["data_sha256"]}`): {counts["triplets"]:,} triplets of
{counts["objects"]:,} objects. Normal are those with {DETECTION.real_bogus} >= {MIN_RB:g} or
{DETECTION.deep_real_bogus} >= {MIN_DRB:g} that are not labelled exotic:
{counts["normal_triplets"]} triplets of {counts["normal_objects"]} objects, most of them without any label, variable
stars and active galaxies among them. Split {training["split"]}; this model: {parts["train_triplets"]} triplets train,
{parts["held_out_objects"]} objects set the terms' constants, {parts["test_objects"]} objects test. Each batch is turned
and mirrored by one of the eight symmetries of the square.

AdamW, one cycle to {settings["peak_learning_rate"]:g}, batches of {settings["batch_size"]}, {settings["epochs"]}
epochs. Loss per pixel: Huber's of the residual over an expected deviation that the decoder gives beside the mean, plus
its logarithm. Held-out loss by fold: {", ".join(f"{v:.3f}" for v in manifest.metrics["held_out_loss"])}. Which terms
make the error was chosen by injections like those below; labelled exotics chose nothing. Seed {settings["seed"]}, torch
{training["torch"]}.

Repeat it: `aha-train triplet --data {training["data"]} --out DIR --version {manifest.version} --epochs \
{settings["epochs"]} --seed {settings["seed"]}`
"""


def _injections(manifest: Manifest, beside: Manifest | None) -> str:
    found = manifest.metrics["injections"]
    methods, means = dict(found["methods"]), dict(found["mean"])
    if beside:
        methods = {"reconstruction error": methods.pop("reconstruction error"), AHA: None} | methods
        methods[AHA], means[AHA] = beside.metrics["injections"]["methods"], beside.metrics["injections"]["mean"]
    kinds = list(methods["reconstruction error"])
    rows = [
        f"| {kind}{' *' if kind in TARGET_KINDS else ''} | "
        + " | ".join(_interval(values.get(kind)) for values in methods.values())
        + " |"
        for kind in kinds
    ]
    mean = means["reconstruction error"]
    verdict = "reaches" if mean >= TARGET_AUC else "misses"
    halves = "; ".join(f"{name} {value:.3f}" for name, value in found["halves"].items())
    trained = (
        f" AHA's recipe was trained for {beside.training['epochs']} epochs (its own number is 200)." if beside else ""
    )
    return f"""
## Oddities put into real stamps

AUC of odd stamps against ordinary ones, both members of a pair made alike, every stamp scored by the model that did
not see its object; 95 % intervals by bootstrap. Hosts are moved by 8 to 16 pixels or replaced by sky; a second new
source of 0.3 to 1 times the brightness stands 6 to 20 pixels away; a trail is 3 to 10 noise levels high; a dipole has
a negative twin 2 pixels away; a saturated source bleeds along its columns; a flat top is a source, however faint, cut
off at 0.3 to 0.6 of its peak; a wrong subtraction leaves 5 to 30 % of what lies under the source.{trained}

| kind (pairs) | {" | ".join(methods)} |
|---|{"---|" * len(methods)}
{chr(10).join(rows)}
| **mean over the kinds marked \\*** | {" | ".join(f"{means[name]:.3f}" for name in methods)} |

**The mean over the marked kinds {verdict} the target of {TARGET_AUC}: {mean:.3f}.** By the source's signal to noise:
{halves}. A source without a host is common among real ones, so that a host that is gone or elsewhere cannot be as odd
as a trail; "nothing under the source" finds these because the ordinary members were chosen to have a host, and is
blind to the rest, as each single number is. Pairs: {", ".join(f"{kind} {n}" for kind, n in found["pairs"].items())}.
"""


def _labelled(manifest: Manifest, beside: Manifest | None) -> str:
    found = manifest.metrics["labelled"]
    if not found:
        return "## Ranking known exotics\n\nThe stamps had no labelled exotics and supernovae: not measured."
    methods = dict(found["methods"])
    if beside and beside.metrics["labelled"]:
        methods = {
            "reconstruction error": methods.pop("reconstruction error"),
            AHA: beside.metrics["labelled"],
        } | methods
    rows = [
        f"| {name} | {_interval(m['auc'])} | {_interval(m['ap'])} | {_interval(m['hits'], 1)} |"
        for name, m in methods.items()
    ]
    types = ", ".join(f"{n} {kind}" for kind, n in sorted(found["types"].items()))
    return f"""
## Ranking known exotics

{found["n_exotic"]} labelled exotics ({types}) against {found["n_normal"]} labelled supernovae, brightest positive
detection of each, out-of-fold. Too few to pass or fail: most come from another repository than the supernovae, so that
depth and source differ too.

| score | AUC | AP | hits in the top 10 |
|---|---|---|---|
{chr(10).join(rows)}
"""


def _dependence(manifest: Manifest) -> str:
    found = manifest.metrics["dependence"]
    correlations = ", ".join(f"{name} {value:+.2f}" for name, value in found["rank_correlation"].items())
    thirds = "; ".join(
        f"{name}: "
        + ", ".join(f"{part['low']:.3g} to {part['high']:.3g} {100 * part['share']:.0f} %" for part in parts)
        for name, parts in found["oddest_tenth"].items()
    )
    return f"""
## What the score depends on

Rank correlation of normals' errors with: {correlations}. Share of each third among the oddest tenth of normals (10 % if
it did not matter), {thirds}.
"""


LIMITS = """
## What it cannot see

- Beyond the most extreme of the normals a score is an extrapolation.
- One level for all: the number of earlier detections makes no difference that the normals show (table above).
- Calibration is relative to real detections of public alert collections, not to supernovae alone as in the other
  modalities: too few classified supernovae have stamps.
- A second source within a few pixels, and one below five noise levels, is lost in the source's own scatter.
- Anything beyond 31 arcsec of the object; faint structure below the noise of one exposure.
"""


def _interval(numbers: list[float] | None, digits: int = 3) -> str:
    if numbers is None:
        return ""
    value, low, high = numbers
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


SOURCES = """
## Sources, licences, citation

- Method: AHA, Anomaly Hunter for Alerts, arXiv 2602.12955 (please cite). Written anew from its description; none of its
  code is here.
- Training stamps: public ZTF alerts (programme 1) collected from open repositories of alert brokers. No pixel of them
  is in this model: graph and manifest hold weights, errors, quantities fitted over hundreds of objects, and simulated
  stamps. The index of known objects (`KNOWN_CARD.md`) is another file.
- From the stamps of repositories with a licence alone (nine in ten of them: rows of the table whose `repo_licence` is
  given) it can be trained again; whoever has a Lasair token makes a set with `aha-train fetch cutouts`.
- Lasair (Smith et al. 2019, RNAAS 3, 26; Williams et al. 2024, RASTI 3, 362; please cite), the Zwicky Transient
  Facility and TNS each have their own terms of use and citation.
- Model, manifest and card: Apache-2.0, as the project.
"""
