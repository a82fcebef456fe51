"""The command `aha-train`."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.errors import AhaError, ConfigError

if TYPE_CHECKING:
    from annotator.config import LasairConfig
    from annotator.lasair.api import LasairApi


def main(argv: Sequence[str] | None = None) -> int:
    """Run `aha-train` and return its exit status: 0 done, 1 a gate refused the model, 2 usage or bad input."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except ConfigError as failure:
        print(f"aha-train: {failure}", file=sys.stderr)
        return 2
    except AhaError as failure:
        print(f"aha-train: {failure}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aha-train", description="Train the models that aha-annotator serves.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    features = commands.add_parser("features", help="fit, evaluate and export the object-feature autoencoder")
    features.add_argument("--data", type=Path, required=True, metavar="FILE", help="labelled table (CSV)")
    features.add_argument(
        "--curves",
        type=Path,
        metavar="FILE",
        help="light curves (Parquet), for the calibration: lightcurves.parquet beside the data, where it is",
    )
    _add_training(features, "table")
    _add_jobs(features)
    features.set_defaults(run=_features)
    lightcurve = commands.add_parser("lightcurve", help="fit, evaluate and export the light-curve autoencoder")
    lightcurve.add_argument("--data", type=Path, required=True, metavar="FILE", help="light curves (Parquet)")
    lightcurve.add_argument("--labels", type=Path, metavar="FILE", help="beside the data: lightcurve_labels.csv")
    _add_training(lightcurve, "curves")
    lightcurve.set_defaults(run=_lightcurve)
    triplet = commands.add_parser("triplet", help="fit, evaluate and export the autoencoder of stamps")
    triplet.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="stamps (NAME.npz), with NAME.csv beside them"
    )
    _add_training(triplet, "stamps")
    _add_jobs(triplet)
    triplet.set_defaults(run=_triplet)
    exotic = commands.add_parser(
        "exotic",
        help="fit the head that learns from known exotics and from people's verdicts, and swap it in",
        description="Fit the head `exotic` beside the models in --out. It is swapped in only where it gives what was "
        "fitted and is no worse than the one there on objects that neither has seen.",
    )
    _add_sources(exotic)
    exotic.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the model set")
    exotic.add_argument("--fresh", action="store_true", help="as released with a new model set: compare with none")
    exotic.add_argument("--comparisons", action="store_true", help="measure other heads, too; takes minutes")
    exotic.add_argument(
        "--out-of-fold", type=Path, metavar="DIR", help="what features, lightcurve and triplet wrote with this option"
    )
    exotic.set_defaults(run=_exotic)
    artefact = commands.add_parser(
        "artefact",
        help="fit the head that tells bogus detections, and swap it in",
        description="Fit the head `artefact` beside the models in --out, from stamps with real-bogus scores and from "
        "people's verdicts. It is swapped in as the head `exotic` is.",
    )
    artefact.add_argument("--data", type=Path, required=True, metavar="FILE", help="stamps (NAME.npz), NAME.csv beside")
    artefact.add_argument("--verdicts", type=Path, metavar="FILE", help="CSV: objectId, verdict, person, when")
    artefact.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the model set")
    artefact.add_argument("--fresh", action="store_true", help="as released with a new model set: compare with none")
    artefact.add_argument(
        "--out-of-fold", type=Path, required=True, metavar="DIR", help="what triplet wrote with this option"
    )
    artefact.set_defaults(run=_artefact)
    ask = commands.add_parser("ask", help="name the objects whose verdict would teach the head most")
    _add_sources(ask)
    ask.add_argument("--n", type=_positive, default=10, metavar="N", help="how many (%(default)s)")
    ask.add_argument("--models", type=Path, metavar="DIR", help="a folder of models (default: the shipped ones)")
    ask.set_defaults(run=_ask)
    known = commands.add_parser(
        "known",
        help="make the index of known objects, nearest in the models' bottlenecks, and measure what it is worth",
        description="Write known.npz and KNOWN_CARD.md beside the models: the classified objects of the training data "
        "with their latents, and how many of the nearest are of an object's own class.",
    )
    known.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="with object_features.csv, lightcurves.parquet, lightcurve_labels.csv, cutouts.npz and cutouts.csv",
    )
    known.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the model set")
    known.add_argument("--models", type=Path, metavar="DIR", help="whose latents are kept (default: those in --out)")
    known.set_defaults(run=_known)
    report = commands.add_parser("evaluate", help="write one report on the models: Markdown, a page, plots")
    report.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the training data")
    report.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for report.md, report.html, plots"
    )
    report.add_argument("--models", type=Path, metavar="DIR", help="folder of models (default: the shipped ones)")
    report.add_argument("--beside", type=Path, metavar="DIR", help="results of --recipe aha, to show side by side")
    report.set_defaults(run=_evaluate)
    fetch = commands.add_parser("fetch", help="build a labelled table from Lasair")
    tables = fetch.add_subparsers(required=True, metavar="TABLE")
    table = tables.add_parser(
        "features",
        help="the table that `aha-train features` is trained on",
        description="Build the labelled table from Lasair-ZTF. The token comes from the environment: LASAIR_TOKEN.",
    )
    table.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the table (CSV); goes on where it ended"
    )
    _add_account(table)
    table.set_defaults(run=_fetch_features)
    curves = tables.add_parser(
        "lightcurves",
        help="the light curves that `aha-train lightcurve` is trained on",
        description="Fetch the objects of a table from Lasair-ZTF, one a call. The token: LASAIR_TOKEN.",
    )
    curves.add_argument("--out", type=Path, required=True, metavar="FILE", help="light curves (Parquet)")
    stamps = tables.add_parser(
        "cutouts",
        help="the stamps that `aha-train triplet` is trained on",
        description="Fetch the stamps of the objects of a table from Lasair-ZTF. The token: LASAIR_TOKEN.",
    )
    stamps.add_argument("--out", type=Path, required=True, metavar="DIR", help="for cutouts.npz and cutouts.csv")
    stamps.add_argument("--parallel", type=_positive, default=4, metavar="N", help="stamps at a time (%(default)s)")
    for command, run in ((curves, _fetch_lightcurves), (stamps, _fetch_cutouts)):
        command.add_argument(
            "--table", type=Path, required=True, metavar="FILE", help="CSV with objectId, and type and source_label"
        )
        _add_account(command)
        command.set_defaults(run=run)
    return parser


