"""What goes wrong at Rubin's Lasair alone: a queue of annotations that is late, out of order, lossy or down.

And what goes wrong at any Lasair, there: annotations go in batches, objects reach its main database after the stream,
light curves come in another message, ids are numbers.
"""

import dataclasses
import itertools
import random
from collections.abc import Iterable, Sequence
from types import MappingProxyType

from annotator.sandbox.lasair.lsst.queue import AS_MEASURED, Queueing
from tests.faults import clock_faults, hostile_faults, memory_faults, process_faults, server_faults
from tests.faults.laboratory import Fault, Try, Verdict, judge
from tests.faults.rubin import bare_copies, earlier, on_rubin, told
from tests.faults.scenario import TIMEOUT_S, Row, World, begun_world
from tests.faults.server_faults import SHAPES, STATUSES, under
from tests.faults.stream_faults import PAUSES_HOURS, stream_world

BATCH_ENDPOINT = "annotatelist"
SUCCESS = {"status": "success"}
POISON = MappingProxyType(
    {"objectId": str(2**63), "topic": "somebody", "version": "1", "classification": "x"}
    | {"explanation": "", "classdict": "{}", "url": ""}
)
"""An annotation that Lasair takes, and of which its consumer dies."""
LATE_S = (30.0, 900.0, 7200.0)
MAX_WRITES = 12
"""Of one object in a day, whatever Lasair does: each triggers other people's filters."""


def _queued(t: Try, queueing: Queueing) -> Verdict:
    """Let three states of all objects come soon one after the other, and their annotations be queued in such a way."""
    last = list(t.scenario.last_states().values())
    with begun_world(t.scenario, t.folder) as life:
        life.server.queue.queueing = queueing
        for wave in ([earlier(state, 2) for state in last], [earlier(state) for state in last], last):
            life.publish(wave)
            life.pass_()
            life.wait(t.rng.choice((0.005, 0.2)))
        life.settle(t.rng.choice(((), (1.2,), (1.2, 6.0))))
        life.server.queue.queueing = AS_MEASURED
        life.settle((2.5, 12.0, 8.0, 6.0, 1.2))
        return judge(life, *_too_many_writes(life))


def applied_late(t: Try) -> Verdict:
    """Let Lasair apply annotations in any order, some of them hours after it has acknowledged them."""
    return _queued(t, Queueing(late_share=0.6, late_s=t.rng.choice(LATE_S), seed=t.number))


def never_applied(t: Try) -> Verdict:
    """Let Lasair acknowledge annotations, batches of them, and never apply some or any of them."""
    return _queued(t, Queueing(lost_share=t.rng.choice((0.2, 0.6, 1.0)), seed=t.number))


def applied_twice(t: Try) -> Verdict:
    """Let Lasair apply annotations once more, after newer ones of their objects, too."""
    return _queued(t, Queueing(late_share=0.3, late_s=t.rng.choice(LATE_S), twice_share=0.6, seed=t.number))


def queue_down(t: Try) -> Verdict:
    """Let the consumer of annotations be down for minutes, an hour or more than a day: somebody's id has ended it."""
    with begun_world(t.scenario, t.folder) as life:
        life.server.queue.put(POISON)
        life.publish(t.scenario.waves[1])
        for hours in t.rng.choice(((0.2, 0.3), (0.5, 0.6), (1.0, 1.0, 1.0), (1.0, 6.0, 12.0, 12.0))):
            life.pass_()
            life.wait(hours)
        notes = [] if life.server.queue.why_dead else ["the consumer was never down"]
        life.server.queue.restart(without_the_poison=True)
        life.settle()
        return judge(life, *notes, *_too_many_writes(life))


def _too_many_writes(life: World) -> Iterable[str]:
    writes = max(life.writes(name) for name in life.scenario.object_ids)
    return [f"one object was written {writes} times"] if writes > MAX_WRITES else []


def older_one_read_back(t: Try) -> Verdict:
    """Let queries show annotations as they were before the pass, as from a copy of the database that lags behind."""
    with begun_world(t.scenario, t.folder) as life:
        older = {row["diaObjectId"]: row for row in life.server.database.annotations()}
        query = life.server.database.query

        def lagging(selected: str, tables: str, *of: object, **by_name: object) -> list[Row]:
            rows = query(selected, tables, *of, **by_name)
            if "annotator:" not in tables:
                return rows
            there = [row for row in rows if row["diaObjectId"] in older]
            return [row | {name: older[row["diaObjectId"]][name] for name in row} for row in there]

        life.publish(t.scenario.waves[1])
        life.server.database.query = lagging
        for hours in t.rng.choice(((0.2,), (0.2, 0.5, 0.5), (0.5, 0.6, 3.0))):
            life.pass_()
            life.wait(hours)
        life.server.database.query = query
        life.settle()
        return judge(life, *_too_many_writes(life))


def batch_half_applied(t: Try) -> Verdict:
    """Let Lasair take half of a batch, and say that it did not, that something broke, or that all is well."""
    status = t.rng.choice((200, 400, 500, 503))
    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        content = {"content": SUCCESS} if status == 200 else {}
        times, share = t.rng.choice((1, 2, None)), t.rng.choice((0.5, 1.0))
        life.server.misbehave(BATCH_ENDPOINT, "half", status=status, times=times, share=share, **content)
        life.pass_()
        life.server.behave()
        life.settle()
        return judge(life)


