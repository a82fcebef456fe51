"""A Lasair that is slow, breaks off, lies, is not there, or answers what nobody expects."""

import json
import threading
from collections.abc import Callable, Iterable

from annotator.sandbox import Sandbox
from tests.faults.laboratory import Fault, Try, Verdict, judge
from tests.faults.scenario import TIMEOUT_S, Row, World, begun_world

HANG_GUARD_S = 300.0
ENDPOINTS = {"ztf": ("query", "annotate"), "lsst": ("query", "annotate", "annotatelist")}
NOT_NUMBERS = float("nan")
SHAPES = (None, 5, NOT_NUMBERS, "text", True, [], {}, [[1]], [None], {"objectId": {}}, {"detail": "down"}, [{"a": 1}])
STATUSES = (301, 400, 403, 404, 405, 429, 500, 502, 503, 504)


def under(*orders: tuple[str, dict[str, object]]) -> Callable[[Try], Verdict]:
    """Make the fault of a Lasair that carries out one of these orders for some calls of a pass, or for all."""

    def run(t: Try) -> Verdict:
        kind, options = t.rng.choice(orders)
        choices = {name: t.rng.choice(value) if isinstance(value, list) else value for name, value in options.items()}
        endpoint = choices.pop("endpoint", None) or t.rng.choice(ENDPOINTS[t.scenario.survey])
        with begun_world(t.scenario, t.folder) as life:
            life.publish(t.scenario.waves[1])
            life.server.misbehave(endpoint, kind, share=t.rng.choice((0.2, 0.5, 1.0)), **choices)
            notes = bounded(life)
            life.server.behave()
            life.settle()
            return judge(life, *notes)

    return run


def bounded(life: World) -> Iterable[str]:
    """Make a pass that must end by itself; let its Lasair close after a minute."""
    thread = threading.Thread(target=life.pass_, daemon=True)
    thread.start()
    thread.join(HANG_GUARD_S)
    if not thread.is_alive():
        return ()
    life.server.closing.set()
    thread.join()
    return (f"a pass had not ended after {HANG_GUARD_S:.0f} s",)


def sent_elsewhere(t: Try) -> Verdict:
    """Let Lasair send the annotator on to another host, which must not hear of it."""
    endpoint = t.rng.choice(ENDPOINTS[t.scenario.survey])
    with Sandbox() as elsewhere, begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        url = f"{elsewhere.url.replace('127.0.0.1', 'localhost')}/{endpoint}/"
        status = t.rng.choice((301, 302, 303, 307, 308))
        life.server.misbehave(endpoint, "redirect", status=status, content=url, share=t.rng.choice((0.3, 1.0)))
        life.pass_()
        life.server.behave()
        life.settle()
        return judge(life, *(["another host was asked"] if elsewhere.calls else []))


def database_away(t: Try) -> Verdict:
    """Let Lasair's databases be away for some passes."""
    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        life.server.misbehave("*", "no_database", share=t.rng.choice((0.3, 1.0)))
        for _ in range(t.rng.randint(1, 4)):
            life.pass_()
            life.wait(t.rng.uniform(0.1, 3.0))
        life.server.behave()
        life.settle()
        return judge(life)


def applied_in_any_order(t: Try) -> Verdict:
    """Let Lasair apply annotations in any order, some of them hours after it has acknowledged them."""
    again = [t.scenario.last_states()[str(row["objectId"])] for row in t.scenario.waves[0]]
    waves = (t.scenario.waves[1], _later(t.scenario.waves[0], 0.03), _later(again, 0.06))
    with begun_world(t.scenario, t.folder) as life:
        life.server.misbehave("annotate", "late", share=0.6, seconds=t.rng.choice((30.0, 900.0, 7200.0)))
        for wave in waves:
            life.publish(wave)
            life.pass_()
            life.wait(t.rng.choice((0.005, 0.2)))
        life.settle()
        life.server.behave()
        life.settle()
        return judge(life)


def _later(wave: Iterable[Row], days: float) -> list[Row]:
    return [row | {"jdmax": row["jdmax"] + days} for row in wave]


def not_visible(t: Try) -> Verdict:
    """Let the main database lack objects whose records have come, for minutes, hours or more than a day."""
    hidden = t.rng.sample(t.scenario.object_ids, t.rng.randint(1, len(t.scenario.object_ids)))
    records = t.folder / "records.jsonl"
    with begun_world(t.scenario, t.folder, source={"kind": "file", "path": str(records)}) as life:
        records.write_text("".join(json.dumps(row) + "\n" for wave in t.scenario.waves for row in wave))
        life.publish(t.scenario.waves[1])
        life.server.hide(hidden)
        for hours in t.rng.choice(((0.2,), (0.2, 1.0, 3.0), (1.0, 8.0, 12.0, 8.0))):
            life.pass_()
            life.wait(hours)
        writes = max(life.writes(name) for name in hidden)
        life.server.show()
        life.settle()
        return judge(life, *([f"one object was written {writes} times while it was not visible"] if writes > 2 else []))


FAULTS = (
    Fault("server slow", 30, under(("delay", {"seconds": [0.05, 2 * TIMEOUT_S]}), ("hang", {}))),
    Fault(
        "a byte at a time",
        10,
        under(
            ("slow_headers", {"seconds": TIMEOUT_S / 2, "times": 2}),
            ("slow_body", {"seconds": TIMEOUT_S / 2, "times": 2}),
        ),
    ),
    Fault("endless body", 6, under(("endless", {"size_bytes": 500_000_000, "times": 1}))),
    Fault("server breaks off", 80, under(("drop", {}), ("drop_after", {}), ("truncate", {}), ("garble", {}))),
    Fault("server refuses", 80, under(("refuse", {"status": list(STATUSES)}), ("page", {"status": [200, *STATUSES]}))),
    Fault("answer of another shape", 120, under(("answer", {"content": list(SHAPES)}))),
    Fault("rows twice", 10, under(("duplicate", {"endpoint": "query"}))),
    Fault("lying success", 50, under(("lie", {"endpoint": "annotate"}))),
    Fault("hang after storing", 15, under(("hang_after", {"endpoint": "annotate", "times": [1, 2, 3]}))),
    Fault("applied in any order", 40, applied_in_any_order),
    Fault("token repeated", 30, under(("repeat_token", {"status": [200, 400, 401, 403, 500, 503]}))),
    Fault("sent elsewhere", 20, sent_elsewhere),
    Fault("database away", 50, database_away),
    Fault("object not visible", 50, not_visible),
)
