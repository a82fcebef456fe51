"""`aha-annotator check`: is everything in order to go live, point by point, and what to do where not."""

import datetime
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from annotator.config import Config, FileSource, ScheduleConfig, StreamSource, load_config
from annotator.errors import (
    AhaError,
    ConfigError,
    LasairApiError,
    LedgerMissingError,
    QuotaError,
    RejectedError,
    UnauthorizedError,
)
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.cutout_cache import KIND as CUTOUTS
from annotator.lasair.filters import load_filter
from annotator.ledger import MEMORY, Ledger, open_known
from annotator.ledger.store.file_system import file_system_of, is_of_network
from annotator.ledger_address import LedgerAddress
from annotator.models import load_models
from annotator.owned_folder import kinds_of, refuse_foreign
from annotator.schedule import next_runs
from annotator.sources.files import read_records
from annotator.sources.kafka_lag import peek
from annotator.surveys import SURVEYS, Survey
from annotator.verdicts import ahead_in_words, latest, read_verdicts, refused_in_words

SHOWN_RUNS = 3
EXAMPLE_GROUP_ID = "my-aha-annotator"
"""As `annotator/example.yaml` has it."""
CAPITALS = (
    "capitals count, and Lasair's form changes those of the words of SQL when it saves a filter, unless they stand "
    "behind their table's name, as in objects.COLUMN"
)
"""Why a stream may have a column under another name than the filter."""
MAX_ROWS = 100
"""Annotations of the topic that are looked at."""


@dataclass(frozen=True)
class Point:
    """One point that was looked at."""

    name: str
    in_order: bool
    words: str
    """What was found, and what to do where it is not in order."""


def check(path: Path, environ: Mapping[str, str]) -> Iterator[Point]:
    """Look at configuration, models, schedule, ledger, token, endpoint, source and topic, in this order.

    It reads from Lasair (three calls at most, counted in the ledger) and writes nothing there.
    """
    try:
        config = load_config(path, environ)
    except AhaError as error:
        yield Point("configuration", False, str(error))
        return
    yield Point("configuration", True, f"{path}: survey {config.survey}, source {type(config.source).__name__}")
    models, version = _models(config)
    yield models
    yield _folders(path, config)
    if config.verdicts:
        yield _verdicts(config.verdicts)
    yield _schedule(config.schedule)
    try:
        ledger, words = open_known(config.ledger), str(config.ledger)
    except LedgerMissingError as error:  # three calls are counted nowhere then
        if isinstance(config.ledger, Path) and not os.access(config.ledger.parent, os.W_OK | os.X_OK):
            yield Point("ledger", False, f"cannot open the ledger {config.ledger}: its folder cannot be written to")
            return
        ledger, words = Ledger(MEMORY), str(error)
    except AhaError as error:
        yield Point("ledger", False, str(error))
        return
    with ledger:
        try:
            ledger.identity.check_topic(config.survey, config.annotation.topic)
        except AhaError as error:
            yield Point("ledger", False, str(error))
            return
        yield _ledger(config.ledger, words)
        yield from _lasair(config, ledger, version)


def _ledger(address: LedgerAddress, words: str) -> Point:
    """Say what a ledger that can be used lies on: SQLite's locks fail on file systems of networks, and not at once."""
    kind = file_system_of(address) if isinstance(address, Path) else ""
    if is_of_network(kind):
        return Point("ledger", False, f"{words}: it lies on {kind}, a network file system: put it on a local disk")
    return Point("ledger", True, words)


def _models(config: Config) -> tuple[Point, str]:
    """Look at the models; return their version, too, empty where there are none."""
    try:
        models = load_models(config.models, config.survey)
    except AhaError as error:
        return Point("models", False, str(error)), ""
    names = ", ".join(models.models)
    words = f"{models.version} ({names}): unchanged, and their reference records reproduced"
    if models.provisional:
        words += f"; provisional models: {models.provisional}"
    return Point("models", True, words), models.version


