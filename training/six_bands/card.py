"""The card of the light-curve model of six bands: what its manifest knows, in words and tables."""

from collections.abc import Mapping

from annotator.models.manifest import Manifest
from annotator.preprocess.curve_layout import SIX_BANDS
from annotator.preprocess.six_bands import GRID_BANDS, KNOTS_DAYS
from training.export.card_rubin import drift, false_alarms
from training.export.card_text import calibration_words, joined, with_interval
from training.six_bands.network import N_LATENT
from training.six_bands.pairs import MAX_YOUNG_POINTS, MIN_POINTS, PEAK_MAG, PEAK_SPREAD_MAG

TARGETS = {"whole": 0.75, "young": 0.62}


def six_band_card(manifest: Manifest) -> str:
    """Write the card, in Markdown."""
    return joined(
        _what(manifest),
        _training(manifest),
        _pairs(manifest),
        TRIED,
        _kinds(manifest),
        false_alarms(manifest),
        drift(manifest),
        NATIVE,
        SOURCES,
    )


def _what(manifest: Manifest) -> str:
    return f"""
# {manifest.version}: anomaly score of Rubin's objects from their light curves, provisional

An autoencoder that has learned to reconstruct the light curves of supernovae in six bands, whole and at any age. What
it reconstructs badly, for the noise, the number of points and the variation that it has, is unlike them.
**Provisional**: fitted to PLAsTiCC's simulations and to ZTF's supernovae put on Rubin's dates and depths, calibrated on
PLAsTiCC's; no real object of Rubin was learned from.

| | |
|---|---|
| files | `lightcurve.onnx` ({manifest.graph_bytes:,} bytes, opset {manifest.opset}, sha256 \
`{manifest.graph_sha256}`), `lightcurve.json` |
| input | `lightcurve` (n, 4, 6, 22): brightness (mag above the peak), its error (mag), support (1 or 0), place in the \
cell; {", ".join(GRID_BANDS)}; cells between {len(KNOTS_DAYS)} knots from {KNOTS_DAYS[0]:g} to {KNOTS_DAYS[-1]:g} days \
from the peak, two days long about it and up to eighty far from it |
| what counts | nights of the sign that most of it has, of four standard deviations or more, each band by itself; what \
is mostly negative as its mirror |
| floor | two of them; one band is calibrated in a level of its own |
| outputs | `error` (n,), the score; `residual` (n, 6, 22), mag; `latent` (n, {N_LATENT}); to look at, \
`reconstruction` (n, 6, 23), mag above the peak |
| error | mean pseudo-Huber loss of residual / sqrt(error^2 + {SIX_BANDS.model_error_mag:g}^2), over what is typical \
of normals with as many points, as deep, that vary as much in time and between bands |
| score | {calibration_words(manifest)} |
| never an input | how bright, how far, how deep or how long it was seen, host, position, any name or class. How many \
points there are and their errors say how well it can be known, and count as that |
"""


def _training(manifest: Manifest) -> str:
    training, settings = manifest.training, manifest.training["settings"]
    simulated, carried = (
        ", ".join(f"{n} {kind}" for kind, n in training[name].items()) for name in ("simulated", "carried")
    )
    return f"""
## Training

Simulated: {simulated}. Real, of ZTF, put on the dates and depths of random positions of the survey simulation, in g and
r (`training/data/carried.py`): {carried}. {settings["versions"]} states of each simulated one and half as many of each
real one: farther away by up to {settings["max_fade_mag"]:g} mag, up to a random night, in some bands, on some nights.
The encoder is not shown up to {100 * settings["max_hidden"]:.0f} % of a state's points and must reconstruct them all
the same. Split {training["split"]}. {settings["epochs"]} epochs of AdamW, the {training["epoch"]}th kept; seed
{settings["seed"]}, one thread.

Repeat it: `aha-train lightcurve --survey lsst --data DIR --out DIR`, with {", ".join(training["data"])} in DIR, ZTF's
light curves above it.
"""


