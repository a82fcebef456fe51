"""Looking after a ledger as a whole: how large it is, whether it is sound, and room that it gives back."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy import Row, Table, func, select

from annotator.errors import LedgerError, LedgerValueError
from annotator.ledger.ledger import Ledger, open_known
from annotator.ledger.outbox_entry import read_entry
from annotator.ledger.snapshot import read_model_scores, read_snapshot
from annotator.ledger.store.complaints import as_ledger_errors
from annotator.ledger.store.database import Database
from annotator.ledger.store.file_system import file_system_of
from annotator.ledger.store.schema import metadata, outbox, passes, scores, snapshots
from annotator.ledger_address import LedgerAddress, PostgresAddress

MOST_FAULTS = 20
"""Faults of a file that are named; whoever has more needs a backup, and no list."""
ROWS_AT_A_TIME = 500
BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite keeps beside a file, which belongs to that file alone: beside another it would be written into that."""


@dataclass(frozen=True)
class LedgerInfo:
    """How large a ledger is, and what is in it."""

    address: str
    file_system: str
    """Such as ``ext4``; empty where it is not known, and of a server."""
    size_bytes: int
    """What its file, and what SQLite keeps beside it, take; of a server what its tables and indexes take."""
    free_bytes: int
    """Of them, room in the file that new rows will take, or that vacuuming gives back."""
    rows: dict[str, int]
    """By table."""
    first_scored_at: float | None
    """In seconds since 1970; None where nothing was scored."""
    last_scored_at: float | None


def info(address: LedgerAddress) -> LedgerInfo:
    """Look how large a ledger is, and what is in it.

    Raises
    ------
    LedgerError
        If it cannot be read.
    """
    with open_known(address, read_only=True) as ledger:
        database = ledger.database
        rows = {name: _count(database, table) for name, table in sorted(metadata.tables.items())}
        span = database.row(select(func.min(scores.c.scored_at), func.max(scores.c.scored_at)))
        size, free = _size(database)
    on = "" if isinstance(address, PostgresAddress) else file_system_of(address)
    return LedgerInfo(str(address), on, size, free, rows, *span)


def _count(database: Database, table: Table) -> int:
    return database.value(select(func.count()).select_from(table))


def _size(database: Database) -> tuple[int, int]:
    """Return the bytes that a ledger takes, and those of them that are free."""
    if database.kind == "postgresql":
        sizes = [database.value(select(func.pg_total_relation_size(name))) for name in metadata.tables]
        return int(sum(sizes)), 0
    files = map(Path, all_of(Path(os.path.realpath(database.address))))
    free = _pragma(database, "freelist_count") * _pragma(database, "page_size")
    return sum(path.stat().st_size for path in files if path.exists()), free


def _pragma(database: Database, name: str) -> int:
    return database.value(sqlalchemy.text(f"PRAGMA {name}"))


def faults(ledger: Ledger, quick: bool = False) -> list[str]:
    """Look for damage to a ledger; return each kind that was found, in plain words, none where it is sound.

    Parameters
    ----------
    ledger
        Open; other programs may work on it.
    quick
        Whether to look at the file's pages alone, as a pass does once a day: indexes are not compared with their
        tables, and values are not read.
    """
    database = ledger.database
    found = _faults_of_file(database, "quick_check" if quick else "integrity_check")
    if quick or found:
        return found
    try:
        return _lacking(database) or [*_orphans(database), *_unreadable(database)]
    except LedgerError as error:
        if database.kind == "postgresql":  # it is out of reach
            raise
        return [str(error)]


def damage_in_words(ledger: Ledger, quick: bool = False) -> str:
    """Look for damage as :func:`faults` does; return what is to be said and done of it, nothing where there is none."""
    found = faults(ledger, quick)
    return (
        f"the ledger {ledger.address} is damaged ({found[0][:300]}): restore a backup (`aha-annotator ledger "
        "restore`), or make it anew of what Lasair holds (`aha-annotator rebuild`)"
        if found
        else ""
    )


def _faults_of_file(database: Database, check: str) -> list[str]:
    if database.kind == "postgresql":
        return []  # a server looks after its files by checksums of its own
    try:
        rows = database.rows(sqlalchemy.text(f"PRAGMA {check}({MOST_FAULTS})"))
    except LedgerError as error:  # so damaged that SQLite does not look at the rest
        return [str(error)]
    said = [" ".join(str(row[0]).split()) for row in rows]
    return [] if said == ["ok"] else said


