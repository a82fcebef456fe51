"""A small life of an annotator, made of a seed: what Lasair sees and when, and what an undisturbed life leaves."""

import atexit
import contextlib
import functools
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from annotator.config import Config
from annotator.errors import AhaError
from annotator.ledger import Ledger
from annotator.models import ModelSet, load_models
from annotator.passes.report import PassReport
from annotator.passes.run import note_announced, run_pass
from annotator.sandbox import Account, LsstSandbox, Sandbox, Topic, simulate_night
from annotator.sandbox.lasair.embedded import EmbeddedLasair
from annotator.sandbox.lasair.schema import UNIX_EPOCH_JD
from annotator.sandbox.sky.night import Night
from annotator.sandbox.sky.rubin.night import RubinNight
from annotator.surveys import SURVEYS
from tests.conftest import write_config
from tests.stand_ins import with_stand_ins

SECRET = "MARKER-4f1d0c-SECRET"
"""The account's token, which must stand nowhere afterwards."""
HOUR_S = 3600.0
TIMEOUT_S = 0.25
"""How long the annotator waits for an answer: faults that hang cost this much a call."""
CLASSES = ("anomaly", "watch", "artefact", "variable", "normal")
RECORDS = "records.jsonl"
"""Where a stream is written down that is read from a file."""

Row = Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Scenario:
    """What happens to whom: two waves of states, each object in its final state in the last that has it."""

    seed: int
    now_s: float
    """The beginning, in seconds since 1970."""
    night: Night | RubinNight
    waves: tuple[tuple[Row, ...], ...]
    survey: str = "ztf"
    told: Callable[[Sequence[Row]], list[Row]] = list
    """Makes the records of states that tell of them."""
    configuration: Mapping[str, object] = field(default_factory=dict)
    """What is particular to the survey."""

    @property
    def id_column(self) -> str:
        """What Lasair calls an object's id."""
        return SURVEYS[self.survey].id_column

    @property
    def object_ids(self) -> list[str]:
        """All objects, each once."""
        return sorted(self.last_states())

    def last_states(self) -> dict[str, Row]:
        """The state of each object that counts in the end."""
        return {str(row[self.id_column]): row for wave in self.waves for row in wave}


