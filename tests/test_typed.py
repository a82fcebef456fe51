import contextlib
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from annotator.typed import Typed, decode


class Refractor(Typed, tag_field="kind", tag="refractor"):
    aperture_cm: Annotated[float, Meta(gt=0, lt=200)]


class Radio(Typed, tag_field="kind", tag="radio"):
    dishes: Annotated[int, Meta(ge=1)] = 1


class Night(Typed):
    site: Annotated[str, Meta(min_length=1)]
    telescope: Refractor | Radio | None = None
    moon: Literal["new", "full"] = "new"
    seeing: tuple[Annotated[float, Meta(ge=0)], ...] = ()
    log: Path | None = None
    first: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"last ({self.last}) must not be before first ({self.first})")


class Campaign(Typed):
    nights: Annotated[tuple[Night, ...], Meta(max_length=3, description="one to three nights")] = ()


def test_plain_data_become_values_and_texts_paths():
    content = {"nights": [{"site": "Siding Spring", "telescope": {"kind": "radio", "dishes": 2}, "log": "~/night.txt"}]}
    (night,) = decode(content, Campaign).nights
    assert night == Night("Siding Spring", Radio(2), log=Path("~/night.txt").expanduser())


@pytest.mark.parametrize(
    ("night", "words"),
    [
        ({}, "missing key nights[0].site"),
        ({"sight": "x"}, "unknown key nights[0].sight; known here: first, last, log, moon, seeing, site, telescope"),
        ({"site": ""}, "nights[0].site must be text; found ''"),
        ({"site": 5}, "nights[0].site must be text; found 5"),
        ({"site": "x" * 100, "moon": "x" * 100}, f"nights[0].moon must be one of full, new; found '{'x' * 79}..."),
        ({"site": "x", "seeing": [1, -1]}, "nights[0].seeing[1] must be a number from 0; found -1"),
        ({"site": "x", "seeing": "1"}, "nights[0].seeing must be a list; found '1'"),
        ({"site": "x", "log": 5}, "nights[0].log must be a path, or null; found 5"),
        (
            {"site": "x", "telescope": 5},
            "nights[0].telescope must be a mapping of keys with kind, one of refractor, radio, or null; found 5",
        ),
        ({"site": "x", "telescope": {}}, "nights[0].telescope.kind must be one of refractor, radio; found nothing"),
        (
            {"site": "x", "telescope": {"kind": "dipole"}},
            "nights[0].telescope.kind must be one of refractor, radio; found 'dipole'",
        ),
        ({"site": "x", "telescope": {"kind": "refractor"}}, "missing key nights[0].telescope.aperture_cm"),
        (
            {"site": "x", "telescope": {"kind": "refractor", "aperture_cm": 0}},
            "nights[0].telescope.aperture_cm must be a number above 0 below 200; found 0",
        ),
        (
            {"site": "x", "telescope": {"kind": "radio", "aperture_cm": 5}},
            "unknown key nights[0].telescope.aperture_cm; known here: dishes, kind",
        ),
        ({"site": "x", "first": 2, "last": 1}, "nights[0].last (1) must not be before first (2)"),
        ("x", "nights[0] must be a mapping of keys; found 'x'"),
    ],
    ids=lambda value: value.partition("nights[0]")[2][:40].strip(" .;") if isinstance(value, str) else "",
)
def test_what_is_wrong_is_named_with_what_was_expected(night, words):
    with pytest.raises(ValueError, match="nights") as failure:
        decode({"nights": [night]}, Campaign)
    assert str(failure.value).startswith(words)


def test_a_description_stands_for_what_is_expected():
    with pytest.raises(ValueError, match=r"^nights must be one to three nights; found \[\{'site': 'x'\}, "):
        decode({"nights": [{"site": "x"}] * 4}, Campaign)
    with pytest.raises(ValueError, match=r"^expected a mapping of keys; found nothing$"):
        decode(None, Campaign)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["radio", "full", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*Night.__struct_fields__, "kind", "nights", "` - at `$.x`"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.fixed_dictionaries({"nights": st.lists(_ANYTHING, max_size=3)}) | _ANYTHING)
def test_any_data_are_a_value_or_a_clear_error(content):
    with contextlib.suppress(ValueError):
        assert isinstance(decode(content, Campaign), Campaign)
