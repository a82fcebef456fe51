"""The light-curve model's card: what the manifest knows, in words and tables."""

from collections.abc import Sequence

from annotator.models.manifest import Manifest
from annotator.preprocess import lightcurve as preprocess
from training.export.card_text import calibration_words, false_alarms, joined, with_interval
from training.lightcurve import network as network
from training.lightcurve.evaluate import METHOD, mean_aucs
from training.metrics.calibrate import ERROR_KNOTS_MAG, PEAK_KNOTS_MAG

TARGETS = {"20 or more": 0.85, "5 to 10, whole": 0.70, "5 to 10, young": 0.70}


def lightcurve_card(manifest: Manifest, beside: Manifest | None) -> str:
    """Write the card of a light-curve model, in Markdown.

    Parameters
    ----------
    beside
        AHA's own recipe on the same curves, to stand in the same tables; None where it was not run.
    """
    return joined(
        _what(manifest),
        _training(manifest),
        _injections(manifest, beside),
        DESIGNS,
        _groups(manifest, beside),
        false_alarms(manifest),
        _sampling(manifest),
        LIMITS,
        SOURCES,
    )


def _what(manifest: Manifest) -> str:
    return f"""
# {manifest.version}: anomaly score of Lasair-ZTF objects from their light curves

An autoencoder that has learned to reconstruct the g and r light curves of spectroscopically classified SN Ia, SN II and
SN Ib/c, whole and at any age. What it reconstructs badly, for the noise and the number of points it has, is unlike
them. It serves to choose which objects a person looks at; its score is not a probability of being exotic.

| | |
|---|---|
| model set | `{manifest.version}` |
| files | `lightcurve.onnx` ({manifest.graph_bytes:,} bytes, opset {manifest.opset}, sha256 \
`{manifest.graph_sha256}`), `lightcurve.json` |
| input | `lightcurve` (n, 3, 2, 176) float32: brightness (mag above the peak), its error (mag), support (1 or 0); g \
and r; -50 to 300 days from peak by 2 |
| outputs | `error` (n,); `residual` (n, 2, 176), mag; `latent` (n, {network.N_LATENT}); to look at, `reconstruction` \
(n, 2, 176), mag above the peak |
| network | dense, 704-{network.HIDDEN_WIDTHS[0]}-{network.HIDDEN_WIDTHS[1]}-{network.N_LATENT} and its mirror to 352, \
GELU |
| preprocessing | version {manifest.preprocess_version}, `annotator/preprocess/lightcurve.py` |
| score | {calibration_words(manifest)}; each normal at one random epoch |
| floor | {preprocess.MIN_DETECTIONS} positive detections in g or r on the grid; below it the modality is missing |

Kernel regression in each band, Gaussian of {preprocess.BANDWIDTH_NEAR_DAYS:g} days within \
{preprocess.NEAR_PEAK_DAYS:g} days of peak and {preprocess.BANDWIDTH_FAR_DAYS:g} beyond, weights 1/sigma^2, as AHA. A
point is supported where the detections' kernels sum to {preprocess.MIN_EFFECTIVE_DETECTIONS:g} or more (1 is a
detection right there) and the nearest is within {preprocess.MAX_SUPPORT_DISTANCE:g} bandwidths; what is not supported
is masked, is told to the network as such, and is never scored. Both bands are relative to one peak magnitude, the
brightest median of three of either band: apparent brightness goes, colour stays. Negative differences, other bands and
upper limits are not used.

The error is the mean pseudo-Huber loss over the supported points in units of sqrt(sigma^2 + \
({network.MODEL_ERROR_MAG:g} mag)^2), divided by what is typical of normals with as many supported points, to the power
of 1 / their spread; both are quadratic in the logarithm of that number, fitted to every normal,
each scored by the one of ten models that it stopped and did not train.

The score compares the error with that of normals as bright and as deeply seen: its logarithm less what is typical of
the curve's brightest magnitude (linear between {_listed(PEAK_KNOTS_MAG)}) and of its smallest error (between
{_listed(ERROR_KNOTS_MAG)} mag), over the spread that is typical of them; then of like sampling, by rank. Without it a
third of the supernovae brighter than 17 mag scored 1 or more: their small errors show details that
{network.N_LATENT} numbers do not hold.
"""


def _listed(knots: Sequence[float]) -> str:
    return ", ".join(f"{knot:g}" for knot in knots[:-1]) + f" and {knots[-1]:g}"


