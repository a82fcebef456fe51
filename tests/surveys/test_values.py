"""What people and programs write for numbers, signs, bands, dates and absences."""

import datetime
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.bands import BANDS
from annotator.surveys.values import BandSpellings, floats, is_absent, julian_date, number, shown, sign_of, whole_number

SPELLINGS = BandSpellings({1: BANDS["zg"], 2: BANDS["zr"], 3: BANDS["zi"]}, ("ztf", "z"))
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_itself_in_all_its_spellings(value):
    for spelt in (value, str(value), f" {value!r}\n", f"{value:.17g}", f"{value:+.17e}".upper()):
        assert number(spelt) == value


@pytest.mark.parametrize("value", [None, True, False, "", "1_000", "0x10", "12abc", [1], {}, math.nan, math.inf, "inf"])
def test_what_is_no_number_is_none(value):
    assert number(value) is None


@given(st.lists(ANY, max_size=8))
def test_an_array_of_anything_holds_the_numbers_and_nan_for_the_rest(values):
    found = floats(values)
    assert [value for value in found if math.isfinite(value)] == [
        value for item in values if (value := number(item)) is not None
    ]


@pytest.mark.parametrize(
    "value", ["g", "G", " g ", "ztfg", "ZTFg", "ZTF_g", "ztf-g", "zg", "g-ZTF", 1, 1.0, "1", "1.0"]
)
def test_every_spelling_of_a_band_is_that_band(value):
    assert SPELLINGS.name(value) == "zg"


@pytest.mark.parametrize(
    "value",
    [
        0,
        4,
        -1,
        1.5,
        "4",
        "x",
        "gg",
        "og",
        "green",
        "",
        None,
        True,
        math.nan,
        10**400,
        [1],
        "-999",
        "g'r",
        "lsstg",
        "2g",
    ],
)
def test_what_names_no_band_is_none(value):
    assert SPELLINGS.name(value) is None


@pytest.mark.parametrize("value", ["t", "T", " true ", "True", "1", 1, 1.0, "1.0", "+", "+1", True, "positive", "yes"])
def test_every_spelling_of_a_positive_difference_is_positive(value):
    assert sign_of(value) is True


@pytest.mark.parametrize(
    "value", ["f", "F", "false", "FALSE", "0", 0, 0.0, "-1", -1, -1.0, "-", False, "negative", "n"]
)
def test_every_spelling_of_a_negative_difference_is_negative(value):
    assert sign_of(value) is False


@pytest.mark.parametrize("value", [None, "", "x", 2, math.nan, "null", [], {}, "-999", 10**400])
def test_what_is_no_sign_is_none(value):
    assert sign_of(value) is None


@pytest.mark.parametrize(
    "value", [None, math.nan, "", " ", "None", "null", "NaN", "nan", "N/A", -99, -999.0, -9999, "-999"]
)
def test_every_spelling_of_an_absence_is_one(value):
    assert is_absent(value)


@pytest.mark.parametrize("value", [0, 0.0, "0", "x", False, [], {}, 99, -998])
def test_what_says_something_is_no_absence(value):
    assert not is_absent(value)


@given(st.datetimes(datetime.datetime(1991, 1, 1), datetime.datetime(2099, 1, 1)))
def test_a_date_is_the_same_as_jd_mjd_and_in_words(date):
    jd = date.replace(tzinfo=datetime.UTC).timestamp() / 86400 + 2440587.5
    for spelt in (
        *((jd,), (str(jd),), (None, jd - 2400000.5), (math.nan, str(jd - 2400000.5)), (-999.0, jd - 2400000.5)),
        *((jd - 2400000.5,), (str(jd - 2400000.5),), (None, jd)),
        *((date.isoformat(),), (None, None, date.isoformat(" ")), ("", "", date.isoformat() + "Z")),
    ):
        assert julian_date(*spelt) == pytest.approx(jd, abs=2e-9)


@pytest.mark.parametrize("value", [0, -999, 30000.5, 1e308, "yesterday", True, [], 2500000.0, "1066-10-14"])
def test_what_is_no_date_of_a_survey_is_none(value):
    assert julian_date(value) is None


def test_a_whole_number_keeps_all_its_digits_and_a_float_is_none():
    assert whole_number("9223372036854775807") == whole_number(9223372036854775807) == 2**63 - 1
    assert whole_number(3e18) is whole_number("3e18") is whole_number("") is whole_number(None) is None


@given(ANY)
def test_anything_can_be_read_and_shown(value):
    number(value), sign_of(value), SPELLINGS.name(value), is_absent(value), julian_date(value, value, value)
    assert len(shown(value)) < 60
