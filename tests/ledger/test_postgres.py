"""What is peculiar to a ledger on PostgreSQL."""

import sys
import time
import traceback

import pytest

from annotator.annotation import Annotation
from annotator.cli import main
from annotator.config import load_config
from annotator.errors import ConfigError, LedgerError
from annotator.ledger import Ledger, open_for_pass
from annotator.ledger.positions import Progress
from annotator.ledger_address import PASSWORD_VARIABLE, PostgresAddress
from annotator.passes.run import run_pass
from tests.conftest import TOKEN, write_config
from tests.ledger.postgres import LOCKED, PASSWORD
from tests.ledger.test_ledger import scored_object


def test_the_password_comes_from_the_environment_and_is_shown_nowhere(server, sandbox, tmp_path, monkeypatch, capsys):
    write_config(tmp_path, sandbox, ledger=server.address(LOCKED))
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    monkeypatch.delenv("PGPASSWORD", raising=False)
    said = ""
    for password, status in ((PASSWORD, 0), ("wr0ng-s3cret", 1), ("", 1)):
        monkeypatch.setenv(PASSWORD_VARIABLE, password)
        assert main(["check", "-c", str(tmp_path / "aha.yaml")]) == status
        config = load_config(tmp_path / "aha.yaml", {PASSWORD_VARIABLE: password})
        said += repr(config) + str(config.ledger) + "".join(capsys.readouterr())
        if status:
            with pytest.raises(LedgerError, match="password") as refused, open_for_pass(config.ledger):
                pass
            said += "".join(traceback.format_exception(refused.value))
    assert "postgresql+psycopg://keeper@/" in said and PASSWORD not in said and "wr0ng-s3cret" not in said


def test_libpq_s_own_password_is_used_where_there_is_no_other(server, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    Ledger(PostgresAddress(server.address(LOCKED))).close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://aha:s3cret@localhost/aha",
        "postgresql+psycopg://aha:@localhost/aha",
        "postgresql+psycopg://aha@localhost/aha?password=s3cret",
        "postgresql+psycopg://aha@localhost/aha?sslpassword=s3cret",
    ],
)
def test_a_password_in_an_address_is_refused_without_being_shown(url):
    with pytest.raises(ConfigError, match=f"must hold no password: .* {PASSWORD_VARIABLE}") as refused:
        PostgresAddress(url)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://aha@localhost/aha",
        "postgres://aha:s3cret@localhost/aha",
        "mysql://aha@localhost/aha",
        "sqlite:///aha.sqlite",
        "postgresql+psycopg://aha@localhost",
        "postgresql+psycopg://aha@localhost/",
        "postgresql+psycopg://aha:12/s3cret@localhost/aha",
        "postgresql+psycopg://aha:12#s3cret@localhost/aha",
        "postgresql+psycopg://aha@localhost:port/aha",
        "postgresql+psycopg://aha@localhost:70000/aha",
    ],
)
def test_an_address_of_anything_else_is_refused_with_what_was_expected(url):
    with pytest.raises(ConfigError, match=r"must (be the path of a file, or postgresql|hold no password)") as refused:
        PostgresAddress(url)
    assert "s3cret" not in str(refused.value)


def test_a_server_that_is_not_there_is_named(tmp_path):
    address = PostgresAddress(f"postgresql+psycopg://aha@/aha?host={tmp_path}")
    with pytest.raises(LedgerError, match=r"cannot open the ledger postgresql\+psycopg://aha@/aha.*No such file"):
        Ledger(address)


def test_without_psycopg_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LedgerError, match=r"pip install 'lasair-aha\[postgres\]'"):
        Ledger(PostgresAddress("postgresql+psycopg://aha@localhost/aha"))


def test_a_connection_that_the_server_ends_amid_a_batch_leaves_nothing_and_is_said_to_be_lost(server, postgres_address):
    def batch():
        yield scored_object()
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed'")

    with Ledger(PostgresAddress(f"{postgres_address}&application_name=doomed")) as ledger:
        with pytest.raises(LedgerError, match="terminating connection"):
            ledger.record(batch(), [], 1000.0, Progress("query", "position"))
        with pytest.raises(LedgerError, match=r"connection to the ledger .* was lost"):
            ledger.outbox.counts()
    with Ledger(postgres_address) as ledger:
        assert ledger.counts.objects() == 0 and ledger.positions.of("query") is None


def test_a_whole_pass_after_a_dry_one_keeps_the_same_on_either_database(postgres_address, sandbox, configure, models):
    kept = {}
    for ledger in ("ledger.sqlite", str(postgres_address)):
        config = configure(sandbox, ledger=ledger)
        dry: list[Annotation] = []
        run_pass(config, models, on_dry_annotation=dry.append)
        with Ledger(config.ledger, read_only=True) as opened:
            assert (
                opened.passes.last() is None
                and opened.counts.objects() == 0
                and opened.calls.last_hour(time.time())[0] > 0
            )
        assert run_pass(config, models).delivery.sent == len(dry) > 3
        with Ledger(config.ledger, read_only=True) as opened:
            names = [item.object_id for item in dry]
            assert opened.outbox.last_sent(names) == {item.object_id: item for item in dry}
            kept[ledger] = {
                "scores": [
                    dict(row, scored_at=0.0) for rows in opened.scores.histories(names).values() for row in rows
                ],
                "snapshots": opened.kept.snapshots(names).keys(),
                "to announce": opened.announcements.to_announce(),
                "bins": opened.counts.of_bins(models.version),
                "outcome": opened.passes.last().outcome,
                "counts": opened.passes.last().counts,
            }
    on_file, on_server = kept.values()
    assert on_file == on_server
