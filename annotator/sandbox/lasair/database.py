"""Lasair-ZTF's tables in memory, and queries on them by Lasair's rules."""

import json
import math
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from annotator.errors import RejectedError
from annotator.sandbox.lasair.dialect import install_functions, refuse_overflow, timestamp, to_sqlite
from annotator.sandbox.lasair.query_rules import build_query, check_query
from annotator.sandbox.lasair.schema import (
    INTEGER_COLUMNS,
    OBJECTS_COLUMNS,
    SHERLOCK_COLUMNS,
    TEXT_COLUMNS,
    TNS_COLUMNS,
    TNS_WATCHLIST,
    UNIX_EPOCH_JD,
)

ANNOTATION_LENGTHS: Mapping[str, int] = {"objectId": 16, "topic": 16, "version": 16, "classification": 16}
"""Characters that the columns of Lasair-ZTF's annotations hold."""

_DATETIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.0+|(\.\d+))?")
_BACKSLASHED = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}
_ABSENT_TNS_NAMES = (None, "", "-999", "-999.0")


class Database:
    """The tables behind one Lasair, safe to use from many threads.

    Parameters
    ----------
    clock
        Returns Unix seconds; what jdnow(), NOW() and timestamps go by.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._not_a_number: dict[str, set[str]] = {}
        self._connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        install_functions(self._connection, clock)
        for table, columns, key in (
            ("stored_objects", OBJECTS_COLUMNS, "objectId"),
            ("sherlock_classifications", SHERLOCK_COLUMNS, "objectId"),
            ("crossmatch_tns", TNS_COLUMNS, "tns_name"),
        ):
            declared = ", ".join(f"{name} {_sql_type(name)}" for name in columns)
            self._connection.execute(f"CREATE TABLE {table} ({declared}, PRIMARY KEY ({key}))")
        self._connection.executescript(
            """
            CREATE TABLE hidden (objectId TEXT PRIMARY KEY COLLATE NOCASE);
            CREATE VIEW objects AS
                SELECT * FROM stored_objects WHERE objectId NOT IN (SELECT objectId FROM hidden);
            CREATE TABLE area_hits (objectId TEXT COLLATE NOCASE, ar_id INTEGER);
            CREATE TABLE watchlist_hits (
                objectId TEXT COLLATE NOCASE, wl_id INTEGER, name TEXT COLLATE NOCASE, arcsec REAL,
                PRIMARY KEY (objectId, wl_id));
            CREATE TABLE annotations (
                annotationID INTEGER PRIMARY KEY AUTOINCREMENT,
                objectId TEXT NOT NULL COLLATE NOCASE, topic TEXT COLLATE NOCASE, version TEXT COLLATE NOCASE,
                timestamp TEXT, classification TEXT NOT NULL COLLATE NOCASE, explanation TEXT COLLATE NOCASE,
                classdict TEXT, url TEXT,
                UNIQUE (objectId, topic));
            """
        )

    def close(self) -> None:
        """Close the database; what it held is gone."""
        with self._lock:
            self._connection.close()

    def query(
        self, selected: str, tables: str, conditions: str, limit: int = 1000, offset: int = 0
    ) -> list[dict[str, object]]:
        """Run a query by Lasair's rules.

        Raises
        ------
        RejectedError
            If Lasair's rules or the database refuse it; the message is what the server would answer.
        """
        check_query(selected, tables, conditions)
        return self.run(build_query(selected, tables, conditions), limit, offset)

    def run(self, sql: str, limit: int = 1000, offset: int = 0) -> list[dict[str, object]]:
        """Run a statement that Lasair has put together: of a query, or of a filter that was saved.

        Raises
        ------
        RejectedError
            If the database refuses it; the message is what the server would answer.
        """
        sql = f"{sql} LIMIT {limit} OFFSET {offset}"
        try:
            if limit < 0 or offset < 0:  # SQLite takes a negative limit for none
                raise sqlite3.OperationalError("You have an error in your SQL syntax: negative LIMIT or OFFSET")
            with self._lock:
                cursor = self._connection.execute(to_sqlite(sql))
                labels = [column[0] for column in cursor.description]
                rows = [dict(zip(labels, row, strict=True)) for row in cursor]
            refuse_overflow(rows)
        except sqlite3.Error as error:
            raise RejectedError(f"Your query:<br/><b>{sql}</b><br/>returned the error<br/><i>{error}</i>") from error
        return [self._as_answered(row) for row in rows]

    def clear_objects(self) -> None:
        """Forget every object with its surroundings; annotations stay."""
        with self._lock:
            self._not_a_number.clear()
            for table in ("stored_objects", "sherlock_classifications", "crossmatch_tns", "watchlist_hits"):
                self._connection.execute(f"DELETE FROM {table}")

    def hide(self, object_ids: Iterable[str]) -> None:
        """Let objects be missing from `objects`, so from everything that is joined with it; nothing is forgotten."""
        with self._lock:
            self._connection.executemany(
                "INSERT OR REPLACE INTO hidden VALUES (?)", [(object_id,) for object_id in object_ids]
            )

    def show(self) -> None:
        """End :meth:`hide`."""
        with self._lock:
            self._connection.execute("DELETE FROM hidden")

    def put_rows(self, rows: Iterable[Mapping[str, object]]) -> int:
        """Insert flat rows, or update what they name in objects that are there; return how many.

        A row holds any columns of objects and sherlock_classifications; with a `tns_name`, `ra`, `decl`, `type` and
        `z` are the Transient Name Server's. A new object without `jdmax` was seen just now.
        """
        count = 0
        with self._lock:
            for row in rows:
                self._put_row(row)
                count += 1
        return count

    def put_tns(self, object_id: str, row: Mapping[str, object]) -> None:
        """Insert or update a row of crossmatch_tns, with `tns_name`, and tie an object to it."""
        with self._lock:
            self._upsert("crossmatch_tns", TNS_COLUMNS, row, key="tns_name")
            self._connection.execute(
                "INSERT OR REPLACE INTO watchlist_hits VALUES (?, ?, ?, 0.0)",
                (object_id, TNS_WATCHLIST, row["tns_name"]),
            )

    def annotate(self, annotation: Mapping[str, str]) -> str:
        """Store an annotation as Lasair-ZTF does, without escaping anything; return the SQL.

        Raises
        ------
        sqlite3.Error
            If MariaDB would choke on it: an apostrophe anywhere, anything but ASCII, a backslash at the end of a
            field, a classdict that is no longer JSON once MariaDB has taken the backslashes away, a text too long for
            its column.
        """
        names = ("objectId", "topic", "version", "classification", "explanation", "classdict", "url")
        values = ", ".join(f"'{annotation[name]}'" for name in names)
        sql = f"REPLACE INTO annotations ({', '.join(names)}) VALUES ({values})"
        stored = {name: _maria_text(name, annotation[name]) for name in names}
        with self._lock:
            self._connection.execute(
                f"INSERT OR REPLACE INTO annotations ({', '.join(names)}, timestamp) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*(stored[name] for name in names), timestamp(self._clock())),
            )
        return sql

    def annotations(self) -> list[dict[str, object]]:
        """Return every annotation, oldest first."""
        return self._rows("SELECT * FROM annotations ORDER BY annotationID")

    def forget_annotations(self, object_ids: Iterable[str]) -> None:
        """Lose the annotations of objects, of every topic."""
        with self._lock:
            self._connection.executemany(
                "DELETE FROM annotations WHERE objectId = ?", [(object_id,) for object_id in object_ids]
            )

    def object_rows(self, object_id: str) -> dict[str, dict[str, object] | None]:
        """Return an object's rows of objects, sherlock_classifications and crossmatch_tns, None where there is none."""
        found = {
            "objects": self._rows("SELECT * FROM objects WHERE objectId = ?", object_id),
            "sherlock_classifications": self._rows(
                "SELECT * FROM sherlock_classifications WHERE objectId = ?", object_id
            ),
            "crossmatch_tns": self._rows(
                "SELECT t.* FROM crossmatch_tns t JOIN watchlist_hits w ON w.name = t.tns_name WHERE w.objectId = ?",
                object_id,
            ),
        }
        return {table: rows[0] if rows else None for table, rows in found.items()}

    def positions(self) -> list[tuple[str, float, float]]:
        """Return id, right ascension and declination (degrees) of every object that has them."""
        rows = self._rows("SELECT objectId, ramean, decmean FROM objects WHERE ramean + decmean IS NOT NULL")
        return [(row["objectId"], row["ramean"], row["decmean"]) for row in rows]

    def _rows(self, sql: str, *values: object) -> list[dict[str, object]]:
        with self._lock:
            cursor = self._connection.execute(sql, values)
            labels = [column[0] for column in cursor.description]
            return [dict(zip(labels, row, strict=True)) for row in cursor]

    def _put_row(self, row: Mapping[str, object]) -> None:
        object_id = row["objectId"]
        is_new = not self._rows("SELECT 1 FROM stored_objects WHERE objectId = ?", object_id)
        if is_new and _plain(row.get("jdmax")) is None:
            row = {**row, "jdmax": UNIX_EPOCH_JD + self._clock() / 86400.0}
        self._upsert("stored_objects", OBJECTS_COLUMNS, row)
        # A databank of classified objects gives the Transient Name Server's redshift under Sherlock's name.
        foreign = {"z"} if "tns_name" in row else set()
        self._upsert("sherlock_classifications", [name for name in SHERLOCK_COLUMNS if name not in foreign], row)
        if row.get("tns_name") not in _ABSENT_TNS_NAMES:
            self.put_tns(object_id, row)

    def _upsert(self, table: str, columns: Iterable[str], row: Mapping[str, object], key: str = "objectId") -> None:
        # MariaDB keeps an empty text of TNS; in a table of objects it is a cell that nobody filled.
        kept = TEXT_COLUMNS if table == "crossmatch_tns" else ()
        values = {
            name: "" if row[name] == "" and name in kept else _plain(row[name], name) for name in columns if name in row
        }
        names = ", ".join(values)
        updates = ", ".join(f"{name} = excluded.{name}" for name in values if name != key)
        self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(values))}) "
            f"ON CONFLICT ({key}) DO {f'UPDATE SET {updates}' if updates else 'NOTHING'}",
            tuple(values.values()),
        )
        if table != "crossmatch_tns":
            cells = self._not_a_number.setdefault(str(row["objectId"]), set())
            cells.difference_update(values)
            cells.update(name for name in values if _is_nan(row[name]))

    def _as_answered(self, row: dict[str, object]) -> dict[str, object]:
        """Make a row of the database what comes out of Lasair: NaN where it was put in, ISO dates."""
        not_a_number = self._not_a_number.get(str(row.get("objectId")), ())
        return {
            name: math.nan if value is None and name in not_a_number else _iso(value) for name, value in row.items()
        }


