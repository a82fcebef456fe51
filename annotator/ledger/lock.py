"""The right to make a pass on a ledger: one process at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from annotator.errors import LedgerBusyError, LedgerError


@contextlib.contextmanager
def pass_lock(path: Path) -> Iterator[None]:
    """Hold the right to make a pass on the ledger at `path`; it ends with the process, however that ends.

    Raises
    ------
    LedgerBusyError
        If another process holds it.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock_file = open(lock_path, "a+")  # noqa: SIM115 - it must outlive the with of opening
    except OSError as error:
        raise LedgerError(f"cannot open the ledger's lock {lock_path}: {error.strerror}") from error
    with lock_file:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock_file.seek(0)
            holder = lock_file.read().strip() or "unknown"
            raise LedgerBusyError(
                f"another pass (process {holder}) is at work on the ledger {path}: wait for it to end, or give this "
                "configuration a ledger of its own"
            ) from None
        lock_file.truncate(0)
        lock_file.write(str(os.getpid()))
        lock_file.flush()
        yield
