import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.preprocess.quantities import (
    MAX_AGE_DAYS,
    MIN_AGE_DAYS,
    MIN_SEPARATION_ARCSEC,
    QUANTITIES,
    QUANTITY_NAMES,
    SHERLOCK_CLASSES,
    quantities,
    quantity_row,
)
from annotator.surveys.ztf.columns import FEATURES
from annotator.surveys.ztf.parse import parse

# Made up by us: a fading supernova 3 arcsec from its host, 200 Mpc away.
RECORD = {
    "objectId": "ZTF99aaaaaaa",
    **{"gmag": 19.5, "maggmin": 18.9, "maggmean": 19.2, "maggmax": 19.6},
    **{"mag_g02": 19.45, "mag_g08": 19.3, "mag_g28": 19.1, "dmdt_g": -0.03, "dmdt_g_err": 0.01},
    **{"rmag": 19.0, "magrmin": 18.8, "magrmax": 19.2, "g_minus_r": 0.45},
    **{"mag_r02": 19.0, "mag_r08": 18.95, "mag_r28": 18.9, "dmdt_r": -0.02, "dmdt_r_err": 0.04},
    **{"distpsnr1": 2.5, "sgmag1": 17.9, "srmag1": 17.5, "separationArcsec": 3.0, "major_axis_arcsec": 12.0},
    **{"physical_separation_kpc": 2.8, "distance": 200.0, "classification": "SN"},
    **{"jdmin": 2460000.5, "jd_g_minus_r": 2460012.5, "jdmax": 2460020.5, "ncand": 12},
}

FORBIDDEN = {
    "z": 0.3,
    "type": "TDE",
    "tns_name": "2099abc",
    "source_label": "Exotic",
    "catalogue_object_id": "J0000",
    "ramean": 123.4,
    "decmean": -12.3,
    "ra": 123.4,
    "decl": -12.3,
    "glatmean": 44.0,
    "galactic_plane": "yes",
    "raDeg": 123.4,
    "decDeg": -12.3,
    "htm16": 1234567,
}


def quantities_of(record):
    return quantities(FEATURES, parse(record))


def row_of(record):
    return quantity_row(FEATURES, parse(record))


def test_quantities_are_what_an_astronomer_would_compute():
    found = quantities_of(RECORD)
    expected = {
        "colour_now": 0.45,
        "colour_peak": 0.1,
        "colour_change": 0.35,
        "colour_28": 0.2,
        "amplitude_g": 0.7,
        "amplitude_r": 0.4,
        "fade_g": 0.6,
        "fade_r": 0.2,
        "trend_28_g": 0.4,
        "rate_g": -0.03,
        "mean_less_peak_g": 0.3,
        "host_colour": 0.4,
        "contrast_g": 1.0,
        "host_separation": 3.0,
        "relative_separation": 0.25,
        "host_separation_kpc": 2.8,
        "absolute_magnitude": 18.8 - 5 * np.log10(200e6 / 10),
        "age": 12.0,
        "sherlock_sn": 1.0,
        "sherlock_nt": 0.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_every_name_is_a_quantity_and_the_row_is_in_their_order():
    row = row_of(RECORD)
    found = quantities_of(RECORD)
    assert set(found) <= set(QUANTITY_NAMES)
    assert row.dtype == np.float32 and row.shape == (len(QUANTITIES),)
    np.testing.assert_allclose(row, [found.get(name, np.nan) for name in QUANTITY_NAMES], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_no_label_name_or_place_reaches_a_quantity(name):
    np.testing.assert_array_equal(row_of(RECORD), row_of(RECORD | {name: FORBIDDEN[name]}))


@given(st.floats(-3000.0, 3000.0))
def test_when_it_happened_reaches_no_quantity(days):
    moved = {name: RECORD[name] + round(days, 3) for name in ("jdmin", "jd_g_minus_r", "jdmax")}
    np.testing.assert_allclose(row_of(RECORD), row_of(RECORD | moved), rtol=1e-5)


@pytest.mark.parametrize(
    ("last_jd", "age_days"), [(2460000.5, MIN_AGE_DAYS), (2460030.5, 30.0), (2468000.5, MAX_AGE_DAYS)]
)
def test_the_age_is_a_capped_difference(last_jd, age_days):
    assert quantities_of(RECORD | {"jd_g_minus_r": last_jd})["age"] == pytest.approx(age_days)


def test_without_a_colour_the_age_ends_with_the_last_detection():
    record = {name: value for name, value in RECORD.items() if name not in ("jd_g_minus_r", "g_minus_r")}
    assert quantities_of(record)["age"] == pytest.approx(20.0)


@pytest.mark.parametrize("column", ["maggmin", "rmag", "separationArcsec", "distance", "classification", "jdmin"])
def test_a_missing_column_takes_with_it_what_is_made_of_it_and_nothing_else(column):
    whole, part = quantities_of(RECORD), quantities_of({n: v for n, v in RECORD.items() if n != column})
    assert set(part) < set(whole)
    # The absolute magnitude is that of the band that is left.
    assert all(part[name] == whole[name] for name in part if name != "absolute_magnitude")


def test_a_separation_below_what_astrometry_tells_counts_as_that():
    near = quantities_of(RECORD | {"separationArcsec": 1e-4, "distpsnr1": 1e-4})
    assert near["host_separation"] == near["ps1_separation"] == MIN_SEPARATION_ARCSEC


def test_an_unknown_class_of_sherlock_says_nothing_and_a_known_one_says_which():
    unknown = quantities_of(RECORD | {"classification": "NOVELTY"})
    assert not any(name.startswith("sherlock_") for name in unknown)
    for name in SHERLOCK_CLASSES:
        found = quantities_of(RECORD | {"classification": name})
        assert (
            sum(found[f"sherlock_{other.lower()}"] for other in SHERLOCK_CLASSES) == found[f"sherlock_{name.lower()}"]
        )


odd = st.one_of(st.floats(), st.sampled_from(["", "x", "0", "-999", "nan", "1e999", None, True, [], 10**400]))


@given(st.dictionaries(st.sampled_from(sorted(set(RECORD) - {"objectId"})), odd))
def test_whatever_a_record_holds_a_quantity_is_finite_or_absent(changes):
    found = quantities_of(RECORD | changes)
    assert all(np.isfinite(value) for value in found.values())
    json.dumps(found, allow_nan=False)
