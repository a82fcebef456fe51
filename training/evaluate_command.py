"""The command `aha-train evaluate`."""

import argparse

from annotator.errors import ConfigError
from training import options


def add(commands: "argparse._SubParsersAction") -> None:
    """Add the command."""
    evaluate = commands.add_parser(
        "evaluate",
        help="write one report on the models: Markdown, a page, plots; of Rubin's on objects that were fetched",
        description="Of ZTF: report on what the models were trained on. Of Rubin (--survey lsst): measure models that "
        "never saw an object of Rubin on typed ones that `aha-train fetch --survey lsst` has put into --data, and on "
        "nothing else. With too few of them it counts them by type and ends with exit status 1.",
    )
    options.survey(evaluate, "lsst: --data is a folder of fetched objects")
    options.path(evaluate, "--data", "folder of the training data, or of fetched objects", "DIR", required=True)
    options.path(evaluate, "--out", "folder for report.md, and more", "DIR", required=True)
    options.path(evaluate, "--models", "folder of models (default: the shipped ones)", "DIR")
    options.path(evaluate, "--beside", "results of --recipe aha, to show side by side; not with lsst", "DIR")
    evaluate.add_argument("--seed", type=int, help="of the random epochs (0); with lsst alone")
    evaluate.set_defaults(run=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.survey == "lsst":
        from training.native.evaluate import evaluate

        if arguments.beside:
            raise ConfigError("--beside: AHA's recipe knows nothing of Rubin; leave it out with --survey lsst")
        evaluate(arguments.data, arguments.out, arguments.models, arguments.seed or 0)
        return
    from training.report.write import write_report

    if arguments.seed is not None:
        raise ConfigError("--seed: the report of ztf draws no epochs; leave it out")
    write_report(arguments.data, arguments.out, arguments.models, arguments.beside)
