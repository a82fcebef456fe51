"""The configuration: one YAML file, read into one tree of frozen dataclasses.

Every key is documented in `annotator/example.yaml`, which the tests load. Secrets are never in the file: the token
comes from the environment variable ``LASAIR_TOKEN``, the password of a ledger on PostgreSQL from
``AHA_LEDGER_PASSWORD``.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from annotator.annotation import CLASSIFICATIONS, check_topic
from annotator.errors import ConfigError
from annotator.ledger_address import PASSWORD_VARIABLE, LedgerAddress, PostgresAddress, read_address
from annotator.surveys.survey import ENDPOINTS

TOKEN_VARIABLE = "LASAIR_TOKEN"


def _is_topic(value: str) -> str | None:
    try:
        check_topic(value)
    except ConfigError:
        return "a lower-case SQL name of at most 16 characters, such as aha_ztf, and no word of SQL or Lasair's tables"
    return None


def _is_endpoint(value: str) -> str | None:
    url = urlsplit(value)
    is_local = url.hostname in ("127.0.0.1", "localhost")
    if url.scheme != "https" and not (url.scheme == "http" and is_local):
        return "an https URL (http only to this machine): the token travels in its header"
    if url.username or url.query or url.fragment or not url.path.endswith("/api"):
        return "a plain URL ending in /api, without user, query or fragment"
    return None


def _is_plain(value: str) -> str | None:
    return None if re.fullmatch(r"[A-Za-z0-9._\-]{1,249}", value) else "letters, digits, dots, dashes, underscores"


def _is_broker(value: str) -> str | None:
    hosts = r"[A-Za-z0-9.\-]+:\d{1,5}"
    return None if re.fullmatch(rf"{hosts}(,{hosts})*", value) else "HOST:PORT, or several with commas between"


def _are_hosts(value: tuple[str, ...] | None) -> str | None:
    named = value is None or (value and all(re.fullmatch(r"[A-Za-z0-9.\-]+", host) for host in value))
    return None if named else "a list of host names, or null"


def _one_of(*choices: str) -> Callable[[str], str | None]:
    return lambda value: None if value in choices else f"one of {', '.join(choices)}"


def _between(low: float, high: float) -> Callable[[float], str | None]:
    return lambda value: None if low <= value <= high else f"between {low:g} and {high:g}"


def _is_probability(value: float | None) -> str | None:
    return None if value is None or 0 < value <= 1 else "above 0 and at most 1, or null"


def _are_classes(value: tuple[str, ...]) -> str | None:
    unknown = [name for name in value if name not in CLASSIFICATIONS]
    return f"a list of classes among {', '.join(CLASSIFICATIONS)}" if unknown or len(set(value)) < len(value) else None


def _key(check: Callable | None = None, **options: object) -> typing.Any:
    """Declare a key: `check` returns None, or what was expected."""
    return field(metadata={"check": check}, **options)


@dataclass(frozen=True)
class LasairConfig:
    """How Lasair is reached."""

    endpoint: str = _key(_is_endpoint)
    calls_per_hour: int = _key(_between(4, 1_000_000), default=100)
    """What Lasair grants the token. Every call is counted twice there, so half of it is used."""
    read_share: float = _key(_between(0.02, 0.98), default=0.4)
    """Part of the calls that is kept for reading; the rest is for writing."""
    batch_annotations: int = _key(_between(1, 200), default=1)
    """Annotations in one call. Lasair-ZTF takes one; Lasair for Rubin a list, which counts as one call."""
    timeout_s: float = _key(_between(0.1, 600), default=60.0)
    object_share: float = _key(_between(0, 0.95), default=0.5)
    """Part of the reading calls that may fetch what records lack, by `object`; the rest reads the source."""
    random_share: float = _key(_between(0, 1), default=0.2)
    """Part of those that goes to objects drawn at random from the ones that wait; the rest to the new and changed."""
    cutout_hosts: tuple[str, ...] | None = _key(_are_hosts, default=None)
    """Hosts that cutouts are fetched from, and no other; None: the endpoint's own."""

    @property
    def allowed_cutout_hosts(self) -> tuple[str, ...]:
        """The hosts that cutouts are fetched from."""
        return self.cutout_hosts or (urlsplit(self.endpoint).hostname,)

    @property
    def usable_calls_per_hour(self) -> int:
        """Calls that fit, since two throttles on one counter count each call twice."""
        return self.calls_per_hour // 2


