"""ZTF's columns in the tables that models are trained on: what holds what, and what is fetched from Lasair-ZTF.

The tables keep Lasair's own names; who reads or writes one names a column by what it holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from annotator.annotation import OBJECT_ID_KEY
from annotator.surveys.values import number
from annotator.surveys.ztf.columns import MISSING_TOGETHER


@dataclass(frozen=True)
class DetectionColumns:
    """Of one detection, in the tables of light curves and of cutouts and in Lasair's candidates."""

    candidate_id: str = "candid"
    """ZTF's 64-bit number of the detection."""
    time_jd: str = "jd"
    """Julian date, UTC."""
    band_number: str = "fid"
    """One of :data:`annotator.surveys.ztf.candidates.SPELLINGS`."""
    magnitude: str = "magpsf"
    """Of the difference, mag."""
    magnitude_error: str = "sigmapsf"
    """mag."""
    sign: str = "isdiffpos"
    """Whether the object was brighter than in the template (:func:`annotator.surveys.values.sign_of`)."""
    real_bogus: str = "rb"
    """Score of the random forest, 0 to 1 (Mahabal et al. 2019)."""
    deep_real_bogus: str = "drb"
    """Score of the neural network, 0 to 1 (Duev et al. 2019)."""
    ra_deg: str = "ra"
    dec_deg: str = "dec"
    asteroid_separation: str = "ssdistnr"
    """Of the nearest known solar-system object, arcsec; negative where there is none."""
    ps1_separation: str = "distpsnr1"
    """Of the nearest Pan-STARRS1 source, arcsec."""
    ps1_star_score: str = "sgscore1"
    """How likely that source is a star, 0 to 1."""
    earlier_detections: str = "ndethist"
    """How many ZTF had made at the place."""


DETECTION = DetectionColumns()

PHOTOMETRY = (
    *(DETECTION.time_jd, DETECTION.band_number),
    *(DETECTION.magnitude, DETECTION.magnitude_error, DETECTION.sign),
)
"""What a light curve is made of."""

LIGHT_CURVE_COLUMNS = (OBJECT_ID_KEY, *PHOTOMETRY)
"""What a table of light curves has to have, one row a detection."""

CUTOUT_COLUMNS = (
    *(OBJECT_ID_KEY, DETECTION.candidate_id, DETECTION.magnitude, DETECTION.real_bogus, DETECTION.deep_real_bogus),
    *("source_label", "aha_pick"),
)
"""What a table of cutouts has to have, one row a triplet."""

FETCHED_WITH_CUTOUTS = (
    *(DETECTION.candidate_id, *PHOTOMETRY, DETECTION.real_bogus, DETECTION.deep_real_bogus),
    *(DETECTION.ra_deg, DETECTION.dec_deg),
)
FETCHED_WITH_CUTOUTS_TOO = (
    *(DETECTION.asteroid_separation, DETECTION.ps1_separation, DETECTION.ps1_star_score),
    DETECTION.earlier_detections,
)
"""Of the candidate that a triplet is of, before and after what is known of its object."""


@dataclass(frozen=True)
class ObjectColumns:
    """Of one object, in AHA's databank, which joins Lasair's objects with Sherlock and TNS."""

    first_jd: str = "jdmin"
    """Julian date of the first detection, UTC."""
    colour: str = "g_minus_r"
    """g-r, mag."""
    colour_jd: str = "jd_g_minus_r"
    """Julian date of the g-r, UTC."""
    peak_magnitudes: tuple[str, ...] = ("maggmin", "magrmin")
    """The brightest g and the brightest r, mag."""
    galactic_latitude: str = "glatmean"
    """deg."""
    host_size: str = "major_axis_arcsec"
    """Major axis of the host that Sherlock found, arcsec."""
    sherlock_rank: str = "classificationReliability"
    """Of Sherlock's match: 1 is the best of its ranks."""


OBJECT = ObjectColumns()


@dataclass(frozen=True)
class StreamColumns:
    """Of one object of a real stream, in the table that a night of them is measured on.

    What it has of a detection is named as :class:`DetectionColumns` has it.
    """

    sherlock_class: str = "sherlock_proxy"
    """What stands for Sherlock's class."""
    host_separation: str = "separationArcsec_proxy"
    """What stands for the distance to Sherlock's host, arcsec."""
    detections: str = "n_detections"
    """In the thirty days of its packets."""
    row_of_stamps: str = "cutouts_row"
    """Number of its row in the table of cutouts, from 0."""
    drawn: str = "_imputed"
    """Behind a column's name: drawn from objects of the databank, since packets lack it."""

    def as_answer(self, row: Mapping[str, str]) -> dict[str, object]:
        """Lay a row out as Lasair's answer for an object has it, but for its candidates."""
        return {
            "objectId": row["objectId"],
            "sherlock": {
                "classification": row[self.sherlock_class],
                "separationArcsec": number(row[self.host_separation]),
            },
            **{name: number(row.get(f"{name}{self.drawn}", row.get(name))) for name in PAN_STARRS},
            **{name: number(row[name]) for name in (DETECTION.ps1_star_score, DETECTION.earlier_detections)},
        }


STREAM = StreamColumns()

PAN_STARRS = MISSING_TOGETHER["Pan-STARRS1"]
"""Columns that Lasair's answer for an object lacks."""

SURROUNDINGS = (
    "distpsnr1",
    "sgmag1",
    "srmag1",
    "classification",
    "separationArcsec",
    "major_axis_arcsec",
    "physical_separation_kpc",
    "distance",
)
"""Columns that do not change while an object evolves."""

BESIDE_FEATURES = ("ncand", "jdmin", "jd_g_minus_r", "classification", "physical_separation_kpc", "distance")
"""What the derived features and the sampling are computed from, beside the model's own columns."""

OTHER_COLUMNS = (*BESIDE_FEATURES, "jdmax", "ncandgp", "ramean", "decmean")
"""All that is read of a flat row, beside the model's own columns."""

DATABANK_TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "objects": (
            *("objectId", "gmag", "rmag", "g_minus_r", "jd_g_minus_r", "jdmin", "ramean", "decmean", "glatmean"),
            *("dmdt_g", "mag_g02", "mag_g08", "mag_g28", "maggmax", "maggmean", "maggmin", "mag_r02", "mag_r08"),
            *("mag_r28", "dmdt_r", "magrmax", "magrmin", "distpsnr1", "dmdt_g_err", "dmdt_r_err", "sgmag1", "srmag1"),
        ),
        "sherlock_classifications": (
            *("classification", "catalogue_object_id", "separationArcsec", "northSeparationArcsec"),
            *("eastSeparationArcsec", "physical_separation_kpc", "distance", "classificationReliability"),
            "major_axis_arcsec",
        ),
        "crossmatch_tns": ("tns_name", "type", "ra", "decl", "z"),
    }
)
"""Lasair's tables that the databank joins, with the columns that it has of each, in its order."""
