"""Which records say something new: of two of one state the one with the light curve counts, whichever came first."""

import itertools

import numpy as np
import pytest

from annotator.decision.changes import as_seen, changed
from annotator.decision.objects import ScoredState
from annotator.transient import LightCurve, Transient

MJD = 61000.0
NONE = np.empty(0)
CURVE = LightCurve(
    np.array([MJD]), np.array(["r"]), np.array([2000.0]), np.array([150.0]), np.array([False]), NONE, NONE, NONE
)


def seen(curve, mjd=MJD, object_id="a", n_det=1):
    transient = Transient(object_id, "lsst", n_det=n_det, last_mjd=mjd, light_curve=curve)
    return as_seen(transient, {"UTC": "now"})


def known(item, model_set="aha-1.0"):
    return {item.transient.object_id: ScoredState(item.digest, model_set, item.transient.last_mjd, None)}


@pytest.mark.parametrize("order", [*itertools.permutations([CURVE, None, None])])
def test_of_copies_in_one_batch_the_one_with_the_light_curve_counts(order):
    copies = [seen(curve) for curve in order]
    (fresh,) = changed(copies, {}, "aha-1.0")
    assert fresh.transient.light_curve is CURVE


def test_a_copy_without_the_light_curve_says_nothing_new_in_a_later_batch_and_one_with_it_does():
    whole, bare = seen(CURVE), seen(None)
    assert changed([bare], known(whole), "aha-1.0") == []
    assert changed([whole], known(bare), "aha-1.0") == [whole]


def test_a_bare_record_counts_where_it_is_of_a_later_epoch_another_object_or_for_other_models():
    whole = seen(CURVE)
    later, other, bare = seen(None, MJD + 1), seen(None, object_id="b"), seen(None)
    assert changed([whole, later, other], {}, "aha-1.0") == [whole, later, other]
    assert changed([later], known(whole), "aha-1.0") == [later]
    assert changed([bare], known(whole), "aha-2.0") == [bare]


def test_bare_records_alone_are_compared_as_ever():
    first, second = seen(None, n_det=1), seen(None, n_det=2)
    assert changed([first, second], {}, "aha-1.0") == [first, second]
    assert changed([first], known(second), "aha-1.0") == [first]
