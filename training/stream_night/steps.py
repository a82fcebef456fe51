"""What each step of the way to a flag, and to a place in the order of attention, changes: one table.

Each step is taken away alone. A head is fitted again where the step is the head's, by one booster a fold instead of
several; all else is switched off in what was scored. Out of fold on the databank's rows from 2022 on, and on the night
of real objects.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from annotator.decision.config import DecisionConfig
from annotator.models import ModelSet, Scores
from training.exotic.evaluate import half_precision_threshold, rank, recent_or_all
from training.exotic.fit import BoostingSettings, Examples, cross_fit
from training.exotic.network import typical_numbers
from training.exotic.train import with_lack_taken_back
from training.export.card_text import with_interval
from training.stream_night.night import StreamNight, asked_of, stream_night
from training.stream_night.objects import StreamObject
from training.stream_night.score import FoldScorer, calibrated_chances

log = logging.getLogger(__name__)

N_TREES, MIN_IN_LEAF = 400, 3
"""Of a forest."""
HUNDRED, FIRST = 100, 10


@dataclass(frozen=True)
class Step:
    """One step taken away, or none."""

    name: str
    night: StreamNight
    ranking: dict | None = None
    """AUC and AP of the databank's SLSN and TDE, with intervals; None where they are as before."""


def steps(objects: Sequence[StreamObject], scorer: FoldScorer, models: ModelSet, scores: list[Scores]) -> list[Step]:
    """Take each step away, alone.

    Parameters
    ----------
    scores
        Of :func:`training.stream_night.night.asked_of` these objects, with nothing taken away.
    """
    plain, asked = DecisionConfig(), asked_of(objects)

    def night(said: list[Scores], decision: DecisionConfig = plain, of: ModelSet = models) -> StreamNight:
        return stream_night(objects, lambda _: said, of, decision)

    head = models.heads["exotic"].manifest
    found = [Step("nothing: as it ships", night(scores), head.metrics["headline"]["recent"])]
    examples, may_train = scorer.beside_databank([item.transient for item in asked], [said.numbers for said in scores])
    light = replace(BoostingSettings(**head.training["settings"]), n_boosters=1)
    for name, fit in (
        ("nothing, the head of one booster", lambda: _boosted(scorer, examples, may_train, light)),
        ("taking back what missing groups do", lambda: cross_fit(examples, light, may_train).odds),
        ("hiding groups, too", lambda: cross_fit(examples, replace(light, hides_groups=False), may_train).odds),
        ("boosting: a forest on the same numbers", lambda: _forest(examples, may_train, light.seed)),
    ):
        log.info("without %s", name)
        found.append(_by_another_head(name, fit(), scorer, (examples, may_train), scores, night))
    fading = stream_night(
        [never_fading(item) for item in objects], lambda _: scores, models, plain
    )  # decided on, as scored
    found += [
        Step("what is known to vary", night(scores, msgspec.structs.replace(plain, variable=False))),
        Step("years of a record that does not go back", night(scores, _with(plain, variable_row_years=100.0))),
        Step("fading sources are no artefacts", fading),
    ]
    alone = models.worth.training.get("nights_alone") if models.worth else None
    if alone:
        weights = {"intercept": alone["intercept"], "weights": tuple(alone["weights"])}
        other = replace(models, worth=msgspec.structs.replace(models.worth, **weights))
        found.append(Step("the databank, in the order of attention", night(scores, of=other)))
    return found


def _with(decision: DecisionConfig, **changes: object) -> DecisionConfig:
    return msgspec.structs.replace(decision, **changes)


def never_fading(item: StreamObject) -> StreamObject:
    """Return an object of which negative differences are bad subtractions, whatever they score."""
    triplet = item.transient.triplet
    stamps = None if triplet is None else replace(triplet, is_negative=False)
    return replace(item, transient=replace(item.transient, n_det_fading=None, triplet=stamps))


def _boosted(
    scorer: FoldScorer, examples: Examples, may_train: NDArray[np.bool_], settings: BoostingSettings
) -> NDArray[np.float64]:
    fitted = cross_fit(examples, settings, may_train, with_hidden=True)
    return with_lack_taken_back(fitted, scorer.databank, examples)[1].odds


def _forest(examples: Examples, may_train: NDArray[np.bool_], seed: int) -> NDArray[np.float64]:
    """Return log odds by forests that saw no example of the same bin; what is missing is a number far off."""
    from sklearn.ensemble import ExtraTreesClassifier

    odds = np.full(len(examples.folds), np.nan)
    typical = typical_numbers(examples.numbers[may_train])
    numbers = np.nan_to_num(np.where(np.isnan(examples.numbers), typical, examples.numbers), nan=-99.0)
    for number in np.unique(examples.folds):
        train, here = may_train & (examples.folds != number), examples.folds == number
        forest = ExtraTreesClassifier(N_TREES, min_samples_leaf=MIN_IN_LEAF, max_features=0.3, random_state=seed)
        forest.fit(numbers[train], examples.is_positive[train], examples.weights[train])
        share = np.clip(forest.predict_proba(numbers[here])[:, 1], 1e-3, 1 - 1e-3)
        odds[here] = np.log(share / (1 - share))
    return odds


def _by_another_head(
    name: str,
    odds: NDArray[np.float64],
    scorer: FoldScorer,
    rows: tuple[Examples, NDArray[np.bool_]],
    scores: list[Scores],
    night: Callable[..., StreamNight],
) -> Step:
    """Calibrate another head's log odds as those that ship, and decide by its own threshold."""
    examples, may_train = rows
    chances = calibrated_chances(odds, examples, may_train)
    databank = scorer.databank
    n = len(databank.table.rows)
    threshold = half_precision_threshold(chances[:n], databank.is_positive)
    said = [
        item if item.exotic is None else replace(item, exotic=float(chance))
        for item, chance in zip(scores, chances[~may_train], strict=True)
    ]
    decided = night(said, DecisionConfig(exotic_probability=float(min(threshold, 1.0))))
    return Step(name, decided, rank(databank, odds, databank.is_positive, recent_or_all(databank.table)))


def steps_table(found: Sequence[Step]) -> str:
    """Lay the steps out in one table, in Markdown."""
    lines = [
        "| taken away | databank AUC | AP | anomalies, watches that are no known exotic | hostless flagged, and "
        f"without PS1 | known exotics in the first {HUNDRED} by worth, score | of the first {FIRST} by worth |",
        "|---|---|---|---|---|---|---|",
    ]
    for step in found:
        ranked = ["as above"] * 2 if step.ranking is None else [with_interval(step.ranking[k]) for k in ("auc", "ap")]
        lines.append(f"| {step.name} | {' | '.join([*ranked, *_of_night(step.night)])} |")
    return "\n".join(lines)


def _of_night(night: StreamNight) -> list[str]:
    others = [sum(not item.object.is_exotic for item in night.flags(name)) for name in ("anomaly", "watch")]
    hostless = [sum(item.is_flag for item in items) for items in (night.hostless, night.hostless_hidden)]
    first = [sum(item.object.is_exotic for item in night.ranked(order)[:HUNDRED]) for order in ("worth", "score")]
    kinds = night.kinds(night.ranked("worth")[:FIRST])
    return [
        *(", ".join(map(str, numbers)) for numbers in (others, hostless, first)),
        ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
    ]
