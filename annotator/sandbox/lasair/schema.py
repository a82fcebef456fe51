"""What a Lasair's tables hold: their columns and types, and here those of Lasair-ZTF."""

from collections.abc import Callable
from dataclasses import dataclass

# Columns are written as in a paper's table, many to a line.
# ruff: noqa: SIM905


@dataclass(frozen=True)
class Schema:
    """The tables of one Lasair, and the words of its SQL that are its own."""

    id_column: str
    """The object id, in every table of objects."""
    objects: tuple[str, ...]
    sherlock: tuple[str, ...]
    tns: tuple[str, ...]
    text: frozenset[str]
    integers: frozenset[str]
    """Every other column is a number."""
    position: tuple[str, str]
    """Right ascension and declination in degrees, of `objects`."""
    last_epoch: str
    """When an object was last detected, in days."""
    epoch_minus_jd: float
    """0 where that is a Julian date."""
    now_function: str
    """This moment, in the same days."""
    watchlists: tuple[str, ...]
    """How the list of tables names a watchlist; other spellings are ignored."""
    areas: tuple[str, ...]
    short_text: int
    """Characters that the short columns of annotations hold: topic, version, classification, an id that is text."""
    has_bare_sherlock: bool
    """Whether an object that Sherlock has said nothing of has an empty row of its; else it has none."""
    takes_unicode: bool
    """Whether the columns of annotations hold more than ASCII."""
    functions: tuple[tuple[str, Callable[[float], float]], ...] = ()
    """Functions of one number that its SQL has beside MariaDB's; where one raises, SQL says NULL."""


OBJECTS_COLUMNS: tuple[str, ...] = tuple(
    """
    objectId ramean decmean rastd decstd glonmean glatmean
    jdgmax jdrmax jdmax jdmin
    gmag rmag maggmin maggmean maggmax magrmin magrmean magrmax
    mag_g02 mag_g08 mag_g28 mag_r02 mag_r08 mag_r28
    dmdt_g dmdt_r dmdt_g_err dmdt_r_err dmdt_g_2 dmdt_r_2 g_minus_r jd_g_minus_r
    ncand ncandgp ncandgp_7 ncandgp_14
    distpsnr1 sgscore1 sgmag1 srmag1 ssnamenr htm16
    """.split()
)
"""objects: one row per object, from the thirty days before its last alert."""

SHERLOCK_COLUMNS: tuple[str, ...] = tuple(
    """
    objectId classification association_type
    catalogue_table_name catalogue_object_id catalogue_object_type raDeg decDeg
    separationArcsec northSeparationArcsec eastSeparationArcsec physical_separation_kpc
    direct_distance distance z photoZ photoZErr Mag MagFilter MagErr
    classificationReliability major_axis_arcsec annotator additional_output description summary
    """.split()
)
"""sherlock_classifications: what catalogues have at the object's position."""

TNS_COLUMNS: tuple[str, ...] = tuple(
    """
    ra decl tns_name tns_prefix disc_mag disc_mag_filter type z hostz host_name ext_catalogs disc_int_name
    disc_date lastmodified_date sender reporters source_group htm16
    """.split()
)
"""crossmatch_tns: the Transient Name Server's list."""

TNS_WATCHLIST = 1
"""crossmatch_tns hangs on the objects by the hits of this watchlist."""

DOUBLE_COLUMNS = frozenset(
    "ramean decmean rastd decstd glonmean glatmean jdgmax jdrmax jdmax jdmin jd_g_minus_r raDeg decDeg ra decl".split()
)
"""Kept in double precision; every other number that is not an integer is a FLOAT of some six digits."""

INTEGER_COLUMNS = frozenset("ncand ncandgp ncandgp_7 ncandgp_14 htm16 classificationReliability".split())

TEXT_COLUMNS = frozenset(
    """
    objectId ssnamenr classification association_type catalogue_table_name catalogue_object_id catalogue_object_type
    MagFilter annotator additional_output description summary tns_name tns_prefix disc_mag_filter type host_name
    ext_catalogs disc_int_name disc_date lastmodified_date sender reporters source_group
    """.split()
)

UNIX_EPOCH_JD = 2440587.5
"""Julian date of 1970 January 1, 0 h UTC."""

ZTF = Schema(
    id_column="objectId",
    objects=OBJECTS_COLUMNS,
    sherlock=SHERLOCK_COLUMNS,
    tns=TNS_COLUMNS,
    text=TEXT_COLUMNS,
    integers=INTEGER_COLUMNS,
    position=("ramean", "decmean"),
    last_epoch="jdmax",
    epoch_minus_jd=0.0,
    now_function="jdnow",
    watchlists=("watchlist:", "watchlists:"),
    areas=("area:", "areas:"),
    short_text=16,
    has_bare_sherlock=True,
    takes_unicode=False,
)
