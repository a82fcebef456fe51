"""What people have judged: a plain file of verdicts, one a line, read at the start of every pass.

Verdicts that are given on the inspection page are kept in the ledger, count like those of the file, and can be exported
in its format.

Four columns, the object id, `verdict,person,when`, and a fifth, `note`, for whoever likes. The file is people's work:
it is read strictly, so that a verdict is never lost in silence, and the names in it never leave this machine.
"""

import contextlib
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
from annotator.errors import ConfigError
from annotator.nights import DAY_S, MAX_AHEAD_DAYS

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


def read_verdicts(path: Path) -> list[Verdict]:
    """Read a file of verdicts, in its order.

    Raises
    ------
    ConfigError
        If the file cannot be read or a line of it breaks the rules; the message names the line and the reason.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # spreadsheets put a mark before the header
    except OSError as error:
        raise ConfigError(
            f"cannot read the verdicts {path}: {error.strerror}; begin the file with the line {_HEADER}, or take the "
            "key `verdicts` out of the configuration"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"the verdicts {path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = _header(next(rows, []))
        return [_verdict(header, row) for row in rows if row]
    except (ConfigError, csv.Error) as error:
        raise ConfigError(f"the verdicts {path}, line {max(1, rows.line_num)}: {error}") from error


def read_if_any(path: Path | None) -> list[Verdict]:
    """Read the configured file of verdicts, as :func:`read_verdicts` does; none where none is configured."""
    return read_verdicts(path) if path else []


def _header(row: Sequence[str]) -> list[str]:
    header = [name.strip() for name in row]
    if missing := [name for name in COLUMNS if name not in header]:
        raise ConfigError(f"no column {', '.join(missing)}; the first line must be {_HEADER}, with `note` if you like")
    for number, name in enumerate(header):
        if name not in (*COLUMNS, *_OPTIONAL):
            raise ConfigError(f"unknown column {name[:40]!r}; known: {', '.join((*COLUMNS, *_OPTIONAL))}")
        if name in header[:number]:
            raise ConfigError(f"column {name} is repeated; name each once")
    return header


def _verdict(header: Sequence[str], row: Sequence[str]) -> Verdict:
    values = [value.strip() for value in row]
    if values == list(header):
        raise ConfigError("the header is repeated; keep the first line alone")
    if len(values) != len(header):
        raise ConfigError(f"expected {len(header)} values, found {len(values)}; put a value with a comma in quotes")
    named = dict(zip(header, values, strict=True))
    return Verdict(
        named[OBJECT_ID_KEY], named["verdict"], named["person"], _moment(named["when"]), named.get("note", "")
    )


def _moment(text: str) -> datetime.datetime:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        with contextlib.suppress(ValueError, OverflowError):  # the first days of the year 1 have no UTC
            moment = datetime.datetime.fromisoformat(text)
            return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    raise ConfigError(
        f"when must be an ISO 8601 date and time, such as 2026-11-24T09:30Z (UTC where it names no zone); found "
        f"{text[:80]!r}"
    )


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
    """Return verdicts as the text of a file that :func:`read_verdicts` reads."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow((*COLUMNS, *_OPTIONAL))
    for item in verdicts:
        rows.writerow((item.object_id, item.verdict, item.person, item.when.isoformat(), item.note))
    return text.getvalue()
