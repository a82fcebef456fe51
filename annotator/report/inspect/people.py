"""Who may judge where several do: a file of names, each with the digest of a secret that only its person has.

A secret is made here and is 128 random bits: nobody finds one by trying, so that wrong ones need not be counted, and
nobody can keep others out by giving many. That is also why a plain SHA-256 of it is all that has to be kept.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annotator.errors import ConfigError
from annotator.owned_folder import write_file
from annotator.report.inspect.access import check_person

SECRET_BYTES = 16
MAX_FILE_BYTES = 1_000_000
_LINE = re.compile(r"([0-9a-f]{64}) (.+)")
_NOBODY = bytes(32)
_BEGIN = "# Who may judge on the page of aha-annotator inspect, one a line: the SHA-256 of a secret, and a name.\n"


@dataclass(frozen=True)
class _Person:
    name: str
    digest: bytes
    """SHA-256 of the secret."""


@dataclass(frozen=True)
class People:
    """Everybody who may judge."""

    by_key: Mapping[str, _Person]
    """By their names as :func:`_key` writes them."""

    def who(self, name: str, secret: str) -> str | None:
        """Return the name of whoever has this secret under this name, as the file writes it; None where nobody does."""
        person = self.by_key.get(_key(name))
        is_theirs = hmac.compare_digest(_digest(secret), person.digest if person else _NOBODY)
        return person.name if person and is_theirs else None


def read_people(path: Path) -> People:
    """Read a file of people.

    Raises
    ------
    ConfigError
        If it cannot be read, others may write to it, a line of it is none, or two of its names are alike.
    """
    by_key: dict[str, _Person] = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if not found:
            raise ConfigError(f"{path}, line {number}: expected a digest and a name; --add NAME writes such lines")
        digest, name = found.groups()
        _check_name(name)
        if _key(name) in by_key:
            raise ConfigError(f"{path}, line {number}: {name} is like {by_key[_key(name)].name}; delete one of them")
        by_key[_key(name)] = _Person(name, bytes.fromhex(digest))
    if not by_key:
        raise ConfigError(f"{path} names nobody: inspect --people {path} --add NAME adds a person")
    return People(by_key)


def add_person(path: Path, name: str) -> str:
    """Give a person a new secret, which replaces an earlier one, and write its digest to a file, begun if need be.

    Returns
    -------
    str
        The secret, which is kept nowhere.

    Raises
    ------
    ConfigError
        As :func:`read_people` does, or if the file cannot be written.
    """
    _check_name(name)
    name = name.strip()
    others = []
    if path.exists():
        read_people(path)
        others = [line for line in _lines(path) if not _is_of(line, name)]
    secret = secrets.token_urlsafe(SECRET_BYTES)
    lines = [*(others or [_BEGIN.rstrip("\n")]), f"{_digest(secret).hex()} {name}"]
    try:
        write_file(path, ("\n".join(lines) + "\n").encode())
        path.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    return secret


def _check_name(name: str) -> None:
    """Raise ConfigError unless verdicts can be kept under a name, and a browser can send it with a secret."""
    check_person(name)
    if ":" in name:
        raise ConfigError(f"a name must have no colon, at which a browser ends it; found {name!r}")


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            content = file.read(MAX_FILE_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise ConfigError(f"cannot read the people in {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the people in {path} are not UTF-8 text") from error
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"others may write to {path}, and could judge as anybody: chmod 600 {path}")
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"{path} is another user's, who could judge as anybody: make one of your own")
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} has more than {MAX_FILE_BYTES} bytes, and is no file of people")
    return text.splitlines()


def _is_of(line: str, name: str) -> bool:
    found = _LINE.fullmatch(line)
    return found is not None and _key(found[2]) == _key(name)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _key(name: str) -> str:
    """Return what names that people would take for one another have in common."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())
