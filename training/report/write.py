"""`aha-train evaluate`: one report on the three models, as Markdown, as a page, and as plots.

Out-of-fold figures need the models of every rotation, which are not shipped: they are taken from where training
recorded them, the manifests. What the shipped graph can be asked afresh is measured on the objects it has not seen.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from annotator.errors import ConfigError
from annotator.models import Model, load_models
from annotator.models.manifest import Manifest, parse_manifest
from annotator.owned_folder import own_folder, refuse_foreign
from training.export.files import write_files
from training.features.evaluate import SCORED
from training.recipe import SURVEY
from training.report import heads as report_heads
from training.report import layout as report_layout
from training.report import measure as report_measure
from training.report import page as report_page
from training.report import plots as report_plots
from training.report import young as report_young
from training.report.measure import AHA, FRESH, SHIPPED

log = logging.getLogger(__name__)

AHA_FILES: Mapping[str, str] = {
    "features": "aha.json",
    "lightcurve": "aha_lightcurve.json",
    "triplet": "aha_triplet.json",
}
"""What `--recipe aha` writes, by modality."""

KIND = "evaluation"
"""Of the marker of a report's folder."""

BEST_NUMBER = "best single number"


def write_report(data: Path, out: Path, models: Path | None = None, beside: Path | None = None) -> None:
    """Measure, and write ``report.md``, ``report.html`` and the plots they show.

    Parameters
    ----------
    data
        Folder with what the models were trained on, under the names in :data:`training.report.measure.DATA_FILES`.
    out
        Folder for the report; untouched if anything fails.
    models
        Folder of models; None: those that the package ships.
    beside
        Folder with what `--recipe aha` wrote; None: the report says that AHA's recipe was not run.

    Raises
    ------
    ConfigError
        If `data` or `beside` is no folder, the data cannot be read, or `out` cannot be written to.
    ModelError
        If the annotator refuses the models, or what lies beside them is damaged.
    """
    refuse_foreign(out, KIND)
    for option, folder in (("--data", data), ("--beside", beside)):
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"{option} {folder}: expected a folder, found none; name the folder that holds the files")
    report = measure(data, models, beside)
    log.info("drawing")
    plots = report_plots.draw(report)
    blocks = report_page.document(report, plots)
    files = [(f"{name}.png", image) for name, image in plots.items()]
    files.append(("report.md", report_layout.to_markdown(blocks).encode()))
    files.append(("report.html", report_layout.to_html(blocks).encode()))
    own_folder(out, KIND)
    write_files(out, files)
    log.info("wrote report.md, report.html and %d plots to %s", len(plots), out)


def measure(data: Path, models: Path | None, beside: Path | None) -> dict:
    """Return every number of the report.

    Returns
    -------
    dict
        ``model_set`` and ``modalities``: by name, ``missing`` (what is not there, and why), ``model`` (None where there
        is none), ``rankings``, ``injections``, ``false_alarms`` and ``dependence``, each empty where not known;
        ``beside_the_scores``: :func:`training.report.heads.measure`; ``young``: :func:`training.report.young.read`.
    """
    model_set = load_models(models, SURVEY)
    modalities = {}
    for name in AHA_FILES:
        log.info("evaluating %s", name)
        modalities[name] = _modality(name, model_set.models.get(name), data, beside)
    return {
        "model_set": model_set.version,
        "survey": SURVEY,
        "modalities": modalities,
        "beside_the_scores": report_heads.measure(model_set, data),
        "young": report_young.read(models),
    }


def _modality(name: str, model: Model | None, data: Path, beside: Path | None) -> dict:
    result: dict = {"missing": [], "model": None, "rankings": [], "injections": [], "false_alarms": {}}
    result |= {"dependence": {}}
    if model is None:
        result["missing"].append("The model set holds no model of this modality, so that nothing is known of it.")
        return result
    training = model.manifest.training
    result["model"] = {
        "recipe": model.manifest.recipe,
        "graph_sha256": model.manifest.graph_sha256,
        "n_calibration": sum(len(level.values) for level in model.manifest.calibrated[0].levels),
    }
    aha, epochs, why = _aha(name, beside, training.get("data_sha256"))
    result["model"]["aha_epochs"] = epochs
    if why:
        result["missing"].append(why)
    absent = [file for file in report_measure.DATA_FILES[name] if not (data / file).is_file()]
    measured = {}
    if absent:
        result["missing"].append(
            f"Its data are not in the folder named by --data (no {', '.join(absent)}): nothing is measured afresh."
        )
    else:
        measured = report_measure.MEASURES[name](model, data)
        result["missing"] += measured.pop("missing")
    return result | _joined(_RECORDED[name](model.manifest.metrics, aha), measured)


def _aha(name: str, beside: Path | None, data_sha256: object) -> tuple[Mapping, list[int], str | None]:
    """Return the metrics of AHA's recipe and the epochs of its fits, or none and why."""
    if beside is None:
        return {}, [], "AHA's recipe does not stand beside it: no --beside was given."
    path = beside / AHA_FILES[name]
    if not path.is_file():
        return {}, [], f"AHA's recipe does not stand beside it: the folder named by --beside has no {path.name}."
    manifest: Manifest = parse_manifest(path.read_bytes(), str(path))
    if manifest.training.get("data_sha256") != data_sha256:
        return {}, [], f"AHA's recipe does not stand beside it: {path.name} is about other data than the model."
    epochs = manifest.training.get("epochs_run") or [manifest.training.get("epochs", 0)]
    return manifest.metrics, list(epochs), None


