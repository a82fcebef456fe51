"""Cutouts that were fetched before, on disk, the least recently used going first.

Written by hand and not a caching library's: the folder is bounded in bytes, shared between processes, and any file in
it may vanish at any time. Only a folder that is marked as the cache's is used, and in it only files of the cache's
names are read or deleted, none through a link.
"""

import contextlib
import hashlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from annotator.errors import ConfigError
from annotator.owned_folder import own_folder, refuse_foreign, write_file

KIND = "cutouts"
"""Of the folder's marker."""
OWN_NAME = re.compile(r"[0-9a-f]{40}\.fits|\.[0-9a-f]{40}\.[^/]*\.part")
"""A file that was fetched, or one that a process was killed at while it wrote."""

log = logging.getLogger(__name__)


class CutoutCache:
    """Fetched files on disk, the least recently used of which go when there are too many.

    Parameters
    ----------
    folder
        Made when the first file is kept.
    max_bytes
        Of all files together; 0 keeps nothing.

    Raises
    ------
    ConfigError
        If the folder is somebody else's.
    """

    def __init__(self, folder: Path, max_bytes: float) -> None:
        if max_bytes:
            refuse_foreign(folder, KIND)
        self._folder = folder
        self._max_bytes = max_bytes

    def get(self, url: str) -> bytes | None:
        """Return what is kept of a URL, None if nothing is."""
        path = self._path(url)
        try:
            with open(path, "rb", opener=_itself) as file:
                content = file.read()
                os.utime(file.fileno())
        except OSError:
            return None
        return content

    def put(self, url: str, content: bytes) -> None:
        """Keep a file whole or not at all; a disk that refuses costs the next fetch, no more."""
        if not self._max_bytes:
            return
        try:
            own_folder(self._folder, KIND)
            write_file(self._path(url), content)
        except (OSError, ConfigError) as error:
            log.warning("cannot keep cutouts in %s: %s", self._folder, error)

    def forget(self, url: str) -> None:
        """Delete what is kept of a URL."""
        with contextlib.suppress(OSError):
            self._path(url).unlink(missing_ok=True)

    def trim(self) -> None:
        """Delete the least recently used files until the rest fits."""
        try:
            refuse_foreign(self._folder, KIND)
            found = list(self._files())
        except (OSError, ConfigError):
            return
        excess = sum(size for _, size, _ in found) - self._max_bytes
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
                excess -= size

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """Give when each of the cache's files was used last, its bytes, and its path."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if OWN_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        yield found.st_mtime, found.st_size, entry.path

    def _path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:40]}.fits"


def _itself(path: str, flags: int) -> int:
    """Open what lies at a path, not what a link leads to, and wait for nobody to write into a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
