"""How well the head `exotic` ranks: by its own definition and AHA's, with few known, and what it never saw."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.preprocess.quantities import QUANTITY_NAMES
from training.data.table import Table
from training.exotic.examples import Databank
from training.exotic.fit import BoostingSettings, Examples, cross_fit, fit_exotic, log_odds_of
from training.exotic.network import INPUTS, MODALITY_INPUTS, NEEDS, ExoticModel
from training.metrics import ranking as evaluate
from training.metrics.calibrate import share_of
from training.metrics.era import era_and_missingness
from training.recipe import Headlines, within

FEW = 10
N_DRAWS = 5
"""Of which few exotics are known."""

COMPARED_BOOSTERS = 1
"""Of the heads that are fitted only to compare."""

RARE_SUPERNOVAE: Mapping[str, tuple[str, ...]] = {
    "Ibn, Icn": ("SN Ibn", "SN Icn", "SN Ibn/Icn"),
    "IIn": ("SN IIn",),
    "Ia-CSM, Ia-SC": ("SN Ia-CSM", "SN Ia-SC"),
    "Ic-BL": ("SN Ic-BL",),
    "Iax": ("SN Iax[02cx-like]",),
    "91bg": ("SN Ia-91bg-like",),
    "91T": ("SN Ia-91T-like",),
}
"""Hidden among the normals: a supernova astronomer wants them."""


def rank(
    databank: Databank,
    odds: NDArray,
    is_positive: NDArray[np.bool_],
    rows: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
) -> dict:
    """Return AUC, AP and hits of final states with intervals over transients, and how many there are.

    Parameters
    ----------
    odds
        ``(n,)`` or more: those of partial light curves behind them do not count here.
    is_positive, rows
        ``(n,)``.
    weights
        How much each counts, ``(n,)``; by default 1.
    """
    table, odds = databank.table, odds[: len(rows)]
    names = np.array(table.tns_names)[rows]
    own = None if weights is None else weights[rows]
    found = evaluate.as_lists(evaluate.ranking(odds[rows], is_positive[rows], table.folds[rows], names, own))
    return found | {"n_positive": int(is_positive[rows].sum()), "n_negative": int((~is_positive[rows]).sum())}


def recent_or_all(table: Table) -> NDArray[np.bool_]:
    """Return the rows from 2022 on, ``(n,)``, or all of a table that has none."""
    return table.is_recent if table.is_recent.any() else np.ones(len(table.rows), dtype=bool)


def headline(databank: Databank, odds: NDArray[np.float64]) -> dict:
    """Rank SLSN and TDE above normals and AGN by out-of-fold odds ``(n,)``, and rare supernovae above common ones.

    In each population, and beside it by era and missing values alone; by AHA's definition, in which AGN are positives,
    the very same odds; by type in the rows from 2022 on.
    """
    table, positive = databank.table, databank.is_positive
    found = {
        name: rank(databank, odds, positive, part.rows, part.weights)
        | {"era": rank(databank, era_and_missingness(table, positive, part), positive, part.rows, part.weights)["auc"]}
        for name, part in evaluate.populations(table, positive).items()
    }
    recent = recent_or_all(table)
    by_type = {
        kind: rank(databank, odds, databank.kinds == kind, recent & (~positive | (databank.kinds == kind)))["auc"]
        for kind in np.unique(databank.kinds[positive & recent]).tolist()
    }
    as_aha = rank(databank, odds, table.is_exotic, recent)
    return found | {"as_aha": as_aha, "by_type": by_type, "rare": rare_supernovae(databank, odds)}


def rare_supernovae(databank: Databank, scores: NDArray[np.float64]) -> dict:
    """Rank each rare kind of supernova above the common ones, which no label told apart."""
    rare = np.isin(databank.kinds, [kind for kinds in RARE_SUPERNOVAE.values() for kind in kinds])
    recent = recent_or_all(databank.table)
    common = ~databank.table.is_exotic & ~rare & recent
    found = {}
    for name, kinds in RARE_SUPERNOVAE.items():
        members = np.isin(databank.kinds, kinds) & recent
        if members.sum() >= 5:
            found[name] = {"n": int(members.sum()), "auc": rank(databank, scores, members, common | members)["auc"]}
    return found


def comparisons(databank: Databank, settings: BoostingSettings) -> dict:
    """Measure what needs other heads than the one that is served, all out-of-fold."""
    light = replace(settings, n_boosters=COMPARED_BOOSTERS)
    table = databank.table
    recent = recent_or_all(table)
    as_aha = databank.labelled(table.is_exotic)
    return {
        "aha_definition": rank(databank, cross_fit(as_aha, settings).odds, table.is_exotic, recent),
        "few_known": _few_known(databank, as_aha, light),
        "left_out": _left_out(databank, as_aha, light),
        "ablations": _ablations(databank, light),
    }


def _few_known(databank: Databank, examples: Examples, settings: BoostingSettings) -> dict:
    """Train on all normals and ten exotics of the other folds, drawn anew; AHA's definition."""
    rng = np.random.default_rng(settings.seed)
    draws, is_exotic = [], databank.table.is_exotic
    recent = recent_or_all(databank.table)
    for _ in range(N_DRAWS):
        found = np.full(len(examples.folds), np.nan)
        for number in np.unique(examples.folds):
            others = np.flatnonzero(is_exotic & (databank.table.folds != number))
            known = np.isin(databank.places, rng.choice(others, min(FEW, len(others)), replace=False))
            here = examples.folds == number
            kept = (~examples.is_positive | known) & ~here
            part = examples.where(kept | here)
            found[here] = cross_fit_one(part, int(number), settings)
        draws.append(rank(databank, found, is_exotic, recent))
    return {
        name: {
            "mean": round(float(np.mean([draw[name][0] for draw in draws])), 4),
            "range": [round(float(f([draw[name][0] for draw in draws])), 4) for f in (min, max)],
            "interval_of_first": draws[0][name],
        }
        for name in ("auc", "ap")
    } | {"n_known": FEW, "n_draws": N_DRAWS}


