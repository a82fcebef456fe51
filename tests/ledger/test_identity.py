"""A ledger that is gone, empty or another than last time is missed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from annotator.cli import main
from annotator.errors import LedgerError, LedgerMissingError
from annotator.ledger import Ledger, forget_known, open_for_pass, open_known, open_or_begin, open_to_read
from annotator.ledger_address import LedgerAddress, PostgresAddress
from tests.conftest import TOKEN
from tests.ledger.test_ledger import scored_object

LASAIR = "lasair: {endpoint: http://127.0.0.1:9/api, calls_per_hour: 100}\n"
READERS: dict[str, Callable[[LedgerAddress], object]] = {
    "a pass": lambda address: open_for_pass(address).__enter__(),
    "whatever belongs to a pass": open_known,
    "what would begin one": open_or_begin,
    "what only reads": open_to_read,
}


@pytest.fixture
def address(address, tmp_path) -> LedgerAddress:
    """Where a ledger can lie, as a configuration names it."""
    return PostgresAddress(address.url, folder=tmp_path) if isinstance(address, PostgresAddress) else address


def lose(address: LedgerAddress, request: pytest.FixtureRequest) -> None:
    if isinstance(address, PostgresAddress):
        schema = address.url.rpartition("%3D")[2]
        request.getfixturevalue("server").sql(f"DROP SCHEMA {schema} CASCADE; CREATE SCHEMA {schema}")
    else:
        address.unlink()


def id_file(tmp_path: Path) -> Path:
    (found,) = tmp_path.glob("*.id")
    return found


def test_the_first_pass_begins_a_ledger_and_every_later_one_has_the_same(address):
    found = set()
    for _ in range(3):
        with open_for_pass(address) as ledger:
            found.add(ledger.identity.ledger_id)
    assert len(found) == 1


def test_a_ledger_is_of_one_topic_of_one_survey(address):
    with open_for_pass(address) as ledger:
        ledger.identity.check_topic("ztf", "aha_ztf")
        for _ in range(2):
            ledger.identity.note_topic("ztf", "aha_ztf")
        for survey, topic in (("ztf", "aha_two"), ("lsst", "aha_ztf")):
            with pytest.raises(LedgerError, match=rf"topic aha_ztf of ztf, .* {topic} of {survey}: give it a ledger"):
                ledger.identity.note_topic(survey, topic)


@pytest.mark.parametrize("command", ["report", "status", "explain", "verdicts", "refused"])
def test_what_reads_the_ledger_of_another_survey_says_so_and_ends_with_an_error(command, tmp_path, capsys):
    with open_for_pass(tmp_path / "aha-ledger.sqlite") as ledger:
        ledger.identity.note_topic("ztf", "aha_ztf")
    (tmp_path / "aha.yaml").write_text(
        f"survey: lsst\n{LASAIR}source: {{kind: query}}\nannotation: {{topic: aha_lsst}}\n"
    )
    of = ["90123"] if command == "explain" else []
    assert main([command, *of, "-c", str(tmp_path / "aha.yaml")]) == 1
    assert (
        "is that of the topic aha_ztf of ztf, and this configuration writes aha_lsst of lsst" in capsys.readouterr().err
    )


def test_whoever_may_read_a_ledger_may_read_which_it_is(tmp_path):
    before = os.umask(0o077)
    try:
        with open_for_pass(tmp_path / "ledger.sqlite"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "ledger.sqlite.id").stat().st_mode & 0o777 == 0o644


def test_no_two_ledgers_are_the_same(tmp_path):
    found = set()
    for name in ("a", "b"):
        with Ledger(tmp_path / name) as ledger:
            found.add(ledger.identity.ledger_id)
    assert len(found) == 2


@pytest.mark.parametrize("state", ["is gone", "is another"])
def test_a_ledger_that_is_gone_or_another_is_an_error_that_says_how_to_go_on(address, state, request):
    with open_for_pass(address):
        pass
    lose(address, request)
    if state == "is another":
        Ledger(address).close()
    for reader in READERS.values():
        with pytest.raises(LedgerError, match=rf"{state}.*backup.*aha-annotator rebuild.*--new-ledger") as missed:
            reader(address)
        assert not isinstance(missed.value, LedgerMissingError)
    if state == "is gone" and isinstance(address, Path):
        assert not address.exists()
    forget_known(address)
    with open_for_pass(address) as ledger:
        assert ledger.counts.objects() == 0
    with open_for_pass(address):
        pass


@pytest.mark.parametrize("content", [b"", b"SQLite", bytes(4096)], ids=["empty", "cut off", "zeros"])
def test_an_empty_or_damaged_file_is_not_taken_for_a_new_ledger(tmp_path, content):
    path = tmp_path / "ledger.sqlite"
    with open_for_pass(path):
        pass
    path.write_bytes(content)
    with pytest.raises(LedgerError), open_for_pass(path):
        pass
    assert path.read_bytes() == content


def test_a_restored_backup_is_the_same_ledger(tmp_path):
    path, backup = tmp_path / "ledger.sqlite", tmp_path / "backup"
    with open_for_pass(path) as ledger:
        ledger.record([scored_object()], [], 1.0)
    shutil.copy(path, backup)
    with open_for_pass(path) as ledger:
        ledger.record([scored_object("ZTF99aaaaaab")], [], 2.0)
    os.replace(backup, path)
    with open_for_pass(path) as ledger:
        assert ledger.counts.objects() == 1


@pytest.mark.parametrize("content", ["", "no identity\n"], ids=["empty", "of something else"])
def test_a_note_that_a_loss_of_power_has_emptied_is_written_again(address, tmp_path, content, caplog):
    with open_for_pass(address) as ledger:
        known = ledger.identity.ledger_id
    id_file(tmp_path).write_text(content)
    with open_for_pass(address):
        pass
    assert id_file(tmp_path).read_text().startswith(known)
    assert "does not say which ledger is used here" in caplog.text


def test_where_nothing_can_be_noted_a_pass_is_made_all_the_same(postgres_address, tmp_path, caplog):
    address = PostgresAddress(postgres_address.url, folder=tmp_path / "absent")
    with open_for_pass(address), open_known(address):
        pass
    assert "its loss would not be noticed" in caplog.text


def test_ledgers_of_one_configuration_folder_are_not_confused(tmp_path):
    addresses = [PostgresAddress(f"postgresql+psycopg://aha@/{name}", folder=tmp_path) for name in ("one", "two")]
    assert len({address.id_file for address in addresses}) == 2


def test_the_command_line_misses_a_ledger_and_goes_on_with_a_new_one_where_it_is_told_to(
    sandbox, configure, tmp_path, monkeypatch, capsys
):
    config = configure(sandbox, source={"kind": "file", "path": "none.jsonl"})
    (tmp_path / "none.jsonl").write_text("")
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    once = ["once", "-c", str(tmp_path / "aha.yaml")]
    with open_for_pass(config.ledger) as ledger:
        first = ledger.identity.ledger_id
    assert main([*once, "--new-ledger"]) == 0
    with open_known(config.ledger) as ledger:
        assert ledger.identity.ledger_id == first
    config.ledger.unlink()
    assert main(once) == 1 and "--new-ledger" in capsys.readouterr().err and not config.ledger.exists()
    assert main([*once, "--new-ledger"]) == 0
    with open_known(config.ledger) as ledger:
        assert ledger.identity.ledger_id != first


def test_a_command_that_only_looks_makes_no_ledger(sandbox, configure, tmp_path, monkeypatch):
    configure(sandbox)
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    before = sorted(tmp_path.iterdir())
    for command in (["status"], ["check"], ["verdicts"], ["report"], ["explain", "ZTF99aaaaaaa"]):
        main([*command, "-c", str(tmp_path / "aha.yaml")])
        assert sorted(tmp_path.iterdir()) == before
