import time
from collections.abc import Iterator

import pytest

from annotator.sandbox import Account, Sandbox, Topic, simulate_night

NIGHT = simulate_night(7, 60)


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock) -> Iterator[Sandbox]:
    """A Lasair that holds the night, with an annotator that is asleep, too."""
    accounts = (Account("power", "power"), Account("user", "user", "Jane Doe"), Account("other", "power"))
    topics = (Topic("aha_ztf", "power"), Topic("second", "power"), Topic("asleep", "power", active=0))
    with Sandbox(NIGHT, accounts=accounts, topics=topics, clock=clock) as running:
        yield running
