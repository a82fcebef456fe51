"""A pass, or a step of one, that is written down however it ends."""

import contextlib
import logging
import time
from collections.abc import Iterator

from annotator.clock import Clock
from annotator.config import Config
from annotator.errors import AhaError, LedgerError
from annotator.fences import printable
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger, open_for_pass
from annotator.passes.report import PassReport
from annotator.passes.tally import counts
from annotator.surveys import SURVEYS

log = logging.getLogger(__name__)


@contextlib.contextmanager
def recorded_pass(config: Config, clock: Clock, is_dry: bool = False) -> Iterator[tuple[Ledger, LasairApi, PassReport]]:
    """Hold the ledger for a pass, and note in it how the pass ended, whatever happens."""
    token = config.require_token()
    with open_for_pass(config.ledger) as kept:
        kept.identity.note_topic(config.survey, config.annotation.topic)
        ledger = kept.for_dry_run() if is_dry else kept
        # A dry run's reads are calls like any other: they are counted in the ledger that stays.
        budget = CallBudget(kept, config.lasair.usable_calls_per_hour, config.lasair.read_share, clock)
        api = LasairApi(SURVEYS[config.survey], config.lasair.endpoint, token, config.lasair.timeout_s, budget)
        pass_id = ledger.passes.begin(clock())
        report = PassReport()
        outcome = "interrupted"
        began_s, limit_s = time.monotonic(), 60 * config.schedule.pass_limit_minutes
        try:
            yield ledger, api, report
            report.away = api.breakers.problem
            if (took_s := time.monotonic() - began_s) > limit_s:
                report.problems.append(
                    f"the pass took {took_s / 60:.3g} minutes, longer than its limit of {limit_s / 60:g} "
                    f"(schedule.pass_limit_minutes)"
                )
            outcome = report.problem or "done"
        except Exception as error:
            outcome = str(error) if isinstance(error, AhaError) else f"{type(error).__name__}: {printable(str(error))}"
            raise
        finally:
            report.waiting = ledger.outbox.counts()["waiting"]
            ledger.passes.end(pass_id, outcome, counts(report), clock())
            if clock.is_confirmed:
                kept.calls.forget(clock())
            if is_dry:
                ledger.close()


@contextlib.contextmanager
def step(report: PassReport, name: str) -> Iterator[None]:
    """Tell what a step of a pass failed at, and let the steps after it be made: only the ledger's fault ends a pass."""
    try:
        yield
    except LedgerError:
        raise
    except AhaError as error:
        report.problems.append(str(error))
    except Exception as error:
        log.exception("%s broke off", name)
        report.broke_off = True
        report.problems.append(f"{name} broke off: {type(error).__name__}: {printable(str(error))}")
