"""Commands that show what was scored: the ranked night, one object, and what people judged of them."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands.arguments import add_command, add_night, port, positive
from annotator.commands.common import EXIT_ATTENTION, EXIT_OK, configured
from annotator.errors import AhaError, ConfigError

if TYPE_CHECKING:
    from annotator.config import Config
    from annotator.report.night import Night
    from annotator.verdicts import VerdictFile


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands to those of `aha-annotator`."""
    command = add_command(
        commands,
        "report",
        _report,
        help="write the ranked night: pages, a table, or a digest",
        description="Write the ranked night as a folder of pages that open from disk, as a table, or as a digest. What "
        "is new in a digest is posted, once, to the Slack-compatible webhook that the environment variable "
        "AHA_WEBHOOK_URL names, if it is set.",
    )
    add_night(command)
    kind = command.add_mutually_exclusive_group()
    kind.add_argument(
        "--format",
        choices=["html", "csv", "json", "votable"],
        default="html",
        help="pages (the default), or a table for your own tools",
    )
    kind.add_argument("--digest", choices=["text", "markdown"], nargs="?", const="text", help="print the night's best")
    command.add_argument("--top", type=positive, default=10, metavar="N", help="objects of a digest (%(default)s)")
    command.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="folder of the pages (default: report), or file of a table or digest (default: standard output)",
    )

    command = add_command(
        commands,
        "inspect",
        _inspect,
        help="serve the ranked night with buttons to judge it by",
        description="Serve the pages of the ranked night with buttons; verdicts go into the ledger, and the next pass "
        "applies them. A page that is loaded again shows what a pass has brought since. The printed address opens the "
        "page once, for one browser; the next is printed then. In a group --people names who may judge, each with "
        "a secret of their own, which the browser asks for; on another address than this machine's own it must be "
        "given. Secrets and what is sent are not encrypted: reach the page through an ssh tunnel (ssh -L "
        "8765:localhost:8765 HOST) or a proxy with TLS.",
    )
    add_night(command)
    command.add_argument("--host", default="localhost", help="address to serve on (%(default)s)")
    command.add_argument("--port", type=port, default=8765, help="0: any that is free (%(default)s)")
    who = command.add_mutually_exclusive_group()
    who.add_argument("--person", metavar="NAME", help="who judges (default: your user name on this machine)")
    who.add_argument("--people", type=Path, metavar="FILE", help="who may judge, each with a secret of their own")
    command.add_argument(
        "--add", metavar="NAME", help="add a person to the file of --people, print their new secret, and serve nothing"
    )
    command.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name under which browsers reach the page; can be repeated",
    )

    command = add_command(
        commands, "explain", _explain, help="say what carries an object's score, as it was scored last"
    )
    command.add_argument("object_id", metavar="OBJECTID")
    command.add_argument("--plot", type=Path, metavar="FILE.png", help="draw it, too")

    add_command(
        commands,
        "verdicts",
        _verdicts,
        help="print what people judged, on the pages and in the configured file, for `aha-train`",
    )


def _report(options: argparse.Namespace) -> int:
    import time

    from annotator.report.read import read_night

    config, models = configured(options, needs_token=False)
    _refuse_used(options.out, options, config)
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

    from annotator.ledger import open_known
    from annotator.report.digest import WEBHOOK_VARIABLE, check_webhook, flagged, post_news, to_markdown, to_text

    url = os.environ.get(WEBHOOK_VARIABLE, "").strip()
    write = {"text": to_text, "markdown": to_markdown}[options.digest]
    _write(write(night, flagged(night), options.top), options.out)
    if url:
        check_webhook(url)
        margin = config.decision.announce_margin
        with open_known(config.ledger) as ledger:
            posted = post_news(night, ledger, url, margin, time.time(), options.top)
        print(f"posted {posted} objects" if posted else "nothing new to post", file=sys.stderr)
    return EXIT_OK


