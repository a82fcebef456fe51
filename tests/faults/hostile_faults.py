"""Hostile input at every door: stream, file, query, object, cutouts, annotate, TNS, verdicts, the ledger's cells."""

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable, Sequence

import requests

from annotator.cli import main
from annotator.sandbox.lasair.wire import Request
from annotator.sandbox.sky.stamps import KINDS
from tests.faults import hostile
from tests.faults.laboratory import Fault, Try, Verdict, judge
from tests.faults.scenario import SECRET, World, begun_world
from tests.faults.stream_faults import broker, stream_world

INPUTS = 50
"""Hostile inputs of one try, where they come many at a time."""


def records_of_a_file(t: Try) -> Verdict:
    """Put hostile lines between the good ones of a file of records."""
    path = t.folder / "records.jsonl"
    good = [row for wave in t.scenario.waves for row in wave]
    lines = [json.dumps(row).encode() for row in good]
    for _ in range(INPUTS):
        lines.insert(t.rng.randrange(len(lines) + 1), hostile.line(t.rng, good))
    path.write_bytes(b"\n".join(lines) + b"\n")
    with begun_world(t.scenario, t.folder, source={"kind": "file", "path": str(path)}) as life:
        life.publish(t.scenario.waves[1])
        life.pass_()
        life.settle((1.2, 24.0))
        return _of_many(judge(life))


