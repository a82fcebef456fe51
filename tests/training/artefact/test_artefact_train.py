import csv
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from annotator.errors import ConfigError
from annotator.models import load_models
from annotator.models.heads import load_head
from annotator.preprocess.triplet import CHANNELS
from annotator.sandbox.sky.stamps import simulate
from annotator.transient import Transient, Triplet
from training.artefact import fit as artefact_fit
from training.artefact import train as artefact_train
from training.cli import main
from training.data.stamps import read_stamps
from training.triplet import out_of_fold

SHIPPED = Path(str(resources.files("annotator.onnx_models") / "ztf"))


@pytest.fixture(autouse=True, scope="module")
def _quick(quick_measures):
    pass


def streak(stamps, rng):
    """Make a bogus detection of a real one: a streak across the difference, and no source."""
    difference = rng.normal(0.0, stamps["Difference"].std() / 5, stamps["Difference"].shape)
    difference[28:35, :] += 30 * np.abs(difference).mean()
    return stamps | {"Difference": difference.astype(np.float32)}


@pytest.fixture(scope="module")
def data(big_night, tmp_path_factory):
    """Simulated stamps, every third one with a streak that real-bogus scores call bogus."""
    folder, rng = tmp_path_factory.mktemp("stamps"), np.random.default_rng(0)
    rows, stamps = [], []
    for obj in big_night.objects[:400]:
        positive = [epoch for epoch in obj.epochs if epoch.isdiffpos == "t"]
        if not positive or len(rows) == 240:
            continue
        epoch, is_bogus = min(positive, key=lambda e: e.magpsf), len(rows) % 3 == 0
        made = simulate(obj, epoch, 41)
        stamps.append(streak(made, rng) if is_bogus else made)
        row = {"objectId": obj.object_id, "candid": epoch.candid, "magpsf": epoch.magpsf, "aha_pick": "True"}
        rows.append(row | {"rb": 0.2 if is_bogus else 0.9, "drb": 0.01 if is_bogus else 0.99, "source_label": ""})
    with (folder / "cutouts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    arrays = {name: np.array([stamp[name.capitalize()] for stamp in stamps]) for name in CHANNELS}
    np.savez(folder / "cutouts.npz", **arrays)
    table = read_stamps(folder / "cutouts.npz")
    terms = rng.normal(size=(len(table.rows), len(out_of_fold.TERM_NAMES)))
    out_of_fold.write_stamps(folder / "kept", table, np.abs(terms[:, 0]), terms)
    return folder


@pytest.fixture
def models(tmp_path):
    for name in ("triplet.onnx", "triplet.json"):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


def train(data, models, *options) -> int:
    given = ["--data", str(data / "cutouts.npz"), "--out", str(models), "--out-of-fold", str(data / "kept")]
    return main(["artefact", *given, *options])


def test_the_head_is_written_loads_and_tells_a_streak_that_it_never_saw(data, big_night, models):
    assert train(data, models, "--fresh") == 0
    model_set = load_models(models, "ztf")
    assert (models / "ARTEFACT_CARD.md").read_text(encoding="utf-8").startswith(f"# {model_set.version}, revision 0")
    rng = np.random.default_rng(1)
    said = []
    for obj in big_night.objects[-20:]:
        positive = [epoch for epoch in obj.epochs if epoch.isdiffpos == "t"]
        if positive:
            made = simulate(obj, positive[0], 42)
            pair = [{name: stamps[name.capitalize()] for name in CHANNELS} for stamps in (made, streak(made, rng))]
            scored = model_set.score([Transient("x", "ztf", triplet=Triplet(**stamps)) for stamps in pair])
            said.append([scores.artefact for scores in scored])
    real, bogus = np.array(said).T
    assert np.median(real) < 0.2 < 0.8 < np.median(bogus)


def test_a_head_trained_again_with_verdicts_takes_the_next_revision(data, models, tmp_path):
    assert train(data, models, "--fresh") == 0
    before = load_models(models, "ztf").version
    table = read_stamps(data / "cutouts.npz")
    verdicts = tmp_path / "verdicts.csv"
    lines = [f"{object_id},artefact,A. Person,2026-11-20T10:00:00Z" for object_id in table.column("objectId")[:6:3]]
    verdicts.write_text("\n".join(["objectId,verdict,person,when", *lines]) + "\n", encoding="utf-8")
    assert train(data, models, "--verdicts", str(verdicts)) == 0
    assert load_models(models, "ztf").version == f"{before}.1"


def test_a_head_that_is_worse_than_the_one_in_service_is_refused_and_the_old_one_stays(
    data, models, monkeypatch, capsys
):
    assert train(data, models, "--fresh") == 0
    before = (models / "artefact.onnx").read_bytes()
    fit = artefact_fit.fit_artefact
    monkeypatch.setattr(artefact_train, "fit_artefact", lambda inputs, labels, weights: fit(inputs, ~labels, weights))
    assert train(data, models) == 1
    assert "the old head stays" in capsys.readouterr().err
    assert (models / "artefact.onnx").read_bytes() == before and load_head(models, "artefact", "ztf", "aha-ztf-1.3")


def test_without_what_the_triplet_s_training_kept_it_is_said_how_to_make_it(data, models, tmp_path, capsys):
    given = ["--data", str(data / "cutouts.npz"), "--out", str(models), "--out-of-fold", str(tmp_path / "none")]
    assert main(["artefact", *given, "--fresh"]) == 2
    assert "aha-train triplet --out-of-fold" in capsys.readouterr().err
    assert not (models / "artefact.onnx").exists()


def test_the_stamps_terms_are_read_back_as_they_were_written_and_a_missing_one_is_refused(data):
    table = read_stamps(data / "cutouts.npz")
    errors, terms = out_of_fold.read_stamps_out_of_fold(data / "kept", table)
    assert errors.tolist() == np.abs(terms[:, 0]).tolist() and terms.shape == (len(table.rows), 6)
    lines = (data / "kept" / out_of_fold.STAMPS).read_text(encoding="utf-8").splitlines()
    short = data / "short"
    short.mkdir(exist_ok=True)
    (short / out_of_fold.STAMPS).write_text("\n".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(ConfigError, match="every stamp"):
        out_of_fold.read_stamps_out_of_fold(short, table)