@dataclass(frozen=True)
class QuerySource:
    """Objects come from the input filter, run through the API."""

    filter: str = _key(default="input_ztf")
    """Name of a shipped filter, or the path of a file of the same form."""
    page_rows: int = _key(_between(1, 10_000), default=1000)
    reread_days: float = _key(_between(0, 30), default=2.0)
    """How far before the newest alert seen each pass starts again, so that late alerts are not lost."""


@dataclass(frozen=True)
class FileSource:
    """Objects come from a file of recorded records."""

    path: Path = _key()


@dataclass(frozen=True)
class StreamSource:
    """Objects come from the Kafka stream of an active filter."""

    topic: str = _key(_is_plain)
    """The filter's topic, as its page on Lasair names it: lasair_, the user's number, the filter's name."""
    group_id: str = _key(_is_plain)
    """Who is reading: Kafka remembers how far. Group ids are shared by all users of the broker, so make it unique."""
    broker: str = _key(_is_broker, default="kafka.lsst.ac.uk:9092")
    session_timeout_s: float = _key(_between(1, 300), default=45.0)
    """After a crash the broker holds the partitions back this long."""
    batch_messages: int = _key(_between(1, 10_000), default=500)
    """Messages that are scored and written to the ledger at a time."""


Source = QuerySource | FileSource | StreamSource
SOURCES: Mapping[str, type] = types.MappingProxyType({"stream": StreamSource, "query": QuerySource, "file": FileSource})


@dataclass(frozen=True)
class DecisionConfig:
    """From scores to a classification."""

    anomaly_score: float = _key(_between(0, 20), default=3.0)
    watch_score: float = _key(_between(0, 20), default=2.0)
    artefact_detections: int = _key(_between(1, 1000), default=2)
    """From this many detections on, an object none of which is positive and passes real-bogus is an artefact."""
    artefact_probability: float = _key(_between(0, 1), default=0.7)
    """From this probability of a bogus detection on, an object that nothing vouches for is an artefact."""
    exotic_probability: float | None = _key(_is_probability, default=None)
    """`anomaly` also from this probability of being exotic on; None: where half of such known objects are."""
    announce_margin: float = _key(_between(0, 20), default=0.5)
    """By how much an announced anomaly's score has to rise before it is announced again."""
    classified: str = _key(_one_of("state", "demote"), default="state")
    """What an object's class in TNS does: it is stated, or makes `watch` of `anomaly` besides."""


@dataclass(frozen=True)
class AnnotationConfig:
    """What is written to Lasair."""

    topic: str = _key(_is_topic)
    classes: tuple[str, ...] = _key(_are_classes, default=("anomaly", "watch", "artefact"))
    """Classes that are written; any other only to overwrite one of these."""
    resend_margin: float = _key(_between(0, 20), default=0.3)
    """By how much the combined score has to move before an unchanged classification is written again."""


@dataclass(frozen=True)
class CutoutsConfig:
    """How cutouts are fetched and kept; they cost no calls of the quota."""

    parallel: int = _key(_between(1, 32), default=4)
    """Requests under way at a time."""
    timeout_s: float = _key(_between(0.1, 120), default=10.0)
    cache: Path = _key(default=Path("aha-cutouts"))
    """Folder of what was fetched; it can be deleted at any time."""
    cache_megabytes: float = _key(_between(0, 1_000_000), default=500.0)
    """The least recently used go first; 0 keeps nothing."""


