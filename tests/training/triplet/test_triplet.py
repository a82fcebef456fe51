import csv
import functools
import json

import numpy as np
import pytest
import torch

from annotator.errors import ConfigError, ModelError
from annotator.models import Missing, load_models
from annotator.models.manifest import parse_manifest
from annotator.models.runtime import onnxruntime
from annotator.preprocess.triplet import CENTRE, CHANNELS, composed, stamp_tensor
from annotator.sandbox import simulate_night
from annotator.sandbox.sky.stamps import simulate
from annotator.transient import Transient, Triplet
from training.cli import main
from training.data.stamps import read_stamps
from training.triplet import aha
from training.triplet import evaluate as triplet_evaluate
from training.triplet.aha import AhaTripletModel, aha_tensor
from training.triplet.fit import TripletSettings, fit_triplets, outputs_of
from training.triplet.injection import INJECTIONS, ZTF
from training.triplet.network import TERMS, TripletModel, binned, combined, fit_terms

N_OBJECTS = 180


def simulated_triplets():
    """Brightest positive detections of a simulated night, with their objects."""
    for simulated in simulate_night(31, N_OBJECTS, now_jd=2461000.5).objects:
        positive = [epoch for epoch in simulated.epochs if epoch.isdiffpos == "t"]
        if positive:
            epoch = min(positive, key=lambda e: e.magpsf)
            yield simulated, epoch, Triplet(*(simulate(simulated, epoch, 31)[n.capitalize()] for n in CHANNELS))


@functools.cache
def all_detections():
    return list(simulated_triplets())


@functools.cache
def triplets():
    return [triplet for _, _, triplet in all_detections()]


