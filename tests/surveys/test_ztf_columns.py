"""Lasair's columns, against a second writing of Lasair's rules that shares nothing with the first."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.surveys.ztf.columns import FEATURE_NAMES, MISSING_TOGETHER, Detection, lasair_columns

JD = 2460000.5  # a UTC midnight

detections = st.builds(
    Detection,
    # Steps of a quarter of an hour, so that rates stay away from the limits of floating point.
    jd=st.integers(0, 45 * 96).map(lambda step: JD + step / 96),
    is_g=st.booleans(),
    magnitude=st.floats(12.0, 22.0),
    magnitude_error=st.floats(0.01, 0.3),
    is_positive=st.booleans(),
    is_good=st.booleans(),
    # Of one place, to an arcsecond; what a mean on the sphere is elsewhere is shown in test_detections.
    ra_deg=st.floats(200.0, 200.0003),
    dec_deg=st.floats(30.0, 30.0003),
)
light_curves = st.lists(detections, min_size=1, max_size=25, unique_by=lambda d: d.jd)


def rules_written_out(light_curve):
    """The rules of Lasair's ingestion, one after another, in the plainest way."""
    newest = max(d.jd for d in light_curve)
    seen = [d for d in sorted(light_curve, key=lambda d: d.jd) if newest - d.jd <= 30.0]
    out = {"jdmin": seen[0].jd, "jdmax": newest, "ncand": len(seen)}
    good = [d for d in seen if d.is_good and d.is_positive]
    out["ncandgp"] = len(good)
    out["ncandgp_7"] = len([d for d in good if newest - d.jd < 7.0])
    out["ncandgp_14"] = len([d for d in good if newest - d.jd < 14.0])
    out["ramean"] = math.fsum(d.ra_deg for d in seen) / len(seen)
    out["decmean"] = math.fsum(d.dec_deg for d in seen) / len(seen)
    for band in "gr":
        mine = [d for d in seen if d.is_g == (band == "g")]
        latest, latest_jd, rate, rate_error = None, None, None, None
        averages = {2: 0.0, 8: 0.0, 28: 0.0}
        previous_jd = 0.0
        for d in mine:
            for days, average in averages.items():
                weight_of_the_past = math.exp(-(d.jd - previous_jd) / days)
                averages[days] = average * weight_of_the_past + d.magnitude * (1 - weight_of_the_past)
            previous_jd = d.jd
            latest, latest_jd = d.magnitude, d.jd
        if len(mine) > 1 and mine[-1].is_positive and mine[-2].is_positive:
            dt = mine[-1].jd - mine[-2].jd
            rate = -(mine[-1].magnitude - mine[-2].magnitude) / dt
            rate_error = math.sqrt(mine[-1].magnitude_error ** 2 + mine[-2].magnitude_error ** 2) / dt
        out |= {f"{band}mag": latest, f"jd{band}max": latest_jd, f"dmdt_{band}": rate, f"dmdt_{band}_err": rate_error}
        for days, average in averages.items():
            out[f"mag_{band}{days:02}"] = average if mine else None
        magnitudes = [d.magnitude for d in mine]
        out[f"mag{band}min"] = min(magnitudes, default=None)
        out[f"mag{band}max"] = max(magnitudes, default=None)
        out[f"mag{band}mean"] = math.fsum(magnitudes) / len(magnitudes) if magnitudes else None
    out["g_minus_r"] = out["jd_g_minus_r"] = None
    g_of_night, r_of_night = {}, {}
    for d in seen:
        if d.is_positive:
            # ZTF's nid counts UTC days from 2017 January 1.
            (g_of_night if d.is_g else r_of_night)[math.floor(d.jd - 2457754.5)] = d
    for night in sorted(r_of_night):
        if night in g_of_night:
            out["g_minus_r"] = g_of_night[night].magnitude - r_of_night[night].magnitude
            out["jd_g_minus_r"] = g_of_night[night].jd
    return out


@given(light_curves)
def test_the_columns_are_those_of_lasairs_rules_written_out(light_curve):
    expected, found = rules_written_out(light_curve), lasair_columns(light_curve)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        value = value if value != 0 else None  # as Lasair stores it
        assert found[name] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)), name


@given(light_curves, st.randoms())
def test_the_order_of_the_detections_does_not_matter(light_curve, random):
    shuffled = list(light_curve)
    random.shuffle(shuffled)
    assert lasair_columns(shuffled) == lasair_columns(light_curve)


