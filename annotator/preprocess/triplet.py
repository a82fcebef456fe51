"""Triplets of stamps: one tensor in which the flux relations between science, template and difference survive."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.transient import Triplet

SIDE = 63
"""Rows and columns of a whole ZTF stamp; the object is on its middle pixel, row 31, column 31."""

CENTRE = SIDE // 2

DETECTOR = (3080, 3072)
"""Rows and columns of a quadrant of ZTF's camera, beyond which no stamp reaches (Masci et al. 2019)."""

CHANNELS = ("science", "template", "difference")
"""In the order of the tensor; the same order again for the masks."""

MAX_PHYSICAL_FLUX = 1e30
"""Beyond it a number is no flux: ZTF's templates hold FLT_MAX (3.4e38) where they have none."""

SOFTENING_SIGMA = 2.0
"""Noise levels at which the scale turns from linear to logarithmic."""

MAX_VALUE = 8.0
"""Of a scaled pixel: 3,000 noise levels, beyond which ZTF's detector saturates; nothing brighter raises an error."""

MIN_PRESENT_FRACTION = 0.25
"""The floor: with fewer pixels than this in any of the three stamps the modality is missing."""

CORE = 3
"""Half width of the square at the middle that must not be missing altogether."""

ONE_SIGMA_TAIL = 0.158655
"""Share of a normal distribution below minus one standard deviation."""

_N_PARTS = 9
_REACHES = (28, 110, SIDE * SIDE)
"""How far to either side of where a rank should be it is looked for in each part; the last is all of it."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A triplet about its object, and the sky and the noise that its pixels are measured by."""

    stamps: NDArray[np.float32]
    """``(3, 63, 63)`` by :data:`CHANNELS`, in the survey's own flux units."""
    present: NDArray[np.bool_] | None
    """Where they have pixels; None: everywhere."""
    sky: NDArray[np.float32]
    """``(3, 1, 1)``, the median of each."""
    noise: float
    """Half the range of the middle 68 % of the difference stamp's pixels."""


