import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from annotator.preprocess.nightly import NIGHT_GAP_DAYS
from annotator.transient import LightCurve
from training.data.classified_curves import ClassifiedCurve, at_random_epoch, measured_where

points = st.lists(
    st.tuples(st.integers(0, 400).map(lambda n: 61000 + n / 4), st.sampled_from("ugrizy"), st.booleans()), max_size=40
)


def curve_of(rows):
    time, band, forced = zip(*sorted(rows), strict=True) if rows else ((), (), ())
    n = len(time)
    return LightCurve(
        np.array(time, float), np.array(band, str), np.full(n, 1e3), np.full(n, 50.0), np.array(forced, bool)
    )


@given(points, st.integers(0, 99))
def test_a_random_epoch_is_all_that_was_seen_up_to_the_end_of_a_night_with_a_detection(rows, seed):
    whole = curve_of(rows)
    seen = at_random_epoch(whole, np.random.default_rng(seed))
    detected = whole.time_mjd[~whole.is_forced]
    if not len(detected):
        assert len(seen) == len(whole)
        return
    n = len(seen)
    np.testing.assert_array_equal(seen.time_mjd, whole.time_mjd[:n])
    until = seen.time_mjd[~seen.is_forced].max()
    assert (whole.time_mjd[n:] > until).all()
    later = detected[detected > until]
    assert not len(later) or later.min() > until + NIGHT_GAP_DAYS
    if (np.diff(detected) > NIGHT_GAP_DAYS).any():
        assert np.ptp(seen.time_mjd[~seen.is_forced]) > NIGHT_GAP_DAYS, "two nights wherever there are two"


def test_some_measurements_keep_their_own_flux_and_kind():
    whole = curve_of([(61000.0, "r", False), (61001.0, "g", True), (61002.0, "i", False)])
    some = measured_where(whole, np.array([True, True, False]))
    assert some.band.tolist() == ["r", "g"] and some.is_forced.tolist() == [False, True]


def test_an_active_nucleus_is_no_exotic():
    nothing = curve_of([])
    kinds = ("SLSN-I", "SLSN-II", "TDE", "TDE-H-He", "AGN", "KN", "SN Ia")
    exotic = [kind for kind in kinds if ClassifiedCurve("1", kind, "x", nothing).is_exotic]
    assert exotic == ["SLSN-I", "SLSN-II", "TDE", "TDE-H-He"]
