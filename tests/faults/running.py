"""Make the tries of many faults, in three processes at a time."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from tests.faults.catalogue import FAULTS
from tests.faults.laboratory import Fault, Line, Verdict, complaints, make_try
from tests.faults.scenario import make_scenario

TRIES_AT_A_TIME = 5
_PROCESSES = 3
"""More than two cores: much of a try is waiting."""
_JOBS_A_POOL = 120
"""Then other processes go on: each ledger that a pass has held leaves a file open for as long as a process lives."""


def run_all(faults: Iterable[Fault], seed: int, now_s: float, scale: float, first: int = 0) -> dict[str, Line]:
    """Make a share of the tries of each fault, at least one, beginning with a number; return what came of them.

    Each is named on standard error when it is done, with what was seen where it did harm.
    """
    faults = list(faults)
    lines = {fault.name: Line(fault.name) for fault in faults}
    tries_of = {fault.name: max(1, round(fault.tries * scale)) for fault in faults}
    done_of = dict.fromkeys(lines, 0)
    jobs = [
        (name, seed, now_s, numbers)
        for name, n_tries in tries_of.items()
        for numbers in _batched(range(first, first + n_tries), TRIES_AT_A_TIME)
    ]
    os.environ["OMP_NUM_THREADS"] = "1"
    for name, verdicts in _done(jobs):
        for number, verdict, seconds in verdicts:
            lines[name].add(number, verdict, seconds)
        done_of[name] += len(verdicts)
        if done_of[name] == tries_of[name]:
            words = [f"{name}: {lines[name].verdict}", *complaints({name: lines[name]})]
            print(*words, sep="\n", file=sys.stderr, flush=True)
    return lines


def _done(jobs: Sequence[tuple]) -> Iterator[tuple[str, list[tuple[int, Verdict, float]]]]:
    """Do jobs side by side, each some tries of a fault, and yield what came of each."""
    for some in _batched(jobs, _JOBS_A_POOL):
        with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
            for done in as_completed([pool.submit(_tries, *job) for job in some]):
                yield done.result()


def _batched(items: Sequence, n: int) -> Iterator[Sequence]:
    for start in range(0, len(items), n):
        yield items[start : start + n]


def _tries(name: str, seed: int, now_s: float, numbers: Sequence[int]) -> tuple[str, list[tuple[int, Verdict, float]]]:
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    scenario = make_scenario(seed, now_s)
    return name, [(number, *make_try(fault, scenario, seed, number)) for number in numbers]
