"""`aha-annotator demo`: the whole job, from records to community filters, on the embedded Lasair."""

import json
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from annotator.config import Config, load_config
from annotator.errors import ConfigError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.filters import FilterFile, list_filters, load_filter
from annotator.lasair_token import TOKEN_VARIABLE
from annotator.ledger import open_known
from annotator.models import ModelSet, load_models
from annotator.monitor.status import read_status, status_text
from annotator.owned_folder import own_folder, write_file
from annotator.passes.delivery import SETTLES_S
from annotator.passes.report_text import summary
from annotator.passes.run import note_announced, run_pass
from annotator.report.pages.light_curve_plot import need_matplotlib
from annotator.report.pages.write import write_pages
from annotator.report.read import read_night
from annotator.sandbox import LsstSandbox, Sandbox, simulate_night, simulate_rubin_night
from annotator.sandbox.kafka import StreamBroker, filter_rows
from annotator.sandbox.lasair.embedded import EmbeddedLasair
from annotator.sandbox.lasair.lsst.stream import encoded, stream_messages
from annotator.sources.files import read_records
from annotator.surveys import SURVEYS, Survey

NIGHT_SEED = 7
NIGHT_OBJECTS = 400
DUPLICATED = 0.1
"""The share of Rubin's messages that come twice in a second."""
SHOWN_ROWS = 5
_TOKEN = "sandbox-token"  # of the embedded Lasair alone; no secret
_COLUMN_WIDTH = 14
_SHOWN_COLUMNS = 7
_WIDTH = 100
_INDENT = "      "

_LEDGER_FILES = tuple(f"ledger.sqlite{end}" for end in ("", "-wal", "-shm", ".id"))

_CONFIGURATION = """# Written by `aha-annotator demo` for its embedded Lasair, which lives as long as the demo does.
survey: {survey}
lasair:
  endpoint: {endpoint}
  calls_per_hour: 10000
  object_share: {object_share}
source:
  kind: stream
  topic: {topic}
  group_id: aha-demo
  broker: {broker}
cutouts:
  cache_megabytes: 0  # they come from next door
annotation:
  topic: {annotator}
ledger: ledger.sqlite
"""


class _Now:
    """The present of the demo, in seconds since 1970, which can be put on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@dataclass(frozen=True)
class _Stage:
    """Where the demo of a survey is played."""

    survey: Survey
    stream: str
    open: Callable[[int | None, Callable[[], float]], EmbeddedLasair]
    """Make its embedded Lasair, of a night of so many objects or of none, by a clock."""
    send: Callable[[StreamBroker, str, EmbeddedLasair, FilterFile], int]
    """Put what a filter selects into a stream; return how many messages."""


def _send_rows(broker: StreamBroker, stream: str, sandbox: EmbeddedLasair, filter_file: FilterFile) -> int:
    return broker.publish(stream, filter_rows(sandbox.database, filter_file))


def _send_with_light_curves(broker: StreamBroker, stream: str, sandbox: LsstSandbox, filter_file: FilterFile) -> int:
    messages = stream_messages(
        sandbox.database,
        sandbox.records,
        filter_file,
        "lite",
        duplicated=DUPLICATED,
        seed=NIGHT_SEED,
        now_s=sandbox.clock(),
    )
    return broker.publish_raw(stream, encoded(messages))


_STAGES: Mapping[str, _Stage] = MappingProxyType(
    {
        "ztf": _Stage(
            SURVEYS["ztf"],
            "lasair_1InputZtf",
            lambda n, clock: Sandbox(simulate_night(NIGHT_SEED, n) if n else None, clock=clock),
            _send_rows,
        ),
        "lsst": _Stage(
            SURVEYS["lsst"],
            "lasair_1InputLsst",
            lambda n, clock: LsstSandbox(simulate_rubin_night(NIGHT_SEED, n) if n else None, clock=clock),
            _send_with_light_curves,
        ),
    }
)
"""By the survey's name."""

