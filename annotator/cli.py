"""The command `aha-annotator`."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from annotator import __version__
from annotator.errors import AhaError, ConfigError

if TYPE_CHECKING:
    from annotator.annotation import Annotation
    from annotator.config import Config
    from annotator.models import ModelSet
    from annotator.report.night import Night


EXIT_OK, EXIT_ATTENTION, EXIT_USAGE = 0, 1, 2
MAX_CACHE_BYTES = 500e6

_DESCRIPTION = """Score the objects of a Lasair filter for anomaly, and write annotations back.

Exit status: 0 all done; 1 something a person must look at; 2 usage or configuration."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    try:
        return options.run(options)
    except ConfigError as error:
        print(f"aha-annotator: {error}", file=sys.stderr)
        return EXIT_USAGE
    except AhaError as error:
        print(f"aha-annotator: {error}", file=sys.stderr)
        return EXIT_ATTENTION
    except BrokenPipeError:
        # The reader went away, as `head` does; leave without a second complaint when standard output is flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        print(
            "aha-annotator: interrupted; what was written down stays, the next pass goes on from there", file=sys.stderr
        )
        return EXIT_ATTENTION


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aha-annotator", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"aha-annotator {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-v", "--verbose", action="store_true", help="say on standard error what is being done")
    configured = argparse.ArgumentParser(add_help=False)
    configured.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="the configuration")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = commands.add_parser(
        "score", parents=[common], help="score records in files and print one JSON line for each"
    )
    command.add_argument("--survey", choices=["ztf"], default="ztf", help="whose records they are (default: ztf)")
    command.add_argument("--models", type=Path, metavar="DIR", help="a folder of models (default: the shipped ones)")
    command.add_argument(
        "--cutout-host",
        action="append",
        metavar="HOST",
        help="fetch cutouts that records give as URLs from this host; can be repeated (default: the survey's Lasair)",
    )
    command.add_argument(
        "--cutout-cache", type=Path, metavar="DIR", help="keep fetched cutouts here (default: nowhere)"
    )
    command.add_argument(
        "files", nargs="+", metavar="FILE", help="JSON lines, a JSON array, one object, a .csv of flat rows, or -"
    )
    command.set_defaults(run=_score)

    command = commands.add_parser(
        "once", parents=[common, configured], help="make one pass over the source, annotate, and exit"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="print the annotations as JSON lines; send and keep nothing"
    )
    command.set_defaults(run=_once)

    command = commands.add_parser(
        "run", parents=[common, configured], help="make passes on the configured schedule until SIGTERM or Ctrl-C"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="print the annotations as JSON lines; send, keep and commit nothing"
    )
    command.set_defaults(run=_run)

    command = commands.add_parser(
        "status", parents=[common, configured], help="say whether it is alive and keeps up, and what needs a person"
    )
    command.add_argument("--json", action="store_true", help="as one JSON object")
    command.set_defaults(run=_status)

    command = commands.add_parser(
        "retract", parents=[common, configured], help="rewrite as normal what a bad release flagged"
    )
    command.add_argument("--version", required=True, dest="bad_version", metavar="V", help="the model set to retract")
    command.set_defaults(run=_retract)

    command = commands.add_parser(
        "check", parents=[common, configured], help="say point by point whether everything is in order"
    )
    command.set_defaults(run=_check)

    command = commands.add_parser(
        "report",
        parents=[common, configured],
        help="write the ranked night: pages, a table, or a digest",
        description="Write the ranked night as a folder of pages that open from disk, as a table, or as a digest. What "
        "is new in a digest is posted, once, to the Slack-compatible webhook that the environment variable "
        "AHA_WEBHOOK_URL names, if it is set.",
    )
    _add_night(command)
    kind = command.add_mutually_exclusive_group()
    kind.add_argument(
        "--format",
        choices=["html", "csv", "json", "votable"],
        default="html",
        help="pages (the default), or a table for your own tools",
    )
    kind.add_argument("--digest", choices=["text", "markdown"], nargs="?", const="text", help="print the night's best")
    command.add_argument("--top", type=_positive, default=10, metavar="N", help="objects of a digest (%(default)s)")
    command.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="folder of the pages (default: report), or file of a table or digest (default: standard output)",
    )
    command.set_defaults(run=_report)

    command = commands.add_parser(
        "inspect",
        parents=[common, configured],
        help="serve the ranked night with buttons to judge it by",
        description="Serve the pages of the ranked night with buttons; verdicts go into the ledger, and the next pass "
        "heeds them. A page that is loaded again shows what a pass has brought since. On another address than this "
        "machine's own the environment variable AHA_INSPECT_PASSWORD must hold a password; who logs in says by the "
        "user name who judges. The password and what is sent are not encrypted: reach the page through an ssh tunnel "
        "(ssh -L 8765:localhost:8765 HOST) or a proxy with TLS.",
    )
    _add_night(command)
    command.add_argument("--host", default="localhost", help="address to serve on (%(default)s)")
    command.add_argument("--port", type=_port, default=8765, help="0: any that is free (%(default)s)")
    command.add_argument("--person", metavar="NAME", help="who judges (default: your user name on this machine)")
    command.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name under which browsers reach the page; can be repeated",
    )
    command.set_defaults(run=_inspect)

    command = commands.add_parser(
        "explain", parents=[common, configured], help="say what carries an object's score, as it was scored last"
    )
    command.add_argument("object_id", metavar="OBJECTID")
    command.add_argument("--plot", type=Path, metavar="FILE.png", help="draw it, too")
    command.set_defaults(run=_explain)

    command = commands.add_parser(
        "verdicts",
        parents=[common, configured],
        help="print what people judged, on the pages and in the configured file, for `aha-train`",
    )
    command.set_defaults(run=_verdicts)

    command = commands.add_parser(
        "filters", parents=[common], help="list the SQL filters, or print one ready to paste into Lasair"
    )
    command.add_argument("name", nargs="?", help="which filter to print")
    command.add_argument("--topic", default="aha_ztf", help="the annotator's topic in it (default: aha_ztf)")
    command.set_defaults(run=_filters)

    command = commands.add_parser(
        "demo", parents=[common], help="run the whole job on an embedded Lasair with a simulated night"
    )
    command.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where its files go")
    command.add_argument("--records", type=Path, metavar="FILE", help="replay these recorded records instead")
    command.add_argument("--keep", action="store_true", help="leave the embedded Lasair up until interrupted")
    command.set_defaults(run=_demo)
    return parser


