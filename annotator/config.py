"""The configuration: one YAML file, read into one tree of frozen values.

Every key is documented in `annotator/example.yaml`, which the tests load. Secrets are never in the file: the token
comes from the environment variable ``LASAIR_TOKEN`` or a file of its own (:mod:`annotator.lasair_token`), the password
of a ledger on PostgreSQL from ``AHA_LEDGER_PASSWORD``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from annotator.annotation import Classification, check_topic
from annotator.decision.config import DecisionConfig, WorthConfig
from annotator.errors import ConfigError
from annotator.lasair_token import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, read_token
from annotator.ledger_address import EXPECTED, PASSWORD_VARIABLE, LedgerAddress, read_address
from annotator.surveys import SURVEYS, Survey
from annotator.typed import Typed, decode
from annotator.yaml_file import read_yaml

T = TypeVar("T")

REMOVED = {
    "source.session_timeout_s": "how far a stream was read stands in the ledger, and no session with the broker has to "
    "time out before the next start reads on",
}
"""Keys that there once were, by their paths, and why there are none any longer."""

Endpoint = Annotated[
    str,
    Meta(
        pattern=r"\A(https://[^/?#@\s]+|http://(127\.0\.0\.1|localhost)(:\d+)?)(/[^?#\s]*)?/api\Z",
        description="an https URL (http only to this machine: the token travels in its header) that ends in /api, "
        "without user, query or fragment",
    ),
]
Host = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9.\-]+\Z", description="a host name")]
Name = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9._\-]{1,249}\Z", description="letters, digits, dots, dashes, underscores")
]
Broker = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9.\-]+:\d{1,5}(,[A-Za-z0-9.\-]+:\d{1,5})*\Z",
        description="HOST:PORT, or several with commas between",
    ),
]
Text = Annotated[str, Meta(min_length=1)]


class LasairConfig(Typed):
    """How Lasair is reached."""

    endpoint: Endpoint
    calls_per_hour: Annotated[int, Meta(ge=4, le=1_000_000)] = 100
    """What Lasair grants the token. Every call is counted twice there, so half of it is used."""
    read_share: Annotated[float, Meta(ge=0.02, le=0.98)] = 0.4
    """Part of the calls that is kept for reading; the rest is for writing."""
    batch_annotations: Annotated[int, Meta(ge=1, le=200)] | None = None
    """Annotations in one call, a list of which counts as one; None: the survey's (:attr:`Config.batch_annotations`)."""
    timeout_s: Annotated[float, Meta(ge=0.1, le=600)] = 60.0
    object_share: Annotated[float, Meta(ge=0, le=0.95)] = 0.5
    """Part of the reading calls that may fetch what records lack, by `object`; the rest reads the source."""
    random_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    """Part of those that goes to objects drawn at random from the ones that wait; the rest to the new and changed."""
    cutout_hosts: Annotated[tuple[Host, ...], Meta(min_length=1, description="a list of host names")] | None = None
    """Hosts that cutouts are fetched from, and no other; None: the endpoint's own, and where that is the survey's those
    that its Lasair serves them from."""

    def allowed_cutout_hosts(self, survey: Survey) -> tuple[str, ...]:
        """Return the hosts that a survey's cutouts are fetched from."""
        if self.cutout_hosts:
            return self.cutout_hosts
        is_its_own = self.endpoint == survey.endpoint
        return survey.cutout_hosts if is_its_own else (urlsplit(self.endpoint).hostname,)

    @property
    def usable_calls_per_hour(self) -> int:
        """Calls that fit, since two throttles on one counter count each call twice."""
        return self.calls_per_hour // 2


class QuerySource(Typed, tag_field="kind", tag="query"):
    """Objects come from the input filter, run through the API."""

    filter: Text | None = None
    """Name of a shipped filter, or the path of a file of the same form; None: the survey's input filter, which
    :func:`load_config` fills in."""
    page_rows: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    reread_days: Annotated[float, Meta(ge=0, le=30)] = 2.0
    """How far before the newest alert seen each pass starts again, so that late alerts are not lost."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""
        return f"query {self.filter}"


class FileSource(Typed, tag_field="kind", tag="file"):
    """Objects come from a file of recorded records."""

    path: Path
    schemas: Path | None = None
    """A folder of the survey's Avro schemas, for a packet that names its own by a number."""