def _add_sources(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, required=True, metavar="FILE", help="labelled table (CSV)")
    command.add_argument(
        "--curves",
        type=Path,
        metavar="FILE",
        help="light curves (Parquet): lightcurves.parquet beside the data, where it is",
    )
    command.add_argument("--verdicts", type=Path, metavar="FILE", help="CSV: objectId, verdict, person, when")
    command.add_argument("--ledger", type=Path, metavar="FILE", help="the annotator's, which knows its objects")
    command.add_argument("--seed", type=int, default=0, help="of every random choice (%(default)s)")


def _add_training(command: argparse.ArgumentParser, data: str) -> None:
    """Add what the three trainings share; `data` is what they are trained on, in a word."""
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for model, manifest and card")
    command.add_argument(
        "--recipe",
        choices=("normals", "aha"),
        default="normals",
        help="normals: ours (default); aha: AHA's own, reproduced for comparison; the annotator does not load it",
    )
    command.add_argument("--version", type=_version, default="aha-ztf-1.1", help="of the model set (%(default)s)")
    command.add_argument(
        "--out-of-fold",
        type=Path,
        metavar="DIR",
        help="keep each object's numbers by the model that did not see it here, for aha-train exotic",
    )
    command.add_argument("--epochs", type=_positive, help="at most; the recipe's own number by default")
    command.add_argument("--seed", type=int, default=0, help="of every random choice (%(default)s)")
    command.add_argument(
        "--beside", type=Path, metavar="DIR", help=f"result of --recipe aha on the same {data}, to show in the card"
    )


def _add_jobs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, metavar="N", help="processes (%(default)s)"
    )


def _add_account(command: argparse.ArgumentParser) -> None:
    command.add_argument("--endpoint", help="Lasair's API (default: Lasair-ZTF's)")
    command.add_argument(
        "--calls-per-hour", type=_positive, default=100, metavar="N", help="the account's quota (%(default)s)"
    )
    command.add_argument(
        "--ledger",
        type=Path,
        default=Path("aha-ledger.sqlite"),
        metavar="FILE",
        help="where calls are counted: the annotator's own, if it uses the same account (%(default)s)",
    )
    command.add_argument("--wait", action="store_true", help="sleep, where the hour's calls are used up")


def _features(arguments: argparse.Namespace) -> None:
    from training.features import aha_compare as comparison
    from training.features import train as features
    from training.features.fit import Settings

    if arguments.recipe == "aha":
        comparison.reproduce(arguments.data, arguments.out, arguments.epochs, arguments.seed, arguments.jobs)
        return
    settings = Settings(seed=arguments.seed, **({"epochs": arguments.epochs} if arguments.epochs else {}))
    beside = comparison.read_result(arguments.beside, arguments.data) if arguments.beside else None
    curves = _curves(arguments)
    features.train(
        arguments.data,
        arguments.out,
        arguments.version,
        settings,
        arguments.jobs,
        beside,
        curves,
        arguments.out_of_fold,
    )


def _lightcurve(arguments: argparse.Namespace) -> None:
    from training.lightcurve import aha as lightcurve_aha
    from training.lightcurve import train as lightcurve
    from training.lightcurve.fit import LightCurveSettings

    labels = arguments.labels or arguments.data.parent / "lightcurve_labels.csv"
    if arguments.recipe == "aha":
        lightcurve_aha.reproduce(arguments.data, labels, arguments.out, arguments.epochs, arguments.seed)
        return
    settings = LightCurveSettings(seed=arguments.seed, **({"epochs": arguments.epochs} if arguments.epochs else {}))
    beside = lightcurve_aha.read_result(arguments.beside, arguments.data, labels) if arguments.beside else None
    lightcurve.train(arguments.data, labels, arguments.out, arguments.version, settings, beside, arguments.out_of_fold)


