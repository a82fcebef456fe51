"""Lasair's tables in memory, and queries on them by Lasair's rules."""

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
from annotator.sandbox.lasair.schema import TNS_WATCHLIST, UNIX_EPOCH_JD, ZTF, Schema

_SHORT_TEXTS = ("objectId", "topic", "version", "classification")
_DATETIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.0+|(\.\d+))?")
_BACKSLASHED = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}
_ABSENT_TNS_NAMES = (None, "", "-999", "-999.0")


class Database:
    """The tables behind one Lasair, safe to use from many threads.

    Parameters
    ----------
    clock
        Returns Unix seconds; what jdnow(), NOW() and timestamps go by.
    schema
        Whose tables they are.
    """

    def __init__(self, clock: Callable[[], float] = time.time, schema: Schema = ZTF) -> None:
        self.schema = schema
        self._clock = clock
        self._lock = threading.RLock()
        self._not_a_number: dict[str, set[str]] = {}
        self._connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        install_functions(self._connection, clock, schema)
        id_column, id_type = schema.id_column, _sql_type(schema, schema.id_column)
        for table, columns, key in (
            ("stored_objects", schema.objects, id_column),
            ("sherlock_classifications", schema.sherlock, id_column),
            ("crossmatch_tns", schema.tns, "tns_name"),
        ):
            declared = ", ".join(f"{name} {_sql_type(schema, name)}" for name in columns)
            self._connection.execute(f"CREATE TABLE {table} ({declared}, PRIMARY KEY ({key}))")
        self._connection.executescript(
            f"""
            CREATE TABLE hidden ({id_column} {id_type} PRIMARY KEY);
            CREATE VIEW objects AS
                SELECT * FROM stored_objects WHERE {id_column} NOT IN (SELECT {id_column} FROM hidden);
            CREATE TABLE area_hits ({id_column} {id_type}, ar_id INTEGER);
            CREATE TABLE watchlist_hits (
                {id_column} {id_type}, wl_id INTEGER, name TEXT COLLATE NOCASE, arcsec REAL,
                PRIMARY KEY ({id_column}, wl_id));
            CREATE TABLE annotations (
                annotationID INTEGER PRIMARY KEY AUTOINCREMENT,
                {id_column} {id_type} NOT NULL, topic TEXT COLLATE NOCASE, version TEXT COLLATE NOCASE,
                timestamp TEXT, classification TEXT NOT NULL COLLATE NOCASE, explanation TEXT COLLATE NOCASE,
                classdict TEXT, url TEXT,
                UNIQUE ({id_column}, topic));
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
        check_query(selected, tables, conditions, self.schema)
        return self.run(build_query(selected, tables, conditions, self.schema), limit, offset)

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
                cursor = self._connection.execute(to_sqlite(sql, self.schema))
                labels = [column[0] for column in cursor.description]
                rows = [dict(zip(labels, row, strict=True)) for row in cursor]
            refuse_overflow(rows, self.schema)
        except sqlite3.Error as error:
            raise RejectedError(f"Your query:<br/><b>{sql}</b><br/>returned the error<br/><i>{error}</i>") from error
        return [self._as_answered(row) for row in rows]

    def clear_objects(self) -> None:
        """Forget every object with its surroundings; annotations stay."""
        with self._lock:
            self._not_a_number.clear()
            for table in ("stored_objects", "sherlock_classifications", "crossmatch_tns", "watchlist_hits"):
                self._connection.execute(f"DELETE FROM {table}")

    def hide(self, object_ids: Iterable[str | int]) -> None:
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
        `z` are the Transient Name Server's. A new object without the date of its last detection was seen just now.
        """
        count = 0
        with self._lock:
            for row in rows:
                self._put_row(row)
                count += 1
        return count

    def put_tns(self, object_id: str | int, row: Mapping[str, object]) -> None:
        """Insert or update a row of crossmatch_tns, with `tns_name`, and tie an object to it."""
        with self._lock:
            self._upsert("crossmatch_tns", self.schema.tns, row, key="tns_name")
            self._connection.execute(
                "INSERT OR REPLACE INTO watchlist_hits VALUES (?, ?, ?, 0.0)",
                (object_id, TNS_WATCHLIST, row["tns_name"]),
            )

    def annotate(self, annotation: Mapping[str, str]) -> str:
        """Store an annotation as Lasair does, without escaping anything; return the SQL.

        It names its object `objectId`, whatever the column is called.

        Raises
        ------
        sqlite3.Error
            If MariaDB would choke on it: an apostrophe anywhere, in Lasair-ZTF anything but ASCII, a backslash at the
            end of a field, a classdict that is no longer JSON once MariaDB has taken the backslashes away, a text too
            long for its column, an id beyond 64 bits.
        """
        names = ("objectId", "topic", "version", "classification", "explanation", "classdict", "url")
        columns = ", ".join((self.schema.id_column, *names[1:]))
        values = ", ".join(f"'{annotation[name]}'" for name in names)
        sql = f"REPLACE INTO annotations ({columns}) VALUES ({values})"
        stored = [_maria_text(self.schema, name, annotation[name]) for name in names]
        if self.schema.id_column in self.schema.integers and not -(2**63) <= int(stored[0]) < 2**63:
            raise sqlite3.DataError(f"Out of range value for column '{self.schema.id_column}' at row 1")
        with self._lock:
            self._connection.execute(
                f"INSERT OR REPLACE INTO annotations ({columns}, timestamp) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*stored, timestamp(self._clock())),
            )
        return sql

    def annotations(self) -> list[dict[str, object]]:
        """Return every annotation, oldest first."""
        return self._rows("SELECT * FROM annotations ORDER BY annotationID")

    def annotations_of(self, object_id: str | int) -> list[dict[str, object]]:
        """Return the annotations of an object, oldest first."""
        is_it = f"{self.schema.id_column} = ?"
        return self._rows(f"SELECT * FROM annotations WHERE {is_it} ORDER BY annotationID", object_id)

    def forget_annotations(self, object_ids: Iterable[str | int]) -> None:
        """Lose the annotations of objects, of every topic."""
        with self._lock:
            self._connection.executemany(
                f"DELETE FROM annotations WHERE {self.schema.id_column} = ?", [(object_id,) for object_id in object_ids]
            )

    def object_rows(self, object_id: str | int) -> dict[str, dict[str, object] | None]:
        """Return an object's rows of objects, sherlock_classifications and crossmatch_tns, None where there is none."""
        is_it = f"{self.schema.id_column} = ?"
        tns = "SELECT t.* FROM crossmatch_tns t JOIN watchlist_hits w ON w.name = t.tns_name WHERE w."
        found = {
            "objects": self._rows(f"SELECT * FROM objects WHERE {is_it}", object_id),
            "sherlock_classifications": self._rows(f"SELECT * FROM sherlock_classifications WHERE {is_it}", object_id),
            "crossmatch_tns": self._rows(f"{tns}{is_it}", object_id),
        }
        return {table: rows[0] if rows else None for table, rows in found.items()}

    def positions(self) -> list[tuple[str | int, float, float]]:
        """Return id, right ascension and declination (degrees) of every object that has them."""
        id_column, (ra, dec) = self.schema.id_column, self.schema.position
        rows = self._rows(f"SELECT {id_column}, {ra}, {dec} FROM objects WHERE {ra} + {dec} IS NOT NULL")
        return [tuple(row.values()) for row in rows]

    def _rows(self, sql: str, *values: object) -> list[dict[str, object]]:
        with self._lock:
            cursor = self._connection.execute(sql, values)
            labels = [column[0] for column in cursor.description]
            return [dict(zip(labels, row, strict=True)) for row in cursor]

    def _put_row(self, row: Mapping[str, object]) -> None:
        schema = self.schema
        object_id = row[schema.id_column]
        is_new = not self._rows(f"SELECT 1 FROM stored_objects WHERE {schema.id_column} = ?", object_id)
        if is_new and _plain(row.get(schema.last_epoch)) is None:
            row = {**row, schema.last_epoch: UNIX_EPOCH_JD + schema.epoch_minus_jd + self._clock() / 86400.0}
        self._upsert("stored_objects", schema.objects, row)
        # A databank of classified objects gives the Transient Name Server's redshift under Sherlock's name; Lasair for
        # Rubin has a `tns_name` in `objects`.
        has_tns = "tns_name" in row and "tns_name" not in schema.objects
        foreign = {"z"} if has_tns else set()
        sherlock = [name for name in schema.sherlock if name not in foreign and name in row]
        if schema.has_bare_sherlock or len(sherlock) > 1:
            self._upsert("sherlock_classifications", sherlock, row)
        if has_tns and row["tns_name"] not in _ABSENT_TNS_NAMES:
            self.put_tns(object_id, row)

    def _upsert(self, table: str, columns: Iterable[str], row: Mapping[str, object], key: str = "") -> None:
        key = key or self.schema.id_column
        # MariaDB keeps an empty text of TNS; in a table of objects it is a cell that nobody filled.
        kept = self.schema.text if table == "crossmatch_tns" else ()
        values = {
            name: "" if row[name] == "" and name in kept else _plain(row[name], name in self.schema.text)
            for name in columns
            if name in row
        }
        names = ", ".join(values)
        updates = ", ".join(f"{name} = excluded.{name}" for name in values if name != key)
        self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(values))}) "
            f"ON CONFLICT ({key}) DO {f'UPDATE SET {updates}' if updates else 'NOTHING'}",
            tuple(values.values()),
        )
        if table != "crossmatch_tns":
            cells = self._not_a_number.setdefault(str(row[key]), set())
            cells.difference_update(values)
            cells.update(name for name in values if _is_nan(row[name]))

    def _as_answered(self, row: dict[str, object]) -> dict[str, object]:
        """Make a row of the database what comes out of Lasair: NaN where it was put in, ISO dates."""
        not_a_number = self._not_a_number.get(str(row.get(self.schema.id_column)), ())
        return {
            name: math.nan if value is None and name in not_a_number else _iso(value) for name, value in row.items()
        }


