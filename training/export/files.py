"""Files that are there whole or not at all."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from annotator.errors import ConfigError

OUT_OF_FOLD = "out-of-fold"
"""Of the marker of a folder of out-of-fold numbers."""


def write_files(folder: Path, files: Sequence[tuple[str, bytes]]) -> None:
    """Write files whole or not at all, each by a rename, in order.

    A crash between two renames leaves a graph and a manifest that name different hashes, which the loader refuses.

    Raises
    ------
    ConfigError
        If the folder cannot be written to.
    """
    written: list[tuple[Path, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files:
            handle, path = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
            written.append((Path(path), folder / name))
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for temporary, final in written:
            temporary.chmod(0o644)
            temporary.replace(final)
    except OSError as failure:
        raise ConfigError(f"--out {folder}: expected a folder that can be written to, found {failure}") from failure
    finally:
        for temporary, _ in written:
            temporary.unlink(missing_ok=True)
