"""From what normal objects give, each by a model that was not trained on it, to the levels of a calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from annotator.models.calibration import Brightness, Calibration, Level, Sampling, Tail, round_up
from annotator.models.manifest import Calibrated
from training.data.folds import N_FOLDS
from training.metrics.intervals import exact_share

MIN_PER_LEVEL = 500
"""Normals of a level; one with fewer is joined with the next."""

TAIL_FRACTION, MIN_TAIL = 0.1, 30
"""The largest tenth of the normals, and at least so many, make the tail."""

SHAPE_RANGE = (0.0, 0.5)
"""A tail that ends where nobody has been (a shape below 0) would call the first object beyond it impossible."""

NEVER, ALWAYS = -1, 10**9


@dataclass(frozen=True)
class LevelRule:
    """Which objects belong to a level: at most so many detections, at most so old, or in at most so many bands."""

    name: str
    up_to_detections: int
    up_to_age_days: float
    up_to_bands: int = 0


LEVELS = (
    LevelRule("5 detections or fewer", 5, NEVER),
    LevelRule("15 detections or fewer, or 15 days or younger", 15, 15.0),
    LevelRule("more, and older", ALWAYS, ALWAYS),
)
"""An object of unknown number of detections, as a databank's rows are, is placed by its age."""

ONE_LEVEL = (LevelRule("any", ALWAYS, ALWAYS),)

PEAK_KNOTS_MAG, ERROR_KNOTS_MAG = (16.0, 18.0, 20.0), (0.02, 0.05, 0.15)
"""Between which what is typical of a brightness, and of a depth, is interpolated."""


def calibrated(
    output: str,
    values: NDArray[np.float64],
    samplings: Sequence[Sampling],
    rules: Sequence[LevelRule] = LEVELS,
    by_brightness: bool = False,
) -> Calibrated:
    """Make an output's table of normals ``(n,)``, rounded up so that no rank is flattered.

    By brightness: values are first divided by what is typical of normals as bright and as deeply seen.
    """
    brightness = brightness_of(values, samplings) if by_brightness else None
    rounded = np.array([round_up(float(v)) for v in _relative(values, samplings, brightness)])
    return Calibrated(output, _levels(rounded, samplings, joined_rules(samplings, rules)), brightness)


def brightness_of(values: NDArray[np.float64], samplings: Sequence[Sampling]) -> Brightness:
    """Fit what is typical of positive values ``(n,)`` by brightness and depth, and its mean absolute deviation.

    Least squares of the logarithm, linear between knots of either, the sum of both.
    """
    unfitted = Brightness(PEAK_KNOTS_MAG, ERROR_KNOTS_MAG, (0.0,) * 5, (1.0,) * 5)
    terms = np.array([unfitted.terms(sampling) for sampling in samplings])
    logarithms = np.log(values)
    typical = np.linalg.lstsq(terms, logarithms)[0]
    spread = np.linalg.lstsq(terms, np.abs(logarithms - terms @ typical))[0]
    rounded = [tuple(float(f"{value:.6g}") for value in part) for part in (typical, spread)]
    return Brightness(PEAK_KNOTS_MAG, ERROR_KNOTS_MAG, *rounded)


def _relative(
    values: NDArray[np.float64], samplings: Sequence[Sampling], brightness: Brightness | None
) -> NDArray[np.float64]:
    if brightness is None:
        return values
    return np.array([brightness.relative(float(v), sampling) for v, sampling in zip(values, samplings, strict=True)])


def uniform_calibrated(output: str, values: NDArray[np.float64]) -> Calibrated:
    """Make a table of one level, for what does not depend on sampling or is only compared with."""
    return calibrated(output, values, [Sampling()] * len(values), ONE_LEVEL)


def joined_rules(samplings: Sequence[Sampling], rules: Sequence[LevelRule]) -> tuple[LevelRule, ...]:
    """Return the rules without those of too few normals: these are compared with the next level's, or the last's."""
    place = level_places(samplings, rules)
    kept, waiting = [], 0
    for number, rule in enumerate(rules[:-1]):
        waiting += np.count_nonzero(place == number)
        if waiting >= MIN_PER_LEVEL and np.count_nonzero(place > number) >= MIN_PER_LEVEL:
            kept.append(rule)
            waiting = 0
    return (*kept, rules[-1])


def _levels(
    values: NDArray[np.float64], samplings: Sequence[Sampling], rules: Sequence[LevelRule]
) -> tuple[Level, ...]:
    place = level_places(samplings, rules)
    levels = []
    for number, rule in enumerate(rules):
        members = np.sort(values[place == number])
        age_days = float(rule.up_to_age_days)  # a whole number would be read back as another one
        known, tail = tuple(members.tolist()), fit_tail(members)
        levels.append(Level(rule.name, rule.up_to_detections, age_days, known, tail, rule.up_to_bands))
    return tuple(levels)


def level_places(samplings: Sequence[Sampling], rules: Sequence[LevelRule] = LEVELS) -> NDArray[np.int64]:
    """Return the number of each object's level, ``(n,)``, as the annotator finds it."""
    nobody = ((0.0,), Tail(0.0, 1.0, 0.0))
    levels = tuple(Level(r.name, r.up_to_detections, r.up_to_age_days, *nobody, r.up_to_bands) for r in rules)
    table, place = Calibration(levels), {rule.name: number for number, rule in enumerate(rules)}
    return np.array([place[table.level_of(sampling).name] for sampling in samplings], dtype=np.int64)


