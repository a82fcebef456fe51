import dataclasses
import re

import numpy as np
import pytest

from annotator.annotation import MAX_EXPLANATION
from annotator.calibration import Sampling
from annotator.explanation import explain
from annotator.models import Missing, ModalityScore, ModelSet, Scores
from annotator.preprocess.quantities import QUANTITIES
from annotator.surveys.ztf import parse
from annotator.transient import LightCurve, Transient, Triplet

# An ordinary supernova, made up by us: 19.4 mag in g, 19.0 in r, near a 17.5 mag galaxy.
ORDINARY = {
    "objectId": "ZTF99aaaaaaa",
    **{"gmag": 19.4, "maggmin": 18.9, "maggmean": 19.2, "maggmax": 19.6},
    **{"mag_g02": 19.4, "mag_g08": 19.3, "mag_g28": 19.2, "dmdt_g": -0.03, "dmdt_g_err": 0.03},
    **{"rmag": 19.0, "magrmin": 18.8, "magrmax": 19.2, "g_minus_r": 0.4},
    **{"mag_r02": 19.0, "mag_r08": 18.95, "mag_r28": 18.9, "dmdt_r": -0.02, "dmdt_r_err": 0.03},
    **{"distpsnr1": 2.5, "sgmag1": 17.9, "srmag1": 17.5, "separationArcsec": 3.0, "major_axis_arcsec": 12.0},
}


@pytest.fixture(scope="module")
def models(all_models):
    return all_models


def explained(models, **changes) -> str:
    transient = parse(ORDINARY | changes)
    (scores,) = models.score([transient])
    return explain(transient, scores, "anomaly", models)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("rmag", 24.0, "r now less its 28-day mean 5.1 mag"),
        ("g_minus_r", -3.0, "g-r of the latest night with both bands -3 mag"),
        ("separationArcsec", 900.0, "distance to the host that Sherlock found 900 arcsec"),
        ("magrmax", 24.0, "range of r 5.2 mag"),
        ("maggmin", 14.0, "g-r of the brightest magnitudes -4.8 mag"),
    ],
)
def test_one_feature_that_was_moved_is_named_first_with_its_value_and_unit(models, column, value, words):
    sentence = explained(models, **{column: value})
    assert words in sentence.partition(";")[0]
    assert re.search(r"\(most have -?[\d.]+ to -?[\d.]+\)", sentence)


def test_the_sentence_is_short_safe_and_says_how_rare_it_is(models, night):
    for row in night.rows():
        transient = parse(row)
        (scores,) = models.score([transient])
        sentence = explain(transient, scores, "watch", models)
        assert len(sentence) <= MAX_EXPLANATION
        assert re.fullmatch(
            r"(At most|By extrapolation) 1 in \d+ (classified supernovae|real detections) is as odd in [a-z ]+: .+\.",
            sentence,
        )


def _light_curve(**changes) -> LightCurve:
    """A supernova-like rise and fall in two bands, every second day; magnitudes of single epochs can be changed."""
    days = np.arange(-12.0, 60.0, 2.0)
    magnitude = 18.0 + np.where(days < 0, 0.012 * days**2, 0.04 * days)
    n = len(days)
    magnitudes = {"g": magnitude.copy(), "r": magnitude + 0.1}
    for band, (day, shift) in changes.items():
        magnitudes[band][np.argmin(abs(days - day))] += shift
    return LightCurve(
        time_mjd=np.concatenate([61000.0 + days, 61000.01 + days]),
        band=np.array(["g"] * n + ["r"] * n),
        magnitude=np.concatenate([magnitudes["g"], magnitudes["r"]]),
        magnitude_error=np.full(2 * n, 0.05),
        is_positive=np.ones(2 * n, dtype=bool),
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"r": (20, -1.0)}, "r 17.9 mag on MJD 61020.0, 1.0 mag brighter than those beside it"),
        ({"g": (20, 1.5)}, "g 20.3 mag on MJD 61020.0, 1.5 mag fainter than those beside it"),
    ],
)
def test_an_epoch_that_was_moved_is_named_with_its_band_and_direction(models, change, words):
    transient = Transient("x", "ztf", light_curve=_light_curve(**change))
    (scores,) = models.score([transient])
    assert words in explain(transient, scores, "watch", models)