def _score(options: argparse.Namespace) -> int:
    from urllib.parse import urlsplit

    from annotator.config import DecisionConfig
    from annotator.lasair.cutout_cache import CutoutCache
    from annotator.lasair.cutouts import CutoutFetcher
    from annotator.models import load_models
    from annotator.passes.score_file import score_lines
    from annotator.sources.files import read_records
    from annotator.surveys.survey import ENDPOINTS

    for name in options.files:
        if name != "-" and not Path(name).is_file():
            raise ConfigError(f"no such file: {name}")
    models = load_models(options.models, options.survey)
    hosts = options.cutout_host or [urlsplit(ENDPOINTS[options.survey]).hostname]
    cache = CutoutCache(options.cutout_cache, MAX_CACHE_BYTES) if options.cutout_cache else None
    for name in options.files:
        folder = None if name == "-" else Path(name).parent
        cutouts = CutoutFetcher(hosts, cache=cache, folder=folder)
        count = 0
        for line in score_lines(read_records(name), models, DecisionConfig(), cutouts):
            print(line)
            count += 1
        if not count:
            print(f"aha-annotator: {name} holds no records", file=sys.stderr)
    sys.stdout.flush()
    return EXIT_OK


def _configured(options: argparse.Namespace, needs_token: bool = True) -> tuple["Config", "ModelSet"]:
    from annotator.config import load_config
    from annotator.models import load_models

    config = load_config(options.config, os.environ)
    if needs_token:
        config.require_token()
    return config, load_models(config.models, config.survey)


def _print_dry(options: argparse.Namespace) -> Callable[["Annotation"], None] | None:
    return (lambda annotation: print(annotation.to_json(), flush=True)) if options.dry_run else None


def _once(options: argparse.Namespace) -> int:
    from annotator.passes.run import note_announced, run_pass

    config, models = _configured(options)
    report = run_pass(config, models, on_dry_annotation=_print_dry(options))
    print(report.in_words(), file=sys.stderr if options.dry_run else sys.stdout, flush=True)
    if not options.dry_run:
        note_announced(config, report)
    return EXIT_ATTENTION if report.problem else EXIT_OK


def _run(options: argparse.Namespace) -> int:
    from annotator.passes.schedule import run_on_schedule

    run_on_schedule(*_configured(options), on_dry_annotation=_print_dry(options))
    return EXIT_OK


def _status(options: argparse.Namespace) -> int:
    import json
    import time

    from annotator.config import load_config
    from annotator.monitor.status import in_words, read_status

    status = read_status(load_config(options.config, os.environ), time.time())
    print(json.dumps(status.to_dict()) if options.json else in_words(status))
    return EXIT_ATTENTION if status.attention else EXIT_OK


def _retract(options: argparse.Namespace) -> int:
    from annotator.passes.retract import retract

    config, models = _configured(options)
    report = retract(config, models, options.bad_version)
    print(report.in_words())
    return EXIT_ATTENTION if report.problem else EXIT_OK


def _check(options: argparse.Namespace) -> int:
    from annotator.monitor.check import check

    in_order = True
    for point in check(options.config, os.environ):
        print(f"{'ok ' if point.in_order else 'NOT'}  {point.name}: {point.words}")
        in_order &= point.in_order
    return EXIT_OK if in_order else EXIT_ATTENTION


