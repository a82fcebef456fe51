import csv
import dataclasses
import datetime
import json
import re
import shutil
import sqlite3

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from annotator.errors import ConfigError, ModelError
from annotator.ledger import Ledger
from annotator.models import load_models
from annotator.models.heads import load_head
from annotator.preprocess.quantities import QUANTITY_NAMES
from annotator.surveys import SURVEYS
from annotator.verdicts import Verdict, verdicts_csv
from training import cli
from training.data.folds import fold_of
from training.data.partial_light_curves import PartialLightCurves
from training.data.table import read_table
from training.exotic import fit, lack
from training.exotic import train as training
from training.exotic.evaluate import calibration_table, half_precision_threshold, presence_auc
from training.exotic.examples import Databank, ledger_numbers, read_databank, with_verdicts
from training.exotic.fit import (
    PRIOR_COUNTS_AS,
    VERDICT_WEIGHT,
    BoostingSettings,
    Examples,
    cross_fit,
    fit_exotic,
)
from training.exotic.network import INPUTS, MODALITY_INPUTS, NEEDS
from training.exotic.train import Sources, train
from training.export import head as head_files
from training.metrics import era
from training.metrics import ranking as evaluate
from training.recipe import write_out_of_fold

SMALL = BoostingSettings(n_boosters=2, n_trees=30, max_depth=3, learning_rate=0.2)
FORBIDDEN = (
    "z",
    "type",
    "tns_name",
    "source_label",
    "objectId",
    "catalogue_object_id",
    "ra",
    "dec",
    "ramean",
    "decmean",
)
PLACES = ("glatmean", "glonmean", "galactic_plane")


@pytest.fixture(autouse=True, scope="module")
def few_bootstrap_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "N_BOOTSTRAP", 20)
        patch.setattr(head_files, "N_BOOTSTRAP", 50)
        patch.setattr(era, "N_TREES", 10)
        patch.setattr(lack, "N_BOOTSTRAP", 20)
        patch.setattr(fit, "CHOICES", fit.CHOICES[:2])
        # What is missing of a few hundred simulated objects decides by chance; test_hiding.py has this gate.
        patch.setattr(training, "faults", lambda found: [])
        yield


@pytest.fixture(scope="module")
def databank(labelled_table, small_models):
    return read_databank(labelled_table, small_models, None)


@pytest.fixture(scope="module")
def fitted(databank):
    return fit_exotic(databank.examples, SMALL)


