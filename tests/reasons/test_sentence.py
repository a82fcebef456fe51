import dataclasses
import math
import re

import numpy as np
import pytest

from annotator.annotation import MAX_EXPLANATION
from annotator.models import Missing, ModalityScore, Scores
from annotator.models.calibration import Sampling
from annotator.reasons.find import reasons_of
from annotator.reasons.reason import Reason
from annotator.reasons.sentence import explain, state_class
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.parse import parse
from annotator.transient import Transient
from tests.benchmarks import known_causes as causes
from tests.benchmarks.known_causes import ORDINARY, shifted, simulated_triplets


@pytest.fixture(scope="module")
def models(all_models):
    return all_models


def explained(models, **changes) -> str:
    transient = parse(ORDINARY | changes)
    (scores,) = models.score([transient])
    return explain(transient, scores, "anomaly", reasons_of(transient, scores, models))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("rmag", 24.0, "r 5.1 mag fainter than its 28-day mean, beyond the 99.8th percentile of normals"),
        ("g_minus_r", -3.0, "g-r -3.0 mag on the latest night with both bands, beyond the 0.2th percentile of normals"),
        ("separationArcsec", 900.0, "900 arcsec from the host that Sherlock found, beyond the 99.8th percentile"),
        ("magrmax", 24.0, "range of r 5.2 mag, beyond the 99.8th percentile of normals"),
        ("maggmin", 14.0, "g-r -4.8 mag of the brightest magnitudes, beyond the 0.2th percentile of normals"),
        ("dmdt_r", 1.2, "r brightened 1.2 mag/day, beyond the 99.8th percentile of normals"),
        ("dmdt_r", -1.2, "r faded 1.2 mag/day, beyond the 99.8th percentile of normals"),
    ],
)
def test_one_feature_that_was_moved_is_named_first_with_its_value_and_unit(models, column, value, words):
    assert words in explained(models, **{column: value}).partition(";")[0]


def test_the_sentence_is_short_safe_and_says_how_rare_it_is(models, night):
    for row in night.rows():
        transient = parse(row)
        (scores,) = models.score([transient])
        sentence = explain(transient, scores, "watch", reasons_of(transient, scores, models))
        assert len(sentence) <= MAX_EXPLANATION
        assert re.fullmatch(
            r"(Like known SLSN or TDE with probability \d\.\d\d\. )?"
            r"(At most|By extrapolation) 1 in \d+ (classified supernovae|real detections) is as odd in [a-z ]+: .+\.",
            sentence,
        )


def test_a_source_that_was_shifted_in_its_stamps_is_named_with_its_distance(models):
    stamps = next(filter(None, (shifted(triplet, np.random.default_rng(3)) for triplet in simulated_triplets(60))))
    transient = Transient("x", "ztf", triplet=stamps[0])
    (scores,) = models.score([transient])
    sentence = explain(transient, scores, "watch", reasons_of(transient, scores, models))
    arcsec = re.search(r"as odd in its stamps: source in the difference (\d+) arcsec off centre", sentence)[1]
    assert int(arcsec) == pytest.approx(SURVEYS["ztf"].pixel_arcsec * math.hypot(*stamps[1]), abs=2)


def _scores(**by_modality: float) -> Scores:
    """Scores as they would be, of modalities that nothing else is said of."""
    scored = {name: ModalityScore(score, 1.0, (0.0,), (0.0,)) for name, score in by_modality.items()}
    return Scores(max(by_modality.values()), scored)


def _reason(words: str) -> Reason:
    return Reason(words, 0.5, {})


REASONS = {
    "features": tuple(_reason(f"{number} arcsec from the host that Sherlock found") for number in range(1, 6)),
    "lightcurve": (_reason("g 0.8 mag brighter than expected from 2025-03-02 to 2025-03-14 (4 detections)"),),
    "triplet": (_reason("dipole in the difference 1 arcsec from the centre"), _reason("no host in the template")),
}
NOBODY = Transient("x", "ztf")


