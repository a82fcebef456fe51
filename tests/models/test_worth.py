"""The weights of the order of attention: checked at the door as the models are."""

import json

import pytest

from annotator.errors import ModelError
from annotator.models.load import load_models, place_of_models
from annotator.models.worth import PARTS, digest_of, load_worth, parts_of_survey, signs_of
from tests.conftest import copy_features_model

N = len(PARTS)
VERSION = json.loads((place_of_models(None, "ztf") / "worth.json").read_text(encoding="utf-8"))["version"]


def load(folder, **changes: object):
    shipped = json.loads((place_of_models(None, "ztf") / "worth.json").read_text(encoding="utf-8"))
    (folder / "worth.json").write_text(json.dumps(shipped | changes), encoding="utf-8")
    return load_worth(folder, "ztf", VERSION)


def test_the_weights_that_ship_are_of_the_set_and_belong_to_the_models(tmp_path, all_models):
    assert load(tmp_path) == all_models.worth
    assert len(all_models.worth.weights) == len(PARTS)
    assert sum(all_models.worth.weights[PARTS.index(name)] for name in ("exotic", "exotic_new")) > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "aha-ztf-0.1"}, "expected version"),
        ({"survey": "lsst"}, "expected survey"),
        ({"parts": list(PARTS[:-1])}, "expected weights of exotic"),
        ({"intercept": -1.0}, "sha256"),
        ({"weights": [-1.0] * N, "intercept": 0.0, "weights_sha256": digest_of(0.0, (-1.0,) * N)}, "signs"),
        ({"weights": [0.0] * N, "intercept": 0.0, "weights_sha256": digest_of(0.0, (0.0,) * N)}, "reference 0"),
        ({"references": []}, "references"),
        ({"extra": 1}, "unknown key extra"),
    ],
)
def test_weights_that_are_not_what_they_should_be_are_refused(tmp_path, changes, words):
    with pytest.raises(ModelError, match=words):
        load(tmp_path, **changes)


def test_a_model_set_without_weights_has_none(tmp_path):
    assert load_models(copy_features_model(tmp_path), "ztf").worth is None


def test_lsst_has_parts_of_its_own_and_its_weights_ship_with_its_models():
    models = load_models(None, "lsst")
    assert models.worth.parts == parts_of_survey("lsst") > PARTS == parts_of_survey("ztf")
    weights = models.worth.as_weights()
    assert weights.parts == models.worth.parts
    assert (weights.of_parts * signs_of(weights.parts) >= 0).all()
    assert dict(zip(weights.parts, models.worth.weights, strict=True))["exotic_clear"] > 2
