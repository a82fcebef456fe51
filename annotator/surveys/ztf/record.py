"""ZTF, as Lasair-ZTF serves it."""

import re
from types import MappingProxyType

from annotator.preprocess.triplet import measured
from annotator.surveys.survey import Survey
from annotator.surveys.values import JD_MINUS_MJD
from annotator.surveys.ztf.columns import FEATURES
from annotator.surveys.ztf.parse import PIXEL_ARCSEC, parse
from annotator.surveys.ztf.tables import OTHER_COLUMNS, SURROUNDINGS

ZTF = Survey(
    name="ztf",
    endpoint="https://lasair-ztf.lsst.ac.uk/api",
    cutout_hosts=("lasair-ztf.lsst.ac.uk",),
    cutout_root="",
    object_pages=MappingProxyType(
        {
            "Lasair": "https://lasair-ztf.lsst.ac.uk/objects/{}/",
            "ALeRCE": "https://alerce.online/object/{}",
            "Fink": "https://ztf.fink-portal.org/{}",
        }
    ),
    id_column="objectId",
    id_pattern=re.compile(r"ZTF\d\d[a-z]{7}"),
    id_is_number=False,
    id_parts=(),
    epoch_column="jdmax",
    first_epoch_column="jdmin",
    epoch_minus_mjd=JD_MINUS_MJD,
    epoch_scale="utc",
    count_column="ncand",
    now_sql="jdnow()",
    input_filter="input_ztf",
    features=FEATURES,
    other_columns=OTHER_COLUMNS,
    surroundings=SURROUNDINGS,
    parse=parse,
    measured=measured,
    pixel_arcsec=PIXEL_ARCSEC,
    real_bogus=("rb", "drb"),
    good_detection="is positive and passes real-bogus",
    batch_annotations=1,
    queues_annotations=False,
    object_with_additions=True,
    publishes_magnitudes=True,
)
