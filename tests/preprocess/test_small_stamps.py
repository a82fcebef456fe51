"""Stamps of any side: the same middle of each is measured, in bins, and its size says nothing."""

import numpy as np
import pytest

from annotator.errors import MissingModalityError
from annotator.preprocess.small_stamps import BINS, LEAST_PIXELS, in_bins, measured_small
from annotator.preprocess.triplet import CENTRE, CHANNELS, SIDE, stamp_tensors
from annotator.transient import Triplet

MIDDLE = slice(CENTRE - BINS // 2, CENTRE + BINS // 2 + 1)


def triplet(side=LEAST_PIXELS, seed=0, **changed):
    """Noise of 40 nJy with a source of 2,000 in its middle; of a larger side, the same middle."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:LEAST_PIXELS, :LEAST_PIXELS] - (LEAST_PIXELS - 1) / 2
    source = 2000.0 * np.exp(-0.5 * (rows**2 + columns**2) / 2.5**2)
    stamps = {name: rng.normal(0, 40, rows.shape) + source * (name != "template") for name in CHANNELS}
    first = (side - LEAST_PIXELS) // 2
    for name, stamp in stamps.items():
        whole = rng.normal(1e4, 1e3, (side, side))
        whole[first : first + LEAST_PIXELS, first : first + LEAST_PIXELS] = stamp
        stamps[name] = whole.astype(np.float32)
    return Triplet(**(stamps | changed))


def tensor(given):
    return stamp_tensors([measured_small(given)])[0]


def test_a_larger_stamp_gives_the_same_to_the_bit():
    smallest = tensor(triplet())
    for side in (31, 45, 62, 93):
        np.testing.assert_array_equal(tensor(triplet(side)), smallest)


def test_the_object_is_in_the_middle_of_the_input_and_nothing_is_around_it():
    found = tensor(triplet())
    assert found.shape == (6, SIDE, SIDE) and np.isfinite(found).all()
    brightest = np.unravel_index(int(found[2].argmax()), found[2].shape)
    assert np.abs(np.array(brightest) - CENTRE).max() <= 1
    assert found[3:, MIDDLE, MIDDLE].min() == 1 and found[3:].sum() == 3 * BINS**2
    outside = np.ones((SIDE, SIDE), dtype=bool)
    outside[MIDDLE, MIDDLE] = False
    assert not found[:, outside].any()


def test_fluxes_are_in_noise_levels_of_the_difference_and_no_sky_is_taken_off():
    found, brighter = measured_small(triplet()), measured_small(triplet(template=np.full((30, 30), 77.0)))
    assert found.noise == pytest.approx(20.0, rel=0.2)  # four pixels a bin
    assert brighter.stamps[1][MIDDLE, MIDDLE] == pytest.approx(77.0) and not brighter.sky.any()


def test_what_is_no_flux_is_missing_and_so_is_a_difference_without_a_template():
    given = triplet()
    given.science[:4] = np.nan
    given.template[:, :2] = 3e38
    given.difference[20:, 20:] = 0.0
    found = measured_small(given).present[:, MIDDLE, MIDDLE]
    assert not found[0, :2].any() and found[0, 2:].all()
    assert not found[1, :, 0].any() and found[1, :, 1:].all()
    assert not found[2, 10:, 10:].any() and found[2].sum() == BINS**2 - 25


def test_half_a_bin_is_enough():
    given = triplet()
    given.science[0, :3] = np.nan
    given.science[1, 2] = np.nan
    binned = in_bins(given).science
    assert binned[0, 0] == pytest.approx(given.science[1, :2].mean()) and binned[0, 1] == pytest.approx(
        np.nanmean(given.science[:2, 2:4])
    )


NOISE = np.random.default_rng(1).normal(size=(30, 30)).astype(np.float32)
HOLE = np.where(np.hypot(*(np.mgrid[:30, :30] - 14.5)) < 11, np.nan, NOISE)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"science": NOISE[:29, :29]}, "one shape"),
        (dict.fromkeys(CHANNELS, NOISE[:29, :29]), "30 pixels a side"),
        (dict.fromkeys(CHANNELS, NOISE[0]), "one shape"),
        ({"science": np.full((30, 30), np.nan)}, "0 % of the middle of the science stamp"),
        ({"template": HOLE}, "some of the object itself"),
        ({"difference": np.full((30, 30), 5.0)}, "constant"),
        ({"difference": np.zeros((30, 30))}, "of the middle of the difference stamp"),
    ],
    ids=["unlike", "too small", "a row", "nothing", "a hole", "constant", "no difference"],
)
def test_what_cannot_be_measured_is_refused_by_name(changed, why):
    with pytest.raises(MissingModalityError, match=why):
        measured_small(triplet(**changed))