@functools.cache
def make_scenario(seed: int, now_s: float, n_objects: int = 30) -> Scenario:
    """Simulate the night before a moment; two thirds of its objects change an hour later, and a tenth is new then."""
    night = simulate_night(seed, max(n_objects, 30), UNIX_EPOCH_JD + now_s / 86400.0)
    rows = night.rows()[:n_objects]
    n_new = n_objects // 10
    later = [
        row | {"jdmax": row["jdmax"] + 0.02, "ncand": row["ncand"] + 1, **_brighter(row)}
        for row in rows[n_new : n_new + 2 * n_objects // 3]
    ]
    return Scenario(seed, now_s, night, (tuple(rows[n_new:]), (*rows[:n_new], *later)))


def _brighter(row: Row) -> dict[str, float]:
    return {name: row[name] - 0.4 for name in ("gmag", "rmag") if row[name] is not None}


@functools.cache
def features_model(survey: str) -> ModelSet:
    """Load the one model that needs no more than a record."""
    every = load_models(None, survey)
    return ModelSet(every.version, every.survey, MappingProxyType({"features": every.models["features"]}))


class WorldClock:
    """Says what it is told, in seconds since 1970."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        """Return the present of Lasair, and of an annotator whose clock is right."""
        return self.now_s


@dataclass(frozen=True)
class Outcome:
    """What is left of a life: of each object the class, version and score that Lasair holds, and the ledger's last."""

    held: Mapping[str, tuple[object, ...]]
    scored: Mapping[str, tuple[object, ...]]


@dataclass
class World:
    """One annotator and its surroundings during one try."""

    scenario: Scenario
    folder: Path
    server: EmbeddedLasair
    clock: WorldClock
    config: Config
    models: ModelSet
    tell: Callable[[Sequence[Row]], object] = lambda rows: None
    """Sends rows by the stream, where there is one."""
    written: list[Row] = field(default_factory=list)
    """Every annotation that Lasair has stored, in the order of their coming."""
    reports: list[PassReport] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    """What ended a pass before its end, and is no error that the annotator has a name for."""
    refusals: list[str] = field(default_factory=list)
    """What the annotator itself refused to go on with."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those beside the features."""
        return tuple(name for name in self.models.models if name != "features")

    def publish(self, wave: Sequence[Row]) -> None:
        """Let Lasair see a wave."""
        self.server.load(wave)
        self.tell(self.scenario.told(wave))

    def pass_(self, ahead_s: float = 0.0) -> PassReport | None:
        """Make a pass, by a clock that may be wrong; return None where it did not come to its end."""
        return self.guarded(self._pass, ahead_s)

    def guarded(self, make: Callable[..., PassReport], *arguments: object) -> PassReport | None:
        """Make a pass in whatever way, and keep what it said."""
        try:
            self.reports.append(make(*arguments))
        except AhaError as error:
            self.refusals.append(str(error))
            return None
        except Exception as error:
            self.endings.append(f"{type(error).__name__}: {error}")
            return None
        return self.reports[-1]

    def _pass(self, ahead_s: float) -> PassReport:
        clock = self.clock if not ahead_s else lambda: self.clock.now_s + ahead_s
        report = run_pass(self.config, self.models, clock)
        note_announced(self.config, report, clock)
        return report

    def writes(self, object_id: str) -> int:
        """Count how often an object's annotation was stored."""
        return sum(row["objectId"] == object_id for row in self.written)

    def wait(self, hours: float) -> None:
        """Let time go by."""
        self.clock.now_s += hours * HOUR_S

    def settle(self, hours: Sequence[float] = (1.2, 6.0, 12.0, 6.0, 1.2)) -> None:
        """Let a day go by with a pass now and then, in which whatever can be mended is mended.

        The last but one is in another night, whatever the time of day; what a busy machine is late with in it, the last
        one does.
        """
        for pause_hours in hours:
            self.wait(pause_hours)
            self.pass_()
        self.wait(0.01)  # a Lasair that queues annotations stores the last of them

    def outcome(self) -> Outcome:
        """Look at what Lasair and the ledger hold."""
        held = {
            str(row[self.scenario.id_column]): (row["classification"], row["version"], row["classdict"].get("score"))
            for row in self.server.annotations()
        }
        scored = {}
        with Ledger(self.config.ledger, read_only=True) as ledger:
            for object_id in self.scenario.object_ids:
                for row in ledger.scores.history(object_id)[-1:]:
                    scored[object_id] = (row["classification"], row["score"], row["model_set"])
        return Outcome(held, scored)

    def complaints(self) -> tuple[str, ...]:
        """Say what must never happen, whatever the fault is: a pass that was ended by it, a secret that was told."""
        told = [f"a pass was ended by {ending}" for ending in self.endings]
        return (*told, *(f"the token stands in {place}" for place in self.leaks()))

    def leaks(self) -> list[str]:
        """Name the files, and say whether there are reports, in which the token stands."""
        found = [
            path.name for path in self.folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
        ]
        return found + ["a report"] * (SECRET in repr(self.reports) or SECRET in repr(self.refusals + self.endings))


@contextlib.contextmanager
def world(scenario: Scenario, folder: Path, modalities: Sequence[str] = (), **changes: object) -> Iterator[World]:
    """Bring a world about: a Lasair that holds nothing yet, an annotator that reads what it tells, a log.

    Of ZTF's it is read by a query. Of Rubin's the stream is written down, and read from the file.

    Parameters
    ----------
    scenario, folder
        What is to happen, and where the annotator keeps what it knows.
    modalities
        Beside the features: scored by stand-ins, of what has to be fetched for it.
    changes
        Of the configuration.
    """
    clock = WorldClock(scenario.now_s)
    lasair = {"ztf": Sandbox, "lsst": LsstSandbox}[scenario.survey]
    accounts, topics = [Account(SECRET, "power")], [Topic(SURVEYS[scenario.survey].topic, SECRET)]
    night = scenario.night if modalities else None
    with lasair(night, accounts=accounts, topics=topics, clock=clock) as server, _logged(folder / "aha.log"):
        server.database.clear_objects()  # their light curves and stamps stay
        config = configured(folder, server, **scenario.configuration | changes)
        models = with_stand_ins(features_model(scenario.survey), *modalities)
        alive = World(scenario, folder, server, clock, config, models)
        if scenario.survey == "lsst":
            alive.tell = functools.partial(write_down, folder / RECORDS)
        store = server.database.annotate

        def annotate(annotation: Row) -> str:
            sql = store(annotation)
            alive.written.append(dict(annotation))
            return sql

        server.database.annotate = annotate
        yield alive


def write_down(path: Path, records: Iterable[Row]) -> None:
    """Let the records of a stream follow those that were written down before."""
    with path.open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def configured(folder: Path, server: EmbeddedLasair, **changes: object) -> Config:
    """Write a configuration in which what Lasair holds depends on the last state of an object alone."""
    always = {"annotation__classes": list(CLASSES), "annotation__resend_margin": 0.0, "lasair__timeout_s": TIMEOUT_S}
    if isinstance(server, LsstSandbox):
        source = {"kind": "file", "path": str(folder / RECORDS)}
        always |= {"survey": "lsst", "annotation__topic": "aha_lsst", "source": source}
    return write_config(folder, server, SECRET, **always | changes)


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, delay=True)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