DEMO_SURVEYS = tuple(_STAGES)


def run_demo(folder: Path, records: Path | None, keep: bool, survey: str = "ztf") -> int:
    """Bring the sandbox up, stream a night, annotate it over HTTP, and run the community filters on the annotations.

    Parameters
    ----------
    folder
        Where the demo's files go: a new or empty folder, or an earlier demo's, whose files are replaced.
    records
        Recorded records to replay instead of the simulated night.
    keep
        Leave the sandbox up until interrupted.
    survey
        Whose night it is.

    Returns
    -------
    int
        0 if all was annotated and nothing needs a person, else 1.
    """
    own_folder(folder, "demo")
    for name in _LEDGER_FILES:
        (folder / name).unlink(missing_ok=True)
    stage, now = _STAGES[survey], _Now()
    with stage.open(None if records else NIGHT_OBJECTS, now) as sandbox, StreamBroker() as broker:
        if records:
            n_objects, messages = _replayed(records, sandbox, stage.survey)
            what = f"{n_objects} recorded objects of {records}"
            n_messages = broker.publish(stage.stream, messages)
        else:
            what = f"{NIGHT_OBJECTS} SIMULATED objects"
            input_filter = load_filter(stage.survey.input_filter, survey)
            n_messages = stage.send(broker, stage.stream, sandbox, input_filter)
        print(f"An embedded {sandbox.name} is up at {sandbox.url}, with {what}.")
        where = f"{stage.stream} at {broker.bootstrap}"
        print(f"Its filter {stage.survey.input_filter} has put {n_messages} messages into Kafka: {where}.")
        # A recorded file is replayed as it is: the embedded Lasair knows no more of its objects.
        config = _configure(folder, sandbox, broker, stage, object_share=0.0 if records else 0.5)
        models = load_models(config.models, config.survey)
        if models.provisional:
            print(f"The models of {survey} are PROVISIONAL: {models.provisional}.")
        print("\nOne pass of the annotator over the stream, with Lasair's own client, over HTTP:")
        _pass(config, models, now)
        if stage.survey.queues_annotations:
            now.ahead_s += 2 * SETTLES_S
            print("\nThis Lasair only queues annotations. Two minutes later, by a clock that is put on, the next pass:")
            _pass(config, models, now)
        write_file(folder / "annotations.json", json.dumps(sandbox.annotations(), indent=1).encode())
        print("\nWhat astronomers get who run the shipped filters on these annotations:")
        for community_filter in _community_filters(survey):
            print("\n".join(_table(community_filter, _run(community_filter, config))))
        status = read_status(config, now())
        print("\nAnd what the operator sees (`aha-annotator status`):")
        print("  " + status_text(status).replace("\n", "\n  "))
        print(f"\nFiles, in {folder.resolve()}:")
        print("  aha.yaml          the configuration of this pass")
        print("  ledger.sqlite     every score and annotation, the calls, the refused records")
        print("  annotations.json  what the embedded Lasair holds now")
        print("\nThe ranked night, to be opened in a browser (`aha-annotator report`, and `inspect` to judge it on):")
        print(_report(config, models, folder / "report", now()), flush=True)
        if keep:
            _wait_for_interrupt(sandbox, folder)
    return 1 if status.attention else 0


def _pass(config: Config, models: ModelSet, now: Callable[[], float]) -> None:
    """Make a pass, and say what it did."""
    report = run_pass(config, models, now)
    print("  " + summary(report).replace("\n", "\n  "))
    note_announced(config, report, now)


def _report(config: Config, models: ModelSet, folder: Path, now_s: float) -> Path | str:
    """Write the night's pages and return where they begin, or how to get what they are made with."""
    try:
        need_matplotlib()
    except ConfigError as error:
        return str(error)
    return write_pages(read_night(config, models, now_s), config.models, config.survey, folder).resolve()


