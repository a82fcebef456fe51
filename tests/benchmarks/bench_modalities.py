"""Objects a second from Lasair's JSON and FITS bytes to the finished annotation, and where the time goes: `make bench`.

All three modalities, on one core, in the service's own code for a batch; only the wire is replaced. Beside it, in turns
in the same process, stands the straightforward way, so that the ratio holds on any machine, busy or not. Times are
medians; records and stamps are simulated.
"""

import argparse
import contextlib
import gc
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from annotator.attention.dates import Dates
from annotator.config import Config, load_config
from annotator.decision.changes import state_digest
from annotator.decision.classify import decide
from annotator.decision.decide import decide_batch
from annotator.decision.objects import Case, Enriched, ScoredObject, Seen
from annotator.errors import MissingModalityError
from annotator.lasair.cutouts import CutoutFetcher
from annotator.lasair_token import TOKEN_VARIABLE
from annotator.ledger import Ledger
from annotator.models import ModalityScore, Model, ModelSet, load_to_stay
from annotator.models.inputs import PREPARATIONS, Preparation
from annotator.models.model_set import head_numbers
from annotator.models.rows import parts
from annotator.passes.scoring.batch import find_reasons, known_of, take_batch
from annotator.passes.scoring.enrich import Enricher
from annotator.passes.scoring.scoring import Scoring
from annotator.passes.terms import rules_of
from annotator.preprocess.fits import read_stamp
from annotator.reasons.sentence import named_modalities
from annotator.sandbox.lasair.answers import candidate, object_answer
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.sky.night import SimulatedObject, simulate_night
from annotator.sandbox.sky.stamps import KINDS, render
from annotator.sources.records import decoded
from annotator.surveys import SURVEYS
from annotator.surveys.json_values import undecoded
from annotator.surveys.ztf.parse import parse
from annotator.transient import Transient, Triplet

sys.path.append(str(Path(__file__).parent))  # its neighbours, whether this file is run by its path or by its module

BATCH = 500
"""Objects: the default of a stream."""
ROUNDS = 9
STRAIGHTFORWARD_OBJECTS = 60
MIN_SAMPLES = 4
"""Of memory, from which on a slope has an uncertainty."""
HOST = "stamps.simulated"
SHARED = Path(__file__).resolve().parents[3] / "shared"
SEED = 1
NOW = 1.8e9  # seconds since 1970

_CONFIGURATION = """survey: ztf
lasair: {endpoint: "http://127.0.0.1:1/api"}
source: {kind: file, path: night.jsonl}
annotation: {topic: aha_ztf}
"""


@dataclass(frozen=True)
class SimulatedBatch:
    """What comes over the wire for a batch."""

    texts: tuple[str, ...]
    """Lasair's answers to `object`, JSON."""
    files: dict[str, bytes]
    """FITS by URL."""


class _Kept(CutoutFetcher):
    """Fetches from memory, and does all else that a fetcher does."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__([HOST])
        self._files = files

    def _download(self, url: str, *_: object) -> tuple[bytes, np.ndarray]:
        return self._files[url], read_stamp(self._files[url])


class Bench:
    """The annotator with a ledger of its own."""

    def __init__(self, models: ModelSet, batch: SimulatedBatch, folder: Path) -> None:
        path = folder / "aha.yaml"
        path.write_text(_CONFIGURATION, encoding="utf-8")
        self.models, self.batch = models, batch
        self.config: Config = load_config(path, {TOKEN_VARIABLE: "none"})
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.rules = rules_of(self.config, models)
        self.enricher = Enricher(models.models, None, self.config.lasair, _Kept(batch.files), self.ledger.kept, 0)
        self.n_objects = 0

    def new_objects(self, n_objects: int = BATCH) -> list[str]:
        """Return the batch's texts under names that were never seen, for what is known and unchanged costs little."""
        texts = [_renamed(text, self.n_objects + number) for number, text in enumerate(self.batch.texts[:n_objects])]
        self.n_objects += n_objects
        return texts

    def newly_named(self, scored_objects: Sequence[ScoredObject]) -> list[ScoredObject]:
        """Return scored objects under names that were never seen."""
        first = self.n_objects
        self.n_objects += len(scored_objects)
        return [replace(item, object_id=_name(first + number)) for number, item in enumerate(scored_objects)]

    def annotate(self, texts: Sequence[str]) -> list[ScoredObject]:
        """Take one batch from text to the ledger."""
        records = [decoded(text) for text in texts]
        return list(take_batch(records, self.scoring(), self.enricher).scored_objects)

    def scoring(self) -> Scoring:
        """Return what a pass scores and decides by."""
        return Scoring(self.ledger, self.models, self.rules, {}, lambda: NOW, Dates(self.config.survey, lambda: NOW))


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--models", type=Path, help="a folder of models; those that are shipped without it")
    arguments.add_argument("--objects", type=int, default=50_000, help="in the run that watches memory")
    options = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    models = load_to_stay(options.models, "ztf")
    batch = simulated_batch(BATCH)
    sizes = [len(text) for text in batch.texts]
    print(f"{BATCH} simulated objects: {statistics.mean(sizes) / 1000:.0f} kB of JSON each, {len(batch.files)} stamps")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(models, batch, Path(folder))
        _print_memory(bench, options.objects)  # first: what the other measurements hold is none of the annotator's
        _print_steps(bench)
        _print_full_alert()
        _print_ratio(bench)
        _print_peer(bench)
        bench.ledger.close()


