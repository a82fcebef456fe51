"""On which axis a light curve is drawn: magnitudes, or flux where something would have no magnitude."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.photometry import flux_of
from annotator.report.expected import ShownCurve
from annotator.transient import LightCurve

MICROJANSKY_FROM_NJY = 10_000.0
"""From such a flux on an axis is in microjansky."""
BEYOND = 0.5
"""As much of the detections' range from 0 there is room for on either side, if something forced needs it."""


@dataclass(frozen=True, eq=False)
class CurveAxis:
    """What is drawn upward, or downward where it is magnitudes."""

    name: str
    values: NDArray[np.float64]
    """Of each measurement ``(n,)``."""
    errors: NDArray[np.float64]
    """0 where it is unknown ``(n,)``."""
    limits: NDArray[np.float64]
    """Of each upper limit ``(m,)``."""
    is_flux: bool
    is_within: NDArray[np.bool_]
    """Which measurements there is room for ``(n,)``."""
    unit_njy: float = 1.0
    """Of fluxes."""

    def of_magnitude(self, magnitude: NDArray[np.float64], sign: float) -> NDArray[np.float64]:
        """Return where magnitudes lie, as fluxes of a sign where it is fluxes that are drawn."""
        return sign * flux_of(magnitude) / self.unit_njy if self.is_flux else magnitude

    def span(self, is_shown: NDArray[np.bool_], is_limit_shown: NDArray[np.bool_], least: float) -> tuple[float, float]:
        """Return the least and the greatest of what is shown, at least so far apart; of fluxes 0 is always among it."""
        values = np.concatenate(
            [self.values[is_shown & self.is_within], self.limits[is_limit_shown], [0.0] if self.is_flux else []]
        )
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        return low, max(high, low + least)


def curve_axis(curve: ShownCurve) -> CurveAxis:
    """Choose the axis of a light curve, and lay its values out on it."""
    seen = curve.light_curve
    if not curve.in_flux:
        errors = np.nan_to_num(seen.magnitude_error)
        values, everything = seen.magnitude, np.ones(len(seen), dtype=bool)
        return CurveAxis("magnitude", values, errors, seen.limit_magnitude, is_flux=False, is_within=everything)
    greatest = np.abs(np.concatenate([seen.flux_njy[_is_within(seen)], seen.limit_flux_njy])).max(initial=0.0)
    unit, njy = ("\N{MICRO SIGN}Jy", 1000.0) if greatest >= MICROJANSKY_FROM_NJY else ("nJy", 1.0)
    errors = np.nan_to_num(seen.flux_error_njy) / njy
    return CurveAxis(
        *(f"difference flux, {unit}", seen.flux_njy / njy, errors, seen.limit_flux_njy / njy),
        is_flux=True,
        is_within=_is_within(seen),
        unit_njy=njy,
    )


def _is_within(seen: LightCurve) -> NDArray[np.bool_]:
    """Leave out what was forced and lies far beyond all detections: a bad subtraction would press them into a line."""
    if seen.is_forced.all():
        return np.ones(len(seen), dtype=bool)
    detected = seen.flux_njy[~seen.is_forced]
    low, high = min(0.0, float(detected.min())), max(0.0, float(detected.max()))
    room = BEYOND * (high - low)
    return ~seen.is_forced | ((seen.flux_njy >= low - room) & (seen.flux_njy <= high + room))