def messages(t: Try) -> Verdict:
    """Put hostile messages between the good ones of a stream."""
    with stream_world(t, t.folder) as life:
        for wave in t.scenario.waves:
            values = [json.dumps(row).encode() for row in wave]
            for _ in range(INPUTS // 2):
                values.insert(t.rng.randrange(len(values) + 1), hostile.line(t.rng, wave))
            life.server.load(wave)
            broker().publish_raw(life.config.source.topic, values)
            life.pass_()
            life.wait(1.0)
        life.settle((1.2, 24.0))
        return _of_many(judge(life))


def rows_of_a_query(t: Try) -> Verdict:
    """Put hostile rows between those that a query answers."""
    wave = t.scenario.waves[1]
    rows = [*wave, *(hostile.record(t.rng, wave) for _ in range(INPUTS))]
    with begun_world(t.scenario, t.folder) as life:
        life.publish(wave)
        life.server.misbehave("query", "answer", content=t.rng.sample(rows, len(rows)), times=1)
        life.pass_()
        life.settle()
        return _of_many(judge(life))


def _answers(endpoint: str) -> Callable[[Try], Verdict]:
    """Make the fault of hostile answers to calls of an endpoint, each like a good one but for a part of it."""

    def run(t: Try) -> Verdict:
        modalities = ("lightcurve",) if endpoint == "object" else ()
        with begun_world(t.scenario, t.folder, modalities) as life:
            life.publish(t.scenario.waves[1])
            good = _good_answer(life, endpoint)
            n_answers = 8 if endpoint == "query" else 25
            for _ in range(n_answers):
                life.server.misbehave(endpoint, "answer", content=hostile.twisted(good, t.rng), times=1)
            for _ in range(8):
                life.pass_()
                life.wait(1.1)
            life.server.behave()
            life.settle()
            verdict = judge(life)
            return Verdict(verdict.lost, verdict.changed, verdict.notes, n_answers)

    return run


def _good_answer(life: World, endpoint: str) -> object:
    if endpoint == "annotate":
        return {"status": "success", "query": "REPLACE INTO annotations"}
    fields = {"objectId": life.scenario.object_ids[0], "lite": "True", "lasair_added": "True"}
    if endpoint == "query":
        fields = {"selected": "*", "tables": "objects, sherlock_classifications", "conditions": "", "limit": "30"}
    return life.server.endpoints.answer(endpoint, Request("POST", SECRET, fields)).content


def stamps(t: Try) -> Verdict:
    """Let cutouts be anything but cutouts for a pass."""
    with begun_world(t.scenario, t.folder, ("triplet",)) as life:
        life.publish(t.scenario.waves[1])
        whole = _a_stamp(life)
        for _ in range(25):
            life.server.misbehave("cutout", "answer", content=_spoilt(whole, t), times=1)
        life.pass_()
        life.server.behave()
        life.settle()
        verdict = judge(life)
        return Verdict(verdict.lost, verdict.changed, verdict.notes, 25)


def _a_stamp(life: World) -> bytes:
    candids = [epoch.candid for epoch in life.scenario.night.objects[0].epochs if epoch.candid is not None]
    url = f"{life.server.root_url}/lasair/static/fits/1/{candids[0]}_cutout{KINDS[0]}.fits"
    return requests.get(url, timeout=60).content


def _spoilt(whole: bytes, t: Try) -> object:
    """Make what is no stamp, but may look like one; what Lasair says where it has none is no fault."""
    change = t.rng.randrange(4)
    if change == 0:
        return whole[: t.rng.randrange(1, len(whole) // 2)]
    if change == 1:
        return t.rng.randbytes(3000)
    if change == 2:
        return "<html>Forbidden</html>"
    return b"SIMPLE  =  " + t.rng.randbytes(9) + whole[20:]


def classes_of_tns(t: Try) -> Verdict:
    """Let the Transient Name Server's table hold what it will, several rows of one object among it."""
    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        for number in range(INPUTS):
            life.server.database.put_tns(t.rng.choice(t.scenario.object_ids), hostile.tns_row(t.rng, number))
        life.pass_()
        life.settle()
        return _of_many(judge(life))


def verdicts(t: Try) -> Verdict:
    """Let the file of verdicts hold what nobody can read."""
    path = t.folder / "verdicts.csv"
    lines = ["objectId,verdict,person,when"] * t.rng.randint(0, 1)
    lines += [hostile.verdict_line(t.rng) for _ in range(t.rng.randint(1, 10))]
    path.write_bytes("\n".join(lines).encode() + t.rng.choice((b"", b"\n", b"\xff\xfe", b"\0")))
    with begun_world(t.scenario, t.folder, verdicts=str(path)) as life:
        life.publish(t.scenario.waves[1])
        life.pass_()
        path.unlink()
        life.settle()
        return judge(life)


CELLS = (
    *("scores.modalities", "scores.reasons", "snapshots.transient", "snapshots.model_scores", "snapshots.stamps"),
    *("passes.counts", "night_counts.counts", "objects.numbers"),
    *("outbox.annotation", "sweeps.counts", "strangers.annotation", "positions.position", "waiting.record"),
)
"""Where the ledger keeps texts of JSON."""


def cells_of_the_ledger(t: Try) -> Verdict:
    """Let the ledger's texts of JSON be damaged, and everything be made of it that is for people."""
    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        life.pass_()
        for _ in range(INPUTS):
            table, column = t.rng.choice(CELLS).split(".")
            text = json.dumps(hostile.value(t.rng))[: t.rng.choice((1, 20, 10**6))]
            damaged = f"(SELECT rowid FROM {table} ORDER BY rowid LIMIT 1 OFFSET ?)"
            with contextlib.closing(sqlite3.connect(life.config.ledger)) as file, file:
                place = (text, t.rng.randrange(30))
                file.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = {damaged}", place)
        notes = [note for command in COMMANDS if (note := broken(life, command))]
        life.pass_()
        return Verdict(notes=(*notes, *life.complaints()), inputs=INPUTS)


COMMANDS = (("report", "--digest"), ("report", "--format", "json"), ("status",))


def broken(life: World, command: Sequence[str], right: Sequence[int] = (0, 1)) -> str:
    """Run a command; say how it ended if not by itself, in words and with one of the statuses that are right."""
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = main([*command, "-c", str(life.folder / "aha.yaml")])
    except (Exception, SystemExit) as error:
        return f"{' '.join(command)} was ended by {type(error).__name__}: {error}"
    (life.folder / f"{command[0]}.txt").write_text(out.getvalue(), errors="backslashreplace")  # the secret's place, too
    if "Traceback" in out.getvalue():
        return f"{' '.join(command)} ended with {out.getvalue().splitlines()[-1]}"
    return f"{' '.join(command)} ended with {status}" if status not in right else ""


def _of_many(verdict: Verdict) -> Verdict:
    return Verdict(verdict.lost, verdict.changed, verdict.notes, INPUTS)


FAULTS = (
    Fault("hostile lines of a file", 60, records_of_a_file),
    Fault("hostile messages", 25, messages),
    Fault("hostile rows of a query", 60, rows_of_a_query),
    Fault("hostile answers to query", 50, _answers("query")),
    Fault("hostile answers to annotate", 40, _answers("annotate")),
    Fault("hostile answers to object", 30, _answers("object")),
    Fault("hostile cutouts", 30, stamps),
    Fault("hostile rows of TNS", 30, classes_of_tns),
    Fault("hostile verdicts", 60, verdicts),
    Fault("damaged ledger", 40, cells_of_the_ledger),
)
