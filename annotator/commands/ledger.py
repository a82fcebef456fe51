"""Commands that look after the ledger: how large it is, whether it is sound, backups, and room that it gives back."""

import argparse
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands.arguments import add_command
from annotator.commands.common import EXIT_ATTENTION, EXIT_OK

if TYPE_CHECKING:
    from annotator.config import Config
    from annotator.ledger_address import LedgerAddress

_WORDS = (
    ("info", "say how large it is, what is in it, and what it lies on"),
    ("verify", "look for damage to its file and to what is written in it"),
    ("backup", "copy it to a new file as it is at this moment, while passes go on"),
    ("restore", "put a backup in its place; what is there is put aside"),
    ("vacuum", "give back the room that deleted rows have left; no pass may be under way"),
)


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands to those of `aha-annotator`."""
    ledger = commands.add_parser("ledger", help="look after the ledger: info, verify, backup, restore, vacuum")
    parts = ledger.add_subparsers(title="what to do", required=True, metavar="WHAT")
    runs = {"info": _info, "verify": _verify, "backup": _backup, "restore": _restore, "vacuum": _vacuum}
    for name, words in _WORDS:
        command = add_command(parts, name, runs[name], help=words, description=f"{words[0].upper()}{words[1:]}.")
        if name in ("backup", "restore"):
            what = "the new file" if name == "backup" else "what `backup` made"
            command.add_argument("file", type=Path, metavar="FILE", help=what)


def _config(options: argparse.Namespace) -> "Config":
    from annotator.config import load_config

    return load_config(options.config, os.environ)


def _address(options: argparse.Namespace) -> "LedgerAddress":
    return _config(options).ledger


def _info(options: argparse.Namespace) -> int:
    from annotator.ledger.care import info
    from annotator.ledger.store.file_system import is_of_network

    found = info(_address(options))
    network = ", of a network, which lacks what SQLite needs" if is_of_network(found.file_system) else ""
    on = f" on {found.file_system}{network}" if found.file_system else ""
    print(f"ledger     {found.address}{on}")
    print(f"size       {found.size_bytes / 1e6:,.1f} MB, {found.free_bytes / 1e6:,.1f} MB of them free")
    if found.first_scored_at is not None:
        print(f"scorings   from {_utc(found.first_scored_at)} to {_utc(found.last_scored_at)} UTC")
    for name, rows in found.rows.items():
        print(f"rows       {rows:>12,}  {name}")
    return EXIT_OK


def _verify(options: argparse.Namespace) -> int:
    from annotator.ledger import open_known
    from annotator.ledger.care import faults

    address = _address(options)
    with open_known(address, read_only=True) as ledger:
        found = faults(ledger)
    for words in found:
        print(f"DAMAGE  {words}")
    if found:
        print("restore a backup: `aha-annotator ledger restore`, or make it anew: `aha-annotator rebuild`")
        return EXIT_ATTENTION
    print(f"the ledger {address} is sound")
    return EXIT_OK


def _backup(options: argparse.Namespace) -> int:
    from annotator.ledger.backups import back_up

    with _clearing_away():
        back_up(_address(options), options.file)
    print(f"{options.file.resolve()}: {options.file.stat().st_size / 1e6:,.1f} MB, sound")
    return EXIT_OK


def _restore(options: argparse.Namespace) -> int:
    from annotator.ledger.backups import restore

    config = _config(options)
    address, survey, topic = config.ledger, config.survey, config.annotation.topic
    with _clearing_away():
        aside = restore(address, options.file, time.time(), check=lambda kept: kept.identity.check_topic(survey, topic))
    if aside is not None:
        print(f"what was there lies in {aside}")
    print(
        f"the ledger {address} is as it was backed up: the next pass reads on from there, and `aha-annotator rebuild` "
        "takes in at once what Lasair has got since"
    )
    return EXIT_OK


@contextlib.contextmanager
def _clearing_away() -> Iterator[None]:
    """Take away half a copy where SIGTERM ends the work, too, and not Ctrl-C alone."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _vacuum(options: argparse.Namespace) -> int:
    from annotator.ledger.care import vacuum

    before, after = vacuum(_address(options))
    print(f"{before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB now")
    return EXIT_OK


def _utc(unix_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(unix_s))
