"""The right to make a pass on a ledger: one process at a time, whatever name each knows the ledger by.

On SQLite it is a lock on the file itself, on PostgreSQL one of the session: a killed process gives up either.
"""

import contextlib
import fcntl
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, select

from annotator.errors import LedgerBusyError, LedgerError
from annotator.ledger.store.database import MEMORY, Database
from annotator.ledger.store.identity import Identity
from annotator.ledger_address import LedgerAddress

LOCK_CLASS = 0x414841
"""The first of the two numbers of a pass's lock among PostgreSQL's advisory locks; the other is of the schema."""

# A descriptor stays open as long as this process lives: closing any descriptor of a file gives up the locks by which
# SQLite, in the same process, keeps others out (sqlite.org/howtocorrupt.html, 2.2). One a file, by device and inode.
_descriptors: dict[tuple[int, int], int] = {}
_held: set[int] = set()
_changing = threading.Lock()


def _leave_to_parent() -> None:
    """Give up, in a forked process, the descriptors that it has in common with its parent, and so their locks."""
    global _changing
    _changing = threading.Lock()
    for descriptor in _descriptors.values():
        os.close(descriptor)  # SQLite's locks are not inherited, so that none is lost here
    _descriptors.clear()
    _held.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


@contextlib.contextmanager
def pass_lock(database: Database) -> Iterator[None]:
    """Hold the right to make a pass on an open ledger; it ends with the process, however that ends.

    Raises
    ------
    LedgerBusyError
        If another pass holds it, of this process or another.
    """
    if database.address == MEMORY:
        yield
        return
    with _server_lock(database) if database.kind == "postgresql" else _file_lock(database):
        yield


@contextlib.contextmanager
def place_lock(path: Path) -> Iterator[None]:
    """Hold the right to make a pass on whatever lies at a place, a damaged ledger or nothing at all.

    Raises
    ------
    LedgerBusyError
        If a pass holds it.
    """
    with _lock_of(path, "a pass") if path.exists() else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _file_lock(database: Database) -> Iterator[None]:
    with _lock_of(database.address, f"another pass ({Identity(database).holder or 'unknown'})"):
        database.check_place()  # what was locked is what was opened
        yield


@contextlib.contextmanager
def _lock_of(path: Path, holder: str) -> Iterator[None]:
    try:
        descriptor = _descriptor(path)
        with _changing:
            if descriptor in _held:
                raise BlockingIOError
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _held.add(descriptor)
    except BlockingIOError:
        raise _busy(path, holder) from None
    except OSError as error:
        raise LedgerError(f"cannot lock the ledger {path}: {error.strerror}") from error
    try:
        yield
    finally:
        with _changing:
            _held.discard(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _descriptor(path: Path) -> int:
    with _changing:
        found = path.stat()
        key = (found.st_dev, found.st_ino)
        if key not in _descriptors:
            descriptor = os.open(path, os.O_RDONLY)
            opened = os.fstat(descriptor)  # the name may be another file's by now
            key = (opened.st_dev, opened.st_ino)
            _descriptors.setdefault(key, descriptor)
        return _descriptors[key]


@contextlib.contextmanager
def _server_lock(database: Database) -> Iterator[None]:
    """Hold a lock of the ledger's own connection: who loses the one has lost the other, and can no longer write."""
    schema = zlib.crc32(str(database.value(select(func.current_schema()))).encode()) & 0x7FFFFFFF
    if not database.value(select(func.pg_try_advisory_lock(LOCK_CLASS, schema))):
        raise _busy(database.address, f"another pass ({Identity(database).holder or 'unknown'})")
    try:
        yield
    finally:
        with contextlib.suppress(LedgerError):  # then the server has given it up by itself
            database.value(select(func.pg_advisory_unlock(LOCK_CLASS, schema)))


def _busy(address: LedgerAddress, holder: str) -> LedgerBusyError:
    return LedgerBusyError(
        f"{holder} is at work on the ledger {address}: wait for it to end, or give this configuration a ledger of its "
        "own"
    )