def simulated_batch(n_objects: int) -> SimulatedBatch:
    """Simulate a night as `object` and the host of the cutouts would answer."""
    night = simulate_night(SEED, n_objects)
    database, texts, files = Database(), [], {}
    database.put_rows(night.rows())
    for item in night.objects:
        candidates = [candidate(epoch, f"https://{HOST}") for epoch in item.epochs]
        texts.append(json.dumps(object_answer(database, item.object_id, candidates, night.now_jd, True)))
        files |= _stamps(item)
    database.close()
    return SimulatedBatch(tuple(texts), files)


def _stamps(item: SimulatedObject) -> dict[str, bytes]:
    """Render the brightest positive detection, by URL."""
    positive = [epoch for epoch in item.epochs if epoch.isdiffpos == "t"]
    if not positive:
        return {}
    epoch = min(positive, key=lambda epoch: (epoch.magpsf, epoch.jd))
    urls = candidate(epoch, f"https://{HOST}")["image_urls"]
    stamps = render(item, epoch, SEED)
    return {urls[kind]: stamps[kind] for kind in KINDS}


def _print_steps(bench: Bench) -> None:
    """Time the whole, and each step by itself on what the one before made."""
    models, files, rules = bench.models, bench.batch.files, bench.rules
    records = [decoded(text) for text in bench.batch.texts]
    parsed = [parse(record) for record in records]
    complete = [_enrich(transient, files) for transient in parsed]
    scored = models.score(complete)
    present = [_present(scores.modalities) for scores in scored]
    classes = [
        decide(transient, scores, rules.thresholds, rules.exotic_threshold)
        for transient, scores in zip(complete, scored, strict=True)
    ]
    named = [named_modalities(*item) for item in zip(scored, classes, strict=True)]
    flagged = [number for number, modalities in enumerate(named) if modalities]
    reasons = {number: find_reasons(complete[number], scored[number], models, named[number])[0] for number in flagged}
    seen = [Seen(*item, "") for item in zip(parsed, records, strict=True)]
    cases = [
        Case(item, Enriched(transient, waits=False), scores, name, reasons.get(number, {}))
        for number, (item, transient, scores, name) in enumerate(zip(seen, complete, scored, classes, strict=True))
    ]
    scored_objects = bench.annotate(bench.new_objects())
    scratch = Ledger(bench.ledger.address.parent / "scratch.sqlite")
    scoring = bench.scoring()
    known = known_of(seen, {}, scoring)
    steps: dict[str, Callable[[], object] | Step] = {
        "look through JSON": lambda: [decoded(text) for text in bench.batch.texts],
        "decode and parse to Transient": lambda: [parse(record) for record in records],
        "digest of the state": lambda: [state_digest(transient) for transient in parsed],
        "look up what is known": lambda: known_of(seen, scoring.states(seen), scoring),
        "fetch and read three stamps": lambda: bench.enricher.changed(parsed),
    }
    for name, model in models.models.items():
        steps |= _model_steps(name, model, complete)
    steps["numbers for the heads"] = lambda: [
        head_numbers(transient, found) for transient, found in zip(complete, present, strict=True)
    ]
    for name, head in models.heads.items():
        steps[f"head {name}"] = lambda head=head: head.probabilities([scores.numbers for scores in scored])
    steps[f"reasons of {len(flagged)} flagged objects"] = lambda: [
        find_reasons(complete[number], scored[number], models, named[number]) for number in flagged
    ]
    steps["decision, annotation and bins for drift"] = lambda: decide_batch(cases, known, rules)
    record = Step(lambda named: scratch.record(named, [], NOW), lambda: bench.newly_named(scored_objects))
    steps["ledger, one transaction"] = record
    whole, *parts = _medians(Step(bench.annotate, bench.new_objects), *map(_as_step, steps.values()))
    scratch.close()
    counts = {name: sum(item.classification == name for item in scored_objects) for name in ("anomaly", "watch")}
    print(f"{counts['anomaly']} anomalies, {counts['watch']} watched; models {', '.join(models.models)}")
    print(f"microseconds an object, one core, medians of {ROUNDS} rounds{'processor':>18}{'wall':>8}")
    for name, times in zip((*steps, "all else"), (*parts, whole - sum(parts)), strict=True):
        print(f"  {name:56} {times.processor_s / BATCH * 1e6:8.0f} {times.wall_s / BATCH * 1e6:8.0f}")
    print(f"  {'from bytes to annotation':56} {whole.processor_s / BATCH * 1e6:8.0f} {whole.wall_s / BATCH * 1e6:8.0f}")
    print(f"  {'objects a second':56} {BATCH / whole.processor_s:8.0f} {BATCH / whole.wall_s:8.0f}")


