"""The card of the model of Rubin's stamps: what its manifest knows, in words and tables."""

from collections.abc import Mapping, Sequence

from annotator.models.manifest import Manifest
from training.export.card_text import calibration_words, joined, percent, with_interval
from training.triplet.evaluate import METHOD, TARGET_KINDS
from training.triplet.network import SMALL_TERMS
from training.triplet.rubin.evaluate import LEAST_AUC, MOST_REAL_AT_2


def triplet_card(manifest: Manifest, reasons: Sequence[str]) -> str:
    """Write the card in Markdown.

    Parameters
    ----------
    reasons
        Why the model is not shipped; empty where it is.
    """
    return joined(
        _what(manifest, reasons),
        _training(manifest),
        _real(manifest.metrics["real"]),
        _injections(manifest.metrics["injections"]),
        _rendered(manifest.metrics["rendered"]),
        LIMITS,
    )


def _what(manifest: Manifest, reasons: Sequence[str]) -> str:
    verdict = (
        f"**Not shipped**: {'; and '.join(reasons)}. The annotator says of this view that there is no model yet. "
        "Everything else is there: stamps of packets and of Lasair go the way that they would go with one, and an "
        "operator with stamps of classified objects can train one."
        if reasons
        else f"**Provisional**: no real object was learned from, and 1 % expected at 2 is "
        f"{_share(manifest.metrics['real']['shares']['2']['all'])} of real ones."
    )
    files = (
        "none: the card alone"
        if reasons
        else f"`triplet.onnx` ({manifest.graph_bytes:,} bytes, opset {manifest.opset}, sha256 "
        f"`{manifest.graph_sha256}`), `triplet.json`"
    )
    return f"""
# {manifest.version}: anomaly score of Rubin's stamps

A convolutional autoencoder has learned to reconstruct the middle six arcseconds of rendered stamps. What it
reconstructs badly, by the deviation that it itself expects of each bin, is unlike them. {verdict}

The rule: at most {100 * MOST_REAL_AT_2:g} % of the real triplets score 2 or more, and oddities put into stamps are
ranked with a mean AUC of at least {LEAST_AUC:.2f}.

| | |
|---|---|
| files | {files} |
| input | `stamps` (n, 6, 63, 63) float32: {manifest.inputs[0].meaning.removeprefix("float32, ")} |
| bottleneck | {manifest.outputs[2].shape[1]} numbers for 675 bins |
| preprocessing | version {manifest.preprocess_version}: of every stamp the middle 30 pixels, however large it is, in \
bins of 2 x 2 (0.4 arcsec); one noise level for all three, that of the difference away from the object; no sky is \
taken off, as Rubin has done so; a difference of 0 to the last bit is missing; what is negative is looked at as its \
mirror |
| score | {calibration_words(manifest)} |

A term of the error is the fourth-power mean of one channel's noise-weighted residuals in a disc about the object, as a
logarithm in robust deviations from the median of normals of the same brightness that trained nothing:

{chr(10).join(f"- {term.name}" for term in SMALL_TERMS)}
"""


def _training(manifest: Manifest) -> str:
    counts, settings = manifest.training["counts"], manifest.training["settings"]
    kinds = ", ".join(f"{n} {kind}" for kind, n in manifest.training["kinds"].items())
    return f"""
## Training

Nothing real: simulated nights, each with a sky of its own, rendered by `annotator.sandbox.sky.rubin` at Rubin's pixel,
seeing and depth. {counts["train"]:,} triplets train ({kinds}; random epochs), {counts["constants"]:,} set the terms'
constants, {counts["calibrate"]:,} calibrate, {counts["check"]:,} measure. Templates hold hosts, nuclei, stars and what
supernovae shone while they were made, so that differences are of either sign. Point-spread functions are Moffat
profiles, longer than wide, sharper and rounder in templates; photons are counted; what a subtraction leaves (offset,
gain, width, elongation) differs from visit to visit. How wide a point is, how deep a template is and how large a
pixel's noise is were set beside the medians of the real stamps below, and that subtractions fail by very different
amounts was seen in them; no score of theirs chose a number, except that a first rendering, of which 11 % of the real
ones were at 2, was improved in these respects after a look at which.

AdamW, one cycle to {settings["peak_learning_rate"]:g}, batches of {settings["batch_size"]}, {settings["epochs"]}
epochs, seed {settings["seed"]}, torch {manifest.training["torch"]}. Held-out loss
{manifest.metrics["held_out_loss"]:.3f}. Repeat it: `aha-train triplet --survey lsst --data ../shared/data/rubin --out
DIR --seed {settings["seed"]}`; native ones, once an operator has fetched stamps of typed objects, need their pixels in
place of the rendered ones.
"""


