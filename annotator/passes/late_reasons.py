"""What carries the scores of objects of which nobody had to be told at once, found when a pass has delivered."""

import time
from collections.abc import Callable

from annotator.ledger import Ledger
from annotator.models import ModelSet, Scores
from annotator.models.calibration import combined_score
from annotator.reasons.find import reasons_of

MOST = 1000
"""Objects of one pass, as many as a report lists; the next pass goes on with those that are left."""
MOST_SECONDS = 60.0
"""Of one pass: a thousand objects take ten, where all of them have a light curve and stamps."""
_AT_A_TIME = 25
"""Objects whose reasons are written down together."""


def find_late_reasons(
    ledger: Ledger,
    models: ModelSet,
    should_stop: Callable[[], bool],
    most: int = MOST,
    most_seconds: float = MOST_SECONDS,
    timer: Callable[[], float] = time.monotonic,
) -> int:
    """Find and write down what carries the scores of kept objects that have no reasons yet, highest score first.

    Parameters
    ----------
    ledger
        Keeps what was scored and what the models said of it: nothing is scored again.
    models
        Only what they scored themselves is asked about.
    should_stop
        Asked every few objects.
    most, most_seconds
        How many objects, and how long, at most.
    timer
        Seconds since any moment.

    Returns
    -------
    int
        How many objects got theirs.
    """
    until = timer() + most_seconds
    object_ids = ledger.kept.without_reasons(models.version, most)
    for start in range(0, len(object_ids), _AT_A_TIME):
        if should_stop() or timer() >= until:
            return start
        _find(object_ids[start : start + _AT_A_TIME], ledger, models)
    return len(object_ids)


def _find(object_ids: list[str], ledger: Ledger, models: ModelSet) -> None:
    model_scores = ledger.kept.model_scores(object_ids)
    found = {}
    for object_id, (score_id, transient) in ledger.kept.snapshots(object_ids).items():
        said = model_scores[object_id]
        scores = Scores(combined_score(item.score for item in said.values()), said)
        found[score_id] = reasons_of(transient, scores, models)
    ledger.scores.record_reasons(found)
