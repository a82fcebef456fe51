"""Cutouts that were fetched before, on disk, the least recently used going first.

Written by hand and not a caching library's: the folder is bounded in bytes, shared between processes, and any file in
it may vanish at any time.
"""

import contextlib
import hashlib
import logging
import os
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)


class CutoutCache:
    """Fetched files on disk, the least recently used of which go when there are too many.

    Parameters
    ----------
    folder
        Made when the first file is kept.
    max_bytes
        Of all files together; 0 keeps nothing.
    """

    def __init__(self, folder: Path, max_bytes: float) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def get(self, url: str) -> bytes | None:
        """Return what is kept of a URL, None if nothing is."""
        path = self._path(url)
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return content

    def put(self, url: str, content: bytes) -> None:
        """Keep a file whole or not at all; a disk that refuses costs the next fetch, no more."""
        if not self._max_bytes:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=self._folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                os.replace(temporary, self._path(url))
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            log.warning("cannot keep cutouts in %s: %s", self._folder, error)

    def forget(self, url: str) -> None:
        """Delete what is kept of a URL."""
        with contextlib.suppress(OSError):
            self._path(url).unlink(missing_ok=True)

    def trim(self) -> None:
        """Delete the least recently used files until the rest fits."""
        try:
            with os.scandir(self._folder) as entries:
                found = [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in entries]
        except OSError:
            return
        excess = sum(size for _, size, _ in found) - self._max_bytes
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
                excess -= size

    def _path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:40]}.fits"