def _print_full_alert() -> None:
    """Time what Rubin's Lasair sends at most, where its recorded stream lies beside the checkout."""
    path = SHARED / "fixtures" / "lasair_lsst" / "lvra_20260202_102448.json"
    if not path.is_file():
        print(f"a full alert of Rubin: skipped, no {path}")
        return
    text = max((json.dumps(alert) for alert in json.loads(path.read_text(encoding="utf-8"))), key=len)
    parse = SURVEYS["lsst"].parse
    (times,) = _medians(Step(lambda _: parse(undecoded(text))))
    print(f"a full alert of Rubin, {len(text) / 1000:.0f} kB with {text.count('NaN')} values NaN: ", end="")
    print(f"decoded and parsed in {times.processor_s * 1e3:.2f} ms (wall {times.wall_s * 1e3:.2f})")


def _as_step(run: "Callable[[], object] | Step") -> "Step":
    return run if isinstance(run, Step) else Step(lambda _: run())


def _present(modalities: Mapping[str, object]) -> dict[str, ModalityScore]:
    return {name: found for name, found in modalities.items() if isinstance(found, ModalityScore)}


def _enrich(transient: Transient, files: dict[str, bytes]) -> Transient:
    place = transient.cutouts
    if place is None:
        return transient
    try:
        stamps = [read_stamp(files[url]) for url in (place.science, place.template, place.difference)]
    except MissingModalityError:
        return transient
    return replace(transient, triplet=Triplet(*stamps))


def _model_steps(name: str, model: Model, transients: Sequence[Transient]) -> dict[str, Callable[[], object]]:
    preparation = PREPARATIONS[name]
    taken = _taken(preparation, transients)
    made = [preparation.lay_out(part) for part in parts(taken)]
    return {
        f"{name}: tensors": lambda: [preparation.lay_out(part) for part in parts(_taken(preparation, transients))],
        f"{name}: graph and scores": lambda: [model.score_prepared(part, [""] * len(part)) for part in made],
    }


def _taken(preparation: Preparation, transients: Sequence[Transient]) -> list[object]:
    taken = []
    for transient in transients:
        with contextlib.suppress(MissingModalityError):
            taken.append(preparation.take(transient))
    return taken


