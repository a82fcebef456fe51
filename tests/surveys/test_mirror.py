"""An object whose detections are all negative is scored as its mirror, which brightened by as much."""

import dataclasses

import numpy as np
import pytest

from annotator.decision.classify import decide, exotic_threshold_of
from annotator.decision.config import DecisionConfig
from annotator.models import Scores
from annotator.reasons.sentence import explain
from annotator.surveys.ztf.parse import parse
from annotator.transient import Transient, Triplet
from tests.surveys.test_metamorphic import simulated

REAL = {"rb": 0.95, "drb": 0.99}


def with_sign(record: dict, sign: str, **scores: float) -> dict:
    seen = [item | {"isdiffpos": sign} | scores if item.get("candid") else item for item in record["candidates"]]
    return record | {"candidates": seen}


@pytest.fixture(scope="module")
def records(night) -> list[dict]:
    return [record for record in simulated(night) if "candidates" in record]


def test_a_mirror_image_gets_the_scores_and_the_classification_of_what_it_mirrors(records, models):
    threshold = exotic_threshold_of(models, DecisionConfig())
    brighter = [parse(with_sign(record, "t", **REAL)) for record in records]
    fainter = [parse(with_sign(record, "f", **REAL)) for record in records]
    assert all(item.fades for item in fainter) and not any(item.fades for item in brighter)
    scored = [models.score(transients) for transients in (brighter, fainter)]
    classes = set()
    for up, down, said, mirrored in zip(brighter, fainter, *scored, strict=True):
        assert (down.features, down.extras) == (up.features, up.extras)
        assert (mirrored.modalities, mirrored.exotic) == (said.modalities, said.exotic)
        classes.add(decide(up, said, DecisionConfig(), threshold))
        assert decide(down, mirrored, DecisionConfig(), threshold) == decide(up, said, DecisionConfig(), threshold)
        sentence = explain(down, mirrored, "normal", {})
        assert sentence.startswith("Fades below its template") and "ades" not in explain(up, said, "normal", {})
    assert "normal" in classes and len(fainter) >= 20


def test_negative_differences_that_may_be_bad_subtractions_are_no_source_that_fades(records):
    for record in records:
        found = parse(with_sign(record, "f", rb=0.95, drb=0.8))
        assert decide(found, Scores(0.0, {}), DecisionConfig()) == ("artefact" if found.n_det > 1 else "normal")


def test_stamps_of_a_negative_difference_are_scored_with_template_and_science_exchanged():
    science, template = np.zeros((63, 63), np.float32), np.full((63, 63), 4.0, np.float32)
    seen = Triplet(science, template, science - template, 60000.0, 1.0, 2.0, is_negative=True)
    scored = seen.as_scored()
    assert scored.science is template and scored.template is science
    np.testing.assert_array_equal(scored.difference, template - science)
    assert (scored.time_mjd, scored.x_pixel, scored.y_pixel) == (60000.0, 1.0, 2.0)
    assert scored.as_scored() is scored


@pytest.mark.parametrize(("drb", "expected"), [(0.95, "normal"), (0.85, "artefact")])
def test_stamps_of_a_source_that_clearly_fades_are_no_artefact_for_being_dark(drb, expected):
    stamps = Triplet(*np.zeros((3, 63, 63), np.float32), is_negative=True)
    seen = Transient("a", "ztf", n_det=1, n_det_good=0, n_det_fading=0, triplet=stamps, extras={"drb": drb})
    assert decide(seen, Scores(0.5, {}, artefact=0.99), DecisionConfig()) == expected
    positive = dataclasses.replace(seen, triplet=dataclasses.replace(stamps, is_negative=False))
    assert decide(positive, Scores(0.5, {}, artefact=0.99), DecisionConfig()) == "artefact"
