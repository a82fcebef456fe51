"""The shares of the objects of a pass that lack a view, or are flagged, and whether they are as usual.

By hand, and not from scipy: the tail of a binomial is a sum of a few terms, and the annotator goes without scipy.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from annotator.decision.sending import FLAGS
from annotator.ledger.pass_log import PassRecord
from annotator.nights import DAY_S
from annotator.transient import Modality

MIN_OBJECTS = 50
"""In a pass: one of fewer is neither judged nor tells what is usual."""
PASSES = 14
"""Of which the median is usual."""
LEVEL = 0.001
"""The chance of a share outside its interval, to both sides together."""
TIMES = 2.0
"""How often the usual share it has to be, beside."""
TOLD_S = 7 * DAY_S
"""For so long a pass that was out of the ordinary does not count as usual: what nobody mends is told for a week."""

NEGLIGIBLE = 1e-17
"""Of a sum of chances."""

SCORED, UNUSUAL, WITH = "scored", "unusual", "with_"
"""Among a pass's counts: objects; whether any share was unusual; and before a view's name, the objects that have it."""
FLAGGED = "flagged"

_VIEWS = {Modality.FEATURES: "features", Modality.LIGHTCURVE: "light curve", Modality.TRIPLET: "stamps"}


@dataclass(frozen=True)
class Share:
    """Of the objects of a pass, those that lack a view or are flagged."""

    name: str
    """A modality, or :data:`FLAGGED`."""
    objects: int
    share: float
    usual: float | None
    """The median of the passes before; None where there are not enough."""
    is_unusual: bool


def shares(passes: Iterable[PassRecord]) -> list[Share]:
    """Compare the newest pass of enough objects with those before it.

    Parameters
    ----------
    passes
        Newest first; no more of them are taken than needed.
    """
    of_enough = (item for item in passes if item.counts.get(SCORED, 0) >= MIN_OBJECTS)
    present = next(of_enough, None)
    if present is None:
        return []
    usual = _usual(present, of_enough)
    return [_share(name, present, usual) for name in _counted(present)]


def _usual(present: PassRecord, before: Iterator[PassRecord]) -> list[PassRecord]:
    found: list[PassRecord] = []
    for item in before:
        if len(found) == PASSES:
            break
        if not item.counts.get(UNUSUAL) or item.ended_at <= present.ended_at - TOLD_S:
            found.append(item)
    return found


def _counted(item: PassRecord) -> dict[str, int]:
    """Return by name how many objects lack a view or are flagged."""
    counts = item.counts
    missing = {
        name.removeprefix(WITH): counts[SCORED] - count for name, count in counts.items() if name.startswith(WITH)
    }
    return missing | {FLAGGED: sum(counts.get(f"class_{name}", 0) for name in FLAGS)}


def _share(name: str, present: PassRecord, usual: list[PassRecord]) -> Share:
    count, objects = _counted(present)[name], present.counts[SCORED]
    known = [(_counted(item)[name], item.counts[SCORED]) for item in usual if name in _counted(item)]
    if len(known) < PASSES:
        return Share(name, objects, count / objects, None, False)
    median = statistics.median(found / of for found, of in known)
    # Half an object is added, so that what was never seen is not impossible (Jeffreys' prior).
    of_all = sum(of for _, of in known)
    chance = upper_tail(count, objects, (median * of_all + 0.5) / (of_all + 1))
    is_unusual = count / objects > TIMES * median and chance < LEVEL / 2
    return Share(name, objects, count / objects, median, is_unusual)


def upper_tail(count: int, n: int, share: float) -> float:
    """Return the chance that of n objects so many or more are of a kind that has this share.

    The binomial test: outside its interval is what has a tail below half the level (Clopper & Pearson 1934, Biometrika
    26, 404). Summed from the count on, each term by its ratio to the one before.
    """
    if count <= 0:
        return 1.0
    if not 0 < share < 1:
        return float(share >= 1)
    if count <= n * share:  # the other tail is the smaller one
        return 1 - upper_tail(n - count + 1, n, 1 - share)
    term = math.exp(
        math.lgamma(n + 1)
        - math.lgamma(count + 1)
        - math.lgamma(n - count + 1)
        + count * math.log(share)
        + (n - count) * math.log1p(-share)
    )
    terms = [term]
    for k in range(count, n):
        term *= (n - k) / (k + 1) * share / (1 - share)
        if term < NEGLIGIBLE:
            break
        terms.append(term)
    return min(1.0, math.fsum(terms))


def in_words(found: Iterable[Share]) -> list[str]:
    """Say what a person must look at, a sentence each."""
    return [_told(item) for item in found if item.is_unusual]


def _told(item: Share) -> str:
    measures = f"{item.share:.1%} of {item.objects} objects, usually {item.usual:.1%}"
    if item.name == FLAGGED:
        return f"flagged are {measures}: look at some of them before others do, and at what has drifted"
    return (
        f"{view(item.name)} missing for {measures}: see in the log why, and whether `aha-annotator check` finds all in "
        "order"
    )


def view(modality: str) -> str:
    """Return what people call a modality."""
    return _VIEWS.get(modality, modality)


def trend(found: Iterable[Share]) -> list[str]:
    """Say how large the shares are, and how large they usually are: first the views that are there, then the flags."""
    lines = {True: [], False: []}
    objects = 0
    for item in found:
        objects = item.objects
        is_flags = item.name == FLAGGED
        share, usual = (
            (item.share, item.usual) if is_flags else (1 - item.share, None if item.usual is None else 1 - item.usual)
        )
        usually = "" if usual is None else f" (usually {usual:.1%})"
        lines[is_flags].append(f"{'flagged' if is_flags else view(item.name)} {share:.1%}{usually}")
    return [", ".join((*lines[False], *lines[True])) + f" of {objects} objects"] if objects else []


def as_numbers(found: Iterable[Share]) -> Mapping[str, Mapping[str, float]]:
    """Return the shares for a program: of a view those that lack it."""
    return {
        item.name: {"objects": item.objects, "share": round(item.share, 4)}
        | ({} if item.usual is None else {"usual": round(item.usual, 4)})
        for item in found
    }
