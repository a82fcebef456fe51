"""Processes that die, disks that lose power or are full, and two workers where one should be."""

import functools
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.faults.disk import Disk, Step, after_power_loss, lay_out
from tests.faults.killing import fork, in_a_process
from tests.faults.laboratory import Fault, Try, Verdict, judge
from tests.faults.scenario import Row, Scenario, begun_world, hold, world

LEDGER = "aha-ledger.sqlite"


@functools.cache
def _steps_of_a_pass(scenario: Scenario) -> int:
    with tempfile.TemporaryDirectory() as folder, begun_world(scenario, Path(folder)) as life:
        life.publish(scenario.waves[1])
        return in_a_process(life.pass_).steps


def killed(t: Try) -> Verdict:
    """Kill a pass before any of its steps, often the next one, too."""
    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        for _ in range(t.rng.choice((1, 1, 2, 3))):
            in_a_process(life.pass_, t.rng.randint(1, _steps_of_a_pass(t.scenario)))
            life.wait(0.1)
        life.settle()
        return judge(life)


def killed_at_the_very_beginning(t: Try) -> Verdict:
    """Kill the first pass of all, while it makes its ledger or later."""
    with world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[0])
        in_a_process(life.pass_, t.rng.randint(1, 2 * _steps_of_a_pass(t.scenario)))
        life.publish(t.scenario.waves[1])
        life.settle()
        return judge(life)


@dataclass(frozen=True)
class _Recording:
    """A pass over the second wave, written down as a disk and Lasair saw it."""

    before: dict[str, bytes]
    steps: tuple[Step, ...]
    written: tuple[Row, ...]
    """Annotations in the order of their coming; a step's `after` counts those before it."""


@functools.cache
def _recording(scenario: Scenario) -> _Recording:
    with tempfile.TemporaryDirectory() as name, begun_world(scenario, Path(name)) as life:
        before = {str(path): path.read_bytes() for path in Path(name).glob(f"{LEDGER}*") if _is_data(path)}
        life.publish(scenario.waves[1])
        disk = Disk(count=lambda: len(life.written))
        with disk.installed():
            life.pass_()
        return _Recording(before, tuple(disk.steps), tuple(life.written))


def _is_data(path: Path) -> bool:
    return not path.name.endswith((".lock", "-shm"))


def power_lost(t: Try) -> Verdict:
    """Lose the power after any step of the disk, with any part of what was not yet synced."""
    recording = _recording(t.scenario)
    cut = t.rng.randint(1, len(recording.steps))
    files = after_power_loss(recording.before, recording.steps[:cut], t.rng)
    n_written = recording.steps[cut - 1].after
    with begun_world(t.scenario, t.folder) as life:
        lay_out(files, t.folder, LEDGER)
        hold(life.server, recording.written[:n_written])
        life.publish(t.scenario.waves[1])
        life.settle()
        return judge(life, *life.refusals)


def disk_full(t: Try) -> Verdict:
    """Let the disk be full from some write of a pass on, and have room again an hour later."""
    room = [t.rng.randint(0, 60)]

    def has_room(_: int) -> bool:
        room[0] -= 1
        return room[0] >= 0

    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        with Disk(has_room=has_room).installed():
            life.pass_()
        life.settle()
        return judge(life)


def second_worker(t: Try) -> Verdict:
    """Start a second pass while the first writes to Lasair: by the same name, by another, without the lock file."""
    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        life.server.misbehave("annotate", "delay", seconds=0.02)
        child = fork()
        if child == 0:
            life.pass_()
            os._exit(0)
        while not any(call.endpoint == "annotate" for call in life.server.calls):
            time.sleep(0.005)
        other = life.config
        if t.number % 3 == 1:
            link = t.folder / "another-name.sqlite"
            link.symlink_to(LEDGER)
            other = msgspec.structs.replace(life.config, ledger=link)
        if t.number % 3 == 2:
            for lock in t.folder.glob(f"*{LEDGER}*lock*"):
                lock.unlink()
        life.config, own = other, life.config
        second = life.pass_()
        life.config = own
        os.waitpid(child, 0)
        life.server.behave()
        life.settle()
        return judge(life, *(["a second pass ran beside the first"] if second else []))


FAULTS = (
    Fault("killed before a step", 300, killed),
    Fault("killed in the first pass", 60, killed_at_the_very_beginning),
    Fault("power lost", 350, power_lost),
    Fault("disk full", 100, disk_full),
    Fault("second worker, same ledger", 20, second_worker),
)
