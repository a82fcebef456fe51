"""The open database of a ledger, and its transactions.

A statement by itself is committed by itself. What belongs together is written in :meth:`Database.transaction`, which
on SQLite excludes other writers from its beginning: none finds out in its middle that it has to begin again.
"""

import contextlib
import functools
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

import sqlalchemy
from sqlalchemy import Column, ColumnElement, Connection, Executable, Insert, Row, Select, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import NullPool

from annotator.errors import LedgerError, LedgerMissingError
from annotator.ledger.store.complaints import as_ledger_errors
from annotator.ledger.store.schema import identity
from annotator.ledger_address import PostgresAddress

PAGE_BYTES = 16_384
"""Of a new file of SQLite: stamps take a fifth less time to write than in a quarter of it."""
BUSY_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10
"""How long to wait for a server to answer at all."""
MEMORY = ":memory:"
"""Instead of a path: a ledger that holds nothing after it is closed."""
MAX_IDS = 10_000
"""Objects in one statement: as many as a batch can have, well under SQLite's limit on parameters."""
INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
TRANSACTION = {"sqlite": ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"), "postgresql": ("BEGIN", "COMMIT", "ROLLBACK")}
WITHIN_TRANSACTION = ("SAVEPOINT step", "RELEASE SAVEPOINT step", "ROLLBACK TO SAVEPOINT step")

NO_INODE = (0, 0)
"""Of a file that is not there."""
FENCE = "fence"
"""In `identity`: the number of the pass that may write."""
_FENCE_VALUE = sqlalchemy.select(identity.c.value).where(identity.c.name == FENCE)

Values = Mapping[str, object]


def connect(
    address: Path | PostgresAddress | str, busy_timeout_s: float, read_only: bool = False, begin: bool = True
) -> Connection:
    """Connect to a ledger's database as it is.

    Parameters
    ----------
    address
        A file of SQLite, made where it does not exist; :data:`MEMORY`; or a database of PostgreSQL.
    busy_timeout_s
        How long to wait for another writer before it is an error.
    read_only
        Whether to refuse to write; no file is made then.
    begin
        Whether to make a file where there is none.

    Raises
    ------
    LedgerMissingError
        If there is none.
    LedgerError
        If it cannot be reached.
    """
    is_file = not isinstance(address, PostgresAddress) and address != MEMORY
    if is_file and not is_there(Path(address)) and (read_only or not begin):
        raise LedgerMissingError(f"there is no ledger at {address}: the first pass begins one")
    with as_ledger_errors(f"cannot open the ledger {address}"):
        if isinstance(address, PostgresAddress):
            return _connect_to_server(address, busy_timeout_s, read_only)
        mode = "ro" if read_only else "rwc" if begin else "rw"
        return _connect_to_file(address, busy_timeout_s, mode)


def is_there(path: Path) -> bool:
    """Say whether there is a file; raise LedgerError where there is something else, or can be none.

    What SQLite says of such places is the same of all of them.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        folder = Path(os.path.realpath(path)).parent
        if not folder.is_dir():
            raise LedgerError(
                f"cannot open the ledger {path}: there is no folder {folder}: make it, mount what it lies on, or name "
                "another place (`ledger`)"
            ) from None
        return False
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LedgerError(f"cannot open the ledger {path!s}: {reason}: name another place (`ledger`)") from error
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no file"
        raise LedgerError(f"cannot open the ledger {path}: it is {what}: name a file in a folder (`ledger`)")
    return True


def _connect_to_file(path: Path | str, busy_timeout_s: float, mode: str) -> Connection:
    name = path if path == MEMORY else f"{Path(path).absolute().as_uri()}?mode={mode}"

    def open_file() -> sqlite3.Connection:
        file = sqlite3.connect(name, timeout=busy_timeout_s, uri=path != MEMORY)
        file.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # heeded when a file is begun
        file.execute("PRAGMA synchronous = FULL")
        file.execute("PRAGMA temp_store = MEMORY")  # what it notes to take back a statement goes to no file
        file.execute("PRAGMA foreign_keys = ON")
        return file

    token = _OPENING.set(open_file)
    try:
        return _engine_of_files().connect()
    finally:
        _OPENING.reset(token)


_OPENING: ContextVar[Callable[[], sqlite3.Connection]] = ContextVar("_OPENING")
"""Opens the file that is being connected to."""


@functools.cache
def _engine_of_files() -> sqlalchemy.Engine:
    """Return the one engine of all files, which compiles each statement once: a fifth of what a small pass computes."""
    return _engine("sqlite://", creator=lambda: _OPENING.get()())


def _connect_to_server(address: PostgresAddress, busy_timeout_s: float, read_only: bool) -> Connection:
    url = sqlalchemy.make_url(address.url).set(password=address.password)
    options = [url.query.get("options", ""), f"-c lock_timeout={round(busy_timeout_s * 1000)}"]
    if read_only:
        options.append("-c default_transaction_read_only=on")
    arguments = {"options": " ".join(options), "connect_timeout": url.query.get("connect_timeout", CONNECT_TIMEOUT_S)}
    try:
        return _engine(url, connect_args=arguments).connect()
    except ImportError as error:
        raise LedgerError(
            f"a ledger on PostgreSQL needs psycopg ({error}): pip install 'lasair-aha[postgres]'"
        ) from error


def _engine(url: str | sqlalchemy.URL, **options: object) -> sqlalchemy.Engine:
    # Values stay out of messages, and a closed connection is closed.
    return sqlalchemy.create_engine(
        url, isolation_level="AUTOCOMMIT", hide_parameters=True, poolclass=NullPool, **options
    )


def _file_of(connection: Connection) -> sqlite3.Connection:
    return connection.connection.driver_connection


class Database:
    """A connection to the database of a ledger.

    Parameters
    ----------
    connection
        As :func:`connect` makes it; it is closed with this.
    address
        Where it lies, for people.
    forgets
        Whether all of it is to happen within one transaction, which is rolled back in the end.
    """

    def __init__(self, connection: Connection, address: Path | PostgresAddress | str, forgets: bool = False) -> None:
        self.address = address
        self.kind = connection.dialect.name
        """`sqlite` or `postgresql`."""
        self.connection = connection
        self.fence: str | None = None
        """The number of the pass that writes; None: no pass does, and nobody takes over from it."""
        self._inode = self._inode_there()
        self._depth = 0
        self._begin, self._commit, self._roll_back = TRANSACTION[self.kind]
        if forgets:
            self.execute(self._begin)
            self._begin, self._commit, self._roll_back = WITHIN_TRANSACTION

    def close(self) -> None:
        """Close the connection; what was not committed is forgotten."""
        self.connection.close()

    def for_dry_run(self) -> "Database":
        """Return a database with what is in this one, in which all that is written is forgotten when it is closed."""
        if self.kind == "postgresql":  # a transaction is cheaper than carrying every score over the network
            return Database(connect(self.address, BUSY_TIMEOUT_S), self.address, forgets=True)
        with as_ledger_errors(f"the ledger {self.address} cannot be copied"):
            return Database(self._copy_without_name(), MEMORY)

    def _copy_without_name(self) -> Connection:
        """Copy what is here into a file that is gone with its connection, however that ends.

        Not within a transaction, which would keep others from counting calls and people from judging until the pass
        ends; nor in memory, which a ledger of years would fill.
        """
        if self.address == MEMORY:
            copy = connect(MEMORY, BUSY_TIMEOUT_S)
            _file_of(self.connection).backup(_file_of(copy))
            return copy
        folder, name = os.path.split(os.path.realpath(self.address))
        with tempfile.NamedTemporaryFile(prefix=f".{name}.dry-", dir=folder) as file:
            copy = connect(Path(file.name), BUSY_TIMEOUT_S)
            _file_of(self.connection).backup(_file_of(copy))
            copy.exec_driver_sql("PRAGMA journal_mode = MEMORY")  # no other file is opened by its name any longer
            copy.exec_driver_sql("PRAGMA synchronous = OFF")
        return copy

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all that is written within one transaction; one within another is part of it."""
        if self._depth:
            yield
            return
        self._depth += 1
        try:
            self.execute(self._begin)
            if self.fence is not None:
                self.check_fence()
            yield
            self.check_place()
            self.execute(self._commit)
        except BaseException:
            with contextlib.suppress(LedgerError):  # a lost connection has rolled it back; the first error tells why
                self.execute(self._roll_back)
            raise
        finally:
            self._depth -= 1

    def check_place(self) -> None:
        """Raise LedgerError where the file that was opened is no longer the one that is there: it would be lost."""
        if self._inode_there() != self._inode or self._inode == NO_INODE:
            raise LedgerError(
                f"the ledger {self.address} was deleted or replaced while it was in use: what is written now would be "
                "lost"
            )

    def _inode_there(self) -> tuple[int, int] | None:
        if self.kind == "postgresql" or self.address == MEMORY:
            return None
        try:
            found = os.stat(self.address)
        except OSError:
            return NO_INODE
        return found.st_dev, found.st_ino

    def check_fence(self) -> None:
        """Raise LedgerError where another pass has taken over, or the ledger is not what lies at its place."""
        self.check_place()
        # On PostgreSQL whoever wants to take over waits for the transaction that has looked.
        if self.fence is not None and self.value(_FENCE_VALUE.with_for_update(read=True)) != self.fence:
            raise LedgerError(f"another pass has taken over the ledger {self.address}: this one writes nothing more")

    def is_ours(self) -> ColumnElement[bool]:
        """Return the condition, for a single statement that writes, that no other pass has taken over."""
        return sqlalchemy.true() if self.fence is None else _FENCE_VALUE.scalar_subquery() == self.fence

    def exclude_writers(self, table: Table) -> None:
        """Keep others from writing to a table until the transaction ends; on SQLite it does so by itself."""
        if self.kind == "postgresql":
            self.execute(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")

    def execute(self, statement: str) -> None:
        """Execute a statement in SQL that both databases, or this one, understand."""
        with as_ledger_errors(self._problem):
            self.connection.exec_driver_sql(statement)

    def rows(self, statement: Executable) -> Sequence[Row]:
        """Return all rows that a statement gives."""
        with as_ledger_errors(self._problem):
            return self.connection.execute(statement).all()

    def row(self, statement: Executable) -> Row | None:
        """Return the first row that a statement gives, None if it gives none."""
        with as_ledger_errors(self._problem):
            return self.connection.execute(statement).first()

    def value(self, statement: Executable) -> object:
        """Return the first value of the first row, None if there is no row."""
        with as_ledger_errors(self._problem):
            return self.connection.execute(statement).scalar()

    def rows_of(self, statement: Select, column: Column, object_ids: Sequence[str]) -> list[Row]:
        """Return the rows whose column is one of these objects, in the statement's order for each :data:`MAX_IDS`."""
        return [row for part in _parts(object_ids) for row in self.rows(statement.where(column.in_(part)))]

    def write(self, statement: Executable) -> int:
        """Execute a statement that changes rows; return how many it has changed."""
        return self._write(statement, {})

    def insert(self, statement: Insert) -> object:
        """Insert a row; return the first value that the statement gives of it."""
        with self.transaction():
            return self.value(statement)

    def write_each(self, statement: Executable, rows: Sequence[Values]) -> None:
        """Execute a statement for each of several rows, for all of them or none."""
        if len(rows) > 1:
            with self.transaction(), as_ledger_errors(self._problem):
                self.connection.execute(statement, rows)
        elif rows:
            self._write(statement, rows[0])

    def _write(self, statement: Executable, row: Values) -> int:
        is_alone = not self._depth
        if is_alone and self.fence is not None:
            if isinstance(statement, Insert):  # there is no condition to add to it
                with self.transaction():
                    return self._write(statement, row)
            statement = statement.where(self.is_ours())
        if is_alone:
            self.check_place()
        with as_ledger_errors(self._problem):
            changed = self.connection.execute(statement, row).rowcount
        if is_alone and not changed:
            self.check_fence()
        return changed

    def replace(self, table: Table, rows: Sequence[Values], keeping: Collection[str] = ()) -> None:
        """Write rows, each in the place of what has its key; of several with one key the last.

        A column that they lack gets its default, whatever it was before, unless it is one of those to be kept.
        """
        names = [column.name for column in table.primary_key]
        last = {tuple(row[name] for name in names): row for row in rows}
        insert = INSERT[self.kind](table)
        others = {
            column.name: insert.excluded[column.name]
            for column in table.columns
            if not column.primary_key and column.name not in keeping
        }
        self.write_each(insert.on_conflict_do_update(index_elements=names, set_=others), list(last.values()))

    def delete_of(self, table: Table, object_ids: Sequence[str]) -> None:
        """Delete the rows of these objects."""
        for part in _parts(object_ids):
            self.write(table.delete().where(table.c.object_id.in_(part)))

    def update_of(self, table: Table, object_ids: Sequence[str], **changes: object) -> None:
        """Change the rows of these objects."""
        for part in _parts(object_ids):
            self.write(table.update().where(table.c.object_id.in_(part)).values(**changes))

    @property
    def _problem(self) -> str:
        if self.connection.invalidated:
            return f"the connection to the ledger {self.address} was lost"
        return f"the ledger {self.address} cannot be used"


def _parts(object_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut objects into as many as one statement takes."""
    return (object_ids[start : start + MAX_IDS] for start in range(0, len(object_ids), MAX_IDS))
