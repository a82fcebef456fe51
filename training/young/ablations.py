"""What was tried for young objects, and what each step brings: other states to learn from, other numbers, upper limits.

Single heads without the stated prior and with nothing taken back for what is missing, fitted and asked as the head is:
what differs between two of them is the step.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotator.models import ModelSet, Scores
from annotator.preprocess.features import feature_row
from annotator.preprocess.quantities import quantity_row
from annotator.surveys.ztf.columns import FEATURES
from annotator.transient import LightCurve
from training.data.folds import N_FOLDS, fold_of
from training.exotic.examples import Databank, with_others
from training.exotic.fit import N_COPIES, BoostingSettings, Examples, booster_parameters
from training.exotic.hiding import Told, groups_to_hide, hidden, told_whatever_is_hidden
from training.exotic.network import INPUTS, NEEDS, typical_numbers
from training.metrics.intervals import Estimate, interval_of, resamplings
from training.metrics.ranking import as_lists, auc, ranking
from training.young.measure import Chain, chain, like_sources, recall_at
from training.young.objects import simulated_objects
from training.young.replay import AGES_DAYS, State, replayed

log = logging.getLogger(__name__)

N_BOOSTERS, N_DRAWS, NIGHTS_PER_OBJECT = 3, 300, 4
SKY_COUNTS: Mapping[str, int] = {"SN Ia": 1000, "SN II": 260, "SN Ib/c": 70, "SLSN": 250, "TDE": 250}
SKY_SEED = 5200
DAY = AGES_DAYS.index(5)


@dataclass(frozen=True)
class Tried:
    """How good a head is that differs in one step."""

    words: str
    whole: Mapping[str, Sequence[float]]
    """AUC and AP on final states from 2022 on; empty on the simulated sky."""
    young_auc: tuple[float, ...]
    """By age."""
    recall: tuple[float, ...]
    """At 5 % false alarms, by age."""
    gain: Estimate | None
    """In AUC on the fifth day over the head that the step is compared with, by bootstrap over transients."""


@dataclass(frozen=True, eq=False)
class _Replayed:
    """States of real objects with a head's numbers, behind the databank's own."""

    examples: Examples
    """All: the databank's, and then one a state."""
    n_own: int
    may_teach: NDArray[np.bool_]
    """Of the states, ``(m,)``: those with numbers."""


def of_heads(
    models: ModelSet, databank: Databank, found: Chain, states: Sequence[State], scores: Sequence[Scores]
) -> list[Tried]:
    """Compare heads that learn from other states, or of other numbers, on the replayed objects and on final states."""
    settings = BoostingSettings(**models.heads["exotic"].manifest.training["settings"])
    settings = replace(settings, n_boosters=N_BOOSTERS)
    both = _behind(models, databank, found, states, scores)
    place = np.array([state.place for state in states])
    picked = _some_nights(place)
    sources = np.array([item.source for item in found.objects])
    recent = found.is_recent
    told_apart = [
        name for name in np.unique(sources[recent]) if len(np.unique(found.is_exotic[recent & (sources == name)])) == 2
    ]
    matched = picked & (recent & np.isin(sources, told_apart))[place]
    n_final = len(databank.table.rows)
    none, own = np.zeros(len(states), dtype=bool), np.ones(both.n_own, dtype=bool)
    final = np.arange(both.n_own) < n_final
    steps: tuple[tuple[str, NDArray[np.bool_], NDArray[np.bool_], bool], ...] = (
        ("the head's own states: final ones and random epochs", own, none, False),
        ("final states alone", final, none, False),
        ("and young nights from 2022 on, of catalogues with both classes", own, matched, False),
        ("young nights of that kind instead of random epochs", final, matched, False),
        ("young nights of all years and catalogues instead of random epochs", final, picked, False),
        ("and young nights of all years and catalogues", own, picked, False),
        ("colour and rise relative to what is usual at an absolute magnitude", own, none, True),
    )
    tried, first = [], None
    for words, kept, nights, is_relative in steps:
        chances = _sigmoid(_odds(_weighed(both, kept, nights, found, place), settings, is_relative))
        of_states = np.where(both.may_teach, chances[both.n_own :], 0.0)
        said = replace(found, **_by_age(found, states, of_states))
        first = first or said
        tried.append(_tried(words, databank, chances[:n_final], said, first, states))
        log.info("%s: AUC on the fifth day %.3f", words, tried[-1].young_auc[DAY])
    return tried


