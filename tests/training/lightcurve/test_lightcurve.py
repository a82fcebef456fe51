import dataclasses
import json

import numpy as np
import pandas
import pytest
import torch

from annotator.errors import MissingModalityError
from annotator.models import ModalityScore, load_models
from annotator.models.calibration import Calibration, Sampling
from annotator.models.manifest import parse_manifest
from annotator.preprocess.lightcurve import (
    GRID_BANDS,
    GRID_DAYS,
    MIN_DETECTIONS,
    MIN_ERROR_MAG,
    Detections,
    grid,
    lightcurve_tensor,
    usable_detections,
    within_grid,
)
from annotator.surveys import SURVEYS
from training import cli
from training.data.curves import read_curves
from training.lightcurve.aha import AhaCurveModel, aha_tensor
from training.lightcurve.evaluate import dependence, injections, within_sources
from training.lightcurve.fit import (
    LightCurveSettings,
    fit_lightcurves,
    make_versions,
    set_common_sampling,
    truncated,
    vary,
)
from training.lightcurve.injection import EVOLUTIONS, MAX_ERROR_MAG, make_pair, single_numbers, smooth_magnitudes
from training.lightcurve.network import LightCurveModel, mean_loss
from training.metrics.calibrate import uniform_calibrated

LABELS = {"SN Ia": "SN Ia", "SN II": "SN II", "SN Ib/c": "SN Ib/c", "TDE": "Exotic", "SLSN": "Exotic"}


