import dataclasses

import numpy as np
import pytest
import torch

from annotator.config import DecisionConfig
from annotator.errors import ConfigError
from training.artefact.evaluate import THRESHOLD, measure, share, top_rows
from training.artefact.fit import INPUTS, artefact_inputs, fit_artefact, hidden, out_of_fold, probabilities
from training.artefact.labels import VERDICT_WEIGHT, Labels, artefact_labels
from training.data.stamps import StampTable, read_stamps
from training.metrics.ranking import ranking

N = 400
RB, DRB, TERM = (INPUTS.index(name) for name in ("rb", "drb", "triplet_term_1"))


def auc(values, is_bogus) -> float:
    return ranking(values, is_bogus, np.zeros(len(values), dtype=int))["auc"].value


def planted(rng, informative=True):
    """One in five is bogus; its second term is far out on either side, which no straight line can tell."""
    inputs, is_bogus = rng.normal(size=(N, len(INPUTS))), np.arange(N) % 5 == 0
    inputs[:, [RB, DRB]] = rng.uniform(size=(N, 2))
    if informative:
        inputs[is_bogus, TERM] = rng.choice([-5.0, 5.0], is_bogus.sum()) + rng.normal(size=is_bogus.sum())
    return inputs, Labels(is_bogus, ~is_bogus, np.ones(N))


FOLDS = np.arange(N) // 5 % 5


def test_planted_artefacts_are_found_with_and_without_real_bogus_scores():
    inputs, labels = planted(np.random.default_rng(1))
    inputs[::3, RB] = np.nan
    blind, shown = out_of_fold(inputs, labels, FOLDS)
    assert auc(blind, labels.is_bogus) > 0.95 and auc(shown, labels.is_bogus) > 0.95


def test_real_bogus_scores_are_used_where_there_are_any_and_missed_where_there_are_none():
    rng = np.random.default_rng(2)
    inputs, labels = planted(rng, informative=False)
    inputs[:, DRB] = np.where(labels.is_bogus, 0.1, 0.9) + rng.normal(scale=0.1, size=N)
    blind, shown = out_of_fold(inputs, labels, FOLDS)
    assert auc(shown, labels.is_bogus) > 0.95
    assert 0.35 < auc(blind, labels.is_bogus) < 0.65


def test_that_real_bogus_scores_are_there_says_nothing():
    rng = np.random.default_rng(3)
    inputs, labels = planted(rng, informative=False)
    inputs[~labels.is_bogus, :2] = np.nan
    inputs[:, 2:] = np.nan
    _, shown = out_of_fold(inputs, labels, FOLDS)
    assert 0.35 < auc(shown, labels.is_bogus) < 0.65


def test_an_object_of_which_nothing_is_known_gets_a_probability_near_the_share_of_the_bogus():
    inputs, labels = planted(np.random.default_rng(4), informative=False)
    model = fit_artefact(inputs, labels.is_bogus, labels.weights)
    (found,) = probabilities(model, np.full((1, len(INPUTS)), np.nan))
    assert 0.05 < found < 0.35


def test_a_row_s_probability_does_not_depend_on_its_company():
    inputs, labels = planted(np.random.default_rng(5))
    model = fit_artefact(inputs, labels.is_bogus, labels.weights)
    together, alone = probabilities(model, inputs), probabilities(model, inputs[7:8])
    assert alone[0] == pytest.approx(together[7], abs=1e-6)
    assert model(torch.zeros(3, len(INPUTS))).shape == (3,)


def test_a_number_far_outside_what_was_seen_counts_as_the_outermost_that_was():
    inputs, labels = planted(np.random.default_rng(6))
    model = fit_artefact(inputs, labels.is_bogus, labels.weights)
    far = np.tile(inputs[:1], (2, 1))
    far[:, TERM] = [20.0, 1e30]
    found = probabilities(model, far)
    assert found[0] == found[1]


def test_stamps_of_one_kind_only_are_refused():
    inputs, labels = planted(np.random.default_rng(7))
    with pytest.raises(ConfigError, match="found 0 bogus of 400"):
        fit_artefact(inputs, np.zeros(N, dtype=bool), labels.weights)


# Labels and verdicts


