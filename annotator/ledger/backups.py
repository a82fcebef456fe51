"""Copies of a ledger on SQLite that are sound whatever a pass writes, and what brings them back."""

import contextlib
import datetime
import itertools
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import sqlalchemy
from sqlalchemy import select

from annotator.errors import LedgerError, LedgerOlderError
from annotator.ledger.care import BESIDE, MOST_FAULTS, all_of, faults
from annotator.ledger.ledger import Ledger, open_known
from annotator.ledger.store.complaints import IS_DAMAGED, as_ledger_errors
from annotator.ledger.store.database import BUSY_TIMEOUT_S, is_there
from annotator.ledger.store.identity import known_ledger, note_known
from annotator.ledger.store.lock import place_lock
from annotator.ledger.store.schema import calls
from annotator.ledger_address import LedgerAddress, PostgresAddress

PAGES_AT_A_TIME = 1000
"""Pages of a file that are copied before whoever wants to break off is heard."""


def back_up(address: LedgerAddress, to: Path) -> None:
    """Copy a ledger as it is at one moment, whatever a pass writes meanwhile, and look whether the copy is sound.

    Parameters
    ----------
    address
        A file of SQLite, be it of an older release.
    to
        A file that is not there yet; whoever reads it may be nobody but its owner.

    Raises
    ------
    LedgerError
        If the ledger cannot be read or is damaged, or the copy cannot be written. There is no copy then.
    """
    file = _file(address, "pg_dump --format=custom --file=FILE DATABASE makes a backup of it")
    if os.path.lexists(to):  # told before a long copy is made
        raise LedgerError(f"cannot write the backup {to}: there is something by that name: name another file")
    if os.path.realpath(to) in all_of(Path(os.path.realpath(file))):
        raise LedgerError(f"cannot write the backup {to}: SQLite keeps by that name what it takes for the ledger's own")
    with contextlib.suppress(LedgerOlderError):  # it is saved before it is brought up to date
        open_known(file, read_only=True).close()
    with _beside(to) as copy:
        _copy(file, copy, f"the ledger {file}")
        try:
            to.touch(exist_ok=False)  # what is there stays, and not every file system knows a second name of a file
            os.replace(copy, to)
        except OSError as error:
            raise LedgerError(f"cannot write the backup {to}: {error.strerror}: name another file") from error
        _sync_folder(to.parent)


def restore(
    address: LedgerAddress, backup: Path, now: float, check: Callable[[Ledger], None] = lambda kept: None
) -> Path | None:
    """Put a backup in a ledger's place; return where what was there was put aside, None where nothing was.

    The calls of the last hours stay counted where what was there can still be read.

    Parameters
    ----------
    address
        A file of SQLite, which may be damaged, or gone. Where it is a link, what it leads to is meant.
    backup
        A copy of this ledger; it stays as it is.
    now
        Seconds since 1970.
    check
        Raises LedgerError where a ledger is not what it is to be.

    Raises
    ------
    LedgerBusyError
        If a pass is under way.
    LedgerError
        If the backup is damaged, none of this ledger or of a newer release, or cannot be put there, or there is
        something there that is no file. What was there stays there then.
    """
    file = Path(os.path.realpath(_file(address, "pg_restore brings back what pg_dump saved")))
    if is_there(file):
        _refuse_itself(file, backup)
    with place_lock(file), _beside(file) as copy:
        with _named(copy, backup):
            _copy(backup, copy, f"the backup {backup}", "it is damaged, or no backup: take another one")
            with Ledger(copy, begin=False) as kept:
                ledger_id = kept.identity.ledger_id
                if known_ledger(address) not in (None, ledger_id):
                    raise LedgerError(
                        f"the backup {backup} is of another ledger than the one that was used last at {address}"
                    )
                check(kept)
                if found := faults(kept):
                    raise LedgerError(f"the backup {backup} is damaged: {found[0]}")
                _take_calls(kept, file)
                kept.database.execute("PRAGMA journal_mode = WAL")
        _give_to_the_same(file, copy)
        aside = _put_aside(file, now)
        os.replace(copy, file)
        _sync_folder(file.parent)
    note_known(address, ledger_id)
    return aside


