"""Batches of one size, so that an object's scores are the same to the bit in any company.

How a processor multiplies matrices, and so the last bits of the products, depends on how many rows they have. In a
batch that always has as many, each row meets the same instructions, whatever the others are; what is left is filled up.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

ROWS = 16
"""Objects of every run of a graph: from here on more of them at once make a run hardly cheaper for each, and a batch of
one waits for fifteen that nobody asked for."""


def parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield items in order, :data:`ROWS` at a time; the last may be fewer."""
    for start in range(0, len(items), ROWS):
        yield items[start : start + ROWS]


def filled_up(rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Lay out one to :data:`ROWS` arrays ``(...)`` as ``(ROWS, ...)``; what is left repeats the last of them."""
    if isinstance(rows, np.ndarray) and len(rows) == ROWS:
        return rows
    batch = np.empty((ROWS, *rows[0].shape), dtype=np.float32)
    batch[: len(rows)] = rows
    batch[len(rows) :] = rows[-1]
    return batch
