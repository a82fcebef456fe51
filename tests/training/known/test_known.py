import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from annotator.errors import ModelError
from annotator.models import load_models
from annotator.models.known import FILE_NAME, KnownLatents, load_known
from annotator.surveys import SURVEYS
from tests.training.conftest import write_table
from training import cli
from training.known import evaluate as known_evaluate
from training.known.card import known_card
from training.known.evaluate import ALL, WITHIN, measure
from training.known.train import read_labelled


@pytest.fixture
def data(labelled_rows, tmp_path):
    """Training data of the object features alone."""
    (tmp_path / "data").mkdir()
    write_table(tmp_path / "data" / "object_features.csv", labelled_rows[:300])
    return tmp_path / "data"


@pytest.fixture
def out(small_models_folder, tmp_path):
    return Path(shutil.copytree(small_models_folder, tmp_path / "models"))


def index_of(latents):
    latents = np.asarray(latents, dtype=np.float32)
    return KnownLatents("0" * 64, tuple(f"ZTF99{i:07d}" for i in range(len(latents))), ("any",) * len(latents), latents)


def share_of(shares, kind):
    return next(share for share in shares if share.kind == kind)


# The command


def test_the_command_writes_an_index_that_the_annotator_loads_and_a_card_that_it_prints(data, out, capsys):
    assert cli.main(["known", "--data", str(data), "--out", str(out)]) == 0
    models = load_models(out, "ztf")
    known = load_known(out, "ztf", models)
    assert capsys.readouterr().out == (out / "KNOWN_CARD.md").read_text()
    with open(data / "object_features.csv", encoding="utf-8", newline="") as file:
        rows = {row["objectId"]: row for row in csv.DictReader(file)}
    everything = known.modalities["features"]
    assert set(everything.object_ids) <= set(rows) and len(everything.object_ids) > 0.9 * len(rows)
    for i in range(0, len(everything.object_ids), 50):
        row = rows[everything.object_ids[i]]
        assert everything.types[i] == row["type"]
        scored = models.models["features"].score(SURVEYS["ztf"].parse(row))
        np.testing.assert_allclose(everything.latents[i], scored.latent, rtol=1e-3, atol=1e-3)


def test_the_index_is_the_same_when_it_is_made_again(data, out):
    contents = []
    for _ in range(2):
        assert cli.main(["known", "--data", str(data), "--out", str(out)]) == 0
        contents.append((out / FILE_NAME).read_bytes())
    assert contents[0] == contents[1]


def test_latents_of_other_models_are_refused_where_they_are_loaded(data, out, tmp_path, capsys):
    """The index of one set beside another."""
    other = tmp_path / "other"
    assert cli.main(["known", "--data", str(data), "--out", str(other), "--models", str(out)]) == 0
    for name in ("features.onnx", "features.json"):
        shutil.copy(Path(__file__).parents[3] / "onnx_models" / "ztf" / name, other)
    with pytest.raises(ModelError, match="by other graphs of features"):
        load_known(other, "ztf", load_models(other, "ztf"))


def test_a_folder_without_data_is_refused_and_nothing_is_written(out, tmp_path, capsys):
    before = {path.name for path in out.iterdir()}
    assert cli.main(["known", "--data", str(tmp_path / "nowhere"), "--out", str(out)]) == 2
    assert "object_features.csv" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == before


def test_a_folder_without_models_is_refused(data, tmp_path, capsys):
    assert cli.main(["known", "--data", str(data), "--out", str(tmp_path / "empty")]) == 1
    assert "folder of models" in capsys.readouterr().err


# Who is known


def rewrite(path, change):
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(change(rows))
    return rows


def test_a_transient_with_two_names_is_known_once_and_one_without_a_type_not_at_all(data, small_models):
    def change(rows):
        rows[4]["tns_name"] = rows[1]["tns_name"]
        rows[7]["type"] = ""
        return rows

    rows = rewrite(data / "object_features.csv", change)
    known = read_labelled(data, small_models)["features"].object_ids
    assert rows[1]["objectId"] in known
    assert rows[4]["objectId"] not in known and rows[7]["objectId"] not in known
    assert len(set(known)) == len(known)