def test_the_modality_with_the_highest_score_has_the_word_and_another_that_is_odd_joins():
    scores = _scores(features=1.9, lightcurve=2.1, triplet=3.0)
    assert explain(NOBODY, scores, "anomaly", REASONS) == (
        "At most 1 in 1000 real detections is as odd in its stamps: dipole in the difference 1 arcsec from the centre; "
        "no host in the template. Also odd in its light curve: g 0.8 mag brighter than expected from 2025-03-02 to "
        "2025-03-14 (4 detections)."
    )


def test_three_reasons_are_named_where_they_fit_and_none_is_cut():
    sentence = explain(NOBODY, _scores(features=2.5), "watch", REASONS)
    assert sentence.partition(": ")[2] == (
        "1 arcsec from the host that Sherlock found; 2 arcsec from the host that Sherlock found; 3 arcsec from the "
        "host that Sherlock found."
    )
    long = {"features": tuple(_reason("a" * 70) for _ in range(3))}
    sentence = explain(NOBODY, _scores(features=2.5), "watch", long)
    assert len(sentence) <= MAX_EXPLANATION and sentence.endswith(f": {'a' * 70}; {'a' * 70}.")


def test_what_has_no_room_for_its_strongest_reason_keeps_that_rather_than_what_else_is_known_and_is_never_cut():
    fading, found = dataclasses.replace(NOBODY, fades=True), {"features": (_reason("a" * 110),)}
    scores = dataclasses.replace(_scores(features=2.5), exotic=0.6)
    sentence = explain(fading, scores, "watch", found, known_as="a source known since 2018, now brighter than ever")
    assert sentence.endswith(f": {'a' * 110}.") and len(sentence) <= MAX_EXPLANATION
    sentence = explain(fading, scores, "watch", {"features": (_reason("a" * 190),)})
    assert sentence.endswith(" is as odd in object features.")


def test_a_source_of_rubin_evolves_as_oddly_and_its_artefact_is_one_by_reliability():
    rubin = dataclasses.replace(NOBODY, survey="lsst", n_det=13, n_det_good=0)
    assert "1 in 316 simulated supernovae evolves as oddly: 1 arcsec" in explain(
        rubin, _scores(features=2.5), "watch", REASONS
    )
    said = explain(rubin, _scores(features=2.5), "artefact", {})
    assert said == "Artefact: none of 13 detections has a reliability above 0.5."


def test_what_few_normals_have_is_named_before_what_most_have_but_after_the_strongest():
    found = [Reason(f"{p:g}th", 0.5, {"quantity": "peak_r", "value": 1.0, "percentile": p}) for p in (40, 60, 99.8, 4)]
    sentence = explain(NOBODY, _scores(features=2.5), "watch", {"features": found})
    assert sentence.endswith(": 40th; 99.8th; 4th.")


@pytest.mark.parametrize("move", causes.MOVES, ids=lambda move: move.column)
def test_a_feature_that_was_moved_in_simulated_rows_is_named_in_the_sentence(move, night, models):
    only = dataclasses.replace(models, models={"features": models.models["features"]}, heads={})
    is_named = []
    for transient in causes.moved(night.rows(), move):
        (scores,) = only.score([transient])
        found = reasons_of(transient, scores, only)
        sentence = explain(transient, scores, "watch", found)
        is_named.append(any(r.words in sentence for r in found["features"] if r.where["quantity"] in move.names))
    assert len(is_named) >= 40 and causes.share(is_named).value >= 0.8


def test_a_modality_without_a_reason_of_its_own_is_odd_as_a_whole():
    scores = _scores(lightcurve=2.5)
    assert explain(NOBODY, scores, "watch", {"lightcurve": ()}).endswith(": its course as a whole, no single epochs.")