def measured(triplet: Triplet) -> Measured:
    """Lay a triplet about its object and measure it.

    A stamp cut by the detector's edge is padded with missing pixels, never stretched: along an axis with fewer than 63
    pixels the object is 31 pixels from one of its ends. Which one the object's place on the detector says; where that
    is not known, it is the one around which the difference stamp is brighter.

    Parameters
    ----------
    triplet
        Stamps of one shape, 32 to 63 pixels a side, in the survey's own flux units; NaN where a pixel is missing.

    Raises
    ------
    MissingModalityError
        If the stamps differ in shape, do not hold the object, or have too few pixels or no noise to measure by.
    """
    stamps = np.stack(_same_shape(triplet)).astype(np.float32, copy=False)
    with np.errstate(invalid="ignore"):
        present = np.abs(stamps) < MAX_PHYSICAL_FLUX  # False for NaN too
    stamps, present = _padded(stamps, present, (triplet.y_pixel, triplet.x_pixel))
    is_whole = bool(present.all())
    if is_whole:
        known = _in_parts(stamps)
    else:
        _check_present(present)
        known = [np.sort(stamp[mask])[np.newaxis] for stamp, mask in zip(stamps, present, strict=True)]
    science, template, difference = known
    middle, tail = difference.size // 2, round(ONE_SIGMA_TAIL * difference.size)
    low, difference_sky, high = (_at_rank(difference, rank) for rank in (tail, middle, difference.size - 1 - tail))
    noise = (high - low) / 2
    if not noise > abs(difference_sky) * np.finfo(np.float32).eps:
        raise MissingModalityError("the difference stamp is constant: there is no noise to measure fluxes by")
    skies = [*(_at_rank(parts, parts.size // 2) for parts in (science, template)), difference_sky]
    sky = np.array(skies, dtype=np.float32)[:, np.newaxis, np.newaxis]
    return Measured(stamps, None if is_whole else present, sky, noise)


def stamp_tensors(triplets: Sequence[Measured]) -> NDArray[np.float32]:
    """Lay triplets out as the model's input, each the same to the bit whatever the others are.

    From each stamp its median is taken as sky. All three are then divided by one noise level, half the range of the
    middle 68 % of the difference stamp's pixels, so that an excess in the difference is the same number in the science
    stamp, and how noisy an image is does not show. The scale is asinh(x / 2 sigma), clipped at +-8.

    Parameters
    ----------
    triplets
        As :func:`measured` gives them.

    Returns
    -------
    NDArray
        ``(n, 6, 63, 63)`` float32, finite: science, template, difference, 0 (the sky) where missing; then for each 1
        where its pixel is there and 0 where it is missing.
    """
    tensors = np.empty((len(triplets), 2 * len(CHANNELS), SIDE, SIDE), dtype=np.float32)
    scaled = tensors[:, : len(CHANNELS)]
    tensors[:, len(CHANNELS) :] = 1.0
    for number, triplet in enumerate(triplets):
        stamps = triplet.stamps
        if triplet.present is not None:
            tensors[number, len(CHANNELS) :] = triplet.present
            stamps = np.where(triplet.present, stamps, triplet.sky)
        np.subtract(stamps, triplet.sky, out=scaled[number])
    softenings = np.array([SOFTENING_SIGMA * triplet.noise for triplet in triplets], dtype=np.float32)
    scaled /= softenings[:, np.newaxis, np.newaxis, np.newaxis]
    np.arcsinh(scaled, out=scaled)
    np.clip(scaled, -MAX_VALUE, MAX_VALUE, out=scaled)
    return tensors


def stamp_tensor(triplet: Triplet) -> NDArray[np.float32]:
    """Lay one triplet out as the model's input, ``(6, 63, 63)``, as :func:`measured` and :func:`stamp_tensors` do."""
    return stamp_tensors([measured(triplet)])[0]


def composed(parts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lay out what the model says of the field's bins and of the middle's pixels as its stamps are.

    Parameters
    ----------
    parts
        ``(n, 2, 3, 21, 21)``: of the field in bins of 3 pixels a side, then of the middle 21 pixels a side.

    Returns
    -------
    NDArray
        ``(n, 3, 63, 63)``: in the middle its own, around it each bin's in all of the bin's pixels.
    """
    n_middle = parts.shape[-1]
    n_pixels = SIDE // n_middle
    stamps = parts[:, 0].repeat(n_pixels, axis=2).repeat(n_pixels, axis=3)
    middle = slice(CENTRE - n_middle // 2, CENTRE + n_middle // 2 + 1)
    stamps[:, :, middle, middle] = parts[:, 1]
    return stamps


def _same_shape(triplet: Triplet) -> list[NDArray[np.float32]]:
    stamps = [np.asarray(getattr(triplet, name)) for name in CHANNELS]
    shapes = {stamp.shape for stamp in stamps}
    if len(shapes) > 1 or stamps[0].ndim != 2:
        found = ", ".join(f"{name} {stamp.shape}" for name, stamp in zip(CHANNELS, stamps, strict=True))
        raise MissingModalityError(f"expected three stamps of one shape, found {found}")
    if not all(CENTRE < side <= SIDE for side in stamps[0].shape):
        raise MissingModalityError(
            f"expected stamps of {CENTRE + 1} to {SIDE} pixels a side with the object on them, found {stamps[0].shape}"
        )
    return stamps


def _in_parts(stamps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Deal the pixels of whole stamps ``(3, 63, 63)`` out to parts, each sorted: ``(3, 9, 441)``."""
    return np.sort(stamps.reshape(len(CHANNELS), -1, _N_PARTS).swapaxes(1, 2), axis=2)


def _at_rank(parts: NDArray[np.float32], rank: int) -> float:
    """Return the pixel that would be at a rank if all were sorted; given are sorted parts ``(n_parts, n)``.

    It is about as far along in each part as in all. Where it is not among those, more are looked at: short lists are
    sorted many times faster than long ones, and than what stands at one place of a long one is found.
    """
    n_parts, n = parts.shape
    place = rank * n // parts.size
    for reach in _REACHES:
        first, end = max(0, place - reach), min(n, place + reach)
        found = np.sort(parts[:, first:end], axis=None)[rank - n_parts * first]
        is_above = first == 0 or parts[:, first - 1].max() <= found
        if is_above and (end == n or found <= parts[:, end].min()):
            break
    return float(found)


def _padded(
    stamps: NDArray[np.float32], present: NDArray[np.bool_], place: tuple[float | None, float | None]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Lay ``(3, rows, columns)`` into ``(3, 63, 63)`` with the object in the middle."""
    rows, columns = stamps.shape[1:]
    if rows == columns == SIDE:
        return stamps, present
    difference = np.where(present[2], stamps[2], -np.inf)
    starts = [_starts(*axis) for axis in zip((rows, columns), place, DETECTOR, strict=True)]

    def brightness(start: tuple[int, int]) -> float:
        row, column = CENTRE - start[0], CENTRE - start[1]
        return float(difference[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].max())

    row, column = max(((r, c) for r in starts[0] for c in starts[1]), key=brightness)
    whole, mask = np.full((3, SIDE, SIDE), np.nan, dtype=np.float32), np.zeros((3, SIDE, SIDE), dtype=bool)
    whole[:, row : row + rows, column : column + columns] = stamps
    mask[:, row : row + rows, column : column + columns] = present
    return whole, mask


def _starts(side: int, pixel: float | None, n_pixels: int) -> tuple[int, ...]:
    """Return where the first of some rows or columns may be among the 63."""
    if side == SIDE:
        return (0,)
    if pixel is not None and round(pixel) <= CENTRE:
        return (SIDE - side,)
    if pixel is not None and round(pixel) > n_pixels - CENTRE:
        return (0,)
    return 0, SIDE - side


def _check_present(present: NDArray[np.bool_]) -> None:
    fractions = [np.count_nonzero(mask) / mask.size for mask in present]  # a mean of booleans takes 50 times as long
    worst = fractions.index(min(fractions))
    if fractions[worst] < MIN_PRESENT_FRACTION:
        raise MissingModalityError(
            f"{100 * fractions[worst]:.0f} % of the {CHANNELS[worst]} stamp's pixels are there, "
            f"{100 * MIN_PRESENT_FRACTION:.0f} % are needed"
        )
    core = slice(CENTRE - CORE, CENTRE + CORE + 1)
    empty = [name for name, mask in zip(CHANNELS, present, strict=True) if not mask[core, core].any()]
    if empty:
        raise MissingModalityError(f"no pixel of the object itself is there in: {', '.join(empty)}")
