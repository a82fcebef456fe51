"""The SQL filters: read, listed, fitted to another topic, and printed as the three boxes of Lasair's web form.

A file is a header of ``--`` lines for people, then ``SELECT``, ``FROM`` (Lasair's list of tables, not SQL's) and
``WHERE``, each at the start of a line. Lasair keeps the three in separate fields, so that a file is never pasted whole.
"""

import re
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from annotator.annotation import check_topic
from annotator.errors import ConfigError

_FILE = re.compile(
    r"\s*(?P<header>(?:--[^\n]*\n\s*)+)SELECT\s+(?P<selected>.+?)\s*"
    r"\nFROM\s+(?P<tables>.+?)\s*\nWHERE\s+(?P<conditions>.+?)\s*",
    re.IGNORECASE | re.DOTALL,
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


def for_topic(filter_file: FilterFile, topic: str) -> FilterFile:
    """Rewrite a filter for an annotator of another name; one that reads no annotations stays as it is.

    Raises
    ------
    ConfigError
        If Lasair's SQL could not carry the name.
    """
    check_topic(topic)
    shipped = re.search(r"\bannotator:(\w+)", filter_file.tables)
    if shipped is None:
        return filter_file
    name = re.compile(rf"\b{shipped[1]}\b")
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
