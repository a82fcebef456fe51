"""Looking after a ledger as a whole: how large it is, whether it is sound, copies, and room that it gives back."""

import contextlib
import datetime
import json
import os
import sqlite3
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy import Row, Table, func, select

from annotator.errors import LedgerError, LedgerValueError
from annotator.ledger.ledger import Ledger, open_known
from annotator.ledger.outbox_entry import read_entry
from annotator.ledger.snapshot import read_model_scores, read_snapshot
from annotator.ledger.store.complaints import as_ledger_errors
from annotator.ledger.store.database import BUSY_TIMEOUT_S, Database
from annotator.ledger.store.file_system import file_system_of
from annotator.ledger.store.identity import known_ledger, note_known
from annotator.ledger.store.lock import place_lock
from annotator.ledger.store.schema import calls, metadata, outbox, passes, scores, snapshots
from annotator.ledger_address import LedgerAddress, PostgresAddress

MOST_FAULTS = 20
"""Faults of a file that are named; whoever has more needs a backup, and no list."""
ROWS_AT_A_TIME = 500
BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a file, which belongs to that file alone."""


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
    files = [Path(f"{database.address}{end}") for end in ("", *BESIDE)]
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
    return found if quick or found else [*_orphans(database), *_unreadable(database)]


def _faults_of_file(database: Database, check: str) -> list[str]:
    if database.kind == "postgresql":
        return []  # a server looks after its files by checksums of its own
    try:
        rows = database.rows(sqlalchemy.text(f"PRAGMA {check}({MOST_FAULTS})"))
    except LedgerError as error:  # so damaged that SQLite does not look at the rest
        return [str(error)]
    said = [" ".join(str(row[0]).split()) for row in rows]
    return [] if said == ["ok"] else said


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


def back_up(address: LedgerAddress, to: Path) -> None:
    """Copy a ledger as it is at one moment, whatever a pass writes meanwhile, and look whether the copy is sound.

    Parameters
    ----------
    address
        A file of SQLite.
    to
        A file that is not there yet; whoever reads it may be nobody but its owner.

    Raises
    ------
    LedgerError
        If the ledger cannot be read or is damaged, or the copy cannot be written. There is no copy then.
    """
    file = _file(address, "pg_dump --format=custom --file=FILE DATABASE makes a backup of it")
    with open_known(file, read_only=True) as ledger, _beside(to) as copy:
        _copy(ledger.database.address, copy)
        try:
            os.link(copy, to)  # and not os.replace: what is there stays
        except OSError as error:
            raise LedgerError(f"cannot write the backup {to}: {error.strerror}: name another file") from error
        _sync_folder(to.parent)


def restore(address: LedgerAddress, backup: Path, now: float) -> Path | None:
    """Put a backup in a ledger's place; return where what was there was put aside, None where nothing was.

    The calls of the last hours stay counted where what was there can still be read.

    Parameters
    ----------
    address
        A file of SQLite, which may be damaged, or gone.
    backup
        A copy of this ledger; it stays as it is.
    now
        Seconds since 1970.

    Raises
    ------
    LedgerBusyError
        If a pass is under way.
    LedgerError
        If the backup is damaged, none of this ledger or of a newer release, or cannot be put there. What was there
        stays there then.
    """
    file = _file(address, "pg_restore brings back what pg_dump saved")
    with place_lock(file), _beside(file) as copy:
        _copy(backup, copy)
        with Ledger(copy) as kept:
            ledger_id = kept.identity.ledger_id
            if known_ledger(file) not in (None, ledger_id):
                raise LedgerError(f"the backup {backup} is of another ledger than the one that was used last at {file}")
            if found := faults(kept):
                raise LedgerError(f"the backup {backup} is damaged: {found[0]}")
            _take_calls(kept, file)
            kept.database.execute("PRAGMA journal_mode = WAL")
        _give_to_the_same(file, copy)
        aside = _put_aside(file, now)
        os.replace(copy, file)
        _sync_folder(file.parent)
    note_known(file, ledger_id)
    return aside


def vacuum(address: LedgerAddress) -> tuple[int, int]:
    """Give back the room that deleted rows have left; return the bytes that the ledger took before, and takes now.

    Raises
    ------
    LedgerBusyError
        If a pass is under way.
    LedgerError
        If it cannot be done, such as for lack of room: meanwhile a copy of what is left has to fit beside it, and
        another in the folder for temporary files.
    """
    with open_known(address) as ledger, ledger.hold_for_pass():
        database = ledger.database
        before, _ = _size(database)
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


def _file(address: LedgerAddress, otherwise: str) -> Path:
    if isinstance(address, PostgresAddress):
        raise LedgerError(f"the ledger {address} lies on a server of PostgreSQL: {otherwise}")
    return address


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give an empty file in the folder of another, which is gone afterwards unless it was moved."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise LedgerError(f"cannot write in {path.parent}: {error.strerror}") from error
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _copy(file: Path, copy: Path) -> None:
    """Copy a file of SQLite at one moment into one that is empty, down to the disk, and look whether it is sound."""
    with (
        as_ledger_errors(f"cannot copy the ledger {file}"),
        closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", timeout=BUSY_TIMEOUT_S, uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
        said = [" ".join(row[0].split()) for row in target.execute(f"PRAGMA integrity_check({MOST_FAULTS})")]
    if said != ["ok"]:
        raise LedgerError(f"the ledger {file} is damaged, and so would be its copy: {said[0]}")
    with copy.open("rb") as written:
        os.fsync(written.fileno())


def _take_calls(kept: Ledger, file: Path) -> None:
    """Take over the calls that a ledger counted, as far as it can still be read."""
    try:
        with Ledger(file, read_only=True) as old:
            rows = [dict(row._mapping) for row in old.database.rows(select(calls))]
    except LedgerError:
        return  # Lasair refuses what is one too many, and then there is an hour's silence
    known = {tuple(row) for row in kept.database.rows(select(calls.c.called_at, calls.c.endpoint))}
    missing = [row for row in rows if (row["called_at"], row["endpoint"]) not in known]
    kept.database.write_each(sqlalchemy.insert(calls), missing)


def _give_to_the_same(file: Path, copy: Path) -> None:
    """Let those read and write a copy who could the file in whose place it comes."""
    if file.exists():
        was = file.stat()
        with contextlib.suppress(PermissionError):
            os.chown(copy, was.st_uid, was.st_gid)
        copy.chmod(stat.S_IMODE(was.st_mode))


def _put_aside(file: Path, now: float) -> Path | None:
    """Move a file of SQLite, and first of all what belongs to it alone, out of the way."""
    if not file.exists():
        return None
    when = datetime.datetime.fromtimestamp(now, datetime.UTC)
    aside = file.with_name(f"{file.name}.before-restore-{when:%Y%m%dT%H%M%S}")
    for end in ("", *BESIDE):
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{file}{end}", f"{aside}{end}")
    return aside


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
