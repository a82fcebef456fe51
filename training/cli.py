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
    table.add_argument("--endpoint", help="Lasair's API (default: Lasair-ZTF's)")
    table.add_argument(
        "--calls-per-hour", type=_positive, default=100, metavar="N", help="the account's quota (%(default)s)"
    )
    table.add_argument(
        "--ledger",
        type=Path,
        default=Path("aha-ledger.sqlite"),
        metavar="FILE",
        help="where calls are counted: the annotator's own, if it uses the same account (%(default)s)",
    )
    table.add_argument("--wait", action="store_true", help="sleep, where the hour's calls are used up")
    table.set_defaults(run=_fetch_features)
    return parser


def _features(arguments: argparse.Namespace) -> None:
    from training import comparison, features  # torch takes seconds to import
    from training.fit import Settings

    if arguments.recipe == "aha":
        comparison.reproduce(arguments.data, arguments.out, arguments.epochs, arguments.seed, arguments.jobs)
        return
    settings = Settings(seed=arguments.seed, **({"epochs": arguments.epochs} if arguments.epochs else {}))
    beside = comparison.read_result(arguments.beside, arguments.data) if arguments.beside else None
    features.train(arguments.data, arguments.out, arguments.version, settings, arguments.jobs, beside)


def _fetch_features(arguments: argparse.Namespace) -> None:
    from annotator.config import ENDPOINTS, TOKEN_VARIABLE, LasairConfig
    from annotator.lasair_api import LasairApi
    from annotator.ledger import Ledger
    from annotator.quota import CallBudget
    from training.fetch import fetch_features

    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise ConfigError(f"no token: set the environment variable {TOKEN_VARIABLE} to your Lasair account's API token")
    lasair = LasairConfig(
        endpoint=arguments.endpoint or ENDPOINTS["ztf"], calls_per_hour=max(4, arguments.calls_per_hour)
    )
    with Ledger(arguments.ledger) as ledger:
        budget = CallBudget(ledger, lasair.usable_calls_per_hour, read_share=0.98)  # nothing is written
        counts = fetch_features(
            LasairApi(lasair.endpoint, token, lasair.timeout_s, budget), arguments.out, wait=arguments.wait
        )
    found = ", ".join(f"{count} {label}" for label, count in counts.items())
    print(f"wrote {arguments.out}: {found}", file=sys.stderr)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text}")
    return value


def _version(text: str) -> str:
    if not 0 < len(text) <= MAX_VERSION_LENGTH or not text.isascii() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected 1 to {MAX_VERSION_LENGTH} ASCII characters, found {text!r}")
    return text