class StreamSource(Typed, tag_field="kind", tag="stream"):
    """Objects come from the Kafka stream of an active filter."""

    topic: Name
    """The filter's topic, as its page on Lasair names it: lasair_, the user's number, the filter's name."""
    group_id: Name
    """Under which the broker is told how far was read, for whoever watches the lag; how far that is, the ledger knows.
    Group ids are shared by all users of the broker, so make it unique."""
    broker: Broker = "kafka.lsst.ac.uk:9092"
    batch_messages: Annotated[int, Meta(ge=1, le=10_000)] = 500
    """Messages that are scored and written to the ledger at a time."""
    schemas: Path | None = None
    """A folder of the survey's Avro schemas, for a stream of alert packets, which name theirs by a number."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""
        return f"stream {self.topic}"


Source = StreamSource | QuerySource | FileSource


class AnnotationConfig(Typed):
    """What is written to Lasair."""

    topic: str
    classes: tuple[Classification, ...] = (Classification.ANOMALY, Classification.WATCH, Classification.ARTEFACT)
    """Classifications that are written; any other only to overwrite one of these."""
    resend_margin: Annotated[float, Meta(ge=0, le=20)] = 0.3
    """By how much the combined score has to move before an unchanged classification is written again."""

    def __post_init__(self) -> None:
        try:
            check_topic(self.topic)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes must name each once; found {', '.join(self.classes)}")


class CutoutsConfig(Typed):
    """How cutouts are fetched and kept; they cost no calls of the quota."""

    parallel: Annotated[int, Meta(ge=1, le=32)] = 4
    """Requests under way at a time."""
    timeout_s: Annotated[float, Meta(ge=0.1, le=120)] = 10.0
    cache: Path = Path("aha-cutouts")
    """Folder of what was fetched; it can be deleted at any time."""
    cache_megabytes: Annotated[float, Meta(ge=0, le=1_000_000)] = 500.0
    """The least recently used go first; 0 keeps nothing."""


class ScheduleConfig(Typed):
    """When `aha-annotator run` makes its passes."""

    every_minutes: Annotated[float, Meta(ge=0.01, le=7 * 24 * 60)] = 10.0
    cron: Text | None = None
    """As crontab(5) has it (:mod:`annotator.schedule`), in UTC; it replaces the interval."""
    pass_limit_minutes: Annotated[float, Meta(ge=0.01, le=7 * 24 * 60)] = 60.0
    """A pass that takes longer is a reason for attention."""


class AttentionConfig(Typed):
    """From when on something is news although nothing failed."""

    silent_nights: Annotated[float, Meta(gt=0, le=366)] = 2.0
    """A source that gave nothing for so many needs a person, until four weeks are known."""


class RetentionConfig(Typed):
    """For how long what the ledger holds is kept whole (:mod:`annotator.ledger.retention`)."""

    score_nights: Annotated[int, Meta(ge=60, le=36_500)] = 90
    """Scores are all kept for so many nights at least; a month that is older is reduced to one of each object."""
    numbers_nights: Annotated[int, Meta(ge=7, le=36_500)] = 30
    """What heads learn from is kept for so many nights of an object that was never flagged and that nobody judged."""
    unseen_months: Annotated[int, Meta(ge=3, le=1200)] = 24
    """An object that was not scored for longer keeps its last score alone, and those that first flagged it."""
    passes: Annotated[int, Meta(ge=10_000, le=100_000_000)] = 60_000
    """The newest, of which it is kept how they went: a year of one every ten minutes."""

    def __post_init__(self) -> None:
        if 28 * self.unseen_months < self.score_nights:
            raise ValueError(
                f"unseen_months must be no less than score_nights; found {self.unseen_months} months and "
                f"{self.score_nights} nights"
            )


class ConfigFile(Typed):
    """What stands in the file."""

    survey: Literal[tuple(SURVEYS)]
    lasair: LasairConfig
    source: Source
    annotation: AnnotationConfig
    decision: DecisionConfig = DecisionConfig()
    worth: WorthConfig = WorthConfig()
    cutouts: CutoutsConfig = CutoutsConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    attention: AttentionConfig = AttentionConfig()
    retention: RetentionConfig = RetentionConfig()
    verdicts: Path | None = None
    """The file of what people have judged (:mod:`annotator.verdicts`)."""
    ledger: Annotated[str, Meta(min_length=1, description=EXPECTED)] = "aha-ledger.sqlite"
    models: Path | None = None


class _Hidden(str):
    """A secret, which no message shows by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "(hidden)"