def _behind(
    models: ModelSet, databank: Databank, found: Chain, states: Sequence[State], scores: Sequence[Scores]
) -> _Replayed:
    """Put replayed states behind the databank's, with what the model of object features says whatever is hidden."""
    own = databank.examples
    numbers = np.array([[item.numbers.get(name, np.nan) for name in INPUTS] for item in scores], dtype=np.float32)
    fold_by_id = dict(zip(databank.table.object_ids.tolist(), databank.table.folds.tolist(), strict=True))
    folds = np.array([fold_by_id[found.objects[state.place].object_id] for state in states])
    labels = found.is_exotic[[state.place for state in states]]
    joined = with_others(own, numbers, labels, np.zeros(len(states)), folds)
    features = np.array([_features(state) for state in states])
    quantities = np.array([quantity_row(FEATURES, state.transient) for state in states])
    told = told_whatever_is_hidden(models.models["features"], FEATURES, features, quantities, numbers)
    joined = replace(joined, told=Told(np.concatenate([own.told.values, told.values])))
    return _Replayed(joined, len(own.folds), np.isfinite(numbers[:, INPUTS.index(NEEDS)]))


def _features(state: State) -> NDArray[np.float32]:
    if not state.transient.features:
        return np.full(len(FEATURES), np.nan, dtype=np.float32)
    return feature_row(FEATURES, state.transient.features)


