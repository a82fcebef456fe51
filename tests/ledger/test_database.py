"""The errors of a ledger's database, in words that say what to do."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from annotator.errors import LedgerError
from annotator.ledger import Ledger
from annotator.ledger.database import MEMORY, as_ledger_errors
from tests.ledger.test_ledger import scored_object


def whole_ledger(folder: Path) -> Path:
    path = folder / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.record([scored_object(f"ZTF99aaaa{number:03d}") for number in range(200)], [], 1.0)
    return path


def read(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.scores.states([f"ZTF99aaaa{number:03d}" for number in range(200)])


@pytest.mark.parametrize("name", ["SQLITE_IOERR_SHMMAP", "SQLITE_IOERR_LOCK", "SQLITE_PROTOCOL"])
def test_what_network_file_systems_cannot_do_is_said_to_be_theirs(name):
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorname = name
    with (
        pytest.raises(LedgerError, match=r"disk I/O error .*network file system.*put `ledger` on a local disk"),
        as_ledger_errors("cannot open the ledger"),
    ):
        raise OperationalError("PRAGMA", {}, failure)


def test_a_damaged_ledger_says_how_to_go_on(tmp_path):
    path = whole_ledger(tmp_path)
    with open(path, "r+b") as file:
        for page in range(2, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    with pytest.raises(LedgerError, match=r"restore it from a backup, or .*rebuild"):
        read(path)


def test_a_file_of_something_else_says_how_to_go_on(tmp_path):
    (tmp_path / "ledger.sqlite").write_text("years of work" * 1000)
    with pytest.raises(LedgerError, match=r"not a database .*rebuild"):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_folder_that_is_not_there_is_one_that_cannot_be_written_to(tmp_path):
    with pytest.raises(LedgerError, match="the folder that it lies in"):
        Ledger(tmp_path / "none" / "ledger.sqlite")


def test_a_full_disk_asks_for_room():
    with Ledger(MEMORY) as ledger:
        ledger.outbox._database.execute("PRAGMA max_page_count = 1")  # as much as there is already
        with pytest.raises(LedgerError, match=r"full .make room on its disk"):
            ledger.record([scored_object(f"ZTF99aaaa{number:03d}") for number in range(2000)], [], 1.0)


def test_an_error_that_is_not_sqlite_s_keeps_its_own_words():
    with pytest.raises(sqlite3.OperationalError, match=r"^other$"), as_ledger_errors("the ledger"):
        raise sqlite3.OperationalError("other")
