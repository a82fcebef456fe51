"""The right to make a pass on a ledger: one process at a time."""

import contextlib
import fcntl
import os
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, func, select, text

from annotator.errors import LedgerBusyError, LedgerError
from annotator.ledger.database import BUSY_TIMEOUT_S, as_ledger_errors, connect
from annotator.ledger_address import LedgerAddress, PostgresAddress

LOCK_CLASS = 0x414841
"""The first of the two numbers of a pass's lock among PostgreSQL's advisory locks; the other is of the schema."""
HOLDER = text(
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = :class AND objid = :schema AND objsubid = 2"
)


@contextlib.contextmanager
def pass_lock(address: LedgerAddress) -> Iterator[None]:
    """Hold the right to make a pass on a ledger; it ends with the process, however that ends.

    Raises
    ------
    LedgerBusyError
        If another process holds it.
    """
    holding = _server_lock if isinstance(address, PostgresAddress) else _file_lock
    with holding(address):
        yield


@contextlib.contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock_file = open(lock_path, "a+")  # noqa: SIM115 - it must outlive the with of opening
    except OSError as error:
        raise LedgerError(f"cannot open the ledger's lock {lock_path}: {error.strerror}") from error
    with lock_file:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock_file.seek(0)
            raise _busy(path, f"process {lock_file.read().strip() or 'unknown'}") from None
        lock_file.truncate(0)
        lock_file.write(str(os.getpid()))
        lock_file.flush()
        yield


@contextlib.contextmanager
def _server_lock(address: PostgresAddress) -> Iterator[None]:
    """Hold a lock of a connection of its own, which the server gives up with the connection."""
    with connect(address, BUSY_TIMEOUT_S) as connection:
        with as_ledger_errors(f"cannot lock the ledger {address}"):
            _lock_on_server(connection, address)
        yield


def _lock_on_server(connection: Connection, address: PostgresAddress) -> None:
    schema = zlib.crc32(str(connection.scalar(select(func.current_schema()))).encode()) & 0x7FFFFFFF
    if not connection.scalar(select(func.pg_try_advisory_lock(LOCK_CLASS, schema))):
        holder = connection.scalar(HOLDER, {"class": LOCK_CLASS, "schema": schema})
        raise _busy(address, holder or "unknown")
    name = f"process {os.getpid()} on {socket.gethostname()}"
    connection.execute(select(func.set_config("application_name", name, False)))


def _busy(address: LedgerAddress, holder: str) -> LedgerBusyError:
    return LedgerBusyError(
        f"another pass ({holder}) is at work on the ledger {address}: wait for it to end, or give this configuration a "
        "ledger of its own"
    )
