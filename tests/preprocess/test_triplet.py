import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annotator.errors import MissingModalityError
from annotator.preprocess.triplet import CENTRE, MAX_VALUE, SIDE, SOFTENING_SIGMA, stamp_tensor
from annotator.transient import Triplet
from tests.conftest import examples

ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] - CENTRE
SYMMETRIES = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


def psf(row=0.0, column=0.0):
    return np.exp(-0.5 * ((ROWS - row) ** 2 + (COLUMNS - column) ** 2))


def triplet(seed=0, noise=10.0, flux=500.0, host=300.0):
    """A source beside a host, and a star in the corner, over noise."""
    rng = np.random.default_rng(seed)
    static = host * np.exp(-np.hypot(ROWS - 4, COLUMNS + 2) / 3) + 4000 * psf(-20, 15)
    template = 180 + static + rng.normal(0, noise / 3, (SIDE, SIDE))
    grain = rng.normal(0, noise, (SIDE, SIDE))
    science = 140 + static + flux * psf() + grain
    return Triplet(*(part.astype(np.float32) for part in (science, template, flux * psf() + grain)))


def changed(original, change):
    return Triplet(*(change(getattr(original, name)) for name in ("science", "template", "difference")))


def tensor_or_reason(stamps):
    try:
        return stamp_tensor(stamps)
    except MissingModalityError as reason:
        return str(reason)


def refused(stamps, *words):
    with pytest.raises(MissingModalityError) as caught:
        stamp_tensor(stamps)
    for word in words:
        assert word in str(caught.value)


def test_the_tensor_is_what_its_description_says():
    """By a second, plain implementation: numpy's own percentiles on what is there."""
    stamps = triplet()
    stamps.science[3:9, 40:] = np.nan
    found = stamp_tensor(stamps)
    parts = [stamps.science, stamps.template, stamps.difference]
    low, high = np.percentile(stamps.difference, [15.8655, 84.1345])
    noise = (high - low) / 2
    for part, plane, mask in zip(parts, found[:3], found[3:], strict=True):
        expected = np.arcsinh((part - np.nanmedian(part)) / (SOFTENING_SIGMA * noise))
        there = np.isfinite(part)
        np.testing.assert_array_equal(mask, there)
        assert (plane[~there] == 0).all()
        # Percentiles here are pixels, there between two.
        np.testing.assert_allclose(plane[there], expected[there], atol=0.02, rtol=0.01)


@pytest.mark.parametrize(("turns", "mirrored"), SYMMETRIES)
def test_turning_or_mirroring_the_stamps_turns_the_tensor(turns, mirrored):
    def change(stamp):
        turned = np.rot90(stamp, turns)
        return turned[:, ::-1] if mirrored else turned

    stamps = triplet(1)
    expected = np.rot90(stamp_tensor(stamps), turns, axes=(1, 2))
    np.testing.assert_array_equal(stamp_tensor(changed(stamps, change)), expected[:, :, ::-1] if mirrored else expected)


@pytest.mark.parametrize("factor", [0.01, 3.0, 1000.0])
def test_the_unit_of_flux_and_each_stamp_s_sky_do_not_matter(factor):
    stamps = triplet(2)
    scaled = Triplet(factor * (stamps.science + 77), factor * (stamps.template - 30), factor * (stamps.difference + 5))
    np.testing.assert_allclose(stamp_tensor(scaled), stamp_tensor(stamps), atol=2e-3)


def test_flux_relations_between_the_stamps_survive():
    """What is new in the science stamp is in the difference with the same flux; unit variance would lose it."""
    stamps = triplet(3, flux=2000.0, host=0.0)
    science, template, difference = np.sinh(stamp_tensor(stamps)[:3].astype(np.float64))
    assert science[CENTRE, CENTRE] - template[CENTRE, CENTRE] == pytest.approx(difference[CENTRE, CENTRE], rel=0.02)


def test_the_noise_level_itself_does_not_show():
    quiet, loud = (stamp_tensor(triplet(4, noise, flux=50 * noise, host=30 * noise)) for noise in (2.0, 200.0))
    for channel in (0, 2):
        corners = [np.std(t[channel, 45:, 45:]) for t in (quiet, loud)]
        assert corners[0] == pytest.approx(corners[1], rel=0.05)
        assert corners[0] == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3.4028235e38, -1e31])
def test_what_is_no_flux_is_a_missing_pixel(bad):
    stamps = triplet(5)
    expected = stamp_tensor(stamps)
    stamps.template[10:12, 50] = bad
    found = stamp_tensor(stamps)
    assert np.isfinite(found).all()
    assert (found[1, 10:12, 50] == 0).all() and (found[4, 10:12, 50] == 0).all()
    assert found[3:].sum() == expected[3:].sum() - 2
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (slice(0, 40), slice(None)),
        (slice(20, None), slice(None)),
        (slice(None), slice(0, 50)),
        (slice(None), slice(9, None)),
        (slice(5, None), slice(0, 60)),
    ],
)
def test_a_stamp_cut_by_the_edge_is_padded_where_it_was_cut(rows, columns):
    stamps = triplet(6, flux=3000.0)
    found = stamp_tensor(changed(stamps, lambda stamp: stamp[rows, columns]))
    there = np.zeros((SIDE, SIDE), bool)
    there[rows, columns] = True
    np.testing.assert_array_equal(found[3:].astype(bool), np.broadcast_to(there, (3, SIDE, SIDE)))
    blanked = changed(stamps, lambda stamp: np.where(there, stamp, np.nan).astype(np.float32))
    np.testing.assert_array_equal(found, stamp_tensor(blanked))


