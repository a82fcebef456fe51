"""Make a pass in a process of its own, and kill that before a chosen step.

A step is everything that outlives the process or that another process sees: each SQL statement of the ledger, the ends
of transactions among them, and what comes before and after each request over HTTP.
"""

import http.client
import os
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy


@dataclass(frozen=True)
class Ending:
    """How a process ended."""

    killed: bool
    steps: int
    """That it had begun, the one before which it was killed among them."""


def in_a_process(work: Callable[[], object], kill_before: int = 0) -> Ending:
    """Do something in a copy of this process, which is killed before its Nth step; 0 is never."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            _let_steps_be_counted(writing, kill_before)
            work()
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        steps = len(pipe.read())
    _, status = os.waitpid(child, 0)
    return Ending(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, steps)


def fork() -> int:
    """Fork, as Python from 3.12 on warns not to where threads run: the copy uses nothing that they may hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _let_steps_be_counted(writing: int, kill_before: int) -> None:
    taken = 0

    def step(*_: object) -> None:
        nonlocal taken
        taken += 1
        os.write(writing, b".")
        if taken == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", step)
    for name in ("endheaders", "getresponse"):
        _step_around(http.client.HTTPConnection, name, step)


def _step_around(owner: type, name: str, step: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def stepped(*args: object, **kwargs: object) -> object:
        step()
        result = original(*args, **kwargs)
        step()
        return result

    setattr(owner, name, stepped)
