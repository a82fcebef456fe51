"""The short form of `make faults`: a try of each fault leaves what an undisturbed life leaves."""

import time

import pytest

from tests.conftest import of_the_long_suite
from tests.faults.catalogue import FAULTS
from tests.faults.disk import Step, after_power_loss
from tests.faults.laboratory import compare, make_try
from tests.faults.scenario import Outcome, Scenario, make_scenario


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return make_scenario(1, float(round(time.time())), n_objects=16)


OF_RUBIN = ("applied twice", "queue down", "older one read back", "batch half applied", "stream of three kinds")
"""At Rubin's Lasair these stand for the others in short; those that befall ZTF's, too, are tried there."""
READ_ELSEWHERE = ("hostile answers to object", "hostile cutouts")
"""What reads these is given hostile ones in `tests/lasair` and `tests/preprocess` as well."""
IN_SHORT = [
    item
    for item in FAULTS
    if item.name not in READ_ELSEWHERE and (not item.name.startswith("lsst: ") or item.name.endswith(OF_RUBIN))
]


@pytest.mark.parametrize(
    "fault",
    [*IN_SHORT, *of_the_long_suite(*(item for item in FAULTS if item not in IN_SHORT))],
    ids=lambda fault: fault.name,
)
def test_a_fault_loses_and_changes_nothing(fault, scenario):
    verdict, _ = make_try(fault, scenario, seed=1, number=1)
    assert verdict.holds, verdict


# The laboratory's own instruments


def test_what_is_missing_is_lost_and_what_differs_is_changed():
    before = Outcome({"a": (1,), "b": (2,), "c": (3,)}, {"a": (1,)})
    assert compare(before, before) == (0, 0)
    assert compare(before, Outcome({"a": (1,), "b": (9,)}, {"a": (1,)})) == (1, 1)
    assert compare(before, Outcome(before.held, {})) == (1, 0)


class Always:
    """A chance that keeps everything that is not synced, or nothing."""

    def __init__(self, keeps: bool) -> None:
        self.random = lambda: 0.0 if keeps else 1.0


STEPS = (
    Step("write", "ledger", 0, b"a" * 512),
    Step("sync", "ledger"),
    Step("write", "ledger", 256, b"b" * 512),
    Step("write", "journal", 0, b"j"),
    Step("truncate", "ledger", 300),
)


def test_a_disk_without_power_keeps_what_was_synced():
    assert after_power_loss({}, STEPS, Always(False)) == {"ledger": b"a" * 512, "journal": b""}


def test_a_disk_without_power_may_keep_what_was_not_synced():
    kept = after_power_loss({"old": b"o"}, STEPS, Always(True))
    assert kept == {"old": b"o", "ledger": b"a" * 256 + b"b" * 44, "journal": b"j"}
    assert "old" not in after_power_loss({"old": b"o"}, [Step("delete", "old")], Always(True))
    assert "old" in after_power_loss({"old": b"o"}, [Step("delete", "old")], Always(False))