def _lacking(database: Database) -> list[str]:
    """Name the tables and columns that are not there, as where somebody has worked on it by hand."""
    with as_ledger_errors(f"the tables of the ledger {database.address} cannot be read"):
        there = sqlalchemy.inspect(database.connection)
        names = metadata.tables.keys() & there.get_table_names()
        columns_of = {name: {column["name"] for column in there.get_columns(name)} for name in names}
    said = []
    for name, table in sorted(metadata.tables.items()):
        columns = columns_of.get(name, set())
        missing = [column.name for column in table.columns if column.name not in columns]
        if missing:
            said.append(f"the table {name} lacks {', '.join(missing)}" if columns else f"there is no table {name}")
    return said


def _orphans(database: Database) -> list[str]:
    """Name the tables with rows that speak of what is not there."""
    if database.kind == "postgresql":
        return []  # a server lets none be written
    rows = database.rows(sqlalchemy.text("PRAGMA foreign_key_check"))
    return [
        f"{count} rows of {table} speak of rows of {parent} that are not there"
        for (table, parent), count in sorted(Counter((row[0], row[2]) for row in rows).items())
    ]


def _unreadable(database: Database) -> list[str]:
    """Name what cannot be read of values that no database checks."""
    readers: tuple[tuple[str, Table, Callable[[Row], object]], ...] = (
        ("annotations", outbox, read_entry),
        ("scorings", scores, _read_scoring),
        ("counts of passes", passes, lambda row: _object(row.counts or "{}")),
        ("objects as they were scored", snapshots, _read_kept),
    )
    said = []
    for what, table, read in readers:
        wrong = [words for row in _each(database, table) if (words := _why_unreadable(read, row))]
        if wrong:
            said.append(f"{len(wrong)} {what} cannot be read, such as {wrong[0]}")
    return said


def _each(database: Database, table: Table) -> Iterator[Row]:
    """Yield all rows of a table, some at a time, by its key."""
    (key,) = table.primary_key
    query = select(table).order_by(key).limit(ROWS_AT_A_TIME)
    rows = database.rows(query)
    while rows:
        yield from rows
        rows = database.rows(query.where(key > rows[-1]._mapping[key]))


def _why_unreadable(read: Callable[[Row], object], row: Row) -> str:
    try:
        read(row)
    except (LedgerValueError, ValueError, TypeError, RecursionError) as error:
        return f"{row[0]}: {' '.join(str(error).split())[:200]}"
    return ""


def _read_scoring(row: Row) -> None:
    _object(row.modalities)
    if row.reasons is not None:
        _object(row.reasons)


def _read_kept(row: Row) -> None:
    read_snapshot(row.transient, row.stamps)
    read_model_scores(row.model_scores)


def _object(text: str) -> None:
    if not isinstance(json.loads(text), dict):
        raise ValueError("it is no JSON object")


def vacuum(address: LedgerAddress) -> tuple[int, int]:
    """Give back the room that deleted rows have left; return the bytes that the ledger took before, and takes now.

    Raises
    ------
    LedgerBusyError
        If a pass is under way.
    LedgerError
        If it is damaged, or it cannot be done, such as for lack of room: meanwhile a copy of what is left has to fit
        beside it, and another in the folder for temporary files.
    """
    with open_known(address) as ledger, ledger.hold_for_pass():
        database = ledger.database
        before, _ = _size(database)
        # What cannot be read would be left out, and nothing would tell of it any longer.
        if found := _faults_of_file(database, "integrity_check"):
            raise LedgerError(f"the ledger {address} is damaged, and would lose what cannot be read: {found[0]}")
        if database.kind == "sqlite":
            database.execute("PRAGMA temp_store = FILE")  # memory may be less than a ledger of years
            _vacuum_file(database)
        else:
            database.execute("VACUUM ANALYZE")
        after, _ = _size(database)
    return before, after


def _vacuum_file(database: Database) -> None:
    try:
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except LedgerError as error:
        raise LedgerError(
            f"{error}. Vacuuming needs room for a copy beside the ledger, and for another in the folder for temporary "
            "files, which TMPDIR names"
        ) from error


def all_of(file: Path) -> list[str]:
    """Return the path of a file of SQLite, and those of what may lie beside it."""
    return [f"{file}{end}" for end in ("", *BESIDE)]
