"""Stamps whose side is the object's own, such as Rubin's: of each the same small part of the sky is looked at.

A stamp of Rubin has 30 pixels a side or as many as the source is large, so that how large it is tells how bright and
extended the source is. Of all the middle 30 pixels are kept, 6 arcsec, in bins of two by two: 0.4 arcsec, a third of
what the air makes of a point.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.preprocess.triplet import (
    CHANNELS,
    CORE,
    MAX_PHYSICAL_FLUX,
    MIN_PRESENT_FRACTION,
    ONE_SIGMA_TAIL,
    SIDE,
    Measured,
)
from annotator.transient import Triplet

LEAST_PIXELS = 30
"""Rows and columns of the smallest stamp, which are kept of each."""
PIXELS_A_BIN = 2
BINS = LEAST_PIXELS // PIXELS_A_BIN
"""Rows and columns of what is left; the object is on the middle bin."""
SOURCE_BINS = 5.0
"""Radius about the object beyond which noise is measured."""

_DIFFERENCE = CHANNELS.index("difference")
_MIDDLE = slice((SIDE - BINS) // 2, (SIDE + BINS) // 2)
_ROWS, _COLUMNS = np.mgrid[:BINS, :BINS] - BINS // 2
_IS_OUTER = np.hypot(_ROWS, _COLUMNS) > SOURCE_BINS
_CORE = slice(BINS // 2 - CORE, BINS // 2 + CORE + 1)


def measured_small(triplet: Triplet) -> Measured:
    """Lay the middle of a triplet in bins into that of the model's input, and measure it; the rest is missing.

    No sky is taken off: Rubin has done so, and a galaxy may fill the stamps.

    Parameters
    ----------
    triplet
        Stamps of one shape, 30 pixels a side or more, with the object in the middle; NaN where a pixel is missing.

    Raises
    ------
    MissingModalityError
        If the stamps differ in shape, are too small, or have too few pixels or no noise to measure by.
    """
    return measured_bins(in_bins(triplet))


def in_bins(triplet: Triplet) -> Triplet:
    """Return the middle of a triplet in bins, ``(15, 15)`` each; NaN where fewer than half of a bin's pixels are there.

    Where Rubin has no template the difference is 0 to the last bit, which no measurement is.

    Raises
    ------
    MissingModalityError
        If the stamps differ in shape or are too small.
    """
    stamps = _middle(triplet)
    with np.errstate(invalid="ignore"):
        is_there = np.abs(stamps) < MAX_PHYSICAL_FLUX  # False for NaN too
    is_there[_DIFFERENCE] &= stamps[_DIFFERENCE] != 0.0
    shape = (len(CHANNELS), BINS, PIXELS_A_BIN, BINS, PIXELS_A_BIN)
    n_there = is_there.reshape(shape).sum(axis=(2, 4))
    sums = np.where(is_there, stamps, 0.0).reshape(shape).sum(axis=(2, 4))
    binned = np.where(2 * n_there >= PIXELS_A_BIN**2, sums / np.maximum(n_there, 1), np.nan).astype(np.float32)
    return replace(triplet, **dict(zip(CHANNELS, binned, strict=True)))


def measured_bins(triplet: Triplet) -> Measured:
    """Lay a triplet that is in bins (:func:`in_bins`) into the input, as :func:`measured_small` does.

    Raises
    ------
    MissingModalityError
        If too few bins are there, or no noise to measure by.
    """
    binned = np.stack([getattr(triplet, name) for name in CHANNELS])
    is_present = np.isfinite(binned)
    fractions = is_present.mean(axis=(1, 2))
    worst = int(fractions.argmin())
    if fractions[worst] < MIN_PRESENT_FRACTION or not is_present[:, _CORE, _CORE].any(axis=(1, 2)).all():
        raise MissingModalityError(
            f"{100 * fractions[worst]:.0f} % of the middle of the {CHANNELS[worst]} stamp is there, "
            f"{100 * MIN_PRESENT_FRACTION:.0f} % are needed, and some of the object itself"
        )
    difference, there = binned[_DIFFERENCE], is_present[_DIFFERENCE]
    outer = difference[there & _IS_OUTER]
    low, high = np.quantile(outer, [ONE_SIGMA_TAIL, 1 - ONE_SIGMA_TAIL]) if outer.size else (0.0, 0.0)
    noise = float(high - low) / 2
    if not noise > float(np.abs(difference[there]).max()) * np.finfo(np.float32).eps:
        raise MissingModalityError("the difference stamp is constant: there is no noise to measure fluxes by")
    stamps = np.full((len(CHANNELS), SIDE, SIDE), np.nan, dtype=np.float32)
    present = np.zeros(stamps.shape, dtype=bool)
    stamps[:, _MIDDLE, _MIDDLE], present[:, _MIDDLE, _MIDDLE] = binned, is_present
    return Measured(stamps, present, np.zeros((len(CHANNELS), 1, 1), dtype=np.float32), noise)


def _middle(triplet: Triplet) -> NDArray[np.float64]:
    """Cut the middle ``(3, 30, 30)`` out, which of an odd side is as near to it as pixels allow."""
    stamps = [np.asarray(getattr(triplet, name), dtype=np.float64) for name in CHANNELS]
    shapes = {stamp.shape for stamp in stamps}
    if len(shapes) > 1 or stamps[0].ndim != 2 or min(stamps[0].shape) < LEAST_PIXELS:
        found = ", ".join(f"{name} {stamp.shape}" for name, stamp in zip(CHANNELS, stamps, strict=True))
        raise MissingModalityError(f"expected three stamps of one shape, {LEAST_PIXELS} pixels a side, found {found}")
    row, column = ((side - LEAST_PIXELS) // 2 for side in stamps[0].shape)
    return np.stack(stamps)[:, row : row + LEAST_PIXELS, column : column + LEAST_PIXELS]
