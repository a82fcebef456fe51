"""`aha-annotator status`: is it alive, does it keep up, and does anything need a person."""

import datetime
from dataclasses import asdict, dataclass, field

from annotator.config import Config, StreamSource
from annotator.errors import AhaError
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger
from annotator.models import load_models
from annotator.monitor import drift
from annotator.monitor.flag_rate import FlagRate, flag_rate
from annotator.monitor.flag_rate import in_words as flags_in_words
from annotator.sources.kafka_lag import read_lag

SILENT_INTERVALS = 3
"""A job on an interval that has not ended a pass for this many of them is not alive."""
SILENT_DAYS = 1.5
"""A job on a cron expression, or started from outside, should have ended a pass within this."""
MAX_LAG_MINUTES = 24 * 60.0
"""Lasair keeps a stream's messages for seven days: a day behind is the time to look."""


@dataclass
class Status:
    """What an operator wants to know at a glance; None is unknown."""

    model_set: str | None = None
    last_pass_at: str | None = None
    last_pass_minutes_ago: float | None = None
    last_pass_outcome: str | None = None
    last_pass_counts: dict[str, int] = field(default_factory=dict)
    lag_messages: int | None = None
    lag_minutes: float | None = None
    outbox_waiting: int = 0
    outbox_failed: int = 0
    outbox_sent: int = 0
    reads_left: int = 0
    writes_left: int = 0
    refused_records: int = 0
    objects: int = 0
    incomplete: int = 0
    """Objects whose light curve or cutouts wait for a call."""
    drift: list[str] = field(default_factory=list)
    """Of each modality whether its last night was as in training. Never a reason for attention: a live stream differs
    from the classified objects of the training by what gets a spectrum, so that much of it has moved on every night."""
    flags: FlagRate | None = None
    """How often something is flagged."""
    attention: list[str] = field(default_factory=list)
    """What needs a person, in plain words; empty if nothing."""

    def to_dict(self) -> dict[str, object]:
        """Return what is known, absent rather than null."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def read_status(config: Config, now: float) -> Status:
    """Look at the ledger, the models and the stream.

    Raises
    ------
    LedgerError
        If the ledger cannot be read.
    """
    status = Status()
    with Ledger(config.ledger) as ledger:
        _look_at_passes(config, ledger, now, status)
        _look_at_outbox(config, ledger, now, status)
        _look_at_models(config, ledger, now, status)
    if isinstance(config.source, StreamSource):
        _look_at_stream(config.source, now, status)
    return status


def _look_at_passes(config: Config, ledger: Ledger, now: float, status: Status) -> None:
    last = ledger.passes.last()
    if last is None:
        status.attention.append("no pass has ended yet: start one with `aha-annotator once` or `run`")
        return
    status.last_pass_at = f"{datetime.datetime.fromtimestamp(last.ended_at, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
    status.last_pass_minutes_ago = round((now - last.ended_at) / 60, 1)
    status.last_pass_outcome, status.last_pass_counts = last.outcome, dict(last.counts)
    if last.outcome != "done":
        status.attention.append(f"the last pass: {last.outcome}")
    silent_minutes = SILENT_DAYS * 24 * 60
    if config.schedule.cron is None:
        silent_minutes = max(SILENT_INTERVALS * config.schedule.every_minutes, 10.0)
    if status.last_pass_minutes_ago > silent_minutes:
        status.attention.append(
            f"no pass has ended for {status.last_pass_minutes_ago:.0f} minutes: is the job running?"
        )


def _look_at_outbox(config: Config, ledger: Ledger, now: float, status: Status) -> None:
    counts = ledger.outbox.counts()
    status.outbox_waiting, status.outbox_failed, status.outbox_sent = (
        counts[name] for name in ("waiting", "failed", "sent")
    )
    if status.outbox_failed:
        words = f"{status.outbox_failed} annotations were not taken, the last because: {ledger.outbox.last_failure()}"
        status.attention.append(words)
    budget = CallBudget(ledger, config.lasair.usable_calls_per_hour, config.lasair.read_share, lambda: now)
    status.reads_left, status.writes_left = budget.left()
    status.refused_records, status.objects = ledger.counts.refused(), ledger.counts.objects()
    status.incomplete = ledger.kept.count_waiting()


def _look_at_models(config: Config, ledger: Ledger, now: float, status: Status) -> None:
    try:
        models = load_models(config.models, config.survey)
    except AhaError as error:
        status.attention.append(str(error))
        return
    status.model_set = models.version
    status.drift = drift.in_words(ledger.counts.of_bins(models.version), models.distributions)
    status.flags = flag_rate(ledger, models.version, config.decision, now)


def _look_at_stream(source: StreamSource, now: float, status: Status) -> None:
    try:
        lag = read_lag(source)
    except AhaError as error:
        status.attention.append(str(error))
        return
    status.lag_messages = lag.messages
    status.lag_minutes = 0.0 if not lag.messages else None
    if lag.oldest_at is not None:
        status.lag_minutes = round(max(0.0, now - lag.oldest_at) / 60, 1)
    if (status.lag_minutes or 0) > MAX_LAG_MINUTES:
        status.attention.append(
            f"{status.lag_minutes / 60:.0f} hours behind the stream, which Lasair keeps for seven days"
        )


def in_words(status: Status) -> str:
    """Lay a status out for a terminal."""
    lag = "not a stream"
    if status.lag_messages is not None:
        minutes = "unknown" if status.lag_minutes is None else f"{status.lag_minutes:g}"
        lag = f"{status.lag_messages} messages, {minutes} minutes behind"
    last = "none"
    if status.last_pass_at:
        last = f"{status.last_pass_at}, {status.last_pass_minutes_ago:g} minutes ago: {status.last_pass_outcome}"
    lines = [
        f"models     {status.model_set or 'refused'}",
        f"last pass  {last}",
        f"stream     {lag}",
        f"objects    {status.objects} known, {status.incomplete} wait for their light curve or cutouts; "
        f"{status.refused_records} records refused",
        f"outbox     {status.outbox_waiting} waiting, {status.outbox_failed} failed, {status.outbox_sent} at Lasair",
        f"calls      {status.reads_left} to read and {status.writes_left} to write are left of this hour",
    ]
    lines += [f"drift      {words}" for words in status.drift or ["unknown, there is no training to compare with"]]
    if status.flags:
        first, *others = flags_in_words(status.flags)
        lines += [f"flags      {first}", *(f"           {words}" for words in others)]
    return "\n".join(lines + [f"ATTENTION  {words}" for words in status.attention])
