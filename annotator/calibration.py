"""From a reconstruction error to a tail probability among normal objects."""

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal


@dataclass(frozen=True)
class Calibration:
    """The errors of known normal objects, each scored by a model that was not trained on it."""

    errors: tuple[float, ...]
    """Finite, in ascending order."""

    def tail_probability(self, error: float) -> float:
        """Conformal p-value of an error: (1 + number of normals with an error at least as large) / (n + 1).

        The one added above and below counts the object itself, so p is never 0, and a normal object has p <= a with a
        probability of at most a when it is exchangeable with the table's (Vovk et al. 2005, Algorithmic Learning in a
        Random World). Equal errors count against the object.

        Returns
        -------
        float
            Between 1 / (n + 1) and 1.
        """
        at_least_as_large = len(self.errors) - bisect_left(self.errors, error)
        return (1 + at_least_as_large) / (len(self.errors) + 1)

    def score(self, error: float) -> float:
        """Return -log10 of the tail probability: 2 is one normal object in a hundred, 3 one in a thousand."""
        return -math.log10(self.tail_probability(error)) + 0.0  # + 0.0: never "-0.0"


def round_up(error: float, digits: int = 6) -> float:
    """Round an error up to `digits` significant digits, for a table that is short in text and never flatters.

    Rounding up can only move a normal object from below an error to above it, which makes p larger.
    """
    exact = Decimal(error)
    if not exact:
        return 0.0
    step = Decimal(1).scaleb(exact.adjusted() - digits + 1)
    return float(exact.quantize(step, rounding=ROUND_CEILING))


def combined_score(scores: Iterable[float]) -> float:
    """Combine the scores of k modalities: -log10 of min(1, k min p), Bonferroni's bound on the smallest p.

    It holds whatever the dependence between modalities; AHA's three hardly overlap in what they flag, so a mean would
    only dilute. No modality at all: 0.
    """
    present = tuple(scores)
    if not present:
        return 0.0
    return max(0.0, max(present) - math.log10(len(present)))
