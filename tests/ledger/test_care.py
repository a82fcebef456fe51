"""A ledger as a whole: what is in it, damage that is named, room that is given back, and the commands."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from annotator.cli import main
from annotator.errors import LedgerError
from annotator.ledger import Ledger, care, open_for_pass, open_known
from annotator.ledger.store.file_system import file_system_of, is_of_network
from annotator.ledger_address import PostgresAddress
from tests.ledger.damage import damage_an_index
from tests.ledger.used import NOW, known, record


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


def test_rows_that_speak_of_what_is_gone_are_counted(used):
    with closing(sqlite3.connect(used)) as file:
        file.execute("DELETE FROM objects")  # as a shell of SQLite lets anybody
        file.commit()
    with open_known(used, read_only=True) as ledger:
        assert "2 rows of scores speak of rows of objects that are not there" in care.faults(ledger)


@pytest.mark.parametrize(
    ("change", "words"),
    [("DROP TABLE calls", "there is no table calls"), ("ALTER TABLE tns DROP COLUMN type", "the table tns lacks type")],
    ids=["a table", "a column"],
)
def test_what_a_ledger_lacks_is_named(address, change, words):
    with open_for_pass(address) as ledger:
        ledger.database.execute(change)
        assert care.faults(ledger) == [words]


@pytest.mark.parametrize("quick", [True, False])
def test_a_damaged_page_is_found(used, quick):
    damage_an_index(used)
    with open_known(used, read_only=True) as ledger:
        assert care.faults(ledger, quick)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", [b"tns", b"name", b"DOUBLE", b"NULL"], ids=["table", "column", "type", "word"])
def test_damage_to_the_words_of_a_schema_ends_in_a_line(used, quick, name):
    with closing(sqlite3.connect(used)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    used.write_bytes(used.read_bytes().replace(name, name[:-1] + b"\xff"))
    found = []
    try:
        with open_known(used, read_only=True) as ledger:
            found = care.faults(ledger, quick)
    except LedgerError as error:
        found = [str(error)]
    assert found or quick  # of what is well-formed a quick look reads no words


def test_room_is_given_back(used):
    with open_for_pass(used) as ledger:
        record(ledger, *(f"ZTF99aaa{number:04d}" for number in range(2000)))
        ledger.database.execute("DELETE FROM to_announce")
        ledger.database.execute("DELETE FROM scores WHERE score_id > 2")
    before, after = care.vacuum(used)
    assert after < before - 100_000 and care.info(used).free_bytes == 0
    assert known(used) >= {"ZTF99aaaaaaa", "ZTF99aaaaaab"}


def test_a_damaged_ledger_is_not_made_smaller_by_what_cannot_be_read(used):
    damage_an_index(used)
    before = used.stat().st_size
    with pytest.raises(LedgerError, match="would lose what cannot be read"):
        care.vacuum(used)
    assert used.stat().st_size == before


VACUUM_ALONE = """
import re, resource, sys
from pathlib import Path
from annotator.cli import main
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
def large(used) -> Path:
    with open_for_pass(used) as ledger:
        ledger.database.execute(f"UPDATE objects SET numbers = randomblob({LARGE_BYTES})")
    return used


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


def test_the_commands_say_what_they_did(used, tmp_path, command):
    assert "2  objects" in command("info")[1]
    assert command("verify") == (0, f"the ledger {used} is sound\n")
    assert command("backup", str(tmp_path / "b"))[0] == 0
    assert "before-restore" in command("restore", str(tmp_path / "b"))[1]
    assert command("vacuum")[0] == 0
    with Ledger(used) as opened:
        opened.database.execute("UPDATE scores SET modalities = ''")
    status, said = command("verify")
    assert status == 1 and said.startswith("DAMAGE  2 scorings cannot be read") and "rebuild" in said


@pytest.mark.parametrize("is_damaged", [True, False], ids=["damaged", "sound"])
def test_what_nobody_had_foreseen_is_put_down_to_damage_where_there_is_some(used, command, monkeypatch, is_damaged):
    def fails(*_: object) -> None:
        raise KeyError("ZTF99aaaaaaa")

    monkeypatch.setattr(care, "info", fails)
    if is_damaged:
        damage_an_index(used)
    status, said = command("info")
    assert status == 1 and ("Traceback" in said) == (not is_damaged)
    assert ("is damaged" in said and said.count("\n") == 1 and "ledger restore" in said) == is_damaged


def test_nothing_scored_is_put_down_to_damage_where_there_is_some(used, tmp_path, command, capsys):
    with Ledger(used) as ledger:
        ledger.database.execute("DELETE FROM to_announce")
        ledger.database.execute("DELETE FROM scores")
    report = ["report", "--digest", "-c", str(tmp_path / "aha.yaml")]
    assert main(report) == 2 and "make a pass first" in capsys.readouterr().err
    damage_an_index(used)
    assert main(report) == 1 and "is damaged" in capsys.readouterr().err
