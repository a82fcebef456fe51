"""SIGKILL between any two steps: after restarts it is as if nothing had happened.

Each case is a life of its own: a fresh ledger, a fresh Lasair, a topic and a consumer group. Messages arrive in two
waves; passes are made by the real command line, killed before their Nth step (`kill_driver.py` says what a step is) and
started again until all is done. What is left is compared, object by object, with what an undisturbed life leaves.

The suite takes a sample of the points; the long one, which lasts half an hour, takes every point:

    pytest -m long tests/passes/test_kill.py -rP
"""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from annotator.decision.changes import state_digest
from annotator.ledger import Ledger
from annotator.models.distribution import Distribution, bin_of
from annotator.nights import night_of
from annotator.sandbox import Account, Sandbox, Topic
from annotator.sandbox.kafka import StreamBroker
from annotator.surveys.ztf.parse import parse
from tests.conftest import TOKEN, copy_features_model, write_config
from tests.passes.kill_driver import Driver, Ended, driver

ANNOTATOR = [sys.executable, "-m", "annotator"]
N_OBJECTS = 15
# Scores are kept to four digits, too few to be on an edge.
WATCHED = Distribution("features_score", "features", (0.30005, 0.60005, 1.00005), (0.5, 0.25, 0.15, 0.1), 0.0, 1000)
LIVES_AT_A_TIME = 4


# --- a life


