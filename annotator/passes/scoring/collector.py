"""Python's collector of garbage, which rests while a batch is taken."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_rests() -> Iterator[None]:
    """Let Python not look for cycles of garbage in a batch.

    Hundreds of thousands of objects live for its time; among them, and all that the models hold, it would look again
    and again, in a tenth of the time that a batch takes, and find next to nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