def test_a_stamp_that_cannot_be_scored_is_missing_with_the_reason():
    stamps = triplet(7)
    refused(Triplet(stamps.science, stamps.template[:-1], stamps.difference), "one shape", "(62, 63)")
    refused(changed(stamps, lambda s: s[:31]), "32 to 63", "(31, 63)")
    refused(changed(stamps, lambda s: np.zeros((64, 64), np.float32)), "(64, 64)")
    refused(changed(stamps, lambda s: s.ravel()), "one shape")
    refused(changed(stamps, lambda s: s[..., np.newaxis]), "one shape")
    refused(changed(stamps, lambda s: np.full_like(s, np.nan)), "0 %", "25 % are needed")
    refused(Triplet(stamps.science, stamps.template, np.full_like(stamps.difference, 3.0)), "constant")
    holed = triplet(7)
    holed.template[CENTRE - 6 : CENTRE + 7, CENTRE - 6 : CENTRE + 7] = np.nan
    refused(holed, "object itself", "template")


def test_the_stamps_handed_in_are_not_changed():
    stamps = triplet(8)
    before = [part.copy() for part in (stamps.science, stamps.template, stamps.difference)]
    stamp_tensor(stamps)
    for part, old in zip((stamps.science, stamps.template, stamps.difference), before, strict=True):
        np.testing.assert_array_equal(part, old)


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 70), st.integers(0, 70))), st.integers(0, 5))
@settings(max_examples=examples(100))
def test_any_stamps_give_a_bounded_tensor_or_a_reason(stamp, seed):
    whole = triplet(seed)
    pixels = np.resize(stamp, (SIDE, SIDE)) if stamp.size else np.full((SIDE, SIDE), np.nan, np.float32)
    for stamps in (
        Triplet(stamp, stamp, stamp),
        Triplet(pixels, whole.template, whole.difference),
        Triplet(whole.science, whole.template, pixels),
    ):
        found = tensor_or_reason(stamps)
        if isinstance(found, str):
            assert found
        else:
            assert found.shape == (6, SIDE, SIDE) and found.dtype == np.float32
            assert np.isfinite(found).all() and np.abs(found).max() <= MAX_VALUE


def test_every_real_triplet_can_be_scored(shared):
    with np.load(shared / "data" / "cutouts.npz") as arrays:
        stamps = [arrays[name] for name in ("science", "template", "difference")]
    with (shared / "data" / "cutouts.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(stamps[0])
    tensors = np.array([stamp_tensor(Triplet(*parts)) for parts in zip(*stamps, strict=True)])
    assert np.isfinite(tensors).all()
    # Half a unit is a noise level, by the choice of the scale.
    spread = (np.percentile(tensors[:, 2], 84.13) - np.percentile(tensors[:, 2], 15.87)) / 2
    assert spread == pytest.approx(np.arcsinh(1 / SOFTENING_SIGMA), rel=0.05)


@pytest.mark.parametrize(
    ("rows", "columns", "x_pixel", "y_pixel"),
    [
        (slice(5, None), slice(None), 1500.0, 26.8),
        (slice(0, 50), slice(None), 1500.0, 3080.0 - 18.2),
        (slice(None), slice(31, None), 1.2, 1500.0),
        (slice(None), slice(0, 40), 3072 - 8.4, None),
        (slice(20, None), slice(0, 33), 3071.0, 11.6),
    ],
)
def test_a_stamp_is_laid_out_by_where_the_object_is_on_the_detector_whatever_is_brightest(
    rows, columns, x_pixel, y_pixel
):
    stamps = triplet(9, flux=3000.0)
    for row, column in ((13, 13), (13, 49), (49, 13), (49, 49), (31, 58), (58, 31), (4, 31), (31, 4)):
        stamps.difference[row, column] = 1e5  # bright at every place where the object could be
    cut = changed(stamps, lambda stamp: stamp[rows, columns])
    found = stamp_tensor(Triplet(cut.science, cut.template, cut.difference, None, x_pixel, y_pixel))
    there = np.zeros((SIDE, SIDE), bool)
    there[rows, columns] = True
    np.testing.assert_array_equal(found[3:].astype(bool), np.broadcast_to(there, (3, SIDE, SIDE)))


def test_a_place_that_is_at_no_edge_says_nothing_of_a_cut_stamp():
    stamps = triplet(6, flux=3000.0)
    cut = changed(stamps, lambda stamp: stamp[:, :50])
    with_place = Triplet(cut.science, cut.template, cut.difference, None, 1500.0, 1500.0)
    np.testing.assert_array_equal(stamp_tensor(with_place), stamp_tensor(cut))