def _training(manifest: Manifest) -> str:
    training, parts, settings = manifest.training, manifest.training["counts_by_part"], manifest.training["settings"]
    counts = ", ".join(f"{count:,} {label}" for label, count in sorted(training["counts"].items()))
    groups = ", ".join(f"{count:,} {group}" for group, count in sorted(training["counts_by_group"].items()))
    return f"""
## Training

Curves of `{training["data"]}` (sha256 with its labels `{training["data_sha256"]}`): {counts}; by group of sources
{groups}; {training["n_unscorable"]} below the floor. Pan-STARRS1 photometry is left out. Labels serve only to keep the
exotics out of training. Split {training["split"]}. This model: {parts["train"]:,} normals train,
{parts["validation"]:,} stop the training, {parts["test_normal"]:,} normals and {parts["test_exotic"]:,} exotics test.

Each epoch sees each curve in one of {settings["versions"]} states: whole, or with probability
{settings["truncate_probability"]:g} cut after a random night, {settings["thin_probability"]:g} thinned,
{settings["fade_probability"]:g} fainter by up to {settings["max_fade_mag"]:g} mag with the noise of that. The network
is not shown up to {100 * settings["max_hidden"]:.0f} % of the points that it must reconstruct. AdamW, one cycle to
{settings["peak_learning_rate"]:g}, batches of {settings["batch_size"]}, {settings["epochs"]} epochs, epoch
{training["epoch"]} kept (mean validation loss {manifest.metrics["validation_loss"]:.4f}). Seed {settings["seed"]},
torch {training["torch"]}.

The injections below guided the choice of representation: size of the bottleneck, error floor, what the error is
compared with. They were seen on two of the ten bins. No setting was chosen by how labelled exotics rank.

Repeat it: `aha-train lightcurve --data {training["data"]} --labels lightcurve_labels.csv --out DIR --version \
{manifest.version} --epochs {settings["epochs"]} --seed {settings["seed"]}`
"""


def _injections(manifest: Manifest, beside: Manifest | None) -> str:
    report = manifest.metrics["injections"]
    lines = [
        "## Finding another class's evolution on a supernova's own dates",
        "",
        "Class follows source in the catalogues, so real exotics cannot tell how good a light-curve score is. Here "
        "both members of a pair are made alike: a smooth model (the supernova's own, or a template with random time "
        "scale and cooling, as bright at peak) on the same dates and bands, noise scaled to its flux, epochs below the "
        "depth dropped from both. AUC between members, each scored by a model that has not seen the supernova, 95 % "
        "intervals by bootstrap. Young: the first 5 to 10 detections of a longer curve; a second peak has not come by "
        "then. The best single number is chosen, with its direction, for each kind with the labels: an upper bound.",
    ]
    for sampling, kinds in report.items():
        lines += [
            "",
            f"Detections: {sampling}.",
            "",
            "| kind | pairs | this recipe |"
            + (" AHA's recipe (pairs it accepts) |" if beside else "")
            + " best single |",
            "|---|---|---|" + ("---|" if beside else "") + "---|",
        ]
        for kind, found in kinds.items():
            name, best = max(found["single"].items(), key=lambda item: item[1])
            other = f" {_beside(beside, sampling, kind)} |" if beside else ""
            auc = found["methods"][METHOD]["auc"]
            lines.append(f"| {kind} | {found['n']:,} | {with_interval(auc)} |{other} {name} {best:.3f} |")
    return "\n".join([*lines, "", _verdict(report)])


def _beside(beside: Manifest, sampling: str, kind: str) -> str:
    found = beside.metrics["injections"].get(sampling, {}).get(kind)
    if not found or not found["methods"][METHOD]["auc"]:
        return "none"
    method = found["methods"][METHOD]
    return f"{with_interval(method['auc'])} ({method['n']:,})"


def _verdict(report: dict) -> str:
    parts = []
    for sampling, mean in mean_aucs(report, METHOD).items():
        kinds = report[sampling].values()
        better = sum(kind["methods"][METHOD]["auc"][0] > max(kind["single"].values()) for kind in kinds)
        names = next(iter(kinds))["single"]
        one, mean_one = max(
            ((name, sum(k["single"][name] for k in kinds) / len(kinds)) for name in names), key=lambda item: item[1]
        )
        reached = "reached" if mean >= TARGETS[sampling] else "not reached"
        parts.append(
            f"{sampling}: mean over kinds {mean:.3f} (target {TARGETS[sampling]:.2f}, {reached}), above the best "
            f"single number for {better} of {len(report[sampling])} kinds; the best one number for all kinds, "
            f"{one}, {mean_one:.3f}"
        )
    return f"**{'. '.join(parts)}.**"