def test_a_class_that_is_stated_takes_the_place_of_whole_reasons():
    sentence = explain(
        NOBODY, _scores(features=2.5), "watch", {"features": (*REASONS["features"][:1], _reason("b" * 130))}
    )
    assert len(sentence) + len("SN Ia in TNS. ") > MAX_EXPLANATION
    assert state_class(sentence, "SN Ia").endswith(": 1 arcsec from the host that Sherlock found.")


def test_an_object_that_is_normal_again_says_only_that(models):
    assert explain(*_scored(models), "normal", {}).startswith("Not unusual: at most 1 in ")


def test_what_no_view_finds_odd_and_yet_is_worth_a_look_says_why_and_not_that_it_is_ordinary(models):
    transient, scores = _scored(models)
    likely = dataclasses.replace(scores, exotic=0.23)
    sentence = explain(transient, likely, "normal", {}, worth_because=("like known exotics", "rising"))
    assert re.fullmatch(
        r"Below the thresholds, yet worth a look: like known exotics, rising\. At most 1 in \d+ classified supernovae "
        r"is as odd in object features\. Like known SLSN or TDE with probability 0\.23\.",
        sentence,
    )


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
        r"By extrapolation 1 in \d\d0+ classified supernovae", explain(transient, scores, "anomaly", REASONS)
    )
    assert not _scored(models)[1].modalities["features"].is_extrapolated


def test_a_rare_class_by_sherlock_is_named(models):
    assert "class AGN by Sherlock" in explained(models, classification="AGN")


def test_how_like_known_exotics_it_is_stands_in_the_sentence_where_it_is_worth_saying(models):
    transient, scores = _scored(models)
    for probability, words in ((0.47, "Like known SLSN or TDE with probability 0.47."), (0.01, None), (None, None)):
        sentence = explain(transient, dataclasses.replace(scores, exotic=probability), "watch", REASONS)
        assert words in sentence if words else "Like known" not in sentence


def test_how_like_known_exotics_it_is_comes_first_where_that_alone_makes_the_flag(models):
    transient, scores = _scored(models)
    features = scores.modalities["features"]
    for score, comes_first in ((1.9, True), (2.1, False)):
        modalities = {"features": dataclasses.replace(features, score=score, is_extrapolated=False)}
        sentence = explain(
            transient, dataclasses.replace(scores, modalities=modalities, exotic=0.47), "anomaly", REASONS
        )
        assert sentence.startswith("Like known SLSN or TDE with probability 0.47. At most 1 in") is comes_first
        assert sentence.endswith("Like known SLSN or TDE with probability 0.47.") is not comes_first


def test_an_artefact_says_why_and_an_object_without_scores_says_so():
    transient = Transient("x", "ztf", n_det=6, n_det_good=0)
    nothing = Scores(0.0, {"features": Missing("nothing there")})
    assert explain(transient, nothing, "artefact", {}).startswith("Artefact: none of 6 detections")
    assert explain(transient, nothing, "normal", {}) == "Not scored: no modality has what it needs."


def test_an_artefact_by_its_stamps_and_scores_says_by_which():
    one = Transient("x", "ztf", n_det=5, n_det_good=1, extras={"drb": 0.021, "rb": 0.3})
    judged = Scores(0.0, {"triplet": ModalityScore(1.0, 1.0, (0.0,), (0.0,))}, artefact=0.914)
    assert explain(one, judged, "artefact", {}) == (
        "Artefact: bogus with a probability of 0.91, judged by its stamps, rb 0.30, drb 0.02."
    )
    by_drb_alone = dataclasses.replace(judged, modalities={"triplet": Missing("no cutouts")})
    assert explain(dataclasses.replace(one, extras={"drb": 0.02}), by_drb_alone, "artefact", {}).endswith(
        "judged by drb 0.02."
    )
    never_good = dataclasses.replace(one, n_det=6, n_det_good=0)
    assert explain(never_good, judged, "artefact", {}).startswith("Artefact: none of 6 detections")
