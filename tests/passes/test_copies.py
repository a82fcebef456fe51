"""Copies of one object among records: the one with the light curve counts, and is looked for so far and no farther."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import SourceError
from annotator.passes.copies import WITHIN, completed
from annotator.transient import LightCurve, Transient

CURVE = LightCurve(np.array([61000.0]), np.array(["r"]), np.array([9e3]), np.array([1e2]), np.array([False]))
REFUSED = "what was refused"


def copy(object_id, mjd=61000.0, has_curve=False):
    return Transient(object_id, "lsst", last_mjd=mjd, light_curve=CURVE if has_curve else None)


copies = st.builds(copy, st.sampled_from("abc"), st.sampled_from((61000.0, 61001.0, None)), st.booleans())


@given(st.lists(copies | st.just(REFUSED), max_size=30))
def test_each_record_has_its_place_and_a_copy_with_the_light_curve_is_in_that_of_one_without(items):
    found = list(completed(items))
    assert len(found) == len(items)
    epochs = {
        (item.object_id, item.last_mjd)
        for item in items
        if item is not REFUSED and item.light_curve is not None and item.last_mjd is not None
    }
    for before, after in zip(items, found, strict=True):
        if before is REFUSED or before.light_curve is not None:
            assert after is before
            continue
        assert (after.object_id, after.last_mjd) == (before.object_id, before.last_mjd)
        assert (after.light_curve is not None) == ((before.object_id, before.last_mjd) in epochs)


@pytest.mark.parametrize("apart", [1, WITHIN, WITHIN + 1, 3 * WITHIN])
@pytest.mark.parametrize("is_whole_first", [True, False])
def test_the_other_copy_is_looked_for_among_so_many_records_before_and_after(apart, is_whole_first):
    others = [copy("another", has_curve=True)] * (apart - 1)
    first, *_, last = completed([copy("a", has_curve=is_whole_first), *others, copy("a", has_curve=not is_whole_first)])
    assert (first.light_curve is not None and last.light_curve is not None) == (apart <= WITHIN)


def test_no_more_is_read_ahead_than_is_looked_through():
    taken = itertools.count()
    found = completed(copy("a" if number == 0 else str(number), has_curve=number > 0) for number in taken)
    assert next(found).light_curve is None and next(taken) <= WITHIN + 2


def test_a_copy_with_a_light_curve_waits_for_nothing():
    taken = itertools.count()
    found = completed(copy("a", has_curve=True) for _ in taken)
    assert next(found).light_curve is CURVE and next(taken) == 1


def test_what_came_before_a_fault_is_through_before_it():
    def items():
        yield copy("a")
        yield copy("b", has_curve=True)
        raise SourceError("cut off")

    found = completed(items())
    assert [next(found).object_id, next(found).object_id] == ["a", "b"]
    with pytest.raises(SourceError, match="cut off"):
        next(found)