def table_of(*rows) -> StampTable:
    defaults = {"objectId": "a", "rb": "", "drb": "", "source_label": "", "ssdistnr": "-999.0", "aha_pick": "True"}
    return StampTable("stamps.npz", "", tuple(defaults | row for row in rows), (), np.zeros((len(rows), 6, 63, 63)), 0)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"rb": "0.9", "drb": "0.1"}, "bogus"),
        ({"rb": "0.3"}, "bogus"),
        ({"rb": "0.3", "drb": "0.95"}, "real"),
        ({"rb": "0.7"}, "real"),
        ({"rb": "0.5", "source_label": "SN Ia"}, "real"),
        ({"rb": "0.5", "ssdistnr": "2.0"}, "real"),
        ({"rb": "0.5"}, "unknown"),
        ({"drb": "0.7"}, "unknown"),
        ({}, "unknown"),
        ({"drb": "0.1", "source_label": "Exotic"}, "unknown"),
        ({"drb": "0.1", "ssdistnr": "0.0"}, "unknown"),
        ({"drb": "0.1", "ssdistnr": "9.0"}, "bogus"),
    ],
)
def test_a_stamp_is_called_bogus_or_real_only_where_that_is_clear(row, expected):
    labels = artefact_labels(table_of(row))
    assert (labels.is_bogus[0], labels.is_real[0]) == (expected == "bogus", expected == "real")
    assert labels.is_known[0] == (expected != "unknown")


def test_a_person_s_verdict_decides_before_the_scores_and_weighs_more():
    table = table_of({"drb": "0.99"}, {"objectId": "b", "drb": "0.1"}, {"drb": "0.99", "aha_pick": "False"})
    labels = artefact_labels(table, {"a": "artefact", "b": "anomaly", "elsewhere": "regular"})
    assert labels.is_bogus.tolist() == [True, False, False] and labels.is_real.tolist() == [False, True, True]
    assert labels.weights.tolist() == [VERDICT_WEIGHT, VERDICT_WEIGHT, 1.0]
    with pytest.raises(ConfigError, match="found odd"):
        artefact_labels(table, {"a": "odd"})


def test_a_verdict_moves_the_probability_of_what_looks_alike():
    inputs, labels = planted(np.random.default_rng(8))
    alike = np.array([0, 5, 10])  # three of the planted ones
    without = fit_artefact(inputs, labels.is_bogus, labels.weights)
    is_bogus, weights = labels.is_bogus.copy(), labels.weights.copy()
    is_bogus[alike], weights[alike] = False, VERDICT_WEIGHT
    with_verdicts = fit_artefact(inputs, is_bogus, weights)
    assert (probabilities(with_verdicts, inputs[alike]) < probabilities(without, inputs[alike])).all()


# What is reported


def test_when_artefacts_are_taken_out_of_the_oddest_hundred_others_move_up():
    errors, is_bogus = np.arange(300.0), np.arange(300) >= 260
    called = {"all": is_bogus, "half": is_bogus & (np.arange(300) % 2 == 0)}
    rows = top_rows(errors, is_bogus, ~is_bogus & (np.arange(300) >= 100), called)
    assert [(row["list"], row["n"], row["bogus"], row["real"], row["unknown"]) for row in rows] == [
        ("before", 100, 40, 60, 0),
        ("after, all", 100, 0, 100, 0),
        ("after, half", 100, 20, 80, 0),
    ]
    assert rows[0]["share"] == [0.4, 0.3033, 0.5028]
    few = top_rows(errors[:30], is_bogus[:30], ~is_bogus[:30], {})
    assert few[0]["n"] == 30


def test_the_share_of_nothing_is_unknown():
    assert share(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool)) is None


def test_what_is_measured_is_what_the_annotator_decides_by():
    assert DecisionConfig().artefact_probability == THRESHOLD


def test_bogus_stamps_are_told_by_the_stamps_alone(shared):
    table = read_stamps(shared / "data" / "cutouts.npz")
    labels = artefact_labels(table)
    counts = [int((mask & table.is_pick).sum()) for mask in (labels.is_bogus, labels.is_real, ~labels.is_known)]
    assert counts == [135, 927, 150]
    # The terms take minutes of training; what is left without them is a little less.
    terms = np.full((len(table.rows), 6), np.nan)
    found = measure(
        table, errors=artefact_inputs(table, terms)[:, INPUTS.index("triplet_stamp_difference_asymmetry")], terms=terms
    )
    assert found["scores hidden"]["auc"][1] > 0.85
    assert found["scores hidden"]["precision"][0] > 0.75
    assert found["scores shown"]["recall"][0] > found["scores hidden"]["recall"][0]
    before, blind, shown = found["top"]
    assert before["bogus"] > blind["bogus"] > shown["bogus"]
    unaware = dataclasses.replace(labels, is_bogus=labels.is_bogus & False)
    with pytest.raises(ConfigError):
        out_of_fold(hidden(artefact_inputs(table, terms)), unaware, table.folds // 2)
