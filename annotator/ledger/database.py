"""The open database of a ledger, and its transactions."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from annotator.errors import LedgerError
from annotator.ledger.migrations import MIGRATIONS

BUSY_TIMEOUT_S = 30.0


class Database:
    """One SQLite file, brought to the newest schema when it is opened.

    Parameters
    ----------
    path
        The file; made where it does not exist. ":memory:" holds nothing after it is closed.
    busy_timeout_s
        How long to wait for another writer before it is an error.
    read_only
        Whether to leave the file as it is, of which nothing is made then.

    Raises
    ------
    LedgerError
        If the file is no ledger, or one of a newer release; to read only, if there is none.
    """

    def __init__(self, path: Path | str, busy_timeout_s: float = BUSY_TIMEOUT_S, read_only: bool = False) -> None:
        self.path = path
        self._depth = 0
        if read_only and not Path(path).is_file():
            raise LedgerError(f"there is no ledger at {path}")
        try:
            address = f"{Path(path).absolute().as_uri()}?mode=ro" if read_only else path
            self._db = sqlite3.connect(address, timeout=busy_timeout_s, isolation_level=None, uri=read_only)
            self._db.row_factory = sqlite3.Row
            if not read_only:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
            self._prepare()
        except sqlite3.Error as error:
            raise LedgerError(f"cannot open the ledger {path}: {error}") from error

    def _prepare(self) -> None:
        if self.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS):
            return  # the usual case needs no lock
        with self.transaction():
            version = self.execute("PRAGMA user_version").fetchone()[0]
            tables = self.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version > len(MIGRATIONS) or (version == 0 and tables):
                raise LedgerError(
                    f"the ledger {self.path} has schema version {version}, this release reads 1 to {len(MIGRATIONS)}: "
                    "use the release that wrote it, or another file"
                )
            for migration in MIGRATIONS[version:]:
                for statement in migration.split(";"):
                    self.execute(statement)
            self.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all that is written within one transaction; one within another is part of it."""
        if self._depth:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {self.path} cannot be used: {error}") from error

    def rows_of(self, query: str, object_ids: Sequence[str]) -> list[sqlite3.Row]:
        """Return the rows of these objects; the query has ``{}`` in the place of their list."""
        rows: list[sqlite3.Row] = []
        for start in range(0, len(object_ids), 500):  # well under SQLite's limit on parameters
            part = object_ids[start : start + 500]
            rows += self.execute(query.format(",".join("?" * len(part))), part).fetchall()
        return rows

    def copy_to(self, other: "Database") -> None:
        """Copy everything into another database."""
        self._db.backup(other._db)
