"""What time it is, where clocks disagree."""

from hypothesis import given
from hypothesis import strategies as st

from annotator.clock import Clock

MOMENTS = st.floats(0, 4e9)


@given(MOMENTS, st.lists(MOMENTS))
def test_now_is_the_latest_of_all_clocks(ours, others):
    clock = Clock(lambda: ours)
    for number, said in enumerate(others):
        clock.hear(str(number), said)
    assert abs(clock() - max(ours, *others, ours)) < 1e-3
    assert abs(clock.disagreement_s - (max(ours, *others, ours) - min(ours, *others, ours))) < 1e-3


def test_a_clock_that_was_heard_goes_on():
    ours = [1000.0]
    clock = Clock(lambda: ours[0])
    clock.hear("Lasair", 5000.0)
    ours[0] += 10
    assert clock() == 5010.0


def test_what_can_be_no_time_is_not_heard():
    clock = Clock(lambda: 1.8e9)
    for said in (253_402_300_799.0, 1.8e12, 1e300, float("inf")):
        clock.hear("Lasair", said)
        clock.hear_past("Kafka", said)
    assert clock() == 1.8e9 and clock.ahead_s == {}


def test_alone_it_is_our_clock():
    clock = Clock(lambda: 7.0)
    assert clock() == 7.0
    assert clock.disagreement_s == 0.0


def test_what_was_said_later_on_the_way_is_not_what_a_clock_says():
    clock = Clock(lambda: 1000.0)
    clock.hear("Lasair", 1060.0)
    clock.hear("Lasair", 1058.0)  # it took two seconds longer to come
    assert clock() == 1060.0


def test_a_moment_that_has_passed_puts_no_clock_back():
    clock = Clock(lambda: 1000.0)
    clock.hear_past("Kafka", 10.0)
    assert clock() == 1000.0 and clock.disagreement_s == 0.0 and not clock.is_confirmed
    clock.hear_past("Kafka", 9000.0)
    assert clock() == 9000.0 and clock.disagreement_s == 8000.0 and not clock.is_confirmed


def test_clocks_are_right_where_another_agrees_within_an_hour():
    clock = Clock(lambda: 1000.0)
    clock.hear("Lasair", 1000.0 - 3599)
    assert clock.is_confirmed
    clock.hear("Kafka", 1002.0)
    assert not clock.is_confirmed
