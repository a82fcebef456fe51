import json
import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training import recipe


class Slope(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))


def losses(model, batches):
    for rows in batches:
        yield (model.weight - 1) ** 2 + 0 * rows.sum()


def fitted(epochs=10, errors=None, **options):
    """Fit a slope to 1 in batches of 4 of 10 objects; the error that chooses follows a list."""
    torch.manual_seed(0)
    model = Slope()
    descent = recipe.Descent(4, torch.optim.SGD(model.parameters(), lr=0.1))
    asked = iter(errors or ())
    validate = (lambda model: next(asked)) if errors else None
    return recipe.fit("a slope", model, 10, epochs, descent, partial(losses, model), validate, **options)


def test_the_best_epoch_is_kept_as_it_was():
    best = fitted(5, [3.0, 1.0, 2.0, 1.0, 4.0])
    assert (best.epoch, best.error, best.epochs_run) == (2, 1.0, 5)
    # Two epochs of three batches, each of which takes a fifth of what is left.
    assert best.model.weight.item() == pytest.approx(1 - 0.8**6, rel=1e-6)
    assert not best.model.training


def test_without_validation_the_last_epoch_is_kept():
    best = fitted(4)
    assert best.epoch == 4 and best.model.weight.item() == pytest.approx(1 - 0.8**12, rel=1e-6)


@pytest.mark.parametrize(("min_delta", "epoch", "epochs_run"), [(0.0, 3, 5), (0.5, 1, 3)])
def test_a_fit_stops_when_nothing_has_got_better_for_so_many_epochs(min_delta, epoch, epochs_run):
    best = fitted(10, [3.0, 2.9, 2.8, 3.0, 3.0, 0.0], patience=2, min_delta=min_delta)
    assert (best.epoch, best.epochs_run) == (epoch, epochs_run)


def test_every_object_is_in_one_batch_and_a_rest_can_be_left_out():
    optimizer = torch.optim.SGD(Slope().parameters())
    whole = recipe.Descent(4, optimizer).batches(10)
    assert sorted(torch.cat(list(whole)).tolist()) == list(range(10)) and len(whole) == 3
    assert [len(rows) for rows in recipe.Descent(4, optimizer, has_last=False).batches(10)] == [4, 4]


def test_a_fit_says_how_long_it_still_takes(caplog):
    with caplog.at_level(logging.INFO, "training"):
        fitted(10, [1.0] * 10)
    assert len(caplog.messages) == recipe.TIMES_SAID
    assert caplog.messages[0].startswith("a slope, epoch 2/10: loss ") and caplog.messages[0].endswith("s left")


@pytest.mark.parametrize(("behind_s", "words"), [(10, "30 s left"), (100, "5 min left"), (4000, "3.3 h left")])
def test_the_time_left_is_in_a_person_s_units(behind_s, words, monkeypatch):
    time_left = recipe.TimeLeft(4, started_s=0.0)
    monkeypatch.setattr(recipe.time, "monotonic", lambda: float(behind_s))
    assert time_left.after(1) == words


def log_and_square(number):
    logging.getLogger("training.somewhere").info("at %d", number)
    return number**2


@pytest.mark.parametrize("jobs", [1, 2])
def test_tasks_give_the_same_and_log_to_the_same_place_in_one_process_or_two(jobs, caplog, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # a process of its own finds this module by it
    with caplog.at_level(logging.INFO, "training"):
        assert recipe.in_processes(log_and_square, 3, jobs) == [0, 1, 4]
    assert {"at 0", "at 1", "at 2"} < set(caplog.messages)


def test_each_object_is_scored_by_the_model_that_has_not_seen_it():
    model_of = np.array([2, 0, 2, 1])
    found = recipe.out_of_fold(model_of, lambda model, here: np.full((here.sum(), 2), float(model)), (2,))
    np.testing.assert_array_equal(found, np.stack([model_of, model_of], axis=1))
    assert recipe.out_of_fold(np.array([], dtype=int), lambda model, here: here, (3,)).shape == (0, 3)


def test_headlines_stand_beside_those_of_the_model_that_ships(caplog):
    def headlines(metrics):
        return {
            "AUC": recipe.within(metrics, "scores hidden", "auc"),
            "of bogus": metrics.get("n_bogus"),
            "unheard of": recipe.within(metrics, "n_bogus", "unheard of"),
        }

    with caplog.at_level(logging.INFO, "training"):
        recipe.log_headlines("artefact", {"scores hidden": {"auc": [0.5, 0.4, 0.6]}}, headlines)
    rows = [[cell.strip() for cell in line.split("|")] for line in caplog.messages]
    assert rows[0] == ["", "this model", "the shipped one"]
    manifest = Path(__file__).parents[2] / "onnx_models" / "ztf" / "artefact.json"
    shipped = json.loads(manifest.read_text(encoding="utf-8"))["metrics"]
    value, low, high = shipped["scores hidden"]["auc"]
    assert rows[1] == ["AUC", "0.500 [0.400, 0.600]", f"{value:.3f} [{low:.3f}, {high:.3f}]"]
    assert rows[2] == ["of bogus", "not measured", str(shipped["n_bogus"])]
    assert rows[3] == ["unheard of", "not measured", "not measured"]
