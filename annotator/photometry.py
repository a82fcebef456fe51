"""Flux and magnitude, one made of the other: nJy and AB, of which 0 mag is 3631 Jy (Oke and Gunn 1983)."""

import math

import numpy as np
from numpy.typing import NDArray

ZERO_POINT_MAG = 31.4
"""AB magnitude of 1 nJy: -2.5 log10(1e-32 erg / s / cm2 / Hz) - 48.6."""

_FLUX_PER_MAG = 0.4 * math.log(10)
"""Relative change of a flux with a small change of magnitude."""

_DECIMALS = 12
"""Of magnitudes made of fluxes: what came as a magnitude is itself again, and not the float beside it."""


def flux_of(magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the flux (nJy) of AB magnitudes."""
    return np.exp(_FLUX_PER_MAG * (ZERO_POINT_MAG - magnitude))


def flux_error_of(flux_njy: NDArray[np.float64], magnitude_error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the error (nJy) of fluxes, none of them negative, whose magnitudes have an error."""
    return flux_njy * (_FLUX_PER_MAG * magnitude_error)


def magnitude_of(flux_njy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the AB magnitude of absolute fluxes; infinity of none at all."""
    with np.errstate(divide="ignore"):
        return (ZERO_POINT_MAG - 2.5 * np.log10(np.abs(flux_njy))).round(_DECIMALS)


def magnitude_error_of(flux_njy: NDArray[np.float64], flux_error_njy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the error (mag) of absolute fluxes to first order, which is no interval where it is large."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return (flux_error_njy / (np.abs(flux_njy) * _FLUX_PER_MAG)).round(_DECIMALS)