def _inspect(options: argparse.Namespace) -> int:
    import getpass
    import time

    from annotator.models.known import load_known
    from annotator.report.inspect.app import make_app
    from annotator.report.inspect.doors import Alone, Group
    from annotator.report.inspect.night_at_hand import NightAtHand
    from annotator.report.inspect.people import add_person, read_people
    from annotator.report.inspect.serve import serve
    from annotator.report.read import read_night

    if options.add is not None:
        if options.people is None:
            raise ConfigError("--add adds a person to a file: name it by --people FILE")
        print(add_person(options.people, options.add))
        return EXIT_OK
    door = Group(read_people(options.people)) if options.people else Alone(options.person or getpass.getuser())
    config, models = configured(options, needs_token=False)
    night = NightAtHand(
        lambda: read_night(config, models, time.time(), options.night, options.most),
        models,
        load_known(config.models, config.survey, models),
    )
    app = make_app(
        night,
        config.ledger,
        door=door,
        allowed_hosts=[options.host, *options.allowed_host],
        in_file=_in_file(config).verdicts,
    )
    serve(app, options.host, options.port)
    return EXIT_OK


def _explain(options: argparse.Namespace) -> int:
    from annotator.report.pages.text import why_no_reasons
    from annotator.report.read import read_object

    config, models = configured(options, needs_token=False)
    _refuse_used(options.plot, options, config)
    candidate = read_object(config, options.object_id)
    print(f"{candidate.object_id}  {candidate.classification}  {candidate.score:.2f}\n{candidate.explanation}")
    for name, said in candidate.modalities.items():
        print(f"\n{name}: {said.missing or f'{said.score:.2f}'}")
        for reason in candidate.reasons.get(name, ()):
            print(f"  {reason.share:4.0%}  {reason.words}")
    if why_no_reasons(candidate):
        print(f"\n{why_no_reasons(candidate)}")
    if options.plot:
        from annotator.fences import failure_of
        from annotator.report.explain_plot import explain_plot

        try:
            explain_plot(candidate, models, options.plot)
        except AhaError:
            raise
        except Exception as error:
            print(f"aha-annotator: it could not be drawn: {failure_of(error)}", file=sys.stderr)
            return EXIT_ATTENTION
        print(f"\n{options.plot.resolve()}")
    return EXIT_OK


def _verdicts(options: argparse.Namespace) -> int:
    from annotator.config import load_config
    from annotator.ledger import open_to_read
    from annotator.verdicts import merge, verdicts_csv

    config = load_config(options.config, os.environ)
    with open_to_read(config.ledger) as ledger:
        ledger.identity.check_topic(config.survey, config.annotation.topic)
        in_file = _in_file(config)
        print(verdicts_csv(merge(in_file.verdicts, ledger.verdicts.holding())), end="")
    return EXIT_ATTENTION if in_file.refused else EXIT_OK


def _in_file(config: "Config") -> "VerdictFile":
    """Read the configured file of verdicts, and name on standard error what in it is none."""
    from annotator.verdicts import read_if_any, refused_in_words

    read = read_if_any(config.verdicts)
    for words in refused_in_words(read.refused):
        print(f"aha-annotator: {words}", file=sys.stderr)
    return read


def _refuse_used(path: Path | None, options: argparse.Namespace, config: "Config") -> None:
    """Raise ConfigError where a file that is to be written is one that the configuration names, or itself."""
    from annotator.config import FileSource

    source = config.source.path if isinstance(config.source, FileSource) else None
    ledger = config.ledger if isinstance(config.ledger, Path) else None
    used = [item for item in (options.config, config.verdicts, ledger, source) if item is not None and item.exists()]
    if path is not None and path.exists() and any(path.samefile(item) for item in used):
        raise ConfigError(f"{path} is in use by this configuration, and would be lost: name another file")


def _write(text: str, path: Path | None) -> None:
    if path is None:
        print(text, end="", flush=True)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
