import csv
import dataclasses
import gc
import hashlib
import json
import math
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.errors import ConfigError, ModelError
from annotator.models import Missing, ModalityScore, files
from annotator.models.distribution import Distribution
from annotator.models.inputs import PREPARATIONS
from annotator.models.load import load_models, load_to_stay, reference_transient
from annotator.models.manifest import parse_manifest
from annotator.models.percentiles import PERCENTILES, Percentiles, is_beyond, percentile_of
from annotator.models.runtime import onnxruntime
from annotator.preprocess.quantities import QUANTITIES
from annotator.sandbox import simulate_night
from annotator.surveys.ztf import parse as ztf
from annotator.surveys.ztf.columns import FEATURE_NAMES, FEATURES
from annotator.transient import Transient
from tests.conftest import examples
from tests.models.conftest import rows

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "onnx_models" / "ztf"
DATA = ROOT.parent / "shared" / "data" / "object_features.csv"
BAND_G = [name for name in FEATURE_NAMES if "g" in name.removeprefix("ma") and "arcsec" not in name.lower()]


@pytest.fixture(scope="module")
def models():
    return load_models(None, "ztf")


@pytest.fixture
def folder(tmp_path):
    for name in ("features.onnx", "features.json"):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


def features_of(scores):
    return scores.modalities["features"]


# Scores


def test_scores_do_not_depend_on_order_company_or_repetition(models):
    transients = [ztf.parse(row) for row in rows()]
    together = models.score(transients)
    shuffled = list(range(len(transients)))
    random.Random(1).shuffle(shuffled)
    for index, scores in zip(shuffled, models.score([transients[i] for i in shuffled]), strict=True):
        assert scores == together[index]
    assert [models.score([t])[0] for t in transients] == together
    assert models.score(transients[:7]) + models.score(transients[7:]) == together
    assert models.score(transients + transients) == together + together
    assert load_models(None, "ztf").score(transients) == together


def test_columns_that_are_no_input_do_not_change_a_score(models):
    generator = random.Random(2)
    forbidden = ["ramean", "decmean", "z", "type", "tns_name", "source_label", "catalogue_object_id", "htm16"]
    for row in rows()[:20]:
        changed = row | {name: generator.uniform(-1e6, 1e6) for name in forbidden} | {"objectId": "another"}
        assert models.score([ztf.parse(changed)]) == models.score([ztf.parse(row)])


def test_when_an_object_was_seen_changes_no_score_and_how_much_of_it_changes_only_whom_it_is_compared_with(models):
    dates = ("jdmin", "jdmax", "jd_g_minus_r")
    for row in rows()[:20]:
        later = row | {name: row[name] + 700.0 for name in dates if row[name] is not None}
        assert features_of(models.score([ztf.parse(later)])[0]) == features_of(models.score([ztf.parse(row)])[0])
        few, many = (features_of(models.score([ztf.parse(row | {"ncand": n})])[0]) for n in (2, 40))
        assert (few.error, few.numbers, few.residual) == (many.error, many.numbers, many.residual)
        assert few.score <= many.score  # the young are a wide variety


def test_every_input_column_changes_some_score(models):
    errors = {t: features_of(models.score([ztf.parse(row)])[0]).error for t, row in enumerate(rows()[:20])}
    for name in FEATURE_NAMES:
        without = [features_of(models.score([ztf.parse(row | {name: None})])[0]).error for row in rows()[:20]]
        assert any(error != errors[i] for i, error in enumerate(without)), name


def test_an_object_without_a_band_or_a_host_is_scored(models):
    for hidden in (BAND_G, ["distpsnr1", "sgmag1", "srmag1", "separationArcsec", "major_axis_arcsec"]):
        scores = models.score([ztf.parse(rows()[0] | dict.fromkeys(hidden))])[0]
        found = features_of(scores)
        assert isinstance(found, ModalityScore)
        assert [r for name, r in zip(FEATURE_NAMES, found.residual, strict=True) if name in hidden] == [0] * len(hidden)


def test_an_object_without_features_is_missing_with_a_reason_and_scores_zero(models):
    scores = models.score([Transient("ZTF99aaaaaaa", "ztf", features={"gmag": 19.0})])[0]
    assert scores.score == 0.0
    assert isinstance(features_of(scores), Missing)
    assert "1 of 21" in features_of(scores).why