def _iso(value: object) -> object:
    """Put a T into what is a date and time, and leave out a fraction of no second."""
    found = _DATETIME.fullmatch(value) if isinstance(value, str) else None
    return f"{found[1]}T{found[2]}{found[3] or ''}" if found else value


def _sql_type(name: str) -> str:
    if name in TEXT_COLUMNS:
        return "TEXT COLLATE NOCASE"
    return "INTEGER" if name in INTEGER_COLUMNS else "REAL"


def _is_nan(value: object) -> bool:
    try:
        return math.isnan(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _plain(value: object, name: str = "") -> object:
    """Make a value fit for SQLite: an empty cell of a table and NaN are NULL, numbers beyond 64 bits are text."""
    if value == "" or (name not in TEXT_COLUMNS and _is_nan(value)):
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value if isinstance(value, int | float | str) or value is None else json.dumps(value)


def _maria_text(name: str, text: str) -> str:
    """Read a text as MariaDB reads it between apostrophes, and check it against the column."""
    if not text.isascii():
        raise sqlite3.DataError(f"Incorrect string value for column '{name}' at row 1")
    if "'" in text or (len(text) - len(text.rstrip("\\"))) % 2:
        raise sqlite3.OperationalError(f"You have an error in your SQL syntax near {name}")
    read = re.sub(r"\\(.)", lambda match: _BACKSLASHED.get(match[1], match[1]), text, flags=re.DOTALL)
    if name == "classdict":
        try:
            json.loads(read, parse_constant=_no_constant)
        except ValueError as error:
            raise sqlite3.IntegrityError("CONSTRAINT `annotations.classdict` failed") from error
    if len(read) > ANNOTATION_LENGTHS.get(name, len(read)):
        raise sqlite3.DataError(f"Data too long for column '{name}' at row 1")
    return read


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
