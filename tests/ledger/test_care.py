"""A ledger as a whole: copies that are sound whatever a pass writes, damage that is named, restoring what was saved."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from annotator.decision.objects import Refusal
from annotator.errors import LedgerBusyError, LedgerError
from annotator.ledger import Ledger, care, open_for_pass, open_known
from annotator.ledger.store.file_system import file_system_of, is_of_network
from annotator.ledger_address import PostgresAddress
from tests.ledger.damage import damage_an_index
from tests.ledger.test_ledger import scored_object

NOW = 1_700_000_000.0


def record(ledger: Ledger, *names: str, now: float = NOW) -> None:
    ledger.record([scored_object(name) for name in names], [Refusal("ZTF99bad", "for the test", "{}")], now)


@pytest.fixture
def path(tmp_path) -> Path:
    """A ledger that a pass has used."""
    path = tmp_path / "ledger.sqlite"
    with open_for_pass(path) as ledger:
        record(ledger, "ZTF99aaaaaaa", "ZTF99aaaaaab")
        ledger.calls.count("query", NOW)
    return path


def known(path: Path) -> set[str]:
    with open_known(path, read_only=True) as ledger:
        return {row[0] for row in ledger.database.rows(text("SELECT object_id FROM objects"))}


def test_what_is_in_a_ledger_is_counted(address):
    with open_for_pass(address) as ledger:
        record(ledger, "ZTF99aaaaaaa", "ZTF99aaaaaab", now=NOW)
        record(ledger, "ZTF99aaaaaaa", now=NOW + 60)
    found = care.info(address)
    assert (found.rows["objects"], found.rows["scores"], found.rows["refused"]) == (2, 3, 2)
    assert (found.first_scored_at, found.last_scored_at) == (NOW, NOW + 60)
    assert found.size_bytes > 10_000 > found.free_bytes
    assert (found.file_system == "") == isinstance(address, PostgresAddress)


# --- is it sound


@pytest.mark.parametrize("quick", [True, False])
def test_a_sound_ledger_has_no_faults(address, quick):
    with open_for_pass(address) as ledger:
        record(ledger, *(f"ZTF99aaa{number:04d}" for number in range(care.ROWS_AT_A_TIME + 1)))
        assert care.faults(ledger, quick) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE outbox SET annotation = '{'", "annotations cannot be read, such as ZTF99aaaaaa"),
        ("UPDATE scores SET modalities = '[1]' WHERE score_id = 2", "1 scorings cannot be read, such as 2: it is no"),
        ("UPDATE scores SET reasons = 'x' WHERE score_id = 2", "1 scorings cannot be read"),
        (
            "INSERT INTO snapshots VALUES ('ZTF99aaaaaaa', 1, '{}', NULL, '{}')",
            "1 objects as they were scored cannot be read, such as ZTF99aaaaaaa",
        ),
        ("UPDATE passes SET counts = 'many'", "1 counts of passes cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(address, change, words):
    with open_for_pass(address) as ledger:
        record(ledger, "ZTF99aaaaaaa", "ZTF99aaaaaab")
        ledger.passes.end(ledger.passes.begin(NOW), "done", {}, NOW)
        ledger.database.execute(change)
        (said,) = care.faults(ledger)
        assert words in said


def test_rows_that_speak_of_what_is_gone_are_counted(path):
    with closing(sqlite3.connect(path)) as file:
        file.execute("DELETE FROM objects")  # as a shell of SQLite lets anybody
        file.commit()
    with open_known(path, read_only=True) as ledger:
        assert "2 rows of scores speak of rows of objects that are not there" in care.faults(ledger)


@pytest.mark.parametrize("quick", [True, False])
def test_a_damaged_page_is_found(path, quick):
    damage_an_index(path)
    with open_known(path, read_only=True) as ledger:
        assert care.faults(ledger, quick)


# --- backups


def test_a_backup_is_one_file_for_its_owner_alone_with_all_that_was_there(path, tmp_path):
    care.back_up(path, tmp_path / "backup")
    assert known(tmp_path / "backup") == {"ZTF99aaaaaaa", "ZTF99aaaaaab"}
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    assert [name.name for name in tmp_path.iterdir() if not name.name.startswith("ledger.sqlite")] == ["backup"]


def test_a_backup_takes_no_other_file_s_place(path, tmp_path):
    (tmp_path / "backup").write_text("years of work")
    with pytest.raises(LedgerError, match="name another file"):
        care.back_up(path, tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "years of work"


def test_backups_that_are_made_while_a_pass_writes_are_sound_and_of_one_moment(path, tmp_path):
    ended = threading.Event()
    numbers = iter(range(1_000_000))

    def write() -> None:
        with open_for_pass(path) as ledger:
            while not ended.is_set():
                record(ledger, *(f"ZTF99b{next(numbers):06d}" for _ in range(5)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(10):
            care.back_up(path, tmp_path / f"{number}.sqlite")
    finally:
        ended.set()
        writer.join()
    for number in range(10):
        with Ledger(tmp_path / f"{number}.sqlite", read_only=True) as copy:
            assert care.faults(copy) == []
            assert copy.counts.objects() % 5 == 2  # whole batches


def test_a_damaged_ledger_is_not_backed_up(path, tmp_path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 100_000)
    with pytest.raises(LedgerError, match="damaged"):
        care.back_up(path, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(care.back_up, id="backing up"),
        pytest.param(lambda address, file: care.restore(address, file, NOW), id="restoring"),
    ],
)
def test_on_a_server_its_own_programs_make_backups(tmp_path, work):
    with pytest.raises(LedgerError, match="pg_"):
        work(PostgresAddress("postgresql+psycopg://aha@db.example.org/aha"), tmp_path / "backup")


# --- restoring


def test_what_was_backed_up_is_restored_and_what_was_there_is_put_aside(path, tmp_path):
    path.chmod(0o640)
    care.back_up(path, tmp_path / "backup")
    with open_for_pass(path) as ledger:
        record(ledger, "ZTF99aaaaaac")
        ledger.calls.count("object", NOW + 1)
    aside = care.restore(path, tmp_path / "backup", NOW)
    assert known(path) == {"ZTF99aaaaaaa", "ZTF99aaaaaab"} and path.stat().st_mode & 0o777 == 0o640
    assert aside.name == "ledger.sqlite.before-restore-20231114T221320"
    assert "ZTF99aaaaaac" in {row[0] for row in sqlite3.connect(aside).execute("SELECT object_id FROM objects")}
    with open_for_pass(path) as ledger:
        assert ledger.calls.last_hour(NOW + 1) == (2, 0)  # Lasair has counted it
        assert ledger.database.value(text("PRAGMA journal_mode")) == "wal"


@pytest.mark.parametrize("damage", ["gone", "empty", "damaged", "something else"])
def test_a_ledger_that_was_lost_is_restored(path, tmp_path, damage):
    care.back_up(path, tmp_path / "backup")
    whole = path.stat().st_size
    path.unlink()
    if damage != "gone":
        path.write_bytes({"empty": b"", "damaged": b"\xff" * whole, "something else": b"years of work"}[damage])
    aside = care.restore(path, tmp_path / "backup", NOW)
    assert (aside is None) == (damage == "gone")
    with open_for_pass(path) as ledger:
        assert care.faults(ledger) == [] and ledger.counts.objects() == 2


def test_nothing_is_restored_under_a_pass(path, tmp_path):
    care.back_up(path, tmp_path / "backup")
    with open_for_pass(path) as ledger:
        record(ledger, "ZTF99aaaaaac")
        for work in (lambda: care.restore(path, tmp_path / "backup", NOW), lambda: care.vacuum(path)):
            with pytest.raises(LedgerBusyError, match=r"pass .*at work"):
                work()
    assert "ZTF99aaaaaac" in known(path)


@pytest.mark.parametrize("what", ["damaged", "another ledger", "no ledger", "nothing"])
def test_what_is_no_backup_of_this_ledger_is_refused_and_changes_nothing(path, tmp_path, what):
    backup = tmp_path / "backup"
    if what == "damaged":
        care.back_up(path, backup)
        with backup.open("r+b") as file:
            file.seek(backup.stat().st_size // 2)
            file.write(b"\xff" * 100_000)
    elif what == "another ledger":
        Ledger(backup).close()
    elif what == "no ledger":
        backup.write_text("years of work")
    before = path.read_bytes()
    with pytest.raises(LedgerError):
        care.restore(path, backup, NOW)
    assert path.read_bytes() == before and known(path) == {"ZTF99aaaaaaa", "ZTF99aaaaaab"}


def test_room_is_given_back(path):
    with open_for_pass(path) as ledger:
        record(ledger, *(f"ZTF99aaa{number:04d}" for number in range(2000)))
        ledger.database.execute("DELETE FROM to_announce")
        ledger.database.execute("DELETE FROM scores WHERE score_id > 2")
    before, after = care.vacuum(path)
    assert after < before - 100_000 and care.info(path).free_bytes == 0
    assert known(path) >= {"ZTF99aaaaaaa", "ZTF99aaaaaab"}


VACUUM_ALONE = """
import re, resource, sys
from pathlib import Path
from annotator.errors import LedgerError
from annotator.ledger.care import vacuum
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
peak_kb = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
before = peak_kb()
try:
    vacuum(Path(sys.argv[1]))
