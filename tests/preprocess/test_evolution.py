import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.bands import BANDS
from annotator.preprocess.evolution import (
    EVOLUTION,
    EVOLUTION_NAMES,
    MIN_POINTS,
    REFERENCE_NM,
    evolution,
    smooth_magnitude,
)
from annotator.preprocess.nightly import UNKNOWN_ERROR_SHARE
from annotator.transient import LightCurve
from tests.conftest import examples

PEAK_MJD = 61000.3
LSST = ("u", "g", "r", "i", "z", "y")
TRUE = {
    "colour": -0.9,
    "colour_drift": -0.02,
    "colour_curvature": 0.8,
    "rise": 0.06,
    "early_rise": 0.05,
    "fall": 0.04,
    "late_fall": 0.03,
    "tail": 0.012,
}
COEFFICIENTS = tuple(TRUE)


def smooth_magnitude_of(phase_days, band, true=TRUE):
    """What the form means, written anew: a colour that drifts, and brightness in straight pieces."""
    x = np.log(np.array([BANDS[name].wavelength_nm for name in band]) / REFERENCE_NM)
    before, after = np.maximum(-phase_days, 0), np.maximum(phase_days, 0)
    rising = true["rise"] * np.minimum(before, 15) + true["early_rise"] * np.clip(before - 15, 0, 45)
    falling = true["fall"] * np.minimum(after, 15) + true["late_fall"] * np.clip(after - 15, 0, 30)
    falling = falling + true["tail"] * np.clip(after - 45, 0, 100)
    colour = true["colour"] + true["colour_drift"] * np.clip(phase_days, -20, 40)
    return colour * x + true["colour_curvature"] * x**2 + rising + falling


def curve(time_mjd, band, flux_njy, error_njy, is_forced=None):
    time_mjd = np.asarray(time_mjd, dtype=float)
    forced = np.zeros(len(time_mjd), dtype=bool) if is_forced is None else is_forced
    return LightCurve(time_mjd, np.asarray(band, dtype=str), np.asarray(flux_njy), np.asarray(error_njy), forced)


def supernova(seed=0, n_nights=40, bands=LSST, days=(-40.0, 120.0), depth_njy=100.0, peak_njy=20_000.0, true=TRUE):
    rng = np.random.default_rng(seed)
    phase = np.sort(rng.uniform(*days, n_nights)).round() + rng.uniform(0, 0.3, n_nights)
    band = rng.choice(bands, n_nights)
    error = depth_njy * rng.uniform(0.7, 1.4, n_nights)
    flux = peak_njy * 10 ** (-0.4 * smooth_magnitude_of(phase, band, true)) + rng.normal(0, error)
    return curve(PEAK_MJD + phase, band, flux, error)


def changed(of, **columns):
    names = ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced")
    return LightCurve(**({name: getattr(of, name) for name in names} | columns))


def picked(of, places):
    names = ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced")
    return LightCurve(**{name: getattr(of, name)[places] for name in names})


def row(of, **options):
    return evolution([of], **options).values[0]


def named(of):
    return dict(zip(EVOLUTION_NAMES, row(of).tolist(), strict=True))


curves = st.builds(
    supernova,
    seed=st.integers(0, 10_000),
    n_nights=st.integers(1, 60),
    bands=st.sampled_from([LSST, ("g", "r"), ("i", "z"), ("r",), ("zg", "zr", "zi")]),
    depth_njy=st.sampled_from([30.0, 300.0, 3000.0]),
)


def test_a_well_seen_source_of_that_form_gives_back_what_it_was_made_of():
    found = [named(supernova(seed, n_nights=250, days=(-60, 145), depth_njy=20.0)) for seed in range(20)]
    unit = {"colour": 0.05, "colour_drift": 0.002, "colour_curvature": 0.15}  # of rates 0.004 mag a day
    for name in COEFFICIENTS:
        assert np.median([item[name] for item in found]) == pytest.approx(TRUE[name], abs=unit.get(name, 0.004)), name
    # The systematic error of 2 % is no scatter here, so that less is left than the floor of 0.05 mag.
    assert np.median([item["roughness"] for item in found]) < 0
    assert {item["other_sign"] for item in found} == {0.0}


def test_the_form_says_what_the_source_is_at_any_time_in_any_band():
    of = supernova(1, n_nights=250, days=(-60, 145), depth_njy=20.0)
    found = evolution([of])
    phase, band = np.arange(-55.0, 140.0, 5.0), np.resize(LSST, 39)
    said = smooth_magnitude(found.form[0], phase, np.array([BANDS[name].wavelength_nm for name in band]))
    shift = PEAK_MJD - found.peak_mjd[0]
    expected = 31.4 - 2.5 * np.log10(20_000.0) + smooth_magnitude_of(phase - shift, band)
    assert np.abs(said - expected).max() < 0.15 and np.median(np.abs(said - expected)) < 0.03