@given(st.dictionaries(st.sampled_from(FEATURE_NAMES), st.floats(width=32), min_size=3))
@settings(max_examples=examples(300))
def test_any_numbers_give_finite_scores_that_no_single_record_can_run_away_with(models, features):
    found = models.score([Transient("any", "ztf", features=features)])[0]
    assert math.isfinite(found.score)
    modality = features_of(found)
    if isinstance(modality, ModalityScore):
        assert all(map(math.isfinite, (modality.error, modality.score, *modality.residual, *modality.latent)))
        # Clipped at the training range, the worst that all columns together can do is bounded.
        assert modality.error < 30


def test_a_value_beyond_the_training_range_counts_as_its_end(models):
    row = dict(zip(FEATURE_NAMES, [19.0] * len(FEATURE_NAMES), strict=True)) | {"g_minus_r": 0.1, "dmdt_g": 5.0}
    far = row | {"dmdt_g": 20.0}
    near, beyond = (models.score([Transient("a", "ztf", features=features)])[0] for features in (row, far))
    assert features_of(near).numbers == features_of(beyond).numbers and near.score == beyond.score


def test_the_residual_explains_the_error(models):
    """The error is the mean Huber loss of the residuals over the columns present, by a second implementation."""
    for row in rows()[:20]:
        transient = ztf.parse(row)
        found = features_of(models.score([transient])[0])
        if isinstance(found, Missing):
            continue
        sizes = [abs(r) for name, r in zip(FEATURE_NAMES, found.residual, strict=True) if name in transient.features]
        expected = np.mean([0.5 * s * s if s <= 1 else s - 0.5 for s in sizes])
        assert found.error == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scaled", [-1.0, 0.0, 0.5, 1.0])
def test_a_column_turns_scaled_units_back_into_its_own(models, scaled):
    for column in models.models["features"].manifest.columns:
        assert column.scaled(column.unscaled(scaled)) == pytest.approx(scaled, abs=1e-9)


def test_the_manifest_describes_the_inputs_in_order(models):
    manifest = models.models["features"].manifest
    first, others = manifest.columns[: len(FEATURES)], manifest.columns[len(FEATURES) :]
    assert [(c.name, c.unit, c.low, c.high) for c in first] == [(f.name, f.unit, f.low, f.high) for f in FEATURES]
    units = {quantity.name: quantity.unit for quantity in QUANTITIES}
    assert others and all(units[column.name] == column.unit for column in others)
    assert [tensor.name for tensor in manifest.inputs] == ["features", "quantities"]
    assert manifest.inputs[1].shape == ("n", str(len(QUANTITIES)))
    assert (models.version, models.survey) == ("aha-ztf-1.3", "ztf")
    assert len(manifest.references) >= 5
    assert all(r.record["objectId"].startswith("ZTF99") for r in manifest.references)
    assert any(r.record["gmag"] is None for r in manifest.references)


def test_the_shipped_files_name_no_path_and_stay_small():
    builders = [folder.resolve() for folder in (ROOT, Path.home())]
    marks = {b"/home/", b"/root/", b"/tmp/", b"site-packages", *(bytes(path) for path in builders if path.name)}
    for path in SHIPPED.iterdir():
        content = path.read_bytes()
        assert len(content) < 2_000_000
        for mark in marks:
            assert mark not in content, f"{path.name} holds {mark}"


def test_a_graph_runs_on_many_rows_too(models):
    session = onnxruntime.InferenceSession(SHIPPED / "features.onnx", providers=["CPUExecutionProvider"])
    rows = np.full((5, 21), np.nan, dtype=np.float32)
    outputs = ["error", "residual", "latent", "oddity", "prior"]
    given = {"features": rows, "quantities": np.full((5, len(QUANTITIES)), np.nan, dtype=np.float32)}
    error, residual, latent, oddity, prior = session.run(outputs, given)
    assert (error.shape, residual.shape, latent.shape) == ((5,), (5, 21), (5, 8))
    assert (error == 0).all() and len(set(oddity.tolist())) == len(set(prior.tolist())) == 1


# What is only looked at