def _refuse_itself(file: Path, backup: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        if os.path.samefile(file, backup):
            raise LedgerError(f"{backup} is the ledger itself, and no backup of it")


@contextlib.contextmanager
def _named(copy: Path, backup: Path) -> Iterator[None]:
    """Let an error speak of what a person knows, and not of the copy that is looked at."""
    try:
        yield
    except LedgerError as error:
        raise LedgerError(str(error).replace(str(copy), str(backup))) from error


def _file(address: LedgerAddress, otherwise: str) -> Path:
    if isinstance(address, PostgresAddress):
        raise LedgerError(f"the ledger {address} lies on a server of PostgreSQL: {otherwise}")
    return address


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give an empty file near another, which is gone afterwards, with what SQLite keeps beside it, unless it was moved.

    None but its owner can read it.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=f".{path.name[:40]}.", dir=path.parent)
    except OSError as error:
        raise LedgerError(f"cannot write in {path.parent}: {error.strerror}") from error
    with folder:
        copy = Path(folder.name) / "copy"
        copy.touch(mode=0o600)
        yield copy


def _copy(file: Path, copy: Path, what: str, is_damaged: str = IS_DAMAGED) -> None:
    """Copy a file of SQLite at one moment into one that is empty, down to the disk, and look whether it is sound.

    Parameters
    ----------
    what
        The words for the file.
    is_damaged
        What to say of one that SQLite cannot read.
    """
    _refuse_no_file(file, what)
    with (
        as_ledger_errors(f"cannot copy {what}", is_damaged),
        closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", timeout=BUSY_TIMEOUT_S, uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM sqlite_master").fetchone()  # all pages are those of now, whoever writes meanwhile
        source.backup(target, pages=PAGES_AT_A_TIME, progress=_hear)
        target.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
        said = [" ".join(row[0].split()) for row in target.execute(f"PRAGMA integrity_check({MOST_FAULTS})")]
    if said != ["ok"]:
        raise LedgerError(f"{what} is damaged, and so would be its copy: {said[0]}")
    with copy.open("rb") as written:
        os.fsync(written.fileno())


def _hear(_status: int, _remaining: int, _pages: int) -> None:
    """Let Python hear of signals, which it does between two statements of its own."""


def _refuse_no_file(file: Path, what: str) -> None:
    """Raise LedgerError where there is no file, or an empty one: SQLite would wait for a pipe, and begin a database."""
    try:
        found = file.stat()
    except (OSError, ValueError) as error:
        raise LedgerError(f"cannot read {what}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        raise LedgerError(f"cannot read {what}: it is {'empty' if stat.S_ISREG(found.st_mode) else 'no file'}")


def _take_calls(kept: Ledger, file: Path) -> None:
    """Take over the calls that a ledger counted, as far as it can still be read."""
    try:
        with Ledger(file, read_only=True) as old:
            rows = [dict(row._mapping) for row in old.database.rows(select(calls))]
    except LedgerError:
        return  # Lasair refuses what is one too many, and then there is an hour's silence
    known = {tuple(row) for row in kept.database.rows(select(calls.c.called_at, calls.c.endpoint))}
    # Of a damaged row parts may be nothing.
    missing = [row for row in rows if None not in row.values() and (row["called_at"], row["endpoint"]) not in known]
    kept.database.write_each(sqlalchemy.insert(calls), missing)


def _give_to_the_same(file: Path, copy: Path) -> None:
    """Let those read and write a copy who could the file in whose place it comes."""
    if file.exists():
        was = file.stat()
        with contextlib.suppress(PermissionError):
            os.chown(copy, was.st_uid, was.st_gid)
        copy.chmod(stat.S_IMODE(was.st_mode))


def _put_aside(file: Path, now: float) -> Path | None:
    """Move a file of SQLite out of the way, and what belongs to it alone, be it all that is left; nothing is replaced.

    The file goes first: without it a pass stops, and without what is beside it one would go on with less.
    """
    there = [end for end in ("", *BESIDE) if os.path.lexists(f"{file}{end}")]
    if not there:
        return None
    name = f"{file.name}.before-restore-{datetime.datetime.fromtimestamp(now, datetime.UTC):%Y%m%dT%H%M%S}"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    aside = next(item for item in map(file.with_name, names) if not any(map(os.path.lexists, all_of(item))))
    for end in there:
        with contextlib.suppress(FileNotFoundError):  # SQLite deletes what it keeps beside a file when that is closed
            os.replace(f"{file}{end}", f"{aside}{end}")
    return Path(f"{aside}{there[0]}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
