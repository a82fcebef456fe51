"""`aha-annotator status`: is it alive, does it keep up, and does anything need a person.

Three parts, each of which can be read without the others: what the ledger knows, how the models do, how far the stream
is ahead.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from annotator.attention import shares
from annotator.attention.shares import Share
from annotator.attention.silence import MAX_WEEKS, WEEK_S, silence, silence_in_words
from annotator.clock import MAX_DISAGREEMENT_S
from annotator.config import Config, FileSource, StreamSource
from annotator.decision.config import DecisionConfig
from annotator.errors import AhaError
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger, open_to_read
from annotator.ledger.pass_log import PassRecord
from annotator.ledger.positions import FoundGap
from annotator.ledger.sweeps import Sweep
from annotator.models import ModelSet, load_models
from annotator.monitor import drift
from annotator.monitor.flag_rate import FlagRate, flag_rate, flags_text
from annotator.nights import DAY_S
from annotator.sources.kafka_lag import read_lag

SILENT_INTERVALS = 3
"""A job on an interval that has not ended a pass for this many of them is not alive."""
SILENT_DAYS = 1.5
"""A job on a cron expression, or started from outside, should have ended a pass within this."""
MAX_LAG_MINUTES = 24 * 60.0
"""Lasair keeps a stream's messages for seven days: a day behind is the time to look."""
GAP_DAYS = 7.0
"""How long a gap in a stream needs a person."""


@dataclass(frozen=True)
class LedgerStatus:
    """How passes went, what waits to be sent or fetched, and what is left of the hour's calls."""

    last_pass_at: str | None
    """None before the first pass has ended."""
    last_pass_minutes_ago: float | None
    last_pass_outcome: str | None
    last_pass_counts: Mapping[str, int]
    outbox_waiting: int
    outbox_failed: int
    outbox_sent: int
    outbox_held: int
    """They wait for Lasair's main database to have their objects."""
    outbox_unsure: int
    """Written perhaps: they are read back before anything else of their objects is sent."""
    outbox_stored: int
    """Read back as they were sent; of those sent."""
    reads_left: int
    writes_left: int
    refused_records: int
    objects: int
    incomplete: int
    """Objects whose light curve or cutouts wait for a call."""
    source_silent_hours: float | None
    """For how long the source had given nothing when a pass last read it; None for a file, or where none has."""
    shares: tuple[Share, ...]
    """Of the newest pass of enough objects: those that lack a view, or are flagged."""
    attention: tuple[str, ...]
    """What needs a person, in plain words; empty if nothing."""


@dataclass(frozen=True)
class ModelStatus:
    """Which models are installed, and how what they see and say compares with their training."""

    model_set: str | None = None
    """None where they are refused."""
    provisional: str | None = None
    """Why they are only to be relied on for now; None where they are meant to stay."""
    drift: tuple[str, ...] = ()
    """Of each modality whether its last night was as in training. Never a reason for attention: a live stream differs
    from the classified objects of the training by what gets a spectrum, so that much of it has moved on every night."""
    flags: FlagRate | None = None
    """How often something is flagged; None where these models have scored nothing yet."""
    attention: tuple[str, ...] = ()


@dataclass(frozen=True)
class StreamStatus:
    """How far the stream is ahead; None where the source is no stream, or it is unknown."""

    lag_messages: int | None = None
    lag_minutes: float | None = None
    attention: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """What an operator wants to know at a glance."""

    ledger: LedgerStatus
    models: ModelStatus = field(default_factory=ModelStatus)
    stream: StreamStatus = field(default_factory=StreamStatus)

    @property
    def attention(self) -> tuple[str, ...]:
        """What needs a person, in plain words; empty if nothing."""
        return (*self.ledger.attention, *self.models.attention, *self.stream.attention)

    def to_dict(self) -> dict[str, object]:
        """Return what is known, flat, absent rather than null."""
        known = asdict(self.models) | asdict(self.ledger) | asdict(self.stream)
        known |= {"shares": shares.as_numbers(self.ledger.shares), "attention": self.attention}
        return {name: value for name, value in known.items() if value is not None}