def _some_nights(place: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Choose so many nights of each object at random, ``(m,)``."""
    rng, chosen = np.random.default_rng(0), np.zeros(len(place), dtype=bool)
    for number in np.unique(place):
        chosen[rng.permutation(np.flatnonzero(place == number))[:NIGHTS_PER_OBJECT]] = True
    return chosen


def _weighed(
    both: _Replayed, kept: NDArray[np.bool_], nights: NDArray[np.bool_], found: Chain, place: NDArray[np.int64]
) -> Examples:
    """Weigh what teaches: an object's nights together as one, the classes as they are among final states."""
    teaches = nights & both.may_teach
    weights = both.examples.weights.copy()
    weights[: both.n_own] *= kept
    per_object = np.bincount(place[teaches], minlength=len(found.objects))[place]
    own = np.where(teaches, 1.0 / np.maximum(per_object, 1), 0.0)
    labels, first = found.is_exotic[place], both.examples.where(np.flatnonzero(kept))
    if teaches.any():
        odds = first.weights @ first.is_positive / (first.weights @ ~first.is_positive)
        own[labels] *= odds / (own[labels].sum() / own[~labels].sum())
    weights[both.n_own :] = own
    return replace(both.examples, weights=weights)


def _odds(examples: Examples, settings: BoostingSettings, is_relative: bool) -> NDArray[np.float64]:
    """Return log odds ``(n,)`` of boosters that saw no example of the bin; what has no weight does not teach."""
    import xgboost

    odds, teaches = np.zeros(len(examples.folds)), examples.weights > 0
    for fold in np.unique(examples.folds):
        here, train = examples.folds == fold, examples.where(teaches & (examples.folds != fold))
        typical, usual = typical_numbers(train.numbers), Usual.of(train.numbers[~train.is_positive])

        def laid_out(numbers: NDArray[np.float32], typical=typical, usual=usual) -> NDArray[np.float64]:
            filled = np.where(np.isnan(numbers), typical, numbers)
            return np.column_stack([filled, usual.relative(numbers)]) if is_relative else filled

        for number in range(settings.n_boosters):
            rng = np.random.default_rng([settings.seed + int(fold), number])
            copies = [
                laid_out(hidden(train.numbers, groups_to_hide(train.numbers, train.is_positive, rng), train.told))
                for _ in range(N_COPIES)
            ]
            data = xgboost.DMatrix(
                np.concatenate(copies),
                np.tile(train.is_positive, N_COPIES),
                weight=np.tile(train.weights, N_COPIES) / N_COPIES,
                nthread=1,
            )
            own = replace(settings, seed=settings.seed + int(fold))
            booster = xgboost.train(booster_parameters(own, number), data, settings.n_trees)
            asked = xgboost.DMatrix(laid_out(examples.numbers[here]), nthread=1)
            odds[here] += booster.predict(asked, output_margin=True) / settings.n_boosters
    return odds


RELATIVE: Mapping[str, float] = {
    **dict.fromkeys(("colour_now", "colour_peak", "colour_08"), np.inf),
    **dict.fromkeys(("rate_g", "rate_r", "trend_08_g", "trend_08_r"), 0.05),
}
"""What is taken relative to what is usual at an absolute magnitude and age, and below what it is linear."""


@dataclass(frozen=True, eq=False)
class Usual:
    """What normals of an absolute magnitude and an age usually are, by least squares on both."""

    coefficients: Mapping[str, NDArray[np.float64]]
    scatter: Mapping[str, float]

    @classmethod
    def of(cls, numbers: NDArray[np.float32]) -> "Usual":
        """Fit it to normals, ``(n, len(INPUTS))``."""
        terms, coefficients, scatter = _terms(numbers), {}, {}
        for name in RELATIVE:
            values = _softened(numbers, name)
            known = np.isfinite(terms).all(axis=1) & np.isfinite(values)
            found = np.linalg.lstsq(terms[known], values[known], rcond=None)[0]
            coefficients[name] = found
            scatter[name] = float(np.std(values[known] - terms[known] @ found)) if known.any() else 1.0
        return cls(coefficients, scatter)

    def relative(self, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how many scatters objects are from it, and their latest absolute magnitudes, NaN without a distance.

        Returns
        -------
        NDArray
            ``(n, len(RELATIVE) + 2)``.
        """
        terms = _terms(numbers)
        away = [(_softened(numbers, name) - terms @ self.coefficients[name]) / self.scatter[name] for name in RELATIVE]
        peak = np.fmin(_of(numbers, "peak_g"), _of(numbers, "peak_r"))
        modulus = peak - _of(numbers, "absolute_magnitude")
        return np.column_stack([*away, *(_of(numbers, name) - modulus for name in ("now_g", "now_r"))])


def _of(numbers: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    return numbers[:, INPUTS.index(name)].astype(np.float64)


def _softened(numbers: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    softening = RELATIVE[name]
    return _of(numbers, name) if np.isinf(softening) else np.arcsinh(_of(numbers, name) / softening)


def _terms(numbers: NDArray[np.float32]) -> NDArray[np.float64]:
    magnitude, age = _of(numbers, "absolute_magnitude"), np.log10(_of(numbers, "age"))
    return np.column_stack([np.ones(len(age)), magnitude, magnitude**2, age, magnitude * age])


def _by_age(found: Chain, states: Sequence[State], chances: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    largest, latest = np.zeros(found.last.shape), np.zeros(found.last.shape)
    for state, chance in zip(states, chances, strict=True):
        at = state.place, np.flatnonzero(state.age_days <= np.array(AGES_DAYS))
        largest[at], latest[at] = np.maximum(largest[at], chance), chance
    return {"exotic": largest, "exotic_now": latest}


def _tried(
    words: str,
    databank: Databank,
    of_final: NDArray[np.float64],
    said: Chain,
    first: Chain,
    states: Sequence[State],
) -> Tried:
    table = databank.table
    recent, names = table.is_recent, np.array(table.tns_names)
    whole = as_lists(ranking(of_final[recent], databank.is_positive[recent], names=names[recent]))
    eras = said.is_rising & (said.is_recent | ~said.is_exotic)
    return Tried(
        words=words,
        whole={name: whole[name] for name in ("auc", "ap")},
        **_of_young(said, first, said.is_rising & said.is_recent, eras, like_sources(said, states, eras)),
    )


def _of_young(
    said: Chain, first: Chain, rows: NDArray[np.bool_], for_recall: NDArray[np.bool_], weights: NDArray[np.float64]
) -> dict[str, object]:
    labels = said.is_exotic[rows]
    return {
        "young_auc": tuple(auc(said.exotic_now[rows, age], labels) for age in range(len(AGES_DAYS))),
        "recall": tuple(
            recall_at(said.exotic[:, age], said, for_recall, weights).value for age in range(len(AGES_DAYS))
        ),
        "gain": None if said is first else _gain(said, first, rows),
    }


def _gain(said: Chain, first: Chain, rows: NDArray[np.bool_]) -> Estimate:
    labels, (new, old) = said.is_exotic[rows], (item.exotic_now[rows, DAY] for item in (said, first))
    transient = np.unique(said.names[rows], return_inverse=True)[1]
    draws = [
        auc(new, labels, drawn[transient]) - auc(old, labels, drawn[transient])
        for drawn in resamplings(int(transient.max()) + 1, N_DRAWS, np.random.default_rng(0))
    ]
    low, high = interval_of(draws)
    return Estimate(auc(new, labels) - auc(old, labels), float(low), float(high))


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-odds))


LIMITS_BEFORE_DAYS = 30.0
"""As far back as a packet goes."""


def of_limits(models: ModelSet, counts: Mapping[str, int] = SKY_COUNTS) -> list[Tried]:
    """Compare heads with and without upper limits on a simulated sky, whose limits are those of its own light curves.

    The real data have none; this is the most that they can bring where the sky is as it is simulated.
    """
    objects = [item for item in simulated_objects(counts, SKY_SEED, has_stamps=False) if item.is_rising]
    states = _last_nights(replayed(objects))
    scores = models.score([state.transient for state in states])
    numbers = np.array([[item.numbers.get(name, np.nan) for name in INPUTS] for item in scores], dtype=np.float32)
    limits = np.array([limit_numbers(state.transient.light_curve) for state in states], dtype=np.float32)
    found = chain(objects, states, [""] * len(states), [None] * len(states))
    place = np.array([state.place for state in states])
    folds = np.array([fold_of(item.object_id) for item in objects])[place]
    rows, ones, tried, first = found.is_rising, np.ones(len(objects)), [], None
    for words, design in (
        ("simulated sky: the head's own numbers", numbers),
        ("simulated sky: and upper limits", np.column_stack([numbers, limits])),
    ):
        said = replace(found, **_by_age(found, states, _sky_chances(design, found.is_exotic[place], folds)))
        first = first or said
        tried.append(Tried(words=words, whole={}, **_of_young(said, first, rows, rows, ones)))
        log.info("%s: AUC on the fifth day %.3f", words, tried[-1].young_auc[DAY])
    return tried


def _last_nights(states: Sequence[State]) -> list[State]:
    """Keep of each object the last night up to each age."""
    kept = {(state.place, int(np.searchsorted(AGES_DAYS, state.age_days))): state for state in states}
    return list(kept.values())


def limit_numbers(curve: LightCurve) -> tuple[float, ...]:
    """Return what upper limits before an object's first positive detection say of its first light; NaN without any.

    Days from the last of them, and from the last that was deeper than the detection is bright; magnitudes from the last
    one in the same band to the detection, and the same a day; and days from the last of them to the present.
    """
    seen = np.flatnonzero(curve.is_positive)[0]
    first_mjd, magnitude = curve.time_mjd[seen], curve.magnitude[seen]
    before = (curve.limit_time_mjd < first_mjd) & (curve.limit_time_mjd >= first_mjd - LIMITS_BEFORE_DAYS)
    gap = _since(curve.limit_time_mjd[before], first_mjd)
    deep = _since(curve.limit_time_mjd[before & (curve.limit_magnitude > magnitude)], first_mjd)
    same = np.flatnonzero(before & (curve.limit_band == curve.band[seen]))
    rise = float(curve.limit_magnitude[same[-1]] - magnitude) if len(same) else np.nan
    days = float(first_mjd - curve.limit_time_mjd[same[-1]]) if len(same) else np.nan
    return gap, deep, rise, rise / days, gap + float(curve.time_mjd[-1] - first_mjd)


def _since(times_mjd: NDArray[np.float64], mjd: float) -> float:
    return float(mjd - times_mjd.max()) if len(times_mjd) else np.nan


def _sky_chances(
    design: NDArray[np.float32], is_exotic: NDArray[np.bool_], folds: NDArray[np.int64]
) -> NDArray[np.float64]:
    import xgboost

    settings, odds = BoostingSettings(), np.zeros(len(folds))
    for fold in range(N_FOLDS):
        here = folds == fold
        for number in range(2):
            train = xgboost.DMatrix(design[~here], is_exotic[~here], nthread=1)
            booster = xgboost.train(booster_parameters(settings, number), train, settings.n_trees)
            odds[here] += booster.predict(xgboost.DMatrix(design[here], nthread=1), output_margin=True) / 2
    return _sigmoid(odds)