def light_curve_in_the_next_pass(t: Try) -> Verdict:
    """Let the copies of messages that carry light curves come a pass or a day after those without, or before them."""
    wave = t.scenario.waves[1]
    parts = t.rng.sample([bare_copies(wave), t.scenario.told(wave)], 2)
    with begun_world(t.scenario, t.folder) as life:
        life.server.load(wave)
        for part in parts:
            life.tell(t.rng.sample(part, len(part)))
            life.pass_()
            life.wait(t.rng.choice((0.01, 1.0, 24.0)))
        life.settle()
        return judge(life)


def poison_ids(t: Try) -> Verdict:
    """Let messages come whose ids would end Lasair's consumer, or are ids of nothing: none may ever be sent."""
    wave = t.scenario.waves[1]
    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        numbers = (2**63, 2**63 + 1, 2**64, 10**25, 0, -1, -(2**63), None, 9.3e18, "", "9" * 19, "9" * 400)
        poison = [t.rng.choice(numbers) for _ in range(20)]
        life.tell([t.rng.choice(wave) | {"diaObjectId": value} for value in poison])
        n_written = len(life.written)
        life.pass_()
        life.settle()
        known = set(t.scenario.object_ids)
        strangers = {row["objectId"] for row in life.written[n_written:]} - known
        dead = life.server.queue.why_dead
        notes = [f"annotations of {sorted(strangers)} were written"] * bool(strangers) + [dead] * bool(dead)
        return dataclasses.replace(judge(life, *notes), inputs=len(poison))


def stamps_sent_on(t: Try) -> Verdict:
    """Let cutouts be sent on and on, to the same path with or without its slash, or with no body, for a pass."""
    with begun_world(t.scenario, t.folder, ("triplet",)) as life:
        life.publish(t.scenario.waves[1])
        location = t.rng.choice(("", "./", "..", "/fits/1_cutoutScience", f"{life.server.root_url}/"))
        share = t.rng.choice((0.3, 1.0))
        life.server.misbehave("cutout", "redirect", status=t.rng.choice((301, 302, 308)), content=location, share=share)
        life.pass_()
        life.server.behave()
        life.settle()
        return judge(life)


def stream(t: Try) -> Verdict:
    """Let messages of the three kinds come in any order, in any partition, and passes be killed now and then."""
    states = [*t.scenario.waves[0], *t.scenario.waves[1]]
    with stream_world(t, t.folder) as life:
        life.server.load(t.scenario.last_states().values())
        messages = told(t.number, states, without=0.3)
        for part in _parts(t.rng.sample(messages, len(messages)), t.rng):
            life.tell(part)
            for _ in range(t.rng.randint(0, 2)):
                process_faults.in_a_process(life.pass_, t.rng.randint(1, 250))
                life.wait(0.1)
        life.settle(PAUSES_HOURS)
        return judge(life)


def _parts(messages: Sequence[Row], rng: random.Random) -> Iterable[Sequence[Row]]:
    ends = [0, *sorted(rng.sample(range(len(messages)), 2)), len(messages)]
    return [messages[start:end] for start, end in itertools.pairwise(ends)]


_ANY_ORDER = (
    *(("delay", {"seconds": [0.05, 2 * TIMEOUT_S]}), ("hang", {}), ("hang_after", {"times": [1, 2]})),
    *(("drop", {}), ("drop_after", {}), ("truncate", {}), ("garble", {}), ("lie", {}), ("duplicate", {})),
    *(("refuse", {"status": list(STATUSES)}), ("page", {"status": [200, *STATUSES]}), ("no_database", {})),
    *(("answer", {"content": list(SHAPES)}), ("late", {"seconds": list(LATE_S)})),
    ("repeat_token", {"status": [200, 400, 401, 403, 500, 503]}),
)

FAULTS = tuple(
    Fault(f"lsst: {name}", tries, on_rubin(run))
    for name, tries, run in (
        ("applied late, in any order", 30, applied_late),
        ("acknowledged, never applied", 20, never_applied),
        ("applied twice", 25, applied_twice),
        ("queue down", 20, queue_down),
        ("older one read back", 25, older_one_read_back),
        ("batch half applied", 30, batch_half_applied),
        ("server misbehaves", 60, under(*_ANY_ORDER)),
        ("object not visible", 20, server_faults.not_visible),
        ("killed before a step", 60, process_faults.killed),
        ("our clock wrong", 20, clock_faults.our_clock_wrong),
        ("annotations lost", 12, memory_faults.annotations_lost),
        ("annotations older", 12, memory_faults.annotations_older),
        ("ledger restored", 12, memory_faults.ledger_restored),
        ("light curve in the next pass", 20, light_curve_in_the_next_pass),
        ("poison ids", 12, poison_ids),
        ("stamps sent on", 10, stamps_sent_on),
        ("hostile lines of a file", 10, hostile_faults.records_of_a_file),
        ("stream of three kinds", 12, stream),
    )
)
