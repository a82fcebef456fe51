"""What people have judged: a plain file of verdicts, one a line, read at the start of every pass.

Four columns, `objectId,verdict,person,when`, and a fifth, `note`, for whoever likes. The file is people's work: it is
read strictly, so that a verdict is never lost in silence, and the names in it never leave this machine.
"""

import contextlib
import csv
import datetime
import fcntl
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from annotator.annotation import OBJECT_ID
from annotator.errors import ConfigError

VERDICTS = ("anomaly", "regular", "artefact", "unknown")
"""What a person can say of an object; `unknown` takes an earlier verdict back, and never trains."""
COLUMNS = ("objectId", "verdict", "person", "when")
_OPTIONAL = ("note",)
_HEADER = ",".join(COLUMNS)
_ASKED: Mapping[str, str] = MappingProxyType({"regular": "normal", "artefact": "artefact"})


@dataclass(frozen=True)
class Verdict:
    """What one person said of one object.

    Raises
    ------
    ConfigError
        When made of anything that is outside the file's rules.
    """

    object_id: str
    verdict: str
    person: str
    when: datetime.datetime
    """With its zone."""
    note: str = ""

    def __post_init__(self) -> None:
        _require(OBJECT_ID.fullmatch(self.object_id), "objectId", "1 to 16 letters and digits", self.object_id)
        _require(self.verdict in VERDICTS, "verdict", f"one of {', '.join(VERDICTS)}", self.verdict)
        named = self.person.strip() and self.person.isprintable()
        _require(named, "person", "a name on one line", self.person)
        _require(self.note.isprintable(), "note", "text on one line", self.note)
        _require(self.when.tzinfo is not None, "when", "a time with its zone", self.when)

    @property
    def asked_class(self) -> str | None:
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
    return Verdict(named["objectId"], named["verdict"], named["person"], _moment(named["when"]), named.get("note", ""))


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


def latest(verdicts: Iterable[Verdict]) -> dict[str, Verdict]:
    """Return the verdict that holds for each object: the newest, whoever gave it; of two at one time the later line."""
    holding: dict[str, Verdict] = {}
    for verdict in verdicts:
        before = holding.get(verdict.object_id)
        if before is None or verdict.when >= before.when:
            holding[verdict.object_id] = verdict
    return holding


def append_verdict(path: Path, verdict: Verdict) -> None:
    """Add one verdict to the file, which is begun where it is not there; writers wait for one another.

    Raises
    ------
    ConfigError
        If the file breaks the rules: nothing is added to what nobody could read.
    """
    with _lock(path):
        before = read_verdicts(path) if path.exists() else []
        write_verdicts(path, [*before, verdict])


def write_verdicts(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write the whole file in one step: after a crash it is the old or the new one, and the new one is on the disk."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow((*COLUMNS, *_OPTIONAL))
    for item in verdicts:
        rows.writerow((item.object_id, item.verdict, item.person, item.when.isoformat(), item.note))
    try:
        _replace(path, text.getvalue().encode())
    except OSError as error:
        raise ConfigError(f"cannot write the verdicts {path}: {error.strerror}") from error


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as new:
            new.write(content)
            new.flush()
            os.fchmod(new.fileno(), path.stat().st_mode & 0o777 if path.exists() else 0o644)
            os.fsync(new.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name of the new file, too, has to outlive a power cut
    finally:
        os.close(folder)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock_file = open(lock_path, "a")  # noqa: SIM115 - it must outlive the with of opening
    except OSError as error:
        raise ConfigError(f"cannot open the verdicts' lock {lock_path}: {error.strerror}") from error
    with lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        yield
