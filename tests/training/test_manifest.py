from importlib import resources

import pytest

from annotator.models.heads import HEADS, HeadManifest
from annotator.models.manifest import Manifest, parse_as
from training.export.graph import manifest_json


@pytest.mark.parametrize("name", ["features", "lightcurve", "triplet", *HEADS])
def test_a_shipped_manifest_that_is_read_and_written_stays_the_same_to_the_byte(name):
    shipped = (resources.files("annotator.onnx_models") / "ztf" / f"{name}.json").read_bytes()
    manifest = parse_as(HeadManifest if name in HEADS else Manifest, shipped, name)
    assert manifest_json(manifest) == shipped
    assert parse_as(type(manifest), manifest_json(manifest), name) == manifest
