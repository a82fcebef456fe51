"""How passes ended."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PassRecord:
    """How a pass ended."""

    ended_at: float
    """Seconds since 1970."""
    outcome: str
    """ "done", or what a person must look at."""
    counts: Mapping[str, int]
