"""What people have judged: a plain file of verdicts, one a line, read at the start of every pass.

Verdicts that are given on the inspection page are kept in the ledger, count like those of the file, and can be exported
in its format.

Four columns, the object id, `verdict,person,when`, and a fifth, `note`, for whoever likes. The file is people's work: a
line that is no verdict is told by name, so that none is lost in silence, and the names in it never leave this machine.
"""

import csv
import datetime
import enum
import io
import itertools
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from annotator.annotation import OBJECT_ID, OBJECT_ID_KEY, Classification
from annotator.errors import ConfigError, TableError
from annotator.nights import DAY_S, MAX_AHEAD_DAYS
from annotator.tables.formulas import as_text, from_text
from annotator.tables.header import Columns
from annotator.tables.moments import moments
from annotator.tables.read import BadRow, Row, read_table

COLUMNS = (OBJECT_ID_KEY, "verdict", "person", "when")
_OPTIONAL = ("note",)
_HEADER = ",".join(COLUMNS)


class VerdictKind(enum.StrEnum):
    """What a person can say of an object."""

    ANOMALY = "anomaly"
    REGULAR = "regular"
    ARTEFACT = "artefact"
    UNKNOWN = "unknown"
    """Takes an earlier verdict back, and never trains."""


_ASKED: Mapping[str, Classification] = MappingProxyType(
    {VerdictKind.REGULAR: Classification.NORMAL, VerdictKind.ARTEFACT: Classification.ARTEFACT}
)


@dataclass(frozen=True)
class Verdict:
    """What one person said of one object.

    Raises
    ------
    ConfigError
        When made of anything that is outside the file's rules.
    """

    object_id: str
    verdict: VerdictKind
    person: str
    when: datetime.datetime
    """With its zone."""
    note: str = ""

    def __post_init__(self) -> None:
        _require(OBJECT_ID.fullmatch(self.object_id), OBJECT_ID_KEY, "1 to 19 letters and digits", self.object_id)
        _require(self.verdict in tuple(VerdictKind), "verdict", f"one of {', '.join(VerdictKind)}", self.verdict)
        named = self.person.strip() and self.person.isprintable()
        _require(named, "person", "a name on one line", self.person)
        _require(self.note.isprintable(), "note", "text on one line", self.note)
        _require(self.when.tzinfo is not None, "when", "a time with its zone", self.when)

    @property
    def override(self) -> Classification | None:
        """The classification that this verdict asks for; None where it leaves that to the models."""
        return _ASKED.get(self.verdict)


def _require(condition: object, column: str, expected: str, found: object) -> None:
    if not condition:
        raise ConfigError(f"{column} must be {expected}; found {str(found)[:80]!r}")


@dataclass(frozen=True)
class VerdictFile:
    """What a file of verdicts says."""

    verdicts: tuple[Verdict, ...] = ()
    """In its order."""
    refused: tuple[str, ...] = ()
    """Its lines that are no verdicts, each with the file's name, where it is and why, in words for people."""


MAX_TOLD = 5
"""Refused lines of a file that are told one by one."""


def read_verdicts(path: Path) -> VerdictFile:
    """Read a file of verdicts, as a spreadsheet or an editor saved it (:mod:`annotator.tables`).

    A line that breaks the rules costs that line: it is named, and the others count.

    Raises
    ------
    ConfigError
        If the file cannot be read, or lacks a column.
    """
    try:
        table = read_table(path, Columns(COLUMNS, optional=_OPTIONAL))
    except TableError as error:
        raise ConfigError(
            f"the verdicts: {error}; begin the file with the line {_HEADER}, with `note` if you like, or take the key "
            "`verdicts` out of the configuration"
        ) from error
    rows = list(table.rows)
    whens = iter(moments([str(row.cells["when"]) for row in rows if isinstance(row, Row)]))
    verdicts, refused = [], []
    for row in rows:
        try:
            if isinstance(row, BadRow):
                raise ConfigError(row.reason)
            verdicts.append(_verdict(row.cells, next(whens)))
        except ConfigError as error:
            refused.append(f"the verdicts {path}, {row.place}: {error}")
    return VerdictFile(tuple(verdicts), tuple(refused))


def read_if_any(path: Path | None) -> VerdictFile:
    """Read the configured file of verdicts, as :func:`read_verdicts` does; none where none is configured."""
    return read_verdicts(path) if path else VerdictFile()


def refused_in_words(refused: Sequence[str]) -> list[str]:
    """Name refused lines, the first of them each."""
    left = len(refused) - MAX_TOLD
    return [*refused[:MAX_TOLD], *([f"and {left} more of its lines are no verdicts"] if left > 0 else [])]


def _verdict(cells: Mapping[str, object], when: datetime.datetime | str) -> Verdict:
    object_id, verdict, person, written = (str(cells[name]) for name in COLUMNS)
    if isinstance(when, str):
        raise ConfigError(f"when: {when}; found {written[:80]!r}")
    note = " ".join(str(cells.get("note", "")).split())  # a cell of a spreadsheet may have several lines
    return Verdict(object_id, verdict.lower(), from_text(person), when, from_text(note))


def latest(verdicts: Iterable[Verdict], now: float | None = None) -> dict[str, Verdict]:
    """Return the verdict that holds for each object: the newest, whoever gave it; of two at one time the later line.

    One that is dated later than now has no date, and is older than any that has one; of several such the later line.

    Parameters
    ----------
    verdicts
        Of any objects.
    now
        Seconds since 1970; the present where it is left out.
    """
    now = time.time() if now is None else now
    holding: dict[str, tuple[float, Verdict]] = {}
    for verdict in verdicts:
        order = -math.inf if is_dated_ahead(verdict, now) else verdict.when.timestamp()
        if verdict.object_id not in holding or order >= holding[verdict.object_id][0]:
            holding[verdict.object_id] = (order, verdict)
    return {object_id: verdict for object_id, (_, verdict) in holding.items()}


def is_dated_ahead(verdict: Verdict, now: float) -> bool:
    """Tell whether a verdict is dated later than now, by more than clocks may differ."""
    return verdict.when.timestamp() > now + MAX_AHEAD_DAYS * DAY_S


def ahead_in_words(verdicts: Iterable[Verdict], path: Path | None, now: float) -> list[str]:
    """Say which verdicts of a file are dated later than now, and what to do, in a sentence."""
    ahead = [verdict for verdict in verdicts if is_dated_ahead(verdict, now)]
    if not ahead:
        return []
    first = ahead[0]
    return [
        f"{len(ahead)} of the verdicts in {path} are dated later than now, such as that on {first.object_id} of "
        f"{first.when:%Y-%m-%d}, and hold only where there is no other: correct their dates"
    ]


def merge(*sources: Iterable[Verdict]) -> list[Verdict]:
    """Return the verdicts of several sources, oldest first; what more than one of them holds is there once."""
    return sorted(dict.fromkeys(itertools.chain(*sources)), key=lambda verdict: verdict.when)


def verdicts_csv(verdicts: Iterable[Verdict]) -> str:
    """Return verdicts as the text of a file that :func:`read_verdicts` reads, and no spreadsheet takes for formulas."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow((*COLUMNS, *_OPTIONAL))
    for item in verdicts:
        rows.writerow((item.object_id, item.verdict, as_text(item.person), item.when.isoformat(), as_text(item.note)))
    return text.getvalue()
