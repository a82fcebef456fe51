"""How a survey's light curves are laid out for their model, and where its reconstruction lies: one record for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess import lightcurve, six_bands
from annotator.preprocess.lightcurve import Detections, Peak
from annotator.transient import LightCurve


@dataclass(frozen=True, eq=False)
class CurveLayout:
    """One way to lay a light curve out."""

    bands: tuple[str, ...]
    """Names, in the order of the input."""
    days: NDArray[np.float64]
    """Since the peak, in ascending order: where the reconstruction says how bright it is; between, a straight line."""
    model_error_mag: float
    """How well the autoencoder knows a supernova; in quadrature to a point's error, as its graph has it."""
    usable: Callable[[LightCurve], Detections]
    """Selects what counts of a light curve."""
    peak: Callable[[Detections], Peak]
    """Finds time and magnitude of the peak; of at least one."""
    within_grid: Callable[[Detections], NDArray[np.bool_]]
    """Tells which of them lie within the days."""
    usable_curve: Callable[[LightCurve | None], tuple[Detections, Peak]]
    """Does all of that, or raises MissingModalityError."""
    grid: Callable[[Sequence[Detections], Sequence[Peak] | None], NDArray[np.float32]]
    """Makes the input."""
    min_points: int
    """Fewer have no shape."""


TWO_BANDS = CurveLayout(
    bands=lightcurve.GRID_BANDS,
    days=lightcurve.GRID_DAYS,
    model_error_mag=0.05,
    usable=lightcurve.usable_detections,
    peak=lightcurve.peak,
    within_grid=lightcurve.within_grid,
    usable_curve=lightcurve.usable_curve,
    grid=lightcurve.grid,
    min_points=lightcurve.MIN_DETECTIONS,
)
"""ZTF's: g and r on a grid of two days."""

SIX_BANDS = CurveLayout(
    bands=six_bands.GRID_BANDS,
    days=six_bands.KNOTS_DAYS,
    model_error_mag=0.1,
    usable=six_bands.usable_nights,
    peak=six_bands.peak,
    within_grid=six_bands.within_grid,
    usable_curve=six_bands.usable_curve,
    grid=six_bands.grid,
    min_points=six_bands.MIN_POINTS,
)
"""LSST's: six bands, in cells between knots."""