def _add_night(command: argparse.ArgumentParser) -> None:
    command.add_argument("--night", type=_night, metavar="DATE", help="of its evening, UTC (default: the last scored)")
    command.add_argument("--most", type=_positive, default=1000, metavar="N", help="objects listed (%(default)s)")


def _night(text: str) -> int:
    from annotator.nights import night_on

    try:
        return night_on(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a date such as 2026-11-24, found {text!r}") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"expected a port, 0 to 65535, found {text!r}")
    return int(text)


def _report(options: argparse.Namespace) -> int:
    import time

    from annotator.report.read import read_night

    config, models = _configured(options, needs_token=False)
    night = read_night(config, models, time.time(), options.night, options.most)
    if options.digest:
        return _digest(options, config, night)
    if options.format == "html":
        from annotator.report.pages.write import write_pages

        folder = options.out or Path("report")
        print(write_pages(night, config.models, config.survey, folder).resolve())
    else:
        from annotator.report.tables import to_table

        _write(to_table(night, options.format), options.out)
    return EXIT_OK


def _digest(options: argparse.Namespace, config: "Config", night: "Night") -> int:
    import time

    from annotator.ledger import Ledger
    from annotator.report.digest import WEBHOOK_VARIABLE, check_webhook, flagged, post_news, to_markdown, to_text

    url = os.environ.get(WEBHOOK_VARIABLE, "").strip()
    write = {"text": to_text, "markdown": to_markdown}[options.digest]
    _write(write(night, flagged(night), options.top), options.out)
    if url:
        check_webhook(url)
        margin = config.decision.announce_margin
        with Ledger(config.ledger) as ledger:
            posted = post_news(night, ledger, url, margin, time.time(), options.top)
        print(f"posted {posted} objects" if posted else "nothing new to post", file=sys.stderr)
    return EXIT_OK


def _inspect(options: argparse.Namespace) -> int:
    import getpass
    import time

    from annotator.models.known import load_known
    from annotator.report.inspect.access import check_person, password_for
    from annotator.report.inspect.app import make_app
    from annotator.report.inspect.night_at_hand import NightAtHand
    from annotator.report.inspect.serve import serve
    from annotator.report.read import read_night
    from annotator.verdicts import read_if_any

    password = password_for(options.host, os.environ)
    person = options.person or getpass.getuser()
    if password is None:
        check_person(person)
    config, models = _configured(options, needs_token=False)
    night = NightAtHand(
        lambda: read_night(config, models, time.time(), options.night, options.most),
        models,
        load_known(config.models, config.survey, models),
    )
    app = make_app(
        night,
        config.ledger,
        person=person,
        password=password,
        allowed_hosts=[options.host, *options.allowed_host],
        in_file=read_if_any(config.verdicts),
    )
    serve(app, options.host, options.port)
    return EXIT_OK


def _write(text: str, path: Path | None) -> None:
    if path is None:
        print(text, end="", flush=True)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def _explain(options: argparse.Namespace) -> int:

    from annotator.report.pages.text import why_no_reasons
    from annotator.report.read import read_object

    config, models = _configured(options, needs_token=False)
    candidate = read_object(config, options.object_id)
    print(f"{candidate.object_id}  {candidate.classification}  {candidate.score:.2f}\n{candidate.explanation}")
    for name, said in candidate.modalities.items():
        print(f"\n{name}: {said.missing or f'{said.score:.2f}'}")
        for reason in candidate.reasons.get(name, ()):
            print(f"  {reason.share:4.0%}  {reason.words}")
    if why_no_reasons(candidate):
        print(f"\n{why_no_reasons(candidate)}")
    if options.plot:
        from annotator.report.explain_plot import explain_plot

        explain_plot(candidate, models, options.plot)
        print(f"\n{options.plot.resolve()}")
    return EXIT_OK


def _verdicts(options: argparse.Namespace) -> int:
    from annotator.config import load_config
    from annotator.ledger import Ledger
    from annotator.verdicts import merge, read_if_any, verdicts_csv

    config = load_config(options.config, os.environ)
    with Ledger(config.ledger) as ledger:
        print(verdicts_csv(merge(read_if_any(config.verdicts), ledger.verdicts.holding())), end="")
    return EXIT_OK


def _filters(options: argparse.Namespace) -> int:
    from annotator.lasair.filters import boxes, for_topic, list_filters, load_filter

    if options.name:
        print(boxes(for_topic(load_filter(options.name), options.topic)))
        return EXIT_OK
    for item in list_filters():
        print(f"{item.name}\n    " + item.summary.strip().replace("\n", "\n    "))
    print("\nPrint one ready to paste with: aha-annotator filters NAME")
    return EXIT_OK


def _demo(options: argparse.Namespace) -> int:
    from annotator.demo import run_demo

    return run_demo(options.out, options.records, options.keep)
