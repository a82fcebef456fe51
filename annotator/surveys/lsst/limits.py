"""Visits at which nothing was detected of an object, and how deep they were."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from annotator.surveys.lsst.ranges import MAX_FLUX_NJY, MJD_RANGE, POSITIVE_NUMBER, SPELLINGS
from annotator.surveys.values import JD_MINUS_MJD, TAI_MINUS_UTC_DAYS, julian_date, number, within

SIGMAS = 5.0
"""From which on Rubin detects: an upper limit is so many times the noise."""


@dataclass(frozen=True, eq=False)
class Limits:
    """Upper limits of one object, in time order: arrays of one length ``(m,)``."""

    time_mjd: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """MJD, UTC."""
    band: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, "<U1"))
    """One letter: u, g, r, i, z, y."""
    flux_njy: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.time_mjd)

    def where(self, kept: NDArray[np.bool_]) -> "Limits":
        """Return some of them."""
        return Limits(self.time_mjd[kept], self.band[kept], self.flux_njy[kept])


NO_LIMITS = Limits()


def read_limits(given: Sequence[object], latest_mjd: float = math.inf) -> tuple[Limits, tuple[str, ...], bool]:
    """Read visits without a detection, in any order.

    Parameters
    ----------
    given
        Items with ``midpointMjdTai``, ``band`` and ``diaNoise`` (nJy), as alert packets have them up to schema 7.4.
    latest_mjd
        What is dated later (MJD, UTC) is left out.

    Returns
    -------
    tuple
        The limits; what could not be read, in words; and whether one was left out for its date.
    """
    read, n_odd, has_later = set(), 0, False
    for item in given:
        found = _limit(item) if isinstance(item, Mapping) else None
        if found is None:
            n_odd += 1
        elif found[0] > latest_mjd:
            has_later = True
        else:
            read.add(found)
    notes = (f"{n_odd} of {len(given)} upper limits lack a date, a band or a noise",) if n_odd else ()
    if not read:
        return NO_LIMITS, notes, has_later
    time_mjd, band, flux_njy = zip(*sorted(read), strict=True)
    return Limits(np.array(time_mjd), np.array(band, "<U1"), np.array(flux_njy)), notes, has_later


def _limit(item: Mapping[str, object]) -> tuple[float, str, float] | None:
    mjd_tai = within(number(item.get("midpointMjdTai")), *MJD_RANGE)
    if mjd_tai is None and (date := julian_date(item.get("midpointMjdTai"))) is not None:
        mjd_tai = date - JD_MINUS_MJD
    band = SPELLINGS.name(item.get("band"))
    noise_njy = within(number(item.get("diaNoise")), POSITIVE_NUMBER, MAX_FLUX_NJY / SIGMAS)
    if mjd_tai is None or band is None or noise_njy is None:
        return None
    return mjd_tai - TAI_MINUS_UTC_DAYS, band, SIGMAS * noise_njy
