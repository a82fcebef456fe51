"""Percentiles among the reference sample, and where a value lies among them."""

import bisect

from annotator.typed import Typed

PERCENTILES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 16.0, 25.0, 50.0, 75.0, 84.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.8)
"""At which values of the normals are kept: denser where a value is unusual."""


class Percentiles(Typed):
    """What normals have for one feature or quantity."""

    name: str
    unit: str
    values: tuple[float, ...]
    """At :data:`PERCENTILES`, ascending, in `unit`; of the normals that have a value, at least 500."""


def percentile_of(percentiles: Percentiles, value: float) -> float:
    """Return which percentile of the normals a value is, interpolated between those kept.

    It is 0.2 to 99.8, whatever lies beyond (:func:`is_beyond`); of a value that many normals have, such as 0 of yes and
    no, the middle of theirs.
    """
    knots = percentiles.values
    first, after = bisect.bisect_left(knots, value), bisect.bisect_right(knots, value)
    if first < after:
        return (PERCENTILES[first] + PERCENTILES[after - 1]) / 2
    if first in (0, len(knots)):
        return PERCENTILES[0] if first == 0 else PERCENTILES[-1]
    share = (value - knots[first - 1]) / (knots[first] - knots[first - 1])
    return PERCENTILES[first - 1] + share * (PERCENTILES[first] - PERCENTILES[first - 1])


def is_beyond(percentiles: Percentiles, value: float) -> bool:
    """Say whether a value is below or above all percentiles of the normals that are kept."""
    return not percentiles.values[0] <= value <= percentiles.values[-1]
