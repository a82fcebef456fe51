"""What carries the scores of objects of which nobody had to be told at once, found when a pass has delivered."""

import time
from collections.abc import Callable, Mapping

from annotator.decision.objects import Refusal
from annotator.fences import Failure, failure_of, require_own_faults
from annotator.ledger import Ledger
from annotator.models import ModelSet, Scores
from annotator.models.calibration import combined_score
from annotator.reasons.find import reasons_of
from annotator.reasons.reason import Reasons

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
    clock: Callable[[], float] = time.time,
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
    clock
        Seconds since 1970.

    Returns
    -------
    int
        How many objects got theirs.
    """
    until = timer() + most_seconds
    numbers = list(ledger.kept.without_reasons(models.version, most).items())
    for start in range(0, len(numbers), _AT_A_TIME):
        if should_stop() or timer() >= until:
            return start
        _find(dict(numbers[start : start + _AT_A_TIME]), ledger, models, clock())
    return len(numbers)


def _find(numbers: Mapping[str, int], ledger: Ledger, models: ModelSet, now: float) -> None:
    """Find the reasons of objects, given with the numbers of their scorings.

    One at which that fails has none, is among the refused, and is not asked about again.
    """
    transients, model_scores = ledger.kept.snapshots(list(numbers)), ledger.kept.model_scores(list(numbers))
    found: dict[int, Reasons] = {}
    failures: dict[str, Failure] = {}
    for object_id, number in numbers.items():
        try:
            _, transient = transients[object_id]
            said = model_scores[object_id]
            scores = Scores(combined_score(item.score for item in said.values()), said)
            found[number] = reasons_of(transient, scores, models)
        except Exception as error:
            failures[object_id] = failure_of(error)
            found[number] = {}
    require_own_faults(failures.values(), len(numbers), "objects whose reasons were looked for")
    ledger.scores.record_reasons(found)
    ledger.refused.add(
        [Refusal(name, failure.reason, "", "reasons", failure.kind) for name, failure in failures.items()], now
    )
