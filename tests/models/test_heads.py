import json
import shutil
from pathlib import Path

import annotator.onnx_models
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.decision.classify import exotic_threshold_of
from annotator.decision.config import DecisionConfig
from annotator.errors import ModelError
from annotator.models import Missing, ModalityScore, load_models
from annotator.models.model_set import head_numbers
from annotator.preprocess.quantities import QUANTITY_NAMES
from annotator.surveys.ztf.parse import parse
from annotator.transient import Transient
from tests.models.conftest import rows

SHIPPED = Path(annotator.onnx_models.__path__[0]) / "ztf"
FORBIDDEN = frozenset(
    {"z", "type", "tns", "label", "id", "objectid", "catalogue", "ra", "dec", "ramean", "decmean"}
    | {"glat", "glatmean", "galactic", "jd", "mjd", "jdmin", "date", "htm", "htm16", "name"}
)


@pytest.fixture(scope="module")
def exotic(all_models):
    return all_models.heads["exotic"]


@pytest.fixture
def folder(tmp_path):
    for name in ("features", "exotic"):
        for ending in ("onnx", "json"):
            shutil.copy(SHIPPED / f"{name}.{ending}", tmp_path)
    return tmp_path


def change(folder, **changes):
    path = folder / "exotic.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def refuse(folder, *words):
    with pytest.raises(ModelError) as caught:
        load_models(folder, "ztf")
    for word in words:
        assert word in str(caught.value)


def test_no_name_place_date_redshift_or_class_from_a_spectrum_is_an_input(exotic):
    for name in exotic.manifest.inputs:
        assert not FORBIDDEN & set(name.lower().split("_")), name


def test_a_head_is_given_quantities_and_what_the_modalities_say_and_nothing_else(all_models):
    for row in rows()[:10]:
        transient = parse(row)
        (scores,) = all_models.score([transient])
        present = {name: item for name, item in scores.modalities.items() if isinstance(item, ModalityScore)}
        allowed = ("features_", "lightcurve_", "triplet_")
        for name in set(head_numbers(transient, present)) - set(QUANTITY_NAMES):
            assert name in ("rb", "drb", "good_share") or name.startswith(allowed), name


def test_a_probability_is_one_and_comes_out_the_same_alone_and_in_company(all_models):
    transients = [parse(row) for row in rows()]
    together = [scores.exotic for scores in all_models.score(transients)]
    assert all(0 <= probability <= 1 for probability in together)
    assert len(set(together)) > 30
    assert [all_models.score([transient])[0].exotic for transient in transients] == together


def test_without_object_features_the_head_says_nothing(all_models):
    (scores,) = all_models.score([Transient("ZTF99aaaaaaa", "ztf", features={"gmag": 19.0})])
    assert isinstance(scores.modalities["features"], Missing)
    assert scores.exotic is None and scores.prior is None


@given(st.dictionaries(st.sampled_from(QUANTITY_NAMES), st.floats(-1e6, 1e6, width=32)))
def test_any_numbers_give_a_probability(exotic, numbers):
    assert 0 <= exotic.probability(numbers | {exotic.manifest.needs: 4.0}) <= 1


def test_the_threshold_is_the_head_s_own_unless_it_is_configured(all_models):
    own = exotic_threshold_of(all_models, DecisionConfig())
    assert own == all_models.heads["exotic"].manifest.threshold and 0 < own < 1
    assert exotic_threshold_of(all_models, DecisionConfig(exotic_probability=0.9)) == 0.9
    assert exotic_threshold_of(load_models(None, "ztf", beside=()), DecisionConfig()) is None


def test_a_head_that_was_trained_again_shows_in_the_version_of_every_annotation(folder):
    before = load_models(folder, "ztf").version
    change(folder, revision=3)
    assert load_models(folder, "ztf").version == f"{before}.3"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "other-1.0"}, ("version", "other-1.0")),
        ({"survey": "lsst"}, ("survey", "lsst")),
        ({"preprocess_version": "0"}, ("preprocess_version",)),
        ({"name": "artefact"}, ("name", "artefact")),
        ({"needs": "charm"}, ("'charm'", "among its inputs")),
        ({"references": []}, ("references",)),
        ({"inputs": "x"}, ("inputs must be a list; found 'x'",)),
        ({"threshold": "high"}, ("threshold must be a number; found 'high'",)),
        ({"graph_sha256": "0" * 64}, ("sha256", "changed")),
        ({"extra": 1}, ("exotic.json: unknown key extra; known here: ",)),
    ],
)
def test_a_head_that_is_not_what_it_says_is_refused_by_name(folder, changes, words):
    change(folder, **changes)
    refuse(folder, *words)


def test_a_head_that_does_not_reproduce_its_references_is_refused(folder):
    references = json.loads((folder / "exotic.json").read_text(encoding="utf-8"))["references"]
    references[0]["probability"] += 0.01
    change(folder, references=references)
    refuse(folder, "reference 0", "train the head again")


def test_half_a_head_is_refused_and_none_at_all_is_none(folder):
    (folder / "exotic.onnx").unlink()
    refuse(folder, "exotic.onnx")
    (folder / "exotic.json").unlink()
    models = load_models(folder, "ztf")
    (scores,) = models.score([parse(rows()[0])])
    assert models.heads == {} and scores.exotic is None and scores.prior is not None