def test_a_class_that_may_not_be_from_a_spectrum_is_left_out(data, small_models):
    names = read_labelled(data, small_models)["features"].object_ids
    with open(data / "lightcurve_labels.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("objectId", "label_source"), (names[0], "AppleCiDEr cider_BTS.csv"), (names[1], "TNS"), (names[2], "")]
        )
    assert read_labelled(data, small_models)["features"].object_ids == names[1:]


def test_subtypes_of_tdes_are_one_type_and_exotics_are_classed_by_kind(data, small_models):
    kinds = {0: "TDE-He", 1: "TDE", 2: "SLSN-II", 3: "SLSN-I", 5: "AGN"}

    def change(rows):
        for place, kind in kinds.items():
            rows[place] |= {"type": kind, "source_label": "Exotic"}
        return rows

    rows = rewrite(data / "object_features.csv", change)
    found = read_labelled(data, small_models)["features"]
    place = {object_id: i for i, object_id in enumerate(found.object_ids)}
    named = [place[rows[i]["objectId"]] for i in kinds]
    assert [found.types[i] for i in named] == ["TDE", "TDE", "SLSN-II", "SLSN-I", "AGN"]
    assert [found.classes[i] for i in named] == ["TDE", "TDE", "SLSN", "SLSN", "AGN"]


def test_the_shipped_index_holds_every_classified_object_once(shared, all_models):
    found = read_labelled(shared / "data", all_models)
    known = load_known(Path(__file__).parents[3] / "onnx_models", "ztf", all_models)
    for name, objects in found.items():
        assert known.modalities[name].object_ids == objects.object_ids
        assert known.modalities[name].types == objects.types
        assert len(set(objects.object_ids)) == len(objects.object_ids)
    assert {name: len(objects.object_ids) for name, objects in found.items()} == {
        "features": 3915,
        "lightcurve": 2421,
        "triplet": 99,
    }
    assert set(found["features"].classes) == {"SN Ia", "SN II", "SN Ib/c", "SLSN", "TDE", "AGN"}


# What nearness is worth


def test_classes_that_lie_apart_are_each_other_s_neighbours():
    rng = np.random.default_rng(0)
    latents = np.concatenate([rng.normal(0, 1, (80, 2)), rng.normal(100, 1, (20, 2))])
    shares = measure(index_of(latents), ["SN Ia"] * 80 + ["TDE"] * 20, ["all"] * 100)
    assert set(shares) == {ALL}
    tde = share_of(shares[ALL], "TDE")
    assert (tde.n, tde.share, tde.any_of_kind, tde.against_chance) == (20, 1.0, 1.0, 1)
    assert tde.chance.value == pytest.approx(19 / 99) and tde.lift.value == pytest.approx(99 / 19)


def test_classes_that_cannot_be_told_are_called_so_nineteen_times_in_twenty():
    """Whatever the objects' places: nineteen of twenty shufflings of their classes look like chance."""
    latents = np.random.default_rng(1).normal(0, 1, (150, 3))
    told, excluded = [], []
    for seed in range(30):
        kinds = np.random.default_rng(seed).permutation(["SN Ia"] * 120 + ["SLSN"] * 30).tolist()
        shares = measure(index_of(latents), kinds, ["all"] * 150)[ALL]
        told += [share.against_chance != 0 for share in shares]
        excluded += [not share.lift.low <= 1 <= share.lift.high for share in shares]
    assert np.mean(told) < 0.15 and np.mean(excluded) < 0.15