def _triplet(arguments: argparse.Namespace) -> None:
    from training.triplet import aha as triplet_aha
    from training.triplet import train as triplet
    from training.triplet.fit import TripletSettings

    if arguments.recipe == "aha":
        triplet_aha.reproduce(arguments.data, arguments.out, arguments.epochs, arguments.seed, arguments.jobs)
        return
    settings = TripletSettings(seed=arguments.seed, **({"epochs": arguments.epochs} if arguments.epochs else {}))
    beside = triplet_aha.read_result(arguments.beside, arguments.data) if arguments.beside else None
    triplet.train(
        arguments.data, arguments.out, arguments.version, settings, arguments.jobs, beside, arguments.out_of_fold
    )


def _curves(arguments: argparse.Namespace) -> Path | None:
    beside_data = arguments.data.parent / "lightcurves.parquet"
    return arguments.curves or (beside_data if beside_data.is_file() else None)


def _exotic(arguments: argparse.Namespace) -> None:
    from training.exotic.model import ForestSettings
    from training.exotic.train import Sources, train

    sources = Sources(arguments.data, arguments.out_of_fold, arguments.verdicts, arguments.ledger, _curves(arguments))
    settings = ForestSettings(seed=arguments.seed)
    train(sources, arguments.out, settings, arguments.fresh, arguments.comparisons)


def _artefact(arguments: argparse.Namespace) -> None:
    from training.artefact.train import train

    train(arguments.data, arguments.out, arguments.out_of_fold, arguments.verdicts, arguments.fresh)


def _ask(arguments: argparse.Namespace) -> None:
    from training.exotic.ask import ask
    from training.exotic.model import ForestSettings

    if arguments.ledger is None:
        raise ConfigError("--ledger: expected the annotator's ledger, whose objects are to be judged; name the file")
    settings = ForestSettings(seed=arguments.seed)
    asked = ask(arguments.data, arguments.models, arguments.verdicts, arguments.ledger, arguments.n, settings)
    for item in asked:
        print(f"{item.object_id}  probability {item.probability:.3f}, the trees differ by {item.spread:.3f}")


def _known(arguments: argparse.Namespace) -> None:
    from training.known.index import make

    make(arguments.data, arguments.out, arguments.models)


def _evaluate(arguments: argparse.Namespace) -> None:
    from training.report.write import write_report

    write_report(arguments.data, arguments.out, arguments.models, arguments.beside)


def _fetch_features(arguments: argparse.Namespace) -> None:
    from training.data.fetch_table import fetch_features

    with _account(arguments) as (api, _):
        counts = fetch_features(api, arguments.out, wait=arguments.wait)
    found = ", ".join(f"{count} {label}" for label, count in counts.items())
    print(f"wrote {arguments.out}: {found}", file=sys.stderr)


def _fetch_lightcurves(arguments: argparse.Namespace) -> None:
    from training.data.fetch_objects import fetch_lightcurves

    with _account(arguments) as (api, _):
        result = fetch_lightcurves(api, arguments.table, arguments.out, wait=arguments.wait)
    print(f"wrote {arguments.out}: {result.found} objects; {len(result.failures)} failed", file=sys.stderr)


def _fetch_cutouts(arguments: argparse.Namespace) -> None:
    from annotator.lasair.cutout_cache import CutoutCache
    from annotator.lasair.cutouts import CutoutFetcher
    from training.data.fetch_objects import fetch_cutouts

    cache = CutoutCache(arguments.out / "stamps", max_bytes=float("inf"))
    with _account(arguments) as (api, lasair):
        cutouts = CutoutFetcher(lasair.allowed_cutout_hosts, arguments.parallel, cache=cache)
        result = fetch_cutouts(api, cutouts, arguments.table, arguments.out, wait=arguments.wait)
    print(f"wrote {arguments.out}: {result.found} triplets; {len(result.failures)} failed", file=sys.stderr)


@contextlib.contextmanager
def _account(arguments: argparse.Namespace) -> Iterator[tuple["LasairApi", "LasairConfig"]]:
    """Open one account's access to Lasair, its calls counted."""
    from annotator.config import TOKEN_VARIABLE, LasairConfig
    from annotator.lasair.api import LasairApi
    from annotator.lasair.budget import CallBudget
    from annotator.ledger import Ledger
    from annotator.surveys import SURVEYS

    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise ConfigError(f"no token: set the environment variable {TOKEN_VARIABLE} to your Lasair account's API token")
    survey = SURVEYS["ztf"]
    lasair = LasairConfig(
        endpoint=arguments.endpoint or survey.endpoint, calls_per_hour=max(4, arguments.calls_per_hour)
    )
    with Ledger(arguments.ledger) as ledger:
        budget = CallBudget(ledger, lasair.usable_calls_per_hour, read_share=0.98)  # nothing is written
        yield LasairApi(survey, lasair.endpoint, token, lasair.timeout_s, budget), lasair


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text}")
    return value


def _version(text: str) -> str:
    from annotator.annotation import VERSION  # what every annotation of these models has to carry

    if not VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected 1 to 16 letters, digits, dots, dashes, underscores, found {text!r}")
    return text
