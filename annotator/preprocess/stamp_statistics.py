"""Single numbers of a triplet in which a bogus detection shows: at the object, around it and away from it."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.triplet import CENTRE, CHANNELS, SIDE

_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE] - CENTRE
_RADIUS_PIXELS = np.hypot(_ROWS, _COLUMNS)

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
    """Reduce one triplet's tensor to :data:`STATISTICS`.

    Parameters
    ----------
    tensor
        ``(6, 63, 63)`` float32, as :func:`annotator.preprocess.triplet.stamp_tensor` gives it.

    Returns
    -------
    dict
        By name, in the order of :data:`STATISTICS`; finite.
    """
    science, template, difference = tensor[: len(CHANNELS)]
    near = difference[_RADIUS_PIXELS < 15]
    values = {
        "difference_peak": difference[_RADIUS_PIXELS < 3].max(),
        "difference_trough": difference[_RADIUS_PIXELS < 5].min(),
        "difference_mean": difference[_RADIUS_PIXELS < 6].mean(),
        "difference_scatter": difference[_RADIUS_PIXELS < 6].std(),
        "difference_core": difference[_RADIUS_PIXELS < 2].mean(),
        "difference_ring": difference[(_RADIUS_PIXELS >= 2) & (_RADIUS_PIXELS < 4)].mean(),
        "difference_outskirts": difference[(_RADIUS_PIXELS >= 4) & (_RADIUS_PIXELS < 6)].mean(),
        "difference_bright_share": (near > BRIGHT).mean(),
        "difference_dark_share": (near < -BRIGHT).mean(),
        "difference_strong_share": (np.abs(difference[_RADIUS_PIXELS > 8]) > STRONG).mean(),
        "difference_asymmetry": np.square(difference - difference[::-1, ::-1]).mean(),
        "template_peak": template[_RADIUS_PIXELS < 3].max(),
        "template_mean": template[_RADIUS_PIXELS < 6].mean(),
        "science_peak": science[_RADIUS_PIXELS < 3].max(),
        "science_mean": science[_RADIUS_PIXELS < 6].mean(),
        "present_share": tensor[len(CHANNELS) :].mean(),
    }
    return {name: float(values[name]) for name in STATISTICS}
