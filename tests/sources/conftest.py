import itertools
from collections.abc import Iterator

import pytest

from annotator.config import StreamSource
from tests.sources.kafka_faults import FaultyBroker
from tests.sources.kafka_reader import Reader

_numbers = itertools.count()


@pytest.fixture(scope="module")
def broker() -> Iterator[FaultyBroker]:
    with FaultyBroker() as faulty:
        yield faulty


@pytest.fixture
def source(broker) -> StreamSource:
    """A topic and a group of the test's own; the topic is not there yet."""
    number = next(_numbers)
    return StreamSource(f"lasair_2test{number}", f"group-{number}", broker.bootstrap, 30)


@pytest.fixture
def reader(source) -> Reader:
    return Reader(source)