def simulated_curves():
    for simulated in simulate_night(3, 40, now_jd=2461000.5).objects:
        epochs = [epoch for epoch in simulated.epochs if epoch.candid is not None]
        names = ("candid", "jd", "fid", "magpsf", "sigmapsf", "isdiffpos")
        candidates = [{name: getattr(epoch, name) for name in names} for epoch in epochs]
        yield ztf.parse({"objectId": simulated.object_id, "candidates": candidates})


def test_a_light_curve_s_residual_is_what_its_reconstruction_leaves(all_models):
    model, n = all_models.models["lightcurve"], 0
    for transient in simulated_curves():
        scored = model.score(transient)
        if isinstance(scored, Missing):
            continue
        tensors = PREPARATIONS["lightcurve"](transient).tensors
        brightness, _, support = tensors["lightcurve"][0]
        shown = model.reconstruct(tensors)
        assert set(shown) == {"reconstruction"} and shown["reconstruction"].shape == (1, 2, 176)
        left = (brightness - shown["reconstruction"][0]) * support
        np.testing.assert_allclose(np.reshape(scored.residual, (2, 176)), left, rtol=0, atol=1e-6)
        n += 1
    assert n > 10


def test_a_batch_is_reconstructed_as_each_by_itself(all_models):
    curves = [t for t in simulated_curves() if not isinstance(all_models.models["lightcurve"].score(t), Missing)][:8]
    tensors = np.concatenate([PREPARATIONS["lightcurve"](curve).tensors["lightcurve"] for curve in curves])
    model = all_models.models["lightcurve"]
    together = model.reconstruct({"lightcurve": tensors})["reconstruction"]
    for i in range(len(curves)):
        alone = model.reconstruct({"lightcurve": tensors[i : i + 1]})["reconstruction"]
        np.testing.assert_allclose(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_a_score_asks_for_no_output_that_is_only_looked_at(all_models):
    for name, model in all_models.models.items():
        asked = []

        class Session:
            def run(self, names, tensors, graph=model.session, asked=asked):
                asked.append(set(names))
                return graph.run(names, tensors)

        watched = dataclasses.replace(model, session=Session())
        scored = watched.score(reference_transient(model.manifest.references[0].record, "ztf"))
        expected = {"error", "residual", "latent"} | ({"oddity", "prior"} if name == "features" else set())
        assert isinstance(scored, ModalityScore) and asked == [expected]


def test_outputs_are_named_or_all_and_the_object_features_have_none_to_look_at(all_models):
    for model in all_models.models.values():
        transient = reference_transient(model.manifest.references[0].record, "ztf")
        tensors = PREPARATIONS[model.manifest.modality](transient).tensors
        everything = model.run(tensors)
        assert list(everything) == [tensor.name for tensor in model.manifest.outputs]
        (latent,) = model.run(tensors, ["latent"]).values()
        np.testing.assert_array_equal(latent, everything["latent"])
        np.testing.assert_allclose(model.score(transient).latent, everything["latent"][0], rtol=1e-4, atol=1e-5)
        shown = model.reconstruct(tensors)
        assert set(shown) == set(everything) & {"reconstruction", "deviation"}
        compose = PREPARATIONS[model.manifest.modality].compose
        for name, values in shown.items():
            np.testing.assert_array_equal(values, compose(everything[name]))
    assert all_models.models["features"].reconstruct(PREPARATIONS["features"](ztf.parse(rows()[0])).tensors) == {}


def test_a_reconstruction_that_is_not_finite_is_refused(all_models):
    model = all_models.models["lightcurve"]

    class Session:
        def run(self, names, tensors):
            return [np.full((1, 2, 176), np.nan, dtype=np.float32) for _ in names]

    with pytest.raises(ModelError, match="expected a reconstruction in finite numbers"):
        dataclasses.replace(model, session=Session()).reconstruct({"lightcurve": np.zeros((1, 3, 2, 176), np.float32)})


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data/object_features.csv is not here")
def test_every_object_of_the_databank_is_scored_and_few_are_called_anomalous(models):
    with DATA.open(encoding="utf-8", newline="") as file:
        transients = [ztf.parse(row) for row in csv.DictReader(file)]
    scores = np.array([s.score for s in models.score(transients)])
    assert len(scores) == 4358
    # Most of these rows trained the model, so they look more normal than the promise; 3.6 % are exotic and may not.
    assert (scores >= 2).mean() < 0.02
    assert (scores >= 1).mean() < 0.13
    assert scores.max() > 2.5


# Loading


def test_models_are_found_directly_or_under_the_survey_s_name(folder, tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    shutil.copytree(folder, parent / "ztf")
    assert load_models(folder, "ztf").version == load_models(parent, "ztf").version


def change_manifest(folder, **changes):
    path = folder / "features.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            del content[key]
        else:
            content[key] = value
    path.write_text(json.dumps(content), encoding="utf-8")


def refuse(folder, *words, survey="ztf"):
    with pytest.raises(ModelError) as caught:
        load_models(folder, survey)
    for word in words:
        assert word in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    refuse(tmp_path / "nowhere", "nowhere", "found none")


def test_an_empty_folder_is_refused(tmp_path):
    refuse(tmp_path, "features.onnx", "aha-train")


def test_a_survey_without_shipped_models_is_refused():
    with pytest.raises(ConfigError, match="no models for survey nosuch"):
        load_models(None, "nosuch")


@pytest.mark.parametrize("name", ["features.onnx", "features.json"])
def test_half_a_model_is_refused_by_name(folder, name):
    (folder / name).unlink()
    refuse(folder, name, "found none")


@pytest.mark.parametrize("name", ["features.onnx", "features.json"])
def test_a_git_lfs_pointer_is_named_with_its_remedy(folder, name):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 91982\n")
    refuse(folder, name, "git lfs pull")


def test_a_truncated_graph_is_refused(folder):
    graph = (folder / "features.onnx").read_bytes()
    (folder / "features.onnx").write_bytes(graph[: len(graph) // 2])
    refuse(folder, "truncated", str(len(graph)), str(len(graph) // 2))


def test_a_changed_graph_is_refused(folder):
    graph = bytearray((folder / "features.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (folder / "features.onnx").write_bytes(graph)
    refuse(folder, "sha256", "changed")


def test_what_is_no_graph_is_refused_even_with_its_hash(folder):
    content = b"not a graph"
    (folder / "features.onnx").write_bytes(content)
    change_manifest(folder, graph_sha256=hashlib.sha256(content).hexdigest(), graph_bytes=len(content))
    refuse(folder, "expected an ONNX graph")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", '{"name": NaN}'])
def test_a_manifest_that_is_no_json_object_is_refused(folder, text):
    (folder / "features.json").write_text(text)
    refuse(folder, "features.json", "expected")


@pytest.mark.parametrize("key", ["name", "version", "survey", "graph_sha256", "calibrated", "references"])
def test_a_manifest_without_a_key_is_refused_by_the_key(folder, key):
    change_manifest(folder, **{key: None})
    refuse(folder, f"features.json: missing key {key}; ")


TAIL = {"threshold": 1.0, "scale": 0.5, "shape": 0.1}
LEVEL = {"name": "any", "up_to_detections": 5, "up_to_age_days": 9.0, "values": [1.0, 2.0], "tail": TAIL}
CALIBRATED = {"output": "oddity", "levels": [LEVEL]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"survey": "lsst", "percentiles": []}, ("expected survey 'ztf'", "found 'lsst'")),
        ({"preprocess_version": "0"}, ("preprocess_version", "'0'")),
        ({"modality": "triplet"}, ("modality", "triplet")),
        ({"extra": 1}, ("features.json: unknown key extra; known here: calibrated, columns",)),
        ({"version": 1}, ("features.json: version must be text; found 1; use the manifest that was written with",)),
        ({"opset": True}, ("opset must be a whole number; found True",)),
        ({"calibrated": []}, ("calibrated must be what normal objects give", "found []")),
        (
            {"calibrated": [{"output": "oddity", "levels": []}]},
            ("calibrated[0].levels must be a list of 1 or more; found []",),
        ),
        ({"calibrated": [{"output": "charm", "levels": [LEVEL]}]}, ("'charm'", "among error, residual")),
        (
            {"calibrated": [CALIBRATED | {"levels": [LEVEL | {"values": []}]}]},
            ("calibrated[0].levels[0].values must be a list of 1 or more; found []",),
        ),
        ({"calibrated": [CALIBRATED | {"levels": [LEVEL | {"values": [2.0, 1.0]}]}]}, ("ascending",)),
        (
            {"calibrated": [CALIBRATED | {"levels": [LEVEL | {"values": [10**400]}]}]},
            ("calibrated[0].levels[0].values[0] must be a number; found 1000",),
        ),
        (
            {"calibrated": [CALIBRATED | {"levels": [LEVEL | {"tail": TAIL | {"scale": 0.0}}]}]},
            ("calibrated[0].levels[0].tail.scale must be a number above 0; found 0.0",),
        ),
        ({"calibrated": [CALIBRATED | {"levels": [LEVEL | {"tail": TAIL | {"threshold": 9.0}}]}]}, ("from 9.0",)),
        ({"calibrated": "12"}, ("calibrated must be what normal objects give", "found '12'")),
        ({"columns": []}, ("input columns",)),
        ({"references": []}, ("references must be reference records, at least one", "found []")),
    ],
)
def test_a_manifest_that_says_something_else_is_refused_by_name(folder, change, words):
    change_manifest(folder, **change)
    refuse(folder, *words)


def test_a_column_without_a_scale_is_refused(folder):
    columns = json.loads((folder / "features.json").read_text(encoding="utf-8"))["columns"]
    columns[0]["scale"] = 0.0
    change_manifest(folder, columns=columns)
    refuse(folder, "columns[0].scale must be a number above 0; found 0.0")


DISTRIBUTION = {
    "name": "gmag",
    "modality": "features",
    "edges": [18.0, 19.0],
    "shares": [0.5, 0.25, 0.25],
    "missing_share": 0.125,
    "n": 8,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modality": "triplet"}, "expected distributions of features with ascending edges"),
        (
            {"modality": "charm"},
            "distributions[0].modality must be one of features, lightcurve, triplet; found 'charm'",
        ),
        ({"edges": [19.0, 18.0]}, "expected distributions of features with ascending edges"),
        ({"edges": [18.0, 18.0]}, "expected distributions of features with ascending edges"),
        ({"edges": [18.0]}, "expected distributions of features with ascending edges"),
        ({"shares": [0.5, 0.25, 0.125]}, "expected distributions of features with ascending edges"),
        ({"shares": [1.5, -0.25, -0.25]}, "distributions[0].shares[0] must be a number from 0 to 1; found 1.5"),
        ({"missing_share": 1.5}, "distributions[0].missing_share must be a number from 0 to 1; found 1.5"),
        ({"n": 0}, "distributions[0].n must be a whole number from 1; found 0"),
    ],
)
def test_a_distribution_that_is_none_is_refused(folder, change, words):
    change_manifest(folder, distributions=[DISTRIBUTION])
    assert load_models(folder, "ztf").distributions == (Distribution(**_as_tuples(DISTRIBUTION)),)
    change_manifest(folder, distributions=[DISTRIBUTION | change])
    refuse(folder, words)


def test_two_distributions_of_a_name_are_refused(folder):
    change_manifest(folder, distributions=[DISTRIBUTION, DISTRIBUTION])
    with pytest.raises(ModelError, match="one distribution of a name, found gmag, gmag"):
        load_models(folder, "ztf")


def _as_tuples(content):
    return {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}


KNOTS = {"name": "amplitude_r", "unit": "mag", "values": [float(i) for i in range(len(PERCENTILES))]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "redshift"}, ("'redshift' in 'mag'", "this release's features and quantities")),
        ({"unit": "day"}, ("'amplitude_r' in 'day'", "in their units")),
        ({"values": KNOTS["values"][1:]}, ("percentiles of amplitude_r", f"expected {len(PERCENTILES)} ascending")),
        ({"values": [*KNOTS["values"], 99.0]}, ("percentiles of amplitude_r", "ascending values")),
        ({"values": KNOTS["values"][::-1]}, ("percentiles of amplitude_r", "ascending values")),
        ({"values": ["a"] * len(PERCENTILES)}, ("percentiles[0].values[0] must be a number; found 'a'",)),
        ({"extra": 1}, ("unknown key percentiles[0].extra; known here: name, unit, values",)),
    ],
)
def test_percentiles_that_are_none_are_refused(folder, change, words):
    change_manifest(folder, percentiles=[KNOTS])
    loaded = load_models(folder, "ztf").models["features"].manifest.percentiles
    assert loaded == (Percentiles(**_as_tuples(KNOTS)),)
    change_manifest(folder, percentiles=[KNOTS | change])
    refuse(folder, *words)


def test_percentiles_twice_of_a_name_are_refused(folder):
    change_manifest(folder, percentiles=[KNOTS, KNOTS])
    refuse(folder, "once of a name", "amplitude_r, amplitude_r")


@given(st.lists(st.floats(-1e3, 1e3), min_size=len(PERCENTILES), max_size=len(PERCENTILES)), st.floats(-2e3, 2e3))
def test_a_percentile_lies_between_those_of_the_knots_beside_it_and_rises_with_the_value(knots, value):
    item = Percentiles("rmag", "mag", tuple(sorted(knots)))
    found = percentile_of(item, value)
    below = [p for p, knot in zip(PERCENTILES, item.values, strict=True) if knot <= value]
    above = [p for p, knot in zip(PERCENTILES, item.values, strict=True) if knot >= value]
    if item.values.count(value) < 2:
        assert (below[-1] if below else 0.2) <= found <= (above[0] if above else 99.8)
    assert 0.2 <= found <= 99.8
    assert is_beyond(item, value) == (not below or not above)
    assert percentile_of(item, value - 1.0) - 1e-9 <= found <= percentile_of(item, value + 1.0) + 1e-9


def test_percentiles_are_interpolated_clamped_and_of_ties_the_middle():
    item = Percentiles("rmag", "mag", tuple(float(i) for i in range(len(PERCENTILES))))
    assert percentile_of(item, 8.0) == 50.0 and percentile_of(item, 8.5) == 62.5
    assert percentile_of(item, -7.0) == 0.2 and percentile_of(item, 99.0) == 99.8
    assert [is_beyond(item, value) for value in (-0.1, 0.0, 16.0, 16.1)] == [True, False, False, True]
    tied = Percentiles("fade_r", "mag", (0.0,) * 6 + item.values[6:])
    assert percentile_of(tied, 0.0) == pytest.approx((0.2 + 10.0) / 2)


@pytest.mark.parametrize("key", ["error", "latent"])
def test_a_model_that_does_not_reproduce_its_references_is_refused(folder, key):
    references = json.loads((folder / "features.json").read_text(encoding="utf-8"))["references"]
    if key == "error":
        references[3]["error"] *= 1.002
    else:
        references[3]["latent"][0] += 0.1
    change_manifest(folder, references=references)
    refuse(folder, "reference record 3", "as in training")


def test_a_reference_that_can_no_longer_be_scored_is_refused(folder):
    references = json.loads((folder / "features.json").read_text(encoding="utf-8"))["references"]
    references[0]["record"] = {"objectId": "ZTF99aaaaaaa"}
    change_manifest(folder, references=references)
    refuse(folder, "reference record 0", "0 of 21")


def test_a_file_of_an_unknown_modality_is_refused_by_name(folder):
    shutil.copy(folder / "features.json", folder / "spectrum.json")
    refuse(folder, "spectrum")


def test_a_manifest_of_brackets_within_brackets_is_refused():
    for text in (b"[" * 200_000, b'{"a":' * 200_000):
        with pytest.raises(ModelError, match="expected a manifest in JSON"):
            parse_manifest(text, "features.json")


@pytest.mark.parametrize(("name", "most"), [("features.json", "32,000,000"), ("features.onnx", "1,000,000")])
def test_a_file_far_longer_than_a_model_s_is_refused_without_being_read_whole(folder, name, most, monkeypatch):
    monkeypatch.setattr(files, "MAX_GRAPH", 1_000_000)
    with (folder / name).open("r+b") as file:
        file.truncate(10**12)  # which takes no room on the disk
    with pytest.raises(ModelError, match=f"{name} is longer than the {most} bytes"):
        load_models(folder, "ztf")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_manifest_parser(content):
    with pytest.raises(ModelError):
        parse_manifest(content, "manifest")


def test_importing_the_module_imports_neither_onnxruntime_nor_training():
    code = "import sys, annotator.models; print([m for m in ('onnxruntime', 'torch', 'training') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_running_a_model_leaves_nothing_in_the_home_folder(tmp_path):
    code = "from annotator.models import load_models; load_models(None, 'ztf')"  # it runs every model on its references
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))} | places
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_python_does_not_look_for_garbage_among_models_that_stay():
    before = gc.get_freeze_count()
    try:
        models = load_to_stay(None, "ztf")
        assert gc.get_freeze_count() > before
        assert models.version == load_models(None, "ztf").version
    finally:
        gc.unfreeze()
