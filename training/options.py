"""Options that several commands of `aha-train` have in common."""

import argparse
from pathlib import Path


def path(
    command: argparse.ArgumentParser,
    name: str,
    words: str,
    metavar: str = "FILE",
    required: bool = False,
    default: Path | None = None,
) -> None:
    """Add an option that names a file or a folder."""
    command.add_argument(name, type=Path, required=required, default=default, metavar=metavar, help=words)


def count(command: argparse.ArgumentParser, name: str, default: int, words: str) -> None:
    """Add an option that is a number of things, one or more."""
    command.add_argument(name, type=positive, default=default, metavar="N", help=f"{words} (%(default)s)")


def seed(command: argparse.ArgumentParser) -> None:
    """Add the seed."""
    command.add_argument("--seed", type=int, default=0, help="of every random choice (%(default)s)")


OF_SIMULATIONS = "lsst is provisional: --data is the folder of simulations, --curves are ZTF's"
"""What the option says where models are trained."""


def survey(command: argparse.ArgumentParser, words: str = OF_SIMULATIONS) -> None:
    """Add the survey."""
    command.add_argument("--survey", choices=("ztf", "lsst"), default="ztf", help=f"whose (%(default)s); {words}")


def positive(text: str) -> int:
    """Read a number of one or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text}")
    return value


def version(text: str) -> str:
    """Read the version of a model set, as Lasair keeps it."""
    from annotator.annotation import VERSION  # what every annotation of these models has to carry

    if not VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected 1 to 16 letters, digits, dots, dashes, underscores, found {text!r}")
    return text


def curves_of(arguments: argparse.Namespace) -> Path | None:
    """Return the light curves that were named, or those beside the data, where they are."""
    beside_data = arguments.data.parent / "lightcurves.parquet"
    return arguments.curves or (beside_data if beside_data.is_file() else None)