class Config(ConfigFile, kw_only=True):
    """The whole configuration."""

    ledger: LedgerAddress
    """A file of SQLite, or a database of PostgreSQL."""
    token: str | None = None
    """From the environment, or a file that it names."""

    @property
    def batch_annotations(self) -> int:
        """Annotations in one call: Lasair-ZTF takes one, Lasair for Rubin a list."""
        return self.lasair.batch_annotations or SURVEYS[self.survey].batch_annotations

    def require_token(self) -> str:
        """Return the token; raise ConfigError where there is none."""
        if not self.token:
            raise ConfigError(
                f"no token: set the environment variable {TOKEN_VARIABLE} to the API token of your Lasair account, or "
                f"{TOKEN_FILE_VARIABLE} to a file that holds it"
            )
        return str(self.token)


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Read and validate a configuration.

    Parameters
    ----------
    path
        The YAML file. Relative paths in it are relative to its folder.
    environ
        The environment, for the token and the ledger's password.

    Raises
    ------
    ConfigError
        If the file or the token's cannot be read, or a key is unknown, repeated, missing or mistyped; the message
        names it.
    """
    document = read_yaml(path)
    if not isinstance(document, Mapping):
        raise ConfigError(f"the configuration {path} has no keys; `annotator/example.yaml` is one to start from")
    if secret := _path_of_token(document):
        raise ConfigError(f"{path}: {secret} must not be in the file: set the environment variable {TOKEN_VARIABLE}")
    for key, why in REMOVED.items():
        section, _, name = key.partition(".")
        if isinstance(part := document.get(section), Mapping) and name in part:
            raise ConfigError(f"{path}: there is no {key} any longer: {why}. Delete the line.")
    try:
        content = _in_folder(decode(document, ConfigFile), path.parent)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    survey, source = SURVEYS[content.survey], content.source
    if wrong := _of_another_survey(survey, content.lasair.endpoint):
        raise ConfigError(f"{path}: {wrong}")
    if isinstance(source, QuerySource) and source.filter is None:
        source = msgspec.structs.replace(source, filter=survey.input_filter)
    try:
        ledger = read_address(content.ledger, path.parent, environ.get(PASSWORD_VARIABLE))
    except ConfigError as error:
        raise ConfigError(f"{path}: ledger {error}") from None
    token = read_token(environ)
    values = msgspec.structs.asdict(content)
    values |= {"source": source, "ledger": ledger, "token": _Hidden(token) if token else None}
    return Config(**values)


def _of_another_survey(survey: Survey, endpoint: str) -> str:
    """Say what is wrong where an endpoint is known to be another survey's; empty where it is not."""
    host = urlsplit(endpoint).hostname
    whose = [other for other in SURVEYS.values() if host in (urlsplit(other.endpoint).hostname, *other.cutout_hosts)]
    if not whose or survey in whose:
        return ""
    return (
        f"survey is {survey.name}, and lasair.endpoint {endpoint} is the Lasair of {whose[0].name}: set survey to "
        f"{whose[0].name}, or the endpoint to {survey.endpoint}"
    )


def _path_of_token(document: Mapping) -> str | None:
    """Return the path of a key `token`, which somebody wrote where it must not be."""
    paths = {"token": document} | {f"{key}.token": part for key, part in document.items() if isinstance(part, Mapping)}
    return next((path for path, part in paths.items() if "token" in part), None)


def _in_folder(value: T, folder: Path) -> T:
    """Return a value of the configuration with each path in it relative to a folder."""
    if isinstance(value, Path):
        return folder / value
    if not isinstance(value, Typed):
        return value
    changes = {name: _in_folder(part, folder) for name, part in msgspec.structs.asdict(value).items()}
    if isinstance(value, QuerySource) and value.filter and value.filter.endswith(".sql"):
        changes["filter"] = str(folder / value.filter)
    return msgspec.structs.replace(value, **changes)
