"""Run the command line, and kill it from within just before a chosen step.

    python tests/passes/kill_driver.py N SECONDS_AHEAD ARGUMENTS...

runs ``aha-annotator ARGUMENTS`` with a clock that is so many seconds ahead, and sends the process SIGKILL before its
Nth step; 0 is never. A step is everything that outlives the process, or that another process sees: each SQL statement
of the ledger, the ends of transactions among them, and what comes before and after each call to Lasair, each batch of
messages that is read, each commit of their offsets, joining and leaving the group, and taking the lock. Each step is
named on standard error before it is taken, so that the last name is where the process died, and the number of names how
many steps there are.
"""

import fcntl
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import lasair
import sqlalchemy

from annotator import cli
from annotator.passes import retract, run
from annotator.sources import kafka as stream


def main(kill_before: int, seconds_ahead: float, arguments: Sequence[str]) -> int:
    """Take the steps, and their names, into the program; then run it."""
    step = _counter(kill_before)
    _let_statements_step(step)
    for owner, name in (
        (lasair.lasair_client, "query"),
        (lasair.lasair_client, "annotate"),
        (lasair.lasair_client, "annotate_list"),
        (stream._Reader, "__init__"),
        (stream._Reader, "read"),
        (stream.Committer, "commit"),
        (stream._Reader, "close"),
        (fcntl, "flock"),
    ):
        _let_step_around(owner, name, step)
    for owner, name in ((run, "run_pass"), (retract, "retract")):
        setattr(owner, name, functools.partial(getattr(owner, name), clock=lambda: time.time() + seconds_ahead))
    return cli.main(arguments)


def _counter(kill_before: int) -> Callable[[str], None]:
    count = 0

    def step(name: str) -> None:
        nonlocal count
        count += 1
        os.write(sys.stderr.fileno(), f"step {count}: {name}\n".encode())
        if count == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def _let_statements_step(step: Callable[[str], None]) -> None:
    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute")
    def before(connection: object, cursor: object, statement: str, *others: object) -> None:
        step(f"SQL {' '.join(statement.split()[:3])}")


def _let_step_around(owner: object, name: str, step: Callable[[str], None]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def stepped(*args: object, **kwargs: object) -> object:
        step(f"before {name}")
        try:
            return original(*args, **kwargs)
        finally:
            step(f"after {name}")

    setattr(owner, name, stepped)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
