"""The errors of a ledger's database, in words that say what to do."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from annotator.errors import LedgerError, LedgerMissingError
from annotator.ledger import Ledger
from annotator.ledger.store.complaints import as_ledger_errors
from annotator.ledger.store.database import MEMORY
from annotator.ledger.store.schema import scores, sweeps
from annotator.ledger.sweeps import Sweep
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
    with pytest.raises(LedgerError, match=r"restore it from a backup .*, or .*rebuild"):
        read(path)


def test_a_file_of_something_else_says_how_to_go_on(tmp_path):
    (tmp_path / "ledger.sqlite").write_text("years of work" * 1000)
    with pytest.raises(LedgerError, match=r"not a database .*rebuild"):
        Ledger(tmp_path / "ledger.sqlite")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("none/ledger.sqlite", "there is no folder .*none: make it"),
        ("dangling", "there is no folder .*unmounted: make it"),
        (".", "it is a folder"),
        ("/dev/null", "it is no file"),
        ("loop", "symbolic links"),
        ("a" * 300, "name too long"),
        ("a\0b", "null"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_place_where_no_ledger_can_lie_is_named_with_the_reason(tmp_path, place, reason, read_only):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "unmounted" / "ledger.sqlite")
    with pytest.raises(LedgerError, match=f"cannot open the ledger .*(?i:{reason})") as refused:
        Ledger(tmp_path / place, read_only=read_only)
    assert not isinstance(refused.value, LedgerMissingError) and "network" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["a?mode=ro&b#c%20.sqlite", "file:x.sqlite", ":memory:", "a\nb", "\N{SNOWMAN} \udcff.sqlite"]
)
def test_a_file_of_any_name_is_a_ledger(tmp_path, name):
    with Ledger(tmp_path / name) as ledger:
        ledger.record([scored_object("ZTF99aaaaaaa")], [], 1.0)
    assert (tmp_path / name).is_file()
    with Ledger(tmp_path / name, read_only=True) as ledger:
        assert ledger.scores.states(["ZTF99aaaaaaa"])


@pytest.mark.parametrize("written", ["x", "[1]", "1e300", '{"otherwise": "many"}'])
def test_what_a_sweep_counted_counts_as_nothing_where_it_cannot_be_read(tmp_path, written):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.sweeps.begin(Sweep("aha_ztf", 60000, 1.0))
        ledger.database.write(sweeps.update().values(counts=written))
        assert ledger.sweeps.last("aha_ztf", 2.0).counts == {}


def test_who_holds_a_ledger_is_asked_to_end(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite", busy_timeout_s=0.1) as ledger:
        with sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match=r"locked .another program holds it"):
                ledger.record([scored_object("ZTF99aaaaaaa")], [], 1.0)
            somebody.execute("ROLLBACK")
        somebody.close()


@pytest.mark.parametrize("written", ["'x'", "x'ff'", "1e300", "-9e999"])
def test_what_somebody_writes_where_a_number_belongs_is_none(tmp_path, written):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record([scored_object("ZTF99aaaaaaa"), scored_object("ZTF99aaaaaab")], [], 1.0)
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as somebody:
            somebody.execute(f"UPDATE objects SET last_mjd = {written} WHERE object_id = 'ZTF99aaaaaaa'")
            somebody.execute(f"UPDATE scores SET score = {written}, n_det = {written} WHERE score_id = 1")
            somebody.commit()
        states = ledger.scores.states(["ZTF99aaaaaaa", "ZTF99aaaaaab"])
        assert states["ZTF99aaaaaaa"].last_mjd is None and states["ZTF99aaaaaab"].last_mjd is not None
        numbers = ledger.database.rows(select(scores.c.score, scores.c.n_det).order_by(scores.c.score_id))
        assert numbers[0] == (0, None) and numbers[1].score > 0


def test_a_full_disk_asks_for_room():
    with Ledger(MEMORY) as ledger:
        ledger.outbox._database.execute("PRAGMA max_page_count = 1")  # as much as there is already
        with pytest.raises(LedgerError, match=r"full .make room on its disk"):
            ledger.record([scored_object(f"ZTF99aaaa{number:03d}") for number in range(2000)], [], 1.0)


def test_what_sqlite_says_to_us_and_not_to_sqlalchemy_is_an_error_of_the_ledger_in_its_own_words():
    with pytest.raises(LedgerError, match=r"^the ledger: other$"), as_ledger_errors("the ledger"):
        raise sqlite3.OperationalError("other")
