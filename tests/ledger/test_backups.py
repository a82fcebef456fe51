"""Copies of a ledger that are sound whatever a pass writes, and restoring what was saved."""

import os
import resource
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from annotator.errors import LedgerBusyError, LedgerError
from annotator.ledger import Ledger, backups, care, open_for_pass
from annotator.ledger_address import PostgresAddress
from tests.ledger.used import NOW, known, record

# --- backups


def test_a_backup_is_one_file_for_its_owner_alone_with_all_that_was_there(used, tmp_path):
    backups.back_up(used, tmp_path / "backup")
    assert known(tmp_path / "backup") == {"ZTF99aaaaaaa", "ZTF99aaaaaab"}
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    assert [name.name for name in tmp_path.iterdir() if not name.name.startswith("ledger.sqlite")] == ["backup"]


def test_a_ledger_of_an_older_release_is_saved_as_it_is(used, tmp_path):
    with closing(sqlite3.connect(used)) as file:
        file.execute("UPDATE ledger_version SET version_num = '0004'")
        file.commit()
    backups.back_up(used, tmp_path / "backup")
    for path in (used, tmp_path / "backup"):
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("SELECT version_num FROM ledger_version").fetchone() == ("0004",)


def test_a_backup_takes_no_other_file_s_place(used, tmp_path):
    (tmp_path / "backup").write_text("years of work")
    with pytest.raises(LedgerError, match="name another file"):
        backups.back_up(used, tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "years of work"


def test_backups_that_are_made_while_a_pass_writes_are_sound_and_of_one_moment(used, tmp_path):
    ended = threading.Event()
    numbers = iter(range(1_000_000))

    def write() -> None:
        with open_for_pass(used) as ledger:
            while not ended.is_set():
                record(ledger, *(f"ZTF99b{next(numbers):06d}" for _ in range(5)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(10):
            backups.back_up(used, tmp_path / f"{number}.sqlite")
    finally:
        ended.set()
        writer.join()
    for number in range(10):
        with Ledger(tmp_path / f"{number}.sqlite", read_only=True) as copy:
            assert care.faults(copy) == []
            assert copy.counts.objects() % 5 == 2  # whole batches


def test_a_damaged_ledger_is_not_backed_up(used, tmp_path):
    with used.open("r+b") as file:
        file.seek(used.stat().st_size // 2)
        file.write(b"\xff" * 100_000)
    with pytest.raises(LedgerError, match="damaged"):
        backups.back_up(used, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("end", care.BESIDE)
def test_no_backup_is_what_sqlite_would_take_for_the_ledger_s_own(used, tmp_path, end):
    (tmp_path / "here").symlink_to(tmp_path)
    care.info(used)
    Path(f"{used}{end}").unlink(missing_ok=True)
    with pytest.raises(LedgerError, match="cannot write the backup"):
        backups.back_up(used, tmp_path / "here" / f"ledger.sqlite{end}")


def test_who_breaks_off_a_long_copy_is_heard_in_its_middle(used, tmp_path, monkeypatch):
    care.info(used)
    before = {item.name for item in tmp_path.iterdir()}
    monkeypatch.setattr(backups, "_hear", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        backups.back_up(used, tmp_path / "backup")
    assert {item.name for item in tmp_path.iterdir()} == before


def test_where_there_is_no_room_nothing_is_left_of_a_copy(used, tmp_path):
    backup, rest = tmp_path / "backup", tmp_path / "rest"
    backups.back_up(used, backup)
    before = {item.name for item in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        for work in (lambda: backups.back_up(used, rest), lambda: backups.restore(used, backup, NOW)):
            with pytest.raises(LedgerError, match="cannot copy the"):
                work()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {item.name for item in tmp_path.iterdir()} <= before | {"ledger.sqlite-wal", "ledger.sqlite-shm"}


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(backups.back_up, id="backing up"),
        pytest.param(lambda address, file: backups.restore(address, file, NOW), id="restoring"),
    ],
)
def test_on_a_server_its_own_programs_make_backups(tmp_path, work):
    with pytest.raises(LedgerError, match="pg_"):
        work(PostgresAddress("postgresql+psycopg://aha@db.example.org/aha"), tmp_path / "backup")


# --- restoring


def test_what_was_backed_up_is_restored_and_what_was_there_is_put_aside(used, tmp_path):
    used.chmod(0o640)
    backups.back_up(used, tmp_path / "backup")
    with open_for_pass(used) as ledger:
        record(ledger, "ZTF99aaaaaac")
        ledger.calls.count("object", NOW + 1)
    aside = backups.restore(used, tmp_path / "backup", NOW)
    assert known(used) == {"ZTF99aaaaaaa", "ZTF99aaaaaab"} and used.stat().st_mode & 0o777 == 0o640
    assert aside.name == "ledger.sqlite.before-restore-20231114T221320"
    assert "ZTF99aaaaaac" in {row[0] for row in sqlite3.connect(aside).execute("SELECT object_id FROM objects")}
    with open_for_pass(used) as ledger:
        assert ledger.calls.last_hour(NOW + 1) == (2, 0)  # Lasair has counted it
        assert ledger.database.value(text("PRAGMA journal_mode")) == "wal"


def test_calls_are_taken_over_as_far_as_they_can_be_read(used, tmp_path):
    backups.back_up(used, tmp_path / "backup")
    with closing(sqlite3.connect(used)) as file, file:  # what damage makes of a table
        file.execute("DROP TABLE calls")
        file.execute("CREATE TABLE calls (called_at, endpoint)")
        rows = [(None, "query"), (NOW + 1, None), ("soon", "query"), (NOW + 2, "object")]
        file.executemany("INSERT INTO calls VALUES (?, ?)", rows)
    backups.restore(used, tmp_path / "backup", NOW)
    with open_for_pass(used) as ledger:
        assert ledger.calls.last_hour(NOW + 2) == (2, 0) and known(used) == {"ZTF99aaaaaaa", "ZTF99aaaaaab"}


@pytest.mark.parametrize("damage", ["gone", "empty", "damaged", "something else"])
def test_a_ledger_that_was_lost_is_restored(used, tmp_path, damage):
    backups.back_up(used, tmp_path / "backup")
    whole = used.stat().st_size
    for file in tmp_path.glob("ledger.sqlite*"):
        if file.suffix != ".id":
            file.unlink()
    if damage != "gone":
        used.write_bytes({"empty": b"", "damaged": b"\xff" * whole, "something else": b"years of work"}[damage])
    aside = backups.restore(used, tmp_path / "backup", NOW)
    assert (aside is None) == (damage == "gone")
    with open_for_pass(used) as ledger:
        assert care.faults(ledger) == [] and ledger.counts.objects() == 2


@pytest.mark.parametrize("has_file", [True, False], ids=["with its file", "alone"])
def test_what_a_killed_pass_left_beside_its_ledger_is_not_taken_for_the_restored_one_s(used, tmp_path, has_file):
    backups.back_up(used, tmp_path / "backup")
    with open_for_pass(used) as ledger:
        record(ledger, "ZTF99aaaaaac")
        left = Path(f"{used}-wal").read_bytes()  # and its file is deleted when the last connection is closed
    Path(f"{used}-wal").write_bytes(left)
    Path(f"{used}-journal").write_bytes(b"left")
    if not has_file:
        used.unlink()
    backups.restore(used, tmp_path / "backup", NOW)
    ends = {item.name.removeprefix("ledger.sqlite.before-restore-20231114T221320") for item in tmp_path.iterdir()}
    assert {"-wal", "-journal"} <= ends and ("" in ends) == has_file
    assert known(used) == {"ZTF99aaaaaaa", "ZTF99aaaaaab"}


def test_what_was_put_aside_a_second_ago_stays(used, tmp_path):
    backups.back_up(used, tmp_path / "backup")
    with open_for_pass(used) as ledger:
        record(ledger, "ZTF99aaaaaac")
    first, second = (backups.restore(used, tmp_path / "backup", NOW) for _ in range(2))
    assert first != second
    assert "ZTF99aaaaaac" in {row[0] for row in sqlite3.connect(first).execute("SELECT object_id FROM objects")}


def test_what_a_link_leads_to_is_restored(used, tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "link.sqlite"
    link.symlink_to(tmp_path / "disk" / "ledger.sqlite")
    with open_for_pass(link) as ledger:
        record(ledger, "ZTF99aaaaaaa")
    backups.back_up(link, tmp_path / "backup")
    with open_for_pass(link) as ledger:
        record(ledger, "ZTF99aaaaaac")
    aside = backups.restore(link, tmp_path / "backup", NOW)
    assert link.is_symlink() and known(link) == {"ZTF99aaaaaaa"} and aside.parent == tmp_path / "disk"


def make_no_ledger(path: Path, what: str) -> None:
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a link to itself":
        path.symlink_to(path)
    else:
        path.touch()


@pytest.mark.parametrize("what", ["a folder", "a pipe", "a link to itself"])
def test_in_the_place_of_what_is_no_file_nothing_is_restored(used, tmp_path, what):
    backups.back_up(used, tmp_path / "backup")
    make_no_ledger(tmp_path / "other", what)
    before = (tmp_path / "other").lstat()
    with pytest.raises(LedgerError, match=r"cannot open the ledger .*other: "):
        backups.restore(tmp_path / "other", tmp_path / "backup", NOW)
    assert (tmp_path / "other").lstat() == before


@pytest.mark.parametrize("what", ["a folder", "a pipe", "a link to itself", "empty"])
def test_what_is_no_file_is_no_backup_and_is_not_waited_for(used, tmp_path, what):
    make_no_ledger(tmp_path / "backup", what)
    with pytest.raises(LedgerError, match=r"cannot read the backup .*backup: "):
        backups.restore(used, tmp_path / "backup", NOW)


def test_what_is_wrong_with_a_backup_is_said_of_the_backup(used, tmp_path):
    backups.back_up(used, tmp_path / "backup")
    with closing(sqlite3.connect(tmp_path / "backup")) as file:
        file.execute("UPDATE ledger_version SET version_num = '9999'")
        file.commit()
    with pytest.raises(LedgerError, match=f"the ledger {tmp_path / 'backup'} has schema version 9999"):
        backups.restore(used, tmp_path / "backup", NOW)
    with pytest.raises(LedgerError, match="is the ledger itself"):
        backups.restore(used, tmp_path / "." / used.name, NOW)


def test_nothing_is_restored_under_a_pass(used, tmp_path):
    backups.back_up(used, tmp_path / "backup")
    with open_for_pass(used) as ledger:
        record(ledger, "ZTF99aaaaaac")
        for work in (lambda: backups.restore(used, tmp_path / "backup", NOW), lambda: care.vacuum(used)):
            with pytest.raises(LedgerBusyError, match=r"pass .*at work"):
                work()
    assert "ZTF99aaaaaac" in known(used)


@pytest.mark.parametrize("what", ["damaged", "another ledger", "no ledger", "nothing"])
def test_what_is_no_backup_of_this_ledger_is_refused_and_changes_nothing(used, tmp_path, what):
    backup = tmp_path / "backup"
    if what == "damaged":
        backups.back_up(used, backup)
        with backup.open("r+b") as file:
            file.seek(backup.stat().st_size // 2)
            file.write(b"\xff" * 100_000)
    elif what == "another ledger":
        Ledger(backup).close()
    elif what == "no ledger":
        backup.write_text("years of work")
    before = used.read_bytes()
    with pytest.raises(LedgerError):
        backups.restore(used, backup, NOW)
    assert used.read_bytes() == before and known(used) == {"ZTF99aaaaaaa", "ZTF99aaaaaab"}


def test_who_ends_a_backup_leaves_no_half_of_it(used, tmp_path, command, monkeypatch):
    copied = backups._copy

    def copy(*words: object) -> None:
        copied(*words)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(backups, "_copy", copy)
    care.info(used)
    before = {item.name for item in tmp_path.iterdir()}
    status, said = command("backup", str(tmp_path / "b"))
    assert status == 1 and "interrupted" in said
    assert {item.name for item in tmp_path.iterdir()} == before


def test_a_ledger_of_another_topic_is_not_restored(used, tmp_path, command):
    other = tmp_path / "other"
    with open_for_pass(other) as opened:
        opened.identity.note_topic("ztf", "aha_other")
    backups.back_up(other, tmp_path / "b")
    Path(f"{used}.id").unlink()
    status, said = command("restore", str(tmp_path / "b"))
    assert status == 1 and f"the ledger {tmp_path / 'b'} is that of the topic aha_other of ztf" in said
