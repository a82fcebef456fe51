"""Model files, whole and unchanged, measured before they are unpacked; and the sessions that run them.

An archive of a few kilobytes can unpack to any number of bytes, and an array's header can promise more than its file
holds: numpy would make room for all that it promises.
"""

import hashlib
import io
import math
import zipfile
import zlib
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ModelError

if TYPE_CHECKING:
    from annotator.models.runtime import onnxruntime


MAX_GRAPH = 512_000_000
MAX_FILE = 32_000_000
"""Bytes of a manifest or an index; ours have 0.2 million. Read, a manifest takes a few times as much memory."""

MAX_ARRAYS = 100
MAX_UNPACKED = 256_000_000
"""Bytes of all arrays together."""
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What :func:`unpack` raises of an archive that is damaged, encrypted, too large or none."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_file(path: Traversable, most: int = MAX_FILE) -> bytes:
    """Read one file of a model, of at most so many bytes.

    Raises
    ------
    ModelError
        If it is not there, cannot be read, is longer, or is a pointer that Git-LFS left.
    """
    if not path.is_file():
        raise ModelError(f"expected a model file {path}, found none; copy it there or train the model again")
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as failure:
        raise ModelError(f"{path} cannot be read: {failure}; check its permissions") from failure
    if len(content) > most:
        raise ModelError(f"{path} is longer than the {most:,} bytes that a model's file may have; train it again")
    if content.startswith(b"version https://git-lfs"):
        raise ModelError(f"expected a model at {path}, found a Git-LFS pointer; fetch the file with: git lfs pull")
    return content


def open_graph(path: Traversable, sha256: str, n_bytes: int) -> "onnxruntime.InferenceSession":
    """Open a graph that is what its manifest says it is.

    Raises
    ------
    ModelError
        If it is another, or no graph.
    """
    graph = read_file(path, MAX_GRAPH)
    found_sha256 = hashlib.sha256(graph).hexdigest()
    if found_sha256 != sha256:
        kind = "truncated" if len(graph) < n_bytes else "changed, or of another manifest"
        raise ModelError(
            f"{path}: expected {n_bytes} bytes with sha256 {sha256}, found {len(graph)} bytes with {found_sha256}; the "
            f"file is {kind}: copy or train the model again"
        )
    try:
        return session_of(graph)
    except Exception as failure:  # onnxruntime's exceptions share no base below Exception
        raise ModelError(f"{path}: expected an ONNX graph, found what cannot be loaded: {failure}") from failure


def session_of(graph: bytes) -> "onnxruntime.InferenceSession":
    """Return a session that runs a graph in this thread alone."""
    from annotator.models.runtime import onnxruntime  # commands that do not score start without it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def unpack(content: bytes, most: int = MAX_UNPACKED) -> dict[str, NDArray]:
    """Return the arrays of an archive by their names, of at most so many bytes together.

    Raises
    ------
    OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error
        If it is damaged or none, or holds more than is unpacked here.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        n_bytes = sum(member.file_size for member in members)  # of a member no more than this is ever unpacked
        if len(members) > MAX_ARRAYS or n_bytes > most:
            raise ValueError(
                f"{len(members)} arrays of {n_bytes:,} bytes, of at most {MAX_ARRAYS} and {most:,} together"
            )
        return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{member.filename} is of another version of the format, {version}")
        shape, _, dtype = _HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds objects, which are never opened")
        promised, there = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
        if not dtype.itemsize or promised != there:
            raise ValueError(f"{member.filename} promises {promised:,} bytes, and holds {there:,}")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def check_identity(where: str, expected_and_found: dict[str, tuple[object, object]]) -> None:
    """Refuse a model that was made for something else; `expected_and_found` is by what it is about.

    Raises
    ------
    ModelError
        Naming what differs.
    """
    for what, (expected, found) in expected_and_found.items():
        if found != expected:
            raise ModelError(f"{where}: expected {what} '{expected}', found '{found}'; use a model made for it")
