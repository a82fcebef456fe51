"""A disk that writes down what SQLite does to it, can be full, and can lose its power.

A layer over SQLite's own files (a VFS), made with ctypes in the library that Python's sqlite3 has loaded. It is the
default of every connection that is opened while it is installed; elsewhere than in SQLite nothing changes.
"""

import ctypes
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p, cast
from dataclasses import dataclass
from pathlib import Path

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""
_FULL, _OK = 13, 0

_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
_DELETE = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)


class _Methods(Structure):
    """sqlite3_io_methods: what can be done with an open file."""

    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("others", c_void_p * 13),
    )


class _File(Structure):
    """sqlite3_file, of which only the beginning is public."""

    _fields_ = (("methods", POINTER(_Methods)),)


class _Vfs(Structure):
    """sqlite3_vfs: a kind of file system."""

    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("others", c_void_p * 14),
    )


@dataclass(frozen=True)
class Step:
    """One thing that was done to a file."""

    kind: str
    """write, truncate, sync or delete."""
    path: str
    offset: int = 0
    """Where it was written; for truncate the new size in bytes."""
    content: bytes = b""
    after: int = 0
    """What `count` said when it was done."""


class Disk:
    """What was done to SQLite's files; `has_room` is asked before each write, by its bytes, `count` for each step."""

    def __init__(self, count: Callable[[], int] = lambda: 0, has_room: Callable[[int], bool] = lambda n: True) -> None:
        self.steps: list[Step] = []
        self._count = count
        self._has_room = has_room
        self._kept: list[object] = []  # ctypes' functions die with their objects

    def note(self, kind: str, path: str, offset: int = 0, content: bytes = b"") -> None:
        """Write a step down."""
        self.steps.append(Step(kind, path, offset, content, self._count()))

    @contextmanager
    def installed(self) -> Iterator["Disk"]:
        """Lie under every connection that is opened meanwhile."""
        library = sqlite_library()
        below = library.sqlite3_vfs_find(None)
        layer = _Vfs.from_buffer_copy(below.contents)
        layer.name = b"a disk of the laboratory"
        layer.open, layer.delete = self._open(below), self._delete(below)
        assert library.sqlite3_vfs_register(ctypes.byref(layer), 1) == _OK
        try:
            yield self
        finally:
            library.sqlite3_vfs_unregister(ctypes.byref(layer))
            library.sqlite3_vfs_register(below, 1)

    def _kept_pointer(self, function: object) -> int | None:
        self._kept.append(function)
        return cast(function, c_void_p).value

    def _open(self, below: "ctypes._Pointer[_Vfs]") -> int | None:
        original = _OPEN(below.contents.open)

        # SQLite keeps the pointer to the name, so it has to be handed on as it is.
        def open_(vfs: int, name: int | None, file: int, flags: int, out_flags: object) -> int:
            result = original(ctypes.addressof(below.contents), name, file, flags, out_flags)
            handle = cast(file, POINTER(_File)).contents
            if result == _OK and name and handle.methods:
                handle.methods = ctypes.pointer(self._watched(handle.methods.contents, ctypes.string_at(name).decode()))
            return result

        return self._kept_pointer(_OPEN(open_))

    def _delete(self, below: "ctypes._Pointer[_Vfs]") -> int | None:
        original = _DELETE(below.contents.delete)

        def delete(vfs: int, name: bytes, sync_folder: int) -> int:
            self.note("delete", name.decode())
            return original(ctypes.addressof(below.contents), name, sync_folder)

        return self._kept_pointer(_DELETE(delete))

    def _watched(self, methods: _Methods, path: str) -> _Methods:
        write_, truncate_, sync_ = _WRITE(methods.write), _TRUNCATE(methods.truncate), _SYNC(methods.sync)

        def write(file: int, content: int, n_bytes: int, offset: int) -> int:
            if not self._has_room(n_bytes):
                return _FULL
            self.note("write", path, offset, ctypes.string_at(content, n_bytes))
            return write_(file, content, n_bytes, offset)

        def truncate(file: int, size: int) -> int:
            self.note("truncate", path, size)
            return truncate_(file, size)

        def sync(file: int, flags: int) -> int:
            self.note("sync", path)
            return sync_(file, flags)

        watched = _Methods.from_buffer_copy(methods)
        watched.write = self._kept_pointer(_WRITE(write))
        watched.truncate = self._kept_pointer(_TRUNCATE(truncate))
        watched.sync = self._kept_pointer(_SYNC(sync))
        self._kept.append(watched)
        return watched


def sqlite_library() -> ctypes.CDLL:
    """Return the library that Python's sqlite3 uses; AttributeError where that is built into Python."""
    import _sqlite3

    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = [c_char_p]
    library.sqlite3_vfs_register.argtypes = [c_void_p, c_int]
    library.sqlite3_vfs_unregister.argtypes = [c_void_p]
    return library


def after_power_loss(before: Mapping[str, bytes], steps: Sequence[Step], rng: random.Random) -> dict[str, bytes]:
    """Return what files may hold when the power goes after these steps.

    What was written before a file's last sync is there. Of what was written after it, each sector may be there or not;
    a file that was deleted may be back.
    """
    last_sync = {step.path: number for number, step in enumerate(steps) if step.kind == "sync"}
    files = {path: bytearray(content) for path, content in before.items()}
    for number, step in enumerate(steps):
        is_safe = number < last_sync.get(step.path, -1)
        if step.kind == "write":
            _write(files.setdefault(step.path, bytearray()), step, is_safe, rng)
        elif step.kind == "truncate" and (is_safe or rng.random() < 0.5):
            del files.setdefault(step.path, bytearray())[step.offset :]
        elif step.kind == "delete" and (is_safe or rng.random() < 0.5):
            files.pop(step.path, None)
    return {path: bytes(content) for path, content in files.items()}


def _write(file: bytearray, step: Step, is_safe: bool, rng: random.Random) -> None:
    for start in range(0, len(step.content), SECTOR_BYTES):
        if is_safe or rng.random() < 0.5:
            part = step.content[start : start + SECTOR_BYTES]
            begin = step.offset + start
            file.extend(bytes(max(0, begin - len(file))))
            file[begin : begin + len(part)] = part


def lay_out(files: Mapping[str, bytes], folder: Path, name: str) -> None:
    """Put files as a disk has them in the place of a database of this name, and of its journals."""
    for path in (folder / f"{name}{end}" for end in ("", "-wal", "-shm", "-journal")):
        path.unlink(missing_ok=True)
    for path, content in files.items():
        (folder / Path(path).name).write_bytes(content)
