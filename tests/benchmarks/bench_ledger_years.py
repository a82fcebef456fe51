"""A ledger of years (`python -m tests.benchmarks.bench_ledger_years`): size, `status`, and a pass beside an empty one.

A million scorings of 336,000 objects, 5,000 a night, with the texts that a pass writes, of the lengths that the demo's
have; every tenth has reasons. Written with SQL at once, then reduced as passes do it. What is timed of a pass is all
that the ledger has to do with it: a batch of 500 objects that were scored before, and the end of the pass.

The status is 1 where the reduced ledger takes more room, or `status` or a pass more time, than the bars say.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy

from annotator.annotation import Annotation
from annotator.clock import Clock
from annotator.config import Config, RetentionConfig, load_config
from annotator.decision.objects import ScoredObject
from annotator.ledger import Ledger
from annotator.ledger.care import info, vacuum
from annotator.models import load_models
from annotator.monitor.status import read_status
from annotator.nights import DAY_S
from annotator.passes.upkeep import forget

NOW = 1_796_000_000.0
A_NIGHT = 5_000
PASSES_A_DAY = 24
MODALITIES = json.dumps(
    {name: {"score": 0.8123, "error": 0.7392707, "mjd": 61373.375} for name in ("features", "lightcurve", "triplet")}
    | {"exotic": 0.0176, "prior": 0.9308, "worth": 0.02958, "young": 0.3552, "rising": 1.0, "nuclear": 0.661}
    | {"worth_because": ["like known exotics", "rising", "odd light curve"], "bogus": 0.0006, "long_known": 0.0}
)
EXPLANATION = "Not unusual: at most 1 in 19 classified supernovae is as odd in object features."
REASONS = json.dumps({"features": [{"words": "class NT by Sherlock" * 50, "share": 0.08, "where": {}}]})
NUMBERS = {f"triplet_stamp_number_{number}": 0.123456 for number in range(56)}
REPEATS = 7
MOST_BYTES, MOST_STATUS_S, MOST_RATIO = 1e9, 1.0, 1.25
"""The bars, of a reduced ledger: a pass is to be no slower than on an empty one, and repeats differ by a quarter."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a ledger."""

    size_bytes: int
    status_s: float
    """The shortest: what else the machine does makes it longer."""
    ratio: float
    """Of a pass to one on an empty ledger."""


