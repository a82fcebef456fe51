"""A ledger whose bytes are damaged: every command ends by itself, and a backup brings back what there was."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.faults.hostile_faults import broken
from tests.faults.laboratory import Fault, Try, Verdict, judge
from tests.faults.scenario import begun_world

DAMAGES = 5
"""Damaged ledgers of one try."""
COMMANDS = (("report", "--digest"), ("status",), ("refused",), ("ledger", "info"), ("ledger", "verify"))
SECTOR_BYTES = 4096


def bytes_of_the_ledger(t: Try) -> Verdict:
    """Damage the ledger's file in many ways, work with each, then restore the backup of an hour ago."""
    with begun_world(t.scenario, t.folder) as life:
        path, backup = life.config.ledger, life.folder / "backup.sqlite"
        notes = [broken(life, ("ledger", "backup", str(backup)))]
        life.publish(t.scenario.waves[1])
        life.pass_()
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole = path.read_bytes()
        for _ in range(DAMAGES):
            _put(path, damaged(whole, t.rng))
            notes += [broken(life, command) for command in COMMANDS]
            life.pass_()
        notes.append(broken(life, ("ledger", "restore", str(backup)), (0,)))
        life.settle()
        verdict = judge(life, *filter(None, notes))
        return Verdict(verdict.lost, verdict.changed, verdict.notes, DAMAGES)


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Return a file with some bytes changed, in its header or anywhere, a part zeroed, swapped with another or gone."""
    data, kind = bytearray(whole), rng.choice(("bytes", "header", "first page", "zeros", "swap", "end"))
    start, other = (rng.randrange(0, len(data), SECTOR_BYTES) for _ in range(2))
    if kind == "zeros":
        data[start : start + SECTOR_BYTES] = bytes(SECTOR_BYTES)
    elif kind == "swap":
        data[start : start + SECTOR_BYTES] = whole[other : other + SECTOR_BYTES]
    elif kind == "end":
        del data[rng.randrange(len(data)) :]
    else:
        reach = {"bytes": len(data), "header": 100, "first page": 16 * 1024}[kind]
        for _ in range(rng.choice((1, 10, 1000)) if kind == "bytes" else rng.choice((1, 3))):
            data[rng.randrange(reach)] = rng.randrange(256)
    return bytes(data)


def _put(path: Path, data: bytes) -> None:
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    path.write_bytes(data)


FAULTS = (Fault("damaged file of the ledger", 120, bytes_of_the_ledger),)