@dataclass(frozen=True)
class ScheduleConfig:
    """When `aha-annotator run` makes its passes."""

    every_minutes: float = _key(_between(0.01, 7 * 24 * 60), default=10.0)
    cron: str | None = _key(default=None)
    """A cron expression of five fields, in UTC; it replaces the interval."""


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    survey: str = _key(_one_of(*ENDPOINTS))
    lasair: LasairConfig = _key()
    source: Source = _key()
    annotation: AnnotationConfig = _key()
    decision: DecisionConfig = _key(default=DecisionConfig())
    cutouts: CutoutsConfig = _key(default=CutoutsConfig())
    schedule: ScheduleConfig = _key(default=ScheduleConfig())
    verdicts: Path | None = _key(default=None)
    """The file of what people have judged (:mod:`annotator.verdicts`)."""
    ledger: LedgerAddress = _key(default=Path("aha-ledger.sqlite"))
    """A file of SQLite, or a database of PostgreSQL."""
    models: Path | None = _key(default=None)
    token: str | None = field(default=None, repr=False, metadata={"secret": True})

    def __post_init__(self) -> None:
        if self.decision.watch_score > self.decision.anomaly_score:
            raise ConfigError(
                f"decision.watch_score ({self.decision.watch_score:g}) must not exceed decision.anomaly_score "
                f"({self.decision.anomaly_score:g})"
            )

    def require_token(self) -> str:
        """Return the token; raise ConfigError where the environment has none."""
        if not self.token:
            raise ConfigError(
                f"no token: set the environment variable {TOKEN_VARIABLE} to the API token of your Lasair account"
            )
        return self.token


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
        If the file cannot be read, or a key is unknown, repeated, missing or mistyped; the message names it.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the configuration {path} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"the configuration {path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, Mapping):
        raise ConfigError(f"the configuration {path} has no keys; `annotator/example.yaml` is one to start from")
    try:
        config = _build(Config, document, "", path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if isinstance(config.ledger, PostgresAddress):
        ledger = dataclasses.replace(config.ledger, password=environ.get(PASSWORD_VARIABLE) or None)
        config = dataclasses.replace(config, ledger=ledger)
    return dataclasses.replace(config, token=environ.get(TOKEN_VARIABLE, "").strip() or None)


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable) or key in seen:
                what = "repeated" if isinstance(key, Hashable) else "not a plain name"
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is {what}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _build(cls: type, document: object, where: str, folder: Path) -> typing.Any:
    """Make the dataclass `cls` out of a YAML mapping; `where` is the path of keys that leads to it."""
    if not isinstance(document, Mapping):
        raise ConfigError(f"{where or 'the file'} must be a mapping of keys, found {_describe(document)}")
    fields = {item.name: item for item in dataclasses.fields(cls) if not item.metadata.get("secret")}
    kinds = typing.get_type_hints(cls)
    values = {}
    for key, value in document.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in fields:
            if key == "token":
                raise ConfigError(f"{name} must not be in the file: set the environment variable {TOKEN_VARIABLE}")
            raise ConfigError(f"unknown key {name}; known here: {', '.join(sorted(fields))}")
        values[key] = _value(kinds[key], value, name, folder)
        check = fields[key].metadata["check"]
        if check and (expected := check(values[key])):
            raise ConfigError(f"{name} must be {expected}; found {value!r}")
    for key, item in fields.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and key not in values:
            raise ConfigError(f"missing key {f'{where}.{key}' if where else key}")
        if key not in values and isinstance(item.default, Path):
            values[key] = folder / item.default
        if key not in values and dataclasses.is_dataclass(item.default):
            values[key] = _build(kinds[key], {}, key, folder)  # with its paths relative to the folder, too
    return cls(**values)


def _value(kind: typing.Any, value: object, name: str, folder: Path) -> typing.Any:
    """Convert one YAML value to what its field is declared as."""
    if kind == Source:
        return _source(value, name, folder)
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, name, folder)
    if kind in (Path | None, str | None, float | None, tuple[str, ...] | None):
        return None if value is None else _value(typing.get_args(kind)[0], value, name, folder)
    if kind == LedgerAddress and isinstance(value, str) and value:
        try:
            return read_address(value, folder)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
    if kind is Path and isinstance(value, str) and value:
        return folder / Path(value).expanduser()
    if kind == tuple[str, ...] and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str) and type(value) is kind and value != "":
        return value
    expected = {
        int: "a whole number",
        float: "a number",
        str: "text",
        Path: "a path",
        LedgerAddress: "a path or an address",
    }.get(kind, "a list of texts")
    raise ConfigError(f"{name} must be {expected}; found {_describe(value)}")


def _source(value: object, name: str, folder: Path) -> Source:
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or kind not in SOURCES:
        raise ConfigError(f"{name}.kind must be one of {', '.join(SOURCES)}; found {_describe(kind)}")
    source = _build(SOURCES[kind], {key: item for key, item in value.items() if key != "kind"}, name, folder)
    if isinstance(source, QuerySource) and source.filter.endswith(".sql"):
        return dataclasses.replace(source, filter=str(folder / source.filter))
    return source


def _describe(value: object) -> str:
    return "nothing" if value is None else repr(value)
