"""What is news of an object that Lasair holds an annotation of: views may come and go, measurements may not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.annotation import Annotation
from annotator.decision.sending import must_send
from annotator.models.calibration import combined_score

CLASSES = ("anomaly", "watch", "artefact")
VIEWS = ("features", "lightcurve", "triplet")
MARGIN = 0.3


def said(views: dict[str, float], mjd: float = 61000.0, **changes: object) -> Annotation:
    """What the models say of an object of these views."""
    score = round(combined_score(views.values()), 4)
    classification = "anomaly" if score >= 3 else "watch" if score >= 2 else "normal"
    numbers = {"score": score, "mjd": mjd} | {f"{name}_score": value for name, value in views.items()}
    fields = {"classification": classification, "version": "aha-ztf-1.0", "topic": "aha_ztf"} | changes
    return Annotation("ZTF99aaaaaaa", classdict=numbers, **fields)


def is_news(new: Annotation, held: Annotation, waits: bool = False) -> bool:
    return must_send(new, held, CLASSES, MARGIN, waits)


@pytest.mark.parametrize("waits", [True, False], ids=["while it waits", "for good"])
@pytest.mark.parametrize(
    ("views", "lost"),
    [
        ({"features": 3.1, "lightcurve": 3.1}, "lightcurve"),  # 2.8, watch; without the other 3.1, anomaly
        ({"features": 3.1, "lightcurve": 3.1}, "features"),
        ({"features": 1.0, "lightcurve": 3.9}, "lightcurve"),  # what carried it is gone
        ({"features": 2.5, "lightcurve": 2.2, "triplet": 3.0}, "triplet"),
    ],
    ids=["it crosses a threshold upwards", "whichever of two it is", "it carried the score", "one of three"],
)
def test_a_view_that_is_lost_is_no_news(views, lost, waits):
    left = {name: value for name, value in views.items() if name != lost}
    assert not is_news(said(left), said(views), waits)
    assert not is_news(said(views), said(views))


def test_while_a_view_waits_what_lasair_has_stands_whatever_the_others_say():
    held = said({"features": 2.0, "lightcurve": 2.6})
    for views in ({"features": 0.5}, {"features": 5.0}, {"features": 5.0, "triplet": 1.0}):
        assert not is_news(said(views, mjd=61001.0), held, waits=True)
        assert not is_news(said(views, mjd=61001.0, version="aha-ztf-1.1"), held, waits=True)


def test_of_a_view_that_it_never_had_nothing_is_waited_for():
    held = said({"features": 2.2})
    assert is_news(said({"features": 2.6}, mjd=61001.0), held, waits=True)
    assert is_news(said({"features": 3.0}, mjd=61001.0), held, waits=True)
    assert is_news(said({"features": 2.2, "triplet": 0.1}), held, waits=True)


def test_where_a_view_is_lost_for_good_the_same_views_are_compared():
    held = said({"features": 2.8, "lightcurve": 2.6})  # 2.5
    assert not is_news(said({"features": 2.9}, mjd=61001.0), held)  # moved by 0.1, to the eye by 0.4
    assert is_news(said({"features": 3.2}, mjd=61001.0), held)
    assert is_news(said({"features": 2.5}, mjd=61001.0), held)
    assert is_news(said({"features": 3.01}, mjd=61001.0), held)  # another class, by what was measured since


def test_another_model_set_topic_or_word_of_a_person_is_news():
    views = {"features": 3.2}
    assert is_news(said(views, version="aha-ztf-1.1"), said(views))
    assert is_news(said(views, topic="aha_other"), said(views | {"triplet": 1.0}), waits=True)
    judged = said(views, classification="normal", explanation="Judged regular by a person on 2099-03-01.")
    assert is_news(judged, said(views | {"triplet": 1.0}), waits=True)
    assert is_news(said(views), judged) and not is_news(judged, judged)


def test_a_state_before_the_one_that_lasair_has_is_no_news():
    """A ledger that was made anew reads the stream from its oldest message."""
    held = said({"features": 3.2}, mjd=61005.0)
    assert not is_news(said({"features": 2.2}, mjd=61004.0), held)
    assert is_news(said({"features": 2.2}, mjd=61005.0), held)


PRESENT = st.lists(st.tuples(st.sets(st.sampled_from(VIEWS), min_size=1), st.booleans()), min_size=1, max_size=12)
MEASURED = st.fixed_dictionaries({name: st.floats(0.0, 5.0).map(lambda x: round(x, 4)) for name in VIEWS})


@given(MEASURED, PRESENT)
def test_views_that_come_and_go_are_written_at_most_once_for_each_that_was_gained(measured, history):
    held, gained, writes, before = None, 0, 0, frozenset()
    for present, waits in history:
        gained += len(present - before)
        before = present
        new = said({name: measured[name] for name in present})
        if must_send(new, held, CLASSES, MARGIN, waits):
            held, writes = new, writes + 1
    assert writes <= gained


@given(MEASURED, PRESENT)
def test_once_all_views_are_there_lasair_has_what_they_say_together(measured, history):
    held = None
    for present, waits in [*history, (frozenset(VIEWS), False)]:
        new = said({name: measured[name] for name in present})
        held = new if must_send(new, held, CLASSES, MARGIN, waits) else held
    together = said(measured)
    if held is None or held.classification == "normal":
        assert together.classification == "normal"  # which is not written over nothing, nor over itself
    else:
        assert held == together


@given(MEASURED, st.floats(MARGIN, 2.0), st.sampled_from(VIEWS))
def test_the_same_views_are_written_again_once_they_have_moved_by_the_margin(measured, step, name):
    moved = measured | {name: round(max(measured.values()) + step, 4)}
    far = combined_score(moved.values()) - combined_score(measured.values())
    new, held = said(moved, mjd=61001.0), said(measured)
    expected = new.classification != held.classification or (new.classification != "normal" and far >= MARGIN)
    assert is_news(new, held) is expected or math.isclose(far, MARGIN, abs_tol=1e-3)
