"""When Rubin looks at a place, in which band and how deep: dates by rule, and none of a real or simulated schedule.

The rules: a season of half a year that the last night ends; in it a night every three or so, most often with two visits
some 34 minutes apart in two neighbouring bands, bluer ones while the Moon is down; a tenth of the places are a deep
field, visited every other night and dozens of times in a row. Depths are the medians of the survey's own simulation
(baseline v3.0: 23.6, 24.5, 24.1, 23.5, 22.9, 22.1 in u to y), with its scatter.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator import bands

BANDS = "ugrizy"

WAVELENGTH_NM: Mapping[str, float] = MappingProxyType({name: bands.BANDS[name].wavelength_nm for name in BANDS})

DEPTH_MAG: Mapping[str, float] = MappingProxyType({"u": 23.65, "g": 24.5, "r": 24.1, "i": 23.5, "z": 22.9, "y": 22.1})
"""Five sigma, of a point source in one visit."""

_DEPTH_SCATTER_MAG = 0.3
_SEASON_DAYS = 180
_GAPS_NIGHTS, _GAP_SHARES = (1, 2, 3, 4, 6, 9, 14, 20), (0.28, 0.12, 0.13, 0.1, 0.15, 0.09, 0.08, 0.05)
_VISITS, _VISIT_SHARES = (1, 2, 3, 4), (0.25, 0.58, 0.05, 0.12)
_PAIR_MINUTES, _BURST_MINUTES = 34.0, 0.65
_DEEP_SHARE = 0.1
_PAIRS = (
    # Which two bands, and how often: in the dark, at half moon, at full moon.
    (("ug", "ur", "gr", "ri"), (0.13, 0.17, 0.3, 0.4)),
    (("gr", "ri", "iz"), (0.1, 0.5, 0.4)),
    (("ri", "iz", "zy", "yy"), (0.15, 0.3, 0.3, 0.25)),
)


@dataclass(frozen=True, eq=False)
class Visits:
    """Visits of one place, in time order."""

    days: NDArray[np.float64]
    """``(n,)``: since the last night's midnight, so that most are negative."""
    band: NDArray[np.str_]
    """``(n,)``, of :data:`BANDS`."""
    depth_mag: NDArray[np.float64]
    """``(n,)``: five sigma, of the visit alone."""
    is_deep: bool

    @property
    def night(self) -> NDArray[np.int64]:
        """``(n,)``: 0 is the last night, -1 the one before."""
        return np.round(self.days).astype(np.int64)


def visits(rng: np.random.Generator, full_moon_night: float) -> Visits:
    """Draw the visits of a place that was visited last night.

    Parameters
    ----------
    rng
        What is drawn from.
    full_moon_night
        Days between the last midnight and a full Moon.
    """
    is_deep = bool(rng.random() < _DEEP_SHARE)
    nights, night = [], 0
    while night > -_SEASON_DAYS:
        nights.append(night)
        night -= 2 if is_deep else int(rng.choice(_GAPS_NIGHTS, p=_GAP_SHARES))
    first_hour = rng.uniform(-3.5, 2.5)
    days: list[float] = []
    bands: list[str] = []
    for night in reversed(nights):
        moonlight = 0.5 * (1 + math.cos(2 * math.pi * (night - full_moon_night) / 29.53))
        names, shares = _PAIRS[min(2, int(3 * moonlight))]
        pair = names[rng.choice(len(names), p=shares)]
        start = night + (first_hour + rng.uniform(0.0, 1.0)) / 24
        if is_deep:
            counts = rng.integers(3, 12, size=2)
            of_night = "".join(sorted(pair[0] * counts[0] + pair[1] * counts[1], key=pair.index))
            steps = np.arange(len(of_night)) * _BURST_MINUTES / 1440
        else:
            n = int(rng.choice(_VISITS, p=_VISIT_SHARES))
            of_night = (pair[0] + pair[1] + pair[0] + pair[1])[:n] if n > 1 else pair[rng.integers(2)]
            steps = np.arange(n) // 2 * _BURST_MINUTES / 1440 + np.arange(n) % 2 * _PAIR_MINUTES / 1440
        order = np.argsort(steps, kind="stable")
        days += list(start + steps[order] + rng.uniform(0.0, 0.0005))
        bands += [of_night[i] for i in order]
    depth = np.array([DEPTH_MAG[band] for band in bands]) + rng.normal(0.0, _DEPTH_SCATTER_MAG, len(bands))
    return Visits(np.array(days), np.array(bands), depth, is_deep)
