"""The command `aha-annotator`."""

import argparse
import errno
import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence

from annotator import __version__
from annotator.commands import ledger, passes, reports, samples, watch
from annotator.commands.common import EXIT_ATTENTION, EXIT_OK, EXIT_USAGE, damage_behind
from annotator.errors import AhaError, ConfigError
from annotator.redact import RedactingFilter, redactor_of

_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What no program can help: there is no room, or a disk fails."""
_DESCRIPTION = """Score the objects of a Lasair filter for anomaly, and write annotations back.

Exit status: 0 all done; 1 something a person must look at; 2 usage or configuration."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parser().parse_args(arguments)
    redact = redactor_of(os.environ)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that a terminal lacks letters for ends nothing
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactingFilter(redact))
    try:
        status = options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()  # what cannot be written is told here, and not where Python ends
        return status
    except ConfigError as error:
        print(redact(f"aha-annotator: {error}"), file=sys.stderr)
        return EXIT_USAGE
    except AhaError as error:
        print(redact(f"aha-annotator: {error}"), file=sys.stderr)
        return EXIT_ATTENTION
    except BrokenPipeError:
        _leave_unwritten()  # the reader went away, as `head` does
        return EXIT_OK
    except KeyboardInterrupt:
        print(
            "aha-annotator: interrupted; what was written down stays, the next pass goes on from there", file=sys.stderr
        )
        return EXIT_ATTENTION
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_DISKS:
            what = error.filename or "a file, or what is printed,"
            print(redact(f"aha-annotator: {what} cannot be written: {error.strerror}"), file=sys.stderr)
            _leave_unwritten()
            return EXIT_ATTENTION
        if damage := damage_behind(options):
            print(redact(f"aha-annotator: {damage}"), file=sys.stderr)
            return EXIT_ATTENTION
        # A fault of the program: its traceback helps whoever mends it, and may quote what a server said.
        print(redact(traceback.format_exc()), file=sys.stderr, end="")
        return EXIT_ATTENTION


def _leave_unwritten() -> None:
    """Let Python end without a second complaint when it flushes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line: the commands of every group."""
    parser = argparse.ArgumentParser(
        prog="aha-annotator", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"aha-annotator {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for group in (passes, ledger, watch, reports, samples):
        group.add_commands(commands)
    return parser
