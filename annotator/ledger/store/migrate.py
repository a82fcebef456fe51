"""Bringing a ledger to the newest schema when it is opened.

To change the schema: change :mod:`annotator.ledger.store.schema` and its NEWEST, and add a file to
`migrations/versions`. A new ledger is made of the schema at once, an older one by the migrations; a test compares what
the two make.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy
from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, String, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from annotator.errors import LedgerError, LedgerMissingError, LedgerOlderError
from annotator.ledger.store.database import Database, as_ledger_errors, connect
from annotator.ledger.store.identity import draw_identity
from annotator.ledger.store.schema import NEWEST, VERSION_TABLE, metadata
from annotator.ledger_address import PostgresAddress

SCRIPTS = Path(__file__).with_name("migrations")
VERSIONS = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32)),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
"""Alembic's table of the migration that a database is at."""
DIALECTS = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}
LOCK_KEY = 0x414841
"""Of PostgreSQL's advisory locks; those of a pass have two numbers, and are others."""


def open_database(
    address: Path | PostgresAddress | str, busy_timeout_s: float, read_only: bool, begin: bool
) -> Database:
    """Open a ledger's database, and bring it to the newest schema; the parameters are those of :func:`connect`.

    Raises
    ------
    LedgerMissingError
        If there is none, or an empty one, and none is to be begun or it is to be read only.
    LedgerError
        If it is no ledger, or one of a newer release; to read only, if it is not of the newest schema. Nothing of it is
        changed then.
    """
    database = Database(connect(address, busy_timeout_s, read_only, begin), address)
    try:
        with as_ledger_errors(f"cannot open the ledger {address}"):
            _bring_up_to_date(database, read_only, begin)
    except BaseException:
        database.close()
        raise
    return database


def _bring_up_to_date(database: Database, read_only: bool, begin: bool) -> None:
    if _version(database) == NEWEST:
        return  # the usual case needs no lock
    tables = sqlalchemy.inspect(database.connection).get_table_names()
    version = _version(database)  # read after the tables: another process may be making them
    _check(database, version, tables)
    if version is None and (read_only or not begin):
        raise LedgerMissingError(f"the ledger {database.address} is empty: make a pass first")
    if read_only:
        raise LedgerOlderError(
            f"the ledger {database.address} is of an older release: `aha-annotator check`, or a pass, brings it up to "
            "date, after which the older one does not read it any longer; so save it before that by `aha-annotator "
            "ledger backup`"
        )
    if database.kind == "sqlite":
        database.execute("PRAGMA journal_mode = WAL")  # for good, and outside of any transaction
    with database.transaction():
        if database.kind == "postgresql":
            database.value(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(LOCK_KEY)))
        version = _version(database)  # another process may have been faster
        if version is None:
            _make(database)
        elif version != NEWEST:
            _upgrade(database)
        draw_identity(database)


def _version(database: Database) -> str | None:
    """Return the migration that a database is at, None if it is at none."""
    if not sqlalchemy.inspect(database.connection).has_table(VERSION_TABLE):
        return None
    return database.connection.execute(sqlalchemy.select(VERSIONS.c.version_num)).scalar()


def _check(database: Database, version: str | None, tables: Sequence[str]) -> None:
    """Raise LedgerError where a database is not one that this release can bring up to date."""
    if version is None and tables:
        if {"objects", "scores", "outbox", "drift"} <= set(tables):
            raise LedgerError(
                f"the ledger {database.address} has the layout from before the first release, which this one does not "
                "read: keep the file aside, and let the next pass begin a new one. What people said can come along: "
                "`aha-annotator verdicts` of the version that wrote it makes a file for the key `verdicts`"
            )
        raise LedgerError(
            f"cannot open the ledger {database.address}: it holds tables of something else ({', '.join(tables)[:80]}); "
            "name another file, or a database of its own"
        )
    if version is not None and version not in _known():
        raise LedgerError(
            f"the ledger {database.address} has schema version {version}, and this release reads up to {NEWEST}: use "
            "the release that wrote it, or another ledger"
        )


def _make(database: Database) -> None:
    """Make the tables of the newest schema where there are none, in a fifth of the time that the migrations take."""
    for statement in _statements(database.kind):
        database.execute(statement)
    database.write(sqlalchemy.insert(VERSIONS).values(version_num=NEWEST))


@functools.cache
def _statements(kind: str) -> Sequence[str]:
    tables, dialect = [*metadata.sorted_tables, VERSIONS], DIALECTS[kind]()
    indexes = [index for table in tables for index in sorted(table.indexes, key=lambda index: index.name)]
    return [str(made.compile(dialect=dialect)) for made in (*map(CreateTable, tables), *map(CreateIndex, indexes))]


# Alembic is imported where there is something to do: it takes longer than to open a ledger.


def _known() -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()}


def _upgrade(database: Database) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = database.connection
    command.upgrade(config, "head")
