"""From the sandbox of Lasair for Rubin, over HTTP, to a report on the objects that were fetched."""

import json
import shutil

import numpy as np
import pytest

from annotator.models import load_models
from annotator.models.load import place_of_models
from annotator.sandbox import Account, LsstSandbox
from annotator.surveys import SURVEYS
from tests.conftest import TOKEN
from tests.lsst_records import rubin_object, shapes
from tests.training.rubin_lasair import clock, load
from training.cli import main
from training.data.native import read_native
from training.metrics import ranking
from training.native.measure import LAST, RANDOM, ask

TYPES = ("SN Ia", "SLSN-I", "SN II", "SN Ic", "TDE", "AGN")
OBJECTS = [rubin_object(900 + number, n_nights=7) for number in range(36)]


@pytest.fixture(scope="module")
def models():
    return load_models(None, "lsst")


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """A folder as the three commands leave it."""
    folder = tmp_path_factory.mktemp("fetched")
    with (
        LsstSandbox(accounts=[Account(TOKEN, "power")], clock=clock) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        load(server, OBJECTS, [TYPES[number % len(TYPES)] for number in range(len(OBJECTS))])
        patch.setenv("LASAIR_TOKEN", TOKEN)
        common = ["--survey", "lsst", "--endpoint", server.url, "--calls-per-hour", "10000"]
        common += ["--ledger", str(folder / "calls.sqlite")]
        table = ["--table", str(folder / "objects.csv")]
        for what in (
            ["features", "--out", str(folder / "objects.csv")],
            ["lightcurves", "--out", str(folder / "lightcurves.parquet"), *table],
            ["cutouts", "--out", str(folder), *table],
        ):
            assert main(["fetch", *what, *common]) == 0
    return folder


def evaluated(folder, out, *more: str) -> int:
    return main(["evaluate", "--survey", "lsst", "--data", str(folder), "--out", str(out), *more])


def few(fetched, folder, n: int, kinds=TYPES):
    """Copy what was fetched with labels of so many objects alone, of some types."""
    shutil.copytree(fetched, folder)
    labels = folder / "lightcurve_labels.csv"
    head, *rows = labels.read_text().splitlines()
    labels.write_text("\n".join([head, *[row for row in rows if row.split(",")[1] in kinds][:n]]) + "\n")
    return folder


def test_what_was_fetched_is_reported_on_beside_the_cards_and_an_agn_counts_as_none_of_the_exotics(
    fetched, tmp_path, monkeypatch
):
    monkeypatch.setattr(ranking, "N_BOOTSTRAP", 50)
    assert evaluated(fetched, tmp_path / "out") == 0
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["types"] == dict.fromkeys(sorted(TYPES), 6)
    for part in found["native"].values():
        assert {"features_score", "score", "prior", "exotic"} <= set(part["ranking"])
        item = part["ranking"]["exotic"]["all others"]
        assert 5 <= item["n_exotic"] <= 12 and item["n_other"] <= 24
        assert part["ranking"]["exotic"]["supernovae"]["n_other"] <= 18
        assert item["auc"][1] <= item["auc"][0] <= item["auc"][2]
        assert all(set(against) == {"all others", "supernovae"} for against in part["alone"].values())
        shares = part["alarms"]["features_score"]["2"]
        assert shares["supernovae"]["n"] <= 18 and shares["others"]["n"] <= 6
    card = json.loads((place_of_models(None, "lsst") / "exotic.json").read_text())
    provisional = found["provisional"]["exotic"]["simulated, all"]
    assert provisional["auc"] == card["metrics"]["simulated"]["all"]["auc"]
    text = (tmp_path / "out" / "report.md").read_text()
    assert "36 objects that have a type in TNS: 6 AGN, 6 SLSN-I" in text and "nan" not in text


@pytest.mark.parametrize(
    ("n", "kinds", "lacking"),
    [
        (29, TYPES, "30 typed objects are needed, there are 29"),
        (36, ("SN Ia", "SN II", "SN Ic", "AGN"), "5 SLSN or TDE are needed, there are 0"),
    ],
    ids=["too few", "no exotic"],
)
def test_too_few_objects_are_counted_by_type_and_nothing_else_is_said(n, kinds, lacking, fetched, tmp_path, capsys):
    folder = few(fetched, tmp_path / "few", n, kinds)
    assert evaluated(folder, tmp_path / "out") == 1
    said = capsys.readouterr()
    assert lacking in said.err and "AUC" not in said.out and "  AGN\n" in said.out
    assert not (tmp_path / "out").exists()


def test_models_are_asked_as_the_annotator_asks_them_and_an_epoch_is_an_object_s_own(fetched, tmp_path, models):
    asked = ask(read_native(fetched), models, seed=3)
    by_id = {str(item.object_id): item for item in OBJECTS}
    whole = asked[LAST]
    expected = models.score([SURVEYS["lsst"].parse(shapes(by_id[own])["object, full"]) for own in whole.object_ids])
    for name in ("exotic", "prior"):
        told = [getattr(scores, name) for scores in expected]
        np.testing.assert_array_equal(whole.numbers[name], np.array(told, dtype=float))
    fewer = ask(read_native(few(fetched, tmp_path / "few", 12)), models, seed=3)
    places = np.isin(whole.object_ids, fewer[RANDOM].object_ids)
    for name, values in fewer[RANDOM].numbers.items():
        np.testing.assert_array_equal(values, asked[RANDOM].numbers[name][places])


def test_an_option_of_the_other_survey_is_usage(fetched, tmp_path):
    assert evaluated(fetched, tmp_path / "out", "--beside", str(tmp_path)) == 2
    assert main(["evaluate", "--data", str(fetched), "--out", str(tmp_path / "out"), "--seed", "1"]) == 2
    assert evaluated(tmp_path / "absent", tmp_path / "out") == 2
