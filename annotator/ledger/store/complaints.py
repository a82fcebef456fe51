"""What a database complains of, in words that say what to do."""

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from annotator.errors import LedgerError, LedgerValueError

IS_DAMAGED = (
    "it is damaged: restore it from a backup (`aha-annotator ledger restore`), or put it aside and make a new one of "
    "what Lasair holds by `aha-annotator rebuild`"
)


@contextlib.contextmanager
def as_ledger_errors(problem: str, is_damaged: str = IS_DAMAGED) -> Iterator[None]:
    """Make a LedgerError, which begins with the problem, of whatever a database complains of.

    Parameters
    ----------
    is_damaged
        What to say of a file that is damaged.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        # What the driver says itself, without the statement that SQLAlchemy adds.
        cause = getattr(error, "orig", None) or error
        reason = " ".join(f"{cause}{_advice(cause, is_damaged)}".split())
        is_of_a_value = isinstance(error, DataError | IntegrityError) or (
            isinstance(error, StatementError) and not isinstance(error, DBAPIError)
        )
        raise (LedgerValueError if is_of_a_value else LedgerError)(f"{problem}: {reason}") from error
    except UnicodeError as error:  # SQLite quotes damaged bytes in what it says
        raise LedgerError(f"{problem}: {is_damaged}") from error


_ADVICE = (
    (
        ("SQLITE_IOERR", "SQLITE_PROTOCOL"),
        "its disk fails, or it lies on a network file system, which lacks what SQLite needs: put `ledger` on a local "
        "disk, or name a database of PostgreSQL",
    ),
    (("SQLITE_FULL",), "make room on its disk"),
    (
        ("SQLITE_BUSY", "SQLITE_LOCKED"),
        "another program holds it, such as a shell of SQLite in which a transaction is open, or a backup: end that",
    ),
    (
        ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"),
        "this user must be able to write to it and to the folder that it lies in",
    ),
)
"""Beginnings of SQLite's names of what went wrong, and what to do."""


def _advice(cause: BaseException, is_damaged: str) -> str:
    """Say what to do about an error of SQLite's, whose own words are few; of others nothing."""
    name = getattr(cause, "sqlite_errorname", None) or ""
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f" ({is_damaged})"
    return next((f" ({advice})" for beginnings, advice in _ADVICE if name.startswith(beginnings)), "")
