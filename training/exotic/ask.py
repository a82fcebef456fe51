"""`aha-train ask`: the objects whose verdict would teach the head `exotic` most, and how fast it learns by them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.errors import ConfigError
from annotator.models import load_models
from training.data.table import read_table
from training.exotic.examples import Databank, ledger_numbers, ledger_worths, read_databank, with_verdicts
from training.exotic.fit import BoostingSettings, Examples, fit_exotic, log_odds_of
from training.exotic.network import INPUTS, NEEDS, ExoticModel
from training.export.head import verdicts_in
from training.metrics.ranking import auc, average_precision
from training.recipe import SURVEY

log = logging.getLogger(__name__)

VERDICTS_A_NIGHT = 10
N_YEARS = 3
"""Simulated, each with its own random choices."""
TEST_FOLDS = (8, 9)
NIGHTLY_UNTIL, THEN_EVERY = 30, 5
"""Nights until which the head is trained anew each night, and then every so many."""
YEAR_TREES, YEAR_BOOSTERS = 60, 3


@dataclass(frozen=True)
class Asked:
    """An object to be judged."""

    object_id: str
    probability: float
    """What the head says now, between 0 and 1, not calibrated."""
    worth: float | None
    """The chance that who looks is glad of it, as the annotator wrote it down; None where it wrote none."""
    spread: float
    """Standard deviation of that between the boosters: how much they disagree."""


def teaching_value(model: ExoticModel, numbers: NDArray[np.float32]) -> tuple[NDArray, NDArray, NDArray]:
    """Return what a verdict on each object would teach ``(n,)``, its probability and the boosters' spread.

    The upper end of what the boosters hold possible, prior included: an object that some of them call exotic teaches
    whatever the verdict is, and one that none does teaches little (an upper confidence bound: Auer et al. 2002,
    Machine Learning 47, 235).
    """
    with torch.no_grad():
        odds = model.by_booster(torch.from_numpy(numbers)).numpy().astype(np.float64)
    spread = (1.0 / (1.0 + np.exp(-odds))).std(axis=1)
    probability = 1.0 / (1.0 + np.exp(-log_odds_of(model, numbers)))
    return probability + spread, probability, spread


def ask(
    data: Path, models_folder: Path | None, verdicts: Path | None, ledger: Path, n: int, settings: BoostingSettings
) -> list[Asked]:
    """Choose the objects of a ledger whose verdict would teach most, the most first.

    That is the upper end of how much an object may be worth: its place in the order of attention, or what the head says
    where it has none, and by how much the trees disagree.

    Raises
    ------
    ConfigError
        If a file cannot be read, or the ledger knows no object that is not judged already.
    """
    torch.set_num_threads(1)
    known = ledger_numbers(ledger)
    judged = verdicts_in(verdicts)
    databank = read_databank(read_table(data, SURVEY), load_models(models_folder, SURVEY), None)
    examples, _ = with_verdicts(databank, judged, known)
    candidates = sorted(object_id for object_id in known if object_id not in judged)
    if not candidates:
        raise ConfigError(
            f"--ledger {ledger}: expected objects that nobody has judged, found none of {len(known)}; let the "
            f"annotator make a pass first"
        )
    numbers = np.array([known[object_id] for object_id in candidates])
    _, probability, spread = teaching_value(fit_exotic(examples, settings), numbers)
    worths = ledger_worths(ledger)
    worth = [worths.get(object_id) for object_id in candidates]
    expected = np.array([probability[i] if own is None else own for i, own in enumerate(worth)])
    best = np.argsort(-(expected + spread), kind="stable")[:n]
    return [Asked(candidates[i], float(probability[i]), worth[i], float(spread[i])) for i in best]


def simulate_year(databank: Databank) -> dict:
    """Play a year of ten verdicts a night on the databank, which answers as its labels do, from no label at all.

    Objects of eight folds are asked about; those of two others measure. A head that knows no positive ranks by the
    prior.

    Returns
    -------
    dict
        ``nights``; by strategy (``asked``, ``at random``) lists by night: ``found`` positives among those judged,
        ``auc`` and ``ap`` on the others, each as mean, lowest and highest of :data:`N_YEARS` years; ``pool`` and
        ``test``: how many objects and positives.
    """
    examples = databank.examples.where(np.arange(len(databank.places)) < len(databank.table.rows))
    is_test = np.isin(examples.folds, TEST_FOLDS)
    pool, test = examples.where(~is_test), examples.where(is_test)
    nights = _nights(len(pool.folds))
    years = {
        strategy: [_year(pool, test, nights, seed, strategy == "asked") for seed in range(N_YEARS)]
        for strategy in ("asked", "at random")
    }
    return {
        "nights": nights,
        "n_years": N_YEARS,
        "strategies": {
            strategy: {
                key: [
                    [round(float(f([year[key][i] for year in runs])), 4) for f in (np.mean, np.min, np.max)]
                    for i in range(len(nights))
                ]
                for key in ("found", "auc", "ap")
            }
            for strategy, runs in years.items()
        },
        "pool": [len(pool.folds), int(pool.is_positive.sum())],
        "test": [len(test.folds), int(test.is_positive.sum())],
    }


def _nights(n_pool: int) -> list[int]:
    last = min(365, n_pool // VERDICTS_A_NIGHT)
    return sorted({*range(min(NIGHTLY_UNTIL, last) + 1), *range(NIGHTLY_UNTIL, last, THEN_EVERY), last})


def _year(pool: Examples, test: Examples, nights: list[int], seed: int, is_asked: bool) -> Mapping[str, list[float]]:
    settings = replace(BoostingSettings(), n_trees=YEAR_TREES, n_boosters=YEAR_BOOSTERS, seed=seed)
    rng = np.random.default_rng(seed)
    unjudged = rng.permutation(len(pool.folds))
    judged: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    found: dict[str, list[float]] = {"found": [], "auc": [], "ap": []}
    for night, next_night in zip(nights, [*nights[1:], None], strict=True):
        model = _head(pool.where(judged), settings)
        scores = _scores(model, test.numbers)
        found["found"].append(int(pool.is_positive[judged].sum()))
        found["auc"].append(auc(scores, test.is_positive))
        found["ap"].append(average_precision(scores, test.is_positive))
        if next_night is None:
            break
        n_asked = VERDICTS_A_NIGHT * (next_night - night)
        if is_asked:
            numbers = pool.numbers[unjudged]
            values = teaching_value(model, numbers)[0] if model else _scores(None, numbers)
            unjudged = unjudged[np.argsort(-values, kind="stable")]
        judged, unjudged = np.concatenate([judged, unjudged[:n_asked]]), unjudged[n_asked:]
    how = "asked for" if is_asked else "at random"
    log.info("a year of verdicts %s, seed %d: AP %.3f", how, seed, found["ap"][-1])
    return found


def _head(examples: Examples, settings: BoostingSettings) -> ExoticModel | None:
    """Fit a head, where there are objects of both kinds to learn from."""
    if not examples.is_positive.any() or examples.is_positive.all():
        return None
    return fit_exotic(examples, settings)


def _scores(model: ExoticModel | None, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
    return numbers[:, INPUTS.index(NEEDS)].astype(np.float64) if model is None else log_odds_of(model, numbers)
