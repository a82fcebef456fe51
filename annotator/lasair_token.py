"""The API token of a Lasair account: from the environment, or from a file that nobody else reads.

A variable is seen by every program that is started with it, and stands in the unit or the shell that sets it. A file
stands in one place, has rights, and is what systemd hands to a service (``LoadCredential=lasair_token:FILE``).
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from annotator.errors import ConfigError

TOKEN_VARIABLE = "LASAIR_TOKEN"
TOKEN_FILE_VARIABLE = "LASAIR_TOKEN_FILE"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""The folder that systemd makes for a service alone."""
CREDENTIAL = "lasair_token"
"""The token's name among these credentials."""
MAX_BYTES = 4096

_TOKEN = re.compile(r"[!#-&(-~]*")
"""What can travel in a header and is not a shell's: ASCII without blanks and quotes."""


def read_token(environ: Mapping[str, str]) -> str:
    """Return the token; empty where the environment names none. Blanks and ends of lines around it are no part of it.

    It is the variable ``LASAIR_TOKEN``, or what the file holds that ``LASAIR_TOKEN_FILE`` names, or systemd's
    credential ``lasair_token`` where neither is set.

    Raises
    ------
    ConfigError
        If both variables are set, others can read the file, it is none, or holds no token. No message shows it.
    """
    token, named = environ.get(TOKEN_VARIABLE, "").strip(), environ.get(TOKEN_FILE_VARIABLE, "").strip()
    if token and named:
        raise ConfigError(f"set {TOKEN_VARIABLE} or {TOKEN_FILE_VARIABLE}, not both")
    where = f"the environment variable {TOKEN_VARIABLE}"
    if not token and (path := _file(named, environ)):
        token, where = _read(path, environ), f"the file {path}"
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"{where} must hold the API token alone, without a word before it, quotes or blanks; found a character "
            "that no token has"
        )
    return token


def token_if_any(environ: Mapping[str, str]) -> str:
    """Return the token, as :func:`read_token` does; empty where it cannot be had."""
    try:
        return read_token(environ)
    except ConfigError:
        return ""


def _file(named: str, environ: Mapping[str, str]) -> Path | None:
    if named:
        return Path(os.path.expanduser(named))  # one without a home stays as it is
    credential = Path(environ.get(CREDENTIALS_VARIABLE) or os.devnull) / CREDENTIAL
    return credential if os.path.isfile(credential) else None  # another user's folder, as after su, is none of ours


def _read(path: Path, environ: Mapping[str, str]) -> str:
    try:
        # Without O_NONBLOCK a pipe that nobody writes to would be waited for.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(f"the token's file {path} is no ordinary file")
            _refuse_readable(path, found, environ)
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the token's file {path}: {error.strerror}") from None
    token = content.decode("ascii", errors="replace").strip()
    if not token or len(content) > MAX_BYTES:
        raise ConfigError(f"the file {path} must hold the API token alone; found {'more' if token else 'nothing'}")
    return token


def _refuse_readable(path: Path, found: os.stat_result, environ: Mapping[str, str]) -> None:
    folder = environ.get(CREDENTIALS_VARIABLE)
    # What systemd grants to a service's user shows as a right of the group.
    of_others = 0o007 if folder and path.parent == Path(folder) else 0o077
    if found.st_mode & of_others:
        mode = stat.S_IMODE(found.st_mode)
        raise ConfigError(f"others than you can read the token's file {path} (mode {mode:04o}): chmod 600 {path}")
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"the token's file {path} is another user's, who can read it: make one of your own")