def test_scatter_about_the_form_is_rough_and_a_second_colour_is_told_by_any_two_bands():
    smooth, rng = supernova(3, n_nights=120), np.random.default_rng(3)
    rough = changed(smooth, flux_njy=smooth.flux_njy * 10 ** (-0.4 * rng.normal(0, 0.3, len(smooth.flux_njy))))
    assert named(rough)["roughness"] > named(smooth)["roughness"] + 0.7
    for bands in (("g", "r"), ("i", "z"), ("zg", "zr"), ("u", "y")):
        straight = TRUE | {"colour_curvature": 0.0, "colour_drift": 0.0}
        blue = [named(supernova(n, 80, bands, true=straight | {"colour": 1.0}))["colour"] for n in range(8)]
        red = [named(supernova(n, 80, bands, true=straight | {"colour": -2.0}))["colour"] for n in range(8)]
        assert np.median(blue) == pytest.approx(1.0, abs=0.4)  # the prior of the curvature and of the colour are felt
        assert np.median(red) == pytest.approx(-2.0, abs=0.4)


@given(curves, st.sampled_from([1e-3, 0.5, 7.0, 1e4]))
def test_how_bright_it_is_tells_nothing(of, factor):
    other = changed(of, flux_njy=of.flux_njy * factor, flux_error_njy=of.flux_error_njy * factor)
    np.testing.assert_allclose(row(other), row(of), rtol=1e-6, atol=1e-9)


@given(curves, st.sampled_from([-7000.0, -0.37, 0.5, 365.25, 20_000.0]))
def test_when_it_is_seen_tells_nothing(of, days):
    # A night is told by the gaps between visits, not by a clock, which the surveys' sites would not share.
    found, other = row(of), row(changed(of, time_mjd=of.time_mjd + days))
    np.testing.assert_allclose(other, found, rtol=1e-5, atol=1e-7)


@given(curves, st.randoms(use_true_random=False))
def test_the_order_of_points_changes_nothing(of, random):
    places = list(range(len(of.time_mjd)))
    random.shuffle(places)
    np.testing.assert_array_equal(row(picked(of, places)), row(of))


@given(curves)
def test_a_point_that_comes_twice_counts_once(of):
    twice = picked(of, np.tile(np.arange(len(of.time_mjd)), 2))
    np.testing.assert_array_equal(row(twice), row(of))


@given(curves)
def test_a_source_that_fades_is_its_mirror(of):
    mirror = evolution([changed(of, flux_njy=-of.flux_njy)])
    np.testing.assert_array_equal(mirror.values[0], row(of))
    if mirror.is_known[0]:
        assert mirror.is_mirrored[0] != evolution([of]).is_mirrored[0]


@given(curves)
def test_the_name_of_a_band_tells_nothing_but_its_wavelength(of):
    own = {name: BANDS[name].wavelength_nm for name in BANDS}
    renamed = {f"filter {name}": wavelength for name, wavelength in own.items()}
    other = changed(of, band=np.array([f"filter {name}" for name in of.band]))
    np.testing.assert_allclose(row(other, wavelength_nm=renamed), row(of), rtol=1e-9, atol=1e-12)


@settings(max_examples=examples(20))
@given(st.lists(curves, min_size=2, max_size=6))
def test_an_object_is_the_same_to_the_bit_in_any_company(many):
    together = evolution(many)
    for number, of in enumerate(many):
        alone = evolution([of])
        for name in alone.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(together, name)[number], getattr(alone, name)[0], err_msg=name)


@given(curves)
def test_points_that_are_no_measurement_are_left_out(of):
    n = len(of.time_mjd)
    bad = [
        curve([PEAK_MJD], ["w"], [5e4], [10.0]),
        curve([np.nan], ["r"], [5e4], [10.0]),
        curve([PEAK_MJD], ["r"], [np.nan], [10.0]),
        curve([PEAK_MJD], ["r"], [np.inf], [10.0]),
        curve([PEAK_MJD], ["r"], [5e4], [0.0]),
        curve([PEAK_MJD], ["r"], [5e4], [-1.0]),
        curve([PEAK_MJD], ["r"], [5e4], [np.inf]),
    ]
    names = ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced")
    whole = {name: np.concatenate([getattr(item, name) for item in (of, *bad)]) for name in names}
    assert len(whole["time_mjd"]) == n + len(bad)
    np.testing.assert_array_equal(row(LightCurve(**whole)), row(of))


@given(st.lists(st.tuples(st.floats() | st.floats(60900, 61100), st.floats(), st.floats()), max_size=12))
def test_no_number_breaks_it(points):
    time, flux, error = (np.array(column, dtype=float) for column in zip(*points, strict=True)) if points else ([],) * 3
    band = np.resize(np.array(LSST), len(time))
    found = evolution([curve(time, band, flux, error)])
    assert found.values.shape == (1, len(EVOLUTION))
    assert not np.isinf(found.values).any()


