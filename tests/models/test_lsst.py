"""The models of Rubin's LSST that ship: what they say of objects made up here, and of recorded ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from annotator.models import Missing, ModalityScore, load_models
from annotator.preprocess.evolution import EVOLUTION_NAMES
from annotator.reasons.find import reasons_of
from annotator.report.expected import show_curve, show_quantities
from annotator.surveys import SURVEYS

LSST = SURVEYS["lsst"]
RECORDED = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "lasair_lsst"


@pytest.fixture(scope="module")
def models():
    return load_models(None, "lsst")


def supernova(number=1, bands="griz", n=20, blue_mag=0.0, fall_days=20.0):
    """Made up: up in a fortnight, down in some weeks; `blue_mag` brighter in g than in z."""
    rng = np.random.default_rng(number)
    days = np.sort(rng.uniform(-15, 50, n)).round(3)
    sources = []
    for i, day in enumerate(days.tolist()):
        band = str(rng.choice(list(bands)))
        magnitude = 20.0 + (-day * 0.1 if day < 0 else 1.086 * day / fall_days) + blue_mag * "griz".index(band) / 3
        sources.append(
            {
                **{"diaSourceId": 10**17 + 100 * number + i, "midpointMjdTai": 61000.3 + day, "band": band},
                **{"psfFlux": 10 ** (-0.4 * (magnitude - 31.4)), "psfFluxErr": 200.0, "reliability": 0.9},
            }
        )
    return {"diaObjectId": 10**17 + number, "diaSourcesList": sources}


def test_an_object_of_the_survey_is_scored_by_what_its_light_curve_says(models):
    (scores,) = models.score([LSST.parse(supernova())])
    features = scores.modalities["features"]
    assert isinstance(features, ModalityScore) and 0 <= features.score < 4
    assert set(features.numbers) >= {"colour", "rise", "fall"}
    assert 0 <= scores.exotic <= 1 and scores.prior is not None
    curve = scores.modalities["lightcurve"]
    assert isinstance(curve, ModalityScore) and 0 <= curve.score < 4 and len(curve.latent) == 4


def test_a_blue_slow_source_is_more_like_an_exotic_one_than_a_red_fast_one(models):
    blue, red = (
        models.score([LSST.parse(supernova(n, blue_mag=blue, fall_days=fall)) for n in range(5)])
        for blue, fall in ((0.7, 90.0), (-1.0, 15.0))
    )
    assert np.median([item.exotic for item in blue]) > 3 * np.median([item.exotic for item in red])
    assert np.median([item.prior for item in blue]) > np.median([item.prior for item in red]) + 0.5


def test_one_band_is_scored_in_a_level_of_its_own_and_one_point_not_at_all(models):
    one_band, one_point = models.score([LSST.parse(supernova(bands="i")), LSST.parse(supernova(n=1))])
    for view in ("features", "lightcurve"):
        assert one_band.modalities[view].sampling == "one band"
        missing = one_point.modalities[view]
        assert isinstance(missing, Missing) and missing.why.endswith("by night and band: 1 of the 2 that are needed")
    assert one_point.exotic is None
    (row,) = models.score([LSST.parse({"diaObjectId": 5, "nDiaSources": 3})])
    assert row.modalities["features"].why == "the record has no light curve"


def test_an_object_gets_the_same_score_in_any_company_and_as_its_mirror(models):
    records = [supernova(number, n=4 + number) for number in range(20)]
    together = models.score([LSST.parse(record) for record in records])
    for record, scores in zip(records, together, strict=True):
        (alone,) = models.score([LSST.parse(record)])
        assert alone.modalities == scores.modalities and alone.exotic == scores.exotic
    mirror = supernova(3)
    for source in mirror["diaSourcesList"]:
        source["psfFlux"] *= -1
    (faded,), (seen,) = models.score([LSST.parse(mirror)]), models.score([LSST.parse(supernova(3))])
    for view in ("features", "lightcurve"):
        assert faded.modalities[view].score == pytest.approx(seen.modalities[view].score, rel=1e-6)


def test_what_carries_a_score_is_named_and_laid_beside_normals(models):
    transient = LSST.parse(supernova(2, blue_mag=2.5))
    (scores,) = models.score([transient])
    reasons = reasons_of(transient, scores, models)["features"]
    assert reasons and reasons[0].where["quantity"] in EVOLUTION_NAMES
    assert any(reason.where["quantity"].startswith("colour") for reason in reasons)
    shown, lacks = show_quantities(transient, models.models["features"], [])
    assert {item.name for item in shown} <= set(EVOLUTION_NAMES) and len(shown) + len(lacks) > 5


def test_epochs_without_which_a_light_curve_is_less_odd_are_named(models):
    record = supernova(7, bands="gr", n=30)
    plain, spiked = LSST.parse(record), []
    for source in record["diaSourcesList"]:
        if source["band"] == "r" and 15 < source["midpointMjdTai"] - 61000.3 < 30:
            source["psfFlux"] *= 4
            spiked.append(source["midpointMjdTai"])
    transient = LSST.parse(record)
    (before,), (scores,) = models.score([plain]), models.score([transient])
    assert scores.modalities["lightcurve"].score > before.modalities["lightcurve"].score
    first = reasons_of(transient, scores, models, ["lightcurve"])["lightcurve"][0]
    assert first.words.startswith("r 1.") and "brighter than expected" in first.words
    # In its night, which may have an epoch more.
    assert min(spiked) - 0.5 <= first.where["first_mjd"] <= first.where["last_mjd"] <= max(spiked)


@pytest.mark.parametrize("sign", [1, -1], ids=["above its template", "in its template"])
def test_what_the_light_curve_s_model_expects_is_shown_in_each_band_that_was_seen(models, sign):
    record = supernova(7, bands="gri", n=25)
    for source in record["diaSourcesList"]:
        source["psfFlux"] *= sign
    shown = show_curve(LSST.parse(record), models.models["lightcurve"])
    assert shown.bands == ("u", "g", "r", "i", "z", "y") and shown.sign == sign
    assert shown.expected_mag.shape == shown.is_supported.shape == (6, len(shown.days))
    assert shown.is_supported.any(axis=1).tolist() == [False, True, True, True, False, False]
    assert shown.is_used.all()
    assert np.nanmedian(np.abs(shown.residual_mag())) < 0.5


@pytest.mark.skipif(not RECORDED.is_dir(), reason="needs ../shared/fixtures/lasair_lsst")
def test_recorded_messages_of_a_real_stream_get_finite_scores_or_say_why_not(models):
    records = [record for path in sorted(RECORDED.glob("lvra_*.json")) for record in json.loads(path.read_text())]
    assert len(records) == 108
    scored = models.score([LSST.parse(record) for record in records])
    features = [scores.modalities["features"] for scores in scored]
    assert all(np.isfinite(item.score) if isinstance(item, ModalityScore) else item.why for item in features)
    assert not any(scores.failures for scores in scored)
