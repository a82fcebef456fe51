"""What a normal supernova would do that looks like an object: a mean over many of them, by how well each fits.

The autoencoder's reconstruction is what its error is made of, and no picture of a supernova: where no detection held
it in training it goes anywhere. Here the supernovae of the simulated sky (:mod:`annotator.sandbox.sky.light_curves`:
templates of SN Ia, II and Ib/c from the literature, with the time scales, colours, declines, distances and dust that
they come with) are laid onto the detections, each at any epoch and brightness. A few epochs or a band that no
supernova fits count little, so that they stand out.
"""

import functools
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.bands import BANDS
from annotator.preprocess.lightcurve import GRID_BANDS, GRID_DAYS, Detections, Peak
from annotator.sandbox.sky.light_curves import supernova

N_OF_KIND = MappingProxyType({"SN Ia": 110, "SN II": 60, "SN Ib/c": 30})
"""How many of each are tried: twice their shares for the rarer ones, which are less alike."""
SHIFTS_DAYS = np.arange(-24, 61, 2)
"""How long before the object's peak, as the detections tell it, a supernova may have had its own."""
LIKELY_SHIFT_DAYS = 15.0
"""A few detections that any supernova fits are taken to be about its peak."""
MAX_AVERAGED = 100
"""Fits that the mean is made of, the best."""
MODEL_ERROR_MAG = 0.1
"""No template is a supernova's own."""
OUTLIER_SIGMA = 2.0
"""Beyond, a deviation counts linearly."""
MAX_DETECTIONS = 60
"""That a fit is made to, spread evenly over a longer curve."""
FAINTEST_MAG = 8.0
"""Below its peak a supernova is shown no fainter."""
_SEED = 1
_FIRST_DAY, _LAST_DAY = int(GRID_DAYS[0]) - 62, int(GRID_DAYS[-1]) + 62


def expected_magnitudes(detections: Detections, about: Peak) -> NDArray[np.float64]:
    """Return the magnitudes of supernovae like this one, ``(2, 176)``: bands, and the grid's days since the peak.

    Parameters
    ----------
    detections
        At least one, those that the model is given.
    about
        Time and magnitude of their peak (:func:`annotator.preprocess.lightcurve.peak`).
    """
    peak_days, _ = about
    if len(detections) > MAX_DETECTIONS:
        detections = detections.where(np.linspace(0, len(detections) - 1, MAX_DETECTIONS).round().astype(int))
    phase = detections.time_days - peak_days
    templates = _templates()
    # (n supernovae, n shifts, n detections): the template's magnitude below its own peak, at the detection's phase.
    whole = np.floor(phase).astype(int)
    share = (phase - whole).astype(np.float32)
    place = np.clip(whole + SHIFTS_DAYS[:, np.newaxis] - _FIRST_DAY, 0, templates.shape[2] - 2)
    band = np.broadcast_to(detections.band, place.shape)
    fainter = templates[:, band, place] * (1 - share) + templates[:, band, place + 1] * share
    weight = (1 / (detections.error_mag**2 + MODEL_ERROR_MAG**2)).astype(np.float32)
    peak_mag, loss = _fitted(detections.magnitude.astype(np.float32) - fainter, weight)
    loss += (0.5 * (SHIFTS_DAYS / LIKELY_SHIFT_DAYS) ** 2).astype(np.float32)
    best = np.argsort(loss, axis=None)[:MAX_AVERAGED]
    number, shift = np.unravel_index(best, loss.shape)
    chance = np.exp(loss[number[0], shift[0]] - loss[number, shift])
    place = GRID_DAYS.astype(int) + SHIFTS_DAYS[shift][:, np.newaxis] - _FIRST_DAY
    shapes = templates[number[:, np.newaxis], :, place] + peak_mag[number, shift][:, np.newaxis, np.newaxis]
    return np.average(shapes, axis=0, weights=chance).T.astype(np.float64)


def _fitted(
    peak_mag: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the peak magnitude that all detections agree on best, and what is left: each over the last axis."""
    robust = np.broadcast_to(weight, peak_mag.shape)
    for _ in range(2):
        agreed = (robust * peak_mag).sum(axis=-1) / robust.sum(axis=-1)
        squared = weight * np.square(peak_mag - agreed[..., np.newaxis])
        bent = np.sqrt(1 + squared / OUTLIER_SIGMA**2)
        robust = weight / bent
    return agreed, (OUTLIER_SIGMA**2 * (bent - 1)).sum(axis=-1)


@functools.cache
def _templates() -> NDArray[np.float32]:
    """Return supernovae as magnitudes below their peak in r, ``(n, 2, days)``, a point a day."""
    rng = np.random.default_rng(_SEED)
    days = np.arange(_FIRST_DAY, _LAST_DAY + 1, dtype=float)
    letters = [BANDS[name].letter for name in GRID_BANDS]
    shapes = []
    for kind, count in N_OF_KIND.items():
        for _ in range(count):
            source = supernova(rng, kind)
            about = np.arange(-30.0, 31.0)
            peak_days = about[int(np.argmax(source.flux(about, "r")))]
            magnitudes = -2.5 * np.log10(
                [np.maximum(source.flux(days + peak_days, letter), 1e-12) for letter in letters]
            )
            shapes.append(np.minimum(magnitudes - magnitudes[letters.index("r")].min(), FAINTEST_MAG))
    return np.array(shapes, dtype=np.float32)