@dataclass(frozen=True)
class Beginning:
    """What a pass over the first wave has left."""

    folder: Path
    annotations: tuple[Row, ...]
    """As Lasair's table holds them."""


@functools.cache
def beginning(scenario: Scenario, modalities: tuple[str, ...]) -> Beginning:
    """Live the first hour, once for all tries of this process."""
    folder = Path(tempfile.mkdtemp(prefix="aha-beginning-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with world(scenario, folder, modalities) as first:
        first.publish(scenario.waves[0])
        first.pass_()
        first.wait(0.01)
        first.server.endpoints.settle()
        return Beginning(folder, tuple(first.server.database.annotations()))


@contextlib.contextmanager
def begun_world(scenario: Scenario, folder: Path, modalities: Sequence[str] = (), **changes: object) -> Iterator[World]:
    """Bring a world about an hour after its beginning: the first wave is read, the second not there yet."""
    start = beginning(scenario, tuple(modalities))
    shutil.copytree(start.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(RECORDS))
    with world(scenario, folder, modalities, **changes) as begun:
        begun.server.load(scenario.waves[0])
        hold(begun.server, start.annotations)
        begun.written.clear()
        begun.wait(1.0)
        yield begun


def hold(server: EmbeddedLasair, annotations: Iterable[Row]) -> None:
    """Let Lasair hold annotations, as its table held them elsewhere."""
    id_column = server.database.schema.id_column
    for row in annotations:
        kept = {name: row[name] for name in row if name not in ("annotationID", "timestamp", id_column)}
        server.database.annotate(kept | {"objectId": str(row.get("objectId", row.get(id_column)))})


@functools.cache
def undisturbed(scenario: Scenario, modalities: tuple[str, ...] = ()) -> Outcome:
    """Live a life in which nothing goes wrong: a pass over each wave, and the day after."""
    with (
        tempfile.TemporaryDirectory(prefix="aha-undisturbed-") as folder,
        begun_world(scenario, Path(folder), modalities) as life,
    ):
        life.publish(scenario.waves[1])
        life.pass_()
        life.settle()
        if problems := life.complaints():
            raise RuntimeError(f"an undisturbed life has problems: {problems}")
        return life.outcome()