@dataclass(frozen=True)
class Life:
    """One annotator and its surroundings."""

    folder: Path
    server: Sandbox
    topic: str
    producer: Producer
    driver: Driver
    _hours: Iterator[int] = field(default_factory=itertools.count)

    def an_hour_later(self) -> float:
        """Return how many seconds the next process has to be ahead for every pause after a failure to be over."""
        return next(self._hours) * 3700.0

    def publish(self, wave: Sequence[tuple[str, bytes]]) -> None:
        """Add messages, each a millisecond after the other, so that all lives read them in one order."""
        first_ms = round(time.time() * 1000) - len(wave)
        for number, (key, message) in enumerate(wave):
            self.producer.produce(self.topic, message, key, timestamp=first_ms + number)
        assert self.producer.flush(30) == 0

    def run(self, *command: str, kill_before: int = 0, seconds_ahead: float = 0.0) -> Ended:
        """Make one process run to its end, or to its Nth step."""
        ended = self.driver.run([*command, "-c", str(self.folder / "aha.yaml")], kill_before, seconds_ahead)
        assert ended.status in (0, 1, -signal.SIGKILL) and "Traceback" not in ended.errors, ended.errors
        return ended

    def kill_at_random(self, rng: random.Random, *command: str) -> bool:
        """Kill a process of the command line at any moment; return whether it was still alive."""
        with subprocess.Popen(
            [*ANNOTATOR, *command, "-c", str(self.folder / "aha.yaml")],
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            time.sleep(rng.uniform(0.2, 4.0))
            process.kill()
        return process.returncode == -signal.SIGKILL

    def finish(self, *command: str, seconds_ahead: float = 0.0) -> Ended:
        """Start processes until one runs to a good end."""
        for _ in range(3):
            run = self.run(*command, seconds_ahead=seconds_ahead)
            if run.status == 0:
                return run
        raise AssertionError(run)

    def outcome(self) -> Mapping[str, object]:
        """Return all that must not depend on what happened in between."""
        with Ledger(self.folder / "aha-ledger.sqlite") as ledger:
            ids = [_object_id(number) for number in range(N_OBJECTS)]
            return {
                "states": ledger.scores.states(ids),
                "scores": {name: _lasting_scores(ledger.scores.history(name)) for name in ids},
                "objects": ledger.counts.objects(),
                "outbox": ledger.outbox.last_sent(ids),
                "waiting": ledger.outbox.counts()["waiting"],
                "not read back": ledger.outbox.states()["sent"],
                "refused": {item.refusal.reason for item in ledger.refused.open()},
                "held": {row["objectId"]: _lasting(row) for row in self.server.annotations()},
                "is each object counted once a night": _counted_nights(ledger) == _scored_nights(ledger, ids),
            }

    def writes(self) -> int:
        """Count the calls that wrote an annotation."""
        return sum(call.endpoint == "annotate" for call in self.server.calls)


class World:
    """Brings lives about that share a broker, a night and a folder."""

    def __init__(
        self, broker: StreamBroker, driver: Driver, objects: Sequence[Mapping[str, object]], folder: Path
    ) -> None:
        self._broker = broker
        self._driver = driver
        self._objects = objects
        self._folder = folder
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def life(self) -> Iterator[Life]:
        topic = f"lasair_2kill{next(self._numbers)}"
        folder = self._folder / topic
        folder.mkdir()
        self._broker.create_topic(topic)
        source = {
            "kind": "stream",
            "topic": topic,
            "group_id": topic,
            "broker": self._broker.bootstrap,
            "batch_messages": 8,
        }
        with _lasair(self._objects) as server:
            models = str(copy_features_model(folder, distributions=[msgspec.to_builtins(WATCHED)]))
            write_config(folder, server, source=source, schedule={"every_minutes": 0.02}, models=models)
            yield Life(folder, server, topic, self._producer, self._driver)


def _lasair(objects: Iterable[Mapping[str, object]]) -> Sandbox:
    server = Sandbox(accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False)
    server.load(objects)
    return server


def _environment() -> dict[str, str]:
    return os.environ | {"LASAIR_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}


def _counted_nights(ledger: Ledger) -> dict[int, list[int]]:
    """Return what was counted each night; lives are lived at different hours, so on different nights."""
    (model_set,) = {row["model_set"] for row in ledger.scores.history(_object_id(0))}
    return {night: counts[WATCHED.name] for night, counts in ledger.counts.of_bins(model_set).items()}


def _scored_nights(ledger: Ledger, ids: Sequence[str]) -> dict[int, list[int]]:
    """Count each object's first score of a night anew."""
    nights: dict[int, dict[str, int]] = {}
    for name in ids:
        for row in ledger.scores.history(name):
            number = bin_of(WATCHED, row["modalities"]["features"]["score"])
            nights.setdefault(night_of(row["scored_at"]), {}).setdefault(name, number)
    return {
        night: [list(bins.values()).count(number) for number in range(max(bins.values()) + 1)]
        for night, bins in nights.items()
    }


def _lasting_scores(history: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Leave out what carries a normal object's earlier scores: found after delivery, it is found of the last alone."""
    kept = [_lasting(row) for row in history]
    return [
        {**row, "reasons": None} if row["classification"] == "normal" and row is not kept[-1] else row for row in kept
    ]


def _lasting(row: Mapping[str, object]) -> dict[str, object]:
    return {k: v for k, v in row.items() if k not in ("annotationID", "timestamp", "score_id", "scored_at")}


# --- what happens in it


def _object_id(number: int) -> str:
    return f"ZTF99kill{number:03d}"


@pytest.fixture(scope="module")
def states(night) -> list[list[dict]]:
    """Make four states of each object: two in each wave, alike within a wave and unlike between them."""
    rows = night.rows()[:N_OBJECTS]
    newest_jd = max(row["jdmax"] for row in rows) - 2.0  # none is dated later than now

    def state(number: int, like: int, brighter_mag: float, later_days: float) -> dict:
        row = rows[like % N_OBJECTS]
        return row | {
            "objectId": _object_id(number),
            "jdmax": newest_jd + later_days,
            "gmag": row["gmag"] - brighter_mag if row["gmag"] else None,
        }

    return [
        [
            state(number, number, 0.0, 0.0),
            state(number, number, 0.02, 0.01),
            state(number, number + 4, 0.0, 1.0),
            state(number, number + 4, 0.3, 1.01),
        ]
        for number in range(N_OBJECTS)
    ]


@pytest.fixture(scope="module")
def waves(states) -> list[list[tuple[str, bytes]]]:
    """Two waves of messages, in an order that only chance made, with repetitions and with what is no record."""
    rng = random.Random(3)
    waves = []
    for first in (0, 2):
        wave = [(row["objectId"], json.dumps(row).encode()) for item in states for row in item[first : first + 2]]
        wave += [*rng.sample(wave, 3), ("noise", b"{broken"), ("noise", b"")]
        rng.shuffle(wave)
        waves.append(wave)
    return waves


@pytest.fixture(scope="module")
def world(states, tmp_path_factory) -> Iterator[World]:
    with StreamBroker() as broker, driver(_environment()) as started:
        yield World(broker, started, [item[-1] for item in states], tmp_path_factory.mktemp("lives"))


@dataclass(frozen=True)
class Undisturbed:
    """A life in which nothing went wrong."""

    outcome: Mapping[str, object]
    steps: list[list[str]]
    """Of the pass over each wave."""
    writes: int


@pytest.fixture(scope="module")
def undisturbed(world, waves) -> Undisturbed:
    with world.life() as life:
        steps = []
        for wave in waves:
            life.publish(wave)
            steps.append(life.finish("once").steps)
        return Undisturbed(life.outcome(), steps, life.writes())


@dataclass(frozen=True)
class Lives:
    """Lives that are being lived, each of which returns how often it was killed."""

    cases: list[tuple[object, Future]]

    def kills(self) -> int:
        """Wait for the end of all; return the sum of their kills, or say of each that ended otherwise which it was."""
        failures, killed = [], 0
        for case, future in self.cases:
            try:
                killed += future.result()
            except Exception as failure:  # whatever it is, it has to be told of which life
                failure.add_note(f"killed at {case}")
                failures.append(failure)
        if failures:
            raise ExceptionGroup(f"{len(failures)} of {len(self.cases)} lives ended otherwise", failures)
        print(f"{len(self.cases)} lives, {killed} kills")
        return killed


@pytest.fixture(scope="module")
def begin() -> Iterator[Callable[[Callable[..., int], Iterable], Lives]]:
    """Begin lives. All tests' lives begin with the first test, since most of a life is waiting."""
    pool = ThreadPoolExecutor(LIVES_AT_A_TIME)
    yield lambda live, cases: Lives([(case, pool.submit(live, case)) for case in cases])
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["sample", "all"])
def every_point(request) -> bool:
    """Whether the lives of all points are lived, or of a sample."""
    return request.param


def sample(rng: random.Random, n_points: int, stride: int) -> list[int]:
    """Draw one point of every few, in any order."""
    starts = range(1, n_points + 1, stride)
    points = [rng.randrange(start, min(start + stride, n_points + 1)) for start in starts]
    return rng.sample(points, len(points))


# --- and what has to come of it


def test_an_undisturbed_life_has_all_that_a_kill_could_spoil(undisturbed, states):
    outcome = undisturbed.outcome
    for item in states:
        name = item[0]["objectId"]
        assert outcome["states"][name].state == state_digest(parse(item[-1]))
        classes = [row["classification"] for row in outcome["scores"][name]]
        assert (name in outcome["held"]) == (not set(classes) <= {"normal", "variable"})
        if name in outcome["held"]:
            assert outcome["held"][name]["classification"] == classes[-1]
    finals = {row["classification"] for row in outcome["held"].values()}
    assert finals >= {"anomaly", "watch", "normal"} and len(outcome["held"]) < N_OBJECTS
    assert outcome["waiting"] == 0 and outcome["not read back"] == 0 and len(outcome["refused"]) == 2
    assert undisturbed.writes > len(outcome["held"]) and outcome["is each object counted once a night"]
    for steps in undisturbed.steps:
        assert steps.count("after commit") > 3 and steps.count("after annotate") >= 3
        statements = [step for step in steps if step.startswith("SQL ")]
        assert len(steps) > 150 and len(statements) > 100 and statements.count("SQL COMMIT") > 3
        assert {"SQL INSERT INTO scores", "SQL UPDATE outbox SET", "SQL INSERT INTO calls"} <= set(statements)


@pytest.fixture(scope="module", autouse=True)
def killed_before_a_step(begin, world, waves, undisturbed, every_point) -> Lives:
    rng = random.Random(1)
    points = [sample(rng, len(steps), 1 if every_point else 120) for steps in undisturbed.steps]
    once_a_wave = [(False, [[a], [b]]) for a, b in itertools.zip_longest(*points, fillvalue=1)]
    again_and_again = [
        (True, [[rng.randint(1, rng.choice([50, len(steps)])) for _ in range(3)] for steps in undisturbed.steps])
        for _ in range(50 if every_point else 1)
    ]

    def live(case: tuple[bool, list[list[int]]]) -> int:
        # In a hurry the second wave comes while the process is dead; else the first is finished before.
        in_a_hurry, kills = case
        killed = 0
        with world.life() as life:
            for wave, points in zip(waves, kills, strict=True):
                life.publish(wave)
                killed += sum(life.run("once", kill_before=point).is_killed for point in points)
                if wave is waves[-1] or not in_a_hurry:
                    life.finish("once")
            assert life.outcome() == undisturbed.outcome
            assert life.writes() <= undisturbed.writes + killed
        return killed

    return begin(live, again_and_again + once_a_wave)


def test_killed_before_any_step_it_ends_where_an_undisturbed_life_does(killed_before_a_step, undisturbed, every_point):
    n_steps = sum(map(len, undisturbed.steps))
    assert killed_before_a_step.kills() > (n_steps if every_point else n_steps / 60)


@pytest.fixture(scope="module", autouse=True)
def killed_while_answers_are_lost(begin, world, waves, undisturbed, every_point) -> Lives:
    rng = random.Random(2)

    def live(case: tuple[str, list[int]]) -> int:
        endpoint, points = case
        killed = 0
        with world.life() as life:
            for wave, point in zip(waves, points, strict=True):
                life.publish(wave)
                life.server.misbehave(endpoint, "drop_after", share=0.4)
                killed += life.run("once", kill_before=point, seconds_ahead=life.an_hour_later()).is_killed
                life.run("once", seconds_ahead=life.an_hour_later())
                life.server.behave()
                life.finish("once", seconds_ahead=life.an_hour_later())
            assert life.outcome() == undisturbed.outcome
        return killed

    deliveries = [steps.index("before annotate") for steps in undisturbed.steps]
    return begin(
        live,
        [
            (endpoint, [start + rng.randint(0, 30) for start in deliveries])
            for endpoint in ("annotate", "query")
            for _ in range(40 if every_point else 1)
        ],
    )


def test_killed_while_answers_are_lost_it_gets_there_once_they_are_not(killed_while_answers_are_lost):
    """What was done but not answered is not known to be done: it waits for another try, which does it again."""
    assert killed_while_answers_are_lost.kills() >= len(killed_while_answers_are_lost.cases)


@pytest.fixture(scope="module", autouse=True)
def killed_at_any_moment(begin, world, waves, undisturbed, every_point) -> Lives:
    def live(seed: int) -> int:
        rng = random.Random(seed)
        killed = 0
        with world.life() as life:
            # So that a moment is often one in which something happens.
            life.server.misbehave("annotate", "delay", seconds=0.1)
            life.publish(waves[0])
            killed += sum(life.kill_at_random(rng, "once") for _ in range(2))
            life.publish(waves[1])
            killed += sum(life.kill_at_random(rng, "run") for _ in range(2))
            life.finish("once")
            assert life.outcome() == undisturbed.outcome
            assert life.writes() <= undisturbed.writes + killed
        return killed

    return begin(live, range(50 if every_point else 1))


def test_killed_at_any_moment_the_real_command_gets_there_all_the_same(killed_at_any_moment):
    assert killed_at_any_moment.kills() >= 2 * len(killed_at_any_moment.cases)  # `run` never ends by itself


# --- taking a bad release back


@pytest.fixture(scope="module")
def interrupted(world, waves, undisturbed) -> Iterator[Life]:
    """A life that ended in the middle of its second delivery: some of what it flagged is held, some waits."""
    middle = undisturbed.steps[1].index("before annotate") + 30
    with world.life() as life:
        life.publish(waves[0])
        life.finish("once")
        life.publish(waves[1])
        assert life.run("once", kill_before=middle).is_killed
        yield life


@contextlib.contextmanager
def afterlife(interrupted: Life, folder: Path, states: Sequence) -> Iterator[Life]:
    """Go on from where a life was interrupted, with another model set installed."""
    shutil.copytree(interrupted.folder, folder)
    shutil.rmtree(folder / "models")
    models = str(copy_features_model(folder, version="aha-ztf-next"))
    with _lasair([item[-1] for item in states]) as server:
        for row in interrupted.server.annotations():
            server.database.annotate(row | {"classdict": json.dumps(row["classdict"])})
        write_config(folder, server, models=models)
        yield Life(folder, server, interrupted.topic, interrupted.producer, interrupted.driver)


def test_a_retraction_that_is_killed_before_any_step_is_completed_by_the_next(
    begin, interrupted, states, models, tmp_path, every_point
):
    retract = ("retract", "--version", models.version)
    with afterlife(interrupted, tmp_path / "undisturbed", states) as life:
        steps = life.finish(*retract).steps
        expected, writes = life.outcome(), life.writes()
    assert {row["classification"] for row in expected["held"].values()} == {"normal"}
    assert any("Retracted" in row["explanation"] for row in expected["held"].values()) and expected["waiting"] == 0

    def live(point: int) -> int:
        with afterlife(interrupted, tmp_path / str(point), states) as life:
            assert life.run(*retract, kill_before=point).is_killed
            life.finish(*retract)
            assert life.outcome() == expected
            assert life.writes() <= writes + 1
        return 1

    points = sample(random.Random(4), len(steps), 1 if every_point else 40)
    assert begin(live, points).kills() == len(points) > (50 if every_point else 2)
