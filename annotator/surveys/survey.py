"""What a survey is: where its Lasair answers, and what its objects are called."""

import re
import types
from collections.abc import Mapping
from types import MappingProxyType

from annotator.surveys.ztf import parse as ztf

OBJECT_IDS: Mapping[str, re.Pattern] = {"ztf": re.compile(r"ZTF\d\d[a-z]{7}")}
"""What a survey's object ids look like."""
ENDPOINTS: Mapping[str, str] = types.MappingProxyType({"ztf": "https://lasair-ztf.lsst.ac.uk/api"})

OBJECT_PAGES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "ztf": MappingProxyType(
            {
                "Lasair": "https://lasair-ztf.lsst.ac.uk/objects/{}/",
                "ALeRCE": "https://alerce.online/object/{}",
                "Fink": "https://ztf.fink-portal.org/{}",
            }
        )
    }
)

PIXEL_ARCSEC: Mapping[str, float] = MappingProxyType({"ztf": ztf.PIXEL_ARCSEC})
"""Side of a pixel of each survey's stamps."""