def write_stamps(folder, entries):
    rows = [
        {
            "objectId": simulated.object_id,
            "candid": epoch.candid,
            "magpsf": epoch.magpsf,
            "rb": 0.2 if simulated.kind == "artefact" else 0.9,
            "drb": "",
            "type": simulated.kind,
            "source_label": "Exotic" if simulated.kind == "CV" else "SN Ia" if number % 3 else "",
            "aha_pick": "True",
        }
        for number, (simulated, epoch, _) in enumerate(entries)
    ]
    with (folder / "stamps.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    arrays = {name: np.array([getattr(entry[2], name) for entry in entries]) for name in CHANNELS}
    np.savez(folder / "stamps.npz", **arrays)
    return folder / "stamps.npz"


@pytest.fixture(autouse=True, scope="module")
def _quick(quick_measures):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_stamps(tmp_path_factory.mktemp("stamps"), all_detections())


@pytest.fixture(scope="module")
def table(data):
    return read_stamps(data)


@pytest.fixture(scope="module")
def model(table):
    fitted, _ = fit_triplets(table.tensors[:120], table.tensors[120:160], TripletSettings(epochs=2))
    return fitted


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert main(["triplet", "--data", str(data), "--out", str(out), "--epochs", "1", "--jobs", "1"]) == 0
    return out


# The whole command


def test_a_trained_model_is_served_and_its_card_tells_what_it_is(trained):
    models = load_models(trained, "ztf")
    manifest = models.models["triplet"].manifest
    found = models.score([Transient("ZTF99aaaaaaa", "ztf", triplet=triplets()[0])])[0].modalities["triplet"]
    assert found.error > 0 and len(found.residual) == 6 and len(found.latent) == 44
    assert sorted(path.name for path in trained.iterdir()) == ["TRIPLET_CARD.md", "triplet.json", "triplet.onnx"]
    card = (trained / "TRIPLET_CARD.md").read_text()
    assert manifest.graph_sha256 in card
    assert f"{manifest.metrics['injections']['mean']['reconstruction error']:.3f}" in card
    assert set(INJECTIONS) <= set(manifest.metrics["injections"]["methods"]["reconstruction error"])
    (calibrated,) = manifest.calibrated
    assert calibrated.output == "error" and [level.name for level in calibrated.levels] == ["any"]
    assert len(calibrated.levels[0].values) == manifest.training["counts"]["normal_objects"]


@pytest.mark.long
def test_training_is_repeatable(trained, data, tmp_path):
    assert main(["triplet", "--data", str(data), "--out", str(tmp_path), "--epochs", "1", "--jobs", "1"]) == 0
    for name in ("triplet.onnx", "triplet.json", "TRIPLET_CARD.md"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_an_object_without_stamps_is_missing_with_the_reason(trained):
    models = load_models(trained, "ztf")
    without = Transient("ZTF99aaaaaaa", "ztf", why_missing={"triplet": "its host has an empty file"})
    assert models.score([without])[0].modalities["triplet"] == Missing("its host has an empty file")
    assert models.score([Transient("a", "ztf")])[0].modalities["triplet"] == Missing("no cutouts")


def test_a_changed_reference_stamp_refuses_the_model(trained, tmp_path):
    manifest = json.loads((trained / "triplet.json").read_text())
    records = [reference["record"] for reference in manifest["references"]]
    records[0]["stamps"], records[1]["stamps"] = records[1]["stamps"], records[0]["stamps"]
    (tmp_path / "triplet.json").write_text(json.dumps(manifest))
    (tmp_path / "triplet.onnx").write_bytes((trained / "triplet.onnx").read_bytes())
    with pytest.raises(ModelError, match="reference record 0"):
        load_models(tmp_path, "ztf")


def test_the_error_of_a_stamp_that_is_not_of_the_sky_is_bounded(trained):
    models = load_models(trained, "ztf")
    rng = np.random.default_rng(0)
    for number in range(60):
        shape = (63, 63)
        spoilt = [
            rng.normal(0, 10.0 ** rng.integers(-3, 30), shape),
            rng.choice([-1e29, 0, 1e29], shape),
            np.where(rng.random(shape) < 0.7, np.nan, rng.normal(size=shape)),
        ][number % 3].astype(np.float32)
        names = [
            spoilt if i == number % 4 or number % 4 == 3 else getattr(triplets()[number], n)
            for i, n in enumerate(CHANNELS)
        ]
        found = models.score([Transient("a", "ztf", triplet=Triplet(*names))])[0].modalities["triplet"]
        assert isinstance(found, Missing) or 0 <= found.error <= 8.01


@pytest.mark.parametrize("exported", ["another_graph", pytest.param("its_own", marks=pytest.mark.long)])
def test_aha_s_recipe_is_measured_and_never_served(exported, trained, data, tmp_path, monkeypatch):
    if exported == "another_graph":  # to export one takes as long as all the rest
        monkeypatch.setattr(aha, "export_graph", lambda *_: (trained / "triplet.onnx").read_bytes())
    out = tmp_path / "aha"
    arguments = ["triplet", "--recipe", "aha", "--data", str(data), "--out", str(out), "--epochs", "1", "--jobs", "1"]
    assert main(arguments) == 0
    manifest = parse_manifest((out / "aha_triplet.json").read_bytes(), "aha_triplet.json")
    if exported == "its_own":
        assert manifest.outputs[2].shape == ("n", "8192")
    assert set(manifest.metrics["injections"]["methods"]) >= set(INJECTIONS)
    with pytest.raises(ModelError, match="aha_triplet"):
        load_models(out, "ztf")


# Data


def test_all_stamps_of_an_object_are_in_one_part(table):
    for fold in range(5):
        split = table.split(fold)
        assert (split.train.astype(int) + split.validation + split.test == 1).all()
    assert sum(table.split(fold).test.astype(int) for fold in range(5)).tolist() == [1] * len(table.rows)


def test_exotics_and_what_fails_real_bogus_are_no_normals(table):
    assert not table.is_normal[table.column("source_label") == "Exotic"].any()
    assert not table.is_normal[table.numbers("rb") < 0.65].any()
    assert table.is_normal.sum() > 100


def test_stamps_that_do_not_fit_their_table_are_refused(data, tmp_path):
    with np.load(data) as arrays:
        np.savez(tmp_path / "stamps.npz", **{name: arrays[name][:-1] for name in CHANNELS})
    (tmp_path / "stamps.csv").write_bytes(data.with_suffix(".csv").read_bytes())
    with pytest.raises(ConfigError, match=r"one row of stamps\.csv a triplet"):
        read_stamps(tmp_path / "stamps.npz")


@pytest.mark.parametrize("content", [b"", b"no arrays"], ids=["empty", "text"])
def test_what_is_no_stamps_is_refused(content, tmp_path):
    (tmp_path / "stamps.npz").write_bytes(content)
    (tmp_path / "stamps.csv").write_text("objectId\n")
    with pytest.raises(ConfigError, match=r"stamps\.csv"):
        read_stamps(tmp_path / "stamps.npz")


def test_too_few_normals_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="collect more objects"):
        read_stamps(write_stamps(tmp_path, all_detections()[:30]))


# Network


def test_the_error_is_the_fourth_power_mean_of_the_terms_by_a_second_implementation(model, table):
    error, terms, _ = outputs_of(model, table.tensors[:20])
    expected = np.mean(np.log1p(np.exp(terms)) ** 4, axis=1) ** 0.25
    np.testing.assert_allclose(error, expected, rtol=1e-5)
    assert combined(torch.zeros(1, 6)).item() == pytest.approx(np.log(2))


def test_a_normal_s_terms_are_about_zero_at_any_brightness(table):
    torch.manual_seed(0)
    fresh = TripletModel().eval()
    fit_terms(fresh, torch.from_numpy(table.tensors[:100]))
    _, terms, _ = outputs_of(fresh, table.tensors[:100])
    brightness = fresh.powers(torch.from_numpy(table.tensors[:100]))[:, 1].numpy()
    for half in (brightness < np.median(brightness), brightness >= np.median(brightness)):
        np.testing.assert_allclose(np.median(terms[half], axis=0), 0, atol=0.4)
    np.testing.assert_allclose((np.percentile(terms, 84.1345, 0) - np.percentile(terms, 15.8655, 0)) / 2, 1, atol=0.02)


def test_a_bin_is_the_mean_of_its_pixels_that_are_there_and_their_share():
    rng = np.random.default_rng(5)
    there = (rng.random((4, 3, 63, 63)) < 0.6).astype(np.float32)
    there[0, 0, :6] = 0
    values = rng.normal(size=there.shape).astype(np.float32) * there
    found = binned(torch.from_numpy(np.concatenate([values, there], axis=1))).numpy()
    for n, channel, row, column in np.ndindex(4, 3, 21, 21):
        part = slice(3 * row, 3 * row + 3), slice(3 * column, 3 * column + 3)
        pixels = values[n, channel][part][there[n, channel][part] == 1]
        assert found[n, channel, row, column] == pytest.approx(pixels.mean() if len(pixels) else 0.0, abs=1e-6)
        assert found[n, 3 + channel, row, column] == pytest.approx(len(pixels) / 9)


def test_missing_pixels_add_nothing_to_the_error_s_terms(model, table):
    """What stands under the mask cannot matter: it is multiplied away before the network's errors are averaged."""
    tensor = torch.from_numpy(table.tensors[:1].copy())
    tensor[:, 5, :12] = 0
    residual, *_ = model.field(binned(tensor))
    assert (residual[:, 2, :4] == 0).all()


def test_what_is_shown_is_the_field_s_with_the_core_s_middle_and_explains_the_terms(model, table):
    """The terms, by a second implementation, from the deviation that is shown."""
    stamps = torch.from_numpy(table.tensors[:20].copy())
    stamps[:, 4, :9] = stamps[:, 1, :9] = 0  # missing rows of the template
    with torch.no_grad():
        _, _, _, reconstruction, deviation = model(stamps)
        logs = model.terms(stamps)[0].numpy()
        field_residual, _, field_mean, _ = model.field(binned(stamps))
        core_residual, _, core_mean, _ = model.core(stamps[:, :, 21:42, 21:42])
    for parts, field, core in ((reconstruction, field_mean, core_mean), (deviation, field_residual, core_residual)):
        shown = composed(parts.numpy())
        expected = np.kron(field.numpy(), np.ones((3, 3), np.float32))
        expected[:, :, 21:42, 21:42] = core.numpy()
        np.testing.assert_array_equal(shown, expected)
    assert (composed(deviation.numpy())[:, 1, :9] == 0).all() and (
        composed(reconstruction.numpy())[:, 1, :9] != 0
    ).any()
    rows, columns = np.mgrid[:21, :21] - 10
    for number, term in enumerate(TERMS):
        channel, is_field = CHANNELS.index(term.channel), term.network == "field"
        residual = (field_residual if is_field else core_residual).numpy().astype(np.float64)[:, channel]
        seen = binned(stamps)[:, 3 + channel] if is_field else stamps[:, 3 + channel, 21:42, 21:42]
        disc = (np.hypot(rows, columns) * (3 if is_field else 1) <= term.radius_pixels) * seen.numpy()
        means = (np.clip(residual, -30, 30) ** 4 * disc).sum(axis=(1, 2)) / disc.sum(axis=(1, 2))
        np.testing.assert_allclose(logs[:, number], np.log(means) / 4, rtol=1e-3, atol=1e-4)


def test_training_lowers_the_loss(table):
    losses = [fit_triplets(table.tensors[:120], table.tensors[120:160], TripletSettings(epochs=n))[1] for n in (1, 4)]
    assert losses[1] < losses[0]


def test_aha_s_network_has_the_size_of_aha_s():
    assert sum(p.numel() for p in AhaTripletModel().parameters()) == 186_371
    tensor = aha_tensor(triplets()[0])
    assert tensor.shape == (3, 64, 64)
    assert np.abs(tensor.mean(axis=(1, 2))).max() < 0.05


# Injections


@pytest.mark.parametrize("kind", INJECTIONS)
def test_an_injection_changes_what_it_says_and_leaves_the_stamps_handed_in(kind):
    n_pairs = 0
    for number, triplet in enumerate(triplets()[:80]):
        before = [getattr(triplet, name).copy() for name in CHANNELS]
        pair = INJECTIONS[kind](triplet, np.random.default_rng(number), ZTF)
        for name, old in zip(CHANNELS, before, strict=True):
            np.testing.assert_array_equal(getattr(triplet, name), old)
        if pair is None:
            continue
        n_pairs += 1
        odd, ordinary = pair
        same = {name for name in CHANNELS if np.array_equal(getattr(odd, name), getattr(ordinary, name))}
        expected = {
            "host out of place": {"difference"},
            "host gone": {"difference"},
            "wrong subtraction": {"science", "template"},
        }.get(kind, {"template"})
        assert same == expected
    assert n_pairs > 3


def test_what_is_added_to_the_science_stamp_is_added_to_the_difference():
    for kind in ("second source", "trail", "dipole", "saturation", "flat top"):
        odd, ordinary = next(p for t in triplets() if (p := INJECTIONS[kind](t, np.random.default_rng(1), ZTF)))
        np.testing.assert_allclose(odd.science - ordinary.science, odd.difference - ordinary.difference, atol=0.02)


def test_a_host_that_is_gone_leaves_the_source():
    odd, ordinary = next(p for t in triplets() if (p := INJECTIONS["host gone"](t, np.random.default_rng(1), ZTF)))
    core = slice(CENTRE - 2, CENTRE + 3)
    assert np.median(odd.template[core, core]) < np.median(ordinary.template[core, core])
    np.testing.assert_array_equal(odd.difference, ordinary.difference)


def test_injections_are_drawn_alike_again(table):
    some = table.triplets[:25]
    first, second = (triplet_evaluate.injected(some, 1) for _ in range(2))
    assert first.keys() == second.keys()
    for kind, parts in first.items():
        for one, other in zip(parts, second[kind], strict=True):
            np.testing.assert_array_equal(one, other)


# The shipped model


def test_the_shipped_model_turns_with_the_sky_and_takes_batches(all_models):
    """Turned stamps are the same object: their errors agree far better than those of different objects."""
    session = all_models.models["triplet"].session
    tensors = np.array([stamp_tensor(triplet) for triplet in triplets()[:60]])
    error, terms, latent = session.run(["error", "residual", "latent"], {"stamps": tensors})
    assert (error.shape, terms.shape, latent.shape) == ((60,), (60, 6), (60, 44))
    turned = session.run(["error"], {"stamps": np.ascontiguousarray(np.rot90(tensors, axes=(2, 3)))})[0]
    assert np.median(np.abs(turned - error)) < 0.5 * np.std(error)


def test_the_shipped_model_shows_what_it_expected_of_simulated_stamps_in_finite_numbers(all_models):
    model = all_models.models["triplet"]
    tensors = np.array([stamp_tensor(triplet) for triplet in triplets()[:20]])
    tensors[0, [1, 4], :15] = 0
    shown = model.reconstruct({"stamps": tensors})
    assert set(shown) == {"reconstruction", "deviation"}
    for values in shown.values():
        assert values.shape == (20, 3, 63, 63) and values.dtype == np.float32 and np.isfinite(values).all()
    assert (shown["deviation"][tensors[:, 3:] == 0] == 0).all()
    # A pixel of the middle above what was expected deviates upwards, one below downwards; elsewhere a bin.
    bins = np.kron(tensors[:, :3].reshape(20, 3, 21, 3, 21, 3).mean(axis=(3, 5)), np.ones((3, 3)))
    whole = tensors[1:]
    assert (whole[:, 3:] == 1).all()
    seen = bins[1:]
    seen[:, :, 21:42, 21:42] = whole[:, :3, 21:42, 21:42]
    apart = seen - shown["reconstruction"][1:]
    is_apart = np.abs(apart) > 1e-3
    assert is_apart.mean() > 0.5
    assert (np.sign(apart) == np.sign(shown["deviation"][1:]))[is_apart].all()


def test_the_shipped_references_are_simulated(all_models):
    manifest = all_models.models["triplet"].manifest
    assert len(manifest.references) >= 5
    assert all(reference.record["objectId"].startswith("ZTF99") for reference in manifest.references)
    assert onnxruntime.get_device()
