"""What a fault is, how it is tried, and what is said of it."""

import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.scenario import Outcome, Scenario, World, undisturbed


@dataclass(frozen=True)
class Verdict:
    """What one try of a fault has done."""

    lost: int = 0
    """Objects that Lasair or the ledger lacks at the end, and had in an undisturbed life."""
    changed: int = 0
    """Objects whose class, version or score there is another one."""
    notes: tuple[str, ...] = ()
    """What must not have happened."""
    inputs: int = 1
    """Hostile inputs, or other faults, that the try was made of."""

    @property
    def holds(self) -> bool:
        """Whether the fault did no harm."""
        return not (self.lost or self.changed or self.notes)


@dataclass(frozen=True)
class Try:
    """What one try of a fault is given: everything random is drawn from its seed."""

    scenario: Scenario
    rng: random.Random
    folder: Path
    number: int


@dataclass(frozen=True)
class Fault:
    """One way in which things go wrong."""

    name: str
    tries: int
    """In the whole run; the short one makes very few."""
    run: Callable[[Try], Verdict]


@dataclass
class Line:
    """What all tries of one fault have done together."""

    fault: str
    tries: int = 0
    lost: int = 0
    changed: int = 0
    seconds: float = 0.0
    failures: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    """The numbers of the tries that did harm, and what was noted."""

    @property
    def verdict(self) -> str:
        """What people read of it."""
        return f"FAILS in {len(self.failures)}" if self.failures else "holds"

    def add(self, number: int, verdict: Verdict, seconds: float) -> None:
        """Add one try."""
        self.tries += verdict.inputs
        self.lost += verdict.lost
        self.changed += verdict.changed
        self.seconds += seconds
        if not verdict.holds:
            self.failures.append((number, (f"{verdict.lost} lost, {verdict.changed} changed", *verdict.notes)))


TRY_GUARD_S = 900
"""What has not ended by then hangs: a try takes seconds, and minutes on a machine that does much else."""


def _give_up(*_: object) -> None:
    raise TimeoutError(f"it had not ended after {TRY_GUARD_S} s")


def make_try(fault: Fault, scenario: Scenario, seed: int, number: int) -> tuple[Verdict, float]:
    """Make one try of a fault, in a folder of its own; return what it has done, and how many seconds it took."""
    folder = Path(tempfile.mkdtemp(prefix="aha-fault-"))
    begun = time.monotonic()
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(TRY_GUARD_S)
    try:
        verdict = fault.run(Try(scenario, random.Random(f"{seed} {fault.name} {number}"), folder, number))
    except Exception as error:  # a try that cannot be made to its end is one that failed
        verdict = Verdict(notes=(f"the try broke off: {type(error).__name__}: {error}",))
    finally:
        signal.alarm(0)
        shutil.rmtree(folder, ignore_errors=True)
    return verdict, time.monotonic() - begun


def judge(world: World, *notes: str) -> Verdict:
    """Compare how a world has ended with an undisturbed one of its scenario and models."""
    lost, changed = compare(undisturbed(world.scenario, world.modalities), world.outcome())
    return Verdict(lost, changed, (*notes, *world.complaints()))


def compare(expected: Outcome, found: Outcome) -> tuple[int, int]:
    """Count the expected objects that are lost, and those that are changed, in what Lasair holds or the ledger says."""
    lost, changed = set(), set()
    for before, after in ((expected.held, found.held), (expected.scored, found.scored)):
        lost |= before.keys() - after.keys()
        changed |= {name for name in before.keys() & after.keys() if before[name] != after[name]}
    return len(lost), len(changed - lost)


def table(lines: Sequence[Line]) -> str:
    """Write the table that people read."""
    width = max(len(line.fault) for line in lines)
    head = f"{'fault':<{width}}  {'tries':>6}  {'lost':>5}  {'changed':>7}  verdict"
    rows = [
        f"{line.fault:<{width}}  {line.tries:>6}  {line.lost:>5}  {line.changed:>7}  "
        f"{line.verdict}, {line.seconds:.0f} s"
        for line in lines
    ]
    return "\n".join([head, "-" * len(head), *rows])


def complaints(lines: Mapping[str, Line], most: int = 5) -> list[str]:
    """Say of each fault that did harm which tries they were, and what was seen."""
    return [
        f"{name}, try {number}: {'; '.join(notes)}"
        for name, line in lines.items()
        for number, notes in sorted(line.failures)[:most]
    ]
