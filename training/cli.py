"""The command `aha-train`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from annotator.errors import AhaError, ConfigError

MAX_VERSION_LENGTH = 16  # what Lasair keeps of an annotation's version


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
    features.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for model, manifest and card")
    features.add_argument(
        "--recipe",
        choices=("normals", "aha"),
        default="normals",
        help="normals: ours (default); aha: AHA's own, reproduced for comparison; the annotator does not load it",
    )
    features.add_argument("--version", type=_version, default="aha-ztf-1.0", help="of the model set (%(default)s)")
    features.add_argument("--epochs", type=_positive, help="at most; the recipe's own number by default")
    features.add_argument("--seed", type=int, default=0, help="of every random choice (%(default)s)")
    features.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, metavar="N", help="processes (%(default)s)"
    )
    features.add_argument(
        "--beside", type=Path, metavar="DIR", help="result of --recipe aha on the same table, to show in the card"
    )
    features.set_defaults(run=_features)
    return parser


def _features(arguments: argparse.Namespace) -> None:
    from training import aha, features  # torch takes seconds to import
    from training.fit import Settings

    if arguments.recipe == "aha":
        aha.reproduce(arguments.data, arguments.out, arguments.epochs, arguments.seed, arguments.jobs)
        return
    settings = Settings(seed=arguments.seed, **({"epochs": arguments.epochs} if arguments.epochs else {}))
    beside = aha.read_result(arguments.beside, arguments.data) if arguments.beside else None
    features.train(arguments.data, arguments.out, arguments.version, settings, arguments.jobs, beside)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text}")
    return value


def _version(text: str) -> str:
    if not 0 < len(text) <= MAX_VERSION_LENGTH or not text.isascii() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected 1 to {MAX_VERSION_LENGTH} ASCII characters, found {text!r}")
    return text
