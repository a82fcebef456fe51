"""What a pass does for the ledger once a night."""

from annotator.clock import Clock
from annotator.config import RetentionConfig
from annotator.ledger import Ledger, open_for_pass
from annotator.passes.upkeep import forget, look_after
from tests.ledger.damage import damage_an_index
from tests.ledger.test_ledger import scored_object


def test_damage_is_a_problem_of_every_pass_and_a_sound_ledger_is_looked_through_once_a_night(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with open_for_pass(path) as ledger:
        ledger.record([scored_object()], [], 0.0)
        assert look_after(ledger, 61000) == []
    damage_an_index(path)
    with Ledger(path) as ledger:
        assert look_after(ledger, 61000) == []  # it was, this night
        for _ in range(2):
            (said,) = look_after(ledger, 61001)
            assert "is damaged" in said and "ledger restore" in said and "rebuild" in said


def test_after_a_step_that_broke_off_the_ledger_is_looked_through_once_more(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with open_for_pass(path) as ledger:
        ledger.record([scored_object()], [], 0.0)
        assert look_after(ledger, 61000) == [] == look_after(ledger, 61000, is_suspect=True)
    damage_an_index(path)
    with Ledger(path) as ledger:
        (said,) = look_after(ledger, 61000, is_suspect=True)
        assert "is damaged" in said


def test_nothing_is_forgotten_by_its_age_while_nobody_confirms_what_time_it_is(tmp_path):
    clock, a_year_s = Clock(lambda: 1.8e9), 366 * 86_400
    with open_for_pass(tmp_path / "ledger.sqlite") as ledger:
        for number in range(3):
            ledger.record([scored_object(classification="normal")], [], 1.8e9 - a_year_s + number)
        forget(ledger, RetentionConfig(), 0, clock, lambda: False, ())
        assert len(ledger.scores.history("ZTF99aaaaaaa")) == 3
        clock.hear("Lasair", 1.8e9)
        forget(ledger, RetentionConfig(), 0, clock, lambda: True, ())  # whoever has to stop does
        assert len(ledger.scores.history("ZTF99aaaaaaa")) == 3
        forget(ledger, RetentionConfig(), 0, clock, lambda: False, ())
        assert len(ledger.scores.history("ZTF99aaaaaaa")) == 1
