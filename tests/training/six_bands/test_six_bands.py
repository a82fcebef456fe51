"""The light-curve model of six bands: what it learns from, what it is measured on, that it reads as it is served."""

import numpy as np
import pytest
import torch

from annotator.bands import BANDS
from annotator.models import load_models
from annotator.photometry import flux_of
from annotator.preprocess.six_bands import GRID_BANDS, grid
from annotator.transient import LightCurve
from training.cli import main
from training.data.classified_curves import ClassifiedCurve
from training.data.rubin_sources import Sources
from training.six_bands import train as six_bands_train
from training.six_bands.evaluate import measure_pairs
from training.six_bands.fit import SixBandSettings, errors_of, fit_six_bands, states_of, varied_states, vary
from training.six_bands.network import like_terms
from training.six_bands.pairs import COURSES, SKY_COURSES, make_pairs

QUICK = SixBandSettings(epochs=3, versions=2, batch_size=64)


def supernovae(n, seed=0):
    """Make up light curves that rise for a fortnight, fade for some weeks, and redden."""
    found = []
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        m = int(rng.integers(25, 60))
        days, band = np.sort(rng.uniform(-25, 80, m)), rng.choice(list("grizy"), m)
        x = np.log([BANDS[name].wavelength_nm / 620 for name in band])
        rise, fall = rng.uniform(0.04, 0.09), rng.uniform(0.03, 0.07)
        magnitude = (
            21.0 + np.where(days < 0, -days * rise, days * fall).clip(0, 3) - x * (0.6 - 0.02 * days.clip(-20, 40))
        )
        error = np.full(m, 60.0)
        flux = flux_of(magnitude) + rng.normal(0, error)
        curve = LightCurve(60000 + days, band.astype(str), flux, error, flux < 5 * error)
        found.append(ClassifiedCurve(f"SN{seed}-{number}", "SN Ia", "plasticc", curve))
    return found


@pytest.fixture(scope="module")
def fitted():
    curves = [curve.light_curve for curve in supernovae(80)]
    states = varied_states(curves, 2, QUICK, 0)
    return fit_six_bands(states[:100], states[100:], QUICK).model


def test_a_state_is_what_could_have_been_seen_of_a_curve():
    (whole,) = supernovae(1)
    for seed in range(30):
        seen = vary(whole.light_curve, QUICK, np.random.default_rng(seed))
        assert len(seen) <= len(whole.light_curve) and set(seen.band) <= set(whole.light_curve.band)


@pytest.mark.parametrize("courses", [COURSES, SKY_COURSES], ids=["parametric", "of the sky"])
def test_the_members_of_a_pair_are_on_the_same_dates_under_the_same_sky_and_as_bright(courses):
    pairs = make_pairs(supernovae(4), courses, seed=5)
    assert set(pairs) == set(courses) and all(pairs.values())
    for pair in (one for of_kind in pairs.values() for one in of_kind):
        for name in ("time_mjd", "band", "flux_error_njy"):
            np.testing.assert_array_equal(getattr(pair.normal, name), getattr(pair.injected, name))
        young = pair.young(np.random.default_rng(1))
        assert 5 <= len(young.normal) <= 10 and young.normal.time_mjd.max() <= np.sort(pair.normal.time_mjd)[9:10].max(
            initial=1e9
        )
        assert abs(2.5 * np.log10(pair.normal.flux_njy.max() / pair.injected.flux_njy.max())) < 1.5


def test_pairs_are_measured_beside_what_needs_no_model_and_count_tells_nothing(fitted):
    pairs = {kind: COURSES[kind] for kind in ("TDE", "fast")}
    found = measure_pairs(
        make_pairs(supernovae(8, seed=3), pairs, 1), {"count": lambda c: np.array([len(x) for x in c])}, 0
    )
    for mode in ("whole", "young"):
        assert found[mode]["mean"]["methods"]["count"] == [0.5, 0.5, 0.5]
        for kind in pairs:
            single = found[mode][kind]["single"]
            assert single["number of points"] == single["span"] == single["depth"] == 0.5


def test_what_is_typical_depends_on_variation_and_not_on_the_place_of_a_row():
    states = grid(states_of([curve.light_curve for curve in supernovae(20)]))
    terms = like_terms(torch.from_numpy(states))
    assert terms.shape == (20, 12) and torch.isfinite(terms).all()
    assert torch.equal(like_terms(torch.from_numpy(states[::-1].copy())), terms.flip(0))
    flat = states.copy()
    flat[:, 0] *= 0.1
    assert (like_terms(torch.from_numpy(flat))[:, 4] < terms[:, 4]).all()


def test_what_the_encoder_is_not_shown_it_does_not_know(fitted):
    (state,) = grid(states_of([supernovae(1, seed=9)[0].light_curve]))[:1]
    given = torch.from_numpy(state[np.newaxis])
    other = given.clone()
    other[0, 0][given[0, 2] == 0] = 3.0  # where nothing was seen
    with torch.no_grad():
        for one, another in zip(fitted(given), fitted(other), strict=True):
            assert torch.equal(one, another)


def test_an_epoch_that_does_not_belong_makes_a_light_curve_odder(fitted):
    nights = states_of([curve.light_curve for curve in supernovae(12, seed=6)])
    plain = errors_of(fitted, nights)
    for night in nights:
        night.magnitude[len(night) // 2] += 2.0
    assert np.median(errors_of(fitted, nights)) > 1.2 * np.median(plain)


def test_a_model_is_written_that_the_annotator_loads_and_its_card_says_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("training.six_bands.evaluate.N_DRAWS", 5)
    monkeypatch.setattr("training.metrics.ranking.N_BOOTSTRAP", 20)
    normal, other = supernovae(120), supernovae(6, seed=4)
    for number, curve in enumerate(other):
        object.__setattr__(curve, "kind", ("TDE", "AGN")[number % 2])
    states = states_of([curve.light_curve for curve in supernovae(160, seed=5)])
    read = six_bands_train.Read(
        (*normal, *other), tuple(normal), np.arange(120) % 10, states * 10, states, ("made up",), "0" * 64
    )
    monkeypatch.setattr(six_bands_train, "read_sources", lambda sources, seed: read)
    out = tmp_path / "models"
    six_bands_train.train(Sources(tmp_path, tmp_path / "c", tmp_path / "l"), out, QUICK)
    manifest = load_models(out, "lsst").models["lightcurve"].manifest
    assert manifest.metrics["checked"]["1"]["all"]["n"] == 160
    card = (out / "LIGHTCURVE_CARD.md").read_text(encoding="utf-8")
    assert "provisional" in card and "mean of the kinds" in card and "| number of points |" in card


def test_sources_that_are_not_there_are_named(tmp_path, capsys):
    given = ["lightcurve", "--survey", "lsst", "--data", str(tmp_path), "--out", str(tmp_path / "models")]
    assert main(given) == 2
    assert "plasticc_train.parquet" in capsys.readouterr().err
    assert GRID_BANDS == ("u", "g", "r", "i", "z", "y")
