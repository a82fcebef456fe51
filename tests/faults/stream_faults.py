"""A stream that others read, that is recreated or forgets, and a ledger that is older than what was read of it."""

import atexit
import contextlib
import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import msgspec
from confluent_kafka import Consumer, Producer

from annotator.sources import kafka
from tests.faults.killing import in_a_process
from tests.faults.laboratory import Fault, Try, Verdict, judge
from tests.faults.process_faults import LEDGER
from tests.faults.scenario import Row, World, world
from tests.sources.kafka_faults import FaultyBroker

_TOPICS = itertools.count()
KEPT_BYTES = 5_000_000
"""Of each partition; what is older the broker forgets."""
N_PARTITIONS = 4
PATIENCE_S = 30.0
PAUSES_HOURS = (1.2, 24.0)
"""Between the passes of the day after: each costs a second of waiting for the broker."""


@functools.cache
def broker() -> FaultyBroker:
    """Start the one broker of this process."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(FaultyBroker())


@contextlib.contextmanager
def stream_world(t: Try, folder: Path, topic: str = "") -> Iterator[World]:
    """Bring about a world whose annotator reads a stream, about to make its first pass."""
    server = broker()
    if not topic:
        topic = f"lasair_2fault{next(_TOPICS)}"
        server.create_topic(topic, N_PARTITIONS)
    source = {"kind": "stream", "topic": topic, "group_id": topic, "broker": server.bootstrap}
    source["batch_messages"] = t.rng.choice((5, 500))
    with world(t.scenario, folder, source=source) as alive:
        alive.tell = functools.partial(server.publish, topic)
        yield alive


def foreign_reader(t: Try) -> Verdict:
    """Let somebody else of our group read some of the messages, and stay for our pass, or not."""
    with stream_world(t, t.folder) as life:
        source = life.config.source
        life.publish(t.scenario.waves[0])
        if t.rng.random() < 0.5:
            life.pass_()
            life.wait(1.0)
        life.publish(t.scenario.waves[1])
        group = {"bootstrap.servers": source.broker, "group.id": source.group_id, "auto.offset.reset": "earliest"}
        other = Consumer(group | {"log_level": 0})
        try:
            other.subscribe([source.topic])
            if other.consume(t.rng.randint(1, 40), timeout=PATIENCE_S):
                other.commit(asynchronous=False)
            stays = t.rng.random() < 0.5
            if stays:
                life.pass_()
        finally:
            other.close()
        life.settle(PAUSES_HOURS)
        return judge(life)


def order_of_partitions(t: Try) -> Verdict:
    """Let the states of the objects come in any order, each in any partition."""
    with stream_world(t, t.folder) as life:
        states = [row for wave in t.scenario.waves for row in wave]
        life.publish(t.rng.sample(states, len(states)))
        life.settle(PAUSES_HOURS)
        return judge(life)


def ledger_restored(t: Try) -> Verdict:
    """Put the ledger of before the second wave in the place of today's."""
    with stream_world(t, t.folder) as life:
        life.publish(t.scenario.waves[0])
        life.pass_()
        kept = (t.folder / LEDGER).read_bytes()
        life.publish(t.scenario.waves[1])
        life.wait(1.0)
        life.pass_()
        for end in ("-wal", "-shm"):
            (t.folder / f"{LEDGER}{end}").unlink(missing_ok=True)
        (t.folder / LEDGER).write_bytes(kept)
        life.settle(PAUSES_HOURS)
        return judge(life)


def topic_recreated(t: Try) -> Verdict:
    """Delete the topic, and make it anew with other messages in it."""
    with stream_world(t, t.folder) as life:
        life.publish(t.scenario.waves[0])
        life.pass_()
        life.wait(1.0)
        broker().delete_topic(life.config.source.topic)
        broker().create_topic(life.config.source.topic, N_PARTITIONS)
        life.publish(t.scenario.waves[1])
        life.settle(PAUSES_HOURS)
        return judge(life)


def retention_passed(t: Try) -> Verdict:
    """Let the broker forget messages that were not read, and what comes after them be read."""
    with stream_world(t, t.folder) as life:
        life.publish(t.scenario.waves[0])
        life.pass_()
        life.wait(1.0)
        stranger = dict(t.scenario.waves[0][0]) | {"objectId": "ZTF98forgotten", "padding": "x" * 700_000}
        _fill(life, stranger, round(1.3 * KEPT_BYTES / 700_000))
        life.publish(t.scenario.waves[1])
        life.settle(PAUSES_HOURS)
        return judge(life)


def _fill(life: World, row: Row, n_messages: int) -> None:
    producer = Producer({"bootstrap.servers": life.config.source.broker, "log_level": 0})
    for partition in range(N_PARTITIONS):
        for _ in range(n_messages):
            producer.produce(life.config.source.topic, json.dumps(row).encode(), partition=partition)
            producer.poll(0)
    assert producer.flush(PATIENCE_S) == 0


def broker_away(t: Try) -> Verdict:
    """Let the broker be away for a pass."""
    with stream_world(t, t.folder) as life:
        life.publish(t.scenario.waves[0])
        life.pass_()
        life.publish(t.scenario.waves[1])
        broker().go_down()
        try:
            with mock.patch.object(kafka, "PATIENCE_S", 2.0):
                life.pass_()
        finally:
            broker().come_back()
        life.settle(PAUSES_HOURS)
        return judge(life)


def killed(t: Try) -> Verdict:
    """Kill passes over a stream before any of their first steps, until one comes to its end."""
    with stream_world(t, t.folder) as life:
        for wave in t.scenario.waves:
            life.publish(wave)
            for _ in range(t.rng.randint(0, 2)):
                in_a_process(life.pass_, t.rng.randint(1, 250))
                life.wait(0.1)
        life.settle(PAUSES_HOURS)
        return judge(life)


def second_ledger(t: Try) -> Verdict:
    """Let a second worker with a ledger of its own read the same stream: both see everything."""
    beside = t.folder / "beside"
    beside.mkdir()
    with stream_world(t, t.folder) as life, stream_world(t, beside, life.config.source.topic) as other:
        other.server = life.server
        other.config = msgspec.structs.replace(other.config, lasair=life.config.lasair)
        for wave in t.scenario.waves:
            life.publish(wave)
            for worker in t.rng.sample((life, other), 2):
                worker.pass_()
            life.wait(1.0)
            other.wait(1.0)
        life.settle(PAUSES_HOURS)
        other.settle(PAUSES_HOURS)
        verdicts = judge(life), judge(other)
        return Verdict(
            max(verdict.lost for verdict in verdicts),
            max(verdict.changed for verdict in verdicts),
            tuple(note for verdict in verdicts for note in verdict.notes),
        )


FAULTS = (
    Fault("stream: foreign reader", 30, foreign_reader),
    Fault("stream: order of partitions", 30, order_of_partitions),
    Fault("stream: ledger restored", 25, ledger_restored),
    Fault("stream: topic recreated", 25, topic_recreated),
    Fault("stream: retention passed", 4, retention_passed),
    Fault("stream: broker away", 3, broker_away),
    Fault("stream: killed", 40, killed),
    Fault("stream: second worker, own ledger", 10, second_ledger),
)
