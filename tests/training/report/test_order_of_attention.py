"""The report's part on the order of attention, as the manifest that ships recorded it."""

import io

import pytest

from annotator.models.load import load_models
from training.report import attention, plots
from training.report.layout import Figure, Grid


@pytest.fixture(scope="module")
def metrics() -> dict:
    return dict(load_models(None, "ztf").worth.metrics)


def test_it_shows_what_stands_first_by_each_order_and_whether_chances_came_true(metrics):
    drawn = plots.draw({"modalities": {}, "beside_the_scores": {"worth": metrics}})
    found = attention.blocks(metrics, drawn)
    (grid,) = (block for block in found if isinstance(block, Grid))
    assert [row[0] for row in grid.rows] == list(metrics["orders"])
    assert grid.rows[0][1].startswith(f"{metrics['orders']['worth']['10']['exotic'][0]:.2f} [")
    (figure,) = (block for block in found if isinstance(block, Figure))
    assert io.BytesIO(drawn[figure.file.removesuffix(".png")]).read(4) == b"\x89PNG"


def test_a_model_set_without_weights_has_no_such_part():
    assert attention.blocks({}, {}) == []


def test_worth_puts_more_exotics_first_than_the_score(metrics):
    by_worth, by_score = (metrics["orders"][name]["10"]["exotic"] for name in ("worth", "score"))
    assert by_worth[1] > by_score[2]
