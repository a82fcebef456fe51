"""The commands of `aha-train` that fit heads, and ask for verdicts to teach them by."""

import argparse

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError
from training import options


def add(commands: "argparse._SubParsersAction") -> None:
    """Add the commands."""
    exotic = commands.add_parser(
        "exotic",
        help="fit the head that learns from known exotics and from people's verdicts, and swap it in",
        description="Fit the head `exotic` beside the models in --out. It is swapped in only where it gives what was "
        "fitted and is no worse than the one there on objects that neither has seen.",
    )
    artefact = commands.add_parser(
        "artefact",
        help="fit the head that tells bogus detections, and swap it in",
        description="Fit the head `artefact` beside the models in --out, from stamps with real-bogus scores and from "
        "people's verdicts. It is swapped in as the head `exotic` is.",
    )
    ask = commands.add_parser("ask", help="name the objects whose verdict would teach the head most")
    for command in (exotic, ask):
        options.path(command, "--data", "labelled table (CSV)", required=True)
        options.path(command, "--curves", "light curves (Parquet): lightcurves.parquet beside the data, where it is")
        options.path(command, "--ledger", "the annotator's, which knows its objects")
        options.seed(command)
    options.path(artefact, "--data", "stamps (NAME.npz), NAME.csv beside", required=True)
    for command in (exotic, artefact, ask):
        options.path(command, "--verdicts", f"CSV: {OBJECT_ID_KEY}, verdict, person, when")
    for command in (exotic, artefact):
        options.path(command, "--out", "folder of the model set", "DIR", required=True)
        command.add_argument("--fresh", action="store_true", help="as released with a new model set: compare with none")
    options.survey(exotic)
    options.path(exotic, "--native", "with lsst: typed objects of Rubin to learn from, too, as fetch wrote them", "DIR")
    exotic.add_argument("--comparisons", action="store_true", help="measure other heads, too; takes minutes")
    options.path(exotic, "--out-of-fold", "what features, lightcurve and triplet wrote with this option", "DIR")
    options.path(artefact, "--out-of-fold", "what triplet wrote with this option", "DIR", required=True)
    options.count(ask, "--n", 10, "how many")
    options.path(ask, "--models", "a folder of models (default: the shipped ones)", "DIR")
    for command, run in ((exotic, _exotic), (artefact, _artefact), (ask, _ask)):
        command.set_defaults(run=run)


def _exotic(arguments: argparse.Namespace) -> None:
    if arguments.survey == "lsst":
        _exotic_of_light_curves(arguments)
        return
    if arguments.native:
        raise ConfigError(
            "--native: typed objects of Rubin teach the head of lsst alone; leave it out, or say --survey lsst"
        )
    from training.exotic.fit import BoostingSettings
    from training.exotic.train import Sources, train

    sources = Sources(
        arguments.data, arguments.out_of_fold, arguments.verdicts, arguments.ledger, options.curves_of(arguments)
    )
    settings = BoostingSettings(seed=arguments.seed)
    train(sources, arguments.out, settings, arguments.fresh, arguments.comparisons)


def _exotic_of_light_curves(arguments: argparse.Namespace) -> None:
    from training.data.rubin_sources import sources_of
    from training.evolution.exotic import Settings
    from training.evolution.train import train

    for name in ("verdicts", "ledger", "out_of_fold", "comparisons"):
        if getattr(arguments, name):
            raise ConfigError(
                f"--{name.replace('_', '-')}: the head of lsst learns from light curves alone; leave it out"
            )
    sources = sources_of(arguments.data, arguments.curves, arguments.native)
    train(sources, arguments.out, Settings(seed=arguments.seed), arguments.fresh)


def _artefact(arguments: argparse.Namespace) -> None:
    from training.artefact.train import train

    train(arguments.data, arguments.out, arguments.out_of_fold, arguments.verdicts, arguments.fresh)


def _ask(arguments: argparse.Namespace) -> None:
    from training.exotic.ask import ask
    from training.exotic.fit import BoostingSettings

    if arguments.ledger is None:
        raise ConfigError("--ledger: expected the annotator's ledger, whose objects are to be judged; name the file")
    settings = BoostingSettings(seed=arguments.seed)
    asked = ask(arguments.data, arguments.models, arguments.verdicts, arguments.ledger, arguments.n, settings)
    for item in asked:
        worth = "" if item.worth is None else f"worth {item.worth:.3f}, "
        print(f"{item.object_id}  {worth}probability {item.probability:.3f}, the boosters differ by {item.spread:.3f}")