def _folders(path: Path, config: Config) -> Point:
    """Look whether what is replaced or deleted as a matter of course has folders of its own."""
    kept = {"the configuration": path, "the verdicts": config.verdicts, "the ledger": config.ledger}
    places = {name: place.parent.resolve() for name, place in kept.items() if isinstance(place, Path)}
    wrong = [
        f"{name} lies in the folder of a {kind}"
        for name, folder in places.items()
        for kind in sorted(kinds_of(folder) & {"report", CUTOUTS})
    ]
    cache = config.cutouts.cache.resolve()
    if config.cutouts.cache_megabytes:
        wrong += [f"{name} lies in the folder of the cutouts" for name, folder in places.items() if folder == cache]
        try:
            refuse_foreign(cache, CUTOUTS)
        except ConfigError as error:
            wrong.append(str(error))
    words = f"{'; '.join(dict.fromkeys(wrong))}: give each a folder of its own" if wrong else ""
    return Point("folders", not wrong, words or "cutouts are kept apart from configuration, ledger and verdicts")


def _verdicts(path: Path) -> Point:
    try:
        read = read_verdicts(path)
    except AhaError as error:
        return Point("verdicts", False, str(error))
    verdicts = read.verdicts
    if wrong := [*refused_in_words(read.refused), *ahead_in_words(verdicts, path, time.time())]:
        return Point("verdicts", False, "; ".join(wrong))
    return Point("verdicts", True, f"{path}: {len(verdicts)} verdicts on {len(latest(verdicts))} objects")


def _schedule(schedule: ScheduleConfig) -> Point:
    """Say when `run` makes its next passes."""
    try:
        due = next_runs(schedule, datetime.datetime.now(datetime.UTC), SHOWN_RUNS)
    except AhaError as error:
        return Point("schedule", False, str(error))
    when = ", ".join(f"{moment:%a %Y-%m-%d %H:%M}" for moment in due)
    how = f"every {schedule.every_minutes:g} minutes" if schedule.cron is None else schedule.cron
    return Point("schedule", True, f"{how}: `run` makes a pass when it begins, and at {when} UTC")


def _lasair(config: Config, ledger: Ledger, version: str) -> Iterator[Point]:
    try:
        token = config.require_token()
    except AhaError as error:
        yield Point("token", False, str(error))
        return
    survey = SURVEYS[config.survey]
    budget = CallBudget(ledger, config.lasair.usable_calls_per_hour, config.lasair.read_share)
    api = LasairApi(survey, config.lasair.endpoint, token, config.lasair.timeout_s, budget)
    try:
        rows = api.query(survey.id_sql, "objects", f"objects.{survey.count_column} > 0", 1)
    except UnauthorizedError as error:
        others = " or ".join(name for name in SURVEYS if name != survey.name)
        words = f"It has to be of an account at the Lasair of {survey.name}; one of {others} is not accepted there."
        yield Point("token", False, f"{error} {words}")
        return
    except QuotaError as error:
        words = f"{error}; that says nothing against the token and the endpoint, so check again when there are calls"
        yield Point("calls", False, words)
        return
    except LasairApiError as error:
        yield Point("endpoint", False, _in_vain(api, error))
        return
    yield Point("token", True, "accepted")
    yield _endpoint(survey, api, rows)
    yield _source(config, api)
    yield _topic(config.annotation.topic, api, version)


def _in_vain(api: LasairApi, error: LasairApiError) -> str:
    """Say what is wrong with an endpoint that has no objects of the survey: it may have another one's."""
    here, survey = api.endpoint, api.survey
    if isinstance(error, RejectedError):
        for other in SURVEYS.values():
            if other is survey:
                continue
            try:
                rows = api.query(other.id_sql, "objects", f"objects.{other.count_column} > 0", 1)
            except LasairApiError:
                continue
            such = "".join(f", such as {found}" for row in rows if (found := other.object_id(row)))
            return (
                f"{here} is a Lasair of {other.name}{such}, and survey is {survey.name}: set survey to {other.name}, "
                f"or lasair.endpoint to {survey.endpoint}"
            )
    return f"{here} did not answer as Lasair does: {error}; the {survey.name} Lasair is at {survey.endpoint}"


