"""As much of MariaDB's SQL as Lasair's users write, on SQLite.

Compared with MariaDB 10.11 on forty queries. Known to differ: the words of its errors; the order of the columns of `*`;
``JSON_EXTRACT(...) IN ("a", "b")`` finds what it should, where MariaDB finds nothing; FLOAT columns lack MariaDB's
single precision in sums; every computed number beyond 64 bits is an overflow, of which MariaDB allows some;
TIMESTAMPDIFF and DIV are missing.
"""

import functools
import json
import math
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping

from annotator.sandbox.lasair.schema import UNIX_EPOCH_JD, Schema

_STRING = re.compile(r'("[^"]*")')
_INTERVAL_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800}
_NOW_INTERVAL = re.compile(
    r"\b(?:NOW\(\)|CURRENT_TIMESTAMP(?:\(\))?)\s*([-+])\s*INTERVAL\s+(\d+(?:\.\d+)?)\s+(SECOND|MINUTE|HOUR|DAY|WEEK)\b",
    re.IGNORECASE,
)
_RENAMED = {
    re.compile(r"\bNOW\(\)", re.IGNORECASE): "maria_now(0)",
    re.compile(r"\bIF\s*\(", re.IGNORECASE): "iif(",
    re.compile(r"\bGREATEST\s*\(", re.IGNORECASE): "max(",
    re.compile(r"\bLEAST\s*\(", re.IGNORECASE): "min(",
    re.compile(r"\bRLIKE\b", re.IGNORECASE): "REGEXP",
    re.compile(r"&&"): " AND ",
    re.compile(r"/"): "*1.0/",  # SQLite would divide integers to an integer
}
_JSON_EXTRACT = re.compile(r"\bJSON_EXTRACT\s*\(", re.IGNORECASE)
_ALIASED = re.compile(r"\sAS\s+\S+$|[\w)\"`]\s+[A-Za-z_]\w*$", re.IGNORECASE)
_ALIAS = re.compile(r"(?:\sAS\s+|[\w)\"`]\s+)[`\"]?([A-Za-z_]\w*)[`\"]?$", re.IGNORECASE)
_ENDS_IN_COMPARISON = re.compile(r"(?:=|<>|!=|<|>)\s*$")
_AFTER_WHERE = re.compile(r"\b(GROUP\s+BY|HAVING)\b", re.IGNORECASE)
_ORDER_BY = re.compile(r"\bORDER\s+BY\b", re.IGNORECASE)
_FROM = re.compile(r"\s+FROM\s+")  # a word that Lasair's rules keep out of SELECT

_OTHER_COLUMNS = frozenset(
    ("annotationid", "topic", "version", "timestamp", "explanation", "classdict", "url", "wl_id", "name", "arcsec")
)


@functools.cache
def _columns(schema: Schema) -> frozenset[str]:
    """Return every column that there is, in lower case."""
    return frozenset(name.lower() for name in (*schema.objects, *schema.sherlock, *schema.tns)) | _OTHER_COLUMNS


@functools.cache
def _text_and_number(schema: Schema) -> re.Pattern[str]:
    """Return what finds a column of text that is compared with a number."""
    names = "|".join(sorted(schema.text | {"topic", "version", "explanation", "url"}))
    return re.compile(rf"((?:\b\w+\.)?\b(?:{names})\b)(\s*(?:=|<>|!=|<=|>=|<|>)\s*)(?=[-+]?\.?\d)", re.IGNORECASE)


def to_sqlite(sql: str, schema: Schema) -> str:
    """Translate a query, as Lasair builds it, for a connection that has :func:`install_functions`."""
    head, rest = _FROM.split(sql, maxsplit=1)
    items = split_outside(head.removeprefix("SELECT "), ",")
    if items and (distinct := re.match(r"\s*DISTINCT\s+", items[0], re.IGNORECASE)):
        items[0] = items[0][distinct.end() :]
    else:
        distinct = None
    selected = ", ".join(_labelled(item.strip(), schema) for item in items)
    where, order_by, order = _cut_outside(rest, _ORDER_BY)
    _refuse_aliases(items, where, _columns(schema))
    return (
        f"SELECT {'DISTINCT ' if distinct else ''}{selected} FROM {_translated(where, schema, as_text=False)}"
        f"{order_by}{_translated(order, schema, as_text=True)}"
    )


def install_functions(connection: sqlite3.Connection, clock: Callable[[], float], schema: Schema) -> None:
    """Give a connection MariaDB's and Lasair's functions; `clock` returns Unix seconds."""
    unix_epoch = UNIX_EPOCH_JD + schema.epoch_minus_jd
    connection.create_function(schema.now_function, 0, lambda: unix_epoch + clock() / 86400.0)
    connection.create_function("maria_now", 1, lambda seconds: timestamp(clock() + seconds))
    connection.create_function("json_extract", 2, _json_extract)
    connection.create_function("concat", -1, lambda *parts: None if None in parts else "".join(map(str, parts)))
    connection.create_function("json_value", 2, _json_value)
    connection.create_function("json_text", 2, _json_text)
    connection.create_function("json_unquote", 1, _json_unquote)
    connection.create_function("maria_number", 1, _number)
    connection.create_function("regexp", 2, lambda pattern, text: _matches(pattern, text))
    for name in ("sqrt", "log10", "exp", "log", "sin", "cos", "radians", "degrees"):
        connection.create_function(name, 1, _null_on_error(getattr(math, name)))
    for name, function in schema.functions:
        connection.create_function(name, 1, _null_on_error(function))
    connection.create_function("pow", 2, _null_on_error(math.pow))


