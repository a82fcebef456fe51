"""Memory over a long replay: is it flat?

    python -m tests.benchmarks.replay_memory [MESSAGES] [OBJECTS]

Messages of simulated objects come over Kafka, are scored, written to a ledger on disk and annotated over HTTP, as
`aha-annotator once` does it: three quarters in one pass, as after an outage, and the rest in short passes. The broker,
Lasair and whoever publishes are another process. Every message is a new state of its object, so that none is skipped,
and many change its class, so that annotations are sent again: the worst case.
"""

import dataclasses
import itertools
import logging
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from annotator.config import load_config
from annotator.models import load_models
from annotator.passes.report_text import summary
from annotator.passes.run import run_pass
from annotator.sandbox import Account, Sandbox, Topic, simulate_night
from tests.sources.kafka_faults import FaultyBroker

MESSAGES = 200_000
OBJECTS = 20_000
SAMPLE_MESSAGES = 20_000
SHORT_PASSES = 10
PARTITIONS = 128
"""The mock broker keeps 5 MB of each."""
TOKEN = "sandbox-token"
TOPIC = "lasair_2replay"

_CONFIGURATION = """
survey: ztf
lasair: {{endpoint: {endpoint}, calls_per_hour: 1000000}}
source: {{kind: stream, topic: {topic}, group_id: {topic}, broker: "{broker}"}}
annotation: {{topic: aha_ztf}}
decision: {{watch_score: 1.0, anomaly_score: 1.5}}  # so that a tenth is flagged
"""


def main(n_messages: int = MESSAGES, n_objects: int = OBJECTS) -> None:
    """Run the replay, and print the resident memory of the annotator every so many messages."""
    spawn = multiprocessing.get_context("spawn")
    world, there = spawn.Pipe()
    process = spawn.Process(target=be_the_world, args=(there, n_objects), daemon=True)
    process.start()
    with tempfile.TemporaryDirectory() as folder:
        endpoint, broker = world.recv()
        path = Path(folder) / "aha.yaml"
        path.write_text(_CONFIGURATION.format(endpoint=endpoint, topic=TOPIC, broker=broker))
        config = load_config(path, {"LASAIR_TOKEN": TOKEN})
        models = load_models(None, "ztf")
        # What is measured is the stream, the ledger and the outbox: nothing is fetched for the other models.
        models = dataclasses.replace(models, models={"features": models.models["features"]})
        print("messages read  resident memory of the annotator, MB")
        samples = Samples()
        seconds = 0.0
        n_sent = 0
        for n_new in (n_messages - n_messages // 4, *[n_messages // 4 // SHORT_PASSES] * SHORT_PASSES):
            world.send(n_new)
            world.recv()
            began_at = time.monotonic()
            report = run_pass(config, models)
            seconds += time.monotonic() - began_at
            assert report.scored == n_new and not report.problem, summary(report)
            n_sent += report.delivery.sent
            samples.end_pass()
        size_mb = sum(file.stat().st_size for file in Path(folder).glob("aha-ledger.sqlite*")) / 1e6
    world.send(0)
    process.join()
    samples.print_growth()
    print(f"{samples.read} messages in {1 + SHORT_PASSES} passes and {seconds:.0f} s")
    print(f"{n_sent} annotations sent, a ledger of {size_mb:.0f} MB")


class Samples(logging.Handler):
    """Resident memory by messages read; hears the service say after each batch how many it has read in this pass."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.read = 0
        self._passes: list[list[tuple[int, float]]] = [[(0, resident_mb())]]
        self._before = 0
        logger = logging.getLogger("annotator.passes.run")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a sample if so many messages were read since the last one."""
        if "so far" in record.msg:
            self.read = self._before + record.args[0]
            last = self._passes[-1][-1][0] if self._passes[-1] else self._before
            if self.read >= last + SAMPLE_MESSAGES:
                self._take()

    def end_pass(self) -> None:
        """Take a sample at the end of a pass."""
        self._take()
        self._passes.append([])
        self._before = self.read

    def _take(self) -> None:
        self._passes[-1].append((self.read, resident_mb()))
        print(f"{self.read:13}  {self._passes[-1][-1][1]:7.1f}", flush=True)

    def print_growth(self) -> None:
        """Say by how much memory grew, once the first batches had taken what they need.

        The long pass's last sample, after its end, is left out: what had been read ahead is free by then.
        """
        long, *short = self._passes
        ends = [samples[-1] for samples in short if samples]
        for name, rows in (
            ("in the second half of the long pass", long[len(long) // 2 : -1]),
            ("between short passes", ends),
        ):
            (first, before), (last, after) = rows[0], rows[-1]
            print(f"growth {name}: {(after - before) / (last - first) * 1e5:+.1f} MB in 100,000 messages")


def resident_mb() -> float:
    """Return this process's resident memory."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def be_the_world(annotator: Connection, n_objects: int) -> None:
    """Be Lasair, its broker, and the filter that publishes as many messages as it is asked for, until it is none."""
    began_at = time.time()
    server = Sandbox(
        accounts=[Account(TOKEN, "power")],
        topics=[Topic("aha_ztf", TOKEN)],
        clock=lambda: began_at + 1000 * (time.time() - began_at),  # so that the hour's calls never run out
    )
    with server, FaultyBroker() as broker:
        server.load({"objectId": object_id(number)} for number in range(n_objects))
        broker.create_topic(TOPIC, PARTITIONS)
        annotator.send((server.url, broker.bootstrap))
        states = simulated_states(n_objects)
        while n_new := annotator.recv():
            for start in range(0, n_new, 10_000):
                broker.publish(TOPIC, itertools.islice(states, min(10_000, n_new - start)))
            annotator.send("published")


def object_id(number: int) -> str:
    """Name a simulated object."""
    return f"ZTF99r{number:06d}"


def simulated_states(n_objects: int) -> Iterator[dict[str, object]]:
    """Yield states of random objects without end, each a little different from all others.

    All are of one epoch, since partitions are read one after the other, and an older state would be passed over.
    """
    rng = random.Random(1)
    rows = simulate_night(seed=1, n_objects=1000).rows()
    jd = max(row["jdmax"] for row in rows)
    while True:
        number = rng.randrange(n_objects)
        row = rows[number % len(rows)] if rng.random() < 0.95 else rng.choice(rows)
        brightness = {name: row[name] + rng.gauss(0, 0.05) for name in ("gmag", "rmag") if row[name]}
        yield row | brightness | {"objectId": object_id(number), "jdmax": jd}


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
