"""The input of six bands: points in cells about the peak, whatever the distance, the order and the sign."""

import dataclasses

import numpy as np
import pytest

from annotator.errors import MissingModalityError
from annotator.photometry import flux_of
from annotator.preprocess.six_bands import (
    CHANNELS,
    GRID_BANDS,
    KNOTS_DAYS,
    grid,
    peak,
    usable_curve,
    usable_nights,
    usable_nights_of,
    within_grid,
)
from annotator.transient import LightCurve

PEAK_MJD = 61000.3


def light_curve(days, bands, magnitudes, error_share=0.05):
    flux = flux_of(np.array(magnitudes, dtype=float))
    time = PEAK_MJD + np.array(days, dtype=float)
    return LightCurve(time, np.array(list(bands)), flux, error_share * flux, np.zeros(len(flux), dtype=bool))


CURVE = light_curve([-30, -8, -1, 0, 3.5, 10, 11, 45], "grirzgiy", [22.0, 21.0, 20.2, 20.0, 20.1, 20.6, 20.5, 21.5])


def tensor(curve):
    nights, about = usable_curve(curve)
    return grid([nights], [about])[0]


def test_a_point_is_in_the_cell_of_its_band_and_days_at_its_place():
    given = tensor(CURVE)
    assert given.shape == (4, 6, 22) and given.dtype == np.float32
    brightness, uncertainty, support, place = given
    assert support.sum() == len(CURVE)
    nights, (peak_days, peak_mag) = usable_curve(CURVE)
    for day, band, magnitude, error in zip(
        *(getattr(nights, name) for name in nights.__dataclass_fields__), strict=True
    ):
        cell = np.searchsorted(KNOTS_DAYS, day - peak_days, side="right") - 1
        assert support[band, cell] == 1
        assert brightness[band, cell] == pytest.approx(peak_mag - magnitude, abs=1e-5)
        assert uncertainty[band, cell] == pytest.approx(error, rel=1e-5)
        low, high = KNOTS_DAYS[cell : cell + 2]
        assert low + place[band, cell] * (high - low) == pytest.approx(day - peak_days, abs=1e-4)


def test_what_lies_in_one_cell_is_one_point_weighted_by_the_inverse_variance():
    curve = light_curve([0, 1, 21, 26], "rrii", [20.0, 20.0, 21.0, 21.4])
    flux_error = curve.flux_error_njy.copy()
    flux_error[3] *= 2
    brightness, uncertainty, support, _ = tensor(dataclasses.replace(curve, flux_error_njy=flux_error))
    i_band, cell = GRID_BANDS.index("i"), int(np.searchsorted(KNOTS_DAYS, 20.0))
    assert support[i_band].sum() == 1
    assert uncertainty[i_band, cell] == pytest.approx(0.0540 / np.sqrt(1.25), rel=0.1)
    assert -1.2 < brightness[i_band, cell] - brightness[i_band].max() <= 0


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda c: dataclasses.replace(c, time_mjd=c.time_mjd + 200), id="another year"),
        pytest.param(
            lambda c: dataclasses.replace(c, flux_njy=-c.flux_njy, is_forced=c.is_forced), id="faded in its template"
        ),
        pytest.param(
            lambda c: dataclasses.replace(c, flux_njy=0.1 * c.flux_njy, flux_error_njy=0.1 * c.flux_error_njy),
            id="farther away and as well seen",
        ),
        pytest.param(
            lambda c: LightCurve(
                *(getattr(c, f)[::-1] for f in ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced"))
            ),
            id="in another order",
        ),
    ],
)
def test_the_input_is_the_same_of_a_light_curve_that_is(changed):
    np.testing.assert_allclose(tensor(changed(CURVE)), tensor(CURVE), atol=2e-5)


def test_a_band_without_a_point_is_masked_and_so_is_what_is_far_from_the_peak():
    late = light_curve([0, 2, 400], "rir", [20.0, 20.1, 21.0])
    given = tensor(late)
    assert set(np.flatnonzero(given[CHANNELS.index("support")].any(axis=1))) == {2, 3}
    np.testing.assert_array_equal(given[:, [0, 1, 4, 5]], 0)
    assert within_grid(usable_nights(late)).tolist() == [True, True, False]


def test_the_peak_is_when_it_was_brightest_whatever_the_band():
    assert peak(usable_nights(CURVE))[0] == pytest.approx(PEAK_MJD, abs=4)


def test_several_light_curves_are_taken_as_one_by_one():
    faint = light_curve([0, 5], "rr", [20, 20], error_share=0.9)
    for one, several in zip((CURVE, faint), usable_nights_of([CURVE, faint]), strict=True):
        np.testing.assert_array_equal(usable_nights(one).magnitude, several.magnitude)


@pytest.mark.parametrize(
    ("curve", "why"),
    [
        pytest.param(None, "no light curve", id="nothing"),
        pytest.param(light_curve([0], "r", [20]), "by night and band: 1 of the 2 that are needed", id="one night"),
        pytest.param(light_curve([0, 400], "rr", [20, 21]), "days of the peak, by night and band: 1", id="far apart"),
    ],
)
def test_too_few_points_are_no_input_and_it_is_said_why(curve, why):
    with pytest.raises(MissingModalityError, match=why):
        usable_curve(curve)
