"""Model files, whole and unchanged, and the sessions that run them."""

import hashlib
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from annotator.errors import ModelError

if TYPE_CHECKING:
    from annotator.models.runtime import onnxruntime


def read_file(path: Traversable) -> bytes:
    """Read one file of a model.

    Raises
    ------
    ModelError
        If it is not there, cannot be read, or is a pointer that Git-LFS left.
    """
    if not path.is_file():
        raise ModelError(f"expected a model file {path}, found none; copy it there or train the model again")
    try:
        content = path.read_bytes()
    except OSError as failure:
        raise ModelError(f"{path} cannot be read: {failure}; check its permissions") from failure
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
    graph = read_file(path)
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