def _real(found: Mapping) -> str:
    if not found:
        return "## On real stamps\n\nNot measured: none were given."
    rows = [
        f"| {name} | {percent(found['shares']['1'][name])} | {percent(found['shares']['2'][name])} |"
        for name in found["shares"]["2"]
    ]
    correlations = "; ".join(f"{name} {value:+.2f} (p = {p:.2g})" for name, (value, p) in _correlations(found))
    return f"""
## On real stamps

Triplets of real alerts of 2025 and 2026 that are no asteroids, most of them of deep fields: catalogued active nuclei
and stars, hardly a supernova, and some of them bogus, which ought to be odd. None trained or calibrated anything.
Exact 95 % intervals; 10 % expected at 1 and 1 % at 2 of what is like the rendered ones.

| | at 1 or more | at 2 or more |
|---|---|---|
{chr(10).join(rows)}

Rank correlation of the score with: {correlations}. A side is 30 pixels or as many as the source is large: the same
part is looked at of each, and what is left of a correlation goes with how bright a source is.
"""


def _injections(found: Mapping) -> str:
    methods, means = found["methods"], found["mean"]
    rows = [
        f"| {kind} ({found['pairs'].get(kind, 'both')}){' *' if kind in TARGET_KINDS else ''} | "
        + " | ".join(with_interval(values[kind]) if values.get(kind) else "" for values in methods.values())
        + " |"
        for kind in methods[METHOD]
    ]
    mean = means[METHOD]
    verdict = "reaches" if mean[0] >= LEAST_AUC else "misses"
    return f"""
## Oddities put into rendered stamps

AUC of odd stamps against ordinary ones, both members of a pair made alike, of nights that trained nothing; 95 %
intervals by bootstrap. Hosts are moved by 1.4 to 2.2 arcsec or replaced by sky; a second new source of 0.3 to 1 times
the brightness stands 1.6 to 2.6 arcsec away; a trail is 3 to 10 noise levels of a bin high; a dipole has a negative
twin 1.2 arcsec away; a saturated source bleeds along its columns; a flat top is a source cut off at 0.3 to 0.6 of its
peak; a wrong subtraction leaves 5 to 30 % of what lies under the source.

| kind (pairs) | {" | ".join(methods)} |
|---|{"---|" * len(methods)}
{chr(10).join(rows)}
| **mean over the kinds marked \\*** | {" | ".join(with_interval(means[name]) for name in methods)} |

**The mean over the marked kinds {verdict} {LEAST_AUC:.2f}: {with_interval(mean)}.**
"""


def _rendered(found: Mapping) -> str:
    rows = [
        f"| {name} | {percent(found['shares']['1'][name])} | {percent(found['shares']['2'][name])} |"
        for name in found["shares"]["2"]
    ]
    correlations = "; ".join(f"{name} {value:+.2f} (p = {p:.2g})" for name, (value, p) in _correlations(found))
    return f"""
## False alarms among rendered stamps

Of nights that trained and calibrated nothing; two epochs of an object, which are not independent. Exact intervals.

| | at 1 or more, expected 10 % | at 2 or more, expected 1 % |
|---|---|---|
{chr(10).join(rows)}

Rank correlation of the score with: {correlations}.
"""


LIMITS = """
## What it cannot see

- More than three arcseconds from the object: a larger stamp is not looked at there, since its side would tell how
  bright and extended the source is.
- What the renderer leaves out is odd to it: images out of focus, the edges of amplifiers and detectors, glints, stars
  that saturate.
- Beyond the most extreme of the normals a score is an extrapolation.
- A rendered supernova is a supernova by the sandbox's rules. What a real one of Rubin scores nobody has measured.
"""


def _correlations(found: Mapping) -> list[tuple[str, Sequence[float]]]:
    return list(found["rank_correlation"].items())


def _share(part: Mapping) -> str:
    value, low, high = (100 * number for number in part["share"])
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"
