"""`aha-annotator run`: passes on a schedule, for months."""

import contextlib
import datetime
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from annotator.annotation import Annotation
from annotator.config import Config, ScheduleConfig
from annotator.errors import AhaError
from annotator.fences import printable
from annotator.models import ModelSet
from annotator.passes.report_text import pass_line
from annotator.passes.run import note_announced, run_pass
from annotator.schedule import trigger

if TYPE_CHECKING:
    from apscheduler.job import Job

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LOOK_AT_CLOCK_S = 30.0
"""How often to look whether the clock was set back."""


@contextlib.contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM, SIGINT and SIGHUP set an event while this is entered, and the second of them end the process.

    A SIGHUP that `nohup` has the process ignore stays ignored.

    Nothing is lost by that: what belongs together is written in one transaction, and what was under way is taken up by
    the next pass. The exit status is 128 and the signal's number, as of a process that the signal has killed.
    """

    def on_signal(number: int, _frame: object) -> None:
        if stop.is_set():
            os.write(2, b"aha-annotator: ended at once; the next pass goes on from what was written down\n")
            os._exit(128 + number)
        stop.set()

    heard = [n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    previous = {number: signal.signal(number, on_signal) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def print_line(text: str) -> None:
    """Print at once, as whoever watches a job expects it."""
    print(text, flush=True)


def run_on_schedule(
    config: Config,
    models: ModelSet,
    on_dry_annotation: Callable[[Annotation], None] | None = None,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = print_line,
) -> None:
    """Make a pass now and whenever the schedule says, until SIGTERM, SIGINT or SIGHUP.

    A pass that is due while one is at work is made once afterwards, however often it was due. A signal lets the batch
    and the annotation in hand be finished, a second one ends the process at once. A pass that fails is noted in the
    ledger and said; the next one is made as if nothing had happened.

    Parameters
    ----------
    config, models, on_dry_annotation
        As for :func:`annotator.passes.run.run_pass`.
    stop
        Ends the schedule when set, as the signals do.
    say
        Is given a line for each pass, and one for each anomaly that is announced with it. What it was given counts as
        announced.

    Raises
    ------
    BrokenPipeError
        If nobody reads any longer what is said; the pass in hand was finished.
    """
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.schedulers.background import BackgroundScheduler

    stop = stop or threading.Event()
    passes = _Passes(config, models, on_dry_annotation, stop, say)
    # Before anything is said: whoever hears that it runs may end it.
    with stopped_by_signals(stop):
        scheduler = BackgroundScheduler(
            timezone=datetime.UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
        )
        now = datetime.datetime.now(datetime.UTC)
        job = scheduler.add_job(passes.make, trigger(config.schedule), next_run_time=now)
        scheduler.start()
        while not stop.wait(LOOK_AT_CLOCK_S):
            follow_clock(job, config.schedule)
        log.info("stopping: the batch in hand is finished first")
        scheduler.shutdown(wait=True)
    if passes.is_unheard:
        raise BrokenPipeError


def follow_clock(job: "Job", schedule: ScheduleConfig) -> None:
    """Let a job be due by the clock as it is now: after one that was set back, it would wait for what has passed."""
    planned = job.next_run_time
    anew = trigger(schedule)
    due = anew.get_next_fire_time(None, datetime.datetime.now(datetime.UTC))
    if planned is not None and due < planned:
        log.warning("the clock was set back: the next pass, planned for %s, is made at %s", planned, due)
        job.reschedule(anew)


class _Passes:
    """Makes passes, one after the other, and says what they did."""

    def __init__(
        self,
        config: Config,
        models: ModelSet,
        on_dry_annotation: Callable[[Annotation], None] | None,
        stop: threading.Event,
        say: Callable[[str], None],
    ) -> None:
        self._config = config
        self._models = models
        self._on_dry_annotation = on_dry_annotation
        self._stop = stop
        self._say = say
        self.is_unheard = False

    def make(self) -> None:
        """Make a pass; whatever it raises must not end the months of passes that are to come."""
        began_at = time.time()
        limit_minutes = self._config.schedule.pass_limit_minutes
        alarm = threading.Timer(60 * limit_minutes, self._tell, [f"ATTENTION: at work for {limit_minutes:g} minutes"])
        alarm.daemon = True
        alarm.start()
        try:
            report = run_pass(
                self._config, self._models, should_stop=self._stop.is_set, on_dry_annotation=self._on_dry_annotation
            )
            self._say(pass_line(report, began_at, time.time()))
            if not self._on_dry_annotation:
                note_announced(self._config, report)
        except BrokenPipeError:
            self.is_unheard = True
            self._stop.set()
        except AhaError as error:
            self._tell(f"ATTENTION: no pass: {error}")
        except Exception as error:
            log.exception("the pass broke off")
            self._tell(f"ATTENTION: the pass broke off: {type(error).__name__}: {printable(str(error))}")
        finally:
            alarm.cancel()

    def _tell(self, text: str) -> None:
        try:
            self._say(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC  {text}")
        except Exception as error:
            log.error("%s; standard output takes nothing: %s", text, error)
