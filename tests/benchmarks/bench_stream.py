"""Throughput of stream, ledger and outbox (`make bench`): Kafka's protocol, SQLite on disk, HTTP, all on this machine.

The object features alone are scored, so that what is measured is the way in and the way out. Simulated records; the
broker and Lasair are the embedded ones, in this process, and share its processor.
"""

import dataclasses
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import func, select

from annotator.config import load_config
from annotator.ledger import Ledger
from annotator.ledger.store.schema import outbox
from annotator.models import load_models
from annotator.passes.run import run_pass
from annotator.sandbox import Sandbox, simulate_night
from annotator.sandbox.kafka import StreamBroker
from annotator.sources.kafka import stream_batches

MESSAGES = 3000
TOPIC = "lasair_1bench"
_CONFIGURATION = """
survey: ztf
lasair: {{endpoint: '{endpoint}', calls_per_hour: 1000000}}
source: {{kind: stream, topic: {topic}, group_id: {group}, broker: '{broker}'}}
annotation: {{topic: aha_ztf}}
decision: {{watch_score: 0.5}}
"""


def main() -> None:
    """Print what passes in a second."""
    models = load_models(None, "ztf")
    models = dataclasses.replace(models, models={"features": models.models["features"]})
    rows = simulate_night(seed=1, n_objects=MESSAGES).rows()
    with Sandbox() as sandbox, StreamBroker() as broker, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sandbox.load(rows)
        broker.publish(TOPIC, rows)

        def configure(group: str):
            text = _CONFIGURATION.format(endpoint=sandbox.url, topic=TOPIC, group=group, broker=broker.bootstrap)
            (folder / "aha.yaml").write_text(text)
            return load_config(folder / "aha.yaml", {"LASAIR_TOKEN": "sandbox-token"})

        source = configure("reader").source
        print(f"first message  {_first_after_a_kill_s(source):8.3f} s after the start that follows a SIGKILL")
        first_s, reading_s = _read(source)
        print(f"stream alone   {MESSAGES / reading_s:8.0f} messages/s, the first batch after {first_s:.3f} s")
        began = time.perf_counter()
        report = run_pass(configure("writer"), models)
        whole_s = time.perf_counter() - began
        print(f"whole pass     {MESSAGES / whole_s:8.0f} messages/s, {report.delivery.sent} annotated")
        with Ledger(folder / "aha-ledger.sqlite") as ledger:
            sending_s = _sending_s(ledger)
        print(f"outbox         {report.delivery.sent / sending_s:8.0f} annotations/s, one call and one commit each")


_DYING = """
import os, signal, sys
from annotator.config import StreamSource
from annotator.sources.kafka import stream_batches
batches = stream_batches(StreamSource(*sys.argv[1:]), None)
next(batches).commit()
next(batches)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _first_after_a_kill_s(source) -> float:
    """Kill a reader amid a batch; return the seconds from the next one's start to its first message."""
    died = subprocess.run([sys.executable, "-c", _DYING, source.topic, source.group_id, source.broker], check=False)
    assert died.returncode == -signal.SIGKILL
    return _read(source)[0]


def _read(source) -> tuple[float, float]:
    """Read the whole stream and do nothing with it; return the seconds to the first batch, and from there."""
    began = time.perf_counter()
    batches = stream_batches(source, None)
    next(batches)
    first = time.perf_counter()
    for _ in batches:
        pass
    return first - began, time.perf_counter() - first


def _sending_s(ledger: Ledger) -> float:
    first, last = ledger.database.row(select(func.min(outbox.c.sent_at), func.max(outbox.c.sent_at)))
    return last - first


if __name__ == "__main__":
    main()
