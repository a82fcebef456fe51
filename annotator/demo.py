"""`aha-annotator demo`: the whole job, from records to community filters, on the embedded Lasair."""

import json
import signal
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from annotator.config import TOKEN_VARIABLE, Config, load_config
from annotator.errors import ConfigError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.filters import FilterFile, list_filters, load_filter
from annotator.ledger import open_known
from annotator.models import ModelSet, load_models
from annotator.monitor.status import read_status, status_text
from annotator.owned_folder import own_folder, write_file
from annotator.passes.report_text import summary
from annotator.passes.run import note_announced, run_pass
from annotator.report.pages.light_curve_plot import need_matplotlib
from annotator.report.pages.write import write_pages
from annotator.report.read import read_night
from annotator.sandbox import Sandbox, simulate_night
from annotator.sandbox.kafka import StreamBroker, filter_rows
from annotator.sources.files import read_records
from annotator.surveys import SURVEYS

SURVEY = SURVEYS["ztf"]
"""Whose night it is."""
STREAM = "lasair_1InputZtf"
NIGHT_SEED = 7
NIGHT_OBJECTS = 400
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


def run_demo(folder: Path, records: Path | None, keep: bool) -> int:
    """Bring the sandbox up, stream a night, annotate it over HTTP, and run the community filters on the annotations.

    Parameters
    ----------
    folder
        Where the demo's files go: a new or empty folder, or an earlier demo's, whose files are replaced.
    records
        Recorded records to replay instead of the simulated night.
    keep
        Leave the sandbox up until interrupted.

    Returns
    -------
    int
        0 if all was annotated and nothing needs a person, else 1.
    """
    own_folder(folder, "demo")
    for name in _LEDGER_FILES:
        (folder / name).unlink(missing_ok=True)
    with (
        Sandbox() if records else Sandbox(simulate_night(NIGHT_SEED, NIGHT_OBJECTS)) as sandbox,
        StreamBroker() as broker,
    ):
        if records:
            n_objects, messages = _replayed(records, sandbox)
            what = f"{n_objects} recorded objects of {records}"
        else:
            messages = filter_rows(sandbox.database, load_filter(SURVEY.input_filter, SURVEY.name))
            what = f"{NIGHT_OBJECTS} SIMULATED objects"
        n_messages = broker.publish(STREAM, messages)
        print(f"An embedded Lasair is up at {sandbox.url}, with {what}.")
        where = f"{STREAM} at {broker.bootstrap}"
        print(f"Its filter {SURVEY.input_filter} has put {n_messages} messages into Kafka: {where}.")
        # A recorded file is replayed as it is: the embedded Lasair knows no more of its objects.
        config = _configure(folder, sandbox, broker, object_share=0.0 if records else 0.5)
        models = load_models(config.models, config.survey)
        report = run_pass(config, models)
        print("\nOne pass of the annotator over the stream, with Lasair's own client, over HTTP:")
        print("  " + summary(report).replace("\n", "\n  "))
        note_announced(config, report)
        write_file(folder / "annotations.json", json.dumps(sandbox.annotations(), indent=1).encode())
        print("\nWhat astronomers get who run the shipped filters on these annotations:")
        for community_filter in _community_filters():
            print("\n".join(_table(community_filter, _run(community_filter, config))))
        status = read_status(config, time.time())
        print("\nAnd what the operator sees (`aha-annotator status`):")
        print("  " + status_text(status).replace("\n", "\n  "))
        print(f"\nFiles, in {folder.resolve()}:")
        print("  aha.yaml          the configuration of this pass")
        print("  ledger.sqlite     every score and annotation, the calls, the refused records")
        print("  annotations.json  what the embedded Lasair holds now")
        print("\nThe ranked night, to be opened in a browser (`aha-annotator report`, and `inspect` to judge it on):")
        print(_report(config, models, folder / "report"), flush=True)
        if keep:
            _wait_for_interrupt(sandbox, folder)
    return 1 if status.attention else 0


def _report(config: Config, models: ModelSet, folder: Path) -> Path | str:
    """Write the night's pages and return where they begin, or how to get what they are made with."""
    try:
        need_matplotlib()
    except ConfigError as error:
        return str(error)
    return write_pages(read_night(config, models, time.time()), config.models, config.survey, folder).resolve()


def _replayed(path: Path, sandbox: Sandbox) -> tuple[int, list[Mapping[str, object]]]:
    """Read recorded records and load those that are objects; the others are left for the annotator to refuse."""
    messages = [
        dict(record) if isinstance(record, Mapping) else {"unreadable": str(record)}
        for record in read_records(path, SURVEY)
    ]
    objects = [row for row in messages if SURVEY.object_id(row)]
    if not objects:
        raise ConfigError(f"{path} holds no record with an {SURVEY.id_column} to replay")
    return sandbox.load(objects), messages


def _configure(folder: Path, sandbox: Sandbox, broker: StreamBroker, object_share: float) -> Config:
    path = folder / "aha.yaml"
    text = _CONFIGURATION.format(
        survey=SURVEY.name,
        endpoint=sandbox.url,
        object_share=object_share,
        topic=STREAM,
        broker=broker.bootstrap,
        annotator=SURVEY.topic,
    )
    write_file(path, text.encode())
    return load_config(path, {TOKEN_VARIABLE: _TOKEN})


def _community_filters() -> list[FilterFile]:
    """Return the filters on annotations, what most people run first, what an operator checks last."""
    filters = [item for item in list_filters(SURVEY.name) if item.annotators]
    return sorted(filters, key=lambda item: (item.name != "tonights_anomalies", item.name == "artefacts"))


def _run(community_filter: FilterFile, config: Config) -> list[dict]:
    with open_known(config.ledger) as ledger:
        budget = CallBudget(ledger, config.lasair.usable_calls_per_hour, config.lasair.read_share)
        api = LasairApi(SURVEY, config.lasair.endpoint, config.require_token(), config.lasair.timeout_s, budget)
        return api.query(community_filter.selected, community_filter.tables, community_filter.conditions, 1000)


def _table(community_filter: FilterFile, rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Lay out the first rows of a filter's answer, the explanation on a line of its own."""
    summary = textwrap.fill(
        community_filter.summary.splitlines()[0], _WIDTH, initial_indent="  ", subsequent_indent="  "
    )
    yield f"\n{community_filter.name}: {len(rows)} objects\n{summary}"
    for number, row in enumerate(rows[:SHOWN_ROWS]):
        values = {name: value for name, value in row.items() if name != "explanation"}
        if number == 0:
            yield "  " + "".join(
                f"{name[: _COLUMN_WIDTH - 1]:<{_COLUMN_WIDTH}}" for name in list(values)[:_SHOWN_COLUMNS]
            )
        yield "  " + "".join(f"{_cell(value):<{_COLUMN_WIDTH}}" for value in list(values.values())[:_SHOWN_COLUMNS])
        if row.get("explanation"):
            yield textwrap.fill(str(row["explanation"]), _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    if len(rows) > SHOWN_ROWS:
        yield f"  ... and {len(rows) - SHOWN_ROWS} more"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return "-" if value is None else str(value)[: _COLUMN_WIDTH - 1]


def _wait_for_interrupt(sandbox: Sandbox, folder: Path) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print(f"\nThe embedded Lasair stays up at {sandbox.url} until Ctrl-C. In another terminal:")
    print(f"  {TOKEN_VARIABLE}={_TOKEN} aha-annotator check -c {folder / 'aha.yaml'}", flush=True)
    stop.wait()
