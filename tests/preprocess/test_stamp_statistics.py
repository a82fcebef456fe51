import numpy as np
import pytest

from annotator.preprocess.stamp_statistics import STATISTICS, stamp_statistics
from annotator.preprocess.triplet import CENTRE, SIDE, stamp_tensor
from annotator.transient import Triplet


def triplet(difference_source=0.0, dipole=0.0, masked_rows=0) -> Triplet:
    """Noise of one unit, with a source of one pixel's radius, or two of opposite sign side by side."""
    rng = np.random.default_rng(0)
    science, template, difference = rng.normal(size=(3, SIDE, SIDE)).astype(np.float32)
    disc = np.hypot(*(np.mgrid[:SIDE, :SIDE] - CENTRE)) < 1.5
    for stamp in (science, difference):
        stamp[disc] += difference_source
        stamp += dipole * (np.roll(disc, 2, axis=1).astype(np.float32) - np.roll(disc, -2, axis=1))
        stamp[:masked_rows] = np.nan
    return Triplet(science, template, difference)


def statistics(**changes) -> dict[str, float]:
    return stamp_statistics(stamp_tensor(triplet(**changes)))


def test_every_statistic_has_a_meaning_and_comes_in_its_order():
    found = statistics(difference_source=20.0)
    assert list(found) == list(STATISTICS)
    assert all(np.isfinite(value) for value in found.values())


def test_a_source_raises_the_peak_and_a_dipole_is_dark_and_asymmetric():
    empty, source, dipole = statistics(), statistics(difference_source=40.0), statistics(dipole=40.0)
    assert source["difference_peak"] == pytest.approx(np.arcsinh(40 / 2), abs=0.15)
    assert source["difference_core"] > empty["difference_core"] + 1
    assert source["template_peak"] == pytest.approx(empty["template_peak"], abs=0.05)
    assert dipole["difference_trough"] < empty["difference_trough"] - 1
    assert dipole["difference_asymmetry"] > source["difference_asymmetry"] + 0.2


def test_missing_pixels_are_counted():
    assert statistics()["present_share"] == 1.0
    assert statistics(masked_rows=21)["present_share"] == pytest.approx(1 - 2 / 9)
