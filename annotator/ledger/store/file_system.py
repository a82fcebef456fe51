"""What kind of file system a ledger lies on: SQLite needs locks and shared memory, which those of a network lack."""

import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_OF_NETWORKS = frozenset(
    [
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "panfs",
        "pvfs2",
        "smb3",
        "smbfs",
    ]
)


def file_system_of(path: Path, mounts: Path = _MOUNTS) -> str:
    """Return the kind of file system that a path lies on, as in ``ext4``; empty where this system does not tell.

    Parameters
    ----------
    path
        It need not be there yet.
    mounts
        The mounts, as proc(5) lays out ``/proc/PID/mountinfo``.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place = os.path.realpath(path)
    found = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) > 4 and kinds:
            found[_unescaped(fields[4])] = kinds[0]  # of several mounts at one place the last is on top
    holding = [point for point in found if place == point or place.startswith(point.rstrip("/") + "/")]
    return found[max(holding, key=len)] if holding else ""


def is_of_network(kind: str) -> bool:
    """Say whether a kind of file system is known to be one of a network."""
    return kind in _OF_NETWORKS


def _unescaped(text: str) -> str:
    """Read what mountinfo writes of blanks and their kin: a backslash and three octal digits."""
    for octal in ("040", "011", "012"):
        text = text.replace(f"\\{octal}", chr(int(octal, 8)))
    return text.replace("\\134", "\\")
