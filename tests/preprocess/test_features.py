import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import MissingModalityError
from annotator.preprocess.features import feature_row, physical_features
from annotator.surveys.ztf.columns import FEATURE_NAMES, FEATURES, QUALITY_NAMES

VALUES = st.dictionaries(st.sampled_from(FEATURE_NAMES + QUALITY_NAMES), st.floats())


@given(VALUES)
def test_what_remains_is_physical_and_unchanged(values):
    limits = {feature.name: (feature.low, feature.high) for feature in FEATURES}
    for name, value in physical_features(FEATURES, values).items():
        low, high = limits[name]
        assert low <= value <= high
        assert value == values[name]


@given(VALUES)
def test_cleaning_twice_changes_nothing(values):
    once = physical_features(FEATURES, values)
    quality = {name: value for name, value in values.items() if name in QUALITY_NAMES}
    assert physical_features(FEATURES, once | quality) == once


@given(VALUES)
def test_the_row_holds_the_values_in_order_and_nan_elsewhere(values):
    features = physical_features(FEATURES, values)
    if len(features) < 3:
        with pytest.raises(MissingModalityError, match=f"{len(features)} of 21"):
            feature_row(FEATURES, features)
        return
    row = feature_row(FEATURES, features)
    assert (row.shape, row.dtype) == ((21,), np.float32)
    for name, value in zip(FEATURE_NAMES, row, strict=True):
        assert value == np.float32(features[name]) if name in features else math.isnan(value)


def test_the_inputs_are_aha_s_twenty_two_without_the_redshift():
    assert len(FEATURE_NAMES) == len(set(FEATURE_NAMES)) == 21
    assert "z" not in FEATURE_NAMES


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"gmag": -999.0}, False),
        ({"gmag": 0.0}, False),
        ({"gmag": 19.0}, True),
        ({"mag_g02": 4.5e6}, False),
        ({"mag_g02": 18.0, "maggmin": 18.5, "maggmax": 19.5}, False),
        ({"mag_g02": 18.495, "maggmin": 18.5, "maggmax": 19.5}, True),
        ({"mag_g02": 18.0, "maggmin": 18.5}, True),
        ({"mag_r28": 19.0, "magrmin": 18.5, "magrmax": 19.5}, True),
        ({"dmdt_g": 0.1}, True),
        ({"dmdt_g": 0.1, "dmdt_g_err": 0.05}, True),
        ({"dmdt_g": 0.1, "dmdt_g_err": 1.5}, False),
        ({"dmdt_g": 0.1, "dmdt_g_err": -0.1}, False),
        ({"dmdt_g": 300.0, "dmdt_g_err": 0.1}, False),
        ({"separationArcsec": 5000.0}, False),
    ],
)
def test_a_value_stays_only_if_it_can_be_what_its_name_says(values, kept):
    name = next(iter(values))
    assert (name in physical_features(FEATURES, values)) == kept
