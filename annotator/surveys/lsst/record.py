"""Rubin's LSST, as Lasair serves it."""

import re
from types import MappingProxyType

from annotator.preprocess.curve_layout import SIX_BANDS
from annotator.preprocess.small_stamps import PIXELS_A_BIN, measured_small
from annotator.surveys.lsst.columns import FEATURES, OTHER_COLUMNS, SURROUNDINGS
from annotator.surveys.lsst.parse import parse
from annotator.surveys.lsst.shapes import ID, ID_PARTS
from annotator.surveys.lsst.views import CUTOUT_HOST, PIXEL_ARCSEC
from annotator.surveys.survey import Survey

LSST = Survey(
    name="lsst",
    endpoint="https://api.lasair.lsst.ac.uk/api",
    cutout_hosts=(CUTOUT_HOST,),
    cutout_root=f"https://{CUTOUT_HOST}",
    object_pages=MappingProxyType({"Lasair": "https://lasair.lsst.ac.uk/objects/{}/"}),
    id_column=ID,
    id_pattern=re.compile(r"[1-9]\d{0,18}"),
    id_is_number=True,
    id_parts=ID_PARTS,
    epoch_column="lastDiaSourceMjdTai",
    first_epoch_column="firstDiaSourceMjdTai",
    epoch_minus_mjd=0.0,
    epoch_scale="tai",
    count_column="nDiaSources",
    now_sql="mjdnow()",
    input_filter="input_lsst",
    features=FEATURES,
    other_columns=OTHER_COLUMNS,
    surroundings=SURROUNDINGS,
    parse=parse,
    measured=measured_small,
    pixel_arcsec=PIXELS_A_BIN * PIXEL_ARCSEC,
    real_bogus=("reliability",),
    good_detection="has a reliability above 0.5",
    batch_annotations=100,
    queues_annotations=True,
    object_with_additions=False,
    varying_classes=("VS", "CV", "AGN", "BS"),  # as the community's filters have it: a bright star leaves residuals
    normals="simulated supernovae",
    features_are_of_light_curve=True,
    curve_layout=SIX_BANDS,
)