def _print_memory(bench: Bench, n_objects: int) -> None:
    """Annotate many objects, all of them new, and say how memory grows."""
    seen, resident_mb = [], []
    while not seen or seen[-1] < n_objects:
        bench.annotate(bench.new_objects())
        seen.append(BATCH * (len(seen) + 1))
        resident_mb.append(_resident_mb())
    late = len(seen) // 2  # after caches and pools have filled
    growth = "too few to tell its growth"
    if len(seen) - late >= MIN_SAMPLES:
        slope, deviation = _slope(np.array(seen[late:]) / 1e6, np.array(resident_mb[late:]))
        growth = f"{slope:+.1f} +- {deviation:.1f} MB a million objects"
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # Linux counts it in KiB
    print(f"memory over {seen[-1]} different objects: {resident_mb[late]:.0f} MB after {seen[late]}, at last ", end="")
    print(f"{resident_mb[-1]:.0f} MB, peak {peak_mb:.0f} MB; {growth}")
    on_disk = sum(path.stat().st_size for path in bench.ledger.address.parent.glob("ledger.sqlite*"))
    print(f"ledger: {on_disk / bench.n_objects:.0f} bytes an object on disk")


def _renamed(text: str, number: int) -> str:
    old = json.loads(text[: text.index(",")] + "}")["objectId"]
    return text.replace(old, _name(number))


def _name(number: int) -> str:
    letters = ""
    for _ in range(7):
        number, letter = divmod(number, 26)
        letters = chr(97 + letter) + letters
    return f"ZTF98{letters}"


def _slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Fit a line; return its slope and the slope's standard deviation."""
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    return float(slope), float(covariance[0, 0] ** 0.5)


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _print_peer(bench: Bench) -> None:
    from peer import print_peer

    print_peer([json.loads(text)["candidates"] for text in bench.batch.texts], ROUNDS)


def _print_ratio(bench: Bench) -> None:
    """Time the straightforward way and the annotator in turns, on the same objects."""
    import torch
    from straightforward import Straightforward

    torch.set_num_threads(1)
    other = Straightforward()
    gc.collect()
    gc.freeze()  # what torch holds is not looked through for garbage: the annotator's process has no torch
    texts = bench.batch.texts[:STRAIGHTFORWARD_OBJECTS]
    places = [parse(decoded(text)).cutouts for text in texts]
    files = [
        [bench.batch.files[url] for url in (place.science, place.difference, place.template)] if place else [b""]
        for place in places
    ]
    ours, theirs = _medians(
        Step(bench.annotate, lambda: bench.new_objects(STRAIGHTFORWARD_OBJECTS)),
        Step(lambda _: [other.errors(*pair) for pair in zip(texts, files, strict=True)]),
    )
    print(f"straightforward way, {len(texts)} objects in turns with the annotator:")
    print(
        f"  objects a second: {len(texts) / theirs.processor_s:.0f}; the annotator {len(texts) / ours.processor_s:.0f}"
    )
    print(f"  ratio: {theirs.processor_s / ours.processor_s:.1f} (wall {theirs.wall_s / ours.wall_s:.1f})")


@dataclass(frozen=True)
class _Times:
    processor_s: float
    wall_s: float

    def __radd__(self, other: int) -> "_Times":
        return self

    def __add__(self, other: "_Times") -> "_Times":
        return _Times(self.processor_s + other.processor_s, self.wall_s + other.wall_s)

    def __sub__(self, other: "_Times") -> "_Times":
        return _Times(self.processor_s - other.processor_s, self.wall_s - other.wall_s)


@dataclass(frozen=True)
class Step:
    """What is timed, of what is not."""

    run: Callable[[object], object]
    prepare: Callable[[], object] = lambda: None


def _medians(*steps: Step) -> list[_Times]:
    """Time steps in turns, so that a busy machine is busy for all of them."""
    rounds: list[list[tuple[float, float]]] = [[] for _ in steps]
    for number in range(ROUNDS + 1):
        for step, times in zip(steps, rounds, strict=True):
            prepared = step.prepare()
            processor_s, wall_s = time.process_time(), time.perf_counter()
            step.run(prepared)
            if number:  # the first warms up
                times.append((time.process_time() - processor_s, time.perf_counter() - wall_s))
    return [_Times(*map(statistics.median, zip(*times, strict=True))) for times in rounds]


if __name__ == "__main__":
    main()
