import csv
import math

import numpy as np
import pytest
import torch

from annotator.errors import ConfigError, ModelError
from annotator.models import load_models
from annotator.models.manifest import parse_manifest
from annotator.sandbox.sky.night import NORMAL_KINDS
from annotator.surveys.ztf.columns import FEATURE_NAMES, QUALITY_NAMES
from training.cli import main
from training.data.table import read_table
from training.features import aha, aha_inputs


@pytest.fixture(autouse=True, scope="module")
def _quick(quick_measures):
    pass


@pytest.fixture(scope="module")
def data(big_night, tmp_path_factory):
    """Simulated objects, every column known, as AHA's cut demands."""
    rows = []
    for number, (obj, row) in enumerate(zip(big_night.objects, big_night.rows(), strict=True)):
        values = {name: row[name] for name in ("objectId", *FEATURE_NAMES, *QUALITY_NAMES)}
        if any(values[name] is None for name in QUALITY_NAMES):
            continue
        values |= {name: -999.0 for name, value in values.items() if value is None}
        label = obj.kind if obj.kind in NORMAL_KINDS else "Exotic"
        rows.append(
            values
            | {"tns_name": f"2099{number:04d}", "type": obj.kind, "z": round(obj.redshift, 4), "source_label": label}
        )
    path = tmp_path_factory.mktemp("data") / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def table(data):
    return aha.within_cut(read_table(data, "ztf"))


@pytest.fixture(scope="module")
def reproduced(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("aha")
    command = ["features", "--recipe", "aha", "--data", str(data), "--out", str(out), "--epochs", "1", "--jobs", "1"]
    assert main(command) == 0
    return out


def test_oversampling_brings_the_rarer_supernovae_up_to_the_commonest(table):
    labels = table.column("source_label")
    synthetic = aha_inputs.oversample(table)
    counts = {label: int((labels == label).sum()) for label in NORMAL_KINDS}
    assert len(synthetic) == 2 * counts["SN Ia"] - counts["SN II"] - counts["SN Ib/c"]
    assert synthetic.shape[1] == 22


def test_synthetic_values_lie_within_those_of_their_classes_or_are_the_sentinel(table):
    rare = np.isin(table.column("source_label"), aha_inputs.OVERSAMPLED)
    real, synthetic = aha_inputs.inputs(table)[rare], aha_inputs.oversample(table)
    for j in range(22):
        known = real[:, j][real[:, j] != -999]
        values = synthetic[:, j][synthetic[:, j] != -999]
        if len(values):
            # The median of all classes stands in for an unknown parent; rounding moves by less than a unit.
            assert values.min() >= known.min() - 1
            assert values.max() <= known.max() + 1


def test_the_learning_rate_falls_to_its_floor_within_five_hundred_updates():
    factor = aha._cosine(aha.AhaSettings())
    assert factor(0) == 1
    assert factor(250) == pytest.approx(0.55)
    assert factor(500) == factor(100_000) == pytest.approx(0.1)


def test_sentinels_are_numbers_and_the_error_counts_all_inputs(table):
    rows = aha_inputs.inputs(table)
    model = aha.AhaModel(rows).eval()
    with torch.no_grad():
        error, residual, latent = model(torch.from_numpy(rows[:9]))
    assert (residual.shape, latent.shape) == ((9, 22), (9, 8))
    # Within [0, 1], Huber's loss is half the square.
    assert error.numpy() == pytest.approx(0.5 * (residual.numpy() ** 2).mean(axis=1), rel=1e-5)
    assert model.low[FEATURE_NAMES.index("sgmag1")] == -999


@pytest.mark.long
def test_the_reproduction_is_measured_on_its_own_split_and_out_of_fold(reproduced, table):
    manifest = parse_manifest((reproduced / "aha.json").read_bytes(), "aha.json")
    own = manifest.metrics["own_split"]
    n_augmented = len(table.rows) + len(aha_inputs.oversample(table))
    assert own["n_normal"] + own["n_exotic"] == math.ceil(0.1 * n_augmented)
    assert len(own["seeds"]) == aha.N_SEEDS
    within = manifest.metrics["ranking"]["within_aha_cut"]
    assert within["n_normal"] + within["n_exotic"] == len(table.rows)


@pytest.mark.long
def test_the_annotator_does_not_load_the_reproduction(reproduced):
    with pytest.raises(ModelError, match="'aha'"):
        load_models(reproduced, "ztf")


def test_the_reproduction_does_not_join_served_models(data, tmp_path, capsys):
    (tmp_path / "features.json").write_text("{}")
    assert main(["features", "--recipe", "aha", "--data", str(data), "--out", str(tmp_path)]) == 2
    assert "without served models" in capsys.readouterr().err


@pytest.mark.long
def test_a_card_shows_the_reproduction_beside_ours(reproduced, data, tmp_path):
    command = ["features", "--data", str(data), "--out", str(tmp_path), "--epochs", "1", "--jobs", "1"]
    assert main([*command, "--beside", str(reproduced)]) == 0
    card = (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "AHA's recipe, reproduced, same bins" in card
    assert f"over {aha.N_SEEDS} seeds" in card


@pytest.mark.long
def test_a_reproduction_on_another_table_is_not_shown(reproduced, data, tmp_path):
    other = tmp_path / "other.csv"
    other.write_bytes(data.read_bytes() + b"\n")
    with pytest.raises(ConfigError, match="other data"):
        aha.read_result(reproduced, other)
    with pytest.raises(ConfigError, match=r"aha\.json"):
        aha.read_result(tmp_path, data)


def test_a_class_too_small_to_oversample_is_refused(table):
    labels = table.column("source_label")
    few = [*np.flatnonzero(labels != "SN Ib/c"), *np.flatnonzero(labels == "SN Ib/c")[:5]]
    with pytest.raises(ConfigError, match="more than 8"):
        aha_inputs.oversample(table.subset(np.array(few)))
