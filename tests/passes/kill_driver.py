"""Run the command line, and kill it from within just before a chosen step.

A step is everything that outlives the process, or that another process sees: each SQL statement of the ledger, the ends
of transactions among them, and what comes before and after each call to Lasair, each batch of messages that is read,
each commit of their offsets, joining and leaving the group, and taking the lock. Each step is named on standard error
before it is taken, so that the last name is where the process died, and the number of names how many steps there are.

Python and what the annotator imports take several times as long as what is killed: one process imports it, and each
that is asked of it begins as a copy of it, in which nothing has run yet.
"""

import contextlib
import fcntl
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import lasair
import sqlalchemy

import annotator.models.runtime  # noqa: F401 (what takes long to import, and is where a pass needs it)
from annotator import cli
from annotator.passes import retract, run
from annotator.sources import kafka as stream

TIMEOUT_S = 600


@dataclass(frozen=True)
class Ended:
    """How a process ended, as :mod:`subprocess` numbers it, and what it wrote."""

    status: int
    output: str
    errors: str

    @property
    def is_killed(self) -> bool:
        """Whether it came to its step."""
        return self.status == -signal.SIGKILL

    @property
    def steps(self) -> list[str]:
        """Return the names of the steps that it was about to take."""
        return [line.partition(": ")[2] for line in self.errors.splitlines() if line.startswith("step ")]


@dataclass(frozen=True)
class Driver:
    """Runs the command line with steps, as often and as many at a time as is asked for."""

    _orders: socket.socket

    def run(self, arguments: Sequence[str], kill_before: int = 0, seconds_ahead: float = 0.0) -> Ended:
        """Run ``aha-annotator ARGUMENTS`` with a clock that is ahead, killed before its Nth step; 0 is never."""
        order = json.dumps([kill_before, seconds_ahead, list(arguments)]).encode()
        ours, theirs = socket.socketpair()
        with ours, _written() as output, _written() as errors:
            with theirs:
                socket.send_fds(self._orders, [order], [theirs.fileno(), output.fileno(), errors.fileno()])
            ours.settimeout(TIMEOUT_S)
            status = int(ours.recv(100))
            return Ended(status, *(file.seek(0) or file.read() for file in (output, errors)))


def _written() -> TextIO:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


@contextlib.contextmanager
def driver(environment: Mapping[str, str]) -> Iterator[Driver]:
    """Start the process that all others are copies of; it ends when nobody can ask it any more."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with subprocess.Popen([sys.executable, __file__], stdin=theirs, env=environment), ours:
        theirs.close()
        yield Driver(ours)


# --- in the process that was started


def _await_an_order() -> list:
    """Return, in a copy of this process for each order, what it orders; in the process itself never."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who has ended is nobody's concern here
    orders = socket.socket(fileno=sys.stdin.fileno())
    while True:
        order, files, *_ = socket.recv_fds(orders, 65_536, 3)
        if not order:
            sys.exit()
        if os.fork() == 0:
            break
        for file in files:
            os.close(file)
    orders.detach()
    answer, *outputs = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if child := os.fork():
        os.write(answer, str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
        os._exit(0)
    os.close(answer)
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), *outputs)):
        os.dup2(file, number)
        os.close(file)
    return json.loads(order)


def _main(kill_before: int, seconds_ahead: float, arguments: Sequence[str]) -> int:
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
    sys.exit(_main(*_await_an_order()))
