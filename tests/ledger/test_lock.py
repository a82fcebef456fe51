"""One pass at a time on a ledger, whatever it is called, and none that was superseded."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from annotator.errors import LedgerBusyError, LedgerError
from annotator.ledger import Ledger, open_for_pass
from annotator.ledger.store.schema import identity
from annotator.ledger_address import LedgerAddress, PostgresAddress
from tests.ledger.test_ledger import annotation, scored_object, verdict

HOLDING = """
import pathlib, sys, time
from annotator.ledger import open_for_pass
from annotator.ledger_address import PostgresAddress
with open_for_pass(PostgresAddress(sys.argv[1]) if "://" in sys.argv[1] else pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""
WRITES: dict[str, Callable[[Ledger], object]] = {
    "a batch": lambda ledger: ledger.record([scored_object("ZTF99aaaaaab")], [], 2.0),
    "what was sent": lambda ledger: ledger.outbox.mark_sent([annotation()], 2.0),
    "what was not found": lambda ledger: ledger.outbox.mark_verified([annotation("ZTF99aaaaaaz")], 2.0),
    "a call": lambda ledger: ledger.calls.take("annotate", 100, 2.0),
    "a pass": lambda ledger: ledger.passes.begin(2.0),
    "what is forgotten": lambda ledger: ledger.calls.forget(99_999.0),
}


@contextlib.contextmanager
def held_elsewhere(address: LedgerAddress) -> Iterator[subprocess.Popen]:
    """Let another process hold a ledger; it is dead afterwards."""
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(address)], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"held\n"
            yield other
        finally:
            other.kill()
            other.wait()


def is_held(address: LedgerAddress) -> bool:
    try:
        with open_for_pass(address):
            return False
    except LedgerBusyError:
        return True


def is_free_soon(address: LedgerAddress) -> bool:
    """Say whether a ledger is given up as soon as a server has noticed that its holder is dead."""
    return any(not is_held(address) or time.sleep(0.1) for _ in range(1200))


def take_over(address: LedgerAddress) -> None:
    """Count another pass, as one does that does not see this one's lock."""
    with Ledger(address) as other:
        other.identity.take_fence("somebody else")


def everything_in(address: LedgerAddress) -> list[list]:
    with Ledger(address, read_only=True) as ledger:
        tables = sqlalchemy.inspect(ledger.database.connection).get_table_names()
        return [ledger.database.rows(sqlalchemy.text(f"SELECT * FROM {name} ORDER BY 1")) for name in sorted(tables)]


def test_a_second_pass_is_turned_away_at_once_and_the_ledger_is_free_when_its_holder_is_killed(ledger, address):
    with held_elsewhere(address) as other:
        with pytest.raises(LedgerBusyError, match=f"process {other.pid} on "), open_for_pass(address):
            pass
        ledger.record([scored_object()], [], 1000.0)  # it is no lock on the ledger: people judge while a pass is made
        assert ledger.verdicts.add(verdict())
    assert is_free_soon(address) and not is_held(address)


def test_a_second_pass_of_the_same_process_is_turned_away_too(address):
    with open_for_pass(address):
        assert is_held(address)
    assert not is_held(address)


def test_by_whatever_name_a_file_is_opened_its_lock_is_the_same(tmp_path):
    path, symbolic, hard = (tmp_path / name for name in ("ledger.sqlite", "symbolic.sqlite", "hard.sqlite"))
    with held_elsewhere(path):
        symbolic.symlink_to(path)
        hard.hardlink_to(path)
        names = {"itself": path, "a symbolic link": symbolic, "a hard link": hard}
        names["another spelling"] = tmp_path / ".." / tmp_path.name / "ledger.sqlite"
        assert {name: is_held(at) for name, at in names.items()} == dict.fromkeys(names, True)
        for beside in set(tmp_path.iterdir()) - {path, Path(f"{path}-wal"), Path(f"{path}-shm")}:
            beside.unlink()
        assert is_held(path)  # no file beside it is its lock
        path.rename(symbolic)
        assert is_held(symbolic)
    assert not is_held(symbolic)


