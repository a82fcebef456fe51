import dataclasses
import json

import numpy as np
import pandas
import pytest

from annotator.errors import ConfigError, ModelError
from annotator.models.heads import load_head
from annotator.surveys import SURVEYS
from tests.lsst_records import rubin_object, shapes
from tests.training.evolution.test_exotic import QUICK, drawn
from training.cli import main
from training.data.classified_curves import ClassifiedCurve, ClassifiedCurves
from training.data.fetched_layouts import LAYOUTS
from training.data.rubin_sources import Sources
from training.evolution import train as evolution_train
from training.evolution.exotic import GROUPS, INPUTS, NEEDS
from training.evolution.states import States, together
from training.evolution.train import VERSION, Read, read_sources, train


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """Let a training read states that were drawn: light curves are the matter of other tests."""
    monkeypatch.setattr("training.metrics.ranking.N_BOOTSTRAP", 20)
    simulated, sky = drawn(500, 1), drawn(300, 2, "yse")
    both = (np.concatenate([getattr(simulated, n), getattr(sky, n)]) for n in States.__dataclass_fields__)
    read = Read(States(*both), simulated, sky, ("a", "b", "c"), "0" * 64)
    monkeypatch.setattr(evolution_train, "read_sources", lambda sources, settings: read)
    monkeypatch.setattr(evolution_train, "faults", lambda found: [])
    return Sources(tmp_path, tmp_path / "curves", tmp_path / "labels")


def test_a_head_is_written_that_the_annotator_loads(made_up, tmp_path):
    out = tmp_path / "models"
    train(made_up, out, QUICK, is_fresh=True)
    head = load_head(out, "exotic", "lsst", VERSION)
    assert head.manifest.inputs == INPUTS and head.manifest.revision == 0
    blue, red = ({NEEDS: 0.0, "features_colour": colour, "features_rise": 0.0} for colour in (3.0, -2.0))
    found = head.probabilities([blue, red, {"features_colour": 3.0}])
    assert found[0] > found[1] and found[2] is None
    card = (out / "EXOTIC_CARD.md").read_text(encoding="utf-8")
    assert "Provisional" in card and "Leave the simulator out, and leave the sky out" in card
    metrics = json.loads((out / "exotic.json").read_text(encoding="utf-8"))["metrics"]
    assert set(metrics["lack"]) == set(GROUPS)


def test_typed_objects_of_rubin_are_learned_from_as_they_are_and_put_down_as_such(monkeypatch, tmp_path):
    """What is read of other sources is others' matter: here they are a few made-up objects."""
    items = [rubin_object(number, n_nights=6) for number in range(8)]
    parsed = [SURVEYS["lsst"].parse(shapes(item)["object, full"]).light_curve for item in items]
    labels = ["diaObjectId,type", *(f"{item.object_id},{'TDE' if n % 2 else 'SN Ia'}" for n, item in enumerate(items))]
    (tmp_path / "lightcurve_labels.csv").write_text("\n".join(labels) + "\n")
    layout = LAYOUTS["lsst"]
    rows = [row for item, curve in zip(items, parsed, strict=True) for row in layout.curve_rows(item.object_id, curve)]
    frame = pandas.DataFrame(rows, columns=list(layout.curve_types))
    frame.to_parquet(tmp_path / "lightcurves.parquet")  # ids as whole numbers, too
    (tmp_path / "rubin_cadence_v3.0.parquet").write_bytes(b"")
    others = ClassifiedCurves(
        "other", "0" * 64, tuple(ClassifiedCurve(f"o{n}", "SN II", "yse", curve) for n, curve in enumerate(parsed))
    )
    for name, read in {
        "read_simulated": lambda _: others,
        "read_ztf": lambda _: others,
        "read_cadence": lambda _: (),
        "carried": lambda curves, *_: curves,
    }.items():
        monkeypatch.setattr(evolution_train, name, read)
    bare = read_sources(Sources(tmp_path, tmp_path, tmp_path), QUICK)
    read = read_sources(Sources(tmp_path, tmp_path, tmp_path, native=tmp_path), QUICK)
    assert bare.native is None and "rubin" not in bare.training.sources and bare.sha256 != read.sha256
    assert set(read.native.object_ids) == {str(item.object_id) for item in items}
    assert set(read.native.kinds) == {"SN Ia", "TDE"} and set(read.native.sources) == {"rubin"}
    assert len(read.training) == len(bare.training) + np.count_nonzero(read.training.sources == "rubin")


def test_a_head_that_typed_objects_of_rubin_have_taught_ranks_them_out_of_fold_in_its_card(
    made_up, monkeypatch, tmp_path
):
    read, own = evolution_train.read_sources(made_up, QUICK), drawn(80, 3, "rubin")
    training = together([read.training, own])
    monkeypatch.setattr(
        evolution_train, "read_sources", lambda *_: dataclasses.replace(read, training=training, native=own)
    )
    train(made_up, tmp_path, QUICK, is_fresh=True)
    manifest = load_head(tmp_path, "exotic", "lsst", VERSION).manifest
    assert sum(manifest.training["native"].values()) == 80
    found = manifest.metrics["native"]["all others"]
    assert found["n_exotic"] + found["n_other"] == 80 and found["auc"][0] > 0.6
    assert "only 80 typed objects of Rubin" in (tmp_path / "EXOTIC_CARD.md").read_text(encoding="utf-8")
    assert set(manifest.metrics["real"]) == {"both", "yse", "packets", "SLSN", "TDE"}


@pytest.mark.long
def test_a_second_head_takes_the_place_of_one_that_it_is_no_worse_than(made_up, tmp_path):
    train(made_up, tmp_path, QUICK, is_fresh=True)
    train(made_up, tmp_path, QUICK, is_fresh=False)
    assert load_head(tmp_path, "exotic", "lsst", VERSION).manifest.revision == 1


def test_a_head_that_what_is_missing_moves_is_not_written(made_up, monkeypatch, tmp_path):
    monkeypatch.setattr(evolution_train, "faults", lambda found: ["without colour, all: 99 of 100"])
    with pytest.raises(ModelError, match="what is missing moves: without colour"):
        train(made_up, tmp_path / "models", QUICK, is_fresh=True)
    assert not (tmp_path / "models").exists()


def test_sources_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ConfigError, match="expected light curves in Parquet"):
        read_sources(Sources(tmp_path, tmp_path / "c.parquet", tmp_path / "l.csv"), QUICK)


def test_options_that_the_head_of_light_curves_has_no_use_for_are_refused(tmp_path, capsys):
    given = ["exotic", "--survey", "lsst", "--data", str(tmp_path), "--out", str(tmp_path / "models")]
    assert main([*given, "--verdicts", "verdicts.csv"]) == 2
    assert "--verdicts: the head of lsst learns from light curves alone" in capsys.readouterr().err
    assert main(["exotic", "--data", "t.csv", "--out", str(tmp_path / "models"), "--native", str(tmp_path)]) == 2
    assert "--native: typed objects of Rubin" in capsys.readouterr().err
    assert main(given) == 2
    assert "plasticc_train.parquet" in capsys.readouterr().err
