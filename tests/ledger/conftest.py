import importlib.util
from pathlib import Path

import pytest

from annotator.cli import main
from annotator.ledger import Ledger, open_for_pass
from annotator.ledger_address import PostgresAddress
from tests.ledger import postgres
from tests.ledger.used import NOW, record


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


@pytest.fixture
def used(tmp_path) -> Path:
    """Where a ledger lies that a pass has used."""
    path = tmp_path / "ledger.sqlite"
    with open_for_pass(path) as ledger:
        record(ledger, "ZTF99aaaaaaa", "ZTF99aaaaaab")
        ledger.calls.count("query", NOW)
    return path


@pytest.fixture
def command(used, tmp_path, capsys):
    """Call `aha-annotator ledger` of that ledger; it gives the exit status and what is printed."""
    example = (Path(__file__).parents[2] / "annotator" / "example.yaml").read_text()
    (tmp_path / "aha.yaml").write_text(example.replace("aha-ledger.sqlite", "ledger.sqlite"))

    def call(*words: str) -> tuple[int, str]:
        status = main(["ledger", words[0], "-c", str(tmp_path / "aha.yaml"), *words[1:]])
        return status, "".join(capsys.readouterr())

    return call
