"""Commands to start with: the shipped filters, and a simulated night."""

import argparse
from pathlib import Path

from annotator.commands.arguments import add_command
from annotator.commands.common import EXIT_OK


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands to those of `aha-annotator`."""
    command = add_command(
        commands,
        "filters",
        _filters,
        is_configured=False,
        help="list the SQL filters, or print one as Lasair's form takes it",
    )
    command.add_argument("name", nargs="?", help="which filter to print")
    command.add_argument(
        "--survey", type=_survey_with_filters, default="ztf", metavar="NAME", help="whose Lasair they are for (ztf)"
    )
    command.add_argument("--topic", help="the annotator's topic in it (default: that of the shipped filters)")

    command = add_command(
        commands,
        "demo",
        _demo,
        is_configured=False,
        help="run the whole job on an embedded Lasair with a simulated night",
    )
    command.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where its files go")
    command.add_argument(
        "--survey", choices=("ztf", "lsst"), default="ztf", help="whose Lasair and whose night (%(default)s)"
    )
    command.add_argument("--records", type=Path, metavar="FILE", help="replay these recorded records instead")
    command.add_argument("--keep", action="store_true", help="leave the embedded Lasair up until interrupted")


def _survey_with_filters(text: str) -> str:
    """Read the name of a survey whose Lasair filters ship for."""
    from annotator.lasair.filters import surveys_with_filters

    if text not in (names := surveys_with_filters()):
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(names)}, found {text!r}")
    return text


def _filters(options: argparse.Namespace) -> int:
    from annotator.lasair.filters import as_form, for_topic, list_filters, load_filter

    if options.name:
        shown = load_filter(options.name, options.survey)
        print(as_form(shown if options.topic is None else for_topic(shown, options.topic)))
        return EXIT_OK
    for item in list_filters(options.survey):
        print(f"{item.name}\n    " + item.summary.strip().replace("\n", "\n    "))
    option = "" if options.survey == "ztf" else f" --survey {options.survey}"
    print(f"\nPrint one as Lasair's form takes it with: aha-annotator filters NAME{option}")
    return EXIT_OK


def _demo(options: argparse.Namespace) -> int:
    from annotator.demo import run_demo

    return run_demo(options.out, options.records, options.keep, options.survey)