def test_a_forked_process_does_not_have_its_parent_s_lock(tmp_path):
    path = tmp_path / "ledger.sqlite"

    def asked_by_a_child(question: Callable[[], bool]) -> bool:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                os._exit(question())
            os._exit(2)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, 1)
        return bool(status)

    with open_for_pass(path):
        assert asked_by_a_child(lambda: is_held(path))
        assert asked_by_a_child(lambda: is_held(path))  # that the first has ended gives nothing up
    assert not asked_by_a_child(lambda: is_held(path))


def test_holding_the_lock_leaves_sqlite_its_own(tmp_path):
    """A descriptor that is closed would take them away: then another process could write amid a transaction."""
    path = tmp_path / "ledger.sqlite"
    write = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('DELETE FROM calls')"
    with open_for_pass(path) as ledger, ledger.database.transaction():
        ledger.calls.count("query", 1.0)
        assert is_held(path)
        said = subprocess.run([sys.executable, "-c", write, str(path)], capture_output=True, text=True)
        assert "database is locked" in said.stderr


def test_a_pass_that_another_has_superseded_writes_nothing_more(address):
    with Ledger(address) as ledger:
        ledger.record([scored_object()], [], 1.0)
        with ledger.hold_for_pass():
            for write in WRITES.values():
                write(ledger)  # it may, as long as it is the last
            take_over(address)
            before = everything_in(address)
            for what, write in WRITES.items():
                with pytest.raises(LedgerError, match="another pass has taken over"):
                    write(ledger)
                assert everything_in(address) == before, what


def test_who_judges_beside_a_pass_is_not_taken_for_a_superseded_one(ledger, address):
    ledger.record([scored_object()], [], 1.0)
    with open_for_pass(address) as at_work:
        assert ledger.verdicts.add(verdict())
        at_work.calls.count("query", 1.0)
    take_over(address)
    assert ledger.verdicts.add(verdict())


def test_passes_are_counted(address):
    numbers = []
    for _ in range(3):
        with open_for_pass(address) as ledger:
            numbers.append(ledger.database.value(sqlalchemy.select(identity.c.value).filter_by(name="fence")))
    assert numbers == ["1", "2", "3"]


def test_a_pass_whose_connection_the_server_has_ended_has_lost_the_ledger(server, postgres_address):
    address = PostgresAddress(f"{postgres_address}&application_name=doomed")
    with open_for_pass(address) as ledger:
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed'")
        assert is_free_soon(postgres_address)
        for _ in range(2):  # it is not silently connected again
            with pytest.raises(LedgerError, match=r"terminating connection|was lost"):
                ledger.outbox.mark_sent([annotation()], 1.0)


@pytest.mark.parametrize("how", ["deleted", "replaced by another", "replaced by a backup of itself", "begun anew"])
def test_a_ledger_that_goes_away_during_a_pass_is_missed_before_anything_is_written(tmp_path, how):
    path, aside = tmp_path / "ledger.sqlite", tmp_path / "aside.sqlite"
    with Ledger(path) as ledger:
        ledger.record([scored_object()], [], 1.0)
    if how == "replaced by a backup of itself":
        shutil.copy(path, aside)
    else:
        Ledger(aside).close()
    with Ledger(path) as ledger, ledger.hold_for_pass():
        path.unlink() if how in ("deleted", "begun anew") else os.replace(aside, path)
        if how == "begun anew":
            Ledger(path).close()
        for write in WRITES.values():
            with pytest.raises(LedgerError, match="was deleted or replaced while it was in use"):
                write(ledger)


def test_a_link_that_is_turned_to_another_ledger_is_noticed(tmp_path):
    first, second, link = (tmp_path / name for name in ("first", "second", "link"))
    Ledger(second).close()
    link.symlink_to(first)
    with open_for_pass(link) as ledger:
        ledger.calls.count("query", 1.0)
        Path(tmp_path / "new").symlink_to(second)
        os.replace(tmp_path / "new", link)
        with pytest.raises(LedgerError, match="deleted or replaced"):
            ledger.calls.count("query", 1.0)