def read_status(config: Config, now: float) -> Status:
    """Look at the ledger, the models and the stream.

    Raises
    ------
    LedgerError
        If the ledger cannot be read, or is that of another survey or topic.
    """
    with open_to_read(config.ledger) as ledger:
        ledger.identity.check_topic(config.survey, config.annotation.topic)
        of_ledger = ledger_status(config, ledger, now)
        try:
            of_models = model_status(load_models(config.models, config.survey), config.decision, ledger, now)
        except AhaError as error:
            of_models = ModelStatus(attention=(str(error),))
        position = None if isinstance(config.source, FileSource) else ledger.positions.of(config.source.name)
        lacks = ledger.positions.gaps_since(now - GAP_DAYS * DAY_S)
    return Status(of_ledger, of_models, stream_status(config, position, lacks, now))


def ledger_status(config: Config, ledger: Ledger, now: float) -> LedgerStatus:
    """Read from the ledger how passes went and what waits; `now` is in seconds since 1970."""
    last, outbox = ledger.passes.last(), ledger.outbox.counts()
    # What ended later than now was noted by another clock: it is no sign that the job is running.
    alive = ledger.passes.last(now + MAX_DISAGREEMENT_S)
    minutes_ago = None if alive is None else round(max(0.0, now - alive.ended_at) / 60, 1)
    attention = _attention_to_passes(config, last, minutes_ago, now)
    silent = (
        None
        if isinstance(config.source, FileSource)
        else silence(ledger.passes.heard(now - MAX_WEEKS * WEEK_S, now), config.attention.silent_nights)
    )
    found = shares.shares(ledger.passes.newest_first(now, shares.MIN_OBJECTS))
    told = [*silence_in_words(silent, config.source), *shares.in_words(found)]
    attention += [words for words in told if last is None or words not in last.outcome]
    if outbox["failed"]:
        why = ledger.outbox.last_failure()
        attention.append(f"{outbox['failed']} annotations were not taken, the last because: {why}")
    states = ledger.outbox.states()
    attention += _attention_to_sweep(ledger.sweeps.last(config.annotation.topic, now), ledger.sweeps.strangers())
    budget = CallBudget(ledger, config.lasair.usable_calls_per_hour, config.lasair.read_share, lambda: now)
    reads_left, writes_left = budget.left()
    return LedgerStatus(
        last_pass_at=None if last is None else f"{_utc(last.ended_at)} UTC",
        last_pass_minutes_ago=minutes_ago,
        last_pass_outcome=None if last is None else last.outcome,
        last_pass_counts={} if last is None else dict(last.counts),
        outbox_waiting=outbox["waiting"],
        outbox_failed=outbox["failed"],
        outbox_sent=outbox["sent"],
        outbox_held=states["held"],
        outbox_unsure=states["unsure"],
        outbox_stored=states["stored"],
        reads_left=reads_left,
        writes_left=writes_left,
        refused_records=ledger.refused.count(),
        objects=ledger.counts.objects(),
        incomplete=ledger.kept.count_waiting(),
        source_silent_hours=None if silent is None else round(silent.hours, 1),
        shares=tuple(found),
        attention=tuple(attention),
    )


def _utc(unix_s: float) -> str:
    return f"{datetime.datetime.fromtimestamp(unix_s, datetime.UTC):%Y-%m-%d %H:%M:%S}"


def _attention_to_passes(config: Config, last: PassRecord | None, minutes_ago: float | None, now: float) -> list[str]:
    if last is None:
        return ["no pass has ended yet: start one with `aha-annotator once` or `run`"]
    attention = [] if last.outcome == "done" else [f"the last pass: {last.outcome}"]
    ahead_s = last.ended_at - now
    if ahead_s > MAX_DISAGREEMENT_S:
        attention.append(
            f"the last pass is dated {ahead_s / 3600:.1f} hours later than now: set this machine's clock, or make a "
            "pass by the right one"
        )
    if minutes_ago is None:
        return attention
    silent_minutes = SILENT_DAYS * 24 * 60
    if config.schedule.cron is None:
        silent_minutes = max(SILENT_INTERVALS * config.schedule.every_minutes, 10.0)
    if minutes_ago > silent_minutes:
        attention.append(f"no pass has ended for {minutes_ago:.0f} minutes: is the job running?")
    return attention


