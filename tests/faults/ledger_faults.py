"""A ledger that is damaged, copied while it is written to, and grows old; a backup brings back what there was."""

import random
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from annotator.ledger import open_known
from annotator.ledger.backups import back_up
from annotator.ledger.care import faults
from annotator.nights import DAY_S
from tests.faults.hostile_faults import broken
from tests.faults.laboratory import Fault, Try, Verdict, judge
from tests.faults.scenario import Row, begun_world, world

DAMAGES = 5
"""Damaged ledgers of one try."""
COMMANDS = (("report", "--digest"), ("status",), ("refused",), ("ledger", "info"), ("ledger", "verify"))
SECTOR_BYTES = 4096
NIGHTS, PAUSE_DAYS = 36, 11.0
"""A little more than a year, and an object twice or thrice a month: of most months one score is to be left."""
KEPT, EVER = "SELECT COUNT(*) FROM scores", "SELECT SUM(times) FROM lifetimes"
BACKUPS = 5
"""Of one try, at least."""


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


def backups_while_a_pass_writes(t: Try) -> Verdict:
    """Copy the ledger again and again while a pass writes to it; each copy must be sound, and any one restores it."""
    with begun_world(t.scenario, t.folder) as life:
        with _copied_again_and_again(life.config.ledger, life.folder / "backups") as copies:
            life.publish(t.scenario.waves[1])
            life.pass_()
        notes = [f"{copy.name}: {words}" for copy in copies for words in _faults_of(copy)]
        notes.append(broken(life, ("ledger", "restore", str(t.rng.choice(copies))), (0,)))
        life.settle()
        verdict = judge(life, *filter(None, notes))
        return Verdict(verdict.lost, verdict.changed, verdict.notes, len(copies))


@contextmanager
def _copied_again_and_again(ledger: Path, folder: Path) -> Iterator[list[Path]]:
    """Copy a ledger from before what is done to it until after, and often enough; say which copies there are."""
    folder.mkdir()
    copies, begun, ended = [], threading.Event(), threading.Event()

    def copy() -> None:
        try:
            while not ended.is_set() or len(copies) < BACKUPS:
                back_up(ledger, folder / f"{len(copies)}.sqlite")
                copies.append(folder / f"{len(copies)}.sqlite")
                begun.set()
        finally:
            begun.set()

    with ThreadPoolExecutor(1) as pool:
        copying = pool.submit(copy)
        try:
            begun.wait()
            yield copies
        finally:
            ended.set()
            copying.result()


def _faults_of(copy: Path) -> list[str]:
    with open_known(copy, read_only=True) as ledger:
        return faults(ledger)


def a_year_goes_by(t: Try) -> Verdict:
    """Let a year go by before, in which some objects changed again and again, so that much of it is forgotten."""
    shortest = {"retention": {"score_nights": 60, "numbers_nights": 7, "unseen_months": 3}}
    with world(t.scenario, t.folder, **t.rng.choice((shortest, {}))) as life:
        for night in range(NIGHTS, 0, -1):
            before_days = (night + t.rng.random() / 2) * PAUSE_DAYS
            life.clock.now_s = t.scenario.now_s - before_days * DAY_S
            life.publish([_earlier(row, before_days) for row in t.rng.sample(t.scenario.waves[1], 10)])
            life.pass_()
        life.clock.now_s = t.scenario.now_s
        for wave in t.scenario.waves:
            life.publish(wave)
            life.pass_()
            life.wait(1.0)
        life.settle()
        with closing(sqlite3.connect(life.config.ledger)) as file:
            (kept,), (ever,) = (file.execute(query).fetchone() for query in (KEPT, EVER))
        return judge(life, *([] if kept < ever else [f"none of {ever} scorings was forgotten"]))


def _earlier(row: Row, days: float) -> Row:
    return row | {name: row[name] - days for name in ("jdmin", "jdmax") if row.get(name) is not None}


FAULTS = (
    Fault("damaged file of the ledger", 400, bytes_of_the_ledger),
    Fault("backups while a pass writes", 20, backups_while_a_pass_writes),
    Fault("a year goes by", 20, a_year_goes_by),
)