def write_rows(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def numbers_of(rows, tmp_path, models):
    return read_databank(read_table(write_rows(tmp_path / "table.csv", rows), "ztf"), models, None).numbers


def probabilities(model, numbers):
    with torch.no_grad():
        return model(torch.from_numpy(numbers)).numpy()


# What a head may learn from


@pytest.mark.parametrize("name", [*FORBIDDEN, *PLACES])
def test_a_forbidden_column_never_reaches_the_head(name, labelled_rows, small_models, tmp_path):
    rows = [
        row | {"catalogue_object_id": f"c{n}", "ra": n / 3, "dec": n / 9, "galactic_plane": n % 2}
        for n, row in enumerate(labelled_rows[:150])
    ]
    before = numbers_of(rows, tmp_path, small_models)
    rng = np.random.default_rng(0)
    values = {
        "source_label": [("Exotic", "SN II", "SN Ia", "SN Ib/c")[n % 4] for n in range(len(rows))],
        "objectId": [f"ZTF98{n:04d}x" for n in range(len(rows))],
        "z": rng.uniform(0, 2, len(rows)),
        "type": ["shuffled"] * len(rows),
    }.get(name, rng.uniform(0, 90, len(rows)))
    # An error is known of the bin alone that the served model has not seen: of the others it is no number at all.
    if name in ("tns_name", "objectId"):
        values = [row[name] for row in rows]
        in_bin = {}
        for place, value in enumerate(values):
            in_bin.setdefault(fold_of(rows[place]["tns_name"] or value), []).append(place)
        for places in in_bin.values():
            for place, other in zip(places, np.roll(places, 1), strict=True):
                values[place] = rows[other][name]
    changed = [row | {name: value} for row, value in zip(rows, values, strict=True)]
    assert changed != rows
    np.testing.assert_array_equal(numbers_of(changed, tmp_path, small_models), before)


def test_dates_reach_the_head_as_differences_alone(labelled_rows, small_models, tmp_path):
    rows = labelled_rows[:150]
    dates = ("jdmin", "jdmax", "jd_g_minus_r")
    shifted = [row | {name: row[name] + 512.0 if row[name] != "" else "" for name in dates} for row in rows]
    before = numbers_of(rows, tmp_path, small_models)
    np.testing.assert_allclose(numbers_of(shifted, tmp_path, small_models), before, rtol=1e-5)
    stretched = [row | {"jdmin": row["jdmin"] - 9.0 if row["jdmin"] != "" else ""} for row in rows]
    age = INPUTS.index("age")
    moved = numbers_of(stretched, tmp_path, small_models) != before
    assert moved[:, age].any()


def test_no_input_has_a_forbidden_name():
    dates = ("jd", "mjd", "jdmin", "jdmax", "date", "disc_date", "time")
    assert not set(INPUTS) & {*FORBIDDEN, *PLACES, *dates, "redshift", "hostz", "tns", "name", "ncand", "n_det"}
    words = {word for name in INPUTS for word in name.split("_")}
    assert not words & {"z", "redshift", "ra", "dec", "glat", "galactic", "tns", "date", "jd", "mjd", "label", "id"}
    assert set(INPUTS) == {*QUANTITY_NAMES, *(name for names in MODALITY_INPUTS.values() for name in names)}


def test_numbers_of_the_databank_are_those_that_the_annotator_gives_a_head(databank, small_models):
    from annotator.models.model_set import head_numbers

    rows = databank.table.rows
    for place in np.flatnonzero(databank.table.folds == 9)[:10]:
        transient = SURVEYS["ztf"].parse(rows[place])
        said = head_numbers(transient, {"features": small_models.models["features"].score(transient)})
        expected = [said.get(name, np.nan) for name in INPUTS]
        np.testing.assert_allclose(databank.numbers[place], expected, rtol=1e-4, atol=1e-5)


def test_an_error_is_known_of_no_object_that_the_served_model_has_seen(databank):
    errors = databank.numbers[:, INPUTS.index("features_error")]
    np.testing.assert_array_equal(np.isfinite(errors), databank.table.folds == 9)


def test_errors_by_models_that_did_not_see_the_object_are_read_by_name(labelled_table, small_models, tmp_path):
    names = labelled_table.column("objectId")
    errors = np.arange(len(names)) / 7
    write_out_of_fold(tmp_path, "lightcurve", names[5:50][::-1], {"error": errors[5:50][::-1]})
    found = read_databank(labelled_table, small_models, tmp_path)
    column = found.numbers[:, INPUTS.index("lightcurve_error")]
    np.testing.assert_allclose(column[5:50], errors[5:50], rtol=1e-6)
    assert np.isnan(column[:5]).all() and np.isnan(column[50:]).all()
    assert any("triplet" in words for words in found.missing) and not any("lightcurve" in w for w in found.missing)
    (tmp_path / "triplet.csv").write_text("objectId,nothing\nx,1\n")
    with pytest.raises(ConfigError, match=r"triplet\.csv has none of the columns"):
        read_databank(labelled_table, small_models, tmp_path)


# Whether a modality is there


def with_uneven_presence(databank, seed=0):
    """Exotics have light curves far more often than normals, and what these say is noise."""
    rng = np.random.default_rng(seed)
    numbers = databank.numbers.copy()
    share = np.where(databank.is_positive, 0.9, 0.1)
    for name, n in (("lightcurve_error", 1.0), ("triplet_error", 0.6)):
        there = rng.random(len(numbers)) < n * share
        numbers[:, INPUTS.index(name)] = np.where(there, rng.normal(size=len(numbers)), np.nan)
    return dataclasses.replace(databank, numbers=numbers)


def test_presence_of_a_modality_alone_tells_nothing(databank):
    uneven = with_uneven_presence(databank)
    is_there = np.isfinite(uneven.numbers[:, INPUTS.index("lightcurve_error")])
    assert roc_auc_score(uneven.is_positive, is_there) > 0.8
    assert presence_auc(fit_exotic(uneven.examples, SMALL), uneven) == pytest.approx(0.5, abs=0.02)


# The fit


def test_the_prior_leads_while_few_are_known_and_raises_the_probability(databank):
    few = databank.examples.where(
        np.flatnonzero(~databank.is_positive).tolist() + np.flatnonzero(databank.is_positive)[:3].tolist()
    )
    models = [fit_exotic(examples, SMALL) for examples in (few, databank.examples)]
    n_known = int(databank.is_positive.sum())
    expected = [PRIOR_COUNTS_AS / (PRIOR_COUNTS_AS + n) for n in (3, n_known)]
    assert [model.prior_weight for model in models] == pytest.approx(expected) and n_known > 10
    row = np.tile(databank.numbers[:1], (3, 1))
    row[:, INPUTS.index(NEEDS)] = [2.0, 4.0, 6.0]
    assert (np.diff(probabilities(models[0], row)) > 0).all()


def test_examples_of_one_kind_are_refused(databank):
    with pytest.raises(ValueError, match="both classes"):
        fit_exotic(databank.examples.where(~databank.is_positive), SMALL)


def test_no_object_s_odds_come_from_a_model_that_saw_it(databank):
    """Labels of one bin changed, the odds of that bin stay."""
    examples = databank.examples
    here = examples.folds == 3
    before = cross_fit(examples, SMALL).odds
    after = cross_fit(dataclasses.replace(examples, is_positive=examples.is_positive ^ here), SMALL).odds
    np.testing.assert_array_equal(after[here], before[here])
    assert (after[~here] != before[~here]).any()


def test_what_is_learned_ranks_objects_that_were_not_seen(databank):
    odds = cross_fit(databank.examples, SMALL).odds
    assert roc_auc_score(databank.is_positive, odds) > 0.8


def test_calibrated_probabilities_are_as_large_as_the_share_of_positives(databank):
    found = cross_fit(databank.examples, SMALL)
    odds, model = found.odds, found.model
    model.calibrate(odds, databank.is_positive, np.ones(len(odds)))
    found = 1 / (1 + np.exp(-(float(model.slope) * odds + float(model.offset))))
    assert found.mean() == pytest.approx(databank.is_positive.mean(), rel=0.02)
    for part in calibration_table(found, databank.is_positive):
        chosen = (found >= part["from"]) & (found < part["to"])
        assert (part["n"], part["above"]) == (chosen.sum(), databank.is_positive[chosen].sum())


def test_the_threshold_is_the_lowest_above_which_half_are_positive():
    order = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    labels = np.array([True, False, True, False, False, False])
    # Precisions from the top: 1, 1/2, 2/3, 1/2, 2/5, 1/3.
    assert half_precision_threshold(order, labels) == 0.6
    mixed = [3, 0, 5, 1, 4, 2]
    assert half_precision_threshold(order[mixed], labels[mixed]) == 0.6
    assert half_precision_threshold(order, ~np.ones(6, dtype=bool)) == 1.0
    assert half_precision_threshold(order, np.ones(6, dtype=bool)) == 0.4


# Labels, weights and verdicts


def test_agn_are_no_positives_and_the_other_exotics_are(databank):
    kinds = databank.table.column("type")
    assert not databank.is_positive[kinds == "AGN"].any() and (kinds == "AGN").any()
    assert databank.is_positive[kinds == "TDE"].all() and not databank.is_positive[kinds == "SN Ia"].any()


def test_verdicts_override_labels_and_what_teaches_nothing_teaches_nothing(databank):
    names = databank.table.column("objectId")
    positive, negative = np.flatnonzero(databank.is_positive), np.flatnonzero(~databank.is_positive)
    known = {"ZTF98new": np.full(len(INPUTS), 0.5, dtype=np.float32)}
    verdicts = {
        str(names[negative[0]]): "anomaly",
        str(names[positive[0]]): "regular",
        str(names[positive[1]]): "artefact",
        str(names[negative[1]]): "unknown",
        "ZTF98new": "anomaly",
        "ZTF98nowhere": "regular",
    }
    examples, learned = with_verdicts(databank, verdicts, known)
    expected = databank.is_positive.copy()
    expected[negative[0]], expected[positive[0]] = True, False
    n = len(names)
    np.testing.assert_array_equal(examples.is_positive, [*expected, True])
    assert (learned.anomaly, learned.regular, learned.unused) == (2, 1, 2) and learned.not_known == ("ZTF98nowhere",)
    weights = np.ones(n + 1)
    weights[[negative[0], positive[0], n]] = VERDICT_WEIGHT
    np.testing.assert_array_equal(examples.weights, weights)
    np.testing.assert_array_equal(examples.numbers[n], known["ZTF98new"])
    assert examples.folds[n] == fold_of("ZTF98new")


def test_live_states_count_together_as_one_object_and_say_nothing_of_the_class_by_being_young(databank, labelled_table):
    positive, negative = np.flatnonzero(databank.is_positive)[:4], np.flatnonzero(~databank.is_positive)[:6]
    live = np.concatenate([np.repeat(positive, 3), np.repeat(negative, 2)])
    places = np.concatenate([np.arange(len(labelled_table.rows)), live])
    numbers = np.concatenate([databank.numbers, databank.numbers[live]])
    bank = Databank(labelled_table, numbers, places, databank.kinds, ())
    n, weights = len(labelled_table.rows), bank.examples.weights
    np.testing.assert_array_equal(weights[:n], 1)
    assert weights[n:][np.repeat([False, True], [12, 12])] == pytest.approx(np.full(12, 0.5))
    young = weights[n : n + 12].sum() / weights[n + 12 :].sum()
    assert young == pytest.approx(databank.is_positive.sum() / (~databank.is_positive).sum())
    judged, _ = with_verdicts(bank, {str(labelled_table.rows[negative[0]]["objectId"]): "regular"}, {})
    assert judged.weights[n + 12 : n + 14] == pytest.approx([0.5 * VERDICT_WEIGHT] * 2)


def test_live_states_are_joined_behind_the_final_ones(labelled_table, small_models):
    places = np.array([7, 3, 3])
    live = PartialLightCurves(
        places, tuple(labelled_table.transients[i] for i in places), np.ones(len(places), dtype=bool)
    )
    bank = read_databank(labelled_table, small_models, None, live)
    n = len(labelled_table.rows)
    assert bank.places[n:].tolist() == places.tolist()
    np.testing.assert_allclose(bank.numbers[n:], bank.numbers[places], rtol=1e-5, atol=1e-6)


# The ledger and other files


def write_ledger(path, numbers):
    with sqlite3.connect(path) as ledger:
        ledger.execute("CREATE TABLE objects (object_id TEXT PRIMARY KEY, numbers TEXT)")
        ledger.executemany(
            "INSERT INTO objects VALUES (?, ?)",
            [(name, None if value is None else json.dumps(value)) for name, value in numbers.items()],
        )
    ledger.close()
    return path


def test_a_ledger_gives_the_numbers_of_objects_that_have_the_prior(tmp_path):
    ledger = {"ZTF99a": {NEEDS: 3.0, "age": 9.0, "else": 1.0}, "ZTF99b": {"age": 1.0}, "ZTF99c": None}
    found = ledger_numbers(write_ledger(tmp_path / "ledger.sqlite", ledger))
    assert list(found) == ["ZTF99a"]
    expected = np.full(len(INPUTS), np.nan)
    expected[INPUTS.index(NEEDS)], expected[INPUTS.index("age")] = 3.0, 9.0
    np.testing.assert_array_equal(found["ZTF99a"], expected)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "found no file"), (b"no database, " * 50, "expected the annot")],
    ids=["absent", "no database"],
)
def test_what_is_no_ledger_is_refused(content, words, tmp_path):
    if content is not None:
        (tmp_path / "ledger.sqlite").write_bytes(content)
    with pytest.raises(ConfigError, match=f"--ledger .*{words}"):
        ledger_numbers(tmp_path / "ledger.sqlite")


