"""`aha-annotator run`: passes on a schedule, for months."""

import datetime
import logging
import signal
import threading
from collections.abc import Callable

from annotator.annotation import Annotation
from annotator.config import Config, ScheduleConfig
from annotator.errors import AhaError, ConfigError
from annotator.models import ModelSet
from annotator.passes.report_text import summary
from annotator.passes.run import note_announced, run_pass

log = logging.getLogger(__name__)


def run_on_schedule(
    config: Config,
    models: ModelSet,
    on_dry_annotation: Callable[[Annotation], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Make a pass now and whenever the schedule says, until SIGTERM or SIGINT.

    A pass that is due while one is at work is made once afterwards, however often it was due. A signal lets the batch
    and the annotation in hand be finished. A pass that fails is noted in the ledger and in the log; the next one is
    made as if nothing had happened.

    Parameters
    ----------
    config, models, on_dry_annotation
        As for :func:`annotator.passes.run.run_pass`.
    stop
        Ends the schedule when set, as the signals do.
    """
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.schedulers.background import BackgroundScheduler

    stop = stop or threading.Event()

    def make_pass() -> None:
        try:
            report = run_pass(config, models, should_stop=stop.is_set, on_dry_annotation=on_dry_annotation)
            level = logging.WARNING if report.problem else logging.INFO
            log.log(level, "%s", summary(report))
            # A report that the log leaves out has reached nobody: what it names stays to be announced.
            if log.isEnabledFor(level) and not on_dry_annotation:
                note_announced(config, report)
        except AhaError as error:
            log.error("no pass: %s", error)
        except Exception:  # whatever it is, it must not end the months of passes that are to come
            log.exception("the pass broke off")

    # Before anything is said: whoever hears that it runs may end it.
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    scheduler = BackgroundScheduler(
        timezone=datetime.UTC,
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
    )
    try:
        scheduler.add_job(make_pass, trigger(config.schedule), next_run_time=datetime.datetime.now(datetime.UTC))
        scheduler.start()
        stop.wait()
        log.info("stopping: the batch in hand is finished first")
        scheduler.shutdown(wait=True)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def trigger(schedule: ScheduleConfig) -> object:
    """Make APScheduler's trigger of the configured interval or cron expression.

    Raises
    ------
    ConfigError
        If the cron expression is none.
    """
    from apscheduler.triggers.cron import CronTrigger
    from apscheduler.triggers.interval import IntervalTrigger

    if schedule.cron is None:
        return IntervalTrigger(seconds=round(schedule.every_minutes * 60), timezone=datetime.UTC)
    try:
        return CronTrigger.from_crontab(schedule.cron, timezone=datetime.UTC)
    except ValueError as error:
        raise ConfigError(f"schedule.cron must be a cron expression of five fields: {error}") from error