def _replayed(path: Path, sandbox: EmbeddedLasair, survey: Survey) -> tuple[int, list[Mapping[str, object]]]:
    """Read recorded records and load those that are objects; the others are left for the annotator to refuse."""
    messages = [
        dict(record) if isinstance(record, Mapping) else {"unreadable": str(record)}
        for record in read_records(path, survey)
    ]
    objects = [(object_id, row) for row in messages if (object_id := survey.object_id(row))]
    if not objects:
        raise ConfigError(f"{path} holds no record with an {survey.id_column} to replay")
    # Parts of a record, such as a stream's light curve, are read of the message alone.
    sandbox.load(
        {name: value for name, value in row.items() if not isinstance(value, Mapping)}
        | {survey.id_column: survey.id_value(object_id)}
        for object_id, row in objects
    )
    return len({object_id for object_id, _ in objects}), messages


def _configure(
    folder: Path, sandbox: EmbeddedLasair, broker: StreamBroker, stage: _Stage, object_share: float
) -> Config:
    path = folder / "aha.yaml"
    text = _CONFIGURATION.format(
        survey=stage.survey.name,
        endpoint=sandbox.url,
        object_share=object_share,
        topic=stage.stream,
        broker=broker.bootstrap,
        annotator=stage.survey.topic,
    )
    write_file(path, text.encode())
    return load_config(path, {TOKEN_VARIABLE: _TOKEN})


def _community_filters(survey: str) -> list[FilterFile]:
    """Return the filters on annotations, what most people run first, what an operator checks last."""
    filters = [item for item in list_filters(survey) if item.annotators]
    return sorted(filters, key=lambda item: (item.name != "tonights_anomalies", item.name == "artefacts"))


def _run(community_filter: FilterFile, config: Config) -> list[dict]:
    with open_known(config.ledger) as ledger:
        budget = CallBudget(ledger, config.lasair.usable_calls_per_hour, config.lasair.read_share)
        api = LasairApi(
            SURVEYS[config.survey], config.lasair.endpoint, config.require_token(), config.lasair.timeout_s, budget
        )
        return api.query(community_filter.selected, community_filter.tables, community_filter.conditions, 1000)


def _table(community_filter: FilterFile, rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Lay out the first rows of a filter's answer, the explanation on a line of its own."""
    summary = textwrap.fill(
        community_filter.summary.splitlines()[0], _WIDTH, initial_indent="  ", subsequent_indent="  "
    )
    yield f"\n{community_filter.name}: {len(rows)} objects\n{summary}"
    for number, row in enumerate(rows[:SHOWN_ROWS]):
        values = {name: value for name, value in row.items() if name != "explanation"}
        (id_column, object_id), *others = list(values.items())[:_SHOWN_COLUMNS]
        width = max(_COLUMN_WIDTH, len(str(object_id)) + 2)  # all digits of it
        if number == 0:
            names = "".join(f"{name[: _COLUMN_WIDTH - 1]:<{_COLUMN_WIDTH}}" for name, _ in others)
            yield f"  {id_column:<{width}}{names}".rstrip()
        cells = "".join(f"{_cell(value):<{_COLUMN_WIDTH}}" for _, value in others)
        yield f"  {object_id!s:<{width}}{cells}".rstrip()
        if row.get("explanation"):
            yield textwrap.fill(str(row["explanation"]), _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    if len(rows) > SHOWN_ROWS:
        yield f"  ... and {len(rows) - SHOWN_ROWS} more"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return "-" if value is None else str(value)[: _COLUMN_WIDTH - 1]


def _wait_for_interrupt(sandbox: EmbeddedLasair, folder: Path) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print(f"\nThe embedded Lasair stays up at {sandbox.url} until Ctrl-C. In another terminal:")
    print(f"  {TOKEN_VARIABLE}={_TOKEN} aha-annotator check -c {folder / 'aha.yaml'}", flush=True)
    stop.wait()
