"""What is hidden of an object in training, and that what is missing does not decide."""

import dataclasses

import numpy as np
import pytest
import torch

from annotator.models.model_set import head_numbers
from annotator.preprocess.quantities import QUANTITY_NAMES
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.columns import MISSING_TOGETHER
from training.exotic import fit
from training.exotic.examples import read_databank
from training.exotic.fit import BoostingSettings, fit_exotic
from training.exotic.hiding import DROP_PROBABILITY, groups_to_hide, hidden, is_there, one_hidden
from training.exotic.lack import Asked, TakenBack, cross_taken_back, faults, fit_taken_back, measured, take_back
from training.exotic.network import GROUP_PLACES, GROUPS, INPUTS, MODALITY_INPUTS, N_CLASSES, NEEDS

SMALL = BoostingSettings(n_boosters=1, n_trees=40, max_depth=3, learning_rate=0.2)


@pytest.fixture(scope="module")
def databank(labelled_table, small_models):
    return read_databank(labelled_table, small_models, None)


def test_a_group_is_hidden_as_a_record_without_its_columns_would(databank, small_models):
    """The whole way, from the record: quantities, and what the model of the object features says then."""
    hide = one_hidden(len(databank.numbers), "Pan-STARRS1")
    found = hidden(databank.numbers, hide, databank.told)
    model = small_models.models["features"]
    for place in np.flatnonzero(databank.table.folds == 9)[:10]:
        row = databank.table.rows[place] | dict.fromkeys(MISSING_TOGETHER["Pan-STARRS1"], "")
        transient = SURVEYS["ztf"].parse(row)
        said = head_numbers(transient, {"features": model.score(transient)})
        expected = [said.get(name, np.nan) for name in INPUTS]
        np.testing.assert_allclose(found[place], expected, rtol=1e-3, atol=1e-4)


def test_what_is_hidden_is_gone_and_nothing_else_of_the_quantities(databank):
    for name, places in GROUP_PLACES.items():
        found = hidden(databank.numbers, one_hidden(len(databank.numbers), name), databank.told)
        assert np.isnan(found[:, places]).all()
        others = [place for place in range(len(QUANTITY_NAMES)) if place not in places]
        np.testing.assert_array_equal(found[:, others], databank.numbers[:, others])
        assert np.isfinite(found[:, INPUTS.index(NEEDS)]).all()
    nothing = hidden(databank.numbers, np.zeros((len(databank.numbers), len(GROUPS)), dtype=bool), databank.told)
    np.testing.assert_allclose(nothing, databank.numbers, rtol=1e-6)


def test_after_hiding_each_group_is_as_common_in_both_classes(databank):
    rng, positive = np.random.default_rng(0), databank.is_positive
    numbers = databank.numbers.copy()
    for name, share in (("distance", (0.1, 0.9)), ("lightcurve", (0.9, 0.1))):
        gone = rng.random(len(numbers)) > np.where(positive, *share)
        places = GROUP_PLACES[name]
        numbers[:, places] = np.where(np.isfinite(numbers[:, places]), numbers[:, places], 1.0)
        numbers[np.ix_(gone, places)] = np.nan
    hide = groups_to_hide(numbers, positive, np.random.default_rng(1))
    before, after = is_there(numbers), is_there(hidden(numbers, hide))
    one = 1 / positive.sum()
    for group, name in enumerate(GROUPS):
        shares = [after[rows, group].mean() for rows in (positive, ~positive)]
        fewest = min(before[rows, group].mean() for rows in (positive, ~positive))
        if name != "host":  # it has a quantity in common with the distance
            assert shares[0] == pytest.approx(shares[1], abs=one), name
            assert shares[1] == pytest.approx((1 - DROP_PROBABILITY) * fewest, abs=2 * one), name


def test_only_modalities_and_columns_that_can_be_missing_are_hidden():
    members = {name for names in GROUPS.values() for name in names}
    assert members <= set(INPUTS) and NEEDS not in members
    assert {name for names in MODALITY_INPUTS.values() for name in names} - {NEEDS} <= members
    assert not any(name.startswith("sherlock") for name in members)


# What hiding does is taken back


def made(n=800, seed=0, lowers=1.5):
    """Normals of two classes, whose odds are lower by so much, in the mean, where the host is hidden or missing."""
    rng = np.random.default_rng(seed)
    numbers = np.full((n, len(INPUTS)), 1.0, dtype=np.float32)
    is_sn = rng.random(n) < 0.7
    for name in ("sn", "nt", "agn", "cv", "bs", "vs", "orphan", "unclear"):
        numbers[:, INPUTS.index(f"sherlock_{name}")] = {"sn": is_sn, "nt": ~is_sn}.get(name, np.zeros(n))
    missing = rng.random(n) < 0.2
    numbers[np.ix_(missing, GROUP_PLACES["host"])] = np.nan
    odds = rng.normal(0, 1, n) + np.where(is_sn, 0.0, 1.0)
    odds_hidden = {name: odds.copy() for name in GROUPS}
    change = np.where(is_sn, lowers, -lowers) + rng.normal(0, 0.3, n)
    odds_hidden["host"] = np.where(missing, odds, odds - change)
    names = np.arange(n).astype(str)
    return Asked(numbers, odds, odds_hidden, names)


