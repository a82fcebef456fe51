"""The SQL filters: read, listed, fitted to another topic, and printed as Lasair's web form takes them.

A file is a header of ``--`` lines for people, then ``SELECT``, ``FROM`` (Lasair's list of tables, not SQL's) and
``WHERE``, each at the start of a line. Lasair's API takes the three. Its form has no box for the tables: it joins those
of which SELECT names a column, and the annotators that are chosen from a menu.
"""

import re
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from annotator.annotation import check_topic
from annotator.errors import ConfigError

CAPITALISED = frozenset(
    re.findall(
        r"\w+",
        """
    avg class count day first host hour key last level match max min minute mode month names new object old owner
    path plan position precision prefix prior public ref relative result row scale schema scope search second
    section sequence session share sign similar simple size source space start statistics sum system table
    template time type unknown usage user values variable version view work year zone
        """,
    )
)
"""Words that make good labels and that SQL knows: a filter that is saved streams them in capitals."""

_LABEL = re.compile(r"\bAS\s+(\w+)", re.IGNORECASE)
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

    @property
    def annotators(self) -> tuple[str, ...]:
        """The topics whose annotations it reads."""
        chosen = re.findall(r"\bannotator:([\w&]+)", self.tables)
        return tuple(topic for topics in chosen for topic in topics.split("&"))

    @property
    def capitalised_labels(self) -> tuple[str, ...]:
        """The labels that a saved filter streams in capitals."""
        return tuple(label for label in _LABEL.findall(self.selected) if label.lower() in CAPITALISED)

    @property
    def unselected_tables(self) -> tuple[str, ...]:
        """The tables that the form would not join, since SELECT names no column of theirs."""
        tables = (name.strip() for name in self.tables.split(","))
        return tuple(name for name in tables if ":" not in name and f"{name}." not in self.selected)


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


def load_filter(name: str, survey: str = "ztf") -> FilterFile:
    """Read a shipped filter of a survey by its name, or any other by the path of its ``.sql`` file.

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
    shipped = list_filters(survey)
    for known in shipped:
        if known.name == name:
            return known
    names = ", ".join(known.name for known in shipped)
    raise ConfigError(
        f"no filter is called {name!r}; there are {names}; one of your own is given as the path of a .sql file"
    )


def surveys_with_filters() -> list[str]:
    """Name the surveys whose Lasair filters ship for."""
    return sorted(
        path.name for path in files("annotator.filters").iterdir() if (path / "tonights_anomalies.sql").is_file()
    )


def list_filters(survey: str = "ztf") -> list[FilterFile]:
    """Read all shipped filters of a survey's Lasair, by name."""
    folder = files("annotator.filters") / survey
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
    if not filter_file.annotators:
        return filter_file
    name = re.compile(rf"\b{filter_file.annotators[0]}\b")
    return replace(
        filter_file,
        selected=name.sub(topic, filter_file.selected),
        tables=name.sub(topic, filter_file.tables),
        conditions=name.sub(topic, filter_file.conditions),
    )


def as_form(filter_file: FilterFile) -> str:
    """Lay a filter out for a person: its header, then what goes into Lasair's form, and what the API takes besides."""
    tables = filter_file.tables.replace("\n", " ")
    text = (
        f"{filter_file.name}\n\n{filter_file.summary}\n\n"
        f"===== SELECT =====\n{filter_file.selected}\n\n"
        f"===== WHERE =====\n{filter_file.conditions}\n\n"
        f"===== annotators, to be chosen from the menu =====\n{', '.join(filter_file.annotators) or 'none'}\n\n"
        "The menu shows your own annotators and the public ones.\n"
        "The form has no box for the tables: it joins those of which SELECT names a column.\n"
        f"The API takes them as a third part: {tables}\n"
    )
    for table in filter_file.unselected_tables:
        text += f"SELECT names no column of {table}: the form would not join it.\n"
    for label in filter_file.capitalised_labels:
        text += (
            f"{label} is a word of SQL: the saved filter streams it as {label.upper()}; another label stays as it is.\n"
        )
    return text
