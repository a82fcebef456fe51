"""Objects per second from record to annotation, and where the time goes: `make bench`.

Times are medians of several rounds in one process on one core, and stand beside the straightforward way, measured in
the same run, so that the ratio holds on any machine. The records are simulated.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from annotator.annotation import Annotation, classdict, decide
from annotator.assessment import modality_summary, state_digest
from annotator.config import DecisionConfig
from annotator.explanation import explain
from annotator.ledger import Assessment, Ledger
from annotator.models import ModelSet, load_models
from annotator.preprocess.features import feature_row
from annotator.sandbox.simulation import simulate_night
from annotator.surveys.ztf import parse

OBJECTS = 1000
ROUNDS = 7


def main() -> None:
    """Print the table."""
    texts = [json.dumps(row) for row in simulate_night(seed=1, n_objects=OBJECTS).rows()]
    models = load_models(None, "ztf")
    records = [json.loads(text) for text in texts]
    transients = [parse(record) for record in records]
    scores = models.score(transients)
    decided = [decide(t, s, DecisionConfig()) for t, s in zip(transients, scores, strict=True)]
    assessments = [_assessment(t, s, c, models) for t, s, c in zip(transients, scores, decided, strict=True)]
    steps = {
        "decode JSON": lambda: [json.loads(text) for text in texts],
        "parse to Transient": lambda: [parse(record) for record in records],
        "digest of the state": lambda: [state_digest(transient) for transient in transients],
        "tensors": lambda: [feature_row(transient.features) for transient in transients],
        "score (tensors included)": lambda: models.score(transients),
        "explain and annotate": lambda: [
            _assessment(t, s, c, models) for t, s, c in zip(transients, scores, decided, strict=True)
        ],
        "ledger, one transaction": lambda: _write(assessments),
    }
    print(f"{OBJECTS} simulated objects, median of {ROUNDS} rounds, microseconds an object")
    seconds = {name: _median_seconds(step) for name, step in steps.items()}
    for name, value in seconds.items():
        print(f"  {name:28} {value / OBJECTS * 1e6:8.1f}")
    total = sum(value for name, value in seconds.items() if name != "tensors")
    print(f"  {'record to annotation':28} {total / OBJECTS * 1e6:8.1f}   {OBJECTS / total:8.0f} objects a second")
    _compare_with_batching(models, [t.features for t in transients])


def _assessment(transient, scores, classification: str, models: ModelSet) -> Assessment:
    annotation = Annotation(
        transient.object_id,
        "aha_ztf",
        classification,
        models.version,
        explain(transient, scores, classification, models),
        classdict(transient, scores, transient.last_mjd),
    )
    return Assessment(
        transient.object_id,
        "digest",
        models.version,
        transient.last_mjd,
        transient.n_det,
        classification,
        scores.score,
        json.dumps(modality_summary(scores)),
        transient.last_mjd,
        annotation if classification != "normal" else None,
    )


def _write(assessments: list[Assessment]) -> None:
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        ledger.record(assessments, [], 0.0)


def _compare_with_batching(models: ModelSet, features: list) -> None:
    """Say what scoring each object alone costs, which keeps scores the same to the bit in any company."""
    session = models.models["features"].session
    rows = np.stack([feature_row(item) for item in features])
    alone = _median_seconds(lambda: [session.run(["error"], {"features": row[np.newaxis]}) for row in rows])
    together = _median_seconds(lambda: session.run(["error"], {"features": rows}))
    print(
        f"graph alone: {alone / OBJECTS * 1e6:.1f} us an object one by one, {together / OBJECTS * 1e6:.1f} in one batch"
    )
    print(f"ratio {alone / together:.1f}")


def _median_seconds(step: Callable[[], object]) -> float:
    step()
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        step()
        rounds.append(time.perf_counter() - began)
    return statistics.median(rounds)


if __name__ == "__main__":
    main()
