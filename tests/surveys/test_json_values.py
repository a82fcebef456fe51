"""JSON as brokers write it: one result, whichever of the two ways a text took."""

import json
import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from annotator.errors import RecordError
from annotator.surveys.json_values import JsonObject, decode, text_of, undecoded

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


@given(VALUES, st.booleans())
@example("\ud800", False)
def test_what_is_decoded_is_what_the_standard_library_reads_to_the_last_digit(value, escaped):
    text = json.dumps(value, ensure_ascii=escaped)
    if _HALF_A_PAIR.search(text):  # which no UTF-8 holds but as an escape
        text = json.dumps(value)
    for written in (text, text.encode(), "\ufeff" + text):
        assert repr(decode(written)) == repr(json.loads(text))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", '"\\ud800"', "9" * 400])
def test_one_value_that_strict_json_has_not_changes_nothing_of_the_others(word):
    strict = {"candid": 2**63 - 1, "jd": 2461000.7000000002, "texts": ["NaN, 1", "é", "\U0001f52d"], "none": None}
    text = json.dumps(strict)
    found = decode(f'{text[:-1]}, "odd": {word}}}')
    assert repr(found.pop("odd")) == repr(json.loads(word)) and found == strict


def test_a_number_beyond_all_floats_is_infinite_and_one_of_many_digits_whole():
    assert decode("[1e400, -1e400]") == [math.inf, -math.inf]
    assert decode("9" * 400) == int("9" * 400)
    assert decode(f'{{"long": -{"9" * 5000}, "n": {"9" * 400}}}') == {"long": -math.inf, "n": int("9" * 400)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON: Expecting value"),
        ('{"a": nan}', "not JSON: Expecting value"),
        ('{"a": 1,}', "not JSON: "),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused_with_the_true_reason(text, reason):
    for written in (text, text.encode()):
        with pytest.raises(RecordError, match=reason):
            decode(written)


def test_bytes_that_are_no_text_spoil_themselves_alone():
    assert decode(b'{"objectId": "ZTF99aaaaaaa", "x": "\xff"}') == {"objectId": "ZTF99aaaaaaa", "x": "\ufffd"}


def test_recorded_streams_with_nan_are_read_whole(shared):
    for path in sorted((shared / "fixtures").rglob("*.json")):
        text = path.read_text(encoding="utf-8")
        try:
            expected = json.loads(text)
        except ValueError:
            with pytest.raises(RecordError):
                decode(text)
        else:
            assert repr(decode(text)) == repr(expected)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), st.booleans())
def test_an_object_is_what_it_says_whether_it_is_decoded_at_once_or_when_it_is_read(value, escaped):
    text = json.dumps(value, ensure_ascii=escaped)
    found = undecoded(text)
    assert repr(dict(found)) == repr(decode(text)) and len(found) == len(value)
    assert repr(json.loads(text_of(found))) == repr(value)


def test_an_object_of_strict_json_is_not_decoded_before_it_is_read_and_stays_as_it_came():
    text = '{"objectId": "é", "jd":  1.50, "n": 1e400}'
    assert isinstance(undecoded(text), JsonObject)
    assert text_of(undecoded(text.encode())) == text
    assert undecoded("[1]") == [1] and undecoded("3") == 3
    assert text_of({"objectId": "é"}) == '{"objectId": "\\u00e9"}'


@pytest.mark.parametrize(
    "text", ['{"a": 1', '{"a": 1,}', '{"a": tru}', '{"a": 1} x', '{"a": "\x01"}', "{" + '"a":{' * 100_000]
)
def test_a_broken_object_is_refused_at_the_door(text):
    with pytest.raises(RecordError):
        undecoded(text)
