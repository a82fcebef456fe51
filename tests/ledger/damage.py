"""Damage to a ledger's file, for tests of what finds it."""

import sqlite3
from contextlib import closing
from pathlib import Path


def damage_an_index(path: Path) -> None:
    """Overwrite the first page of the index of scores in a file of SQLite that nobody has open."""
    with closing(sqlite3.connect(path)) as file:
        (root,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'scores_of_object'").fetchone()
        (size,) = file.execute("PRAGMA page_size").fetchone()
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