def refuse_overflow(rows: Iterable[Mapping[str, object]], schema: Schema) -> None:
    """Raise sqlite3.DataError for a computed number that MariaDB's integers, or its doubles, cannot hold."""
    for row in rows:
        for label, value in row.items():
            if isinstance(value, float) and abs(value) >= 2.0**63 and label.lower() not in _columns(schema):
                raise sqlite3.DataError(f"value is out of range in '{label}'")


def timestamp(unix_seconds: float) -> str:
    """Write a moment as a MariaDB timestamp in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(unix_seconds))


def split_outside(text: str, separator: str) -> list[str]:
    """Split at a one-character separator that stands outside brackets and strings."""
    parts, depth, quoted, start = [], 0, False, 0
    for i, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted and character == "(":
            depth += 1
        elif not quoted and character == ")":
            depth -= 1
        elif character == separator and not quoted and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _refuse_aliases(items: list[str], where: str, columns: frozenset[str]) -> None:
    """Raise sqlite3.OperationalError for a label of SELECT in WHERE: SQLite would take it, MariaDB doesn't."""
    bare = _AFTER_WHERE.split(_STRING.sub("", where))[0].lower().partition("where")[2]  # a label may be a table's name
    for item in items:
        alias = _ALIAS.search(item.strip())
        name = alias[1].lower() if alias else ""
        if name and name not in columns and re.search(rf"(?<![\w.]){name}(?![\w.(])", bare):
            raise sqlite3.OperationalError(f"Unknown column '{name}' in 'where clause'")


def _labelled(item: str, schema: Schema) -> str:
    """Translate one selected item; its label is what the user typed, as in MariaDB."""
    sql = _translated(item, schema, as_text=True)
    if item.endswith("*") or _ALIASED.search(item):
        return sql
    label = item.rpartition(".")[2] if re.fullmatch(r"[\w.`]+", item) else item
    return f"{sql} AS `{label.strip('`')}`"


def _cut_outside(sql: str, pattern: re.Pattern[str]) -> tuple[str, str, str]:
    """Cut at the last match of a pattern outside strings."""
    blank = _STRING.sub(lambda match: "_" * len(match[0]), sql)
    found = list(pattern.finditer(blank))
    return (sql[: found[-1].start()], found[-1][0], sql[found[-1].end() :]) if found else (sql, "", "")


def _translated(sql: str, schema: Schema, as_text: bool) -> str:
    """Translate an expression; JSON_EXTRACT is text where its value is shown or sorted, a value where compared."""
    parts = _STRING.split(sql)
    for i, part in enumerate(parts):
        if i % 2:  # a double-quoted string would be a column's name in SQLite
            text = part[1:-1].rstrip(" ") if _ENDS_IN_COMPARISON.search(parts[i - 1]) else part[1:-1]
            parts[i] = "'" + text.replace("'", "''") + "'"
            continue
        part = _NOW_INTERVAL.sub(
            lambda match: f"maria_now({match[1]}{float(match[2]) * _INTERVAL_SECONDS[match[3].upper()]})", part
        )
        for pattern, replacement in _RENAMED.items():
            part = pattern.sub(replacement, part)
        part = _text_and_number(schema).sub(r"maria_number(\1)\2", part)
        parts[i] = _JSON_EXTRACT.sub("json_text(", part) if as_text else part
    return "".join(parts)


def _json_at(document: str | None, path: str) -> object:
    """Return the value at a path of plain keys, like $.score; LookupError if there is none."""
    if document is None or not path.startswith("$"):
        raise LookupError(path)
    value = json.loads(document)
    for key in re.findall(r'\.("[^"]*"|[^.\[]+)', path):
        if not isinstance(value, dict):
            raise LookupError(path)
        value = value[key.strip('"')]
    return value


def _json_value(document: str | None, path: str) -> object:
    try:
        value = _json_at(document, path)
    except LookupError:
        return None
    return json.dumps(value) if isinstance(value, dict | list) else value


def _json_extract(document: str | None, path: str) -> object:
    value = _json_value(document, path)
    return _json_text(document, path) if value is None else value  # JSON's null is a text


def _json_text(document: str | None, path: str) -> str | None:
    try:
        return json.dumps(_json_at(document, path))
    except LookupError:
        return None


def _json_unquote(text: object) -> object:
    return json.loads(text) if isinstance(text, str) and text[:1] == text[-1:] == '"' and len(text) > 1 else text


def _number(text: object) -> float | None:
    """Read a text as MariaDB does to compare it with a number: by the number that it begins with, else as zero."""
    found = re.match(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", "" if text is None else str(text))
    return None if text is None else float(found[0]) if found else 0.0


def _matches(pattern: str | None, text: str | None) -> bool | None:
    return None if pattern is None or text is None else bool(re.search(pattern, str(text), re.IGNORECASE))


def _null_on_error(function: Callable[..., float]) -> Callable[..., float | None]:
    def wrapped(*values: float | None) -> float | None:
        try:
            return function(*values)
        except (TypeError, ValueError, OverflowError):  # MariaDB says NULL, too
            return None

    return wrapped
