"""Flux and magnitude against astropy's, and a light curve of one made of the other."""

import math

import numpy as np
import pytest
from astropy import units
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annotator.bands import BANDS, letters_of
from annotator.photometry import flux_error_of, flux_of, magnitude_error_of, magnitude_of
from annotator.transient import LightCurve

MAGNITUDES = hnp.arrays(np.float64, st.integers(0, 40), elements=st.floats(5, 30))
FLUXES = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(1e-3, 1e9) | st.floats(-1e9, -1e-3))


@given(MAGNITUDES)
def test_a_flux_is_what_astropy_says_of_the_ab_magnitude(magnitude):
    expected = (magnitude * units.ABmag).to_value(units.nJy)
    np.testing.assert_allclose(flux_of(magnitude), expected, rtol=1e-12)


@given(FLUXES)
def test_a_magnitude_is_what_astropy_says_of_the_absolute_flux(flux_njy):
    expected = (np.abs(flux_njy) * units.nJy).to_value(units.ABmag)
    np.testing.assert_allclose(magnitude_of(flux_njy), expected, rtol=0, atol=1e-10)


@given(hnp.arrays(np.float64, 20, elements=st.integers(5000, 26000).map(lambda value: value / 1000)))
def test_a_magnitude_of_few_digits_is_itself_again(magnitude):
    assert magnitude_of(flux_of(magnitude)).tolist() == magnitude.tolist()


@given(MAGNITUDES, st.floats(1e-4, 2.0))
def test_an_error_comes_back_and_is_small_against_the_flux_as_it_is_against_the_magnitude(magnitude, error):
    flux_njy = flux_of(magnitude)
    flux_error_njy = flux_error_of(flux_njy, np.full(len(magnitude), error))
    assert magnitude_error_of(flux_njy, flux_error_njy) == pytest.approx(np.full(len(magnitude), error), abs=1e-11)
    assert flux_error_njy == pytest.approx(flux_njy * error / (2.5 / math.log(10)), rel=1e-12)


@given(FLUXES)
def test_a_negative_flux_keeps_its_sign_and_has_the_magnitude_of_its_mirror(flux_njy):
    n = len(flux_njy)
    curve = LightCurve(np.arange(n) * 1.0, np.full(n, "zg"), flux_njy, np.full(n, np.nan), np.zeros(n, dtype=bool))
    assert curve.is_positive.tolist() == [value > 0 for value in flux_njy]
    again = LightCurve.of_magnitudes(
        curve.time_mjd, curve.band, curve.magnitude, curve.magnitude_error, np.sign(flux_njy)
    )
    np.testing.assert_allclose(again.flux_njy, flux_njy, rtol=1e-11)
    assert np.isnan(again.flux_error_njy).all()


def test_no_flux_at_all_is_infinitely_faint():
    assert magnitude_of(np.zeros(1)).tolist() == [math.inf]


def test_bands_stand_by_wavelength_and_one_letter_is_of_as_many_surveys():
    wavelengths = [band.wavelength_nm for band in BANDS.values()]
    assert wavelengths == sorted(wavelengths) and all(name == band.name for name, band in BANDS.items())
    assert letters_of(np.array(["zg", "g", "y"])).tolist() == ["g", "g", "y"]


def test_what_was_only_measured_because_the_place_is_known_is_left_out_of_what_was_detected():
    n = 4
    curve = LightCurve(
        np.arange(n) * 1.0, np.full(n, "i"), np.array([1.0, -2.0, 3.0, 4.0]), np.ones(n), np.array([0, 1, 1, 0], bool)
    )
    assert curve.detected().flux_njy.tolist() == [1.0, 4.0] and len(curve.detected().band) == 2
    assert curve.detected().detected().flux_njy.tolist() == [1.0, 4.0]
