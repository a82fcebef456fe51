import csv
import html
import json
import re
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from annotator.models import load_models
from annotator.models.calibration import Calibration, Level, Sampling, Tail
from annotator.models.manifest import parse_manifest
from annotator.preprocess.triplet import CHANNELS
from annotator.sandbox.sky.night import NORMAL_KINDS
from annotator.sandbox.sky.stamps import simulate
from annotator.surveys.ztf.columns import FEATURE_NAMES
from tests.conftest import of_the_long_suite
from training.cli import main
from training.data.curves import read_curves
from training.exotic import ask
from training.export.graph import manifest_json
from training.lightcurve import train as lightcurve
from training.metrics import ranking as evaluate
from training.report import layout as report_layout
from training.report import measure as report_measure
from training.report import page as report_page
from training.report import plots as report_plots
from training.report import statistics as report_statistics
from training.report import write as report

SHIPPED = Path(str(resources.files("annotator.onnx_models") / "ztf"))


N_STAMPS = 190


@pytest.fixture(autouse=True, scope="module")
def few_bootstrap_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "N_BOOTSTRAP", 20)
        for name, value in {"N_YEARS": 2, "NIGHTLY_UNTIL": 2, "THEN_EVERY": 25, "YEAR_TREES": 8}.items():
            patch.setattr(ask, name, value)
        yield


def label_of(simulated):
    return simulated.kind if simulated.kind in NORMAL_KINDS else "Exotic"


