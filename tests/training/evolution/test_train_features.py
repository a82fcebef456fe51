import numpy as np
import pytest

from annotator.errors import ConfigError
from annotator.models import load_models
from annotator.preprocess.evolution import EVOLUTION_NAMES
from tests.training.evolution.test_exotic import drawn
from training.cli import main
from training.data.rubin_sources import CALIBRATING_FOLDS, Sources
from training.evolution import train_features
from training.evolution.train_features import Read, read_sources, train


def test_a_model_is_written_that_the_annotator_loads_with_shares_of_each_level(monkeypatch, tmp_path):
    monkeypatch.setattr("training.metrics.ranking.N_BOOTSTRAP", 20)
    normals = [
        states.where(~states.is_exotic)
        for states in (drawn(3000, 1, names=EVOLUTION_NAMES), drawn(1500, 2, names=EVOLUTION_NAMES))
    ]
    simulated = drawn(600, 3, names=EVOLUTION_NAMES)
    simulated.kinds[~simulated.is_exotic] = "SN Ia"
    read = Read(simulated, *normals, drawn(300, 4, "yse", names=EVOLUTION_NAMES), "0" * 64)
    monkeypatch.setattr(train_features, "read_sources", lambda sources: read)
    out = tmp_path / "models"
    train(Sources(tmp_path, tmp_path / "curves", tmp_path / "labels"), out, seed=0)
    manifest = load_models(out, "lsst").models["features"].manifest
    pooled = manifest.metrics["checked"]["1"]["all"]
    assert pooled["n"] == len(normals[1]) and pooled["share"][0] == pytest.approx(0.1, abs=0.03)
    assert sum(part["n"] for name, part in manifest.metrics["checked"]["1"].items() if name != "all") == pooled["n"]
    card = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "near chance" in card and "| prior |" in card


def test_sources_that_are_not_there_are_named(tmp_path, capsys):
    with pytest.raises(ConfigError, match="expected light curves in Parquet"):
        read_sources(Sources(tmp_path, tmp_path / "c.parquet", tmp_path / "l.csv"))
    given = ["features", "--survey", "lsst", "--data", str(tmp_path), "--out", str(tmp_path / "models")]
    assert main(given) == 2
    assert "plasticc_train.parquet" in capsys.readouterr().err


def test_half_of_the_objects_calibrate_and_no_object_of_it_checks():
    folds = drawn(2000, names=EVOLUTION_NAMES).folds
    half = np.isin(folds, CALIBRATING_FOLDS)
    assert 0.4 < half.mean() < 0.6