def fit_tail(values: NDArray[np.float64]) -> Tail:
    """Fit a generalised Pareto distribution to the largest of ``(n,)`` ascending values, by maximum likelihood."""
    n_tail = min(len(values) - 1, max(MIN_TAIL, round(TAIL_FRACTION * len(values))))
    threshold = float(values[-n_tail - 1]) if n_tail > 0 else float(values[-1])
    excesses = values[len(values) - max(n_tail, 0) :] - threshold
    excesses = excesses[excesses > 0]
    if len(excesses) < 5:
        return Tail(threshold, max(float(np.std(values)), 1e-6), 0.0)
    shape, _, scale = stats.genpareto.fit(excesses, floc=0)
    if not SHAPE_RANGE[0] <= shape <= SHAPE_RANGE[1]:
        shape = float(np.clip(shape, *SHAPE_RANGE))
        _, _, scale = stats.genpareto.fit(excesses, f0=shape, floc=0)
    return Tail(threshold, float(f"{scale:.6g}"), float(f"{shape:.6g}"))


def cross_scores(
    values: NDArray[np.float64],
    samplings: Sequence[Sampling],
    folds: NDArray[np.int64],
    is_normal: NDArray[np.bool_],
    rules: Sequence[LevelRule] = LEVELS,
    by_brightness: bool = False,
) -> NDArray[np.float64]:
    """Score each object by the normals of the other folds, ``(n,)``: no normal is in its own table.

    The levels are those of all normals together.
    """
    scores = np.full(len(values), np.nan)
    rules = joined_rules([samplings[i] for i in np.flatnonzero(is_normal)], rules)
    for number in range(N_FOLDS):
        others = np.flatnonzero(is_normal & (folds != number))
        here = np.flatnonzero(folds == number)
        if not len(here) or not len(others):
            continue
        of_others = [samplings[i] for i in others]
        brightness = brightness_of(values[others], of_others) if by_brightness else None
        levels = _levels(_relative(values[others], of_others, brightness), of_others, rules)
        table = Calibration(levels, brightness)
        scores[here] = [table.score(float(values[i]), samplings[i]) for i in here]
    return scores


REPORTED_SCORES = (1.0, 2.0, 3.0)


def false_alarms(
    values: NDArray[np.float64],
    samplings: Sequence[Sampling],
    folds: NDArray[np.int64],
    is_normal: NDArray[np.bool_],
    rules: Sequence[LevelRule] = LEVELS,
    groups: Mapping[str, NDArray[np.bool_]] | None = None,
    by_brightness: bool = False,
) -> dict[str, dict]:
    """Measure the share of normals that score above each level, with exact (Clopper-Pearson) intervals.

    Each bin's normals are calibrated on the normals of the other nine, so none is in its own table.

    Parameters
    ----------
    values
        ``(n,)`` out-of-fold, of an output that is calibrated.
    groups
        Further groups of objects to report on, by name ``(n,)``.

    Returns
    -------
    dict
        ``shares``: by score, ``held_out`` (bin 9, scored by the model that is served) and ``all_bins``, each
        ``{"n", "above", "share": [value, low, high]}``; ``groups``: the share above 2 in each level and group;
        ``two_sample``: by level, whether the held-out bin's values could be drawn from the others': Kolmogorov and
        Smirnov's test, p-values corrected over levels by Holm's method.
    """
    scores = cross_scores(values, samplings, folds, is_normal, rules, by_brightness)
    place = level_places(samplings, rules)
    held_out = is_normal & (folds == N_FOLDS - 1)
    named = {rule.name: place == number for number, rule in enumerate(rules)} if len(rules) > 1 else {}
    return {
        "shares": {
            f"{level:g}": {
                "held_out": share_of(scores[held_out] >= level),
                "all_bins": share_of(scores[is_normal] >= level),
            }
            for level in REPORTED_SCORES
        },
        "groups": {
            name: share_of(scores[is_normal & rows] >= 2.0)
            for name, rows in (named | dict(groups or {})).items()
            if (is_normal & rows).any()
        },
        "two_sample": _two_sample(values, place, held_out, is_normal & ~held_out, rules),
    }


def share_of(is_above: NDArray[np.bool_]) -> dict:
    """Return how many of ``(n,)`` are true, and the share with its exact interval."""
    n, above = len(is_above), int(np.count_nonzero(is_above))
    return {"n": n, "above": above, "share": exact_share(above, n).rounded(5)}


def _two_sample(
    values: NDArray, place: NDArray, first: NDArray[np.bool_], second: NDArray[np.bool_], rules: Sequence[LevelRule]
) -> dict[str, dict]:
    tests = {}
    for number, rule in enumerate(rules):
        one, other = values[first & (place == number)], values[second & (place == number)]
        if len(one) and len(other):
            result = stats.ks_2samp(one, other)
            tests[rule.name] = {"n": [len(one), len(other)], "distance": float(result.statistic), "p": result.pvalue}
    corrected, largest = {}, 0.0
    for rank, name in enumerate(sorted(tests, key=lambda name: tests[name]["p"])):
        largest = max(largest, min(1.0, (len(tests) - rank) * tests[name]["p"]))
        corrected[name] = largest
    return {
        name: {"n": test["n"], "distance": round(test["distance"], 4), "p_corrected": round(corrected[name], 4)}
        for name, test in tests.items()
    }
