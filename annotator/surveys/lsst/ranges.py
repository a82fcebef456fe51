"""What a value of Rubin's can be: bands, dates, fluxes."""

import numpy as np

from annotator.bands import BANDS
from annotator.surveys.values import JD_MINUS_MJD, JD_RANGE, BandSpellings

SPELLINGS = BandSpellings({}, ("lsst", "lsstcam", "rubin", "filter", "band"), map(BANDS.get, "ugrizy"))
"""g, lsstg (sncosmo), g-LSST (TNS), LSSTCam.g (SVO)."""

MJD_RANGE = (JD_RANGE[0] - JD_MINUS_MJD, JD_RANGE[1] - JD_MINUS_MJD)

MAX_FLUX_NJY = 1e9
"""Of 9 mag: Rubin saturates at 17, and a difference flux beyond this is none."""

SAME_EXPOSURE_DAYS = 10 / 86400
"""A visit takes 30 s, and the next one begins after it: two measurements in one band closer than this are of one."""

POSITIVE_NUMBER = float(np.nextafter(0.0, 1.0))
