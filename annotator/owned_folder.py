"""Folders that are ours by a marker in them: nothing is written, replaced or deleted in anybody else's."""

import os
import tempfile
from pathlib import Path

from annotator.errors import ConfigError


def marker(kind: str) -> str:
    """Return the name of the file that makes a folder ours, for one kind of content."""
    return f".aha-{kind}"


def kinds_of(folder: Path) -> frozenset[str]:
    """Return for which kinds of content a folder is marked."""
    return frozenset(path.name.removeprefix(marker("")) for path in folder.glob(marker("*")))


def refuse_foreign(folder: Path, kind: str) -> None:
    """Refuse a folder that is not ours, or ours for another kind of content; one that is missing or empty may be taken.

    Raises
    ------
    ConfigError
        If it is another's, or cannot be read.
    """
    try:
        holds = next(folder.iterdir(), None)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise ConfigError(f"expected a folder for {kind} at {folder}, found a file; name another") from None
    except OSError as error:
        raise ConfigError(f"cannot look into the folder for {kind} at {folder}: {error.strerror}") from error
    if holds is not None and not (folder / marker(kind)).is_file():
        raise ConfigError(
            f"expected an empty folder for {kind}, or one with {marker(kind)} in it, at {folder}, found other files, "
            "which nothing here may replace or delete; name another folder"
        )


def own_folder(folder: Path, kind: str) -> None:
    """Make a folder with our marker, put the marker into an empty one, or find it there.

    Raises
    ------
    ConfigError
        If it is another's, or cannot be written to.
    """
    refuse_foreign(folder, kind)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / marker(kind)).is_file():
            write_file(folder / marker(kind), b"")
    except OSError as error:
        raise ConfigError(f"cannot write to the folder for {kind} at {folder}: {error.strerror}") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a link in its place is replaced, and not followed to where it leads.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