def _joined(recorded: dict, measured: dict) -> dict:
    """Put what was recorded and what was measured into the same tables, ours first, then AHA's, then the baselines."""
    for what in ("rankings", "injections"):
        tables = {table["title"]: table for table in recorded[what]}
        for found in measured.get(what, []):
            table = tables.setdefault(found["title"], {"mean_over": [], "best": {}, "pairs": {}} | found)
            table["methods"] = _in_order(table["methods"] | found["methods"])
            if "pairs" in found:
                table["pairs"] |= found["pairs"]
        recorded[what] = list(tables.values())
    return {
        "rankings": recorded["rankings"],
        "injections": recorded["injections"],
        "false_alarms": {"out-of-fold, as recorded": recorded["false_alarms"]} | measured.get("false_alarms", {}),
        "dependence": measured.get("dependence", {}),
    }


def _in_order(methods: Mapping) -> dict:
    first = [name for name in (SHIPPED, FRESH, AHA) if name in methods]
    return {name: methods[name] for name in (*first, *(name for name in methods if name not in first))}


def _recorded_features(metrics: Mapping, aha: Mapping) -> dict:
    titles = {"within_aha_cut": "Objects within AHA's cuts", "all": "All objects"}
    rankings = []
    for key, title in titles.items():
        if found := metrics.get("ranking", {}).get(key):
            beside = aha.get("ranking", {}).get(key, {})
            rankings.append(_ranking(title, found, beside, SCORED))
    return {"rankings": rankings, "injections": [], "false_alarms": _false_alarms(metrics)}


def _recorded_lightcurve(metrics: Mapping, aha: Mapping) -> dict:
    rankings = []
    for key, when in (("whole", "whole curves"), ("random_epoch", "curves cut at a random epoch")):
        for group, found in metrics.get(key, {}).items():
            beside = aha.get(key, {}).get(group, {})
            rankings.append(_ranking(report_measure.curve_title(group, when), found, beside))
    injections = []
    for sampling, kinds in metrics.get("injections", {}).items():
        beside = aha.get("injections", {}).get(sampling, {})
        ours, theirs = (
            {kind: found["methods"][MAIN] for kind, found in side.items() if kind in kinds} for side in (kinds, beside)
        )
        best = {kind: max(found["single"], key=found["single"].get) for kind, found in kinds.items()}
        methods = {
            SHIPPED: {kind: found["auc"] for kind, found in ours.items()},
            AHA: {kind: found["auc"] for kind, found in theirs.items()},
            BEST_NUMBER: {kind: [found["single"][best[kind]]] for kind, found in kinds.items()},
        }
        pairs = {
            name: {kind: found["n"] for kind, found in side.items()} for name, side in ((SHIPPED, ours), (AHA, theirs))
        }
        injections.append(
            {"title": sampling, "pairs": pairs, "mean_over": list(kinds), "best": best, "methods": _filled(methods)}
        )
    return {"rankings": rankings, "injections": injections, "false_alarms": _false_alarms(metrics)}


def _recorded_triplet(metrics: Mapping, aha: Mapping) -> dict:
    rankings, injections = [], []
    if found := metrics.get("labelled"):
        beside = {"methods": {MAIN: aha["labelled"]}} if aha.get("labelled") else {}
        beside |= {name: found[name] for name in ("n_normal", "n_exotic")}  # it scores the same stamps
        rankings.append(_ranking("Labelled stamps", found, beside))
    if found := metrics.get("injections"):
        methods = _renamed(found["methods"])
        methods = {SHIPPED: methods.pop(SHIPPED), AHA: aha.get("injections", {}).get("methods", {})} | methods
        injections.append(
            {
                "title": report_measure.STAMP_INJECTIONS,
                "pairs": {SHIPPED: dict(found["pairs"])},
                "mean_over": list(report_measure.target_kinds(methods[SHIPPED])),
                "best": {},
                "methods": _filled(methods),
            }
        )
    return {"rankings": rankings, "injections": injections, "false_alarms": _false_alarms(metrics)}


_RECORDED = {"features": _recorded_features, "lightcurve": _recorded_lightcurve, "triplet": _recorded_triplet}

MAIN = "reconstruction error"
"""What a manifest calls the score of its own model, where it is scored by that."""


def _ranking(title: str, found: Mapping, beside: Mapping, main: str = MAIN) -> dict:
    methods = {name: dict(values) | _objects(found) for name, values in _renamed(found["methods"], main).items()}
    if MAIN in beside.get("methods", {}):
        methods[AHA] = dict(beside["methods"][MAIN]) | _objects(beside)
    return {"title": title, "methods": _in_order(methods)}


def _objects(found: Mapping) -> dict:
    return {"n_exotic": found["n_exotic"], "n_normal": found["n_normal"]}


def _renamed(methods: Mapping, main: str = MAIN) -> dict:
    return {SHIPPED if name == main else name: values for name, values in methods.items()}


def _filled(methods: Mapping[str, Mapping]) -> dict[str, Mapping]:
    return {name: values for name, values in methods.items() if values}


def _false_alarms(metrics: Mapping) -> dict:
    shares = metrics.get("false_alarms", {}).get("score", {}).get("shares", {})
    return {level: parts["all_bins"] for level, parts in shares.items()}