def cross_fit_one(examples: Examples, number: int, settings: BoostingSettings) -> NDArray[np.float64]:
    """Return log odds of one bin's examples by a model of the others."""
    here = examples.folds == number
    model = fit_exotic(examples.where(~here), replace(settings, seed=settings.seed + number))
    return log_odds_of(model, examples.numbers[here])


def _left_out(databank: Databank, examples: Examples, settings: BoostingSettings) -> dict:
    """Leave each exotic type out of all training, then rank it above the normals: the test of novelty."""
    found, recent = {}, recent_or_all(databank.table)
    is_exotic = databank.table.is_exotic
    for kind in np.unique(databank.kinds[is_exotic & recent]).tolist():
        members = databank.kinds == kind
        odds = cross_fit(examples, settings, kept=~members[databank.places]).odds
        found[kind] = {"n": int(members.sum())} | rank(databank, odds, members, recent & (~is_exotic | members))
    values = [item["auc"][0] for item in found.values()]
    return {"types": found, "mean": round(float(np.mean(values)), 4), "lowest": round(float(min(values)), 4)}


def _ablations(databank: Databank, settings: BoostingSettings) -> dict:
    """Take each step away, alone."""
    examples = databank.examples
    recent = recent_or_all(databank.table)
    found = {"all of it": cross_fit(examples, settings).odds}
    for modality, names in MODALITY_INPUTS.items():
        numbers = examples.numbers.copy()
        numbers[:, [INPUTS.index(name) for name in names if name != NEEDS]] = np.nan
        found[f"without what the {modality} model says"] = cross_fit(replace(examples, numbers=numbers), settings).odds
    numbers = examples.numbers.copy()
    numbers[:, : len(QUANTITY_NAMES)] = np.nan
    found["without the quantities"] = cross_fit(replace(examples, numbers=numbers), settings).odds
    prior = INPUTS.index(NEEDS)
    numbers = examples.numbers.copy()
    numbers[:, prior] = np.nanmedian(numbers[:, prior])
    found["without the prior"] = cross_fit(replace(examples, numbers=numbers), settings).odds
    found["the prior alone"] = examples.numbers[:, prior].astype(np.float64)
    n = len(databank.kinds)
    final = cross_fit(examples, settings, kept=np.arange(len(examples.folds)) < n).odds
    found["without live states in training"] = final
    return {name: rank(databank, odds, databank.is_positive, recent) for name, odds in found.items()} | {
        "live": {name: live_states(databank, odds) for name, odds in (("with", found["all of it"]), ("without", final))}
    }


