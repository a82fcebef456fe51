"""The SQL filters: read, listed, fitted to another topic, and printed as the three boxes of Lasair's web form.

A file is a header of ``--`` lines for people, then ``SELECT``, ``FROM`` (Lasair's list of tables, not SQL's) and
``WHERE``, each at the start of a line. Lasair keeps the three in separate fields, so that a file is never pasted whole.
"""

import re
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from annotator.errors import ConfigError

TOPIC = "aha_ztf"
"""The annotator that the shipped filters name."""

_FILE = re.compile(
    r"\s*(?P<header>(?:--[^\n]*\n\s*)+)SELECT\s+(?P<selected>.+?)\s*"
    r"\nFROM\s+(?P<tables>.+?)\s*\nWHERE\s+(?P<conditions>.+?)\s*",
    re.IGNORECASE | re.DOTALL,
)
_TOPIC = re.compile(r"[a-z][a-z0-9_]{0,15}")
# Lasair's web form takes the topic's text out of the table list by plain replacement.
_TABLES = ("objects", "sherlock_classifications", "crossmatch_tns", "watchlist_hits", "area_hits", "annotations")
# The topic becomes a bare name in SELECT and WHERE: Lasair refuses limit and offset inside any word there, and words of
# SQL; annotations of topics tags_* are stored in another way.
_REFUSED_TOPICS = re.compile(
    r".*(?:limit|offset).*|tags_.*"
    r"|create|select|from|where|join|inner|outer|with|high_priority|straight_join|sleep|union|exists|window|for|into"
    r"|outfile|dumpfile|and|or|not|in|is|null|as|order|by|group|having|between|like|case"
)


@dataclass(frozen=True)
class FilterFile:
    """One filter, in the three parts that Lasair asks for."""

    name: str
    summary: str
    """The header's lines: what it gives, and for whom."""
    selected: str
    tables: str
    """Lasair's list: tables, and annotators as ``annotator:TOPIC``, separated by commas."""
    conditions: str
    """May end in ORDER BY."""


def parse_filter(name: str, text: str) -> FilterFile:
    """Take a filter file's text apart.

    Raises
    ------
    ConfigError
        If the header or one of the three parts is missing, or they stand in another order.
    """
    parts = _FILE.fullmatch(text)
    if parts is None:
        raise ConfigError(
            f"filter {name}: expected a header of -- lines, then SELECT, FROM and WHERE, each at the start of a line"
        )
    header = [line.strip().removeprefix("--").strip() for line in parts["header"].strip().splitlines()]
    return FilterFile(name, "\n".join(header), parts["selected"], parts["tables"], parts["conditions"])


def load_filter(name: str) -> FilterFile:
    """Read a shipped filter by its name, or any other by the path of its ``.sql`` file.

    Raises
    ------
    ConfigError
        If there is no such filter (the message names the shipped ones), or it lacks a part.
    """
    if name.endswith(".sql"):
        path = Path(name)
        try:
            return parse_filter(path.stem, path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"filter {name} cannot be read: {error}") from error
    for known in list_filters():
        if known.name == name:
            return known
    names = ", ".join(known.name for known in list_filters())
    raise ConfigError(
        f"no filter is called {name!r}; there are {names}; one of your own is given as the path of a .sql file"
    )


def list_filters() -> list[FilterFile]:
    """Read all shipped filters, by name."""
    folder = files("annotator.filters")
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".sql")), key=lambda path: path.name)
    return [parse_filter(path.name.removesuffix(".sql"), path.read_text(encoding="utf-8")) for path in paths]


def check_topic(topic: str) -> None:
    """Refuse a topic that Lasair's SQL could not carry.

    Raises
    ------
    ConfigError
        Unless it is a lower-case bare SQL name of at most 16 characters that is no word of SQL, no part of a table's
        name, and does not start with ``tags_``, which Lasair keeps for annotations of another kind.
    """
    refused = _REFUSED_TOPICS.fullmatch(topic) or any(topic in table for table in _TABLES)
    if refused or not _TOPIC.fullmatch(topic):
        raise ConfigError(
            "a topic is a lower-case SQL name of at most 16 characters, such as aha_ztf; no word of SQL, nothing with"
            f" limit or offset, no part of a table's name, not tags_*; found {topic!r}"
        )


def for_topic(filter_file: FilterFile, topic: str) -> FilterFile:
    """Rewrite a filter for an annotator of another name.

    Raises
    ------
    ConfigError
        If Lasair's SQL could not carry the name.
    """
    check_topic(topic)
    name = re.compile(rf"\b{TOPIC}\b")
    return replace(
        filter_file,
        selected=name.sub(topic, filter_file.selected),
        tables=name.sub(topic, filter_file.tables),
        conditions=name.sub(topic, filter_file.conditions),
    )


def boxes(filter_file: FilterFile) -> str:
    """Lay a filter out for a person: its header, then what goes into each box of Lasair's form."""
    return (
        f"{filter_file.name}\n\n{filter_file.summary}\n\n"
        f"===== SELECT =====\n{filter_file.selected}\n\n"
        f"===== FROM =====\n{filter_file.tables}\n\n"
        f"===== WHERE =====\n{filter_file.conditions}\n"
    )