@pytest.mark.parametrize("lowers", [1.5, -1.5])
def test_a_head_that_what_is_missing_moves_is_told_and_one_that_it_does_not_is_not(lowers):
    asked = made(lowers=lowers)
    before = measured(asked, 2.0)
    assert any("without host" in words for words in faults(before))
    assert not any("without rates" in words for words in faults(before))
    is_normal, is_positive = np.ones(len(asked.odds), dtype=bool), np.arange(len(asked.odds)) % 20 == 0
    folds = np.arange(len(asked.odds)) % 10
    after, _ = cross_taken_back(asked, is_normal, is_positive, is_normal, folds)
    found = measured(after, 3.0)
    for words in ("SN", "NT"):
        value, low, high = found["host"][words]["ratio"]
        assert low <= 1 <= high and value < 1.5
    assert not any("SN" in words or "NT" in words for words in faults(found))


def test_what_is_done_to_an_object_comes_from_others_alone():
    asked = made()
    folds, everyone = np.arange(len(asked.odds)) % 10, np.ones(len(asked.odds), dtype=bool)
    is_positive = np.arange(len(asked.odds)) % 20 == 0
    here = folds == 3
    changed = dataclasses.replace(asked, odds=np.where(here, asked.odds + 5.0, asked.odds))
    before, after = (cross_taken_back(item, everyone, is_positive, everyone, folds)[0] for item in (asked, changed))
    own = fit_taken_back(asked.where(~here), everyone[~here], is_positive[~here])
    np.testing.assert_allclose(after.odds[here], take_back(changed.where(here), own).odds)
    assert (before.odds[~here] != after.odds[~here]).any()


def test_the_graph_does_what_was_fitted(databank):
    model = fit_exotic(databank.examples, SMALL)
    rng = np.random.default_rng(0)
    taken = TakenBack(
        rng.normal(size=(len(GROUPS), N_CLASSES)).astype(np.float32),
        rng.normal(-1, 1, N_CLASSES).astype(np.float32),
        rng.uniform(0, 0.5, len(GROUPS)).astype(np.float32),
    )
    numbers = databank.numbers[:60].copy()
    numbers[::3] = hidden(numbers[::3], one_hidden(20, "host"))
    with torch.no_grad():
        before = model.log_odds(torch.from_numpy(numbers)).numpy()
        model.offsets.copy_(torch.from_numpy(taken.offsets))
        model.pivot.copy_(torch.from_numpy(taken.pivot))
        model.stretch.copy_(torch.from_numpy(taken.stretch))
        after = model.log_odds(torch.from_numpy(numbers)).numpy()
    expected = take_back(Asked(numbers, before.astype(float), {}, np.arange(60).astype(str)), taken).odds
    np.testing.assert_allclose(after, expected, atol=1e-4)


@pytest.mark.usefixtures("quick_measures")
def test_a_head_that_what_is_missing_moves_is_not_written(labelled_file, small_models_folder, tmp_path, monkeypatch):
    import shutil

    from annotator.errors import ModelError
    from training.exotic import train as training

    shutil.copytree(small_models_folder, tmp_path / "models")
    monkeypatch.setattr(fit, "CHOICES", fit.CHOICES[:1])
    monkeypatch.setattr(training, "faults", lambda found: ["without host, SN: 9 of 100"])
    with pytest.raises(ModelError, match="what is missing moves: without host, SN"):
        training.train(training.Sources(labelled_file), tmp_path / "models", SMALL, True, False)
    assert not (tmp_path / "models" / "exotic.onnx").exists()


# The heads that ship


def test_of_the_shipped_head_nothing_that_is_missing_decides(all_models):
    metrics = all_models.heads["exotic"].manifest.metrics
    found = metrics["lack"]
    assert set(found) == set(GROUPS) and all(parts["SN"]["n"] > 2000 for parts in found.values())
    assert faults(found) == []


def test_era_and_missing_values_tell_nothing_where_a_headline_is_measured(all_models):
    from training.metrics.era import ERA, MAX_ERA_AUC

    features = all_models.models["features"].manifest.metrics["ranking"]["like"]["methods"][ERA]["auc"]
    exotic = all_models.heads["exotic"].manifest.metrics["headline"]["like"]["era"]
    assert features[0] < MAX_ERA_AUC and exotic[0] < MAX_ERA_AUC
