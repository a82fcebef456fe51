import importlib.util

import pytest

from annotator.ledger import Ledger
from annotator.ledger_address import PostgresAddress
from tests.ledger import postgres


@pytest.fixture(scope="session")
def server():
    reason = postgres.why_missing() or ("" if importlib.util.find_spec("psycopg") else "psycopg is not installed")
    if reason:
        pytest.skip(reason)
    server = postgres.Server()
    yield server
    server.stop()


@pytest.fixture
def postgres_address(server):
    return PostgresAddress(server.new_schema())


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def address(request, tmp_path):
    """Where a ledger can lie, and none is yet."""
    if request.param == "SQLite":
        return tmp_path / "ledger.sqlite"
    return request.getfixturevalue("postgres_address")


@pytest.fixture
def ledger(address):
    with Ledger(address) as opened:
        yield opened