def write_features(night, folder):
    rows = [
        {name: "" if row.get(name) is None else row[name] for name in ("objectId", *FEATURE_NAMES, "jdmin")}
        | {"tns_name": f"2099{number}", "type": obj.kind, "source_label": label_of(obj)}
        | {"jd_g_minus_r": (row.get("jdmin") or 0) + number % 30}
        for number, (obj, row) in enumerate(zip(night.objects, night.rows(), strict=True))
    ]
    with (folder / "object_features.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_curves(night, folder):
    names = ("jd", "fid", "magpsf", "sigmapsf", "isdiffpos")
    rows = [
        {"objectId": obj.object_id, "group": "yse"} | {name: getattr(epoch, name) for name in names}
        for obj in night.objects
        for epoch in obj.epochs
        if epoch.candid is not None
    ]
    labels = [{"objectId": o.object_id, "type": o.kind, "source_label": label_of(o)} for o in night.objects]
    pandas.DataFrame(rows).to_parquet(folder / "lightcurves.parquet")
    pandas.DataFrame(labels).to_csv(folder / "lightcurve_labels.csv", index=False)


def write_stamps(night, folder):
    rows, stamps = [], []
    for obj in night.objects[:N_STAMPS]:
        positive = [epoch for epoch in obj.epochs if epoch.isdiffpos == "t"]
        if not positive:
            continue
        epoch = min(positive, key=lambda e: e.magpsf)
        row = {name: getattr(epoch, name) for name in ("candid", "jd", "magpsf")} | {"objectId": obj.object_id}
        rows.append(row | {"rb": 0.9, "drb": "", "type": obj.kind, "source_label": label_of(obj), "aha_pick": "True"})
        stamps.append(simulate(obj, epoch, 31))
    pandas.DataFrame(rows).to_csv(folder / "cutouts.csv", index=False)
    arrays = {name: np.array([stamp[name.capitalize()] for stamp in stamps]) for name in CHANNELS}
    np.savez(folder / "cutouts.npz", **arrays)


@pytest.fixture(scope="module")
def data(big_night, tmp_path_factory):
    """Simulated objects in the layout of the training data."""
    folder = tmp_path_factory.mktemp("data")
    for write in (write_features, write_curves, write_stamps):
        write(big_night, folder)
    return folder


@pytest.fixture(scope="module")
def numbers(data):
    return report.measure(data, None, None)


@pytest.fixture(scope="module")
def written(data, numbers, tmp_path_factory):
    """The report of the data; what measures them is done once, and by the reports of less data as well."""
    out = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "measure", lambda *given: numbers if given == (data, None, None) else None)
        assert main(["evaluate", "--data", str(data), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def features_alone(tmp_path_factory):
    """A model set of one modality."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("features.onnx", "features.json"):
        shutil.copy(SHIPPED / name, folder)
    return folder


def manifest_of(name):
    return parse_manifest((SHIPPED / f"{name}.json").read_bytes(), name)


# What is written


def test_page_and_markdown_hold_the_same_tables(written):
    page = (written / "report.html").read_text(encoding="utf-8")
    from_page = [
        [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", page)
    ]
    lines = (written / "report.md").read_text(encoding="utf-8").splitlines()
    from_markdown = [
        [cell.strip().replace("\\*", "*").replace("&lt;", "<") for cell in line[1:-1].split(" | ")]
        for line in lines
        if line.startswith("| ") and "| ---" not in line
    ]
    assert from_page == from_markdown and len(from_page) > 60


def test_every_plot_is_a_png_that_the_page_and_the_markdown_show(written):
    plots = {path.name for path in written.glob("*.png")}
    assert len(plots) >= 9 and all((written / name).read_bytes().startswith(b"\x89PNG\r\n") for name in plots)
    assert set(re.findall(r'<img src="(.*?)"', (written / "report.html").read_text())) == plots
    assert set(re.findall(r"!\[.*?\]\((.*?)\)", (written / "report.md").read_text())) == plots


def test_no_object_s_name_is_in_the_report(written):
    text = (written / "report.md").read_text() + (written / "report.html").read_text()
    assert not re.search(r"ZTF\d\d[a-z]{7}", text) and "2099" not in text


def test_the_recorded_out_of_fold_figures_stand_in_the_report(written):
    text = (written / "report.md").read_text()
    recorded = [
        *manifest_of("features").metrics["ranking"]["all"]["methods"].values(),
        *(group["methods"]["reconstruction error"] for group in manifest_of("lightcurve").metrics["whole"].values()),
        *manifest_of("triplet").metrics["labelled"]["methods"].values(),
    ]
    for found in recorded:
        value, low, high = found["auc"]
        assert f"{value:.3f} [{low:.3f}, {high:.3f}]" in text
    for kinds in manifest_of("lightcurve").metrics["injections"].values():
        mean = np.mean([kind["methods"]["reconstruction error"]["auc"][0] for kind in kinds.values()])
        assert f"mean {mean:.3f}" in text
    mean = manifest_of("triplet").metrics["injections"]["mean"]["reconstruction error"]
    assert abs(float(re.search(r"Injections, stamps: AUC; mean ([\d.]+)", text)[1]) - mean) <= 0.001


def test_data_that_the_model_was_not_trained_on_are_said_to_be_other(written):
    assert (written / "report.md").read_text().count("The data are not those the model was trained on") == 3


# What is not there


def test_a_modality_without_a_model_or_without_data_is_named_as_absent(features_alone, tmp_path):
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    assert main(["evaluate", "--data", str(empty), "--out", str(out), "--models", str(features_alone)]) == 0
    text = (out / "report.md").read_text()
    assert text.count("The model set holds no model of this modality") == 2
    assert "no object_features.csv" in text and "no --beside was given" in text
    assert "| shipped model, out-of-fold |" in text and "| shipped model, held out |" not in text
    assert {path.name for path in out.glob("*.png")} == {"features_ranking.png", "features_false_alarms.png"}


@pytest.mark.parametrize(
    ("data_sha256", "says"),
    [(None, "| AHA's recipe, out-of-fold | 2, 30 | 0.123 [0.100, 0.200]"), ("0" * 64, "about other data")],
)
def test_aha_s_recipe_stands_beside_the_model_if_it_is_about_the_same_data(features_alone, tmp_path, data_sha256, says):
    ours = manifest_of("features")
    methods = {"reconstruction error": {"auc": [0.123, 0.1, 0.2], "ap": [0.1, 0.1, 0.1], "hits": [1.0, 0.0, 2.0]}}
    training = dict(ours.training) | ({"data_sha256": data_sha256} if data_sha256 else {})
    metrics = {"ranking": {"all": {"n_normal": 30, "n_exotic": 2, "methods": methods}}}
    beside, out = tmp_path / "beside", tmp_path / "out"
    beside.mkdir()
    (beside / "aha.json").write_bytes(manifest_json(replace(ours, training=training, metrics=metrics)))
    arguments = ["--data", str(tmp_path), "--out", str(out), "--models", str(features_alone), "--beside", str(beside)]
    assert main(["evaluate", *arguments]) == 0
    assert says in (out / "report.md").read_text()


def test_aha_s_curves_stand_in_every_table_that_they_were_measured_for(tmp_path):
    """Our own figures in place of AHA's must come back as AHA's."""
    ours, beside, out = manifest_of("lightcurve"), tmp_path / "beside", tmp_path / "out"
    beside.mkdir()
    training = dict(ours.training) | {"epochs": 7}
    (beside / "aha_lightcurve.json").write_bytes(manifest_json(replace(ours, training=training)))
    assert main(["evaluate", "--data", str(beside), "--out", str(out), "--beside", str(beside)]) == 0
    text = (out / "report.md").read_text()
    section = text[text.index("## Light curve") : text.index("## Triplet of stamps")]
    rows = [line.split(" | ", 1) for line in section.splitlines() if line.startswith("| ")]
    shipped = [row[1] for row in rows if row[0] == "| shipped model, out-of-fold"]
    assert shipped and shipped == [row[1] for row in rows if row[0] == "| AHA's recipe, out-of-fold"]
    kinds = [row[1].split(" | ") for row in rows if " pairs)" in row[0]]
    assert len(kinds) == 15 and all(cells[0] == cells[1] for cells in kinds)
    assert "fits of 7 epochs" in section


def test_what_cannot_be_read_leaves_the_folder_as_it_was(features_alone, data, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["evaluate", "--out", str(out), "--models", str(features_alone)]
    assert main([*arguments, "--data", str(tmp_path / "nowhere")]) == 2
    assert "expected a folder" in capsys.readouterr().err
    (tmp_path / "object_features.csv").write_text("objectId,source_label\nx,SN Ia\n")
    assert main([*arguments, "--data", str(tmp_path)]) == 2
    assert "tns_name" in capsys.readouterr().err
    assert main(["evaluate", "--out", str(out), "--models", str(tmp_path), "--data", str(data)]) != 0
    assert not out.exists()


# What is measured


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=60, unique=True), st.data())
def test_a_table_without_some_objects_holds_exactly_the_others(errors, data):
    own = data.draw(st.lists(st.sampled_from(errors), unique=True, max_size=len(errors) - 1))
    level = Level("any", 10**9, 1e9, tuple(sorted(errors)), Tail(0.0, 1.0, 0.0))
    assert report_statistics.without(level, np.array(own)).values == tuple(sorted(set(errors) - set(own)))


def test_a_held_out_normal_is_judged_by_the_others_of_its_level_alone():
    tail = Tail(100.0, 1.0, 0.0)
    young = Level("young", 5, -1.0, (1.0, 2.0, 3.0), tail)
    old = Level("old", 10**9, 1e9, tuple(float(i) for i in range(10, 20)), tail)
    values, samplings = np.array([2.0, 15.0]), [Sampling(3), Sampling(50)]
    found = report_statistics.held_out_scores(Calibration((young, old)), values, samplings, is_in_table=True)
    assert found == pytest.approx(-np.log10([2 / 3, 5 / 10]))
    found = report_statistics.held_out_scores(Calibration((young, old)), values, samplings, is_in_table=False)
    assert found == pytest.approx(-np.log10([3 / 4, 6 / 11]))


def test_curves_are_cut_where_training_cut_them(data, monkeypatch):
    table = read_curves(data / "lightcurves.parquet", data / "lightcurve_labels.csv")
    monkeypatch.setattr(lightcurve, "errors_of", lambda model, curves: np.zeros(len(curves)))
    monkeypatch.setattr(lightcurve, "scorer_of", lambda fits: lambda rotation, curves: np.zeros(len(curves)))
    _, states = lightcurve.live_errors([], table)
    found = report_measure.as_calibrated(table)
    assert [s.time_days.tolist() for s in found] == [s.time_days.tolist() for s in states]


def test_the_graph_gives_a_batch_what_the_annotator_gives_each_object(data):
    model = load_models(None, "ztf").models["features"]
    table = report_measure.read_table(data / "object_features.csv", "ztf")
    values = report_measure.values_of(model, table.features[:5], table.quantities[:5])
    parsed = [report_measure.SURVEYS["ztf"].parse(row) for row in table.rows[:5]]
    assert values == pytest.approx([model.score(transient).numbers["oddity"] for transient in parsed], rel=1e-5)


def test_a_score_that_follows_a_quantity_shows_it_and_one_that_is_unknown_is_named():
    values, missing = np.arange(500.0), []
    quantities = {"followed": values, "constant": np.ones(500), "unknown": np.full(500, np.nan)}
    found = report_statistics.dependence(values / 250, quantities, missing)
    assert list(found) == ["followed"] and found["followed"]["rank_correlation"] == 1
    medians = [part["score"][0] for part in found["followed"]["bins"]]
    assert medians == sorted(medians) and sum(part["n"] for part in found["followed"]["bins"]) == 500
    assert len(missing) == 2 and "constant" in missing[0] and "0 of 500" in missing[1]


def test_a_mean_over_kinds_is_none_where_a_kind_was_not_measured():
    aucs = {"a": [0.8, 0.7, 0.9], "b": [0.6, 0.5, 0.7], "c": None}
    assert report_page.mean_auc(aucs, ["a", "b"]) == pytest.approx(0.7)
    assert report_page.mean_auc(aucs, ["a", "c"]) is None and report_page.mean_auc(aucs, ["a", "d"]) is None


def test_text_is_escaped_in_markdown_and_in_the_page():
    blocks = [report_layout.Heading(1, "a<b"), report_layout.Grid("x", ("a|b",), (("<script>",),))]
    assert "a\\|b" in report_layout.to_markdown(blocks) and "<script>" not in report_layout.to_markdown(blocks)
    assert "<script>" not in report_layout.to_html(blocks) and "<title>a&lt;b</title>" in report_layout.to_html(blocks)


def test_plots_are_the_same_bytes_for_the_same_numbers():
    found = {"n": 10, "above": 0, "share": [0.0, 0.0, 0.3]}
    modality = {"rankings": [], "injections": [], "dependence": {}, "false_alarms": {"held out": {"1": found}}}
    content = {"modalities": {"features": modality}}
    assert report_plots.draw(content) == report_plots.draw(content)


@pytest.mark.parametrize("name", ["features", *of_the_long_suite("lightcurve")])
def test_the_shipped_graph_raises_as_many_false_alarms_on_its_held_out_bin_as_training_recorded(shared, name):
    model = load_models(None, "ztf").models[name]
    measured = report_measure.MEASURES[name](model, shared / "data")
    if any("not those the model was trained on" in line for line in measured["missing"]):
        pytest.skip(f"the {name} model that is shipped was trained on other data")
    recorded = model.manifest.metrics["false_alarms"]["score"]["shares"]
    found = measured["false_alarms"]["held out, measured here"]
    expected = {level: part["held_out"] for level, part in recorded.items()}
    if model.manifest.calibrated[0].brightness is None:
        assert found == expected
    else:  # what is typical of a brightness was fitted with the held-out tenth, too: a few move by a rank
        assert {level: part["n"] for level, part in found.items()} == {level: p["n"] for level, p in expected.items()}
        assert all(abs(part["above"] - expected[level]["above"]) <= 3 for level, part in found.items())


def test_what_each_step_brought_the_heads_and_the_year_of_verdicts_are_reported(written):
    text = (written / "report.md").read_text(encoding="utf-8")
    for heading in ("What each step brought, alone", "The head that learns", "Artefacts", "A year of verdicts"):
        assert f"## {heading}" in text
    assert (written / "exotic_year.png").read_bytes().startswith(b"\x89PNG") and "(exotic_year.png)" in text
    year = text[text.index("## A year of verdicts") :]
    nights = [int(line.split("|")[1]) for line in year.splitlines() if re.match(r"\| \d", line)]
    assert nights[0] == 0 and nights == sorted(nights) and nights[-1] > 25


def test_the_report_s_numbers_are_finite_or_absent(numbers):
    json.dumps(numbers, allow_nan=False)
