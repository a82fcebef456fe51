"""Sums over rows that are the same to the bit wherever a row lies in its batch.

A processor adds several numbers at once, beginning where its memory is aligned. In a batch of rows of an odd length
each row begins elsewhere, so that its numbers would be added in another order. Rows are filled up with zeros here.
"""

import torch
from torch import Tensor
from torch.nn import functional

ALIGNED = 16
"""Numbers of four bytes: a multiple of what any processor adds at once."""


def aligned(values: Tensor) -> Tensor:
    """Fill rows ``(..., d)`` up with zeros, to a multiple of :data:`ALIGNED`."""
    return functional.pad(values, (0, -values.shape[-1] % ALIGNED))


def sum_of_rows(values: Tensor) -> Tensor:
    """``(..., d)`` -> ``(...,)``."""
    return aligned(values).sum(dim=-1)


def gathered(table: Tensor, places: Tensor) -> Tensor:
    """Look up single numbers: a table ``(m,)`` at places ``(n, k)`` -> ``(n, k)``.

    Indexed as a list the table would be read by an operator that takes ten times as long.
    """
    return torch.index_select(table, 0, places.flatten()).reshape(places.shape)