def _iso(value: object) -> object:
    """Put a T into what is a date and time, and leave out a fraction of no second."""
    found = _DATETIME.fullmatch(value) if isinstance(value, str) else None
    return f"{found[1]}T{found[2]}{found[3] or ''}" if found else value


def _sql_type(schema: Schema, name: str) -> str:
    if name in schema.text:
        return "TEXT COLLATE NOCASE"
    return "INTEGER" if name in schema.integers else "REAL"


def _is_nan(value: object) -> bool:
    try:
        return math.isnan(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _plain(value: object, is_text: bool = False) -> object:
    """Make a value fit for SQLite: an empty cell of a table and NaN are NULL, numbers beyond 64 bits are text."""
    if value == "" or (not is_text and _is_nan(value)):
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value if isinstance(value, int | float | str) or value is None else json.dumps(value)


def _maria_text(schema: Schema, name: str, text: str) -> str:
    """Read a text as MariaDB reads it between apostrophes, and check it against the column."""
    if not (text.isascii() or schema.takes_unicode):
        raise sqlite3.DataError(f"Incorrect string value for column '{name}' at row 1")
    if "'" in text or (len(text) - len(text.rstrip("\\"))) % 2:
        raise sqlite3.OperationalError(f"You have an error in your SQL syntax near {name}")
    read = re.sub(r"\\(.)", lambda match: _BACKSLASHED.get(match[1], match[1]), text, flags=re.DOTALL)
    if name == "classdict":
        try:
            json.loads(read, parse_constant=_no_constant)
        except ValueError as error:
            raise sqlite3.IntegrityError("CONSTRAINT `annotations.classdict` failed") from error
    if name in _SHORT_TEXTS and len(read) > schema.short_text:
        raise sqlite3.DataError(f"Data too long for column '{name}' at row 1")
    return read


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
