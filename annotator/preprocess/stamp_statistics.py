"""Single numbers of a triplet in which a bogus detection shows: at the object, around it and away from it."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.triplet import CENTRE, CHANNELS, SIDE

_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE] - CENTRE
_RADIUS_PIXELS = np.hypot(_ROWS, _COLUMNS).ravel()

# Places of pixels in a flat stamp.
_WITHIN = {pixels: np.flatnonzero(pixels > _RADIUS_PIXELS) for pixels in (2, 3, 5, 6)}
_RING = np.flatnonzero((_RADIUS_PIXELS >= 2) & (_RADIUS_PIXELS < 4))
_OUTSKIRTS = np.flatnonzero((_RADIUS_PIXELS >= 4) & (_RADIUS_PIXELS < 6))
_NEAR = np.flatnonzero(_RADIUS_PIXELS < 15)
_WITHIN_OR_AT_8 = np.flatnonzero(_RADIUS_PIXELS <= 8)

BRIGHT = 1.0
"""In the tensor's scale, asinh(flux / 2 noise levels): 2.4 noise levels."""
STRONG = 1.2
"""3 noise levels."""

STATISTICS: Mapping[str, str] = MappingProxyType(
    {
        "difference_peak": "brightest pixel of the difference within 3 pixels",
        "difference_trough": "faintest pixel of the difference within 5 pixels",
        "difference_mean": "mean of the difference within 6 pixels",
        "difference_scatter": "standard deviation of the difference within 6 pixels",
        "difference_core": "mean of the difference within 2 pixels",
        "difference_ring": "mean of the difference from 2 to 4 pixels",
        "difference_outskirts": "mean of the difference from 4 to 6 pixels",
        "difference_bright_share": "share of pixels brighter than 2.4 noise levels within 15 pixels",
        "difference_dark_share": "share of pixels fainter than -2.4 noise levels within 15 pixels",
        "difference_strong_share": "share of pixels beyond 3 noise levels, either sign, more than 8 pixels away",
        "difference_asymmetry": "mean square of the difference less itself turned by half a turn",
        "template_peak": "brightest pixel of the template within 3 pixels",
        "template_mean": "mean of the template within 6 pixels",
        "science_peak": "brightest pixel of the science stamp within 3 pixels",
        "science_mean": "mean of the science stamp within 6 pixels",
        "present_share": "share of pixels that are there",
    }
)
"""Name to meaning; all in the tensor's scale (:func:`annotator.preprocess.triplet.stamp_tensor`)."""


def stamp_statistics(tensor: NDArray[np.float32]) -> dict[str, float]:
    """Reduce one triplet's tensor ``(6, 63, 63)`` to :data:`STATISTICS`, as :func:`statistics_of` does."""
    return statistics_of(tensor[np.newaxis])[0]


def statistics_of(tensors: NDArray[np.float32]) -> list[dict[str, float]]:
    """Reduce triplets' tensors to :data:`STATISTICS`, each to the same whatever the others are.

    Parameters
    ----------
    tensors
        ``(n, 6, 63, 63)`` float32, as :func:`annotator.preprocess.triplet.stamp_tensor` gives each.

    Returns
    -------
    list of dict
        Of each, by name, in the order of :data:`STATISTICS`; finite.
    """
    n = len(tensors)
    flat = tensors.reshape(n, 2 * len(CHANNELS), -1)
    science, template, difference = (flat[:, number] for number in range(len(CHANNELS)))
    near, within_6 = difference.take(_NEAR, axis=1), difference.take(_WITHIN[6], axis=1)
    columns = {
        "difference_peak": difference.take(_WITHIN[3], axis=1).max(axis=1),
        "difference_trough": difference.take(_WITHIN[5], axis=1).min(axis=1),
        "difference_mean": within_6.mean(axis=1),
        "difference_scatter": within_6.std(axis=1),
        "difference_core": difference.take(_WITHIN[2], axis=1).mean(axis=1),
        "difference_ring": difference.take(_RING, axis=1).mean(axis=1),
        "difference_outskirts": difference.take(_OUTSKIRTS, axis=1).mean(axis=1),
        "difference_bright_share": np.count_nonzero(near > BRIGHT, axis=1) / len(_NEAR),
        "difference_dark_share": np.count_nonzero(near < -BRIGHT, axis=1) / len(_NEAR),
        "difference_strong_share": _n_strong_far(difference) / (SIDE**2 - len(_WITHIN_OR_AT_8)),
        "difference_asymmetry": np.square(difference - difference[:, ::-1]).mean(axis=1),
        "template_peak": template.take(_WITHIN[3], axis=1).max(axis=1),
        "template_mean": template.take(_WITHIN[6], axis=1).mean(axis=1),
        "science_peak": science.take(_WITHIN[3], axis=1).max(axis=1),
        "science_mean": science.take(_WITHIN[6], axis=1).mean(axis=1),
        "present_share": flat[:, len(CHANNELS) :].mean(axis=(1, 2)),
    }
    rows = zip(*(columns[name].tolist() for name in STATISTICS), strict=True)
    return [dict(zip(STATISTICS, row, strict=True)) for row in rows]


def _n_strong_far(difference: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count the strong pixels more than 8 pixels away: all ``(n, 3969)`` less the few that are nearer."""
    is_strong = np.abs(difference) > STRONG
    return np.count_nonzero(is_strong, axis=1) - np.count_nonzero(is_strong.take(_WITHIN_OR_AT_8, axis=1), axis=1)
