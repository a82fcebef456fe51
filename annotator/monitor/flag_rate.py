"""How often something is flagged: a night, and over an object's life. Counted in the ledger, promised by nobody."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from annotator.decision.config import DecisionConfig
from annotator.ledger import Ledger
from annotator.ledger.counts import LifetimeCount
from annotator.nights import night_of, start_of

NIGHTS = 30
"""The newest of which the rate is taken."""
CENTRAL_PERCENT = 80
"""Of the nights, between the stated low and high."""


@dataclass(frozen=True)
class Rate:
    """Objects that were flagged for the first time in a night."""

    mean: float
    low: int
    high: int
    """Four nights in five, or more, are from low to high."""


@dataclass(frozen=True)
class Lifetime:
    """What many scorings of one object add up to."""

    objects: int
    median_times_scored: int
    max_times_scored: int
    flagged_share_of_objects: float
    """Objects that were an anomaly or watched at least once."""
    flagged_share_of_scorings: float
    chance_anomaly_share: float
    """Upper bound on the objects that are an anomaly at least once although they are like the classified supernovae."""
    chance_flag_share: float
    """The same for an anomaly or one to watch."""


@dataclass(frozen=True)
class FlagRate:
    """What one model set flagged."""

    nights: int
    since: str
    """Date on whose noon (UTC) the first of them began."""
    objects_a_night: float
    anomalies: Rate
    watches: Rate
    is_preliminary: bool
    """Whether no full night is over yet but the first, in which all that a stream holds is new."""
    lifetime: Lifetime


def flag_rate(ledger: Ledger, model_set: str, decision: DecisionConfig, now: float) -> FlagRate | None:
    """Count what a model set flagged in the newest nights, and over the lives of all objects that it scored.

    The first night of a model set, in which everything is flagged for the first time, and the night that is not over
    are left out where there are others.

    Parameters
    ----------
    ledger
        Holds every score.
    model_set
        Its version.
    decision
        The scores from which something is flagged.
    now
        Seconds since 1970.

    Returns
    -------
    FlagRate or None
        None where the model set has scored nothing yet.
    """
    every = ledger.counts.of_nights(model_set, NIGHTS + 2, now)
    if not every:
        return None
    has_first = len(every) < NIGHTS + 2
    full = [count for count in every[has_first:] if count.night < night_of(now)][-NIGHTS:]
    counts = full or every
    return FlagRate(
        nights=len(counts),
        since=f"{datetime.datetime.fromtimestamp(start_of(counts[0].night), datetime.UTC):%Y-%m-%d}",
        objects_a_night=round(_mean([count.scored for count in counts]), 1),
        anomalies=_rate([count.anomalies for count in counts]),
        watches=_rate([count.watches for count in counts]),
        is_preliminary=not full,
        lifetime=_lifetime(ledger.counts.lifetimes(model_set), decision),
    )


def _mean(numbers: Sequence[int]) -> float:
    return sum(numbers) / len(numbers)


def _rate(numbers: Sequence[int]) -> Rate:
    ordered = sorted(numbers)
    aside = _set_aside(len(ordered))
    return Rate(round(_mean(ordered), 2), ordered[aside], ordered[-1 - aside])


def _set_aside(nights: int) -> int:
    """Return how many of the lowest, and of the highest, are outside the central share."""
    return nights * (100 - CENTRAL_PERCENT) // 200


def _lifetime(counts: Sequence[LifetimeCount], decision: DecisionConfig) -> Lifetime:
    objects = sum(count.objects for count in counts)
    scorings = sum(count.objects * count.times_scored for count in counts)
    return Lifetime(
        objects=objects,
        median_times_scored=_median(counts, objects),
        max_times_scored=max(count.times_scored for count in counts),
        flagged_share_of_objects=sum(count.ever_flagged for count in counts) / objects,
        flagged_share_of_scorings=sum(count.flags for count in counts) / scorings,
        chance_anomaly_share=_by_chance(counts, decision.anomaly_score),
        chance_flag_share=_by_chance(counts, decision.watch_score),
    )


def _median(counts: Sequence[LifetimeCount], objects: int) -> int:
    """Return the lower median of how often an object was scored; the counts come in that order."""
    seen = 0
    for count in counts:
        seen += count.objects
        if 2 * seen >= objects:
            return count.times_scored
    raise AssertionError("a median of no objects")


def _by_chance(counts: Sequence[LifetimeCount], score: float) -> float:
    """Return the share of normal objects that reach a score at least once if each scoring were a new draw.

    Scorings of one object have most of their detections in common and are no new draws, so that it is an upper bound.
    """
    missed = 1.0 - min(1.0, 10.0**-score)
    objects = sum(count.objects for count in counts)
    return sum(count.objects * (1.0 - missed**count.times_scored) for count in counts) / objects


def flags_text(rate: FlagRate) -> list[str]:
    """Say what there is a night, what adds up over a life, and what the scores are relative to; a line each."""
    lifetime = rate.lifetime
    return [
        f"about {_plain(rate.anomalies.mean)} anomalies and {_plain(rate.watches.mean)} watches a night, new ones, of "
        f"{rate.objects_a_night:.0f} objects scored ({_nights_in_words(rate)})",
        f"an object was scored {lifetime.median_times_scored} times (median), {lifetime.max_times_scored} at most; "
        f"{lifetime.flagged_share_of_objects:.2%} of objects were ever flagged, in "
        f"{lifetime.flagged_share_of_scorings:.2%} of scorings",
        "scores are relative to the supernovae that the models know, not to this stream: of objects like these, "
        f"scored as often, at most {lifetime.chance_anomaly_share:.2%} are ever an anomaly by chance, "
        f"{lifetime.chance_flag_share:.2%} flagged at all",
    ]


def _nights_in_words(rate: FlagRate) -> str:
    if rate.is_preliminary:
        return "so far, with the first night, in which all is new"
    if rate.nights == 1:
        return "1 night"
    between = (rate.nights - 2 * _set_aside(rate.nights)) / rate.nights
    return (
        f"{rate.nights} nights, {'all' if between == 1 else f'{100 * between:.0f} % of nights'} "
        f"{_range(rate.anomalies)} and {_range(rate.watches)}"
    )


def _plain(mean: float) -> str:
    return f"{mean:.1f}" if mean < 10 else f"{mean:.0f}"


def _range(rate: Rate) -> str:
    return f"{rate.low}" if rate.low == rate.high else f"{rate.low} to {rate.high}"