@pytest.mark.parametrize("option", ["--verdicts", "--ledger", "--curves", "--data"])
def test_a_file_that_is_not_there_is_refused_and_nothing_written(option, service, labelled_file, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in service.iterdir()}
    arguments = {"--data": str(labelled_file), "--out": str(service)} | {option: str(tmp_path / "nowhere")}
    assert cli.main(["exotic", *(word for pair in arguments.items() for word in pair)]) == 2
    assert str(tmp_path / "nowhere") in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in service.iterdir()} == before


# The swap


@pytest.fixture(scope="module")
def released(small_models_folder, labelled_file, tmp_path_factory):
    """A model set with the head that it is released with."""
    folder = tmp_path_factory.mktemp("released")
    shutil.copytree(small_models_folder, folder, dirs_exist_ok=True)
    train(Sources(labelled_file), folder, SMALL, is_fresh=True, with_comparisons=False)
    return folder


@pytest.fixture
def service(released, tmp_path):
    shutil.copytree(released, tmp_path / "service")
    return tmp_path / "service"


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_all_verdicts(path, verdicts):
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    path.write_text(verdicts_csv([Verdict(name, verdict, "somebody", moment) for name, verdict in verdicts.items()]))
    return path


def test_what_the_ledger_exports_is_what_training_reads(tmp_path):
    """Of one object the newest that was not undone, whoever gave it; a note may hold what a CSV would trip over."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        given = [
            ("ZTF99aaaaaaa", "anomaly", "Ada"),
            ("ZTF99aaaaaab", "artefact", "Ada"),
            ("ZTF99aaaaaaa", "regular", "Bo"),
        ]
        for second, (object_id, said, person) in enumerate([*given, ("ZTF99aaaaaab", "regular", "Bo")]):
            when = datetime.datetime(2026, 1, 1, 0, 0, second, tzinfo=datetime.UTC)
            last = ledger.verdicts.add(Verdict(object_id, said, person, when, note='<b>"fades", or not</b>'))
        ledger.verdicts.undo(last, "Bo", 0.0)
        exported = verdicts_csv(ledger.verdicts.holding())
    (tmp_path / "exported.csv").write_text(exported, encoding="utf-8", newline="")
    assert head_files.verdicts_in(tmp_path / "exported.csv") == {"ZTF99aaaaaaa": "regular", "ZTF99aaaaaab": "artefact"}


def test_a_released_head_is_small_and_served_under_the_set_s_version(released, databank):
    models = load_models(released, "ztf")
    assert models.version == "aha-test-1.0" and models.heads["exotic"].manifest.revision == 0
    assert (released / "exotic.onnx").stat().st_size < 2_000_000
    (scores,) = models.score([SURVEYS["ztf"].parse(databank.table.rows[0])])
    assert 0 <= scores.exotic <= 1
    card = (released / "EXOTIC_CARD.md").read_text()
    assert models.heads["exotic"].manifest.graph_sha256 in card and not re.search(r"\bnan\b|\binf\b", card)


@pytest.mark.long
def test_a_head_of_full_size_is_below_two_megabytes(labelled_file, small_models_folder, tmp_path, databank):
    """As many trees as are served, with examples of which no two are alike, so that they grow as deep as they may."""
    from training.export.graph import export_graph, narrow

    rng = np.random.default_rng(0)
    numbers = rng.normal(1, 0.1, (4000, len(INPUTS))).astype(np.float32)
    examples = Examples(numbers, rng.random(4000) < 0.1, np.ones(4000), rng.integers(10, size=4000))
    graph = narrow(export_graph(fit_exotic(examples, BoostingSettings()), {"inputs": numbers[:4]}, ("probability",)))
    assert len(graph) < 2_000_000


@pytest.mark.long
def test_the_same_seed_gives_the_same_head_to_the_byte(released, small_models_folder, labelled_file, tmp_path):
    shutil.copytree(small_models_folder, tmp_path / "again")
    train(Sources(labelled_file), tmp_path / "again", SMALL, is_fresh=True, with_comparisons=False)
    assert files_of(tmp_path / "again") == files_of(released)


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_head_no_worse_is_swapped_in_and_the_set_s_version_says_so(service, labelled_file, databank, tmp_path, times):
    names = databank.table.column("objectId")
    judged = {str(names[i]): "anomaly" for i in np.flatnonzero(databank.is_positive & (databank.table.folds != 9))[:5]}
    verdicts = write_all_verdicts(tmp_path / "verdicts.csv", judged)
    models = {name: (service / name).read_bytes() for name in ("features.onnx", "features.json")}
    for revision in range(1, times + 1):
        train(Sources(labelled_file, verdicts=verdicts), service, SMALL, is_fresh=False, with_comparisons=False)
        found = load_models(service, "ztf")
        assert found.heads["exotic"].manifest.revision == revision
        assert found.version == f"aha-test-1.0.{revision}"
    assert found.heads["exotic"].manifest.training["verdicts"]["anomaly"] == 5
    assert {name: (service / name).read_bytes() for name in models} == models


def test_a_head_worse_than_the_one_in_service_is_refused_and_the_old_one_stays(
    service, labelled_file, databank, tmp_path
):
    """Verdicts that call all exotics but those of the held-out bin regular, and many normals anomalies."""
    table, names = databank.table, databank.table.column("objectId")
    teaches = table.folds != 9
    wrong = {str(name): "regular" for name in names[databank.is_positive & teaches]}
    wrong |= {str(name): "anomaly" for name in names[~databank.is_positive & teaches][:300]}
    verdicts, before = write_all_verdicts(tmp_path / "verdicts.csv", wrong), files_of(service)
    with pytest.raises(ModelError, match=r"no worse than the one in service.*the old head stays"):
        train(Sources(labelled_file, verdicts=verdicts), service, SMALL, is_fresh=False, with_comparisons=False)
    assert files_of(service) == before


def test_a_head_that_does_not_answer_its_references_is_refused(service):
    manifest = json.loads((service / "exotic.json").read_text())
    manifest["references"][1]["probability"] += 0.01
    (service / "exotic.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="reference"):
        load_head(service, "exotic", "ztf", "aha-test-1.0")


def test_a_head_of_another_set_or_a_changed_graph_is_refused(service):
    with pytest.raises(ModelError, match="version"):
        load_head(service, "exotic", "ztf", "aha-test-2.0")
    graph = bytearray((service / "exotic.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (service / "exotic.onnx").write_bytes(graph)
    with pytest.raises(ModelError):
        load_head(service, "exotic", "ztf", "aha-test-1.0")
