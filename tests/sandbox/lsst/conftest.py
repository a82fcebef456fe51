from collections.abc import Iterator

import lasair
import pytest

from annotator.sandbox import Account, LsstSandbox, Topic, simulate_rubin_night
from annotator.sandbox.sky.rubin.night import RubinNight


class Clock:
    """A clock that only moves when told to; it begins at the night's own present."""

    def __init__(self, now_s: float) -> None:
        self.now = now_s

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def rubin_night() -> RubinNight:
    return simulate_rubin_night(7, 24, now_mjd=61400.4)


@pytest.fixture
def clock(rubin_night) -> Clock:
    return Clock((rubin_night.now_mjd - 40587.0) * 86400)


@pytest.fixture
def sandbox(rubin_night, clock) -> Iterator[LsstSandbox]:
    """A Lasair for Rubin that holds the night, with an annotator that is asleep, too."""
    accounts = (Account("power", "power"), Account("user", "user", "Jane Doe"), Account("other", "power"))
    topics = (Topic("aha_lsst", "power"), Topic("second", "power"), Topic("asleep", "power", active=0))
    with LsstSandbox(rubin_night, accounts=accounts, topics=topics, clock=clock) as running:
        yield running


@pytest.fixture
def power(sandbox) -> lasair.lasair_client:
    """Lasair's own client, with an account that may call often."""
    return lasair.lasair_client("power", endpoint=sandbox.url)