def _groups(manifest: Manifest, beside: Manifest | None) -> str:
    lines = [
        "## Ranking real exotics",
        "",
        "Out-of-fold, 95 % intervals by bootstrap over curves; hits are exotics among the ten highest of a bin. Within "
        "one source exotics are few: these rows are the honest ones, and too wide to choose by. **The pooled row is "
        "confounded**: which catalogue a curve came from, without any model, gives AUC 0.93 to 0.94. Alert packets "
        "and catalogues made of them are not one source: there the source alone gives 0.968. Error: the graph's; "
        "score: calibrated, what ships. Beside each the single numbers, direction chosen with the labels.",
        "",
        "| curves | source | normals, exotics | ranked by | AUC | AP | hits | single numbers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows = [(manifest, "whole", ""), (manifest, "random_epoch", "")]
    if beside:
        rows.insert(1, (beside, "whole", "AHA's "))
    for of, state, whose in rows:
        for source, found in of.metrics[state].items():
            best = sorted(found["single"].items(), key=lambda item: -item[1])[:3]
            for name, method in found["methods"].items():
                lines.append(
                    f"| {state.replace('_', ' ')} | {source.replace('_', ' ')} | {found['n_normal']:,}, "
                    f"{found['n_exotic']} | {whose}{name.removeprefix('reconstruction ')} | "
                    f"{with_interval(method['auc'])} | {with_interval(method['ap'])} | "
                    f"{with_interval(method['hits'], 1)} | {', '.join(f'{n} {value:.2f}' for n, value in best)} |"
                )
    return "\n".join(lines)


def _sampling(manifest: Manifest) -> str:
    rows = [
        f"| {name} | {_range(bins, i)} | {row['n']:,} | {_percent(row['at_least_1'])} | {_percent(row['at_least_2'])} |"
        for name, bins in manifest.metrics["dependence"].items()
        for i, row in enumerate(bins)
    ]
    return "\n".join(
        [
            "Normals at one random epoch each, by sampling, each calibrated on the other bins' normals; 10 % and 1 % "
            "are expected; exact 95 % intervals.",
            "",
            "| by | range | normals | score 1 or more | score 2 or more |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def _percent(share: Sequence[float]) -> str:
    value, low, high = (100 * part for part in share)
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"


def _range(bins: list[dict], i: int) -> str:
    return f"{bins[i]['from']:g} to {bins[i + 1]['from']:g}" if i + 1 < len(bins) else f"{bins[i]['from']:g} and more"


LIMITS = """
## What it cannot see

- Apparent or absolute brightness, negative differences, anything but g and r, what is beyond -50 to 300 days of the
  peak.
- Upper limits: the training curves have none, so a steep rise is known only from detections.
- Most of the normals are SN Ia; a SN II or Ib/c is more unusual to it than a SN Ia (the shares by label above).
- A young curve says little: it is compared with others as young, of which few supernovae are odd.
- Wild but densely sampled curves can score less than sparse ones.
- A slow, blue curve seen only before peak resembles a supernova before peak; see the young pairs above.
- Beyond the most extreme normal of its level a score is an extrapolation.
"""


DESIGNS = """
## Designs tried

Mean AUC over kinds (20 or more / 5 to 10 whole / 5 to 10 young), on the normals of bins 8 and 9 while the model was
designed; not repeated with each training. "Per number of points": compared with normals of as many supported points.

| design | AUC |
|---|---|
| error per number of points, 4 latents, error floor 0.05 mag (this one) | 0.941 / 0.771 / 0.679 |
| the same, floor 0.1 / 0.2 mag | 0.935 / 0.763 / 0.664, 0.926 / 0.744 / 0.646 |
| floor 0.1: 2, 3 latents | 0.927 / 0.712 / 0.624, 0.945 / 0.763 / 0.665 |
| floor 0.1: 8, 16 latents | 0.937 / 0.758 / 0.663, 0.941 / 0.743 / 0.659 |
| floor 0.1, error not compared with others | 0.913 / 0.758 / 0.660 |
| compared also by the smallest error of the curve, floor 0.05 | 0.906 / 0.761 / 0.644 |
| distance in the latent, Gaussian mixture, floor 0.1 | 0.854 / 0.672 / 0.579 |
| latent, error and number of points in one Gaussian mixture, floor 0.1 | 0.901 / 0.746 / 0.650 |

A young TDE or SLSN rises slower and bluer than most supernovae, yet like some supernovae near their peak: no design
that asks only whether normals can look like this finds it (amplitude alone does, once one knows its direction), and a
second peak has not come by then.
"""

SOURCES = """
## Sources, licences, citation

- Method: AHA, Anomaly Hunter for Alerts, arXiv 2602.12955 (please cite). Written anew from its description; none of its
  code is here.
- Training curves: public ZTF photometry of classified transients (BTS SN Ia, Young Supernova Experiment DR1, alert
  packets; exotics, for the evaluation only, from the SLSN and TDE catalogues of Gomez et al. 2024 and manyTDE), classes
  of the Transient Name Server; several repositories carry no licence file. No detection of it is in this model: graph
  and manifest hold weights, errors, and simulated records. The index of known objects (`KNOWN_CARD.md`) is another
  file.
- From the curves of repositories with a licence alone (66 SN Ia, 30 SN II, 11 SN Ib/c) it can be trained, but hardly
  well; whoever has a Lasair token makes a larger set with `aha-train fetch lightcurves`.
- Lasair (Smith et al. 2019, RNAAS 3, 26; Williams et al. 2024, RASTI 3, 362; please cite), the Zwicky Transient
  Facility and TNS each have their own terms of use and citation.
- Model, manifest and card: Apache-2.0, as the project.
"""
