import dataclasses
import datetime
import json
import sqlite3

import numpy as np
import pytest
import torch

from annotator.errors import ConfigError
from annotator.verdicts import Verdict, verdicts_csv
from training import cli
from training.exotic import ask as asking
from training.exotic.ask import Asked, ask, simulate_year, teaching_value
from training.exotic.examples import ledger_numbers, read_databank, with_verdicts
from training.exotic.fit import BoostingSettings, Examples, fit_exotic
from training.exotic.network import INPUTS, NEEDS

SMALL = BoostingSettings(n_boosters=3, n_trees=20, max_depth=3, learning_rate=0.2)


@pytest.fixture(scope="module")
def databank(labelled_table, small_models):
    return read_databank(labelled_table, small_models, None)


@pytest.fixture(scope="module")
def known(databank):
    """Objects that a ledger knows: the databank's, under other names."""
    return {f"ZTF98{number:05d}": databank.numbers[number] for number in range(60)}


@pytest.fixture
def ledger(known, tmp_path):
    return write_ledger(tmp_path / "ledger.sqlite", known)


def write_ledger(path, known):
    with sqlite3.connect(path) as ledger:
        ledger.execute("CREATE TABLE objects (object_id TEXT PRIMARY KEY, numbers TEXT)")
        ledger.execute("CREATE TABLE scores (score_id INTEGER PRIMARY KEY, object_id TEXT, modalities TEXT)")
        for name, row in known.items():
            said = {key: float(value) for key, value in zip(INPUTS, row, strict=True) if np.isfinite(value)}
            ledger.execute("INSERT INTO objects VALUES (?, ?)", (name, json.dumps(said)))
    ledger.close()
    return path


def write_all_verdicts(path, verdicts):
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    path.write_text(verdicts_csv([Verdict(name, verdict, "somebody", moment) for name, verdict in verdicts.items()]))
    return path


# Whom to ask about


def test_objects_are_named_by_what_a_verdict_would_teach_the_most_first(
    known, ledger, databank, labelled_file, small_models_folder
):
    found = ask(labelled_file, small_models_folder, None, ledger, 60, SMALL)
    assert {item.object_id for item in found} == set(known)
    values = [item.probability + item.spread for item in found]
    assert values == sorted(values, reverse=True) and values[0] > values[-1]
    # Numbers come back from the ledger as they were, so the head of the same labels says the same.
    model = fit_exotic(with_verdicts(databank, {}, {})[0], SMALL)
    value, probability, spread = teaching_value(model, np.array([known[item.object_id] for item in found]))
    assert values == pytest.approx(value.tolist(), abs=1e-5)
    assert [item.probability for item in found] == pytest.approx(probability.tolist(), abs=1e-5)
    assert [item.spread for item in found] == pytest.approx(spread.tolist(), abs=1e-5)
    assert ask(labelled_file, small_models_folder, None, ledger, 5, SMALL) == found[:5]


def test_nobody_is_asked_again_about_an_object_that_was_judged(
    known, ledger, labelled_file, small_models_folder, tmp_path
):
    first = ask(labelled_file, small_models_folder, None, ledger, 3, SMALL)
    judged = dict(zip((item.object_id for item in first), ("anomaly", "regular", "artefact"), strict=True))
    verdicts = write_all_verdicts(tmp_path / "verdicts.csv", judged)
    second = ask(labelled_file, small_models_folder, verdicts, ledger, 100, SMALL)
    assert {item.object_id for item in second} == set(known) - set(judged)


def test_a_verdict_changes_what_the_head_says_of_the_others(
    known, ledger, labelled_file, small_models_folder, tmp_path
):
    verdicts = write_all_verdicts(tmp_path / "verdicts.csv", dict.fromkeys(list(known)[:20], "anomaly"))
    before, after = (
        {i.object_id: i for i in ask(labelled_file, small_models_folder, given, ledger, 100, SMALL)}
        for given in (None, verdicts)
    )
    assert any(after[name] != before[name] for name in after)
    assert np.mean([after[name].probability - before[name].probability for name in after]) > 0


def test_the_spread_is_the_disagreement_of_the_boosters(databank):
    model = fit_exotic(databank.examples, SMALL)
    _, probability, spread = teaching_value(model, databank.numbers[:30])
    with torch.no_grad():
        odds = model.by_booster(torch.from_numpy(databank.numbers[:30])).numpy()
    by_booster = 1 / (1 + np.exp(-odds))
    mean = by_booster.mean(axis=1)
    np.testing.assert_allclose(spread, np.sqrt((by_booster**2).mean(axis=1) - mean**2), atol=1e-4)
    assert ((probability > 0) & (probability < 1)).all() and spread.max() > 0.001