def main() -> int:
    """Print size, seconds of `status` and of a pass, before and after what is old is forgotten; return the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scorings", type=int, default=1_000_000)
    parser.add_argument("--objects", type=int, default=336_000)
    arguments = parser.parse_args()
    version = load_models(None, "ztf").version
    with tempfile.TemporaryDirectory() as name:
        years, empty = (_configured(Path(name) / part) for part in ("years", "empty"))
        with Ledger(years.ledger) as ledger:
            _fill(ledger, version, arguments.scorings, arguments.objects)
            ledger.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with Ledger(empty.ledger):
            pass
        print(f"{arguments.scorings} scorings of {arguments.objects} objects, {A_NIGHT} a night")
        _tell("whole", years, empty, version)
        _forget(years)
        vacuum(years.ledger)
        found = _tell("reduced", years, empty, version)
    bars = ((found.size_bytes, MOST_BYTES), (found.status_s, MOST_STATUS_S), (found.ratio, MOST_RATIO))
    return int(any(value > bar for value, bar in bars))


def _configured(folder: Path) -> Config:
    folder.mkdir()
    (folder / "aha.yaml").write_text(
        "survey: ztf\nlasair: {endpoint: 'http://localhost:1/api'}\nsource: {kind: query}\n"
        "annotation: {topic: aha_ztf}\n"
    )
    return load_config(folder / "aha.yaml", {"LASAIR_TOKEN": "none"})


def _object_id(number: int) -> str:
    return f"ZTF{17 + number % 9}a{number:06d}"


def _fill(ledger: Ledger, version: str, n_scorings: int, n_objects: int) -> None:
    """Write what passes would have; an object is scored three times, five nights apart, then no more."""
    nights = n_scorings // A_NIGHT
    of_night = n_objects / nights

    def scorings() -> Iterator[tuple]:
        for number in range(n_scorings):
            night = number // A_NIGHT
            turn, place = number % 3, number % A_NIGHT // 3
            subject = int(of_night * (max(0, night - 5 * turn) + place / (A_NIGHT / 3 + 1)))
            at = NOW - (nights - night - (number % A_NIGHT) / A_NIGHT / 3) * DAY_S
            kind = "anomaly" if number % 500 == 0 else "watch" if number % 100 == 0 else "normal"
            reasons = REASONS if number % 10 == 0 else None
            yield number + 1, _object_id(subject), at, 61000.5, 9, version, kind, 0.8, MODALITIES, EXPLANATION, reasons

    numbers, file = json.dumps(NUMBERS), ledger.database.connection.connection.driver_connection
    file.execute("BEGIN")
    file.executemany(
        "INSERT INTO objects VALUES (?, ?, ?, 61000.5, NULL, ?)",
        ((_object_id(number), "0" * 32, version, numbers) for number in range(n_objects)),
    )
    file.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", scorings())
    file.execute(
        "INSERT INTO lifetimes SELECT model_set, object_id, COUNT(*), SUM(classification <> 'normal') FROM scores "
        "GROUP BY model_set, object_id"
    )
    file.execute(
        "INSERT INTO outbox (object_id, annotation, classification, score, queued_at, sent_at, verified_at) "
        "SELECT object_id, ?, classification, score, scored_at, scored_at, scored_at FROM scores "
        "WHERE classification <> 'normal' ON CONFLICT DO NOTHING",
        (json.dumps({"explanation": "x" * 560}),),
    )
    file.executemany(
        "INSERT INTO passes (started_at, ended_at, outcome, counts, scored, news) VALUES (?, ?, 'done', ?, 208, 208)",
        (
            (NOW - ago * DAY_S / PASSES_A_DAY, NOW - ago * DAY_S / PASSES_A_DAY, json.dumps({"scored": 208, "x": 0}))
            for ago in range(nights * PASSES_A_DAY, 0, -1)
        ),
    )
    file.execute("COMMIT")


def _tell(what: str, years: Config, empty: Config, version: str) -> Measured:
    found = info(years.ledger)
    status_s = [_timed(lambda: read_status(years, NOW)) for _ in range(3)]
    passes = {config.ledger: [] for config in (years, empty)}
    for _ in range(REPEATS):  # in turns, so that what else the machine does weighs on both
        for config in (years, empty):
            passes[config.ledger].append(_timed(lambda config=config: _pass(config, version)))
    shortest = [min(seconds) for seconds in passes.values()]  # what else the machine does makes others longer
    print(
        f"{what:8} {found.size_bytes / 1e9:.3f} GB, {found.rows['scores']} scores; status {min(status_s):.2f} s to "
        f"{max(status_s):.2f} s; a pass of 500 {shortest[0]:.3f} s, on an empty one {shortest[1]:.3f} s, ratio "
        f"{shortest[0] / shortest[1]:.2f}",
        flush=True,
    )
    return Measured(found.size_bytes, min(status_s), shortest[0] / shortest[1])


def _pass(config: Config, version: str) -> None:
    with Ledger(config.ledger) as ledger:
        number = ledger.passes.begin(NOW)
        names = [_object_id(number) for number in range(300_000, 300_500)]
        ledger.scores.states(names)
        ledger.record([_scored(name, version) for name in names], [], NOW)
        ledger.announcements.to_announce()
        ledger.kept.without_reasons(version, 50)
        ledger.passes.end(number, "done", {"scored": 500}, NOW)
        clock = Clock(lambda: NOW)
        clock.hear("Lasair", NOW)
        forget(ledger, RetentionConfig(), 500, clock, lambda: False, ())


def _scored(name: str, version: str) -> ScoredObject:
    modalities = json.loads(MODALITIES)
    return ScoredObject(
        object_id=name,
        state="1" * 32,
        model_set=version,
        last_mjd=61000.5,
        n_det=9,
        classification="normal",
        score=0.8,
        modalities=modalities,
        first_flagged_mjd=None,
        outgoing=Annotation(name, "aha_ztf", "normal", version, EXPLANATION, {"score": 0.8}),
        explanation=EXPLANATION,
        numbers=NUMBERS,
    )


def _forget(config: Config) -> None:
    clock = Clock(lambda: NOW)
    clock.hear("Lasair", NOW)
    with Ledger(config.ledger) as ledger:
        began, n_passes, n_left = time.perf_counter(), 0, ""
        while n_left != (n_left := ledger.database.value(sqlalchemy.text(_LOOKED_AT))):
            forget(ledger, RetentionConfig(), 500, clock, lambda: False, ())
            n_passes += 1
        took_s = time.perf_counter() - began
        print(f"reduced  in {n_passes} passes, {1000 * took_s / n_passes:.0f} ms each")


_LOOKED_AT = "SELECT group_concat(value) FROM identity WHERE name LIKE '%_up_to'"


def _timed(what) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
