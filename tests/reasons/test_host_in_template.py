"""Whether a template holds a host, on stamps made for it: the noise is told at the edges, where the host is not."""

import numpy as np
import pytest

from annotator.preprocess.triplet import CENTRE, SIDE, stamp_tensor
from annotator.reasons.triplet import Stamps
from annotator.surveys import SURVEYS
from annotator.transient import Triplet

SURVEY = SURVEYS["ztf"]
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] - CENTRE
RADIUS = np.hypot(ROWS, COLUMNS)


def seen(template: np.ndarray, seed: int, noise: float = 2.0) -> Stamps:
    """Return stamps with this template, whose noise is a third of the difference's, as a sum of many exposures has."""
    rng = np.random.default_rng(seed)
    source = 200 * np.exp(-0.5 * (RADIUS / 1.2) ** 2)
    difference = source + rng.normal(0.0, 3 * noise, RADIUS.shape)
    stamps = (np.nan_to_num(template) + difference, template + rng.normal(0.0, noise, RADIUS.shape), difference)
    return Stamps(stamp_tensor(Triplet(*(stamp.astype(np.float32) for stamp in stamps))), SURVEY.pixel_arcsec)


@pytest.mark.parametrize("scale_pixels", [4.0, 12.0, 25.0])
def test_a_galaxy_about_the_object_is_a_host_even_where_it_fills_the_template(scale_pixels):
    for seed in range(20):
        assert seen(60 * np.exp(-RADIUS / scale_pixels), seed).has_host


def test_a_galaxy_that_is_brighter_to_one_side_is_a_host():
    for seed in range(20):
        assert seen(80 * np.exp(-np.hypot(ROWS - 8, COLUMNS) / 15), seed).has_host


def test_an_empty_template_has_none_whatever_stands_at_its_edge():
    star = 5000 * np.exp(-0.5 * (np.hypot(ROWS - 24, COLUMNS + 22) / 1.5) ** 2)
    gradient = 0.1 * COLUMNS
    for seed in range(50):
        assert not seen(np.zeros_like(RADIUS), seed).has_host
        assert not seen(star, seed).has_host
        assert not seen(gradient, seed).has_host


def test_a_template_without_edges_is_told_by_what_is_left():
    template = np.where(RADIUS < 20, 60 * np.exp(-RADIUS / 12), np.nan)
    empty = np.where(RADIUS < 20, 0.0, np.nan)
    for seed in range(20):
        assert seen(template, seed).has_host and not seen(empty, seed).has_host
