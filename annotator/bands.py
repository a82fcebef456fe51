"""The bands that the surveys see in: their names, and where in the spectrum they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Band:
    """One filter of one survey."""

    name: str
    """What light curves call it: LSST's by their letter, ZTF's as its own archive does, so that neither is taken for
    the other's."""
    letter: str
    """What people call it beside the survey's name."""
    wavelength_nm: float
    """Effective wavelength, of filter, optics, detector and atmosphere."""


# Effective wavelengths: SVO Filter Profile Service (Rodrigo and Solano 2020), http://svo2.cab.inta-csic.es/theory/fps/,
# LSST/LSST.u to .y and Palomar/ZTF.g to .i.
BANDS: Mapping[str, Band] = MappingProxyType(
    {
        band.name: band
        for band in (
            Band("u", "u", 375.1),
            Band("zg", "g", 472.3),
            Band("g", "g", 474.2),
            Band("r", "r", 617.3),
            Band("zr", "r", 634.0),
            Band("i", "i", 750.2),
            Band("zi", "i", 788.6),
            Band("z", "z", 867.9),
            Band("y", "y", 971.2),
        )
    }
)
"""Every band by its name, in the order of wavelength."""


def letters_of(names: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the letters of names of bands ``(n,)``."""
    return np.array([BANDS[name].letter for name in names.tolist()], dtype="<U1")