except LedgerError as error:
    sys.exit(str(error))
print(peak_kb() - before)
"""
LARGE_BYTES = 50_000_000


@pytest.fixture
def large(path) -> Path:
    with open_for_pass(path) as ledger:
        ledger.database.execute(f"UPDATE objects SET numbers = randomblob({LARGE_BYTES})")
    return path


def vacuum_alone(path: Path, most_bytes: int) -> subprocess.CompletedProcess[str]:
    """Give back the room of a ledger where no file may have more bytes."""
    return subprocess.run([sys.executable, "-c", VACUUM_ALONE, path, str(most_bytes)], capture_output=True, text=True)


def test_giving_back_room_takes_far_less_memory_than_the_ledger_has(large):
    ended = vacuum_alone(large, 10 * LARGE_BYTES)
    assert ended.returncode == 0 and int(ended.stdout) < LARGE_BYTES / 1000 < large.stat().st_size / 2000


def test_who_has_no_room_for_two_copies_is_told_where_they_would_be_and_keeps_what_there_is(large):
    ended = vacuum_alone(large, LARGE_BYTES)
    assert ended.returncode == 1 and "TMPDIR" in ended.stderr and "Traceback" not in ended.stderr
    assert known(large) == {"ZTF99aaaaaaa", "ZTF99aaaaaab"}


# --- what it lies on

MOUNTS = r"""
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:40 / /home rw shared:1 master:2 - nfs4 server:/home rw
24 23 0:41 / /home/ada/my\040disk rw - ext4 /dev/sdb rw
25 22 0:42 / /homes rw - cifs //server/homes rw
26 22 0:43 / /data rw - ext4 /dev/sdc rw
27 26 0:44 / /data rw - fuse.sshfs server: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/ledger.sqlite", "ext4"),
        ("/home/ada/ledger.sqlite", "nfs4"),
        ("/home/ada/my disk/ledger.sqlite", "ext4"),
        ("/homes/x", "cifs"),
        ("/data/x", "fuse.sshfs"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_mount_and_the_last_one_there(tmp_path, path, kind):
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert file_system_of(Path(path), tmp_path / "mountinfo") == kind
    assert is_of_network(kind) == (kind != "ext4")


def test_where_a_system_tells_nothing_of_its_mounts_nothing_is_said(tmp_path):
    assert file_system_of(tmp_path, tmp_path / "none") == "" and not is_of_network("")


# --- the commands


def test_the_commands_say_what_they_did(path, tmp_path, capsys, monkeypatch):
    from annotator.cli import main

    shutil.copy(Path(__file__).parents[2] / "annotator" / "example.yaml", tmp_path / "aha.yaml")
    config = (tmp_path / "aha.yaml").read_text()
    (tmp_path / "aha.yaml").write_text(config.replace("aha-ledger.sqlite", "ledger.sqlite"))

    def ledger(*words: str) -> tuple[int, str]:
        status = main(["ledger", words[0], "-c", str(tmp_path / "aha.yaml"), *words[1:]])
        return status, "".join(capsys.readouterr())

    assert "2  objects" in ledger("info")[1]
    assert ledger("verify") == (0, f"the ledger {path} is sound\n")
    assert ledger("backup", str(tmp_path / "b"))[0] == 0
    assert "before-restore" in ledger("restore", str(tmp_path / "b"))[1]
    assert ledger("vacuum")[0] == 0
    with Ledger(path) as opened:
        opened.database.execute("UPDATE scores SET modalities = ''")
    status, said = ledger("verify")
    assert status == 1 and said.startswith("DAMAGE  2 scorings cannot be read") and "rebuild" in said