def test_few_points_say_little():
    assert np.isnan(row(curve([], [], [], []))).all()
    assert np.isnan(row(curve([PEAK_MJD], ["r"], [5e4], [50.0]))).all()
    two = named(curve(PEAK_MJD + np.array([0.0, 3.0]), ["r", "r"], [5e4, 4.9e4], [50.0, 50.0]))
    assert {name for name, value in two.items() if np.isfinite(value)} == {"fall", "other_sign"}
    one_band = named(supernova(1, n_nights=60, bands=("i",)))
    assert all(np.isnan(one_band[name]) for name in ("colour", "colour_drift", "colour_curvature"))
    assert all(np.isfinite(one_band[name]) for name in ("rise", "fall", "roughness"))
    two_bands = named(supernova(1, n_nights=60, bands=("g", "r")))
    assert np.isnan(two_bands["colour_curvature"]) and np.isfinite(two_bands["colour"])


def test_forty_visits_of_a_night_are_one_point():
    rng = np.random.default_rng(0)
    nights = np.repeat([0.0, 4.0, 9.0], 40) + np.tile(np.linspace(0, 0.25, 40), 3)
    flux = np.repeat([5e4, 4.5e4, 4.0e4], 40) + rng.normal(0, 5e3, 120)
    found = evolution([curve(PEAK_MJD + nights, np.tile(["g", "r"], 60), flux, np.full(120, 5e3))])
    assert found.n_points[0] == 6 and found.n_bands[0] == 2
    assert found.days[0] == pytest.approx(9.0, abs=0.05)


def test_visits_before_and_after_midnight_of_any_clock_are_one_night():
    for start in np.arange(0, 1, 0.1):
        times = 61000 + start + np.array([0.0, 0.4, 1.0, 1.4])
        found = evolution([curve(times, ["r"] * 4, np.full(4, 1e5), np.full(4, 1e3))])
        assert found.n_points[0] == 2


def test_an_unknown_error_is_that_of_a_detection_at_five_sigma():
    of = supernova(5)
    unknown = changed(of, flux_error_njy=np.full(len(of.time_mjd), np.nan))
    stated = changed(of, flux_error_njy=UNKNOWN_ERROR_SHARE * np.abs(of.flux_njy))
    np.testing.assert_array_equal(row(unknown), row(stated))


def test_negative_points_of_a_positive_source_are_counted_and_not_fitted():
    of = supernova(2, n_nights=50, days=(-30.0, 60.0))
    dips = curve(PEAK_MJD + np.array([61.0, 62.0]), ["r", "r"], [-4e3, -4e3], [100.0, 100.0])
    names = ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced")
    both = LightCurve(**{name: np.concatenate([getattr(of, name), getattr(dips, name)]) for name in names})
    before, after = named(of), named(both)
    assert after.pop("other_sign") > before.pop("other_sign") == 0.0
    assert after == pytest.approx(before, nan_ok=True)


def test_activity_long_before_is_told_and_is_unknown_where_nobody_looked():
    of = supernova(4, n_nights=50, days=(-30.0, 60.0))
    assert np.isnan(named(of)["activity_before"])
    names = ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced")

    def with_past(flux):
        past = curve(PEAK_MJD - np.array([400.0, 300.0]), ["r", "i"], [flux, 0.0], [100.0, 100.0])
        return LightCurve(**{name: np.concatenate([getattr(past, name), getattr(of, name)]) for name in names})

    assert named(with_past(0.0))["activity_before"] == pytest.approx(-2.0)
    assert named(with_past(10_000.0))["activity_before"] == pytest.approx(np.log10(0.01 + 0.5), abs=0.1)
    assert {k: v for k, v in named(with_past(0.0)).items() if k != "activity_before"} == {
        k: v for k, v in named(of).items() if k != "activity_before"
    }


def test_one_outlier_is_no_peak():
    of = supernova(6, n_nights=60, days=(-30.0, 90.0))
    place = int(np.argmax(of.time_mjd > PEAK_MJD + 45))
    flux = of.flux_njy.copy()
    flux[place] = 4e5
    found = evolution([of, changed(of, flux_njy=flux)])
    assert found.peak_mjd[0] == pytest.approx(PEAK_MJD, abs=8)
    assert found.peak_mjd[1] == pytest.approx(found.peak_mjd[0], abs=8)


def test_every_quantity_has_a_unit_of_colour_or_rate_and_none_is_a_brightness_count_or_span():
    assert len(set(EVOLUTION_NAMES)) == len(EVOLUTION)
    assert {quantity.unit for quantity in EVOLUTION} == {"mag", "mag/day", ""}
    assert MIN_POINTS == 2
