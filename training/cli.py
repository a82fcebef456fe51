"""The command `aha-train`."""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.errors import AhaError, ConfigError
from training import evaluate_command, fetch_commands, head_commands, options

if TYPE_CHECKING:
    from annotator.models.manifest import Manifest
    from training.recipe import Task

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `aha-train` and return its exit status: 0 done, 1 a gate refused the model, 2 usage or bad input."""
    arguments = _parser().parse_args(argv)
    try:
        with _logged():
            arguments.run(arguments)
    except ConfigError as failure:
        print(f"aha-train: {failure}", file=sys.stderr)
        return 2
    except AhaError as failure:
        print(f"aha-train: {failure}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Show the log of training on standard error, for as long as a command runs."""
    logger, handler = logging.getLogger("training"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aha-train", description="Train the models that aha-annotator serves.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_modalities(commands)
    head_commands.add(commands)
    known = commands.add_parser(
        "known",
        help="make the index of known objects, nearest in the models' bottlenecks, and measure what it is worth",
        description="Write known.npz and KNOWN_CARD.md beside the models: the classified objects of the training data "
        "with their latents, and how many of the nearest are of an object's own class.",
    )
    options.path(
        known,
        "--data",
        "with object_features.csv, lightcurves.parquet, lightcurve_labels.csv, cutouts.npz and cutouts.csv",
        "DIR",
        required=True,
    )
    options.path(known, "--out", "folder of the model set", "DIR", required=True)
    options.path(known, "--models", "whose latents are kept (default: those in --out)", "DIR")
    known.set_defaults(run=_known)
    worth = commands.add_parser(
        "worth",
        help="fit the order of attention on simulated nights and a databank, and measure what stands first",
        description="Write worth.json and WORTH_CARD.md beside the models in --out, which score the nights. With "
        "--data and --out-of-fold they are fitted to the databank, too, each object as models that did not see it "
        "score it.",
    )
    worth.add_argument(
        "--survey",
        choices=("ztf", "lsst"),
        default="ztf",
        help="whose (%(default)s); of lsst --data is the folder of simulations alone",
    )
    options.path(worth, "--out", "folder of the model set", "DIR", required=True)
    options.path(worth, "--data", "folder of the training data", "DIR")
    options.path(worth, "--out-of-fold", "what features, lightcurve and triplet wrote with this option", "DIR")
    options.count(worth, "--nights", 50, "simulated nights")
    options.count(worth, "--jobs", 1, "processes")
    worth.set_defaults(run=_worth)
    evaluate_command.add(commands)
    night = commands.add_parser(
        "stream-night",
        help="score a night of real objects, and say what is flagged of it and who leads",
        description="Score the real objects of a stream, each by models of a fold that did not see it; print flags by "
        "kind and the first thirty, and write STREAM_CARD.md beside the models.",
    )
    young = commands.add_parser(
        "young",
        help="replay objects from their first detection on, and say how many exotics and normals are flagged by when",
        description="Replay known exotics and normals night by night, each asked of models of a fold that did not see "
        "it, and simulated ones beside; print recall and false alarms by days since the first detection, and write "
        "YOUNG_CARD.md and young.csv beside the models.",
    )
    night.add_argument("--steps", action="store_true", help="say what each step changes, too; takes minutes")
    young.add_argument("--comparisons", action="store_true", help="measure what was tried, too; takes minutes")
    for command, run, needed in ((night, _stream_night, "real_stream.csv"), (young, _young, "lightcurves.parquet")):
        options.path(command, "--data", f"folder of the training data, with {needed}", "DIR", required=True)
        options.path(command, "--out", "folder of the model set", "DIR", required=True)
        kept = "what features, lightcurve and triplet wrote with this option"
        options.path(command, "--out-of-fold", kept, "DIR", required=True)
        command.set_defaults(run=run)
    fetch_commands.add(commands)
    return parser


def _add_modalities(commands: "argparse._SubParsersAction") -> None:
    features = commands.add_parser("features", help="fit, evaluate and export the object-feature autoencoder")
    options.path(features, "--data", "labelled table (CSV)", required=True)
    options.path(
        features,
        "--curves",
        "light curves (Parquet), for the calibration: lightcurves.parquet beside the data, where it is",
    )
    options.survey(features)
    lightcurve = commands.add_parser("lightcurve", help="fit, evaluate and export the light-curve autoencoder")
    options.path(lightcurve, "--data", "light curves (Parquet)", required=True)
    options.path(lightcurve, "--labels", "beside the data: lightcurve_labels.csv")
    options.path(lightcurve, "--curves", "ZTF's light curves, for --survey lsst: lightcurves.parquet above the data")
    options.survey(lightcurve)
    triplet = commands.add_parser("triplet", help="fit, evaluate and export the autoencoder of stamps")
    options.path(
        triplet,
        "--data",
        "stamps (NAME.npz), with NAME.csv beside them; of lsst, whose model learns from rendered ones, the folder of "
        "real ones that it is checked on (without them it is not exported)",
    )
    options.survey(triplet)
    for command, run, data in (
        (features, _features, "table"),
        (lightcurve, _lightcurve, "curves"),
        (triplet, _triplet, "stamps"),
    ):
        options.path(command, "--out", "folder for model, manifest and card", "DIR", required=True)
        command.add_argument(
            "--recipe",
            choices=("normals", "aha"),
            default="normals",
            help="normals: ours (default); aha: AHA's own, reproduced for comparison; the annotator does not load it",
        )
        command.add_argument(
            "--version", type=options.version, default="aha-ztf-1.3", help="of the model set (%(default)s)"
        )
        options.path(
            command,
            "--out-of-fold",
            "keep each object's numbers by the model that did not see it here, for aha-train exotic",
            "DIR",
        )
        command.add_argument("--epochs", type=options.positive, help="at most; the recipe's own number by default")
        options.seed(command)
        options.path(command, "--beside", f"result of --recipe aha on the same {data}, to show in the card", "DIR")
        command.set_defaults(run=run, jobs=1)
    for command in (features, triplet):
        options.count(command, "--jobs", os.cpu_count() or 1, "processes")


def _task(arguments: argparse.Namespace, read_result: Callable[[Path], "Manifest"]) -> "Task":
    from annotator.owned_folder import refuse_foreign
    from training.export.files import OUT_OF_FOLD
    from training.recipe import Task

    if arguments.out_of_fold:
        refuse_foreign(arguments.out_of_fold, OUT_OF_FOLD)
    beside = read_result(arguments.beside) if arguments.beside else None
    return Task(arguments.data, arguments.out, arguments.version, arguments.jobs, beside, arguments.out_of_fold)


def _settings(arguments: argparse.Namespace) -> dict[str, int]:
    return {"seed": arguments.seed} | ({"epochs": arguments.epochs} if arguments.epochs else {})


def _features(arguments: argparse.Namespace) -> None:
    if arguments.survey == "lsst":
        from training.data.rubin_sources import sources_of
        from training.evolution.train_features import train as train_evolution

        train_evolution(sources_of(arguments.data, arguments.curves), arguments.out, arguments.seed)
        return
    from training.features import aha
    from training.features.fit import Settings
    from training.features.train import train

    if arguments.recipe == "aha":
        aha.reproduce(arguments.data, arguments.out, arguments.epochs, arguments.seed, arguments.jobs)
        return
    task = _task(arguments, lambda folder: aha.read_result(folder, arguments.data))
    train(task, Settings(**_settings(arguments)), options.curves_of(arguments))


def _lightcurve(arguments: argparse.Namespace) -> None:
    if arguments.survey == "lsst":
        from training.data.rubin_sources import sources_of
        from training.six_bands.fit import SixBandSettings
        from training.six_bands.train import train as train_six_bands

        settings = SixBandSettings(**_settings(arguments))
        train_six_bands(sources_of(arguments.data, arguments.curves), arguments.out, settings)
        return
    from training.lightcurve import aha
    from training.lightcurve.fit import LightCurveSettings
    from training.lightcurve.train import train

    labels = arguments.labels or arguments.data.parent / "lightcurve_labels.csv"
    if arguments.recipe == "aha":
        aha.reproduce(arguments.data, labels, arguments.out, arguments.epochs, arguments.seed)
        return
    task = _task(arguments, lambda folder: aha.read_result(folder, arguments.data, labels))
    train(task, labels, LightCurveSettings(**_settings(arguments)))


def _triplet(arguments: argparse.Namespace) -> None:
    if arguments.survey == "lsst":
        from training.triplet.rubin.train import Plan, train_rendered

        plan = Plan.of(arguments.seed, arguments.epochs)
        train_rendered(arguments.data, arguments.out, plan, arguments.jobs)
        return
    if arguments.data is None:
        raise ConfigError("expected --data NAME.npz, found none; make it with aha-train fetch cutouts")
    from training.triplet import aha
    from training.triplet.fit import TripletSettings
    from training.triplet.train import train

    if arguments.recipe == "aha":
        aha.reproduce(arguments.data, arguments.out, arguments.epochs, arguments.seed, arguments.jobs)
        return
    task = _task(arguments, lambda folder: aha.read_result(folder, arguments.data))
    train(task, TripletSettings(**_settings(arguments)))


def _known(arguments: argparse.Namespace) -> None:
    from training.known.train import make

    make(arguments.data, arguments.out, arguments.models)


def _worth(arguments: argparse.Namespace) -> None:
    from training.worth.train import WorthSettings, train

    settings = WorthSettings(
        survey=arguments.survey,
        n_nights=arguments.nights,
        jobs=arguments.jobs,
        data=arguments.data,
        out_of_fold=arguments.out_of_fold,
    )
    train(arguments.out, settings)


def _stream_night(arguments: argparse.Namespace) -> None:
    from training.stream_night.measure import measure

    measure(arguments.data, arguments.out, arguments.out_of_fold, arguments.steps)


def _young(arguments: argparse.Namespace) -> None:
    from training.young.write import measure

    measure(arguments.data, arguments.out, arguments.out_of_fold, arguments.comparisons)