def _pairs(manifest: Manifest) -> str:
    lines = [
        "## A supernova and another evolution on the same dates",
        "",
        "Class follows source in catalogues, so pairs are made: a supernova of PLAsTiCC that the model has not seen, "
        "its smooth course on the dates and in the bands of its own, and another evolution on the same, as bright at "
        f"the peak, with the noise of the same sky, both moved away to a peak magnitude of {PEAK_MAG:g} with a scatter "
        f"of {PEAK_SPREAD_MAG:g}, as PLAsTiCC's test set has, and only dates where both are detected. Young: the first "
        f"{MIN_POINTS} to {MAX_YOUNG_POINTS} points alone. AUC without a label, 95 % intervals by bootstrap over "
        "supernovae. How the error is compared was chosen on pairs of other supernovae (bin 8), with evolutions drawn "
        "by another seed; these were measured once.",
        "",
    ]
    lines += _pair_table(manifest.metrics["pairs"], is_targeted=True)
    lines += ["", _verdict(manifest.metrics["pairs"])]
    lines += [
        "",
        "By other formulas, those of the simulated sky (black bodies, redshifted), which nothing was chosen on:",
        "",
    ]
    lines += _pair_table(manifest.metrics["sky_pairs"], is_targeted=False)
    lines += [
        "",
        "What needs no model, on the same pairs. How many points there are, how long and how deeply it was seen tell "
        "nothing, as it has to be. Range and spread of the bands do, in the direction that only labels tell (small of "
        "TDE and SLSN, large of fast ones), which is taken here of each kind: the error is compared with normals of "
        "like range and spread, so that it says what these do not.",
        "",
        *_single_table(manifest.metrics["pairs"]),
    ]
    return "\n".join(lines)


def _verdict(found: Mapping) -> str:
    """Say what is reached and by how much the rest is missed, beside the distance."""
    words = []
    for mode, target in TARGETS.items():
        error, distance = (values[0] for values in found[mode]["mean"]["methods"].values())
        reached = "reached" if error >= target else f"missed by {target - error:.3f}"
        better = "above" if error > distance else "below"
        words.append(f"{mode.capitalize()}: {target:g} is {reached}, {abs(error - distance):.3f} {better} the distance")
    return "; ".join(words) + ". The combined score has both, of the object features and of the light curve."


def _pair_table(found: Mapping, is_targeted: bool) -> list[str]:
    names = list(next(iter(found.values()))["mean"]["methods"])
    lines = [
        f"| | kind | pairs (points, median) | {' | '.join(names)} | target |",
        f"|---|---|---|{'---|' * len(names)}---|",
    ]
    for mode, kinds in found.items():
        for kind, item in kinds.items():
            is_mean = kind == "mean"
            points = "" if is_mean else f" ({item['points']:g})"
            values = " | ".join(with_interval(item["methods"][name]) for name in names)
            target = f"{TARGETS[mode]:g}" if is_targeted and is_mean else ""
            words = "**mean of the kinds**" if is_mean else kind
            lines.append(f"| {mode} | {words} | {item['n']}{points} | {values} | {target} |")
    return lines


def _single_table(found: Mapping) -> list[str]:
    kinds = [kind for kind in next(iter(found.values())) if kind != "mean"]
    names = list(found["whole"][kinds[0]]["single"])
    lines = [f"| | | {' | '.join(kinds)} |", f"|---|---|{'---|' * len(kinds)}"]
    for mode, of_mode in found.items():
        for name in names:
            values = " | ".join(f"{of_mode[kind]['single'][name]:.3f}" for kind in kinds)
            lines.append(f"| {mode} | {name} | {values} |")
    return lines


def _kinds(manifest: Manifest) -> str:
    lines = [
        "## PLAsTiCC's other kinds",
        "",
        "At one random epoch each, against supernovae that the model has not seen. Kinds differ in dates, depth and "
        "redshift, too: beside the pairs these figures are confounded.",
        "",
        "| kind | of it, supernovae | AUC |",
        "|---|---|---|",
    ]
    for kind, item in manifest.metrics["ranking"].items():
        lines.append(f"| {kind} | {item['n']}, {item['n_normal']} | {with_interval(item['auc'])} |")
    return "\n".join(lines)


TRIED = """
## Tried on the pairs of bin 8

The bare error, compared with normals of as many points and as deep alone: mean AUC 0.74 whole, 0.51 young; a source
that hardly varies is reconstructed well, whatever it is. Compared with normals that vary as much, too: 0.83 and 0.62,
which is what ships. With the latent's Mahalanobis distance added 0.77 and 0.51. A variational autoencoder was worse
whole (0.79), and so was a mixture of factor analysers with an exact encoder (0.62 and 0.44). These figures flatter: on
bin 8 it was also fitted what is typical.
"""

NATIVE = """
## How to make a native one

As soon as some hundreds of Rubin's typed supernovae are within a token's reach (Lasair's `objects` joined with
`crossmatch_tns`), put their light curves in the place of PLAsTiCC's test set, and run
`aha-train lightcurve --survey lsst` again.
"""

SOURCES = """
## Sources

PLAsTiCC: the PLAsTiCC team 2018, arXiv:1810.00001; Kessler et al. 2019, PASP 131, 094501. Survey simulation: Rubin's
baseline v3.0. ZTF's light curves: the catalogues named in the card of the set `ztf`. That a reconstruction has to be
compared with how complex its input is: Serra et al. 2020, arXiv:1909.11480.
"""