@given(light_curves)
def test_what_is_older_than_thirty_days_before_the_last_detection_changes_nothing(light_curve):
    newest = max(d.jd for d in light_curve)
    old = Detection(jd=newest - 30.01, is_g=True, magnitude=12.0, ra_deg=1.0, dec_deg=1.0)
    assert lasair_columns([*light_curve, old]) == lasair_columns(light_curve)


@given(light_curves)
def test_means_lie_between_the_extremes_of_their_band(light_curve):
    columns = lasair_columns(light_curve)
    for band in "gr":
        if columns[f"{band}mag"] is not None:
            low, high = columns[f"mag{band}min"] - 1e-9, columns[f"mag{band}max"] + 1e-9
            for name in (f"{band}mag", f"mag{band}mean", f"mag_{band}02", f"mag_{band}08", f"mag_{band}28"):
                assert low <= columns[name] <= high, name


@given(light_curves, st.floats(-3.0, 3.0))
def test_a_fainter_copy_shifts_the_magnitudes_and_leaves_rates_and_colours(light_curve, shift):
    def fainter(d):
        return Detection(
            d.jd, d.is_g, d.magnitude + shift, d.magnitude_error, d.is_positive, d.is_good, d.ra_deg, d.dec_deg
        )

    before, after = lasair_columns(light_curve), lasair_columns([fainter(d) for d in light_curve])
    for name, value in before.items():
        moved = shift if "mag" in name else 0.0
        # A rate or colour of exactly 0 is NULL, on either side of the shift's rounding.
        if (value is None) != (after[name] is None):
            assert (value or after[name] or 0.0) == pytest.approx(0.0, abs=1e-9), name
        elif value is not None:
            assert after[name] == pytest.approx(value + moved, rel=1e-9, abs=1e-9), name


def test_two_detections_worked_by_hand():
    columns = lasair_columns(
        [
            Detection(JD + 1.3, is_g=True, magnitude=19.0, magnitude_error=0.03, ra_deg=10.0, dec_deg=20.0),
            Detection(JD + 3.3, is_g=True, magnitude=18.0, magnitude_error=0.04, ra_deg=10.0, dec_deg=20.0),
            Detection(JD + 3.4, is_g=False, magnitude=18.5, magnitude_error=0.1, ra_deg=10.0, dec_deg=20.0),
        ]
    )
    assert columns["dmdt_g"] == pytest.approx(0.5)  # brightening is positive
    assert columns["dmdt_g_err"] == pytest.approx(0.025)
    assert columns["dmdt_r"] is None  # one detection has no rate
    assert columns["g_minus_r"] == pytest.approx(-0.5)
    assert columns["jd_g_minus_r"] == JD + 3.3
    assert columns["mag_g02"] == pytest.approx(18.0 + math.exp(-1.0))
    assert columns["magrmin"] == columns["magrmean"] == columns["magrmax"] == columns["mag_r28"] == 18.5


def test_a_rate_needs_the_last_two_detections_positive_and_a_colour_needs_one_night():
    negative = Detection(JD + 1.3, is_g=True, magnitude=19.0, magnitude_error=0.1, is_positive=False)
    g = Detection(JD + 2.3, is_g=True, magnitude=18.0, magnitude_error=0.1)
    r = Detection(JD + 3.3, is_g=False, magnitude=18.0, magnitude_error=0.1)
    columns = lasair_columns([negative, g, r])
    assert columns["dmdt_g"] is None
    assert columns["g_minus_r"] is None
    assert columns["maggmax"] == 19.0  # extremes take negative differences, too


def test_a_rate_of_exactly_zero_is_null_as_in_lasair():
    flat = [Detection(JD + day, is_g=True, magnitude=18.0, magnitude_error=0.1) for day in (1.3, 3.3)]
    assert lasair_columns(flat)["dmdt_g"] is None


def test_no_detections_have_no_columns():
    assert lasair_columns([]) == {}


def test_a_count_of_zero_is_null_as_in_lasair():
    bogus = [Detection(JD + day, is_g=True, magnitude=18.0, is_good=False) for day in (1.3, 3.3)]
    assert lasair_columns(bogus)["ncandgp"] is None


def test_every_input_can_go_missing_with_its_band_or_its_catalogue():
    assert set().union(*MISSING_TOGETHER.values()) == set(FEATURE_NAMES)
