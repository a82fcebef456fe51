"""No text of a table is run as a formula by who opens it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.tables.formulas import as_text, from_text


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1+1", "\uff20A1", "'=1", "''@a"],
)
def test_what_a_spreadsheet_would_run_is_made_a_text_and_back(text):
    assert as_text(text) == f"'{text}"
    assert from_text(as_text(text)) == text


@pytest.mark.parametrize("text", ["", "SN Ia", "O'Neill", "'quoted'", "a=b", "-999", "+1.5e-3", "12", "'", "''"])
def test_a_number_and_any_other_text_stay_as_they_are(text):
    assert as_text(text) == from_text(text) == text


@given(st.text(st.sampled_from("'=+-@\t\r\n\uff0b1.ae "), max_size=6))
def test_every_text_is_read_again_as_it_was(text):
    assert from_text(as_text(text)) == text
