"""The normal supernova most like an object, against supernovae that it was not made of, and against what is none."""

import numpy as np
import pytest

from annotator.preprocess.lightcurve import GRID_DAYS, Detections, peak
from annotator.report.like_supernova import N_OF_KIND, expected_magnitudes
from annotator.sandbox.sky.light_curves import supernova

ERROR_MAG = 0.08


def seen(kind: str, seed: int, days: np.ndarray) -> tuple[Detections, np.ndarray]:
    """Return a simulated supernova of brightest magnitude 17.5 at these days and bands, and its true magnitudes."""
    rng = np.random.default_rng([seed, list(N_OF_KIND).index(kind) if kind in N_OF_KIND else 9])
    source = supernova(rng, kind)
    band = np.tile([0, 1], len(days) // 2)
    true = np.array([-2.5 * np.log10(source.flux(days[[i]], "gr"[band[i]])[0]) for i in range(len(days))])
    true += 17.5 - true.min()
    there = true < 21.0
    noisy = true + rng.normal(0.0, ERROR_MAG, len(days))
    return Detections(days[there], band[there], noisy[there], np.full(there.sum(), ERROR_MAG)), true[there]


def at(curve: Detections, grid_mag: np.ndarray) -> np.ndarray:
    phase = curve.time_days - peak(curve)[0]
    return np.array([np.interp(p, GRID_DAYS, grid_mag[b]) for p, b in zip(phase, curve.band, strict=True)])


@pytest.mark.parametrize("kind", N_OF_KIND)
def test_of_a_supernova_its_own_course_is_expected_from_the_rise_to_the_tail(kind):
    """Supernovae that are not among those that are tried: seeds differ, and each has waves of its own."""
    days = np.arange(-14.0, 60.0, 1.5)
    misses = []
    for seed in range(20):
        curve, true = seen(kind, 100 + seed, days[: len(days) // 2 * 2])
        misses.append(np.median(np.abs(at(curve, expected_magnitudes(curve, peak(curve))) - true)))
    assert np.median(misses) < 0.1 and max(misses) < 0.35


def test_between_and_beyond_a_few_detections_a_supernova_is_expected_and_no_other_curve():
    """Where the reconstruction went three magnitudes astray: the rise before the first and the fall after the last."""
    days = np.array([-6.0, -6.0, 0.0, 0.0, 8.0, 8.0])
    for seed in range(20):
        curve, _ = seen("SN Ia", 200 + seed, days)
        grid_mag = expected_magnitudes(curve, peak(curve))
        r = grid_mag["gr".index("r")]
        about = (GRID_DAYS >= -30) & (GRID_DAYS <= 60)
        top = int(np.argmin(np.where(about, r, np.inf)))
        assert abs(GRID_DAYS[top]) < 12
        before = r[(GRID_DAYS >= -16) & (GRID_DAYS <= -6)]
        after = r[(GRID_DAYS >= 30) & (GRID_DAYS <= 60)]
        assert (np.diff(before) < 0).all() and (np.diff(after) > 0).all()
        assert 0.5 < np.interp(40, GRID_DAYS, r) - r[top] < 3.5


def test_one_detection_that_no_supernova_fits_stands_out_and_moves_nothing_else():
    days = np.arange(-10.0, 40.0, 1.0)
    curve, _ = seen("SN Ia", 300, days)
    plain = at(curve, expected_magnitudes(curve, peak(curve)))
    odd = curve.magnitude.copy()
    odd[30] -= 1.5
    bumped = Detections(curve.time_days, curve.band, odd, curve.error_mag)
    expected = at(bumped, expected_magnitudes(bumped, peak(bumped)))
    assert expected[30] - odd[30] > 1.2 and np.abs(expected - plain).max() < 0.15


def test_a_curve_of_one_detection_and_one_of_thousands_have_an_expectation_of_the_grid():
    one = Detections(np.array([61000.3]), np.array([1]), np.array([19.0]), np.array([0.1]))
    days = np.sort(np.random.default_rng(1).uniform(0.0, 300.0, 3000))
    many = Detections(days, np.arange(3000) % 2, 18 + 0.01 * days, np.full(3000, 0.05))
    for curve in (one, many):
        grid_mag = expected_magnitudes(curve, peak(curve))
        assert grid_mag.shape == (2, len(GRID_DAYS)) and np.isfinite(grid_mag).all()