def test_a_source_that_is_put_into_two_of_the_stamps_is_found_in_one_of_them(models):
    rng = np.random.default_rng(1)
    stamps = {
        name: rng.normal(0.0, 10.0, (63, 63)).astype(np.float32) for name in ("science", "template", "difference")
    }
    yy, xx = np.mgrid[:63, :63]
    for name in ("science", "difference"):
        stamps[name] += (3000 * np.exp(-((yy - 31) ** 2 + (xx - 31) ** 2) / 4.5)).astype(np.float32)
        stamps[name] += (9000 * np.exp(-((yy - 12) ** 2 + (xx - 50) ** 2) / 4.5)).astype(np.float32)
    transient = Transient("x", "ztf", triplet=Triplet(**stamps))
    (scores,) = models.score([transient])
    sentence = explain(transient, scores, "watch", models)
    assert re.search(r"as odd in its stamps: the (difference|science) stamp above all", sentence)


def test_an_object_that_is_normal_again_says_only_that(models):
    assert explain(*_scored(models), "normal", models).startswith("Not unusual: at most 1 in ")


def _scored(models):
    transient = parse(ORDINARY)
    return transient, models.score([transient])[0]


def test_what_is_rarer_than_the_known_normals_can_tell_is_called_an_extrapolation(models):
    transient = parse(ORDINARY | {"rmag": 25.5, "magrmax": 25.5, "g_minus_r": 4.9, "separationArcsec": 1700.0})
    (scores,) = models.score([transient])
    said = scores.modalities["features"]
    level = models.models["features"].calibrations["oddity"].level_of(Sampling())
    assert said.is_extrapolated and said.score > level.extrapolated_above
    assert re.match(
        r"By extrapolation 1 in \d\d0+ classified supernovae", explain(transient, scores, "anomaly", models)
    )
    assert not _scored(models)[1].modalities["features"].is_extrapolated


def test_a_rare_class_by_sherlock_is_named(models):
    assert "class AGN by Sherlock" in explained(models, classification="AGN")


def test_how_like_known_exotics_it_is_stands_in_the_sentence_where_it_is_worth_saying(models):
    transient, scores = _scored(models)
    for probability, words in ((0.47, "Like known SLSN or TDE with probability 0.47."), (0.01, None), (None, None)):
        sentence = explain(transient, dataclasses.replace(scores, exotic=probability), "watch", models)
        assert words in sentence if words else "Like known" not in sentence


def test_every_quantity_has_words_that_survive_lasair_s_sql():
    assert all(re.fullmatch(r"[A-Za-z0-9 \-]+", quantity.meaning) for quantity in QUANTITIES)


def test_an_artefact_says_why_and_an_object_without_scores_says_so(models):
    transient = Transient("x", "ztf", n_det=6, n_det_good=0)
    nothing = Scores(0.0, {"features": Missing("nothing there")})
    assert explain(transient, nothing, "artefact", models).startswith("Artefact: none of 6 detections")
    assert explain(transient, nothing, "normal", models) == "Not scored: no modality has what it needs."


def test_an_artefact_by_its_stamps_and_scores_says_by_which():
    none_needed = ModelSet("1.0", "ztf", {})
    one = Transient("x", "ztf", n_det=5, n_det_good=1, extras={"drb": 0.021, "rb": 0.3})
    judged = Scores(0.0, {"triplet": ModalityScore(1.0, 1.0, (0.0,), (0.0,))}, artefact=0.914)
    assert explain(one, judged, "artefact", none_needed) == (
        "Artefact: bogus with a probability of 0.91, judged by its stamps, rb 0.30, drb 0.02."
    )
    by_drb_alone = dataclasses.replace(judged, modalities={"triplet": Missing("no cutouts")})
    assert explain(dataclasses.replace(one, extras={"drb": 0.02}), by_drb_alone, "artefact", none_needed).endswith(
        "judged by drb 0.02."
    )
    never_good = dataclasses.replace(one, n_det=6, n_det_good=0)
    assert explain(never_good, judged, "artefact", none_needed).startswith("Artefact: none of 6 detections")
