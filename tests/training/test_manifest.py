from importlib import resources

import msgspec
import numpy as np
import pytest
import torch

from annotator.models.heads import HEADS, HeadManifest
from annotator.models.manifest import Manifest, parse_as
from training.export.graph import manifest_json


@pytest.mark.parametrize("name", ["features", "lightcurve", "triplet", *HEADS])
def test_a_shipped_manifest_that_is_read_and_written_stays_the_same_to_the_byte(name):
    shipped = (resources.files("annotator.onnx_models") / "ztf" / f"{name}.json").read_bytes()
    manifest = parse_as(HeadManifest if name in HEADS else Manifest, shipped, name)
    assert manifest_json(manifest) == shipped
    assert parse_as(type(manifest), manifest_json(manifest), name) == manifest


def test_what_a_training_measures_with_numpy_and_says_of_torch_is_written_as_numbers_and_text():
    shipped = (resources.files("annotator.onnx_models") / "ztf" / "features.json").read_bytes()
    manifest = parse_as(Manifest, shipped, "features")
    measured = msgspec.structs.replace(
        manifest, metrics={"auc": np.float64(0.75)}, training={"torch": torch.__version__}
    )
    read = parse_as(Manifest, manifest_json(measured), "features")
    assert read.metrics == {"auc": 0.75}
    assert read.training == {"torch": str(torch.__version__)}
