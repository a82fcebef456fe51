"""Commands that score: a file, one pass, passes on a schedule, and the retraction of a bad release."""

import argparse
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands.arguments import add_command, survey
from annotator.commands.common import EXIT_ATTENTION, EXIT_OK, configured
from annotator.errors import ConfigError

if TYPE_CHECKING:
    from annotator.annotation import Annotation
    from annotator.config import Config
    from annotator.models import ModelSet

MAX_CACHE_BYTES = 500e6
"""Of the cutouts that `score` keeps."""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands to those of `aha-annotator`."""
    command = add_command(
        commands, "score", _score, is_configured=False, help="score records in files and print one JSON line for each"
    )
    command.add_argument("--survey", type=survey, default="ztf", help="whose records they are (default: ztf)")
    command.add_argument("--models", type=Path, metavar="DIR", help="a folder of models (default: the shipped ones)")
    command.add_argument(
        "--cutout-host",
        action="append",
        metavar="HOST",
        help="fetch cutouts that records give as URLs from this host; can be repeated (default: the survey's Lasair)",
    )
    command.add_argument(
        "--schemas", type=Path, metavar="DIR", help="the survey's Avro schemas, for packets that do not carry theirs"
    )
    command.add_argument(
        "--cutout-cache", type=Path, metavar="DIR", help="keep fetched cutouts here (default: nowhere)"
    )
    command.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="JSON lines, a JSON array, one object, a table (CSV and its kin, VOTable, ECSV, FITS, Parquet), alert "
        "packets in Avro, or -",
    )

    command = add_command(commands, "once", _once, help="make one pass over the source, annotate, and exit")
    command.add_argument(
        "--dry-run", action="store_true", help="print the annotations as JSON lines; send and keep nothing"
    )

    _add_new_ledger(command)

    command = add_command(commands, "run", _run, help="make passes on the configured schedule until SIGTERM or Ctrl-C")
    command.add_argument(
        "--dry-run", action="store_true", help="print the annotations as JSON lines; send, keep and commit nothing"
    )

    _add_new_ledger(command)

    command = add_command(
        commands, "refused", _refused, help="list the records, and parts of them, that could not be used"
    )
    command.add_argument("--retry", action="store_true", help="score them again first, after a mend")
    command.add_argument("--json", action="store_true", help="as JSON lines, with the records")

    command = add_command(commands, "retract", _retract, help="rewrite as normal what a bad release flagged")
    command.add_argument("--version", required=True, dest="bad_version", metavar="V", help="the model set to retract")

    add_command(
        commands,
        "rebuild",
        _rebuild,
        help="take into the ledger what Lasair holds of the topic; writes nothing to Lasair",
    )


def _add_new_ledger(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--new-ledger",
        action="store_true",
        help="go on with the ledger that is there, or begin one, although another was used here last",
    )


def _score(options: argparse.Namespace) -> int:
    from annotator.decision.config import DecisionConfig
    from annotator.lasair.cutout_cache import CutoutCache
    from annotator.lasair.cutouts import CutoutFetcher
    from annotator.models import load_to_stay
    from annotator.passes.score_file import score_lines
    from annotator.sources.files import read_records
    from annotator.surveys import SURVEYS

    for name in options.files:
        if name != "-" and not Path(name).is_file():
            raise ConfigError(f"no such file: {name}")
    models = load_to_stay(options.models, options.survey)
    if models.provisional:
        print(f"aha-annotator: provisional models: {models.provisional}", file=sys.stderr)
    hosts = options.cutout_host or SURVEYS[options.survey].cutout_hosts
    cache = CutoutCache(options.cutout_cache, MAX_CACHE_BYTES) if options.cutout_cache else None
    status = EXIT_OK
    for name in options.files:
        folder = None if name == "-" else Path(name).parent
        cutouts = CutoutFetcher(hosts, cache=cache, folder=folder)
        count = refused = 0
        records = read_records(name, SURVEYS[options.survey], schemas=options.schemas)
        for line in score_lines(records, models, DecisionConfig(), cutouts):
            print(line.text)
            count += 1
            refused += line.is_refused
        if not count:
            print(f"aha-annotator: {name} holds no records", file=sys.stderr)
        elif refused:
            print(f"aha-annotator: {refused} of the {count} records of {name} refused", file=sys.stderr)
            status = EXIT_ATTENTION if refused == count else status
    sys.stdout.flush()
    return status


def _once(options: argparse.Namespace) -> int:
    from annotator.passes.report_text import summary
    from annotator.passes.run import note_announced, run_pass
    from annotator.passes.schedule import stopped_by_signals

    config, models = _configured_for_passes(options)
    stop = threading.Event()
    with stopped_by_signals(stop):
        report = run_pass(config, models, should_stop=stop.is_set, on_dry_annotation=_print_dry(options))
    print(summary(report), file=sys.stderr if options.dry_run else sys.stdout, flush=True)
    if not options.dry_run:
        note_announced(config, report)
    return EXIT_ATTENTION if report.problem else EXIT_OK


def _run(options: argparse.Namespace) -> int:
    from annotator.passes.schedule import print_line, run_on_schedule

    # A dry run's standard output is annotations, one JSON line each.
    say = (lambda text: print(text, file=sys.stderr, flush=True)) if options.dry_run else print_line
    run_on_schedule(*_configured_for_passes(options), on_dry_annotation=_print_dry(options), say=say)
    return EXIT_OK


def _configured_for_passes(options: argparse.Namespace) -> tuple["Config", "ModelSet"]:
    from annotator.config import QuerySource
    from annotator.lasair.cutout_cache import KIND
    from annotator.lasair.filters import load_filter
    from annotator.ledger import forget_known
    from annotator.owned_folder import refuse_foreign

    config, models = configured(options)
    if isinstance(config.source, QuerySource):
        load_filter(config.source.filter, config.survey)  # one that is none is no matter of a pass
    if config.cutouts.cache_megabytes:
        refuse_foreign(config.cutouts.cache, KIND)
    if options.new_ledger:
        forget_known(config.ledger)
    return config, models


def _refused(options: argparse.Namespace) -> int:
    from annotator.config import load_config
    from annotator.ledger import Ledger

    config = load_config(options.config, os.environ)
    if options.retry:
        from annotator.passes.refused import retry_refused

        retried = retry_refused(*configured(options))
        print(f"{retried.scored} scored, {retried.refused} refused still", file=sys.stderr)
    with Ledger(config.ledger, read_only=True) as ledger:
        ledger.identity.check_topic(config.survey, config.annotation.topic)
        items = ledger.refused.open()
    for item in items:
        print(item.to_json() if options.json else item)
    sys.stdout.flush()
    is_for_a_person = not all(item.refusal.is_solar_system for item in items)
    return EXIT_ATTENTION if options.retry and is_for_a_person else EXIT_OK


def _retract(options: argparse.Namespace) -> int:
    from annotator.passes.report_text import summary
    from annotator.passes.retract import retract

    config, models = configured(options)
    report = retract(config, models, options.bad_version)
    print(summary(report))
    return EXIT_ATTENTION if report.problem else EXIT_OK


def _rebuild(options: argparse.Namespace) -> int:
    from annotator.config import load_config
    from annotator.passes.rebuild import rebuild

    rebuilt = rebuild(load_config(options.config, os.environ))
    print(
        f"adopted {rebuilt.adopted} annotations of Lasair's; {rebuilt.known} were known, "
        f"{rebuilt.unusable} are none of ours"
    )
    if rebuilt.pause:
        print(f"not done yet: {rebuilt.pause}")
    return EXIT_ATTENTION if rebuilt.pause else EXIT_OK


def _print_dry(options: argparse.Namespace) -> Callable[["Annotation"], None] | None:
    return (lambda annotation: print(annotation.to_json(), flush=True)) if options.dry_run else None
