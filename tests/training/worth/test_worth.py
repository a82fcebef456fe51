"""Fitting the order of attention on simulated nights with truth."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from annotator.decision.attention import worth_of
from annotator.errors import ModelError
from annotator.models import load_models
from annotator.models.worth import PARTS, SIGNS, load_worth, parts_of_survey
from training.cli import main
from training.worth import evaluate, real
from training.worth.examples import GLAD_SHARE, N_FOLDS, Examples, at_share, of_nights, together
from training.worth.nights import ScoredNights, simulated_nights
from training.worth.train import STATED, UNSUPPORTED, WorthSettings, chances_of, fit, out_of_fold, train

SHIPPED = Path(__file__).resolve().parents[3] / "onnx_models" / "ztf"
RUBIN = Path(__file__).resolve().parents[4] / "shared" / "data" / "rubin"


def made_up(n_nights: int = 20, n: int = 60, seed: int = 0) -> ScoredNights:
    """Nights in which a person is glad of what is like exotics, and the score tells nothing."""
    rng = np.random.default_rng(seed)
    parts = rng.random((n_nights * n, len(PARTS)))
    log_odds = 6.0 * parts[:, PARTS.index("exotic")] - 2.0 * parts[:, PARTS.index("bogus")] - 5.0
    is_glad = rng.random(len(parts)) < 1.0 / (1.0 + np.exp(-log_odds))
    return ScoredNights(
        night=np.repeat(np.arange(n_nights), n),
        kind=np.where(is_glad, "SLSN", "SN Ia"),
        parts=parts,
        score=rng.random(len(parts)),
        is_flagged=np.zeros(len(parts), dtype=bool),
        known=np.where(rng.random(len(parts)) < 0.1, "SN Ia in TNS", ""),
    )


def test_the_fit_finds_what_makes_people_glad_and_no_weight_has_the_wrong_sign():
    nights = made_up()
    weights = fit(of_nights(nights))
    assert weights.of_parts[PARTS.index("exotic")] == pytest.approx(6.0, abs=1.0)
    assert weights.of_parts[PARTS.index("bogus")] == pytest.approx(-2.0, abs=0.8)
    assert (weights.of_parts * SIGNS >= 0).all()
    assert all(weights.of_parts[PARTS.index(name)] >= least for name, least in STATED.items())


def test_chances_out_of_fold_are_as_often_true_as_they_say_and_put_first_what_they_should():
    nights = made_up(40)
    chances = chances_of(out_of_fold(of_nights(nights)), nights.parts, nights.night % N_FOLDS)
    for part in evaluate.reliability(chances, nights.is_glad):
        low, high = part["share"][1:]
        assert low - 0.05 <= part["mean"] <= high + 0.05
    worth = np.array([worth_of(c, k != "") for c, k in zip(chances, nights.known, strict=True)])
    by_worth, by_score = (evaluate.first_places(nights, order) for order in (worth, nights.score))
    assert by_worth["10"]["exotic"][1] > by_score["10"]["exotic"][2]
    assert by_worth["10"]["kinds"]["SLSN"] > by_score["10"]["kinds"].get("SLSN", 0)
    assert by_worth["hoped for"] < nights.is_glad.sum() / 40


def test_nights_and_a_databank_count_one_half_each_with_as_many_that_please():
    nights, databank = of_nights(made_up(seed=1)), of_nights(made_up(5, seed=2))
    both = together(nights, databank)
    n = len(nights.folds)
    assert both.counts[:n].sum() == pytest.approx(both.counts[n:].sum()) == pytest.approx(n / 2)
    assert both.glad_share == pytest.approx(GLAD_SHARE) != pytest.approx(nights.glad_share)
    assert both.where(np.arange(len(both.folds)) < n).glad_share == pytest.approx(GLAD_SHARE)
    assert together(nights, None) is nights


def test_a_databank_in_which_what_is_like_exotics_pleases_only_where_nothing_was_before_is_believed():
    rng = np.random.default_rng(3)
    parts = np.zeros((4000, len(PARTS)))
    exotic, new = PARTS.index("exotic"), PARTS.index("exotic_new")
    parts[:, exotic] = rng.random(4000)
    parts[:, new] = parts[:, exotic] * (rng.random(4000) < 0.5)
    is_glad = rng.random(4000) < 1.0 / (1.0 + np.exp(4.0 - 6.0 * parts[:, new]))
    weights = fit(Examples(parts, is_glad, np.arange(4000) % N_FOLDS, np.ones(4000)))
    assert weights.of_parts[new] > 4.0 > 1.0 > weights.of_parts[exotic]


def test_chances_are_moved_to_a_source_s_own_share():
    chances = np.array([0.01, 0.5, 0.9])
    moved = at_share(chances, 0.03, 0.3)
    np.testing.assert_allclose(at_share(moved, 0.3, 0.03), chances)
    assert (moved > chances).all()


def test_weights_of_an_older_set_are_in_nobody_s_way_while_new_ones_are_made(tmp_path):
    out = tmp_path / "ztf"
    shutil.copytree(SHIPPED, out)
    text = (out / "worth.json").read_text(encoding="utf-8")
    (out / "worth.json").write_text(re.sub(r'"version": "[^"]+"', '"version": "aha-ztf-0.1"', text), encoding="utf-8")
    with pytest.raises(ModelError, match="use a model made for it"):
        load_models(out, "ztf")
    train(out, WorthSettings(n_nights=2, n_objects=30))
    assert load_models(out, "ztf").worth.training["nights"] == 2


def test_simulated_nights_are_scored_by_all_views_and_hold_all_kinds():
    nights = simulated_nights(None, 1, 60)
    assert len(nights.night) == 60 and {"SLSN", "TDE", "SN Ia"} <= set(nights.kind.tolist())
    seen = {name: (nights.parts[:, PARTS.index(f"odd_{name}")] > 0).mean() for name in ("features", "triplet")}
    assert min(seen.values()) > 0.9 and (nights.parts[:, PARTS.index("exotic")] > 0).mean() > 0.5
    assert nights.is_glad.sum() == np.isin(nights.kind, nights.sky.glad).sum() > 0


def test_a_night_of_rubin_s_is_told_by_parts_of_its_own():
    nights = simulated_nights(None, 1, 20, survey="lsst")
    names = parts_of_survey("lsst")
    assert nights.parts.shape == (len(nights.night), len(names)) and len(nights.night) >= 15
    assert (nights.parts[:, names.index("exotic_clear")] > 0).mean() > 0.7
    assert {"SLSN", "TDE"} <= set(nights.kind[nights.is_glad].tolist())


def test_of_rubin_nothing_counts_for_being_odd_alone():
    names = parts_of_survey("lsst")
    parts = np.random.default_rng(1).random((2000, len(names)))
    examples = Examples(parts, parts[:, names.index("odd")] > 0.7, np.arange(2000) % N_FOLDS, np.ones(2000))
    weights = fit(examples, names)
    assert all(weights.of_parts[names.index(name)] == 0 for name in UNSUPPORTED)


@pytest.mark.skipif(not RUBIN.is_dir(), reason="needs real objects of Rubin, beside the checkout")
def test_what_is_decided_on_real_objects_of_rubin_is_counted_by_context():
    models = load_models(None, "lsst")
    found = real.measured(models, models.worth.as_weights(), RUBIN)
    assert {name: sum(sum(of.values()) for of in said["by_context"].values()) for name, said in found.items()} == {
        "stream": 75,
        "alerts": 219,
    }
    assert found["alerts"]["first"]["worth"].get("star", 0) == 0
    assert found["alerts"]["by_context"]["star"]["variable"] > 3


@pytest.mark.long
def test_the_command_writes_weights_that_the_annotator_loads(tmp_path):
    out = tmp_path / "ztf"
    shutil.copytree(SHIPPED, out)
    before = (out / "worth.json").read_text(encoding="utf-8")
    assert main(["worth", "--out", str(out), "--nights", "3"]) == 0
    assert (out / "worth.json").read_text(encoding="utf-8") != before
    manifest = load_worth(out, "ztf", "aha-ztf-1.3")
    assert manifest.training["nights"] == 3 and "3 simulated nights" in (out / "WORTH_CARD.md").read_text()
