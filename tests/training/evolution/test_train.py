import dataclasses
import json

import numpy as np
import pytest

from annotator.errors import ConfigError, ModelError
from annotator.models.heads import load_head
from tests.training.evolution.test_exotic import QUICK, drawn
from training.cli import main
from training.evolution import train as evolution_train
from training.evolution.exotic import GROUPS, INPUTS, NEEDS
from training.evolution.states import States, together
from training.evolution.train import VERSION, Read, Sources, read_sources, train


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """Let a training read states that were drawn: light curves are the matter of other tests."""
    monkeypatch.setattr("training.metrics.ranking.N_BOOTSTRAP", 20)
    simulated, sky = drawn(500, 1), drawn(300, 2, "yse")
    both = (np.concatenate([getattr(simulated, n), getattr(sky, n)]) for n in States.__dataclass_fields__)
    read = Read(States(*both), simulated, sky, ("a", "b", "c"), "0" * 64)
    monkeypatch.setattr(evolution_train, "read_sources", lambda sources, settings: read)
    monkeypatch.setattr(evolution_train, "faults", lambda found: [])
    return Sources(tmp_path, tmp_path / "curves", tmp_path / "labels")


def test_a_head_is_written_that_the_annotator_loads(made_up, tmp_path):
    out = tmp_path / "models"
    train(made_up, out, QUICK, is_fresh=True)
    head = load_head(out, "exotic", "lsst", VERSION)
    assert head.manifest.inputs == INPUTS and head.manifest.revision == 0
    blue, red = ({NEEDS: 0.0, "features_colour": colour, "features_rise": 0.0} for colour in (3.0, -2.0))
    found = head.probabilities([blue, red, {"features_colour": 3.0}])
    assert found[0] > found[1] and found[2] is None
    card = (out / "EXOTIC_CARD.md").read_text(encoding="utf-8")
    assert "Provisional" in card and "Leave the simulator out, and leave the sky out" in card
    metrics = json.loads((out / "exotic.json").read_text(encoding="utf-8"))["metrics"]
    assert set(metrics["lack"]) == set(GROUPS)


def test_a_head_that_typed_objects_of_rubin_have_taught_ranks_them_out_of_fold_in_its_card(
    made_up, monkeypatch, tmp_path
):
    read, own = evolution_train.read_sources(made_up, QUICK), drawn(80, 3, "rubin")
    training = together([read.training, own])
    monkeypatch.setattr(
        evolution_train, "read_sources", lambda *_: dataclasses.replace(read, training=training, native=own)
    )
    train(made_up, tmp_path, QUICK, is_fresh=True)
    manifest = load_head(tmp_path, "exotic", "lsst", VERSION).manifest
    assert sum(manifest.training["native"].values()) == 80
    found = manifest.metrics["native"]["all others"]
    assert found["n_exotic"] + found["n_other"] == 80 and found["auc"][0] > 0.6
    assert "only 80 typed objects of Rubin" in (tmp_path / "EXOTIC_CARD.md").read_text(encoding="utf-8")
    assert set(manifest.metrics["real"]) == {"both", "yse", "packets", "SLSN", "TDE"}


@pytest.mark.long
def test_a_second_head_takes_the_place_of_one_that_it_is_no_worse_than(made_up, tmp_path):
    train(made_up, tmp_path, QUICK, is_fresh=True)
    train(made_up, tmp_path, QUICK, is_fresh=False)
    assert load_head(tmp_path, "exotic", "lsst", VERSION).manifest.revision == 1


def test_a_head_that_what_is_missing_moves_is_not_written(made_up, monkeypatch, tmp_path):
    monkeypatch.setattr(evolution_train, "faults", lambda found: ["without colour, all: 99 of 100"])
    with pytest.raises(ModelError, match="what is missing moves: without colour"):
        train(made_up, tmp_path / "models", QUICK, is_fresh=True)
    assert not (tmp_path / "models").exists()


def test_sources_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ConfigError, match="expected light curves in Parquet"):
        read_sources(Sources(tmp_path, tmp_path / "c.parquet", tmp_path / "l.csv"), QUICK)


def test_options_that_the_head_of_light_curves_has_no_use_for_are_refused(tmp_path, capsys):
    given = ["exotic", "--survey", "lsst", "--data", str(tmp_path), "--out", str(tmp_path / "models")]
    assert main([*given, "--verdicts", "verdicts.csv"]) == 2
    assert "--verdicts: the head of lsst learns from light curves alone" in capsys.readouterr().err
    assert main(["exotic", "--data", "t.csv", "--out", str(tmp_path / "models"), "--native", str(tmp_path)]) == 2
    assert "--native: typed objects of Rubin" in capsys.readouterr().err
    assert main(given) == 2
    assert "plasticc_train.parquet" in capsys.readouterr().err
