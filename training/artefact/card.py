"""The card of the head `artefact`: what its manifest knows, in words and tables."""

from annotator.decision.classify import VOUCHING_DETECTIONS, VOUCHING_DRB
from annotator.models.heads import HeadManifest
from training.artefact.labels import (
    DRB,
    MAX_ASTEROID_ARCSEC,
    MAX_BOGUS_DRB,
    MAX_BOGUS_RB,
    MIN_REAL_DRB,
    RB,
    VERDICT_WEIGHT,
)
from training.data.stamps import MIN_RB
from training.export.card_text import joined, with_interval

HIDDEN, SHOWN = "scores hidden", "scores shown"


def artefact_card(manifest: HeadManifest) -> str:
    """Write the card, in Markdown."""
    metrics, training = manifest.metrics, manifest.training
    rows = [
        ("AUC", "auc"),
        (f"AUC, stamps with {DRB}", "auc_with_drb"),
        ("AUC, stamps without", "auc_without_drb"),
        ("precision at the threshold", "precision"),
        ("recall at the threshold", "recall"),
        ("real objects called artefacts", "false_alarms"),
        ("classified objects called artefacts", "classified"),
    ]
    table = [f"| {words} | {_interval(metrics[HIDDEN][key])} |" for words, key in rows]
    # The one figure with the scores shown that their labels are not made of: classes are from spectra.
    table.append(f"| the same, scores shown | {_interval(metrics[SHOWN]['classified'])} |")
    top = [
        f"| {row['list']} | {row['bogus']} of {row['n']} | {_interval(row['share'], 2)} | {row['real']} | "
        f"{row['unknown']} |"
        for row in metrics["top"]
        if not row["list"].endswith(SHOWN)
    ]
    text = f"""
# {manifest.version}, revision {manifest.revision}: probability that a detection is bogus

A logistic regression on piecewise linear functions of what the triplet model says of three stamps, of simple statistics
of their pixels, and of ZTF's real-bogus scores where a record has them. An object is classified `artefact` from
{manifest.threshold:g} on, unless {VOUCHING_DETECTIONS} good detections and a {DRB} of {VOUCHING_DRB:g} vouch for it;
or, as before, where none of its detections is positive and passes real-bogus. What is an artefact is no anomaly.

| | |
|---|---|
| model set | `{manifest.version}`, revision {manifest.revision} |
| files | `artefact.onnx` ({manifest.graph_bytes:,} bytes, opset {manifest.opset}, sha256 `{manifest.graph_sha256}`), \
`artefact.json` |
| inputs | {len(manifest.inputs)} numbers, NaN where missing: {", ".join(manifest.inputs)} |
| says nothing without | {manifest.needs}: stamps |
| output | `probability` (n,) |

## Training

Stamps `{training["data"]}` (with their table: sha256 `{training["data_sha256"]}`), {training["stamps"]:,}:
{training["bogus"]} bogus, {training["real"]} real, the rest unclear, which neither train nor measure;
{training["verdicts"]} verdicts of people, each with the weight of {VERDICT_WEIGHT:g} stamps. Bogus: {DRB} below
{MAX_BOGUS_DRB:g}, or {RB} below {MAX_BOGUS_RB:g} where there is no {DRB}, without a spectroscopic class or a known
asteroid within {MAX_ASTEROID_ARCSEC:g} arcsec. Real: {DRB} of {MIN_REAL_DRB:g} or more, {RB} of {MIN_RB:g} or more
where there is no {DRB}, a class, or an asteroid.
Split {training["split"]}. Each stamp is shown whole and with either or both scores hidden, so that their presence says
nothing.

Repeat it: `aha-train artefact --data {training["data"]} --out DIR --out-of-fold DIR`, with `--verdicts FILE` for one's
own.

## How good it is

Objects by their brightest positive detection, out-of-fold: {metrics["n_bogus"]} bogus, {metrics["n_real"]} real,
{metrics["n_unknown"]} unclear. The labels come from {RB} and {DRB}, so both are hidden from the head in what is
measured here: **the stamps alone have to tell**. With the scores shown it does better, but that is circular and no
measurement. The threshold and the strength of the regularisation were chosen on these objects. 95 % intervals: AUC by
bootstrap, shares exact.

| scores hidden | |
|---|---|
{chr(10).join(table)}

The hundred highest triplet scores, before and after artefacts are taken out:

| list | bogus | share | real | unclear |
|---|---|---|---|---|
{chr(10).join(top)}

## What it cannot see

- Bogus detections of a kind that real-bogus scores call real; whether a stamp is of an asteroid.
- The number of good detections, which can vouch for an object, is not in the table: that rule is stated, not measured.

## Sources, licences, citation

- Stamps: public ZTF alerts (programme 1) collected from open repositories of alert brokers. No pixel of them is in this
  model. Real-bogus scores: Mahabal et al. 2019, PASP 131, 038002 ({RB}), Duev et al. 2019, MNRAS 489, 3582 ({DRB}).
- From the stamps of repositories with a licence alone (nine in ten of them) it can be trained again.
- Model, manifest and card: Apache-2.0, as the project.
"""
    return joined(text)


def _interval(numbers: list[float] | None, digits: int = 3) -> str:
    return "not measured" if numbers is None else with_interval(numbers, digits)
