"""How well bogus detections are told: shares and their intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.decision.config import DecisionConfig
from training.artefact.fit import artefact_inputs, out_of_fold
from training.artefact.labels import DRB, artefact_labels
from training.data.stamps import StampTable
from training.metrics.intervals import exact_share
from training.metrics.ranking import auc_with_interval
from training.recipe import Headlines, within

THRESHOLD = DecisionConfig().artefact_probability
"""Probability from which on a detection is called an artefact. Of 0.4 to 0.8 in steps of 0.1 the lowest that calls no
classified object one, scores shown or hidden."""
TOP = 100


def measure(
    table: StampTable,
    errors: NDArray[np.float64],
    terms: NDArray[np.float64],
    verdicts: Mapping[str, str] | None = None,
    threshold: float = THRESHOLD,
) -> dict[str, Any]:
    """Measure the decision on objects, by their brightest positive detection, each judged out-of-fold.

    Parameters
    ----------
    table
        All stamps.
    errors, terms
        Their triplet error and terms (:func:`out_of_fold_terms`).
    threshold
        Probability from which on a detection is called an artefact.

    Returns
    -------
    dict
        ``n_bogus``, ``n_real``, ``n_unknown``, ``threshold``; for each of ``scores hidden`` and ``scores shown``:
        ``auc`` (of all, of those with a deep score, of those without), ``precision``, ``recall``, ``false_alarms``
        (share of the real) and ``classified`` (share of the objects with a class), each ``[value, low, high]``; and
        ``top``, the rows of :func:`top_rows`. The number of good detections, which can vouch for an object, is not in
        the table.
    """
    labels = artefact_labels(table, verdicts)
    blind, shown = out_of_fold(artefact_inputs(table, terms), labels, table.model_of)
    picks = table.is_pick
    is_bogus, is_real = labels.is_bogus[picks], labels.is_real[picks]
    is_classified, has_deep = (table.column("source_label") != "")[picks], np.isfinite(table.numbers(DRB))[picks]
    judged = {"scores hidden": blind[picks], "scores shown": shown[picks]}
    result: dict[str, Any] = {
        "n_bogus": int(is_bogus.sum()),
        "n_real": int(is_real.sum()),
        "n_unknown": int((~(is_bogus | is_real)).sum()),
        "threshold": threshold,
    }
    for name, values in judged.items():
        called, known = values >= threshold, is_bogus | is_real
        result[name] = {
            "auc": auc_with_interval(values[known], is_bogus[known]),
            "auc_with_drb": auc_with_interval(values[known & has_deep], is_bogus[known & has_deep]),
            "auc_without_drb": auc_with_interval(values[known & ~has_deep], is_bogus[known & ~has_deep]),
            "precision": share(called & is_bogus, called & known),
            "recall": share(called & is_bogus, is_bogus),
            "false_alarms": share(called & is_real, is_real),
            "classified": share(called & is_classified, is_classified),
        }
    result["top"] = top_rows(errors[picks], is_bogus, is_real, {k: v >= threshold for k, v in judged.items()})
    return result


def top_rows(
    errors: NDArray[np.float64],
    is_bogus: NDArray[np.bool_],
    is_real: NDArray[np.bool_],
    called: Mapping[str, NDArray[np.bool_]],
) -> list[dict[str, Any]]:
    """Count what the oddest hundred are, before and after those called artefacts are taken out and others move up.

    Returns
    -------
    list
        Rows with ``list``, ``n``, ``bogus``, ``real``, ``unknown`` and ``share``: that of the bogus with its interval.
    """
    order = np.argsort(-errors, kind="stable")
    rows = []
    for name, is_out in {"before": np.zeros(len(errors), dtype=bool), **called}.items():
        kept = order[~is_out[order]][:TOP]
        chosen = np.zeros(len(errors), dtype=bool)
        chosen[kept] = True
        bogus, real = int((chosen & is_bogus).sum()), int((chosen & is_real).sum())
        rows.append(
            {
                "list": name if name == "before" else f"after, {name}",
                "n": len(kept),
                "bogus": bogus,
                "real": real,
                "unknown": len(kept) - bogus - real,
                "share": share(chosen & is_bogus, chosen),
            }
        )
    return rows


def share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> list[float] | None:
    """Return the share of a part in a whole with its exact 95 % interval; None of nothing."""
    n = int(whole.sum())
    return exact_share(int(part.sum()), n).rounded() if n else None


def headlines(metrics: Mapping[str, Any]) -> Headlines:
    """Return what the head is worth in a few lines, by what may be claimed."""
    keys = {"AUC": "auc", "precision": "precision", "recall": "recall", "real called artefacts": "false_alarms"}
    return {f"{words}, scores hidden": within(metrics, "scores hidden", key) for words, key in keys.items()}
