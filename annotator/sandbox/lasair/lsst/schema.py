"""The columns of Lasair for Rubin's tables, as in its schema 11_1 of 2026."""

# Columns are written as in a paper's table, many to a line.
# ruff: noqa: SIM905

import math

from annotator.sandbox.lasair.schema import SHERLOCK_COLUMNS, TNS_COLUMNS, Schema
from annotator.sandbox.lasair.schema import TEXT_COLUMNS as TEXT_COLUMNS_OF_ZTF

BANDS = "ugrizy"

MJD_MINUS_JD = -2400000.5

_CORE = f"""
    diaObjectId ra decl lastDiaSourceMjdTai firstDiaSourceMjdTai latest_psfFlux
    {" ".join(f"{b}_psfFlux {b}_latestMJD {b}_psfFluxMean {b}_psfFluxMeanErr" for b in BANDS)}
    medianR latestR nDiaSources nPosDiaSources nPosDiaSourcesNights nSourcesGood
    {" ".join(f"n{b}Sources" for b in BANDS)}
    tns_name absMag absMagMJD BBBRiseRate BBBFallRate BBBTemp BBBPeakFlux BBBPeakMJD BBBPeakAbsMag
    glat ebv jump1 jump2
    latestPairMJD latestPairColourMag latestPairColourBands latestPairColourTemp
    penultimatePairMJD penultimatePairColourMag penultimatePairColourBands penultimatePairColourTemp
    htm16 timestamp
"""
_EXTENDED = f"""
    validityStartMjdTai raErr decErr ra_dec_Cov
    {" ".join(f"{b}_psfFluxSigma {b}_psfFluxNdata {b}_fpFluxMean {b}_fpFluxMeanErr" for b in BANDS)}
    {" ".join(f"{b}_scienceFluxMean {b}_scienceFluxMeanErr" for b in BANDS)}
    {" ".join(f"{b}_psfFluxMin {b}_psfFluxMax {b}_psfFluxMaxSlope {b}_psfFluxErrMean" for b in BANDS)}
"""

OBJECTS_COLUMNS: tuple[str, ...] = tuple((_CORE + _EXTENDED).split())
"""objects, with what Lasair calls objects_ext behind it."""

DOUBLE_COLUMNS = frozenset("ra decl lastDiaSourceMjdTai firstDiaSourceMjdTai validityStartMjdTai raDeg decDeg".split())
"""Kept in double precision; every other number that is not an integer is a FLOAT of some six digits."""

INTEGER_COLUMNS = frozenset(
    f"""
    diaObjectId nDiaSources nPosDiaSources nPosDiaSourcesNights nSourcesGood htm16 classificationReliability
    {" ".join(f"n{b}Sources {b}_psfFluxNdata" for b in BANDS)}
    """.split()
)

TEXT_COLUMNS = (TEXT_COLUMNS_OF_ZTF - {"objectId", "ssnamenr"}) | {
    "latestPairColourBands",
    "penultimatePairColourBands",
    "timestamp",
}


def flux2mag(flux_njy: float) -> float:
    """Return the AB magnitude of a flux; ValueError where there is none."""
    return 31.4 - 2.5 * math.log10(flux_njy)


LSST = Schema(
    id_column="diaObjectId",
    objects=OBJECTS_COLUMNS,
    sherlock=("diaObjectId", *(name for name in SHERLOCK_COLUMNS if name != "objectId")),
    tns=TNS_COLUMNS,
    text=frozenset(TEXT_COLUMNS),
    integers=INTEGER_COLUMNS,
    position=("ra", "decl"),
    last_epoch="lastDiaSourceMjdTai",
    epoch_minus_jd=MJD_MINUS_JD,
    now_function="mjdnow",
    watchlists=("watchlist:",),
    areas=("area:", "watchmap:"),
    short_text=255,
    has_bare_sherlock=False,
    takes_unicode=True,
    functions=(("flux2mag", flux2mag),),
)
