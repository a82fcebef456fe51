"""What of a light curve can be used: the nights and bands of the sign that counts, bright enough for a magnitude."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.bands import BANDS
from annotator.preprocess.nightly import Points, laid_out, nightly, total
from annotator.transient import LightCurve

SIGNIFICANT = 5.0
"""In standard deviations: what counts for the sign, and as activity."""

USABLE = 4.0
"""In standard deviations, of the sign that counts: fainter, a magnitude's error is far from Gaussian."""

MIN_POINTS = 2
"""The floor: one night in one band has neither colour nor shape."""


@dataclass(frozen=True, eq=False)
class Usable:
    """What of n light curves can be used: the nights and bands of the sign that counts."""

    nights: Points
    """All nights and bands."""
    is_significant: NDArray[np.bool_]
    """Which of them say which sign they have."""
    sign: NDArray[np.float64]
    """``(n,)``: that counts; 0 where nothing is significant."""
    usable: Points
    """Those of objects with :data:`MIN_POINTS` or more."""
    n_points: NDArray[np.int64]
    """``(n,)``: how many of each object could be used, if there were enough."""


def usable_points(curves: Sequence[LightCurve], names: Sequence[str]) -> Usable:
    """Select what of light curves has a magnitude, the visits of a night and band combined.

    Parameters
    ----------
    names
        Of the bands that count, in alphabetical order.
    """
    n = len(curves)
    nights = nightly(laid_out(curves, names))
    significance, sign = nights.flux / nights.error, _signs(nights, n)
    usable = nights.where(significance * sign[nights.owner] >= USABLE)
    n_points = np.bincount(usable.owner, minlength=n)
    return Usable(
        nights, np.abs(significance) >= SIGNIFICANT, sign, usable.where(n_points[usable.owner] >= MIN_POINTS), n_points
    )


def sign_of(curve: LightCurve) -> int:
    """Tell which side of its template a source is on: 1, or -1 of one that is scored as its mirror.

    0 where nothing is significant: then nothing is usable either.
    """
    return int(_signs(nightly(laid_out([curve], sorted(BANDS))), 1)[0])


def _signs(nights: Points, n: int) -> NDArray[np.float64]:
    """Return the sign of each of n objects, what is more significant counting for more."""
    significance = nights.flux / nights.error
    is_significant = np.abs(significance) >= SIGNIFICANT
    weight = np.where(is_significant, significance * np.abs(significance), 0.0)
    return np.where(total(weight, nights.owner, n) < 0, -1.0, np.sign(total(is_significant, nights.owner, n)))
