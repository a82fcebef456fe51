"""What Lasair accepts in the three parts of a query, and how it puts them together.

Behaviour as read and measured in 2026, rebuilt: forbidden strings and words, lengths, implicit `objects`, inner joins,
and a WHERE that is appended without brackets.

By hand, and not by an SQL parser: Lasair has none either, and refuses by the same strings whatever they mean.
"""

import re

from annotator.errors import RejectedError
from annotator.sandbox.lasair.schema import TNS_WATCHLIST, ZTF, Schema

MAX_SELECTED, MAX_TABLES, MAX_CONDITIONS = 4096, 1024, 4096
"""Characters of each part."""

FORBIDDEN_STRINGS = ("#", "/*", "*/", ";", "||", "\\")
FORBIDDEN_IN_SELECT = frozenset(
    {"create", "select", "from", "where", "join", "inner", "outer", "with", "high_priority", "straight_join", "sleep"}
    | {"sql_small_result", "sql_big_result", "sql_buffer_result", "sql_no_cache", "sql_calc_found_rows"}
)
FORBIDDEN_IN_WHERE = frozenset({"create", "select", "union", "exists", "window", "for", "into", "outfile", "dumpfile"})
FORBIDDEN_INSIDE_WHERE = ("limit", "offset")
"""Refused anywhere in WHERE, even inside a longer word, when in lower case."""

_WORD_ENDS = re.compile(r"[\s(){}]")


def check_query(selected: str, tables: str, conditions: str, schema: Schema = ZTF) -> None:
    """Check the three parts of a query by Lasair's own rules.

    Raises
    ------
    RejectedError
        If Lasair would refuse it before it reaches the database; the message is the reason.
    """
    for name, part, longest in (
        ("SELECT", selected, MAX_SELECTED),
        ("FROM", tables, MAX_TABLES),
        ("WHERE", conditions, MAX_CONDITIONS),
    ):
        if len(part) > longest:
            raise RejectedError(f"the {name} part has {len(part)} characters, Lasair takes {longest}")
    if not selected.strip():
        raise RejectedError("SELECT expression cannot be blank. Try putting * in it.")
    _check_words("SELECT", selected, FORBIDDEN_IN_SELECT)
    _check_words("WHERE", conditions, FORBIDDEN_IN_WHERE)
    for word in FORBIDDEN_INSIDE_WHERE:
        if word in conditions:
            raise RejectedError(
                f"Dont put {word.upper()} in the WHERE clause, use the parameter in the form/API instead"
            )
    joined_tables(tables, schema)


def _check_words(name: str, part: str, forbidden: frozenset[str]) -> None:
    for string in FORBIDDEN_STRINGS:
        if string in part:
            raise RejectedError(f"Cannot use {string} in the {name} clause")
    for word in _WORD_ENDS.split(part.lower()):
        if word in forbidden:
            raise RejectedError(f"Cannot use the word {word.upper()} in the {name} clause")


def joined_tables(tables: str, schema: Schema = ZTF) -> tuple[list[str], list[str]]:
    """Read Lasair's table list.

    Returns
    -------
    tuple
        The tables, `objects` first, and the conditions that join them. What Lasair doesn't know it ignores.
    """
    names = [name.strip().lower() for name in tables.split(",")]
    from_list, where, id_column = ["objects"], [], schema.id_column
    if "sherlock_classifications" in names:
        from_list.append("sherlock_classifications")
        where.append(f"objects.{id_column}=sherlock_classifications.{id_column}")
    watchlists = [_argument(name) for name in names if name.startswith(schema.watchlists)]
    if watchlists and "crossmatch_tns" in names:
        raise RejectedError("Error in FROM list, cannot have both watchlist and crossmatch_tns")
    for watchlist in watchlists:
        if not watchlist.isdigit():
            raise RejectedError(f"Error in FROM list, watchlist:{watchlist} not of the form watchlist:nnn")
    if watchlists or "crossmatch_tns" in names:
        from_list.append("watchlist_hits")
        where.append(f"objects.{id_column}=watchlist_hits.{id_column}")
        where.append(f"watchlist_hits.wl_id={watchlists[-1] if watchlists else TNS_WATCHLIST}")
    if "crossmatch_tns" in names:
        from_list.append("crossmatch_tns")
        where.append("watchlist_hits.name=crossmatch_tns.tns_name")
    for name in names:
        if name.startswith(schema.areas):
            from_list.append("area_hits")
            where += [f"objects.{id_column}=area_hits.{id_column}", f'area_hits.ar_id="{_argument(name)}"']
        if name.startswith("annotator"):
            for topic in _argument(name).split("&"):
                from_list.append(f"annotations AS {topic}")
                where += [f"objects.{id_column}={topic}.{id_column}", f'{topic}.topic="{topic}"']
    return from_list, where


def _argument(table: str) -> str:
    name, colon, argument = table.partition(":")
    if not colon or not argument:
        raise RejectedError(f"Error in FROM list, {name} not of the form {name}:name")
    return argument


def build_query(selected: str, tables: str, conditions: str, schema: Schema = ZTF) -> str:
    """Put the three parts together as Lasair does: MariaDB's SQL, the user's WHERE appended without brackets."""
    selected, conditions = selected.replace("'", '"'), conditions.replace("'", '"')
    from_list, where = joined_tables(tables, schema)
    order = ""
    if conditions.strip().lower().startswith("order"):
        order = f" {conditions}"
    elif conditions.strip():
        where.append(conditions)
    sql = f"SELECT {selected} \nFROM {', '.join(from_list)}"
    if where:
        sql += " \nWHERE\n " + " AND\n ".join(where)
    return f"{sql}{order}"
