"""Commands that say how it goes: whether the annotator keeps up, and whether everything is in order."""

import argparse
import os

from annotator.commands.arguments import add_command
from annotator.commands.common import EXIT_ATTENTION, EXIT_OK


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands to those of `aha-annotator`."""
    command = add_command(
        commands, "status", _status, help="say whether it is alive and keeps up, and what needs a person"
    )
    command.add_argument("--json", action="store_true", help="as one JSON object")

    add_command(commands, "check", _check, help="say point by point whether everything is in order")


def _status(options: argparse.Namespace) -> int:
    import json
    import time

    from annotator.config import load_config
    from annotator.monitor.status import read_status, status_text

    status = read_status(load_config(options.config, os.environ), time.time())
    print(json.dumps(status.to_dict()) if options.json else status_text(status))
    return EXIT_ATTENTION if status.attention else EXIT_OK


def _check(options: argparse.Namespace) -> int:
    from annotator.monitor.check import check

    in_order = True
    for point in check(options.config, os.environ):
        print(f"{'ok ' if point.in_order else 'NOT'}  {point.name}: {point.words}")
        in_order &= point.in_order
    return EXIT_OK if in_order else EXIT_ATTENTION