def test_a_ledger_without_an_object_to_ask_about_is_refused(known, labelled_file, small_models_folder, tmp_path):
    empty = write_ledger(tmp_path / "empty.sqlite", {})
    with pytest.raises(ConfigError, match=r"--ledger .*nobody has judged, found none of 0"):
        ask(labelled_file, small_models_folder, None, empty, 5, SMALL)
    two = dict(list(known.items())[:2])
    full = write_ledger(tmp_path / "full.sqlite", two)
    verdicts = write_all_verdicts(tmp_path / "verdicts.csv", dict.fromkeys(two, "regular"))
    with pytest.raises(ConfigError, match=r"found none of 2"):
        ask(labelled_file, small_models_folder, verdicts, full, 5, SMALL)


def test_the_command_refuses_a_ledger_that_is_not_there(labelled_file, tmp_path, capsys):
    arguments = ["ask", "--data", str(labelled_file), "--ledger", str(tmp_path / "nowhere.sqlite")]
    assert cli.main(arguments) == 2
    assert "nowhere.sqlite" in capsys.readouterr().err


def test_the_command_names_objects_of_the_ledger(known, ledger, labelled_file, small_models_folder, capsys):
    arguments = ["ask", "--data", str(labelled_file), "--ledger", str(ledger), "--models", str(small_models_folder)]
    assert cli.main([*arguments, "--n", "4"]) == 0
    said = capsys.readouterr().out
    assert sum(name in said for name in known) == 4
    assert ledger_numbers(ledger).keys() == known.keys() and isinstance(Asked("x", 0.5, None, 0.1), Asked)


# A year of verdicts


@pytest.fixture(scope="module")
def separable(databank):
    """Twenty-five positives among 600, which two quantities and the prior tell from the others."""
    rng = np.random.default_rng(0)
    n = 600
    numbers = rng.normal(1, 0.1, (n, len(INPUTS))).astype(np.float32)
    is_positive = np.arange(n) % 24 == 0
    numbers[:, INPUTS.index("colour_now")] -= 2 * is_positive
    numbers[:, INPUTS.index("colour_peak")] -= 2 * is_positive
    numbers[:, INPUTS.index(NEEDS)] = rng.normal(4, 1, n) + 1.5 * is_positive
    table = databank.table.subset(np.arange(n))
    return SimulatedBank(table, numbers, np.arange(n), databank.kinds[:n], (), is_positive)


@dataclasses.dataclass(frozen=True, eq=False)
class SimulatedBank:
    table: object
    numbers: np.ndarray
    places: np.ndarray
    kinds: np.ndarray
    missing: tuple
    is_positive: np.ndarray

    @property
    def examples(self):
        n = len(self.numbers)
        return Examples(self.numbers, self.is_positive, np.ones(n), np.arange(n) // 5 % 10)


@pytest.fixture(scope="module")
def year(separable):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "N_YEARS": 2,
            "NIGHTLY_UNTIL": 6,
            "THEN_EVERY": 20,
            "YEAR_TREES": 15,
            "YEAR_BOOSTERS": 2,
        }.items():
            patch.setattr(asking, name, value)
        return simulate_year(separable)


def test_a_year_has_a_number_of_each_kind_for_each_night(year, separable):
    assert year["nights"][:7] == list(range(7)) and year["nights"][-1] == year["pool"][0] // 10
    assert set(year["strategies"]) == {"asked", "at random"}
    for runs in year["strategies"].values():
        assert {name: len(values) for name, values in runs.items()} == dict.fromkeys(
            ("found", "auc", "ap"), len(year["nights"])
        )
        for values in runs.values():
            assert all(low <= mean <= high for mean, low, high in values)
    is_test = np.isin(separable.examples.folds, asking.TEST_FOLDS)
    positive = separable.is_positive
    assert year["pool"] == [int((~is_test).sum()), int(positive[~is_test].sum())]
    assert year["test"] == [int(is_test.sum()), int(positive[is_test].sum())]


def test_what_was_found_never_falls_and_at_last_all_are_found(year):
    for runs in year["strategies"].values():
        found = np.array(runs["found"])
        assert (np.diff(found, axis=0) >= 0).all()
        assert (found[0] == 0).all() and (found[-1] == year["pool"][1]).all()


def test_asking_finds_more_positives_than_chance_and_learns_them_sooner(year):
    asked, random = (year["strategies"][name] for name in ("asked", "at random"))
    night = 5
    assert asked["found"][night][1] > 2 * random["found"][night][2]
    assert asked["ap"][night][0] > random["ap"][night][0]
    # Before the first verdict both rank by the prior.
    assert asked["ap"][0] == random["ap"][0] and asked["auc"][0] == random["auc"][0]


def test_a_head_that_knows_no_positive_ranks_by_the_prior(year, separable):
    from sklearn.metrics import roc_auc_score

    examples = separable.examples
    is_test = np.isin(examples.folds, asking.TEST_FOLDS)
    prior = examples.numbers[is_test, INPUTS.index(NEEDS)]
    expected = roc_auc_score(examples.is_positive[is_test], prior)
    assert year["strategies"]["asked"]["auc"][0] == pytest.approx([expected] * 3, abs=1e-4)