def test_the_range_of_chance_is_that_of_shuffled_classes():
    """By a second implementation: shares of classes dealt out anew, by brute force."""
    rng = np.random.default_rng(6)
    latents = rng.normal(0, 1, (60, 2))
    kinds = np.array(["SN Ia"] * 45 + ["TDE"] * 15)
    tde = share_of(measure(index_of(latents), kinds.tolist(), ["all"] * 60)[ALL], "TDE")
    index = index_of(latents)
    scaled = index.latents / index.scale
    apart = np.linalg.norm(scaled[:, np.newaxis] - scaled, axis=2) + np.diag([np.inf] * 60)
    nearest = np.argsort(apart, axis=1)[:, : known_evaluate.NEAREST]
    draws = []
    for _ in range(2000):
        dealt = rng.permutation(kinds) == "TDE"
        draws.append(dealt[nearest[dealt]].mean())
    low, high = np.percentile(draws, [2.5, 97.5])
    assert (tde.chance.low, tde.chance.high) == pytest.approx((low, high), abs=0.03)
    assert tde.share == pytest.approx((kinds[nearest[kinds == "TDE"]] == "TDE").mean())


def test_an_object_is_never_its_own_neighbour():
    """In pairs of unlike classes at one place, the nearest of each is the other."""
    rng = np.random.default_rng(2)
    places = np.repeat(rng.normal(0, 100, (40, 2)), 2, axis=0)
    shares = measure(index_of(places), ["SN Ia", "SN II"] * 40, ["all"] * 80)[ALL]
    nearest = known_evaluate.NEAREST
    for share in shares:
        assert share.share <= (nearest - 1) / nearest


def test_a_catalogue_that_tells_the_class_is_told_from_nearness():
    """Latents are those of the catalogue and of nothing else: pooled a class seems near to itself, within it is not."""
    rng = np.random.default_rng(3)
    kinds, catalogues = [], []
    for catalogue, (n_normal, n_exotic) in {"a": (300, 0), "b": (120, 100), "c": (0, 90)}.items():
        kinds += rng.permutation(["SN Ia"] * n_normal + ["SLSN"] * n_exotic).tolist()
        catalogues += [catalogue] * (n_normal + n_exotic)
    latents = rng.normal(0, 1, (len(kinds), 2)) + 50.0 * np.array([ord(c) for c in catalogues])[:, np.newaxis]
    shares = measure(index_of(latents), kinds, catalogues)
    pooled, within = share_of(shares[ALL], "SLSN"), share_of(shares[WITHIN], "SLSN")
    assert pooled.against_chance == 1 and pooled.lift.low > 1.3
    assert within.n == 100 and within.against_chance == 0 and within.lift.low < 1 < within.lift.high


def test_a_class_of_too_few_objects_is_not_measured():
    rng = np.random.default_rng(4)
    shares = measure(index_of(rng.normal(0, 1, (54, 2))), ["SN Ia"] * 50 + ["TDE"] * 4, ["all"] * 54)[ALL]
    assert [share.kind for share in shares] == ["SN Ia"]


def test_the_card_says_which_classes_are_told_from_chance():
    rng = np.random.default_rng(5)
    apart = np.concatenate([rng.normal(0, 1, (80, 2)), rng.normal(100, 1, (20, 2))])
    told = measure(index_of(apart), ["SN Ia"] * 80 + ["TDE"] * 20, ["all"] * 100)
    mixed = rng.permutation(["SN Ia"] * 150 + ["SLSN"] * 50).tolist()
    untold = measure(index_of(rng.normal(0, 1, (200, 3))), mixed, ["all"] * 200)
    card = known_card("aha-test-1.0", {"features": 100, "triplet": 200}, {"features": told, "triplet": untold}, 1234)
    features, stamps = card.partition("## Stamps")[::2]
    assert (
        "aha-test-1.0" in features and "1,234 bytes" in features and "100 objects by their object features" in features
    )
    assert "More often of its own class than by chance: SN Ia, TDE." in features
    assert "Not told from chance: SN Ia, SLSN." in stamps
    assert all(len(line) <= 120 for line in card.splitlines() if not line.startswith("|"))
