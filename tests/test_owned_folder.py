"""Folders that are ours by a marker in them."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import ConfigError
from annotator.owned_folder import marker, own_folder, refuse_foreign, write_file

KINDS = ("report", "cutouts", "demo")
NAMES = st.sampled_from(["aha.yaml", "aha-ledger.sqlite", ".hidden", *map(marker, KINDS)])


@given(names=st.sets(NAMES), kind=st.sampled_from(KINDS))
def test_a_folder_is_taken_if_it_is_empty_or_marked_for_this_and_left_alone_otherwise(
    tmp_path_factory, names: set[str], kind: str
):
    folder = tmp_path_factory.mktemp("folder")
    for name in names:
        (folder / name).touch()
    if names and marker(kind) not in names:
        with pytest.raises(ConfigError, match="name another folder"):
            own_folder(folder, kind)
        assert {path.name for path in folder.iterdir()} == names
    else:
        own_folder(folder, kind)
        assert {path.name for path in folder.iterdir()} == names | {marker(kind)}


def test_a_folder_that_is_missing_is_looked_at_without_being_made_and_taken_with_its_parents(tmp_path):
    refuse_foreign(tmp_path / "a" / "b", "report")
    assert list(tmp_path.iterdir()) == []
    own_folder(tmp_path / "a" / "b", "report")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [marker("report")]


@pytest.mark.parametrize("place", ["file", "file/below", "dangling/below"])
def test_what_is_no_folder_is_refused_with_what_to_do(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "file")
    with pytest.raises(ConfigError, match="found a file; name another"):
        own_folder(tmp_path / place, "demo")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_is_replaced_by_the_file_and_not_followed(tmp_path):
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "inside").symlink_to(tmp_path / "outside")
    write_file(tmp_path / "inside", b"ours")
    assert (tmp_path / "outside").read_text() == "mine"
    assert not (tmp_path / "inside").is_symlink() and (tmp_path / "inside").read_bytes() == b"ours"


def test_a_file_that_cannot_be_written_leaves_the_earlier_one_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "kept"
    write_file(path, b"earlier")
    mode = path.stat().st_mode & 0o777
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with contextlib.suppress(OSError):
        write_file(path, b"later")
    assert [(item, item.read_bytes()) for item in tmp_path.iterdir()] == [(path, b"earlier")]
    plain = Path(tmp_path / "plain")
    plain.touch()
    assert mode == plain.stat().st_mode & 0o777
