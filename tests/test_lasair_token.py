"""Where the token comes from, and who else must not be able to read it."""

import os

import pytest

from annotator.errors import ConfigError
from annotator.lasair_token import CREDENTIAL, MAX_BYTES, read_token
from annotator.redact import HIDDEN, redactor_of

TOKEN = "0123456789abcdef"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}\n", f" {TOKEN}\r\n\n"], ids=["alone", "a line", "with blanks"])
@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_token_is_read_from_a_file_without_what_an_editor_adds(path, text, mode):
    path.write_text(text)
    path.chmod(mode)
    assert read_token({"LASAIR_TOKEN_FILE": str(path)}) == TOKEN


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660, 0o606, 0o601])
def test_a_file_that_others_can_read_is_refused_in_a_line_without_its_token(path, mode):
    path.chmod(mode)
    with pytest.raises(ConfigError, match=rf"others than you can read .* \(mode {mode:04o}\): chmod 600 ") as refused:
        read_token({"LASAIR_TOKEN_FILE": str(path)})
    assert TOKEN not in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_file_of_another_user_is_refused(path, monkeypatch):
    os.chown(path, 12345, 12345)
    with pytest.raises(ConfigError, match="is another user's"):
        read_token({"LASAIR_TOKEN_FILE": str(path)})
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert read_token({"LASAIR_TOKEN_FILE": str(path)}) == TOKEN


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "found nothing"),
        (b" \n", "found nothing"),
        (b"Token " + TOKEN.encode(), "must hold the API token alone"),
        (b"LASAIR_TOKEN='x'\n", "must hold the API token alone"),
        (TOKEN.encode("utf-16"), "must hold the API token alone"),
        (b"x" * (MAX_BYTES + 1), "found more"),
    ],
    ids=["empty", "blank", "two words", "a shell's", "in utf-16", "long"],
)
def test_a_file_that_holds_no_token_is_refused_without_showing_what_it_holds(path, content, words):
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as refused:
        read_token({"LASAIR_TOKEN_FILE": str(path)})
    assert TOKEN not in str(refused.value) and str(path) in str(refused.value)


def test_what_is_no_file_is_refused_and_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in (*(str(tmp_path / name) for name in ("pipe", ".", "none")), "~nobody-of-this-name/token"):
        with pytest.raises(ConfigError, match="the token's file"):
            read_token({"LASAIR_TOKEN_FILE": name})


def test_a_token_stands_in_one_place(path):
    with pytest.raises(ConfigError, match="set LASAIR_TOKEN or LASAIR_TOKEN_FILE, not both"):
        read_token({"LASAIR_TOKEN_FILE": str(path), "LASAIR_TOKEN": TOKEN})
    assert read_token({"LASAIR_TOKEN_FILE": " ", "LASAIR_TOKEN": f" {TOKEN}\n"}) == TOKEN
    assert read_token({}) == ""


def test_a_credential_of_systemd_is_the_token_where_nothing_else_is(path):
    credential = path.rename(path.with_name(CREDENTIAL))
    folder = {"CREDENTIALS_DIRECTORY": str(path.parent)}
    for mode in (0o400, 0o440):  # what the service's user is granted shows as a right of the group
        credential.chmod(mode)
        assert read_token(folder) == read_token(folder | {"LASAIR_TOKEN_FILE": str(credential)}) == TOKEN
    assert read_token(folder | {"LASAIR_TOKEN": "another"}) == "another"
    credential.chmod(0o444)
    with pytest.raises(ConfigError, match="others than you can read"):
        read_token(folder)
    assert read_token({"CREDENTIALS_DIRECTORY": str(path.parent / "none")}) == ""


def test_a_folder_of_credentials_that_is_another_user_s_holds_none(path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)
    assert read_token({"CREDENTIALS_DIRECTORY": str(path.parent)}) == ""


def test_a_token_of_a_file_is_taken_out_of_the_log(path):
    environ = {"LASAIR_TOKEN_FILE": str(path)}
    assert redactor_of(environ)(f"Lasair says {TOKEN}") == f"Lasair says {HIDDEN}"
    path.chmod(0o644)
    assert redactor_of(environ)("Lasair says no") == "Lasair says no"  # and the commands say what is wrong with it
