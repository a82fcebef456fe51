"""What commands share of their arguments: the configuration, a night, numbers in their range."""

import argparse
from collections.abc import Callable
from pathlib import Path


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    is_configured: bool = True,
    **words: str,
) -> argparse.ArgumentParser:
    """Add a command to those of `aha-annotator`, with the options that all have.

    Parameters
    ----------
    run
        What it does with its options; gives the exit status.
    is_configured
        Whether it asks for a configuration.
    words
        Its help and description.
    """
    command = commands.add_parser(name, **words)
    command.add_argument("-v", "--verbose", action="store_true", help="say on standard error what is being done")
    if is_configured:
        command.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="the configuration")
    command.set_defaults(run=run)
    return command


def add_night(command: argparse.ArgumentParser) -> None:
    """Add the options that say which night is listed, and how much of it."""
    command.add_argument("--night", type=night, metavar="DATE", help="of its evening, UTC (default: the last scored)")
    command.add_argument("--most", type=positive, default=1000, metavar="N", help="objects listed (%(default)s)")


def night(text: str) -> int:
    """Read a date as the number of the night of its evening."""
    from annotator.nights import night_on

    try:
        return night_on(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a date such as 2026-11-24, found {text!r}") from None


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)


def survey(text: str) -> str:
    """Read the name of a survey."""
    from annotator.surveys import SURVEYS  # brings numpy, which --help does without

    if text not in SURVEYS:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(SURVEYS)}, found {text!r}")
    return text


def port(text: str) -> int:
    """Read a port; 0 stands for any that is free."""
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"expected a port, 0 to 65535, found {text!r}")
    return int(text)