def _attention_to_sweep(last: Sweep | None, strangers: int) -> list[str]:
    attention = []
    if strangers:
        attention.append(
            f"Lasair holds {strangers} annotations of this topic that the ledger does not know: somebody else writes "
            "it, or this ledger is not the one that wrote them (`aha-annotator rebuild` adopts them)"
        )
    if last and (changed := last.counts.get("otherwise", 0)):
        attention.append(
            f"{changed} annotations at Lasair were not as they were sent: does somebody else write the topic?"
        )
    return attention


def model_status(models: ModelSet, decision: DecisionConfig, ledger: Ledger, now: float) -> ModelStatus:
    """Compare what the ledger has counted of these models with their training; `now` is in seconds since 1970."""
    return ModelStatus(
        model_set=models.version,
        provisional=models.provisional or None,
        drift=tuple(drift.drift_text(ledger.counts.of_bins(models.version, now), models.distributions)),
        flags=flag_rate(ledger, models.version, decision, now),
    )


def stream_status(config: Config, position: str | None, gaps: Sequence[FoundGap], now: float) -> StreamStatus:
    """Ask the broker how far the stream is ahead of the ledger; where the source is no stream, nobody is asked.

    Parameters
    ----------
    config
        The configuration.
    position
        How far the ledger is.
    gaps
        What was missing of late.
    now
        Seconds since 1970.
    """
    if not isinstance(config.source, StreamSource):
        return StreamStatus()
    attention = _gaps_in_words(gaps)
    try:
        lag = read_lag(config.source, position)
    except AhaError as error:
        return StreamStatus(attention=(*attention, str(error)))
    minutes = None if lag.messages else 0.0
    if lag.oldest_at is not None:
        minutes = round(max(0.0, now - lag.oldest_at) / 60, 1)
    if (minutes or 0) > MAX_LAG_MINUTES:
        attention += (f"{minutes / 60:.0f} hours behind the stream, which Lasair keeps for seven days",)
    return StreamStatus(lag.messages, minutes, attention)


def _gaps_in_words(gaps: Sequence[FoundGap]) -> tuple[str, ...]:
    """Name the newest gap of each kind."""
    newest = {(found.source, found.gap.reason): found for found in gaps}
    return tuple(f"{found.source}, {_utc(found.found_at)} UTC: {found.gap}" for found in newest.values())


def status_text(status: Status) -> str:
    """Lay a status out for a terminal."""
    ledger, models = status.ledger, status.models
    why, last = f", provisional: {models.provisional}" if models.provisional else "", "none"
    if ledger.last_pass_at:
        last = f"{ledger.last_pass_at}, {_ago(ledger.last_pass_minutes_ago)}: {ledger.last_pass_outcome}"
    lines = [
        f"models     {models.model_set or 'refused'}{why}",
        f"last pass  {last}",
        f"stream     {_lag_in_words(status.stream)}",
        f"objects    {ledger.objects} known, {ledger.incomplete} wait for their light curve or cutouts; "
        f"{ledger.refused_records} records refused",
        f"outbox     {ledger.outbox_waiting} waiting ({ledger.outbox_held} held, {ledger.outbox_unsure} unsure), "
        f"{ledger.outbox_failed} failed, {ledger.outbox_sent} at Lasair, {ledger.outbox_stored} of them read back",
        f"calls      {ledger.reads_left} to read and {ledger.writes_left} to write are left of this hour",
    ]
    if ledger.source_silent_hours is not None:
        lines.append(f"source     gave something new {ledger.source_silent_hours:g} hours before it was last read")
    lines += [f"views      {words}" for words in shares.trend(ledger.shares)]
    lines += [f"drift      {words}" for words in models.drift or ["unknown, there is no training to compare with"]]
    if models.flags:
        first, *others = flags_text(models.flags)
        lines += [f"flags      {first}", *(f"           {words}" for words in others)]
    return "\n".join(lines + [f"ATTENTION  {words}" for words in status.attention])


def _ago(minutes: float | None) -> str:
    return "later than now" if minutes is None else f"{minutes:g} minutes ago"


def _lag_in_words(stream: StreamStatus) -> str:
    if stream.lag_messages is None:
        return "not a stream"
    minutes = "unknown" if stream.lag_minutes is None else f"{stream.lag_minutes:g}"
    return f"{stream.lag_messages} messages, {minutes} minutes behind"