def _endpoint(survey: Survey, api: LasairApi, rows: list[dict]) -> Point:
    object_id = survey.object_id(rows[0]) if rows else ""
    if survey.id_pattern.fullmatch(object_id):
        return Point("endpoint", True, f"{api.endpoint} serves objects such as {object_id}")
    found = f"an object named {object_id!r}" if rows else "no objects"
    return Point(
        "endpoint",
        False,
        f"{api.endpoint} has {found}: for survey {survey.name} use {survey.endpoint}",
    )


def _source(config: Config, api: LasairApi) -> Point:
    """Look whether objects come in with every column that the models use."""
    source = config.source
    try:
        if isinstance(source, FileSource):
            name, record = str(source.path), next(read_records(source.path, api.survey, schemas=source.schemas), None)
        elif isinstance(source, StreamSource):
            if source.group_id == EXAMPLE_GROUP_ID:
                words = "is the example's, and groups are shared by all users of the broker: choose one of your own"
                return Point("source", False, f"group_id {source.group_id} {words}")
            name, record = f"stream {source.topic}", peek(source)
        else:
            input_filter = load_filter(source.filter, api.survey.name)
            rows = api.query(input_filter.selected, input_filter.tables, input_filter.conditions, 1)
            name, record = f"filter {input_filter.name}", rows[0] if rows else None
    except AhaError as error:
        return Point("source", False, str(error))
    if not isinstance(record, Mapping):
        return Point("source", True, f"{name} can be read; it holds no object just now, so its columns were not seen")
    renamed = api.survey.in_other_case(record)
    missing = [column for column in api.survey.needed_columns if column not in record and column not in renamed]
    if renamed or missing:
        words = [f"does not have {', '.join(missing)}: select them in the filter"] if missing else []
        if renamed:
            found = ", ".join(f"{found} instead of {column}" for column, found in renamed.items())
            words.append(f"has {found}: {CAPITALS}")
        return Point("source", False, f"{name} {'; and it '.join(words)}. Objects would be scored without")
    return Point("source", True, f"{name} can be read and has every column that the models use")


def _topic(topic: str, api: LasairApi, version: str) -> Point:
    """Look whether the topic can be filtered on, and whether what it holds is somebody else's.

    Who may write it Lasair does not tell; but what is neither in the ledger nor of our models' name is not ours.
    """
    survey, ledger = api.survey, api.budget.ledger
    try:
        rows = api.query(
            f"{survey.id_sql}, {topic}.classification, {topic}.version",
            f"objects, annotator:{topic}",
            f"objects.{survey.count_column} > 0",
            MAX_ROWS,
        )
    except QuotaError as error:
        return Point("topic", False, f"{topic} was not looked at: {error}")
    except LasairApiError as error:
        return Point("topic", False, f"{topic} cannot be filtered on: {error}")
    family = re.sub(r"[\d.]*\Z", "", version)
    known = ledger.outbox.last_sent([survey.object_id(row) for row in rows])
    foreign = [
        row
        for row in rows
        if survey.object_id(row) not in known and not (family and str(row.get("version")).startswith(family))
    ]
    if foreign:
        example = f"{survey.object_id(foreign[0])} as {foreign[0].get('classification')}"
        words = f"this ledger does not know and other models made, such as {example} (version"
        return Point(
            "topic",
            False,
            f"{topic} holds {len(foreign)} annotations or more that {words} {foreign[0].get('version')}): is it yours?",
        )
    return Point(
        "topic", True, f"{topic} can be filtered on; whether it is yours to write shows at the first annotation"
    )