@pytest.fixture(scope="module")
def curve_files(big_night, tmp_path_factory):
    """Light curves and labels of a simulated night, in the layout of the real ones."""
    folder = tmp_path_factory.mktemp("curves")
    rows, labels = [], []
    for simulated in big_night.objects[:240]:
        if simulated.kind not in LABELS:
            continue
        labels.append({"objectId": simulated.object_id, "type": simulated.kind, "source_label": LABELS[simulated.kind]})
        for epoch in simulated.epochs:
            if epoch.candid is not None:
                columns = {name: getattr(epoch, name) for name in ("jd", "fid", "magpsf", "sigmapsf", "isdiffpos")}
                rows.append({"objectId": simulated.object_id, **columns})
    frame = pandas.DataFrame(rows)
    frame["source"], frame["group"] = "simulated", "yse"
    frame.to_parquet(folder / "curves.parquet")
    pandas.DataFrame(labels).to_csv(folder / "lightcurve_labels.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def table(curve_files):
    return read_curves(curve_files / "curves.parquet", curve_files / "lightcurve_labels.csv")


@pytest.fixture(autouse=True, scope="module")
def _quick(quick_measures):
    pass


@pytest.fixture(scope="module")
def trained(curve_files, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    status = cli.main(["lightcurve", "--data", str(curve_files / "curves.parquet"), "--out", str(out), "--epochs", "1"])
    assert status == 0
    return out


def supernova(n=50, seed=0):
    rng = np.random.default_rng(seed)
    days = np.sort(rng.uniform(-15, 60, n))
    band = rng.integers(0, 2, n)
    smooth = 18 + np.where(days < 0, 0.008 * days**2, 0.03 * days) + 0.2 * (band == 1)
    return Detections(60000.0 + days, band, smooth + rng.normal(0, 0.05, n), np.full(n, 0.05)), smooth


def test_training_writes_a_model_that_the_annotator_loads_and_scores_with(trained, big_night):
    models = load_models(trained, "ztf")
    assert list(models.models) == ["lightcurve"]
    record = {
        "objectId": "ZTF99x",
        "candidates": [
            {name: getattr(e, name) for name in ("candid", "jd", "fid", "magpsf", "sigmapsf", "isdiffpos")}
            for e in big_night.objects[3].epochs
            if e.candid is not None
        ],
    }
    found = models.models["lightcurve"].score(SURVEYS["ztf"].parse(record))
    assert isinstance(found, ModalityScore) and found.error > 0 and len(found.residual) == 352
    assert (trained / "LIGHTCURVE_CARD.md").read_text().startswith("# aha-ztf-1.3")


def test_the_manifest_says_what_was_measured(trained):
    manifest = parse_manifest((trained / "lightcurve.json").read_bytes(), "lightcurve.json")
    assert manifest.modality == "lightcurve" and manifest.training["counts"]["Exotic"] > 0
    for kinds in manifest.metrics["injections"].values():
        for found in kinds.values():
            low, value, high = (found["methods"]["reconstruction error"]["auc"][i] for i in (1, 0, 2))
            assert 0 <= low <= value <= high <= 1 and found["n"] >= 10
    assert [item.output for item in manifest.calibrated] == ["error"]
    n_normal = sum(len(level.values) for level in manifest.calibrated[0].levels)
    assert manifest.metrics["false_alarms"]["score"]["shares"]["1"]["all_bins"]["n"] == n_normal


def test_the_same_seed_gives_the_same_model_to_the_bit(table):
    settings = LightCurveSettings(epochs=2, versions=3)
    curves = [curve.detections for curve in table.curves]
    fits = []
    for _ in range(2):
        versions = make_versions(curves, settings)
        fits.append(fit_lightcurves(versions[:100], versions[100:], settings))
        set_common_sampling(fits[-1:])
    first, second = (fit.model.state_dict() for fit in fits)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_aha_recipe_writes_what_the_annotator_does_not_load(curve_files, tmp_path, capsys):
    data = ["--data", str(curve_files / "curves.parquet")]
    assert cli.main(["lightcurve", *data, "--recipe", "aha", "--out", str(tmp_path), "--epochs", "2"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"aha_lightcurve.onnx", "aha_lightcurve.json"}
    assert "does not load" in capsys.readouterr().err
    with pytest.raises(Exception, match="doesn't know that modality"):
        load_models(tmp_path, "ztf")


def test_without_curves_the_command_says_what_is_missing(tmp_path, capsys):
    assert cli.main(["lightcurve", "--data", str(tmp_path / "none.parquet"), "--out", str(tmp_path / "out")]) == 2
    assert "none.parquet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_table_without_a_column_is_refused_by_its_name(curve_files, tmp_path, capsys):
    pandas.read_parquet(curve_files / "curves.parquet").drop(columns="sigmapsf").to_parquet(tmp_path / "c.parquet")
    labels = ["--labels", str(curve_files / "lightcurve_labels.csv")]
    assert cli.main(["lightcurve", "--data", str(tmp_path / "c.parquet"), *labels, "--out", str(tmp_path / "o")]) == 2
    assert "no sigmapsf" in capsys.readouterr().err


def test_every_curve_of_an_object_is_in_one_bin_and_photometry_of_other_telescopes_is_out(curve_files, tmp_path):
    frame = pandas.read_parquet(curve_files / "curves.parquet")
    other, foreign = frame.copy(), frame.copy()
    other["group"], foreign["source"] = "alerts", "YSE_DR1_PS1"
    pandas.concat([frame, other, foreign]).to_parquet(tmp_path / "c.parquet")
    table = read_curves(tmp_path / "c.parquet", curve_files / "lightcurve_labels.csv")
    assert sorted(set(table.column("group"))) == ["alerts", "yse"]
    bins = {}
    for curve, number in zip(table.curves, table.folds, strict=True):
        assert bins.setdefault(curve.object_id, number) == number
    assert len(table.curves) == 2 * len(bins)


def test_a_variation_can_always_be_scored_and_a_truncation_is_the_curve_as_it_was_seen_then(table):
    rng = np.random.default_rng(0)
    for curve in table.curves[:40]:
        varied = vary(curve.detections, LightCurveSettings(), rng)
        assert within_grid(varied).sum() >= MIN_DETECTIONS and (varied.error_mag <= 1).all()
        young = truncated(curve.detections, rng)
        n = len(young)
        np.testing.assert_array_equal(young.time_days, curve.detections.time_days[:n])
        assert n == len(curve.detections) or curve.detections.time_days[n] > young.time_days[-1]


def test_the_first_version_of_each_curve_is_the_whole_one(table):
    curves = [curve.detections for curve in table.curves[:5]]
    np.testing.assert_array_equal(make_versions(curves, LightCurveSettings(versions=3))[:, 0], grid(curves))


def test_points_that_are_not_supported_change_nothing():
    torch.manual_seed(0)
    model = LightCurveModel().eval()
    tensor = torch.from_numpy(grid([supernova()[0]]))
    filled = tensor.clone()
    filled[:, 0] += 5.0 * (1 - tensor[:, 2])
    filled[:, 1] += 0.3 * (1 - tensor[:, 2])
    for expected, found in zip(model(tensor), model(filled), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_residual_is_what_the_reconstruction_leaves_where_there_is_support(table):
    torch.manual_seed(0)
    tensor = torch.from_numpy(grid([curve.detections for curve in table.curves[:20]]))
    with torch.no_grad():
        _, residual, _, reconstruction = LightCurveModel().eval()(tensor)
    torch.testing.assert_close(residual, (tensor[:, 0] - reconstruction) * tensor[:, 2], rtol=0, atol=0)
    assert (reconstruction[tensor[:, 2] == 0] != 0).all()  # of the whole grid


def test_the_loss_is_that_of_its_formula_and_linear_far_away():
    deviation = torch.tensor([[0.1, -3.0, 1e6, 7.0]])
    support = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    expected = np.mean([4 * (np.sqrt(1 + (x / 2) ** 2) - 1) for x in (0.1, -3.0, 1e6)])
    assert mean_loss(deviation, support).item() == pytest.approx(expected, rel=1e-5)


def test_the_error_is_one_for_what_is_typical_of_its_number_of_points():
    rng = np.random.default_rng(0)
    counts = rng.integers(2, 120, 4000)
    support = torch.zeros(4000, 352)
    for row, count in enumerate(counts):
        support[row, :count] = 1
    loss = torch.from_numpy((0.1 + 0.05 * np.log(counts)) * np.exp(rng.normal(0, 0.4, 4000))).float()
    model = LightCurveModel()
    model.set_sampling(loss, support)
    deviation = model.deviation(loss, support).detach().numpy()
    for few, many in ((2, 10), (10, 40), (40, 120)):
        chosen = deviation[(counts >= few) & (counts < many)]
        assert abs(chosen.mean()) < 0.2 and np.abs(chosen).mean() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("kind", EVOLUTIONS)
def test_both_members_of_a_pair_have_the_same_epochs_and_noise_that_fits_their_flux(kind):
    curve, smooth = supernova()
    for seed in range(20):
        pair = make_pair(curve, smooth, kind, np.random.default_rng(seed))
        np.testing.assert_array_equal(pair.normal.time_days, pair.injected.time_days)
        np.testing.assert_array_equal(pair.normal.band, pair.injected.band)
        assert set(pair.normal.time_days) <= set(curve.time_days)
        for member in (pair.normal, pair.injected):
            assert (member.error_mag <= MAX_ERROR_MAG).all() and np.isfinite(member.magnitude).all()
        errors = pair.injected.error_mag, pair.normal.error_mag
        is_free = errors[0] > MIN_ERROR_MAG
        scaled = 2.5 * np.log10(errors[0] / errors[1])[is_free]
        fainter = (pair.injected.magnitude - pair.normal.magnitude)[is_free]
        assert (np.abs(scaled - fainter) <= 5 * np.hypot(*errors)[is_free]).all()


def test_a_pair_peaks_as_bright_and_cannot_be_told_by_its_span_or_number():
    curve, smooth = supernova(80)
    for kind in EVOLUTIONS:
        peaks = []
        for seed in range(40):
            pair = make_pair(curve, smooth, kind, np.random.default_rng(seed))
            numbers = [single_numbers(member) for member in (pair.normal, pair.injected)]
            assert numbers[0]["span"] == numbers[1]["span"] and numbers[0]["detections"] == numbers[1]["detections"]
            peaks.append(pair.normal.magnitude.min() - pair.injected.magnitude.min())
        assert abs(np.median(peaks)) < 0.15


def test_smoothing_comes_closer_to_the_truth_than_the_detections():
    curve, truth = supernova(60)
    smooth = smooth_magnitudes(curve)
    assert np.std(smooth - truth) < 0.8 * np.std(curve.magnitude - truth)


def test_templates_of_a_kind_differ_from_one_another():
    days, band = np.linspace(-20, 80, 30), np.arange(30) % 2
    smooth = np.full(30, 18.0) + 0.001 * days**2
    for evolve in EVOLUTIONS.values():
        draws = np.array([evolve(np.random.default_rng(seed), days, band, smooth) for seed in range(30)])
        assert np.isfinite(draws).all() and (draws - draws.min(axis=1, keepdims=True)).std(axis=0).max() > 0.1


def test_single_numbers_are_those_of_a_curve_drawn_by_hand():
    days = np.array([-10.0, 0.0, 0.0, 10.0, 20.0, 20.0])
    curve = Detections(60000 + days, np.array([1, 0, 1, 1, 0, 1]), np.array([19, 17.5, 18, 18.5, 19, 19.0]), np.ones(6))
    numbers = single_numbers(curve)
    assert numbers["colour"] == pytest.approx(-0.25)
    assert numbers["amplitude"] == pytest.approx(1.5)
    assert numbers["span"] == pytest.approx(30)


def test_a_scorer_that_knows_the_amplitude_is_measured_as_the_amplitude_itself(table):
    def scorer(rotation, curves):
        return np.array([np.ptp(curve.magnitude) for curve in curves])

    report = injections(table, {"amplitude": scorer})
    for kinds in report.values():
        for found in kinds.values():
            auc = found["methods"]["amplitude"]["auc"][0]
            assert max(auc, 1 - auc) == pytest.approx(found["single"]["amplitude"], abs=1e-3)


def test_sources_are_ranked_apart_and_an_oracle_is_seen_as_one(table):
    found = within_sources(table, {"oracle": table.is_exotic.astype(float)})
    assert set(found) > {"pooled"}
    for name in set(found) - {"pooled"}:
        assert found[name]["methods"]["oracle"]["auc"][0] == 1.0
        assert min(found[name]["n_normal"], found[name]["n_exotic"]) >= 5
    assert found["pooled"]["n_exotic"] == int(table.is_exotic.sum())


def test_a_group_whose_exotics_come_from_one_catalogue_and_normals_from_another_is_no_source(table):
    """Within such a group the catalogue tells the class: AUC 0.968 of the alert packets' without any model."""
    of_two = dataclasses.replace(
        table,
        curves=tuple(
            dataclasses.replace(curve, group="alerts", source="B" if exotic else "A")
            for curve, exotic in zip(table.curves, table.is_exotic, strict=True)
        ),
    )
    assert set(within_sources(of_two, {"oracle": table.is_exotic.astype(float)})) == {"pooled"}


def test_an_error_that_grows_with_the_detections_is_seen_to_depend_on_them(table):
    curves = [curve.detections for curve in table.curves]
    errors = np.array([float(len(curve)) for curve in curves])
    table_of_all = Calibration(uniform_calibrated("error", errors).levels)
    scores = np.array([table_of_all.score(error, Sampling()) for error in errors])
    rows = dependence(scores, curves)["detections"]
    assert rows[-1]["at_least_1"][0] > rows[0]["at_least_1"][0] and sum(row["n"] for row in rows) == len(curves)


def test_the_aha_representation_extrapolates_from_one_detection_as_described():
    days = np.array([-30.0, *np.arange(1.0, 10.0), 20.0])
    band = np.array([0] + [0] * 9 + [1])
    band[-1], days[-1] = 1, 60.0
    curve = Detections(60000 + days, band, np.array([20.0, 18, *np.full(8, 18.5), 19]), np.full(11, 0.1))
    tensor = aha_tensor(curve)
    far = np.abs(GRID_DAYS - 59.0) > 30
    assert (tensor[1, GRID_BANDS.index("zr")][far] > 0).sum() > 10
    assert aha_tensor(curve.where(slice(0, 9))) is None
    model = AhaCurveModel(np.stack([tensor, tensor])).eval()
    assert torch.isfinite(model(torch.from_numpy(tensor[np.newaxis]))[0]).all()


def test_the_references_of_the_shipped_manifest_are_simulated_and_can_be_scored():
    manifest = load_models(None, "ztf").models["lightcurve"].manifest
    for reference in manifest.references:
        record = json.loads(json.dumps(reference.record))
        assert record["objectId"].startswith("ZTF99")
        try:
            tensor = lightcurve_tensor(SURVEYS["ztf"].parse(record).light_curve)
        except MissingModalityError as reason:
            raise AssertionError(f"a reference that cannot be scored: {reason}") from reason
        assert tensor.shape == (3, 2, 176)
        assert len(usable_detections(SURVEYS["ztf"].parse(record).light_curve)) >= MIN_DETECTIONS
