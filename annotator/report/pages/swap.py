"""A folder of pages is replaced as a whole: the old one stays until the new one is complete."""

import glob
import shutil
from pathlib import Path

from annotator.owned_folder import marker

KIND = "report"
MARKER = marker(KIND)
"""Stands in a folder that holds a report, and lists the report's files: only they are ever replaced."""

_OLD = "-old"
"""Ends the name of an earlier report while another takes its place."""


def swap(folder: Path, new: Path) -> None:
    """Put a report in its place; move over what lies in the earlier one and is not its own."""
    old = new.with_name(f"{new.name}{_OLD}")
    if folder.is_dir() and any(folder.iterdir()):
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.is_dir():
            old.rename(folder)
        raise
    if old.is_dir():
        _move_over(old, folder)


def finish_swaps(folder: Path) -> None:
    """Finish what a report was killed at: put the earlier one back, or move over what is not its own."""
    for old in sorted(folder.parent.glob(f".{glob.escape(folder.name)}.*{_OLD}")):
        if not (old / MARKER).is_file():
            continue  # somebody else's
        if not folder.exists():
            old.rename(folder)
        elif (folder / MARKER).is_file():
            _move_over(old, folder)


def _move_over(old: Path, folder: Path) -> None:
    own = set((old / MARKER).read_text(encoding="utf-8").splitlines())
    for path in sorted(old.rglob("*")):
        relative = path.relative_to(old)
        is_file = path.is_symlink() or not path.is_dir()
        if is_file and relative.as_posix() not in own and not (folder / relative).exists():
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            path.rename(folder / relative)
    shutil.rmtree(old)
