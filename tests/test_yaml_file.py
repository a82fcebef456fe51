"""YAML that brings a machine down is refused in a line."""

import itertools

import pytest

from annotator.errors import ConfigError
from annotator.yaml_file import MAX_BYTES, MAX_DEPTH, read_yaml

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in itertools.pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, r"found the alias \*a; write out what it stands for"),
        ("a: &a {b: *a}\n", r"found the alias \*a"),
        ("a: &a {b: 1}\nc: {<<: *a}\n", r"found the alias \*a"),
        ("[" * 100_000, f"nested more than {MAX_DEPTH} levels deep"),
        ("{a: " * 40_000, f"nested more than {MAX_DEPTH} levels deep"),
        ("- " * 50_000 + "x\n", f"nested more than {MAX_DEPTH} levels deep"),
        ("a: " + "x" * MAX_BYTES, "is longer than 200,000 bytes: is it one"),
    ],
    ids=["laughs", "itself", "merged", "brackets", "braces", "dashes", "long"],
)
def test_what_stands_for_more_than_it_has_or_is_too_deep_or_long_is_refused_in_a_line(tmp_path, text, words):
    path = tmp_path / "aha.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as refused:
        read_yaml(path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2026-99-99", "'2026-99-99' is no date and no number, and needs quotes"),
        ("{2026-99-99: 1}", "is no date and no number"),
        ("!!timestamp x", "is no date and no number"),
        ("!!float x", "is no date and no number"),
        ("9" * 5000, "is no date and no number"),
        ("1" + ":59" * 3000 + ".5", "is no date and no number"),
        ("0x" + "f" * 5000, "is far too large a number"),
        ('"a\\0b"', r"'a\\x00b' holds a character that no text has"),
        ('"\\ud800"', r"'\\ud800' holds a character"),
        ('{"a\\0b": 1}', "holds a character"),
    ],
    ids=["date", "key", "no date", "no number", "digits", "sixties", "hexadecimal", "nul", "surrogate", "nul in a key"],
)
def test_a_value_that_is_none_is_refused_in_a_line(tmp_path, value, words):
    path = tmp_path / "aha.yaml"
    path.write_text(f"a: {value}\n")
    with pytest.raises(ConfigError, match=words) as refused:
        read_yaml(path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_as_deep_as_a_configuration_may_be_is_read(tmp_path):
    path = tmp_path / "aha.yaml"
    path.write_text("a: " + "[" * (MAX_DEPTH - 1) + "1" + "]" * (MAX_DEPTH - 1))
    assert str(read_yaml(path)["a"]).count("[") == MAX_DEPTH - 1