def live_states(databank: Databank, odds: NDArray[np.float64]) -> dict:
    """Rank the partial light curves of exotics above those of normals, by out-of-fold odds ``(n + m,)``.

    Those of objects from 2022 on, and beside them all, with what the year alone gives of these: most normals with a
    light curve are older, and nearly no exotic is.
    """
    table, n = databank.table, len(databank.kinds)
    places = databank.places[n:]
    names = np.array(table.tns_names)[places] if len(places) else np.empty(0, dtype=str)
    positive = databank.is_positive[places]
    found = {}
    for name, rows in (("recent", table.is_recent[places]), ("all", np.ones(len(places), dtype=bool))):
        if positive[rows].any() and not positive[rows].all():
            measured = evaluate.as_lists(evaluate.ranking(odds[n:][rows], positive[rows], names=names[rows]))
            year = np.nan_to_num(table.first_jd[places][rows], nan=0.0)
            found[name] = measured | {
                "n_positive": int(positive[rows].sum()),
                "n_negative": int((~positive[rows]).sum()),
                "year_auc": round(evaluate.auc(year, positive[rows]), 4),
            }
    return found


def presence_auc(model: ExoticModel, databank: Databank) -> float:
    """Return the AUC of what the presence of modalities alone does to the probability.

    Every object is given the same numbers, the medians, and keeps only which of them are missing by modality.
    """
    known = np.isfinite(databank.numbers)
    typical = np.array(
        [
            np.median(column[there]) if there.any() else 0.0
            for column, there in zip(databank.numbers.T, known.T, strict=True)
        ]
    )
    numbers = np.tile(typical, (len(databank.numbers), 1))
    for names in MODALITY_INPUTS.values():
        places = [INPUTS.index(name) for name in names]
        numbers[:, places] = np.where(np.isnan(databank.numbers[:, places]), np.nan, numbers[:, places])
    with torch.no_grad():
        probabilities = model(torch.from_numpy(numbers.astype(np.float32))).numpy()
    return round(evaluate.auc(probabilities, databank.is_positive[databank.places]), 4)


def half_precision_threshold(probabilities: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> float:
    """Return the lowest probability such that half of what lies at or above it, there and higher, is positive."""
    order = np.argsort(-probabilities, kind="stable")
    precision = np.cumsum(is_positive[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(precision >= 0.5)
    return float(probabilities[order][good[-1]]) if len(good) else 1.0


def at_threshold(
    databank: Databank, probabilities: NDArray[np.float64], is_positive: NDArray[np.bool_], threshold: float
) -> dict:
    """Return how many of the final states from 2022 on, at the threshold or above, are positive, with the interval."""
    recent = recent_or_all(databank.table)
    chosen = np.flatnonzero(recent & (probabilities[: len(recent)] >= threshold))
    return share_of(is_positive[chosen]) if len(chosen) else {"n": 0, "above": 0, "share": [0.0, 0.0, 1.0]}


def calibration_table(probabilities: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> list[dict]:
    """Return how often an object of a given probability is positive."""
    edges = (0.0, 0.02, 0.1, 0.3, 0.6, 1.0 + 1e-9)
    place = np.digitize(probabilities, edges[1:-1])
    return [
        {"from": edges[i], "to": min(1.0, edges[i + 1]), "mean": round(float(probabilities[place == i].mean()), 4)}
        | share_of(is_positive[place == i])
        for i in range(len(edges) - 1)
        if (place == i).any()
    ]


def headlines(metrics: Mapping) -> Headlines:
    """Return what the head is worth in a few lines."""
    return {
        "AUC, from 2022 on": within(metrics, "headline", "recent", "auc"),
        "AP, from 2022 on": within(metrics, "headline", "recent", "ap"),
        "AUC, of like years and missing values": within(metrics, "headline", "like", "auc"),
        "there by era and missing values alone": within(metrics, "headline", "like", "era"),
        "AUC of live states, from 2022 on": within(metrics, "live", "recent", "auc"),
    }
