import json
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch

from annotator.errors import ConfigError, ModelError
from annotator.models import load_models
from annotator.models.manifest import parse_manifest
from annotator.sandbox.sky.night import NORMAL_KINDS
from annotator.surveys.ztf import parse as ztf
from annotator.surveys.ztf.columns import FEATURE_NAMES
from tests.training.conftest import write_table
from training.cli import main
from training.data.folds import fold_of
from training.data.table import read_table
from training.export import graph as export
from training.export.files import write_files
from training.export.gate import check_loads
from training.features import train
from training.features.fit import Settings, fit_features
from training.features.network import Autoencoder, FeatureModel, mean_huber
from training.features.scaling import fit_columns


@pytest.fixture(autouse=True, scope="module")
def _quick(quick_measures):
    pass


@pytest.fixture
def rows(labelled_rows):
    """Rows that a test may change."""
    return [dict(row) for row in labelled_rows[:700]]


@pytest.fixture(scope="module")
def data(labelled_rows, tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data") / "table.csv", labelled_rows[:700])


@pytest.fixture(scope="module")
def table(data):
    return read_table(data, "ztf")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert main(["features", "--data", str(data), "--out", str(out), "--epochs", "1", "--jobs", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def fit(table):
    part = table.split(0)
    return fit_features(table.features[part.train], table.features[part.validation], Settings(epochs=3))


def fit_rotation(table):
    """Fit what is exported, and leave out the nine others that only measure it."""
    return train._fit_rotation(table, Settings(epochs=2), 0)


@pytest.fixture(scope="module")
def rotation(table):
    return fit_rotation(table)


# The whole command


def test_training_writes_a_model_that_the_annotator_loads_and_scores_with(trained, rows):
    models = load_models(trained, "ztf")
    assert models.version == "aha-ztf-1.3"
    assert all(scores.score >= 0 for scores in models.score([ztf.parse(row) for row in rows[:20]]))
    assert sorted(path.name for path in trained.iterdir()) == ["MODEL_CARD.md", "features.json", "features.onnx"]


def test_the_manifest_counts_what_it_was_made_from(trained, table):
    manifest = parse_manifest((trained / "features.json").read_bytes(), "manifest")
    assert manifest.training["data_sha256"] == table.sha256
    assert sum(manifest.training["counts"].values()) == len(table.rows)
    assert [item.output for item in manifest.calibrated] == ["oddity", "prior"]
    n_normal = int((~table.is_exotic).sum())
    for item in manifest.calibrated:
        assert sum(len(level.values) for level in item.levels) == n_normal
    parts = manifest.training["counts_by_part"]
    assert parts["train"] + parts["validation"] + parts["test_normal"] == n_normal
    assert export.manifest_json(manifest) == (trained / "features.json").read_bytes()


def test_the_card_holds_the_manifest_s_numbers_sources_and_command(trained):
    card = (trained / "MODEL_CARD.md").read_text(encoding="utf-8")
    manifest = parse_manifest((trained / "features.json").read_bytes(), "manifest")
    value, low, high = manifest.metrics["ranking"]["all"]["methods"]["reconstruction error"]["auc"]
    assert f"| {value:.3f} [{low:.3f}, {high:.3f}] |" in card
    for words in (
        "arXiv 2602.12955",
        "Lasair",
        "licence",
        "aha-train features --data table.csv",
        manifest.graph_sha256,
    ):
        assert words in card
    assert not re.search(r"\bnan\b|\binf\b", card)


@pytest.mark.long
def test_training_again_gives_the_same_model_to_the_byte(trained, data, tmp_path):
    assert main(["features", "--data", str(data), "--out", str(tmp_path), "--epochs", "1", "--jobs", "2"]) == 0
    assert (tmp_path / "features.json").read_bytes() == (trained / "features.json").read_bytes()
    assert (tmp_path / "features.onnx").read_bytes() == (trained / "features.onnx").read_bytes()


def test_labels_of_exotics_and_columns_that_are_no_input_never_reach_the_model(rotation, rows, tmp_path):
    """Other positions, redshifts, dates and classes give the same numbers to the bit."""
    generator = np.random.default_rng(0)
    for row in rows:
        row |= {name: generator.uniform(0, 90) for name in ("ramean", "decmean", "z", "jdmin")}
        if row["source_label"] == "Exotic":
            row |= dict.fromkeys(FEATURE_NAMES[3:], "") | {"type": "shuffled"}
        else:
            row["source_label"] = str(generator.choice(NORMAL_KINDS))
    other = fit_rotation(read_table(write_table(tmp_path / "other.csv", rows), "ztf"))
    fitted, again = rotation.model.state_dict(), other.model.state_dict()
    assert list(fitted) == list(again)
    assert all(torch.equal(fitted[name], again[name]) for name in fitted)


def test_a_failed_gate_leaves_what_was_there(rotation, data, tmp_path, monkeypatch):
    (tmp_path / "features.onnx").write_bytes(b"yesterday's")

    def refuse(*_):
        raise ModelError("the graph differs from torch")

    monkeypatch.setattr(train, "in_processes", lambda work, n_fits, jobs: [rotation] * n_fits)
    monkeypatch.setattr(train, "export_graph", refuse)
    assert main(["features", "--data", str(data), "--out", str(tmp_path), "--epochs", "1", "--jobs", "1"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["features.onnx"]
    assert (tmp_path / "features.onnx").read_bytes() == b"yesterday's"


@pytest.mark.parametrize("option", ["--out", "--out-of-fold"])
def test_a_folder_of_somebody_else_is_refused_before_the_work_and_stays_as_it_is(data, tmp_path, capsys, option):
    (tmp_path / "MODEL_CARD.md").write_text("mine")
    (tmp_path / "features.csv").write_text("mine")
    places = {"--out": str(tmp_path / "out")} | {option: str(tmp_path)}
    assert main(["features", "--data", str(data), *(part for item in places.items() for part in item)]) == 2
    assert "name another" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("MODEL_CARD.md", "features.csv"), "mine"
    )


def test_a_model_that_the_annotator_would_refuse_is_not_written(trained):
    names = ("features.onnx", "features.json")
    files = [(name, (trained / name).read_bytes()) for name in names]
    check_loads(files, "ztf")
    manifest = json.loads(files[1][1])
    for spoil in (
        lambda reference: reference | {"error": 2 * reference["error"]},
        lambda reference: reference | {"others": reference["others"] | {"oddity": 2 * reference["others"]["oddity"]}},
    ):
        spoilt = manifest | {"references": [spoil(manifest["references"][0]), *manifest["references"][1:]]}
        with pytest.raises(ModelError, match="reference record 0"):
            check_loads([files[0], ("features.json", json.dumps(spoilt).encode())], "ztf")


def test_help_names_the_commands_and_starts_without_torch():
    code = "import sys, training.cli; training.cli.main(['features', '--help'])"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    assert "--recipe" in done.stdout
    assert not re.search(r"\| +(torch|sklearn|onnxruntime)$", done.stderr, re.MULTILINE)


def test_fetching_without_a_token_is_refused_with_the_variable_s_name(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("LASAIR_TOKEN", raising=False)
    assert main(["fetch", "features", "--out", str(tmp_path / "t.csv"), "--ledger", str(tmp_path / "l.sqlite")]) == 2
    assert "LASAIR_TOKEN" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# Input


def test_all_ids_of_one_transient_are_in_one_part(rows, tmp_path):
    rows = rows[:300]
    for number, row in enumerate(rows):
        row["tns_name"] = f"2099{number // 3:04d}"
    table = read_table(write_table(tmp_path / "t.csv", rows), "ztf")
    names = table.column("tns_name")
    for rotation in range(10):
        split = table.split(rotation)
        for first, second in ((split.train, split.validation), (split.train, split.test)):
            assert not set(names[first]) & set(names[second])
        assert (split.train | split.validation | split.test).all()


def test_every_object_is_tested_by_exactly_one_rotation(table):
    assert (sum(table.split(rotation).test.astype(int) for rotation in range(10)) == 1).all()


def test_bins_are_fixed_for_good_and_even():
    # As `printf 2018cow | sha256sum` gives them: the first 16 hexadecimal digits modulo 10.
    assert {name: fold_of(name) for name in ("2018cow", "2023ixf")} == {"2018cow": 2, "2023ixf": 1}
    counts = np.bincount([fold_of(f"2025{i}") for i in range(5000)], minlength=10)
    assert counts.min() > 400


def test_an_object_without_a_tns_name_goes_by_its_own_id(rows, tmp_path):
    rows = rows[:50]
    for row in rows:
        row["tns_name"] = ""
    table = read_table(write_table(tmp_path / "t.csv", rows), "ztf")
    assert table.folds.tolist() == [fold_of(row["objectId"]) for row in table.rows]


@pytest.mark.parametrize("column", ["objectId", "tns_name", "source_label"])
def test_a_table_without_a_needed_column_is_refused_by_name(column, rows, tmp_path, capsys):
    rows = [{name: value for name, value in row.items() if name != column} for row in rows[:50]]
    path = write_table(tmp_path / "t.csv", rows)
    assert main(["features", "--data", str(path), "--out", str(tmp_path / "out")]) == 2
    assert f"no column {column}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda row: row | {"source_label": "SN Ix"}, "'SN Ix' (60 rows)"),
        (lambda row: row | {"source_label": "Exotic"}, "normal objects"),
        (lambda row: row | {"objectId": ""}, "objectId"),
        (lambda row: row | dict.fromkeys(FEATURE_NAMES, -999), "physical values"),
        (lambda row: row, "in each of 10 bins"),
        (lambda row: row | {"tns_name": "2099one"}, "in each of 10 bins"),
    ],
    ids=["rare label", "none normal", "no id", "no physical value", "too few", "one host"],
)
def test_a_table_that_cannot_train_is_refused_with_the_reason(spoil, words, rows, tmp_path, capsys):
    path = write_table(tmp_path / "t.csv", [spoil(row) for row in rows[:60]])
    assert main(["features", "--data", str(path), "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err


def test_a_feature_column_that_is_empty_is_refused_by_name(rows, tmp_path, capsys):
    path = write_table(tmp_path / "t.csv", [row | {"srmag1": ""} for row in rows])
    assert main(["features", "--data", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "found none in srmag1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", [None, b"\xff\xfe\x00", b"", b'"objectId\n'], ids=["absent", "no text", "empty", "open quote"]
)
def test_an_unreadable_file_is_refused(content, tmp_path, capsys):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_bytes(content)
    assert main(["features", "--data", str(path), "--out", str(tmp_path / "out")]) == 2
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize("version", ["", "seventeen-letters", "été"])
def test_a_version_that_lasair_would_not_keep_is_refused(version, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["features", "--data", "x", "--out", "y", "--version", version])
    assert caught.value.code == 2


# Network and export


def test_the_network_has_the_size_of_aha_s():
    """AHA's has 18,572 numbers with 22 inputs and outputs, running means and variances counted."""
    network = Autoencoder(22, 22)
    running = [b.numel() for name, b in network.named_buffers() if "running" in name]
    assert sum(p.numel() for p in network.parameters()) + sum(running) == 18_572


def test_the_loss_is_torch_s_huber_loss_over_what_is_present():
    generator = torch.Generator().manual_seed(0)
    residual = 3 * torch.randn(6, 21, generator=generator)
    present = (torch.rand(6, 21, generator=generator) < 0.6).float()
    for i in range(6):
        kept = residual[i][present[i] > 0]
        expected = torch.nn.functional.huber_loss(kept, torch.zeros_like(kept), delta=1.0)
        assert mean_huber(residual, present)[i].item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_graph_scales_as_the_manifest_s_columns_say(table):
    columns = fit_columns(table.features)
    scaled, present = FeatureModel(columns).scaling(torch.from_numpy(table.features[:50]))
    for i, row in enumerate(table.features[:50]):
        for j, column in enumerate(columns):
            expected = 0.0 if np.isnan(row[j]) else column.scaled(float(row[j]))
            assert scaled[i, j].item() == pytest.approx(expected, abs=2e-5)
            assert present[i, j].item() == float(not np.isnan(row[j]))


def test_constants_come_from_the_training_part_alone(table):
    part = table.split(0)
    settings = Settings(epochs=1)
    first = fit_features(table.features[part.train], table.features[part.validation], settings)
    second = fit_features(table.features[part.train], 0.9 * table.features[part.validation], settings)
    assert first.columns == second.columns == fit_columns(table.features[part.train])


def test_training_lowers_the_validation_error(table, fit):
    part = table.split(0)
    once = fit_features(table.features[part.train], table.features[part.validation], Settings(epochs=1))
    assert fit.validation_error < once.validation_error


def test_the_exported_graph_gives_what_torch_gives(fit, table):
    graph = export.export_graph(fit.model, {"features": table.features[:40]})
    loaded = onnx.load_from_string(graph)
    assert [o.version for o in loaded.opset_import if not o.domain] == [export.OPSET]
    assert [o.name for o in loaded.graph.output] == ["error", "residual", "latent"]
    export.check_parity(graph, fit.model, {"features": table.features})


def test_a_graph_of_another_model_fails_the_parity_gate(fit, table):
    graph = export.export_graph(fit.model, {"features": table.features[:5]})
    changed = FeatureModel(fit.columns).eval()
    changed.load_state_dict(fit.model.state_dict())
    with torch.no_grad():
        changed.autoencoder.encoder[0].weight[0, 0] += 0.01
    with pytest.raises(ModelError, match="nothing was written"):
        export.check_parity(graph, changed, {"features": table.features})


@pytest.mark.parametrize("recipe", ["normals", "aha"])
def test_a_file_in_place_of_the_folder_is_refused_before_the_work(recipe, data, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    command = ["features", "--recipe", recipe, "--data", str(data), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "expected a folder, found a file" in capsys.readouterr().err


def test_files_are_written_all_or_none(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(TypeError):
        write_files(tmp_path, [("a", b"new"), ("b", None)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}
    write_files(tmp_path, [("a", b"new"), ("b", b"too")])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new", "b": b"too"}
    with pytest.raises(ConfigError, match="written to"):
        write_files(tmp_path / "a", [("c", b"new")])
