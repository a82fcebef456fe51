"""The commands of `aha-train` that fetch typed objects, their light curves and their stamps from a survey's Lasair."""

import argparse
import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.errors import ConfigError
from training import options

if TYPE_CHECKING:
    from annotator.config import LasairConfig
    from annotator.lasair.api import LasairApi

log = logging.getLogger(__name__)


def add(commands: "argparse._SubParsersAction") -> None:
    """Add the commands."""
    fetch = commands.add_parser("fetch", help="build a labelled table from Lasair, and what goes with it")
    tables = fetch.add_subparsers(required=True, metavar="TABLE")
    features = tables.add_parser(
        "features",
        help="the table of typed objects; of ZTF what `aha-train features` is trained on",
        description="Build the table of typed objects from Lasair. The token: LASAIR_TOKEN, or LASAIR_TOKEN_FILE.",
    )
    options.path(features, "--out", "the table (CSV); goes on where it ended", required=True)
    curves = tables.add_parser(
        "lightcurves",
        help="the light curves of a table's objects",
        description="Fetch the light curves of the objects of a table, one object a call. The token: LASAIR_TOKEN, or "
        "LASAIR_TOKEN_FILE.",
    )
    options.path(curves, "--out", "light curves (Parquet)", required=True)
    stamps = tables.add_parser(
        "cutouts",
        help="the stamps of a table's objects",
        description="Fetch the stamps of the objects of a table from Lasair. The token: LASAIR_TOKEN, or "
        "LASAIR_TOKEN_FILE.",
    )
    options.path(stamps, "--out", "for cutouts.npz and cutouts.csv", "DIR", required=True)
    options.count(stamps, "--parallel", 4, "stamps at a time")
    for command in (curves, stamps):
        words = "CSV with the objects' ids as the survey names them, and type and source_label"
        options.path(command, "--table", words, required=True)
    for command, run in ((features, _features), (curves, _lightcurves), (stamps, _cutouts)):
        options.survey(command, "lsst: typed objects of Rubin, for `aha-train evaluate --survey lsst`")
        command.add_argument("--endpoint", help="Lasair's API (default: the survey's)")
        options.count(command, "--calls-per-hour", 100, "the account's quota")
        options.path(
            command,
            "--ledger",
            "where calls are counted: the annotator's own, if it uses the same account (%(default)s)",
            default=Path("aha-ledger.sqlite"),
        )
        command.add_argument("--wait", action="store_true", help="sleep, where the hour's calls are used up")
        command.set_defaults(run=run)


def _features(arguments: argparse.Namespace) -> None:
    from training.data.fetch_table import fetch_features

    with _account(arguments) as (api, _):
        counts = fetch_features(api, arguments.out, wait=arguments.wait)
    log.info("wrote %s: %s", arguments.out, ", ".join(f"{count} {label}" for label, count in counts.items()))


def _lightcurves(arguments: argparse.Namespace) -> None:
    from training.data.fetch_objects import fetch_lightcurves

    with _account(arguments) as (api, _):
        result = fetch_lightcurves(api, arguments.table, arguments.out, wait=arguments.wait)
    log.info("wrote %s: %d objects; %d failed", arguments.out, result.found, len(result.failures))


def _cutouts(arguments: argparse.Namespace) -> None:
    from annotator.lasair.breaker import Breakers
    from annotator.lasair.cutout_cache import CutoutCache
    from annotator.lasair.cutouts import CutoutFetcher, moved_root
    from training.data.fetch_objects import fetch_cutouts

    cache = CutoutCache(arguments.out / "stamps", max_bytes=float("inf"))
    with _account(arguments) as (api, lasair):
        cutouts = CutoutFetcher(
            lasair.allowed_cutout_hosts(api.survey),
            arguments.parallel,
            cache=cache,
            breakers=Breakers(doubts_refusals=False),
            moved=moved_root(api.survey, lasair),
        )
        result = fetch_cutouts(api, cutouts, arguments.table, arguments.out, wait=arguments.wait)
    log.info("wrote %s: %d triplets; %d failed", arguments.out, result.found, len(result.failures))


@contextlib.contextmanager
def _account(arguments: argparse.Namespace) -> Iterator[tuple["LasairApi", "LasairConfig"]]:
    """Open one account's access to a survey's Lasair, its calls counted."""
    from annotator.config import LasairConfig
    from annotator.lasair.api import LasairApi
    from annotator.lasair.breaker import Breakers
    from annotator.lasair.budget import CallBudget
    from annotator.lasair_token import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, read_token
    from annotator.ledger import open_or_begin
    from annotator.surveys import SURVEYS

    token = read_token(os.environ)
    if not token:
        raise ConfigError(
            f"no token: set the environment variable {TOKEN_VARIABLE} to your Lasair account's API token, or "
            f"{TOKEN_FILE_VARIABLE} to a file that holds it"
        )
    survey = SURVEYS[arguments.survey]
    lasair = LasairConfig(
        endpoint=arguments.endpoint or survey.endpoint, calls_per_hour=max(4, arguments.calls_per_hour)
    )
    with open_or_begin(arguments.ledger) as ledger:
        budget = CallBudget(ledger, lasair.usable_calls_per_hour, read_share=0.98)  # nothing is written
        breakers = Breakers(ledger.breakers, budget.clock, doubts_refusals=False)  # who is asked for is often unknown
        yield LasairApi(survey, lasair.endpoint, token, lasair.timeout_s, budget, breakers), lasair
